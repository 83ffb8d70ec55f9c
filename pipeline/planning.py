"""ScanSpec + Landscape → Plan: frozen, validated, made before anything runs.

Shape legend: P = points of a batch, S = splits, n = numbers that a direction touches.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pipeline.building import build_landscapes
from pipeline.contents import Contents, scan_contents
from pipeline.devices import local_device, local_workers
from pipeline.engine.choice import choose_engine, make_evaluator
from pipeline.engine.contract import EngineChoice, activation_numbers
from schemas.errors import PlanError
from schemas.files import load_spec
from schemas.layout import Variable
from schemas.scan import ScanSpec
from tasks import TASKS, normalised
from tasks.landscape import Landscape
from tasks.objective import ClosedForm, EmpiricalRisk

_MOST_BATCH = 4096
_BATCH_BYTES = 64 * 2**20
_CALIBRATION_SECONDS = 0.2
# Values are held as measured (float64), as stored, and once more while they are compressed.
_COPIES_OF_VALUES = 3


@dataclass(frozen=True)
class Memory:
    """Bytes of one worker's own data, part by part, and the limit on their sum."""

    landscape: int
    activations: int
    per_batch_point: int
    per_shard_point: int
    limit: int

    def total(self, batch: int, shard_points: int) -> int:
        """Bytes with that batch and that many points in a shard."""
        fixed = self.landscape + self.activations
        return fixed + batch * self.per_batch_point + shard_points * self.per_shard_point


@dataclass(frozen=True)
class Plan:
    """What a scan will do and what it will cost. `seconds_per_point` is None if not measured."""

    fingerprint: str
    contents: Contents
    engine: EngineChoice
    workers: int
    batch: int
    memory: Memory
    seconds_per_point: float | None

    @property
    def shard_points(self) -> int:
        """Points of the first shard, which is the largest."""
        return self.contents.grid.shard(0).size

    @property
    def worker_bytes(self) -> int:
        """Bytes of one worker's own data."""
        return self.memory.total(self.batch, self.shard_points)

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
        batch = room // max(memory.per_batch_point, 1)
        if batch >= 1:
            raise PlanError(
                f"compute.memory_per_worker: {said}; with compute.batch: {batch} it would fit"
            )
        room = memory.limit - memory.total(1, 0)
        points = room // max(memory.per_shard_point, 1)
        if points >= 1:
            z = len(self.contents.grid.shape)
            side = max(1, int(points ** (1 / z)))
            raise PlanError(
                f"compute.memory_per_worker: {said}; shards of at most {points} points "
                f"(such as chunks of {side} along each of {z} axes) and compute.batch: 1 would fit"
            )
        least = size(memory.total(1, 1))
        raise PlanError(
            f"compute.memory_per_worker: {said}; the model, data and activations alone need "
            f"{least}; raise the limit above that"
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values for `cartograd plan --json`."""
        grid = self.contents.grid
        return {
            "fingerprint": self.fingerprint,
            "axes": dict(zip(grid.names, grid.shape, strict=True)),
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
            "engine": self.engine.name,
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
    workers = local_workers(spec.compute)
    device = local_device(spec.compute)
    return make_plan(spec, landscape, workers=workers, device=device).validate()


def make_plan(
    spec: ScanSpec,
    landscape: Landscape,
    *,
    workers: int,
    device: str,
    engine: EngineChoice | None = None,
    calibrate: bool = True,
) -> Plan:
    """The plan of a scan; `engine` forces a recorded choice. Not yet validated."""
    compute = spec.compute
    choice = engine or choose_engine(landscape, device, compute.dtype, compute.cpus_per_worker)
    fields = {name: Variable(f.long_name, f.units) for name, f in landscape.fields.items()}
    contents = scan_contents(spec, fields)
    memory = _memory(landscape, contents, choice, int(compute.memory_per_worker))
    shard_points = contents.grid.shard(0).size
    batch = _batch(memory, shard_points) if compute.batch == "auto" else compute.batch
    batch = min(batch, shard_points)
    plan = Plan(spec.fingerprint(), contents, choice, workers, batch, memory, None)
    if not calibrate or plan.worker_bytes > memory.limit:
        return plan
    return replace(plan, seconds_per_point=seconds_per_point(landscape, plan))


def seconds_per_point(landscape: Landscape, plan: Plan) -> float:
    """Time of one point, measured on points of the first shard for a fraction of a second."""
    contents = plan.contents
    evaluator = make_evaluator(landscape, contents.splits, contents.metrics, plan.engine)
    points = contents.grid.points(contents.grid.shard(0), 0, plan.batch)
    evaluator.evaluate(points[:1])
    count, taken = 1, 0.0
    while True:
        start = time.perf_counter()
        evaluator.evaluate(points[:count])
        taken = time.perf_counter() - start
        if taken > _CALIBRATION_SECONDS / 4 or count >= len(points):
            return taken / count
        count = min(len(points), count * 4)


def _memory(landscape: Landscape, contents: Contents, choice: EngineChoice, limit: int) -> Memory:
    item = torch.empty((), dtype=choice.torch_dtype).element_size()
    section = landscape.section
    moved = sum(section.origin[name].numel() for name in section.touched)
    parameters = sum(tensor.numel() for tensor in section.origin.values())
    directions = sum(t.numel() for d in section.directions for t in d.values())
    # Origin and directions are kept in float64, the module's copy in the scan's dtype.
    resident = (parameters + directions) * 8 + parameters * item
    activations = 0
    if isinstance(landscape.objective, EmpiricalRisk):
        resident += _data_bytes(landscape.objective, contents, item)
        longest = max(len(landscape.objective.splits[split]) for split in contents.splits)
        block = min(choice.sample_block or longest, longest)
        activations = block * activation_numbers(landscape.objective) * item
    variables = len(contents.metrics) * len(contents.splits) + len(contents.fields)
    # A batch point: its parameters in float64 and in the scan's dtype, and one temporary. A closed
    # form works on copies of its parameters.
    copies = 4 if isinstance(landscape.objective, ClosedForm) else 2
    per_batch_point = moved * (8 * copies + item) + 8 * section.z + variables * 8
    per_shard_point = variables * 8 * _COPIES_OF_VALUES
    return Memory(resident, activations, per_batch_point, per_shard_point, limit)


def _data_bytes(objective: EmpiricalRisk, contents: Contents, item: int) -> int:
    total = 0
    for name in contents.splits:
        split = objective.splits[name]
        for tensor in (split.inputs, split.targets):
            own = item if tensor.is_floating_point() else tensor.element_size()
            total += tensor.numel() * (tensor.element_size() + own)
    return total


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
