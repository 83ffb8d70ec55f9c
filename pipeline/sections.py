"""What is stored beside a scan of how its section was laid, and of the checkpoints near it.

Shape legend: K = checkpoints, S = splits, z = axes, m = directions, n = moved numbers.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
import zarr
from torch import Tensor

from pipeline.devices import local_device
from pipeline.engine.choice import choose_engine, make_evaluator
from pipeline.engine.contract import EngineChoice
from pipeline.engine.reference import evaluate_reference
from pipeline.store import Location, consolidate, zarr_target
from schemas.errors import StoreMismatch
from schemas.layout import (
    AXIS,
    AXIS_OTHER,
    CHECKPOINT,
    NUMBER,
    REPLICATE,
    SECTION_GROUP,
    SPLIT,
    TRAJECTORY_GROUP,
)
from schemas.scan import ScanSpec
from tasks.batchnorm import Reestimation
from tasks.directions.geometry import cosines, norms
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split
from tasks.registry import Progress
from tasks.section import Section

_COMPLETE = "complete"
_CONTROL = "control_point"
_CHUNK = 2**20
_PROBED_LOSS = "probed_loss"
_PROBED_SAMPLES = 8
# Room for what another machine rounds otherwise.
_PROBE_TOLERANCE = 1e-6
STEP = "evaluating checkpoints"


def write_section(location: Location, landscapes: Sequence[Landscape], spec: ScanSpec) -> None:
    """Store origins and directions of modules' sections, if they are not stored yet.

    The group `section` holds `origin` and `direction`, one number after another, parameter by
    parameter as the variables `parameter`, `shape` and `first` say; `norm` of the directions and
    `cosine` of the angles between them. A direction belongs to an `axis`, and of a path to a
    `control_point`, as many of which there may be for its one axis. Of a multi-start scan there is
    the `origin` alone. `probed_loss` tells whether a continued scan still is of the same function.

    Raises:
        StoreMismatch: the model or the loss computes something else than when the scan began.
    """
    if not isinstance(landscapes[0].objective, EmpiricalRisk):
        return
    probed = np.stack([_probed(landscape) for landscape in landscapes])
    if _is_held(location, SECTION_GROUP):
        _check_same_function(location, probed)
        return
    sections = [landscape.section for landscape in landscapes]
    kept = spec.descent is not None and spec.descent.keep_parameters
    # Where the ends of descents are kept, the numbers here are those of all parameters as there.
    names = tuple(sections[0].origin) if kept else sections[0].touched
    shapes = [tuple(sections[0].origin[name].shape) for name in names]
    sizes = [sections[0].origin[name].numel() for name in names]
    told = xr.Dataset(
        {
            "parameter": ("parameter", _strings(names), {"long_name": "name of a parameter"}),
            "shape": ("parameter", _strings([json.dumps(s) for s in shapes])),
            "first": ("parameter", np.cumsum([0, *sizes[:-1]]), {"long_name": "first number"}),
            _PROBED_LOSS: (
                (REPLICATE, SPLIT, "probe"),
                probed,
                {
                    "long_name": "loss of the first samples, at the origin and 1/2 from it",
                    "units": "1",
                },
            ),
        }
    )
    if not sections[0].whole:
        told = told.merge(_geometry(sections, list(spec.axes)))
    _write(location, SECTION_GROUP, told if len(sections) > 1 else told.isel({REPLICATE: 0}))
    _write_numbers(location, sections, names, sum(sizes))
    _finish(location, SECTION_GROUP)


def _geometry(sections: Sequence[Section], axes: Sequence[str]) -> xr.Dataset:
    """Norms of the directions and cosines of the angles between them."""
    along, other = _dimensions(sections[0])
    labels = _strings(axes if along == AXIS else _control_points(sections[0]))
    return xr.Dataset(
        {
            "norm": (
                (REPLICATE, along),
                np.stack([norms(section.directions) for section in sections]),
                {"long_name": "Euclidean norm of the direction", "units": "1"},
            ),
            "cosine": (
                (REPLICATE, along, other),
                np.stack([cosines(section.directions) for section in sections]),
                {"long_name": "cosine of the angle between two directions", "units": "1"},
            ),
        },
        coords={along: labels, other: labels},
    )


def _dimensions(section: Section) -> tuple[str, str]:
    """Those of the directions: a scan's own derivatives already have one entry for each axis."""
    return (AXIS, AXIS_OTHER) if section.chart is None else (_CONTROL, f"{_CONTROL}_other")


