"""A spec's directions, made: one for each axis of the scan.

Shape legend: z = axes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from torch import Tensor

from schemas.errors import SpecError
from tasks.directions import kinds
from tasks.directions.context import DirectionContext, Made
from tasks.directions.geometry import beside, norms, project, require_independent
from tasks.directions.parameters import (
    CheckpointDirectionParameters,
    Direction,
    FileParameters,
    GradientParameters,
    HessianParameters,
    PlaneParameters,
    RandomParameters,
    TrajectoryParameters,
)
from tasks.directions.random import random_draws
from tasks.directions.selection import is_statistic
from tasks.section import axis_count_error

__all__ = ["DirectionContext", "MadeDirections", "axes_of", "make_directions"]

_OPEN = (RandomParameters, TrajectoryParameters, HessianParameters)


@dataclass(frozen=True)
class MadeDirections:
    """The directions of a scan's axes.

    Attributes:
        directions: for each axis the parameters it moves, float64; those left out do not move.
        facts: plain JSON values. `axes`: for each axis its `kind` and what is known of it, such as
            `seed` and `draw`, `eigenvalue`, `explained_variance`. `points`: the checkpoints that
            axes were laid through, each with `name`, its `coordinates` (z), and its `distance`
            from the section, which is zero but for rounding or where `parameters` leave some out.
    """

    directions: tuple[Mapping[str, Tensor], ...]
    facts: Mapping[str, Any]


def make_directions(items: Sequence[Direction], context: DirectionContext) -> MadeDirections:
    """The z directions of the items, in their order.

    The draws of random items are those of `random_directions`, in order, whatever stands between
    them; `parameters` restricts a draw and leaves its other entries as they are.

    Raises:
        SpecError: the items make more or fewer than z axes, a direction is zero everywhere, is not
            finite or lies in the span of those before it, or something it needs is missing.
        WorkError: Lanczos does not converge.
    """
    counts = axes_of(items, context.z)
    drawn = {name: t for name, t in context.origin.items() if not is_statistic(name)}
    draws = enumerate(random_draws(drawn, context.seed))
    directions: list[dict[str, Tensor]] = []
    facts: list[dict[str, Any]] = []
    points: dict[str, Mapping[str, Tensor]] = {}
    for number, (item, count) in enumerate(zip(items, counts, strict=True)):
        where = f"directions.{number}"
        made = _made(item, count, draws, context, where)
        points |= made.points
        for direction, known in zip(made.directions, made.facts, strict=True):
            directions.append(_finished(direction, item, directions, where))
            facts.append({"kind": item.kind, "scale": item.scale, **known})
    require_independent(directions)
    return MadeDirections(
        tuple(directions),
        {"axes": facts, "points": [_placed(name, at, directions) for name, at in points.items()]},
    )


def axes_of(items: Sequence[Direction], z: int) -> list[int]:
    """How many axes each item makes.

    A single item whose number of axes is open makes all z; beside others it makes one.

    Raises:
        SpecError: they are not z together.
    """
    counts = []
    for item in items:
        if not isinstance(item, _OPEN):
            counts.append(2 if isinstance(item, PlaneParameters) else 1)
        elif item.count is None:
            counts.append(z if len(items) == 1 else 1)
        else:
            counts.append(item.count)
    if sum(counts) != z:
        what = ", ".join(
            item.kind if count == 1 else f"{item.kind} × {count}"
            for item, count in zip(items, counts, strict=True)
        )
        raise axis_count_error(z, sum(counts), f"directions ({what})")
    return counts


def _made(
    item: Direction,
    count: int,
    draws: Iterator[tuple[int, dict[str, Tensor]]],
    context: DirectionContext,
    where: str,
) -> Made:
    match item:
        case RandomParameters():
            return kinds.random_axes(item, draws, count, context, where)
        case CheckpointDirectionParameters():
            return kinds.checkpoint_axis(item, context, where)
        case PlaneParameters():
            return kinds.plane_axes(item, context, where)
        case TrajectoryParameters():
            return kinds.trajectory_axes(item, count, context, where)
        case HessianParameters():
            return kinds.hessian_axes(item, count, context, where)
        case GradientParameters():
            return kinds.gradient_axis(item, context, where)
        case FileParameters():
            return kinds.file_axis(item, context, where)
        case _:
            assert_never(item)


def _finished(
    direction: dict[str, Tensor],
    item: Direction,
    before: Sequence[Mapping[str, Tensor]],
    where: str,
) -> dict[str, Tensor]:
    """The direction scaled and, if asked for, beside those before it; without what is zero.

    Raises:
        SpecError: it is not finite, or moves no parameter.
    """
    scaled = {name: item.scale * tensor for name, tensor in direction.items()}
    length = float(norms([scaled])[0])
    if not math.isfinite(length):
        raise SpecError(
            f"{where}: the direction's length is {length}; expected finite entries, at most 1e150"
        )
    if length == 0:
        raise SpecError(
            f"{where}: the direction is zero everywhere, so no parameter would move; choose "
            "another, or other parameters"
        )
    if item.orthogonal and before:
        scaled = _beside(scaled, before, length, where)
    return {name: tensor for name, tensor in scaled.items() if bool(tensor.any())}


def _beside(
    direction: dict[str, Tensor],
    before: Sequence[Mapping[str, Tensor]],
    length: float,
    where: str,
) -> dict[str, Tensor]:
    """What is orthogonal to the others, in the same parameters and of the same length."""
    # Restricted to its own parameters, the direction's products with the others are the same.
    others = [{n: other[n] for n in direction if n in other} for other in before]
    _, rest = beside(direction, others)
    left = float(norms([rest])[0])
    if left <= 1e-9 * length:
        raise SpecError(
            f"{where}: nothing of the direction is orthogonal to the axes before it; choose "
            "another, or leave out orthogonal"
        )
    return {name: (length / left) * tensor for name, tensor in rest.items()}


def _placed(
    name: str, displacement: Mapping[str, Tensor], directions: Sequence[Mapping[str, Tensor]]
) -> dict[str, Any]:
    there = project(displacement, directions)
    return {
        "name": name,
        "coordinates": there.coordinates.tolist(),
        "distance": there.residual,
    }
