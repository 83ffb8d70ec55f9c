"""Specs → landscapes: one for each replicate, each from its own seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from schemas.scan import ScanSpec
from tasks import TASKS, BuildContext, find_task
from tasks.landscape import Landscape
from tasks.registry import Progress, silent
from tasks.section import axis_count_error


def build_landscapes(
    spec: ScanSpec,
    base: Path,
    *,
    cache: Path | None = None,
    train: bool = True,
    display: Progress = silent,
) -> list[Landscape]:
    """The landscapes of a spec's replicates; with train=False a single untrained one.

    `base` is the directory against which paths in the task's parameters are resolved.
    """
    task = find_task(TASKS, spec.task)
    parameters = task.parse(spec.parameters)
    build = task.builder()
    landscapes = []
    for replicate in range(spec.replicates if train else 1):
        context = BuildContext(
            z=None if spec.starts else len(spec.axes),
            seed=replicate_seed(spec.seed, replicate),
            splits=spec.splits,
            base=base,
            cache=cache,
            train=train,
            progress=display,
        )
        landscape = build(parameters, context)
        if context.z is not None and landscape.section.z != context.z:
            raise axis_count_error(context.z, landscape.section.z, f"task {spec.task}")
        landscapes.append(landscape)
    return landscapes


def replicate_seed(seed: int, replicate: int) -> int:
    """The seed of a replicate; the first one has the scan's own, so it equals a scan without."""
    if replicate == 0:
        return seed
    return int(np.random.SeedSequence([seed, replicate]).generate_state(1, np.uint64)[0] >> 1)
