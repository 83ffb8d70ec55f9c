"""Minima of the grid refined by a descent over the section's coordinates, and classified.

The descent is Newton's method in a trust region, in float64 and in variables of the width that a
cell of the grid has at the minimum, so that it makes no difference whether an axis is logarithmic
or how far it reaches. Gradient and eigenvalues are in those variables too: what they would change
over a cell is what the loss changes.

Shape legend: P = minima of a surface that are refined, z = axes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor, nn

from pipeline.engine.descents.functions import Function, over_section
from pipeline.engine.descents.trust_region import CONVERGED, ROUNDING, Box, trust_region
from schemas.layout import AXIS, MINIMUM
from schemas.statistics import MINIMA
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk

Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]

MOST = 4096
"""Minima of a surface that are refined: the deepest."""
MOST_OF_RISK = 16
"""The same of the risk of a module."""
MOST_OPERATIONS = 2**32
"""Multiplications that refining the minima of one surface of a module's risk may take."""
MOST_NUMBERS = 2**16
"""Parameters of a module whose landscape is built again to refine its minima."""

_USUAL_ITERATIONS = 20
_PROBED = 2
# What the loss and its gradient cost, and a row of the Hessian, in evaluations of the loss.
_PASSES, _PASSES_PER_AXIS = 4, 4
# Points are the same, in cells, if they are nearer than this.
_SAME = 1e-3
_FLAT = 1e-6
NOT_REFINED = "not refined"
_SETTLED = ("minimum", "degenerate", "saddle")
_KINDS = (
    f"minimum: all eigenvalues above the tolerance, {_FLAT:g} of the greatest magnitude and more "
    "than rounding; degenerate: the least within it; saddle: the least below it; edge: the descent "
    f"left the grid; not converged; {NOT_REFINED}: others are deeper, or it would cost too much, "
    "or there are no second derivatives"
)
_REFINEMENT = (
    "Newton's method in a trust region of cells of the grid, float64, from the "
    f"{MOST:,} deepest minima of a closed form, and of a module's risk from up to {MOST_OF_RISK} "
    f"as far as {MOST_OPERATIONS:.2g} multiplications go"
)
_NUMBERS = ("loss", "gradient_norm", "eigenvalue_min", "eigenvalue_max")


@dataclass(frozen=True)
class Ends:
    """Where descents from minima have ended: coordinates (P, z), the others (P,)."""

    coordinate: Floats
    loss: Floats
    gradient_norm: Floats
    eigenvalue_min: Floats
    eigenvalue_max: Floats
    kind: npt.NDArray[np.str_]


def refined(
    table: xr.Dataset, landscapes: Sequence[Landscape], axes: Sequence[Floats]
) -> xr.Dataset:
    """The table of minima with what descents from them have found, where that is affordable.

    `table` is that of `minima_table`, `landscapes` are those of its replicates in their order,
    `axes` the coordinates of the grid. Refined are the deepest minima of each surface: MOST of a
    closed form; MOST_OF_RISK of a module's risk, within MOST_OPERATIONS. The attribute
    `refinement` says so.
    """
    rows = table.sizes[MINIMUM]
    numbers = {name: np.full(rows, np.nan) for name in _NUMBERS}
    place = np.full((rows, len(axes)), np.nan)
    kind, same_as = np.full(rows, NOT_REFINED, dtype=object), np.arange(rows)
    for rows_of, landscape, split in _surfaces(table, landscapes):
        most = affordable(landscape, split, len(axes))
        depth = table["depth"].values[rows_of]
        chosen = np.sort(rows_of[np.argsort(-depth, kind="stable")[:most]])
        if not chosen.size:
            continue
        start = np.asarray(table["coordinate"].values[chosen], dtype=np.float64)
        try:
            function = over_section(landscape, split, torch.device("cpu"), torch.float64)
            ends = refine(function, start, axes)
        except RuntimeError:
            # What a module computes may have no second derivatives, or none in float64.
            continue
        place[chosen], kind[chosen] = ends.coordinate, ends.kind
        for name, column in numbers.items():
            column[chosen] = getattr(ends, name)
        same_as[chosen] = chosen[_same(ends, _cells(start, axes))]
    found = {
        "refined_coordinate": ((MINIMUM, AXIS), place),
        **{f"refined_{name}": (MINIMUM, column) for name, column in numbers.items()},
        "kind": (MINIMUM, kind.astype(np.dtypes.StringDType())),
        "same_as": (MINIMUM, same_as),
    }
    told = {
        name: xr.DataArray(values, dims=dims, attrs=_attributes(name))
        for name, (dims, values) in found.items()
    }
    return table.assign(told).assign_attrs(refinement=_REFINEMENT)


