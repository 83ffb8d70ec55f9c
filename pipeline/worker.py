"""A worker: evaluates shards of one scan and writes its own regions of the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.engine.choice import make_evaluator
from pipeline.engine.contract import Floats, Values
from pipeline.engine.shrinking import ShrinkingEvaluator
from pipeline.ledger import ShardReport
from pipeline.planning import Plan
from pipeline.shipping import Packed, unpack
from pipeline.store import Location, RegionFile
from schemas.errors import Interrupted
from schemas.layout import ShardStatus
from tasks.landscape import Landscape


@dataclass(frozen=True)
class Assignment:
    """What every worker of a scan is given, beside the landscapes."""

    plan: Plan
    location: Location


class ShardWorker:
    """Evaluates shards. `landscape_of` gives the landscape of a replicate, on first use."""

    def __init__(
        self, assignment: Assignment, landscape_of: Callable[[int], Landscape], number: int = -1
    ) -> None:
        self._plan = assignment.plan
        self._regions = RegionFile(assignment.location, assignment.plan.contents)
        self._landscape_of = landscape_of
        self._number = number
        self._held: tuple[int, Landscape, ShrinkingEvaluator] | None = None

    def evaluate(self, shard: int, attempt: int) -> ShardReport:
        """Evaluate and write one shard. An exception becomes a report, never a dead worker."""
        start = time.perf_counter()
        try:
            values = self._values(shard)
            checksum = self._regions.write(shard, values)
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a user's model raises is the report
            return ShardReport(
                shard,
                ShardStatus.FAILED,
                attempt,
                time.perf_counter() - start,
                worker=self._number,
                error=f"{type(error).__name__}: {error}".replace("\n", " ")[:500],
            )
        seconds = time.perf_counter() - start
        return ShardReport(
            shard,
            ShardStatus.DONE,
            attempt,
            seconds,
            checksum,
            self._number,
            nonfinite=_nonfinite(values),
            engine=str(self._held[2].choice) if self._held else "",
        )

    def _values(self, shard: int) -> Values:
        contents = self._plan.contents
        replicate, block = contents.place(shard)
        landscape, evaluator = self._replicate(replicate)
        parts = [
            _point_values(
                landscape, evaluator, self._plan.points.of(landscape, replicate, block, lo, hi)
            )
            for lo, hi in contents.grid.batches(block, self._plan.batch)
        ]
        return {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}

    def _replicate(self, replicate: int) -> tuple[Landscape, ShrinkingEvaluator]:
        if self._held is None or self._held[0] != replicate:
            landscape = self._landscape_of(replicate)
            contents = self._plan.contents
            evaluator = make_evaluator(
                landscape,
                contents.splits,
                contents.metrics,
                self._plan.engine,
                contents.descent,
            )
            self._held = (replicate, landscape, evaluator)
        return self._held[1], self._held[2]


def _nonfinite(values: Values) -> int:
    return int(np.count_nonzero(~np.isfinite(values["loss"]))) if "loss" in values else 0


def _point_values(landscape: Landscape, evaluator: ShrinkingEvaluator, points: Floats) -> Values:
    values = evaluator.evaluate(points)
    for name, field in landscape.fields.items():
        values[name] = field.function(points)
    return values


class ActorWorker:
    """A ShardWorker as a Ray actor. Landscapes come from the object store, one by one.

    `references` is a list so that Ray passes the references on instead of fetching them all.
    """

    def __init__(self, assignment: Assignment, references: list[object], number: int) -> None:
        self._references = references
        self._worker = ShardWorker(assignment, self._landscape, number)

    def ping(self) -> None:
        """Return once the worker is ready."""

    def evaluate(self, shards: Sequence[tuple[int, int]]) -> list[ShardReport]:
        """Evaluate (shard, attempt) pairs in turn."""
        return [self._worker.evaluate(shard, attempt) for shard, attempt in shards]

    def _landscape(self, replicate: int) -> Landscape:
        import ray

        packed: Packed = ray.get(self._references[replicate])  # type: ignore[call-overload]
        return unpack(packed)
