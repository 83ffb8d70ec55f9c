"""ScanSpec + Landscape → Plan: frozen, validated, made before anything runs.

Shape legend: P = points of a batch, S = splits, n = numbers that a direction touches.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.building import build_landscapes
from pipeline.calibrating import seconds_per_point
from pipeline.contents import Contents, scan_contents
from pipeline.devices import local_device, local_workers
from pipeline.engine.charted import flat
from pipeline.engine.choice import (
    check_forced,
    check_offer,
    choose_engine,
    make_evaluator,
)
from pipeline.engine.contract import EngineChoice, Work
from pipeline.engine.footprint import Footprint, footprint
from pipeline.engine.graph.tracing import Untraceable
from pipeline.engine.precision import measured_error
from pipeline.engine.preflight import check_objective
from pipeline.points import Points, scan_points
from pipeline.ranging import with_spans
from schemas.errors import PlanError, SpecError
from schemas.files import load_spec
from schemas.layout import METRICS, Variable
from schemas.scan import ScanSpec
from tasks import TASKS, normalised
from tasks.landscape import Landscape

_MOST_BATCH = 4096
_BATCH_BYTES = 64 * 2**20
# Values are held as measured (float64), as stored, and once more while they are compressed.
_COPIES_OF_VALUES = 3
_CALIBRATION_BYTES = 16 * 2**20
_COMPARED = 8
"""Points at which bfloat16 is compared with float32."""


@dataclass(frozen=True)
class Memory:
    """Bytes of one worker's own data, part by part, and the limit on their sum.

    Data sets and directions are not among them: the workers of a machine share those.
    """

    evaluator: Footprint
    per_shard_point: int
    limit: int

    def total(self, batch: int, shard_points: int) -> int:
        """Bytes with that batch and that many points in a shard."""
        own = self.evaluator.fixed + batch * self.per_batch_point
        return own + shard_points * self.per_shard_point

    @property
    def per_batch_point(self) -> int:
        """Bytes of one point of a batch."""
        return self.evaluator.per_point


@dataclass(frozen=True)
class Plan:
    """What a scan will do and what it will cost.

    `seconds_per_point` is None if not measured; `error` is that of a bfloat16 evaluation.
    """

    fingerprint: str
    contents: Contents
    engine: EngineChoice
    workers: int
    batch: int
    memory: Memory
    points: Points
    seconds_per_point: float | None = None
    error: float | None = None

    @property
    def shard_points(self) -> int:
        """Points of the first shard, which is the largest."""
        return self.contents.grid.shard(0).size

    @property
    def worker_bytes(self) -> int:
        """Bytes of one worker's own data."""
        return self.memory.total(self.batch, self.shard_points)

    @property
    def cost_factor(self) -> float:
        """What a point costs in evaluations of its loss, as the metrics declare it."""
        z = len(self.contents.grid.shape)
        return max(1.0, sum(METRICS[name].cost(z) for name in self.contents.metrics))

    @property
    def projected_seconds(self) -> float | None:
        """Time of the evaluation, from the calibration."""
        if self.seconds_per_point is None:
            return None
        return self.seconds_per_point * self.contents.n_points / max(self.workers, 1)

    def validate(self) -> Plan:
        """The plan itself; PlanError with what would fit when a worker's memory does not."""
        if self.worker_bytes <= self.memory.limit:
            return self
        memory = self.memory
        said = f"a worker needs {size(self.worker_bytes)}, above its limit of {size(memory.limit)}"
        room = memory.limit - memory.total(0, self.shard_points)
        block = self.engine.point_block
        batch = room // max(memory.per_batch_point, 1) // block * block
        if batch >= 1:
            raise PlanError(
                f"compute.memory_per_worker: {said}; with compute.batch: {batch} it would fit"
            )
        room = memory.limit - memory.total(1, 0)
        points = room // max(memory.per_shard_point, 1)
        if points >= 1:
            raise PlanError(
                f"compute.memory_per_worker: {said}; shards of at most {points} points "
                f"(such as {self._chunks_of(points)}) and compute.batch: 1 would fit"
            )
        least = size(memory.total(1, 1))
        remedy = " or leave out descent.keep_parameters" if self.contents.numbers else ""
        raise PlanError(
            f"compute.memory_per_worker: {said}; the model, data and activations alone need "
            f"{least}; raise the limit above that{remedy}"
        )

    def _chunks_of(self, points: int) -> str:
        """Words for chunks of at most so many points."""
        z = len(self.contents.grid.shape)
        if self.points.starts is not None:
            return f"chunks: {{start: {points}}}"
        return f"chunks of {max(1, int(points ** (1 / z)))} along each of {z} axes"

    def as_json(self) -> dict[str, Any]:
        """Plain values for `cartograd plan --json`."""
        grid, starts, descent = self.contents.grid, self.points.starts, self.contents.descent
        return {
            "fingerprint": self.fingerprint,
            "axes": dict(zip(grid.names, grid.shape, strict=True)),
            "starts": None if starts is None else starts.model_dump(),
            "descent": None if descent is None else descent.model_dump(),
            "chunks": dict(zip(grid.names, grid.chunks, strict=True)),
            "shard": dict(zip(grid.names, grid.shards, strict=True)),
            "replicates": self.contents.replicates,
            "splits": list(self.contents.splits),
            "metrics": list(self.contents.metrics),
            "points": self.contents.n_points,
            "shards": self.contents.n_shards,
            "bytes": self.contents.n_bytes,
            "workers": self.workers,
            "device": self.engine.device,
            "dtype": self.engine.dtype,
            "engine": asdict(self.engine),
            "bfloat16_error": self.error,
            "cost_factor": self.cost_factor,
            "batch": self.batch,
            "memory_per_worker": self.worker_bytes,
            "memory_limit": self.memory.limit,
            "seconds_per_point": self.seconds_per_point,
            "projected_seconds": self.projected_seconds,
        }