def _control_points(section: Section) -> list[str]:
    return [f"control_{number}" for number in range(1, len(section.directions) + 1)]


def _write_numbers(
    location: Location, sections: Sequence[Section], names: Sequence[str], n: int
) -> None:
    group = zarr.open_group(zarr_target(location), mode="r+", use_consolidated=False)[SECTION_GROUP]
    several = len(sections) > 1
    lead = (len(sections),) if several else ()
    m = len(sections[0].directions)
    arrays: list[tuple[str, tuple[int, ...], tuple[str, ...]]] = [("origin", (*lead, n), (NUMBER,))]
    if not sections[0].whole:
        along = _dimensions(sections[0])[0]
        arrays.append(("direction", (*lead, m, n), (along, NUMBER)))
    for name, shape, dims in arrays:
        group.create_array(  # type: ignore[union-attr]
            name,
            shape=shape,
            chunks=(*(1 for _ in shape[:-1]), max(1, min(n, _CHUNK))),
            dtype="float64",
            dimension_names=((REPLICATE,) if several else ()) + dims,
            attributes={"long_name": f"{name} of the section", "units": "1"},
        )
    for number, section in enumerate(sections):
        where = (number,) if several else ()
        group["origin"][(*where, ...)] = _flat(section.origin, section, names)  # type: ignore[index]
        for row, direction in enumerate(section.directions):
            group["direction"][(*where, row)] = _flat(direction, section, names)  # type: ignore[index]


def _flat(
    tensors: Mapping[str, Tensor], section: Section, names: Sequence[str]
) -> npt.NDArray[np.float64]:
    """The tensors (n,), one after another; zero where there is none."""
    parts = [tensors.get(name, torch.zeros_like(section.origin[name])) for name in names]
    return torch.cat([part.reshape(-1) for part in parts]).numpy()


def write_trajectories(
    location: Location, landscapes: Sequence[Landscape], spec: ScanSpec, display: Progress
) -> None:
    """Evaluate the checkpoints of a landscape's trajectories and store them, if not stored yet.

    The group `trajectories` holds `run` and `name` of each checkpoint, its `coordinate` in the
    section, how much the section has `explained` of its displacement and at which `distance` from
    it the checkpoint lies, and its own `loss`, which is not that of its projection.
    """
    first = landscapes[0].trajectories
    if first is None or _is_held(location, TRAJECTORY_GROUP):
        return
    every = [each.trajectories for each in landscapes if each.trajectories is not None]
    compute = spec.compute
    dtype = "float32" if compute.dtype == "bfloat16" else compute.dtype
    choice = choose_engine(landscapes[0], local_device(compute), dtype, compute.cpus_per_worker)
    choice = replace(choice, keep=False)
    losses = [
        _own_losses(landscapes[0], first.tensors(k), spec.splits, choice)
        for k in _counted(len(first.names), display)
    ]
    told = xr.Dataset(
        {
            "run": (CHECKPOINT, _strings(first.runs), {"long_name": "training run"}),
            "name": (CHECKPOINT, _strings(first.names), {"long_name": "checkpoint"}),
            "coordinate": (
                (REPLICATE, CHECKPOINT, AXIS),
                np.stack([each.coordinates for each in every]),
                {"long_name": "coordinates of the checkpoint's projection", "units": "1"},
            ),
            "explained": (
                (REPLICATE, CHECKPOINT),
                np.stack([each.explained for each in every]),
                {
                    "long_name": "share of the squared displacement from the origin that lies in "
                    "the section",
                    "units": "1",
                },
            ),
            "distance": (
                (REPLICATE, CHECKPOINT),
                np.stack([each.distance for each in every]),
                {"long_name": "distance of the checkpoint from the section", "units": "1"},
            ),
            "loss": (
                (SPLIT, CHECKPOINT),
                np.stack(losses, axis=-1),
                {"long_name": "mean loss at the checkpoint itself", "units": "1"},
            ),
        },
        coords={AXIS: _strings(list(spec.axes)), SPLIT: _strings(spec.splits)},
    )
    _write(location, TRAJECTORY_GROUP, told if len(every) > 1 else told.isel({REPLICATE: 0}))
    _finish(location, TRAJECTORY_GROUP)


