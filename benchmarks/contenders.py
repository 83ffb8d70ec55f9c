"""Ways to evaluate the points of a plane: three that a user has today, and ours.

Shape legend: P = points.
"""

from __future__ import annotations

import copy
import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from benchmarks.workloads import Floats, Workload
from pipeline.engine import choose_engine, make_evaluator
from pipeline.engine.contract import Work
from pipeline.planning import Plan, make_plan

VMAP_CHUNKS = (4, 16, 64)
_MOST_PROBE_SECONDS = 6.0
_LONG_SCAN = 1_000_000


@dataclass(frozen=True)
class Run:
    """One timed run.

    Attributes:
        count: points evaluated.
        seconds: time of their evaluation.
        setup: time of what a scan of the whole grid does once.
        points: points (P, 2) whose losses are known, some or all of those evaluated.
        losses: their losses, shape (P,).
    """

    count: int
    seconds: float
    setup: float
    points: Floats
    losses: Floats


class Contender(Protocol):
    """One way. `note` says what a reader of its numbers should know."""

    name: str
    dtype: str
    note: str

    def run(self, count: int) -> Run:
        """Evaluate about that many points of the grid."""
        ...


class _Prepared:
    """A copy of the module, the data, and the section's tensors in one dtype."""

    def __init__(self, workload: Workload, dtype: str) -> None:
        to = getattr(torch, dtype)
        objective, section = workload.objective, workload.landscape.section
        data = workload.data
        self.module = copy.deepcopy(objective.module).to(to).eval().requires_grad_(False)
        self.loss = objective.loss
        self.inputs = data.inputs.to(to) if data.inputs.is_floating_point() else data.inputs
        self.targets = data.targets
        self.moving = [
            (name, section.origin[name].to(to), [d[name].to(to) for d in section.directions])
            for name in section.touched
        ]


class PlainLoop:
    """The loop that a careful user writes: one forward pass over all samples at each point."""

    def __init__(self, workload: Workload, dtype: str = "float32") -> None:
        self.name = "plain loop" if dtype == "float32" else f"plain loop {dtype}"
        self.dtype, self.note = dtype, ""
        self._workload, self._prepared = workload, _Prepared(workload, dtype)

    def run(self, count: int) -> Run:
        """Evaluate random points of the grid."""
        prepared, points = self._prepared, self._workload.some_points(count)
        moving = [
            (prepared.module.get_parameter(name), origin, directions)
            for name, origin, directions in prepared.moving
        ]
        losses = []
        start = time.perf_counter()
        with torch.inference_mode():
            for point in points.tolist():
                for parameter, origin, directions in moving:
                    parameter.copy_(origin)
                    for coordinate, direction in zip(point, directions, strict=True):
                        parameter.add_(direction, alpha=coordinate)
                outputs = prepared.module(prepared.inputs)
                losses.append(prepared.loss(outputs, prepared.targets).float().mean().item())
        seconds = time.perf_counter() - start
        return Run(len(points), seconds, 0.0, points, np.array(losses))