def plan(spec: ScanSpec | str | Path, *, base: Path | None = None) -> Plan:
    """The validated plan of a spec, or of a YAML file: nothing is trained, run or written.

    Args:
        spec: the spec, or the path of its YAML file.
        base: directory against which paths in the task's parameters are resolved.

    Raises:
        SpecError: the spec is wrong.
        PlanError: it does not fit its memory limit; the message says what would.
    """
    if not isinstance(spec, ScanSpec):
        base = base or Path(spec).resolve().parent
        spec = load_spec(Path(spec))
    spec = normalised(spec, TASKS)
    landscape = build_landscapes(spec, (base or Path()).resolve(), train=False)[0]
    check_objective(landscape, spec.splits)
    fingerprint, spec = spec.fingerprint(), with_spans(spec, landscape)
    workers = local_workers(spec.compute)
    device = local_device(spec.compute)
    made = make_plan(spec, landscape, workers=workers, device=device).validate()
    return replace(made, fingerprint=fingerprint)


def make_plan(
    spec: ScanSpec,
    landscape: Landscape,
    *,
    workers: int,
    device: str,
    engine: EngineChoice | None = None,
    tune: bool = True,
    calibrate: bool = True,
) -> Plan:
    """The plan of a scan; not yet validated.

    Args:
        spec: the spec.
        landscape: that of its first replicate.
        workers: how many there will be.
        device: theirs.
        engine: forces a recorded choice.
        tune: whether evaluators may be timed here for the choice.
        calibrate: whether the time of a point is measured here.

    Raises:
        SpecError: the objective cannot be evaluated, or does not offer a split or metric.
    """
    compute = spec.compute
    fields = {name: Variable(f.long_name, f.units) for name, f in landscape.fields.items()}
    contents = scan_contents(spec, fields, _kept_numbers(spec, landscape))
    points = scan_points(spec)
    points.check(landscape)
    shard_points = contents.grid.shard(0).size
    per_shard_point = contents.numbers_per_point * 8 * _COPIES_OF_VALUES
    limit = int(compute.memory_per_worker)
    room = limit - shard_points * per_shard_point
    choice = engine or _choice(spec, landscape, contents, device, room, tune)
    needed = footprint(flat(landscape), spec.splits, contents.metrics, choice, spec.descent)
    memory = Memory(needed, per_shard_point, limit)
    batch = _batch(memory, shard_points) if compute.batch == "auto" else compute.batch
    # Blocks of points begin at the shard's first one, so a point's block is always the same.
    batch = -(-batch // choice.point_block) * choice.point_block
    batch = min(batch, shard_points)
    plan = Plan(spec.fingerprint(), contents, choice, workers, batch, memory, points)
    if plan.worker_bytes > memory.limit:
        return plan
    if calibrate:
        first = points.first(landscape, batch, _CALIBRATION_BYTES)
        plan = replace(
            plan, seconds_per_point=seconds_per_point(landscape, first, contents, choice)
        )
    if choice.dtype == "bfloat16" and tune:
        some = points.some(landscape, _COMPARED)
        plan = replace(plan, error=measured_error(landscape, some, spec.splits, choice))
    return plan


def _kept_numbers(spec: ScanSpec, landscape: Landscape) -> int:
    """Parameters that are stored of the end of each descent."""
    if spec.descent is None or not spec.descent.keep_parameters:
        return 0
    return sum(tensor.numel() for tensor in landscape.section.origin.values())


def _choice(
    spec: ScanSpec, landscape: Landscape, contents: Contents, device: str, room: int, tune: bool
) -> EngineChoice:
    """The evaluator that the spec names, or else the one found by timing, within the room."""
    compute = spec.compute
    if compute.engine == "auto":
        work = Work(
            splits=spec.splits,
            metrics=contents.metrics,
            points=scan_points(spec).first(landscape, _MOST_BATCH, _CALIBRATION_BYTES),
            total=contents.n_points if tune else 0,
            room=room,
            descent=spec.descent,
        )
        return choose_engine(landscape, device, compute.dtype, compute.cpus_per_worker, work)
    choice = EngineChoice(
        device=device,
        dtype=compute.dtype,
        threads=compute.cpus_per_worker,
        **compute.engine.model_dump(),
    )
    check_offer(landscape, spec.splits, contents.metrics, spec.descent)
    check_forced(landscape, contents.metrics, choice)
    try:
        make_evaluator(landscape, spec.splits, contents.metrics, choice, spec.descent)
    except Untraceable as error:
        raise SpecError(
            f"compute.engine.name: {choice.name!r} cannot evaluate this model ({error}); "
            "use engine: auto"
        ) from None
    return choice


def _batch(memory: Memory, shard_points: int) -> int:
    room = min(_BATCH_BYTES, (memory.limit - memory.total(0, shard_points)) // 2)
    return max(1, min(_MOST_BATCH, room // max(memory.per_batch_point, 1)))


def size(number: int) -> str:
    """Bytes in the largest binary unit that leaves at least one: `1.5 MiB`."""
    amount = float(number)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            return f"{amount:.3g} {unit}" if unit != "B" else f"{number} B"
        amount /= 1024
    raise AssertionError("unreachable")
