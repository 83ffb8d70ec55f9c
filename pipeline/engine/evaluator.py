"""The contract of an evaluator, and the choice of one for a landscape.

Shape legend: P = points, S = splits, z = axes, N = samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from schemas.errors import SpecError, listing, suggestion
from tasks.objective import ClosedForm, EmpiricalRisk

if TYPE_CHECKING:
    from tasks.landscape import Landscape

Floats: TypeAlias = npt.NDArray[np.float64]
Values: TypeAlias = dict[str, Floats]

# Activations of one block of samples should stay in a core's cache; on a GPU they should fill it.
_BLOCK_BYTES = {"cpu": 2 * 2**20, "cuda": 512 * 2**20}
_LEAST_BLOCK = 64


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


def choose_engine(landscape: Landscape, device: str, dtype: str, threads: int) -> EngineChoice:
    """The engine for a landscape, from its shapes alone."""
    if isinstance(landscape.objective, ClosedForm):
        return EngineChoice("closed-form", device, dtype, threads, None)
    width = torch.empty((), dtype=getattr(torch, dtype)).element_size()
    per_sample = activation_numbers(landscape.objective) * width
    block = max(_LEAST_BLOCK, _BLOCK_BYTES[device] // max(per_sample, 1))
    return EngineChoice("loop", device, dtype, threads, block)


def make_evaluator(
    landscape: Landscape, splits: Sequence[str], metrics: Sequence[str], choice: EngineChoice
) -> Evaluator:
    """The evaluator that a choice names; SpecError when a split or metric is not on offer."""
    check_offer(landscape, splits, metrics)
    torch.set_num_threads(choice.threads)
    if isinstance(landscape.objective, ClosedForm):
        from pipeline.engine.closed_form import ClosedFormEvaluator

        return ClosedFormEvaluator(landscape.objective, landscape.section, splits, choice)
    from pipeline.engine.loop import LoopEvaluator

    return LoopEvaluator(landscape.objective, landscape.section, splits, metrics, choice)


def check_offer(landscape: Landscape, splits: Sequence[str], metrics: Sequence[str]) -> None:
    """SpecError unless the landscape offers these splits and metrics."""
    objective = landscape.objective
    closed = isinstance(objective, ClosedForm)
    offered = objective.functions if isinstance(objective, ClosedForm) else objective.splits
    for split in splits:
        if split not in offered:
            raise SpecError(
                f"splits: got {split!r}; expected some of {listing(offered)}"
                f"{suggestion(split, offered)}"
            )
    if closed and "accuracy" in metrics:
        raise SpecError("metrics: got 'accuracy'; a closed form has a loss only; use [loss]")


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
