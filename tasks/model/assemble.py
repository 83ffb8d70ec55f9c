"""A module, its data and what is said of the section → a landscape.

Both the task `model` and `pipeline.scan` come here, with files or with what they hold in memory.

Shape legend: N = samples, z = axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from schemas.errors import SpecError, listing, suggestion
from tasks.directions.make import DirectionContext, MadeDirections, make_directions
from tasks.directions.parameters import (
    CheckpointDirectionParameters,
    Direction,
    FileParameters,
    PlaneParameters,
    RandomParameters,
    TrajectoryParameters,
)
from tasks.landscape import Landscape, Trajectories
from tasks.model.checkpoint_parameters import Checkpoint
from tasks.model.modules import plain_module
from tasks.model.parameters import ModelPathParameters
from tasks.model.reading import Reader, expanded
from tasks.model.risk import Given, objective_of, refuse_training
from tasks.model.starts import FreshParameters
from tasks.model.trajectories import project_runs, shortly
from tasks.objective import EmpiricalRisk
from tasks.paths.charts import path_chart
from tasks.paths.train import train_bends
from tasks.registry import Progress, silent
from tasks.section import Section, axis_count_error, directions_as_section, whole_section
from tasks.tensors import tensors_in_double

_SAMPLE = 8


@dataclass(frozen=True)
class Setting:
    """Where a landscape is assembled: axes, seed, cache and whom to tell of progress.

    `z` is None for starts in the space of all parameters; `train` false leaves out what takes long
    and does not change shapes.
    """

    z: int | None
    seed: int
    cache: Path | None = None
    train: bool = True
    progress: Progress = silent


def assemble(given: Given, setting: Setting) -> Landscape:
    """The landscape of a model's loss over a section of z axes, or over all its parameters for
    starts; the module is not changed.

    Raises:
        SpecError: something does not fit, or is not there; the message names it and the remedy.
        WorkError: a path cannot be trained, or an alignment would change a checkpoint's function.
    """
    given = replace(given, module=plain_module(given.module))
    refuse_training(given.module)
    objective, policy = objective_of(given)
    module = objective.module
    origin = {name: tensor.detach() for name, tensor in module.named_parameters()}
    origin |= _checked_origin(origin, given.origin)
    if setting.z is None:
        return _over_all(given, objective, origin, policy)
    section, facts, trajectories = _laid(given, objective, origin, setting, setting.z)
    told = _facts(given, origin, policy)
    return Landscape(objective, section, facts=told | facts, trajectories=trajectories)


def _over_all(
    given: Given,
    objective: EmpiricalRisk,
    origin: Mapping[str, Tensor],
    policy: dict[str, Any] | None,
) -> Landscape:
    """The landscape over all parameters, whose starts are the module initialised anew."""
    said = given.said
    laid = {
        "directions": said.directions is not None or bool(given.directions),
        "path": said.path is not None,
        "align": said.align,
        "trajectories": bool(said.trajectories),
    }
    for name, there in laid.items():
        if there:
            raise SpecError(
                f"{name}: is given beside starts, which lie anywhere in the space of all "
                f"parameters; leave {name} out, or give axes instead of starts"
            )
    if policy is not None and policy["policy"] == "interpolated":
        raise SpecError(
            "batchnorm: got interpolated, but starts lie between no checkpoints; use stored"
        )
    section = whole_section(origin)
    draw = FreshParameters(objective.module, section.origin)
    return Landscape(objective, section, facts=_facts(given, origin, policy), draw=draw)


def _facts(
    given: Given, origin: Mapping[str, Tensor], policy: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "parameters": sum(tensor.numel() for tensor in origin.values()),
        "batchnorm": policy,
        "samples": {name: len(split) for name, split in given.splits.items()},
    }


def _laid(
    given: Given,
    objective: EmpiricalRisk,
    origin: Mapping[str, Tensor],
    setting: Setting,
    z: int,
) -> tuple[Section, dict[str, Any], Trajectories | None]:
    """The section of z axes, what is told of it, and the checkpoints projected into it."""
    module, said = objective.module, given.said
    sample = next(iter(given.splits.values())).inputs[:_SAMPLE]
    wanted = said.align and setting.train
    read = Reader(module, given.raw, sample if wanted else None, setting.seed)
    items = _expanded(said.items, given.base)
    if said.path is not None:
        section, facts = _path_section(said.path, objective, origin, read, setting, z)
    elif given.directions:
        section, facts = _given_section(given.directions, origin, z)
    else:
        section, facts = _section(items, objective, origin, read, setting, z)
    runs: Mapping[str, Sequence[Checkpoint]] = {
        run: expanded(checkpoints, given.base, f"trajectories.{run}")
        for run, checkpoints in said.trajectories.items()
    } or _runs_of(items)
    trajectories = project_runs(runs, section, read, setting.progress) if runs else None
    aligned = {"alignment": read.facts} if said.align else {}
    return section, facts | aligned, trajectories


def _checked_origin(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    for name, tensor in given.items():
        if name not in own:
            raise SpecError(
                f"origin: the model has no parameter {name!r}; expected some of {listing(own)}"
                f"{suggestion(name, own)}"
            )
        if tensor.shape != own[name].shape:
            raise SpecError(
                f"origin[{name!r}]: shape {tuple(tensor.shape)}; expected the parameter's "
                f"{tuple(own[name].shape)}"
            )
    return given


def _given_section(
    directions: Sequence[Mapping[str, Tensor]], origin: Mapping[str, Tensor], z: int
) -> tuple[Section, dict[str, Any]]:
    if len(directions) != z:
        raise axis_count_error(z, len(directions), f"a list of {len(directions)} directions")
    section = directions_as_section(origin, directions)
    for axis, direction in enumerate(section.directions):
        if not any(bool(tensor.any()) for tensor in direction.values()):
            raise SpecError(
                f"directions[{axis}]: is zero everywhere, so the model would never be perturbed; "
                "give a direction with a non-zero entry"
            )
    return section, {"directions": {"axes": [{"kind": "given"} for _ in directions]}}


def _expanded(items: Sequence[Direction], base: Path) -> list[Direction]:
    """The items, with the files of a trajectory in place of patterns."""
    return [
        item.model_copy(
            update={"checkpoints": expanded(item.checkpoints, base, "directions.checkpoints")}
        )
        if isinstance(item, TrajectoryParameters)
        else item
        for item in items
    ]


def _section(
    items: Sequence[Direction],
    objective: EmpiricalRisk,
    origin: Mapping[str, Tensor],
    read: Reader,
    setting: Setting,
    z: int,
) -> tuple[Section, dict[str, Any]]:
    double = tensors_in_double(origin)
    files = [item.file for item in items if isinstance(item, FileParameters)]
    context = DirectionContext(
        origin=double,
        z=z,
        seed=setting.seed,
        # A direction is no network: it has no statistics, and units in the order of the origin's.
        read=lambda each: read.raw(each) if each in files else read(each),
        objective=objective,
        split=next(iter(objective.splits)),
        progress=setting.progress,
    )
    made: MadeDirections = make_directions(
        items if setting.train else [_quick(item) for item in items], context
    )
    return Section(double, made.directions), {"directions": made.facts}


def _quick(item: Direction) -> Direction:
    """A direction that moves the same parameters, where the item's own takes long to make."""
    if item.kind != "hessian":
        return item
    return RandomParameters(kind="random", count=item.count, parameters=item.parameters)


