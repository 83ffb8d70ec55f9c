"""The risk of a module at a point of a path, apart from the module it was made from.

Shape legend: N = samples, m = directions.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from tasks.batchnorm import batch_norms
from tasks.directions.selection import is_statistic
from tasks.objective import EmpiricalRisk, Split, per_sample
from tasks.paths.charts import Floats
from tasks.threads import one_thread

_PROBED_SAMPLES = 256
_PROBED = (0.0, 0.5, 1.0)


class PathRisk:
    """Loss along a path, on a private copy of the module, in float32 on the CPU.

    Attributes:
        module: the copy: eval mode, but for batch normalisation, and without gradients of its own.
        data: the split that is trained on.
        first, last: the parameters at the ends.
        trained: names of the parameters that bends may move.
    """

    def __init__(
        self,
        objective: EmpiricalRisk,
        split: str,
        ends: tuple[Mapping[str, Tensor], Mapping[str, Tensor]],
    ) -> None:
        module = objective.module
        self.trained = trained_names(module, ends[0])
        self.module = copy.deepcopy(module).to("cpu", torch.float32).eval().requires_grad_(False)
        for _, layer in batch_norms(self.module):
            layer.train()
        data = objective.splits[split]
        self.data = Split(_single(data.inputs), _single(data.targets))
        self.first, self.last = ({n: _single(t) for n, t in end.items()} for end in ends)
        self._loss = objective.loss

    def point(
        self, t: float, weights: Floats, shifts: Sequence[Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        """θ(t) of weights (m,), from what the m − 1 bends are shifted from the straight line.

        Control points spaced evenly on a line are that line at constant speed, in either chart.
        """
        found = {name: (1.0 - t) * self.first[name] + t * self.last[name] for name in self.first}
        for weight, shift in zip(weights, shifts, strict=False):
            found |= {name: found[name] + float(weight) * s for name, s in shift.items()}
        return found

    def loss(self, point: Mapping[str, Tensor], index: Tensor) -> Tensor:
        """Mean loss over the samples of these positions, a scalar."""
        return self._losses(point, index).mean()

    def probed(self) -> Tensor:
        """Losses of the first samples at both ends and half-way on the line, (3, N)."""
        index = torch.arange(min(_PROBED_SAMPLES, len(self.data)))
        with torch.no_grad():
            points = (self.point(t, np.zeros(0), []) for t in _PROBED)
            return torch.stack([self._losses(point, index) for point in points])

    def _losses(self, point: Mapping[str, Tensor], index: Tensor) -> Tensor:
        outputs = functional_call(self.module, dict(point), (self.data.inputs[index],))
        return per_sample(self._loss, outputs, self.data.targets[index])


def trained_names(module: nn.Module, names: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Those of the names whose parameters require a gradient; all where none does.

    Running statistics are never among them, even where directions move them as parameters.
    """
    own = dict(module.named_parameters())
    free = [name for name in names if not is_statistic(name)]
    return tuple(name for name in free if own[name].requires_grad) or tuple(free)


def batches(samples: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Positions of samples, shuffled anew each time a full batch is no longer left, for ever."""
    size = min(size, samples)
    while True:
        order = torch.randperm(samples, generator=generator)
        for start in range(0, samples - size + 1, size):
            yield order[start : start + size]


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """One thread, and random numbers of their own seed for a module that draws some."""
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.default_generator.manual_seed(seed)
        yield


def _single(tensor: Tensor) -> Tensor:
    """The tensor on the CPU, float32 if it holds real numbers, without a gradient."""
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", dtype)