def _counted(count: int, display: Progress) -> Any:  # noqa: ANN401 - an iterator of numbers
    for number in range(count):
        display(STEP, number, count)
        yield number
    display(STEP, count, count)


def _own_losses(
    landscape: Landscape,
    tensors: Mapping[str, Tensor],
    splits: Sequence[str],
    choice: EngineChoice,
) -> npt.NDArray[np.float64]:
    """The losses (S,) of a checkpoint, with its own buffers."""
    objective = landscape.objective
    if not isinstance(objective, EmpiricalRisk):
        raise TypeError("only a module has checkpoints")
    module = copy.deepcopy(objective.module)
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            if name in tensors:
                buffer.copy_(tensors[name])
    origin = {name: tensors[name].double() for name in landscape.section.origin}
    there = replace(
        landscape, objective=replace(objective, module=module), section=Section(origin, ())
    )
    evaluator = make_evaluator(there, splits, ("loss",), choice)
    found: npt.NDArray[np.float64] = evaluator.evaluate(np.zeros((1, 0)))["loss"][:, 0]
    return found


def _strings(values: Sequence[str]) -> npt.NDArray[Any]:
    return np.array(list(values), dtype=np.dtypes.StringDType())


def _probed(landscape: Landscape) -> npt.NDArray[np.float64]:
    """Losses (S, 2) of a few samples at the origin of a module's section, and 1/2 from there.

    Tensors are hashed, but what the code of a user's module and loss makes of them is not.
    """
    objective, z = landscape.objective, landscape.section.z
    if not isinstance(objective, EmpiricalRisk):
        raise TypeError("only a module has code of its own")
    splits = {
        name: Split(split.inputs[:_PROBED_SAMPLES], split.targets[:_PROBED_SAMPLES])
        for name, split in objective.splits.items()
    }
    again = objective.reestimation
    if again is not None:
        again = Reestimation(again.inputs[:_PROBED_SAMPLES], min(again.batch, _PROBED_SAMPLES))
    few = replace(landscape, objective=replace(objective, splits=splits, reestimation=again))
    origin = np.zeros(z)
    if landscape.section.whole:
        origin = torch.cat([part.reshape(-1) for part in landscape.section.origin.values()]).numpy()
    points = np.stack([origin, origin + 0.5])
    return evaluate_reference(few, points, tuple(splits), ("loss",))["loss"]


def _check_same_function(location: Location, probed: npt.NDArray[np.float64]) -> None:
    group = zarr.open_group(zarr_target(location), mode="r", use_consolidated=False)[SECTION_GROUP]
    known = np.asarray(group[_PROBED_LOSS]).reshape(probed.shape)  # type: ignore[index]
    if not np.allclose(probed, known, rtol=_PROBE_TOLERANCE, atol=0, equal_nan=True):
        raise StoreMismatch(
            f"{location}: the same parameters and data now give another loss than when the scan "
            "began (changed code of the model or of the loss, or a changed library); restore it "
            "or choose another store"
        )


def _is_held(location: Location, group: str) -> bool:
    """Whether a group was written to its end."""
    root = zarr.open_group(zarr_target(location), mode="r", use_consolidated=False)
    return group in root and bool(root[group].attrs.get(_COMPLETE))


def _write(location: Location, group: str, dataset: xr.Dataset) -> None:
    dataset.to_zarr(zarr_target(location), group=group, mode="w", consolidated=False, zarr_format=3)


def _finish(location: Location, group: str) -> None:
    root = zarr.open_group(zarr_target(location), mode="r+", use_consolidated=False)
    root[group].attrs[_COMPLETE] = True
    consolidate(location)
