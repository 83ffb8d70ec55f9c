"""The contract of an evaluator, and what evaluators share.

Shape legend: P = points, S = splits, z = axes, N = samples, *extra = a metric's own dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from schemas.starts import Descent
from tasks.directions.selection import is_statistic
from tasks.objective import EmpiricalRisk
from tasks.trial import trial

Floats: TypeAlias = npt.NDArray[np.float64]
Values: TypeAlias = dict[str, npt.NDArray[Any]]
"""Metric → (S, *extra, P); float64, or the integers in which the metric is stored."""
# Statistics over a batch need two samples.
_FEW = 2


class Evaluator(Protocol):
    """Evaluates batches of points on one device."""

    def evaluate(self, points: Floats) -> Values:
        """Metrics at points (P, z): metric → (S, *extra, P)."""
        ...


@dataclass(frozen=True)
class EngineChoice:
    """Everything beside the landscape on which the bits of a result depend.

    It is made once, recorded in the store, and forced when the scan is continued.

    Attributes:
        name: the evaluator: `loop`, `traced`, `batched`, `polynomial`, `autograd`, `closed-form`.
        device: `cpu` or `cuda`.
        dtype: `float32`, `float64` or `bfloat16`.
        threads: CPU threads of each worker.
        sample_block: samples evaluated together, at most; None for all.
        point_block: points evaluated together, or from which descents begin together.
        degree: greatest degree in α of what is expanded into coefficients.
        outer: axes that vary slowest: at each of their coordinates what does not depend on the
            other axes is evaluated once.
        keep: whether what is evaluated once for a sample block is kept between batches.
    """

    name: str
    device: str
    dtype: str
    threads: int
    sample_block: int | None
    point_block: int = 1
    degree: int = 0
    outer: tuple[int, ...] = ()
    keep: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "outer", tuple(self.outer))

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype of the evaluation."""
        return {
            "float32": torch.float32,
            "float64": torch.float64,
            "bfloat16": torch.bfloat16,
        }[self.dtype]

    @property
    def sum_dtype(self) -> torch.dtype:
        """The dtype of losses and of what is expanded: never less than float32."""
        return torch.float64 if self.dtype == "float64" else torch.float32

    def __str__(self) -> str:
        """Such as `batched float32, 8 points × 240 samples, degree 1`."""
        samples = "all samples" if self.sample_block is None else f"{self.sample_block} samples"
        return f"{self.name} {self.dtype}, {self.point_block} points × {samples}" + (
            f", degree {self.degree}" if self.degree else ""
        )


@dataclass(frozen=True)
class Work:
    """What is to be evaluated.

    Attributes:
        splits, metrics: names.
        points: points of the first shard or of a part of it, (P, z).
        total: points of the whole scan, over its workers.
        room: bytes for what an evaluator holds beside the landscape.
        descent: from each point, if there is one.
    """

    splits: tuple[str, ...]
    metrics: tuple[str, ...]
    points: Floats
    total: int
    room: int
    descent: Descent | None = None


def item_bytes(dtype: torch.dtype) -> int:
    """Bytes of one number."""
    return torch.empty((), dtype=dtype).element_size()


def activation_numbers(objective: EmpiricalRisk) -> int:
    """Numbers that the leaf modules put out for one sample: a bound on the memory it takes."""
    counted = 0

    def count(_module: nn.Module, _inputs: tuple[object, ...], output: object) -> None:
        nonlocal counted
        tensors = output if isinstance(output, (tuple, list)) else (output,)
        counted += sum(t.numel() for t in tensors if isinstance(t, Tensor))

    leaves = [m for m in objective.module.modules() if not any(m.children())]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    few = next(iter(objective.splits.values())).inputs[:_FEW]
    try:
        trial(objective.module, few)
    finally:
        for hook in hooks:
            hook.remove()
    return -(-counted // len(few)) + few[0].numel()


def changes_inputs(module: nn.Module, inputs: Tensor) -> bool:
    """Whether a module in eval mode writes into its inputs; tried on a copy of the first ones."""
    sample = inputs[:_FEW].clone()
    before = sample._version
    with torch.no_grad():
        module(sample)
    return sample._version != before


def load_origin(module: nn.Module, origin: Mapping[str, Tensor]) -> None:
    """Copy the section's origin into the module's parameters."""
    with torch.no_grad():
        for name, tensor in origin.items():
            module.get_parameter(name).copy_(tensor)


def trainable_names(module: nn.Module) -> list[str]:
    """The parameters that require a gradient; all of them where none does.

    Running statistics among them never do: they are no coordinates of the loss.
    """
    named = {n: t for n, t in module.named_parameters() if not is_statistic(n)}
    return [name for name, parameter in named.items() if parameter.requires_grad] or list(named)
