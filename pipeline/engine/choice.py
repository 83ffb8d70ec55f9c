"""The choice of an evaluator for a landscape.

Shape legend: S = splits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pipeline.engine.closed_form import ClosedFormEvaluator
from pipeline.engine.contract import EngineChoice, Evaluator, activation_numbers
from pipeline.engine.loop import LoopEvaluator
from schemas.errors import SpecError, listing, suggestion
from tasks.landscape import Landscape
from tasks.objective import ClosedForm

# Activations of one block of samples should stay in a core's cache; on a GPU they should fill it.
_BLOCK_BYTES = {"cpu": 2 * 2**20, "cuda": 512 * 2**20}
_LEAST_BLOCK = 64


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
        return ClosedFormEvaluator(landscape.objective, landscape.section, splits, choice)
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