def refine(function: Function, starts: Floats, axes: Sequence[Floats]) -> Ends:
    """Descents of a section's loss from coordinates (P, z) on the grid of these axes.

    Axes of one point are held.
    """
    least, greatest = (
        torch.tensor([float(bound(along)) for along in axes], dtype=torch.float64)
        for bound in (np.min, np.max)
    )
    cells = torch.from_numpy(_cells(starts, axes))
    found = trust_region(function, torch.from_numpy(starts), cells, Box(least, greatest))
    low, high = found.spectrum[:, 0].numpy(), found.spectrum[:, -1].numpy()
    loss = found.loss.numpy()
    tolerance = np.maximum(_FLAT * np.maximum(abs(low), abs(high)), ROUNDING * abs(loss))
    conditions = {
        "edge": (found.outside > CONVERGED).numpy(),
        "not converged": ~found.converged.numpy(),
        "saddle": low < -tolerance,
        "degenerate": low <= tolerance,
    }
    kind = np.select(list(conditions.values()), list(conditions), "minimum")
    return Ends(found.theta.numpy(), loss, found.gradient_norm.numpy(), low, high, kind)


def affordable(landscape: Landscape, split: str, z: int) -> int:
    """How many minima of a surface may be refined."""
    objective = landscape.objective
    if not isinstance(objective, EmpiricalRisk):
        return MOST
    if objective.reestimation is not None:
        return 0  # its statistics are another function of each point
    data = objective.splits[split]
    a_pass = len(data) * _multiplications(objective.module, data.inputs[:_PROBED])
    per_minimum = a_pass * (_PASSES + _PASSES_PER_AXIS * z) * _USUAL_ITERATIONS
    return min(MOST_OF_RISK, MOST_OPERATIONS // per_minimum)


def _multiplications(module: nn.Module, samples: Tensor) -> int:
    """About how many a module needs for a sample, by what it does to a few.

    A layer's weight (k, …) is used at as many places as the layer has outputs, by k; together no
    less than each parameter once.
    """
    module = copy.deepcopy(module).eval()
    used: list[int] = []

    def count(layer: nn.Module, _: object, output: object) -> None:
        weight = getattr(layer, "weight", None)
        if isinstance(weight, Tensor) and isinstance(output, Tensor) and weight.dim() > 1:
            used.append(weight.numel() * (output.numel() // weight.shape[0]))

    for layer in module.modules():
        layer.register_forward_hook(count)
    with torch.no_grad():
        module(samples.clone())
    numbers = sum(parameter.numel() for parameter in module.parameters())
    return max(numbers, sum(used) // len(samples), 1)


def _cells(start: Floats, axes: Sequence[Floats]) -> Floats:
    """Half the distance between the grid points on both sides (P, z); 1 along a held axis."""
    cells = np.ones(start.shape)
    for k, along in enumerate(axes):
        if along.size > 1:
            at = np.abs(along[None] - start[:, k, None]).argmin(axis=1)
            cells[:, k] = np.abs(np.gradient(along))[at]
    return cells


def _same(ends: Ends, cells: Floats) -> Indices:
    """For each end the first that is the same point; of those that have not converged, itself."""
    same = np.arange(len(ends.kind))
    for k in np.flatnonzero(np.isin(ends.kind, _SETTLED)):
        apart = np.abs(ends.coordinate[:k] - ends.coordinate[k]) / cells[k]
        alike = (apart < _SAME).all(axis=1) & np.isin(ends.kind[:k], _SETTLED)
        if alike.any():
            same[k] = same[np.flatnonzero(alike)[0]]
    return same


def _surfaces(
    table: xr.Dataset, landscapes: Sequence[Landscape]
) -> Iterator[tuple[Indices, Landscape, str]]:
    """The rows of each surface with its landscape and split."""
    splits = np.array([str(split) for split in table["of_split"].values])
    if "of_replicate" not in table:
        numbers = np.zeros(splits.size, dtype=np.int64)
    else:
        _, numbers = np.unique(table["of_replicate"].values, return_inverse=True)
    for replicate, landscape in enumerate(landscapes):
        for split in dict.fromkeys(splits.tolist()):
            yield np.flatnonzero((splits == split) & (numbers == replicate)), landscape, split


def _attributes(name: str) -> dict[str, str]:
    more = {"kinds": _KINDS} if name == "kind" else {}
    return {"long_name": MINIMA[name].long_name, "units": MINIMA[name].units, **more}