def _path_section(
    path: ModelPathParameters,
    objective: EmpiricalRisk,
    origin: Mapping[str, Tensor],
    read: Reader,
    setting: Setting,
    z: int,
) -> tuple[Section, dict[str, Any]]:
    if z != 1:
        raise axis_count_error(z, 1, "a path")
    start = tensors_in_double(origin)
    there = read(path.to)
    end = {name: there[name].double() for name in start}
    if not setting.train and path.inner_points:
        path = path.model_copy(update={"training": path.training.model_copy(update={"steps": 0})})
    split = next(iter(objective.splits))
    bends, facts = train_bends(
        objective,
        split,
        (start, end),
        path,
        seed=setting.seed,
        cache=setting.cache,
        progress=setting.progress,
    )
    directions = tuple(
        {name: point[name] - tensor for name, tensor in start.items()} for point in (*bends, end)
    )
    section = Section(start, directions, path_chart(path.kind, path.bends))
    return section, {"path": {**facts, "split": split}}


def _runs_of(directions: Sequence[Direction]) -> dict[str, Sequence[Checkpoint]]:
    """The checkpoints that directions lead to, as runs."""
    runs: dict[str, Sequence[Checkpoint]] = {}
    for item in directions:
        if isinstance(item, CheckpointDirectionParameters):
            runs[shortly(item.to)] = [item.to]
        elif isinstance(item, PlaneParameters):
            runs |= {shortly(checkpoint): [checkpoint] for checkpoint in item.through}
        elif isinstance(item, TrajectoryParameters):
            runs["pca"] = item.checkpoints
    return runs
