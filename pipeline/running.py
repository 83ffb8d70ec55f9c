"""Run a scan from its spec, or continue the one in a store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pipeline.building import build_landscapes, builds_at_once
from pipeline.devices import Workforce, local_device, session
from pipeline.engine.preflight import check_objective
from pipeline.executors import Executor, RayExecutor, SerialExecutor
from pipeline.ledger import Counts, Ledger
from pipeline.locking import cache_of, locked
from pipeline.manifest import (
    StoredScan,
    check_same_device,
    check_same_landscapes,
    check_same_spec,
    new_manifest,
    read_stored,
)
from pipeline.orchestrate import run_shards
from pipeline.planning import Plan, make_plan
from pipeline.ranging import with_spans
from pipeline.sections import write_section, write_trajectories
from pipeline.shipping import Packed, pack
from pipeline.signals import signals_as_exceptions
from pipeline.store import Location, create, exists
from pipeline.worker import Assignment
from schemas.errors import Interrupted, ScanIncomplete, listing
from schemas.files import load_spec
from schemas.layout import ShardStatus
from schemas.scan import ScanSpec
from tasks import TASKS, normalised
from tasks.landscape import Landscape
from tasks.registry import Progress, silent

_TIMEOUT_FACTOR = 50
_LEAST_TIMEOUT = 600.0


@dataclass(frozen=True)
class ScanResult:
    """What a run left behind. `plan` is None when there was nothing left to do."""

    store: Path
    counts: Counts
    plan: Plan | None


def run(
    spec: ScanSpec | str | Path,
    *,
    base: Path | None = None,
    address: str | None = None,
    dashboard: bool = False,
    display: Progress = silent,
) -> ScanResult:
    """Run the scan of a spec, or of a YAML file; on a store that holds it already, continue it.

    Args:
        spec: the spec, or the path of its YAML file.
        base: directory against which paths in the task's parameters are resolved; by default the
            YAML file's, or the current one.
        address: a Ray cluster to join; by default Ray is started here and shut down again.
        dashboard: start Ray's dashboard as well.
        display: is told of progress.

    Raises:
        InputError: the spec, the plan or the store does not allow the run; nothing was changed.
        ScanIncomplete: some shards failed for good; the others are stored.
        Interrupted: SIGINT or SIGTERM; what was written is kept.
    """
    if not isinstance(spec, ScanSpec):
        base = base or Path(spec).resolve().parent
        spec = load_spec(Path(spec))
    spec = normalised(spec, TASKS)
    folder = (base or Path()).resolve()
    store = Path(spec.store or f"{spec.task}.zarr")

    with ExitStack() as ray:

        def build() -> list[Landscape]:
            workforce = None
            if builds_at_once(spec):
                # The scan then finds this Ray running.
                workforce = ray.enter_context(session(spec.compute, None, address, dashboard))
                ray.enter_context(signals_as_exceptions())
            return build_landscapes(
                spec, folder, cache=cache_of(store), display=display, workforce=workforce
            )

        return run_built(
            spec, store, build, base=folder, address=address, dashboard=dashboard, display=display
        )


def run_built(
    asked: ScanSpec,
    store: Path,
    build: Callable[[], list[Landscape]],
    *,
    base: Path | None = None,
    address: str | None = None,
    dashboard: bool = False,
    display: Progress = silent,
) -> ScanResult:
    """As `run`, with landscapes, one for each replicate, from `build` instead of a task."""
    with locked(store):
        stored = read_stored(store) if exists(store) else None
        if stored:
            check_same_spec(store, stored, asked)
            counts = Ledger(store).counts()
            if not counts.failed and not counts.pending:
                return ScanResult(store, counts, None)
        landscapes = build()
        for landscape in landscapes:
            check_objective(landscape, asked.splits)
        if stored:
            check_same_landscapes(store, stored, landscapes)
            spec = asked.spanning(stored.spans)
        else:
            spec = with_spans(asked, landscapes[0], display)
        where = (base or Path()).resolve()
        scan = _Scan(spec, asked, where, store, landscapes, stored)
        return _scan(scan, (address, dashboard), display)


def resume(
    store: str | Path,
    *,
    address: str | None = None,
    dashboard: bool = False,
    display: Progress = silent,
) -> ScanResult:
    """Continue the scan in a store; returns at once when it is complete. Raises as `run` does."""
    stored = read_stored(Path(store))
    spec = stored.asked.model_copy(update={"store": str(store)})
    return run(spec, base=stored.base, address=address, dashboard=dashboard, display=display)


def scan_in_memory(
    asked: ScanSpec, location: Location, landscapes: list[Landscape], display: Progress
) -> Counts:
    """Scan ready-made landscapes in this process into a Zarr store held in memory.

    Sections and trajectories are not stored: only the dataset outlives such a store.
    """
    device = local_device(asked.compute)
    check_objective(landscapes[0], asked.splits)
    spec = with_spans(asked, landscapes[0], display)
    plan = make_plan(spec, landscapes[0], workers=0, device=device, calibrate=False).validate()
    create(location, plan.contents, new_manifest(asked, Path(), plan, landscapes))
    executor = SerialExecutor(Assignment(plan, location), [pack(part) for part in landscapes])
    return run_shards(executor, plan.contents, Ledger(location), display)


@dataclass(frozen=True)
class _Scan:
    """A scan about to be run; `asked` is its spec before the spans of its axes were measured."""

    spec: ScanSpec
    asked: ScanSpec
    base: Path
    store: Path
    landscapes: list[Landscape]
    stored: StoredScan | None


def _scan(scan: _Scan, ray_options: tuple[str | None, bool], display: Progress) -> ScanResult:
    spec, store, stored, landscapes = scan.spec, scan.store, scan.stored, scan.landscapes
    packed = [pack(landscape) for landscape in landscapes]
    with session(spec.compute, packed, *ray_options) as workforce, signals_as_exceptions():
        if stored:
            check_same_device(store, stored, workforce.device)
        plan = make_plan(
            spec,
            landscapes[0],
            workers=workforce.workers,
            device=workforce.device,
            engine=stored.engine if stored else None,
            tune=workforce.device == local_device(spec.compute),
            calibrate=workforce.device == local_device(spec.compute),
        ).validate()
        if not stored:
            manifest = new_manifest(scan.asked, scan.base, plan, landscapes)
            create(store, plan.contents, manifest)
        write_section(store, landscapes, spec)
        write_trajectories(store, landscapes, spec, display)
        ledger = Ledger(store)
        executor = _executor(spec, Assignment(plan, store.resolve()), packed, workforce)
        try:
            counts = run_shards(executor, plan.contents, ledger, display)
        except Interrupted as end:
            counts = ledger.counts()
            raise Interrupted(
                f"{end}: {counts.done} of {len(ledger)} shards are kept; "
                f"continue with: cartograd resume {store}",
                end.exit_code - 128,
            ) from None
    _raise_if_failed(store, ledger, counts)
    return ScanResult(store, counts, plan)


def _executor(
    spec: ScanSpec, assignment: Assignment, packed: list[Packed], workforce: Workforce
) -> Executor:
    if workforce.workers == 0:
        return SerialExecutor(assignment, packed)
    plan = assignment.plan
    projected = (plan.seconds_per_point or 0.0) * plan.shard_points * _TIMEOUT_FACTOR
    return RayExecutor(
        assignment,
        packed,
        resources=workforce.resources,
        retries=spec.compute.retries,
        shard_timeout=spec.compute.shard_timeout or max(_LEAST_TIMEOUT, projected),
    )


def _raise_if_failed(store: Path, ledger: Ledger, counts: Counts) -> None:
    if not counts.failed:
        return
    failed = tuple(ledger.shards(ShardStatus.FAILED))
    first = next(ledger.reports(ShardStatus.FAILED))
    raise ScanIncomplete(
        f"{store}: {counts.failed} of {len(ledger)} shards failed ({listing(map(str, failed))}); "
        f"shard {first.shard}: {first.error}; mend the cause and run: cartograd resume {store}",
        failed,
    )
