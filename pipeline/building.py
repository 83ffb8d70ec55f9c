"""Specs → landscapes: one for each replicate, each from its own seed.

Where a build trains networks, those of several replicates are built at once, as tasks of Ray. What
was built comes back through its object store, as landscapes go to the workers of a scan.
"""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import numpy as np

from pipeline.cluster import one_line
from pipeline.devices import Workforce
from pipeline.shipping import Packed, pack, unpack
from pipeline.signals import unwrapped
from schemas.errors import CartogradError, Interrupted, WorkError
from schemas.scan import ScanSpec
from tasks import TASKS, BuildContext, Parameters, find_task
from tasks.landscape import Landscape
from tasks.registry import Progress, silent
from tasks.section import axis_count_error

STEP = "building replicates"
_LOOK_SECONDS = 1.0


def builds_at_once(spec: ScanSpec) -> bool:
    """Whether the replicates of a spec are to be built at once, on its workers."""
    trains = find_task(TASKS, spec.task).trains
    return trains and spec.replicates > 1 and spec.compute.workers != 0


def build_landscapes(
    spec: ScanSpec,
    base: Path,
    *,
    cache: Path | None = None,
    train: bool = True,
    display: Progress = silent,
    workforce: Workforce | None = None,
) -> list[Landscape]:
    """The landscapes of a spec's replicates; with train=False a single untrained one.

    Args:
        spec: the spec.
        base: directory against which paths in the task's parameters are resolved.
        cache: directory for what is costly to build.
        train: whether networks are trained.
        display: is told of progress.
        workforce: builds the replicates at once, on the Ray that is running; without one they are
            built one after another in this process. The bits are the same.

    Raises:
        CartogradError: as the build of a replicate does; WorkError if its process keeps dying.
    """
    task = find_task(TASKS, spec.task)
    parameters = task.parse(spec.parameters)
    builds = [
        _Build(
            task.builder(),
            parameters,
            BuildContext(
                z=None if spec.starts else len(spec.axes),
                seed=replicate_seed(spec.seed, replicate),
                splits=spec.splits,
                base=base,
                cache=cache,
                train=train,
                progress=display,
            ),
            spec.task,
        )
        for replicate in range(spec.replicates if train else 1)
    ]
    if workforce is None:
        return [build.landscape() for build in builds]
    return _built_at_once(builds, workforce, max(1, spec.compute.retries), display)


def replicate_seed(seed: int, replicate: int) -> int:
    """The seed of a replicate; the first one has the scan's own, so it equals a scan without."""
    if replicate == 0:
        return seed
    return int(np.random.SeedSequence([seed, replicate]).generate_state(1, np.uint64)[0] >> 1)


@dataclass(frozen=True)
class _Build:
    """The build of one replicate."""

    function: Callable[[Any, BuildContext], Landscape]
    parameters: Parameters
    context: BuildContext
    task: str

    def landscape(self) -> Landscape:
        """What the task builds; SpecError if it has other axes than the spec."""
        landscape = self.function(self.parameters, self.context)
        z = self.context.z
        if z is not None and landscape.section.z != z:
            raise axis_count_error(z, landscape.section.z, f"task {self.task}")
        return landscape

    def shipped(self) -> bytes:
        """The build for another process, which may have another working directory."""
        cache = self.context.cache
        context = replace(
            self.context,
            base=self.context.base.resolve(),
            cache=None if cache is None else cache.resolve(),
            progress=silent,
        )
        # Ray's own pickler does not know which modules are to be pickled by value.
        body: bytes = cloudpickle.dumps(replace(self, context=context))
        return body


def _packed(shipped: bytes) -> Packed | CartogradError:
    """In a process of Ray: what was built, or the error that is to be raised in the driver."""
    build: _Build = pickle.loads(shipped)  # noqa: S301 - our own bytes
    try:
        return pack(build.landscape())
    except CartogradError as error:
        return error


def _built_at_once(
    builds: Sequence[_Build], workforce: Workforce, retries: int, display: Progress
) -> list[Landscape]:
    """The landscapes in the order of their builds, as many at once as there are workers.

    A build whose process dies is tried again, up to `retries` times.
    """
    import ray

    # Networks are trained on the CPU, whatever evaluates them afterwards.
    resources = workforce.resources | {"num_gpus": 0}
    # Ray tells of what it tries again on the standard output.
    remote: Any = ray.remote(max_retries=0, **resources)(_packed)
    waiting = deque((replicate, 1) for replicate in range(len(builds)))
    running: dict[Any, tuple[int, int]] = {}
    built: dict[int, Landscape] = {}
    display(STEP, 0, len(builds))
    try:
        with unwrapped():
            while waiting or running:
                while waiting and len(running) < workforce.workers:
                    replicate, attempt = waiting.popleft()
                    reference = remote.remote(builds[replicate].shipped())
                    running[reference] = replicate, attempt
                done, _ = ray.wait(list(running), num_returns=1, timeout=_LOOK_SECONDS)
                for reference in done:
                    replicate, attempt = running.pop(reference)
                    landscape = _arrived(reference, replicate, attempt, retries)
                    if landscape is None:
                        waiting.append((replicate, attempt + 1))
                    else:
                        built[replicate] = landscape
                        display(STEP, len(built), len(builds))
    except Interrupted as end:
        raise Interrupted(
            f"{end}: {len(built)} of {len(builds)} replicates were built", end.exit_code - 128
        ) from None
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
    return [built[replicate] for replicate in range(len(builds))]


def _arrived(
    reference: Any,  # noqa: ANN401 - an ObjectRef
    replicate: int,
    attempt: int,
    retries: int,
) -> Landscape | None:
    """The landscape behind a finished task, in memory of its own; None if it is to be tried again.

    An error that is not ours keeps the traceback that it has on the worker.
    """
    import ray

    try:
        packed: Packed | CartogradError = ray.get(reference)
    except ray.exceptions.RayTaskError:
        raise
    except ray.exceptions.RayError as death:
        if attempt <= retries:
            return None
        raise WorkError(
            f"replicate {replicate}: the worker that builds it died {attempt} times: "
            f"{one_line(death)}; set compute.workers to 0 to build in this process"
        ) from None
    if isinstance(packed, CartogradError):
        raise packed
    return unpack(Packed(packed.body, [np.array(buffer) for buffer in packed.buffers]))
