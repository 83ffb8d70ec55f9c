"""What becomes of batch normalisation's running statistics away from the trained parameters.

Three policies: `stored`, the statistics of the model as they are; `interpolated`, statistics that
move with the parameters where a direction leads from one checkpoint to another; `reestimated`,
measured anew at every point (Izmailov et al. 2018, arXiv:1803.05407, section 3.2; Garipov et al.
2018, arXiv:1802.10026; Jordan et al. 2022, arXiv:2211.08403).

Shape legend: N = samples, B = samples of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from schemas.errors import SpecError

_STATISTICS = ("running_mean", "running_var")
_LEAST_BATCH = 2


@dataclass(frozen=True)
class Reestimation:
    """On what running statistics are measured anew: inputs (N, …), `batch` samples at a time.

    Raises:
        SpecError: the batch is of one sample, or of more than there are.
    """

    inputs: Tensor
    batch: int

    def __post_init__(self) -> None:
        if not _LEAST_BATCH <= self.batch <= len(self.inputs):
            raise SpecError(
                f"batchnorm.batch: got {self.batch}; expected {_LEAST_BATCH} to "
                f"{len(self.inputs)}, the samples of the split"
            )

    @property
    def batches(self) -> list[Tensor]:
        """The inputs in batches of at most `batch`, their sizes as equal as can be."""
        return list(torch.tensor_split(self.inputs, -(-len(self.inputs) // self.batch)))


def batch_norms(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The batch normalisation layers of a module that keep running statistics, by name."""
    return [
        (name, layer)
        for name, layer in module.named_modules()
        if isinstance(layer, nn.modules.batchnorm._BatchNorm)
        and getattr(layer, "running_mean", None) is not None
    ]


def reestimate(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set running statistics to their means over the batches; all other layers stay in eval mode.

    A layer's statistics are taken on what the layers before it put out when they normalise by the
    batch, as in training. Every batch counts alike. `batches` hold inputs (B, …) in the module's
    dtype and on its device; they are not written to.
    """
    layers = [layer for _, layer in batch_norms(module)]
    momenta = [layer.momentum for layer in layers]
    module.eval()
    for layer in layers:
        layer.reset_running_stats()  # type: ignore[operator]
        layer.momentum = None  # type: ignore[assignment]  # the cumulative mean
        layer.train()
    try:
        with torch.no_grad():
            for inputs in batches:
                module(inputs.clone())
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
            layer.eval()


def statistics_as_parameters(module: nn.Module) -> list[str]:
    """Make running statistics parameters of the module, so that directions can move them.

    They need no gradient. Returns their names.
    """
    names = []
    for prefix, layer in batch_norms(module):
        for name in _STATISTICS:
            value = layer._buffers.pop(name)
            if value is not None:
                layer.register_parameter(name, nn.Parameter(value, requires_grad=False))
                names.append(f"{prefix}.{name}" if prefix else name)
    return names
