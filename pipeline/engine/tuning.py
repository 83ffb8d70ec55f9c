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
import torch

from pipeline.engine.contract import EngineChoice, Evaluator, Floats, Values, Work
from pipeline.engine.graph.candidates import sample_blocks, traced_candidates
from pipeline.engine.graph.tracing import Untraceable
from schemas.errors import Interrupted
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
_AGREEMENT = {"float64": 1e-6, "float32": 1e-2, "bfloat16": 0.5}
_ROUNDING = 10
"""Times the precision: what outputs near 1 may be off. Losses of its square are rounding alone."""
_NOISE = 0.95
"""A candidate replaces an earlier one only if it needs less than this share of its time."""


Make = Callable[[Landscape, Sequence[str], Sequence[str], EngineChoice], Evaluator]


def tune(landscape: Landscape, work: Work, plain: EngineChoice, make: Make) -> EngineChoice:
    """The fastest of `plain` and all that the traced objective allows, within the room.

    `plain` where the module fails at the points that would be timed: that is for the shard to say.
    """
    try:
        return _fastest(landscape, work, plain, make)
    except _Failed as failed:
        LOG.warning("%s cannot be timed: the model raises %s", plain, failed)
        return plain


class _Failed(Exception):
    """The module raised an error at one of the points."""


def _fastest(landscape: Landscape, work: Work, plain: EngineChoice, make: Make) -> EngineChoice:
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
    race = _Race(landscape, longest, number, work, plain, make, timed)
    try:
        traced = list(traced_candidates(landscape, longest, work, plain))
    except Untraceable as error:
        LOG.warning("the model cannot be traced (%s); it is evaluated by the general path", error)
        traced = []
    if traced and traced[0].name == "polynomial" and race.agrees_when_made(traced[0]):
        return traced[0]
    return race.run([plain, *traced, *sample_blocks(plain, available)], budget)


class _Race:
    def __init__(
        self,
        landscape: Landscape,
        split: str,
        number: int,
        work: Work,
        plain: EngineChoice,
        make: Make,
        timed: float,
    ) -> None:
        self._plain = plain
        self._known: dict[int, Floats] = {}
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
        finalists: list[tuple[EngineChoice, Evaluator, float]] = []
        tried = 0
        for choice in candidates:
            if tried >= _LEAST_CANDIDATES and time.perf_counter() - start > budget / 2:
                break
            try:
                evaluator = self._evaluator(choice)
                if choice == self._plain or self.agrees(choice, evaluator):
                    finalists.append((choice, evaluator, self._time(evaluator, choice)))
                    tried += 1
            except Untraceable as error:
                LOG.debug("%s: %s", choice, error)
            # Each holds copies of the parameters: only so many are kept.
            finalists = sorted(finalists, key=lambda entry: entry[2])[:_FINALISTS]
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

    def _evaluator(self, choice: EngineChoice) -> Evaluator:
        part = _shortened(self._landscape, self._split, self._samples(choice))
        return self._make(part, (self._split,), self._work.metrics, choice)

    def agrees_when_made(self, choice: EngineChoice) -> bool:
        """`agrees` for a candidate that is not timed."""
        return self.agrees(choice, self._evaluator(choice))

    def agrees(self, choice: EngineChoice, evaluator: Evaluator) -> bool:
        """Whether a candidate gives the losses of the plain loop at the first and the last point.

        A trace can only be wrong where the module does what tracing cannot see; then this is the
        last chance to notice.
        """
        points = self._work.points[[0, -1]]
        try:
            found = evaluator.evaluate(points)["loss"]
        except RuntimeError as error:
            LOG.warning("%s fails (%s); it is not used", choice, str(error).split("\n")[0])
            return False
        expected = self._expected(self._samples(choice), points)
        allowed = _AGREEMENT[choice.dtype]
        least = allowed * np.nanmax(np.abs(expected), initial=0.0, where=np.isfinite(expected))
        rounding = (_ROUNDING * torch.finfo(getattr(torch, choice.dtype)).eps) ** 2
        least = max(least / 100, rounding)
        if np.allclose(found, expected, rtol=allowed, atol=least, equal_nan=True):
            return True
        LOG.warning("%s differs from the plain loop; it is not used", choice)
        return False

    def _expected(self, samples: int, points: Floats) -> Floats:
        """Losses of the plain loop on so many samples, evaluated once for all candidates."""
        if samples not in self._known:
            plain = self._evaluator(replace(self._plain, sample_block=samples))
            self._known[samples] = _evaluated(plain, points)["loss"]
        return self._known[samples]

    def _samples(self, choice: EngineChoice) -> int:
        """Samples on which a candidate is timed: whole blocks of them, at least the number."""
        data = cast("EmpiricalRisk", self._landscape.objective).splits[self._split]
        block = choice.sample_block or len(data)
        return min(len(data), -(-self._number // block) * block)

    def _time(self, evaluator: Evaluator, choice: EngineChoice) -> float:
        """Seconds of a point and sample, once what is prepared has been prepared."""
        points = self._work.points
        _evaluated(evaluator, points[: choice.point_block])
        taken = _seconds(evaluator, points, choice.point_block, self._timed)
        return taken / self._samples(choice)


def _evaluated(evaluator: Evaluator, points: Floats) -> Values:
    try:
        return evaluator.evaluate(points)
    except Interrupted:
        raise
    except Exception as error:
        first_line = (str(error).splitlines() or [""])[0]
        raise _Failed(f"{type(error).__name__}: {first_line}") from error


def _seconds(evaluator: Evaluator, points: Floats, step: int, budget: float = 0.0) -> float:
    """Seconds of a point, over as many points as fit into the budget."""
    count, taken = step, 0.0
    while True:
        chosen = points[:count]
        start = time.perf_counter()
        _evaluated(evaluator, chosen)
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
