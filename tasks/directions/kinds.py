"""Each kind of direction, from its parameters.

Shape legend: n = numbers in the selected parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from schemas.errors import SpecError, listing, suggestion
from tasks.curvature import extreme_eigenpairs, mean_loss_gradient
from tasks.directions.context import DirectionContext, Made, fitted, named
from tasks.directions.geometry import Floats, beside, norms
from tasks.directions.parameters import (
    CheckpointDirectionParameters,
    FileParameters,
    GradientParameters,
    HessianParameters,
    PlaneParameters,
    RandomParameters,
    TrajectoryParameters,
)
from tasks.directions.random import filter_normalised, layer_normalised, parameter_normalised
from tasks.directions.selection import is_statistic, selected
from tasks.directions.trajectory import principal_components
from tasks.model.checkpoint_parameters import Checkpoint
from tasks.objective import EmpiricalRisk

_RESCALED: Mapping[str, Callable[..., dict[str, Tensor]]] = {
    "filter": filter_normalised,
    "layer": layer_normalised,
    "parameter": parameter_normalised,
}
_Item: TypeAlias = (
    RandomParameters
    | CheckpointDirectionParameters
    | PlaneParameters
    | TrajectoryParameters
    | HessianParameters
    | GradientParameters
    | FileParameters
)


def random_axes(
    item: RandomParameters,
    draws: Iterator[tuple[int, dict[str, Tensor]]],
    count: int,
    context: DirectionContext,
    where: str,
) -> Made:
    """The next `count` draws, restricted to the item's parameters and rescaled."""
    names = _coordinates(item, context, where)
    directions, facts = [], []
    for _ in range(count):
        draw, drawn = next(draws)
        direction = {name: drawn[name] for name in names if item.vectors or drawn[name].dim() >= 2}
        if item.kind != "random":
            direction = _RESCALED[item.kind](direction, context.origin, vectors=item.vectors)
        directions.append(direction)
        facts.append({"seed": context.seed, "draw": draw, "vectors_move": item.vectors})
    return Made(directions, facts)


def checkpoint_axis(
    item: CheckpointDirectionParameters, context: DirectionContext, where: str
) -> Made:
    """The displacement to another checkpoint."""
    away = _displacement(item, item.to, context, f"{where}.to")
    return Made([away], [{"to": named(item.to)}], {named(item.to): away})


def plane_axes(item: PlaneParameters, context: DirectionContext, where: str) -> Made:
    """The displacements to two checkpoints; if `orthogonal`, the second beside the first.

    Garipov et al. 2018, arXiv:1802.10026, appendix on visualisation: u = θ₁ − θ₀ and
    v = (θ₂ − θ₀) − ⟨θ₂ − θ₀, u⟩/‖u‖²·u, here both of the length of u.
    """
    first, second = (
        _displacement(item, other, context, f"{where}.through.{number}")
        for number, other in enumerate(item.through)
    )
    points = {named(item.through[0]): first, named(item.through[1]): second}
    if item.orthogonal:
        _, rest = beside(second, [first])
        lengths = norms([first, rest])
        if lengths.all():
            factor = float(lengths[0] / lengths[1])
            second = {name: factor * tensor for name, tensor in rest.items()}
    return Made([first, second], [{"through": named(other)} for other in item.through], points)


def trajectory_axes(
    item: TrajectoryParameters, count: int, context: DirectionContext, where: str
) -> Made:
    """Principal components of the displacements of a run's checkpoints."""
    names = _coordinates(item, context, where)
    total = len(item.checkpoints)

    def displacements() -> Iterator[Floats]:
        for number, checkpoint in enumerate(item.checkpoints):
            context.progress("reading checkpoints", number, total, named(checkpoint))
            at = f"{where}.checkpoints.{number}"
            away = _displacement(item, checkpoint, context, at)
            row: Floats = torch.cat([away[name].reshape(-1) for name in names]).numpy()
            yield row
        context.progress("reading checkpoints", total, total)

    size = sum(context.origin[name].numel() for name in names)
    found = principal_components(displacements(), total, size, count, centred=item.centred)
    directions = [_tensors(torch.from_numpy(row), names, context) for row in found.vectors]
    facts = [
        {
            "component": number,
            "explained_variance": float(share),
            "checkpoints": total,
            "centred": item.centred,
        }
        for number, share in enumerate(found.explained, start=1)
    ]
    return Made(directions, facts)


