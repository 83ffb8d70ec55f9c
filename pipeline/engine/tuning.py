"""The fastest evaluator for a landscape and its block sizes, found by timing a few blocks.

Shape legend: P = points, N = samples, B = samples of a block.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from pipeline.engine.contract import EngineChoice, Evaluator, Floats, Work
from pipeline.engine.graph.candidates import sample_blocks, traced_candidates
from pipeline.engine.graph.tracing import Untraceable
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split

LOG = logging.getLogger("cartograd")

_LEAST_SECONDS = 1.0
"""A scan that the plain loop does in this time is not worth tracing."""
_SHARE_OF_SCAN = 0.05
_RACE_SECONDS = (0.2, 2.0)
_TIMED_SHARE = 0.02
_TIMED_SAMPLES = (64, 2048)
_PROBED_SAMPLES = 64
_LEAST_CANDIDATES = 3
_FINALISTS = 3
_ROUNDS = 3
_NOISE = 0.95
"""A candidate replaces an earlier one only if it needs less than this share of its time."""


Make = Callable[[Landscape, Sequence[str], Sequence[str], EngineChoice], Evaluator]


def tune(landscape: Landscape, work: Work, plain: EngineChoice, make: Make) -> EngineChoice:
    """The fastest of `plain` and all that the traced objective allows, within the room."""
    objective = cast("EmpiricalRisk", landscape.objective)
    longest = max(work.splits, key=lambda split: len(objective.splits[split]))
    available = len(objective.splits[longest])
    probe = make(_shortened(landscape, longest, _PROBED_SAMPLES), (longest,), work.metrics, plain)
    per_sample = _seconds(probe, work.points[:1], 1) / min(_PROBED_SAMPLES, available)
    samples = sum(len(objective.splits[split]) for split in work.splits)
    projected = per_sample * samples * work.total
    if projected < _LEAST_SECONDS:
        return plain
    budget = float(np.clip(projected * _SHARE_OF_SCAN, *_RACE_SECONDS))
    timed = budget * _TIMED_SHARE
    number = int(np.clip(timed / per_sample, *_TIMED_SAMPLES))
    race = _Race(landscape, longest, number, work, make, timed)
    try:
        traced = list(traced_candidates(landscape, longest, work, plain))
    except Untraceable as error:
        LOG.warning("the model cannot be traced (%s); it is evaluated by the general path", error)
        traced = []
    if traced and traced[0].name == "polynomial":
        return traced[0]
    return race.run([plain, *traced, *sample_blocks(plain, available)], budget)


class _Race:
    def __init__(
        self,
        landscape: Landscape,
        split: str,
        number: int,
        work: Work,
        make: Make,
        timed: float,
    ) -> None:
        self._landscape = landscape
        self._split = split
        self._number = number
        self._work = work
        self._make = make
        self._timed = timed

    def run(self, candidates: Sequence[EngineChoice], budget: float) -> EngineChoice:
        """The fastest candidate by its best of several timings; the earliest of equals.

        Candidates come in the order of their promise; those for which the budget, in seconds,
        does not last are left out.
        """
        start = time.perf_counter()
        timed: list[tuple[EngineChoice, Evaluator, float]] = []
        for choice in candidates:
            if len(timed) >= _LEAST_CANDIDATES and time.perf_counter() - start > budget / 2:
                break
            try:
                evaluator = self._make(
                    self._part(choice), (self._split,), self._work.metrics, choice
                )
                timed.append((choice, evaluator, self._time(evaluator, choice)))
            except Untraceable as error:
                LOG.debug("%s: %s", choice, error)
        timed.sort(key=lambda entry: entry[2])
        finalists = timed[:_FINALISTS]
        best = [seconds for _, _, seconds in finalists]
        for _ in range(_ROUNDS - 1):
            if time.perf_counter() - start > budget:
                break
            for index, (choice, evaluator, _) in enumerate(finalists):
                best[index] = min(best[index], self._time(evaluator, choice))
        chosen = 0
        for index in range(1, len(finalists)):
            if best[index] < best[chosen] * _NOISE:
                chosen = index
        return finalists[chosen][0]

    def _part(self, choice: EngineChoice) -> Landscape:
        return _shortened(self._landscape, self._split, self._samples(choice))

    def _samples(self, choice: EngineChoice) -> int:
        """Samples on which a candidate is timed: whole blocks of them, at least the number."""
        data = cast("EmpiricalRisk", self._landscape.objective).splits[self._split]
        block = choice.sample_block or len(data)
        return min(len(data), -(-self._number // block) * block)

    def _time(self, evaluator: Evaluator, choice: EngineChoice) -> float:
        """Seconds of a point and sample, once what is prepared has been prepared."""
        points = self._work.points
        evaluator.evaluate(points[: choice.point_block])
        taken = _seconds(evaluator, points, choice.point_block, self._timed)
        return taken / self._samples(choice)


def _seconds(evaluator: Evaluator, points: Floats, step: int, budget: float = 0.0) -> float:
    """Seconds of a point, over as many points as fit into the budget."""
    count, taken = step, 0.0
    while True:
        chosen = points[:count]
        start = time.perf_counter()
        evaluator.evaluate(chosen)
        taken = time.perf_counter() - start
        if taken >= budget or count >= len(points):
            return taken / len(chosen)
        count = max(count + step, min(8 * count, int(count * budget / max(taken, 1e-9))))
        count = -(-count // step) * step


def _shortened(landscape: Landscape, split: str, number: int) -> Landscape:
    """The landscape with the first samples of one split only."""
    objective = cast("EmpiricalRisk", landscape.objective)
    data = objective.splits[split]
    part = Split(data.inputs[:number], data.targets[:number])
    return replace(landscape, objective=replace(objective, splits={split: part}))