class Vmapped:
    """`torch.func.vmap` of a functional call over the points, `chunk` of them at a time."""

    def __init__(self, workload: Workload, chunk: int) -> None:
        self.name, self.dtype = "vmap", "float32"
        self.note = f"chunk_size {chunk}, the fastest of those tried"
        self._workload, self._chunk = workload, chunk
        self._prepared = _Prepared(workload, self.dtype)

    def run(self, count: int) -> Run:
        """Evaluate random points of the grid, whole chunks of them."""
        whole = max(1, count // self._chunk) * self._chunk
        points = self._workload.some_points(min(whole, self._workload.n_points))
        prepared = self._prepared

        def loss_at(point: Tensor) -> Tensor:
            moved = {
                name: origin + sum(a * d for a, d in zip(point, directions, strict=True))
                for name, origin, directions in prepared.moving
            }
            outputs = functional_call(prepared.module, moved, (prepared.inputs,))
            return prepared.loss(outputs, prepared.targets).mean()

        start = time.perf_counter()
        with torch.inference_mode():
            batch = torch.from_numpy(points).float()
            losses = vmap(loss_at, chunk_size=self._chunk)(batch).double().numpy()
        return Run(len(points), time.perf_counter() - start, 0.0, points, losses)


def tuned_vmap(workload: Workload) -> Vmapped | str:
    """The fastest chunk size of a few, or why there is none."""
    best: tuple[float, Vmapped] | None = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for chunk in VMAP_CHUNKS:
            if best and best[0] * chunk > _MOST_PROBE_SECONDS:
                break
            contender = Vmapped(workload, chunk)
            try:
                contender.run(chunk)
            except (RuntimeError, NotImplementedError) as error:
                return f"vmap: {str(error).splitlines()[0]}"
            run = contender.run(2 * chunk if chunk < VMAP_CHUNKS[-1] else chunk)
            if best is None or run.seconds / run.count < best[0]:
                best = run.seconds / run.count, contender
    assert best is not None  # noqa: S101 - the first chunk size is always tried
    chosen = best[1]
    if any("batching rule" in str(warning.message) for warning in caught):
        chosen.note += "; an operation without batching rule is looped over by vmap itself"
    return chosen


class LossLandscapes:
    """The package `loss-landscapes`: `planar_interpolation` over the corner of the same grid.

    Its walk turns round at the end of each line and skips a step there, so every second line is
    one point to the side of the grid's; the losses of the others are known.
    """

    def __init__(self, workload: Workload) -> None:
        self.name, self.dtype = "loss-landscapes", "float32"
        self.note = "planar_interpolation with metrics.Loss, the same plane and spacing"
        self._workload, self._prepared = workload, _Prepared(workload, self.dtype)

    def run(self, count: int) -> Run:
        """Evaluate a square of points in a corner of the grid."""
        from loss_landscapes import planar_interpolation
        from loss_landscapes.metrics import Loss

        prepared, axis = self._prepared, self._workload.axis()
        steps = max(2, min(self._workload.side, math.isqrt(count)))
        spacing = axis[1] - axis[0]
        # The first point of a line is one step from where its walk starts.
        start = self._at(axis[0], axis[0] - spacing)
        first = self._at(axis[0] + steps * spacing, axis[0] - spacing)
        second = self._at(axis[0], axis[0] - spacing + steps * spacing)
        metric = Loss(_mean_of(prepared.loss), prepared.inputs, prepared.targets)
        begun = time.perf_counter()
        table = planar_interpolation(start, first, second, metric, steps=steps)
        seconds = time.perf_counter() - begun
        rows, columns = np.meshgrid(axis[:steps:2], axis[:steps], indexing="ij")
        points = np.stack([rows.ravel(), columns.ravel()], axis=-1)
        return Run(steps**2, seconds, 0.0, points, table[::2].ravel())

    def _at(self, *point: float) -> nn.Module:
        module = copy.deepcopy(self._prepared.module)
        with torch.no_grad():
            for name, origin, directions in self._prepared.moving:
                moved = origin + sum(a * d for a, d in zip(point, directions, strict=True))
                module.get_parameter(name).copy_(moved)
        return module


def _mean_of(loss: Any) -> Any:  # noqa: ANN401 - a loss in, a loss out
    return lambda outputs, targets: loss(outputs, targets).mean()


class Ours:
    """Cartograd: what one worker of a scan does, but for writing the store.

    The evaluator is the one that a scan of a million points gets: a grid that the plain loop does
    in a second is not worth the tracing and timing, which the set-up shows.
    """

    def __init__(self, workload: Workload, dtype: str = "float32") -> None:
        self.name = "cartograd" if dtype == "float32" else f"cartograd {dtype}"
        self.dtype, self.note = dtype, ""
        self._workload, self._spec = workload, workload.spec(dtype)

    def run(self, count: int) -> Run:
        """Plan, build the evaluator, and evaluate shard after shard, batch by batch."""
        landscape = self._workload.landscape
        start = time.perf_counter()
        work = Work(
            self._spec.splits,
            self._spec.metrics,
            self._workload.some_points(self._workload.n_points),
            _LONG_SCAN,
            int(self._spec.compute.memory_per_worker),
        )
        choice = choose_engine(landscape, "cpu", self.dtype, 1, work)
        plan = make_plan(
            self._spec, landscape, workers=0, device="cpu", engine=choice, tune=False,
            calibrate=False,
        )  # fmt: skip
        contents = plan.contents
        evaluator = make_evaluator(landscape, contents.splits, contents.metrics, plan.engine)
        # What is evaluated once for all points is a part of the set-up.
        evaluator.evaluate(self._workload.some_points(1))
        built = time.perf_counter()
        points: list[Floats] = []
        losses: list[Floats] = []
        done = 0
        for batch in _batches(plan):
            points.append(batch[: count - done])
            losses.append(evaluator.evaluate(points[-1])["loss"][0])
            done += len(points[-1])
            if done >= count:
                break
        seconds = time.perf_counter() - built
        self.note = f"engine: {plan.engine}; batches of {plan.batch}"
        evaluated = np.concatenate(points)
        return Run(len(evaluated), seconds, built - start, evaluated, np.concatenate(losses))


def _batches(plan: Plan) -> Iterator[Floats]:
    """The points of a scan, (P, 2), in a worker's order."""
    grid = plan.contents.grid
    for shard in range(grid.n_shards):
        block = grid.shard(shard)
        for lo, hi in grid.batches(block, plan.batch):
            yield grid.points(block, lo, hi)
