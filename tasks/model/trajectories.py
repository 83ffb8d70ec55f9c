"""Checkpoints of training runs, projected into a section one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from schemas.errors import SpecError
from tasks.directions.context import named
from tasks.directions.geometry import project
from tasks.landscape import Trajectories
from tasks.model.checkpoint_parameters import Checkpoint
from tasks.model.reading import Reader
from tasks.registry import Progress
from tasks.section import Section

STEP = "projecting checkpoints"
_ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")


def project_runs(
    runs: Mapping[str, Sequence[Checkpoint]], section: Section, read: Reader, progress: Progress
) -> Trajectories:
    """The nearest points of the section to the checkpoints of each run; one is held at a time.

    Distances are over all parameters of the origin.

    Raises:
        SpecError: the section is a path, or a checkpoint does not fit the model.
    """
    if section.chart is not None:
        raise SpecError(
            "trajectories: a path has no plane to project into; scan directions instead, or leave "
            "trajectories out"
        )
    every = [(run, checkpoint) for run, members in runs.items() for checkpoint in members]
    found = []
    for number, (_, checkpoint) in enumerate(every):
        progress(STEP, number, len(every))
        there = read(checkpoint)
        shift = {name: there[name].double() - t for name, t in section.origin.items()}
        found.append(project(shift, section.directions))
    progress(STEP, len(every), len(every))
    return Trajectories(
        runs=tuple(run for run, _ in every),
        names=tuple(shortly(checkpoint) for _, checkpoint in every),
        coordinates=np.stack([each.coordinates for each in found]),
        explained=np.array([each.explained for each in found]),
        distance=np.array([each.residual for each in found]),
        tensors=partial(_nth, [checkpoint for _, checkpoint in every], read),
    )


def shortly(checkpoint: Checkpoint) -> str:
    """A checkpoint's name without its folder and the usual endings."""
    name = Path(named(checkpoint)).name
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name


def _nth(checkpoints: Sequence[Checkpoint], read: Reader, k: int) -> Mapping[str, Tensor]:
    return read(checkpoints[k])
