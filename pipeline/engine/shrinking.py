"""When memory runs out: half the block, and on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import torch

from pipeline.engine.contract import EngineChoice, Evaluator, Floats, Values

LOG = logging.getLogger("cartograd")
_CPU_ALLOCATOR = "can't allocate memory"


class ShrinkingEvaluator:
    """Evaluates with the evaluator of a choice; each time memory runs out, with half its block.

    With `whole_blocks` points that are evaluated together stay together.

    Attributes:
        choice: the choice in force.
    """

    def __init__(
        self,
        make: Callable[[EngineChoice], Evaluator],
        choice: EngineChoice,
        *,
        whole_blocks: bool = False,
    ) -> None:
        self._make = make
        self._whole_blocks = whole_blocks
        self.choice = choice
        self._evaluator: Evaluator | None = make(choice)
        self._largest = 0

    def evaluate(self, points: Floats) -> Values:
        """Metrics at points (P, z): metric → (S, *extra, P)."""
        while True:
            try:
                if self._evaluator is None:
                    self._evaluator = self._make(self.choice)
                return self._evaluator.evaluate(points)
            except (RuntimeError, MemoryError) as error:
                smaller = _smaller(self.choice, self._whole_blocks)
                if smaller is None or not _is_out_of_memory(error):
                    raise
                LOG.warning("memory ran out with %s; going on with %s", self.choice, smaller)
                self.choice = smaller
            # Outside of the handler, whose traceback holds the tensors that filled the memory.
            self._evaluator = None
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def _is_out_of_memory(error: Exception) -> bool:
    known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    return known or _CPU_ALLOCATOR in str(error)


def _smaller(choice: EngineChoice, whole_blocks: bool) -> EngineChoice | None:
    if choice.point_block > 1 and not whole_blocks:
        return replace(choice, point_block=choice.point_block // 2)
    if choice.sample_block is not None and choice.sample_block > 1:
        return replace(choice, sample_block=choice.sample_block // 2)
    return None