def hessian_axes(
    item: HessianParameters, count: int, context: DirectionContext, where: str
) -> Made:
    """Eigenvectors of the Hessian of a split's mean loss by the item's parameters."""
    names = _coordinates(item, context, where)
    objective, split = _objective(item, context, where)
    bottom = item.bottom
    top = count - bottom

    def multiplied(products: int) -> None:
        context.progress("eigenvectors of the Hessian", 0, count, f"{products} products")

    pairs = extreme_eigenpairs(objective, split, context.origin, names, top, bottom, multiplied)
    context.progress("eigenvectors of the Hessian", count, count)
    ranks = [("top", n) for n in range(1, top + 1)] + [("bottom", n) for n in range(1, bottom + 1)]
    facts = [
        {"eigenvalue": value, "end": end, "rank": rank, "split": split}
        for value, (end, rank) in zip(pairs.values, ranks, strict=True)
    ]
    return Made([dict(vector) for vector in pairs.vectors], facts)


def gradient_axis(item: GradientParameters, context: DirectionContext, where: str) -> Made:
    """The gradient of a split's mean loss by the item's parameters, of unit length."""
    names = _coordinates(item, context, where)
    objective, split = _objective(item, context, where)
    gradient = mean_loss_gradient(objective, split, context.origin, names)
    length = float(norms([gradient])[0])
    if length == 0:
        raise SpecError(
            f"{where}: the gradient of the {split} loss is zero at the checkpoint; choose another "
            "kind of direction"
        )
    unit = {name: tensor / length for name, tensor in gradient.items()}
    return Made([unit], [{"gradient_norm": length, "split": split}])


def file_axis(item: FileParameters, context: DirectionContext, where: str) -> Made:
    """A direction from a file, whose names are the parameters'."""
    tensors = context.read(item.file)
    for name in tensors:
        if name not in context.origin:
            raise SpecError(
                f"{where}.file: {named(item.file)} has {name!r}, which is no parameter; expected "
                f"some of {listing(context.origin, 6)}{suggestion(name, context.origin)}"
            )
    chosen = selected(context.origin, item.parameters, where)
    names = [name for name in chosen if name in tensors]
    direction = fitted(tensors, names, context, f"{where}.file: {named(item.file)}")
    return Made([direction], [{"file": named(item.file)}])


def _coordinates(item: _Item, context: DirectionContext, where: str) -> list[str]:
    """The item's parameters, without running statistics that stand among them."""
    names = selected(context.origin, item.parameters, where)
    moving = [name for name in names if not is_statistic(name)]
    if not moving:
        raise SpecError(
            f"{where}.parameters: matches running statistics alone ({listing(names, 3)}), which "
            f"kind {item.kind!r} does not move; choose parameters"
        )
    return moving


def _displacement(
    item: _Item, checkpoint: Checkpoint, context: DirectionContext, where: str
) -> dict[str, Tensor]:
    """From the origin to a checkpoint, in the item's parameters."""
    names = selected(context.origin, item.parameters, where)
    what = f"{where}: {named(checkpoint)}"
    there = fitted(context.read(checkpoint), names, context, what)
    return {name: tensor - context.origin[name] for name, tensor in there.items()}


def _tensors(vector: Tensor, names: list[str], context: DirectionContext) -> dict[str, Tensor]:
    """A vector (n,) as tensors by parameter name."""
    parts = torch.split(vector, [context.origin[name].numel() for name in names])
    return {
        name: part.reshape(context.origin[name].shape)
        for name, part in zip(names, parts, strict=True)
    }


def _objective(
    item: HessianParameters | GradientParameters, context: DirectionContext, where: str
) -> tuple[EmpiricalRisk, str]:
    if context.objective is None:
        raise SpecError(
            f"{where}: kind {item.kind!r} needs a loss and data; give them, or choose another kind"
        )
    return context.objective, item.split or context.split
