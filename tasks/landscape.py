"""Landscape: what a task builds and a scan evaluates.

Shape legend: P = points, z = axes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

from tasks.objective import ClosedForm, EmpiricalRisk
from tasks.section import Section

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FieldVariable:
    """A known function of the coordinates that is stored beside the measured ones.

    `function` takes points (P, z) and gives values (P,), in float64.
    """

    function: Callable[[Floats], Floats]
    long_name: str
    units: str = "1"


@dataclass(frozen=True)
class Trajectories:
    """Checkpoints of one or several runs, projected into the section.

    Shape legend: K = checkpoints, in the order of the runs.

    Attributes:
        runs, names: of each checkpoint, K each.
        coordinates: of the nearest point of the section, (K, z).
        explained: share of the squared displacement from the section's origin that lies in the
            section, (K,); NaN at the origin.
        distance: Euclidean distance of the checkpoint from the section, (K,).
        tensors: parameters and buffers of checkpoint k by the module's names, read when asked for.
    """

    runs: tuple[str, ...]
    names: tuple[str, ...]
    coordinates: Floats
    explained: Floats
    distance: Floats
    tensors: Callable[[int], Mapping[str, Tensor]]


StartDraw: TypeAlias = Callable[[np.random.Generator, float], Floats]
"""(random numbers of one start, scale) → parameters (n,), in the order of `Section.whole`."""


@dataclass(frozen=True)
class Landscape:
    """An objective over a section, with what it was built to contain and what is known of it.

    Attributes:
        objective: parameters → metrics per split.
        section: coordinates → parameters.
        fields: stored functions of the coordinates alone, such as `target` and `target_loss`.
        reference: known values by name; `global_minimum` is the least loss that any parameters
            can reach on the train split, `section_floor` the least within the section.
        facts: provenance as plain JSON values, such as the achieved approximation error.
        trajectories: other checkpoints in the section.
        draw: how one start of a multi-start scan is drawn; None for normal numbers.
    """

    objective: EmpiricalRisk | ClosedForm
    section: Section
    fields: Mapping[str, FieldVariable] = field(default_factory=dict)
    reference: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    trajectories: Trajectories | None = None
    draw: StartDraw | None = None
