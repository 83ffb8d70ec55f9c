"""The contract of an evaluator, and what evaluators share.

Shape legend: P = points, S = splits, z = axes, N = samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tasks.objective import EmpiricalRisk

Floats: TypeAlias = npt.NDArray[np.float64]
Values: TypeAlias = dict[str, Floats]


class Evaluator(Protocol):
    """Evaluates batches of points on one device."""

    def evaluate(self, points: Floats) -> Values:
        """Metrics at points (P, z): metric → (S, P), float64."""
        ...


@dataclass(frozen=True)
class EngineChoice:
    """Everything beside the landscape on which the bits of a result depend.

    It is made once, recorded in the store, and forced when the scan is continued.

    Attributes:
        name: the evaluator, `loop` or `closed-form`.
        device: `cpu` or `cuda`.
        dtype: `float32` or `float64`.
        threads: CPU threads of each worker.
        sample_block: samples in one forward pass; None for all.
    """

    name: str
    device: str
    dtype: str
    threads: int
    sample_block: int | None

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype of the evaluation."""
        return {"float32": torch.float32, "float64": torch.float64}[self.dtype]


def activation_numbers(objective: EmpiricalRisk) -> int:
    """Numbers that the leaf modules put out for one sample: a bound on the memory it takes."""
    counted = 0

    def count(_module: nn.Module, _inputs: tuple[object, ...], output: object) -> None:
        nonlocal counted
        tensors = output if isinstance(output, (tuple, list)) else (output,)
        counted += sum(t.numel() for t in tensors if isinstance(t, Tensor))

    leaves = [m for m in objective.module.modules() if not any(m.children())]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    training = objective.module.training
    try:
        first = next(iter(objective.splits.values())).inputs[:1]
        with torch.no_grad():
            objective.module.eval()(as_module_input(objective.module, first))
    finally:
        objective.module.train(training)
        for hook in hooks:
            hook.remove()
    return counted + first.numel()


def as_module_input(module: nn.Module, inputs: Tensor) -> Tensor:
    """Floating inputs in the dtype and on the device of the module's parameters."""
    parameter = next(module.parameters(), None)
    if parameter is None:
        return inputs
    dtype = parameter.dtype if inputs.is_floating_point() else inputs.dtype
    return inputs.to(parameter.device, dtype)


def load_origin(module: nn.Module, origin: Mapping[str, Tensor]) -> None:
    """Copy the section's origin into the module's parameters."""
    with torch.no_grad():
        for name, tensor in origin.items():
            module.get_parameter(name).copy_(tensor)
