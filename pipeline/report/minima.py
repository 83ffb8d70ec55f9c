"""The local minima of a scan's first replicate, as they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from schemas.layout import AXIS, MINIMA_GROUP, MINIMUM

MOST_DRAWN = 64
"""Of each split, the deepest."""


@dataclass(frozen=True)
class LocalMinimum:
    """A local minimum of a split's surface, where it was refined to, or else on the grid."""

    split: str
    at: Mapping[str, float]
    loss: float


def drawn_minima(scan: xr.DataTree) -> tuple[LocalMinimum, ...]:
    """The minima that figures show: none of a split that has but one, which is marked anyhow."""
    found = []
    for split, rows in by_split(first_replicate(scan)):
        if rows.sizes[MINIMUM] > 1:
            found += [_drawn(split, rows.isel({MINIMUM: k})) for k in deepest(rows, MOST_DRAWN)]
    return tuple(found)


def first_replicate(scan: xr.DataTree) -> xr.Dataset | None:
    """The minima of the first replicate."""
    if MINIMA_GROUP not in scan.children:
        return None
    group = scan[MINIMA_GROUP].to_dataset()
    group = group.drop_vars([name for name in group if MINIMUM not in group[name].dims]).load()
    if "of_replicate" not in group or not group.sizes[MINIMUM]:
        return group
    first = group["of_replicate"].values.min()
    return group.isel({MINIMUM: np.flatnonzero(group["of_replicate"].values == first)})


def by_split(group: xr.Dataset | None) -> list[tuple[str, xr.Dataset]]:
    """Each split with its rows; none of a scan without the group."""
    if group is None:
        return []
    splits = np.array([str(split) for split in group["of_split"].values])
    return [
        (split, group.isel({MINIMUM: np.flatnonzero(splits == split)}))
        for split in dict.fromkeys(splits.tolist())
    ]


def deepest(rows: xr.Dataset, most: int) -> list[int]:
    """The numbers of the deepest minima, in the order of the rows, which is that of the loss."""
    order = np.argsort(-rows["depth"].values, kind="stable")[:most]
    return sorted(int(k) for k in order)


def _drawn(split: str, row: xr.Dataset) -> LocalMinimum:
    settled = "kind" in row and str(row["kind"].item()) in ("minimum", "degenerate")
    prefix = "refined_" if settled else ""
    places = row[f"{prefix}coordinate"].values.tolist()
    axes = [str(axis) for axis in row[AXIS].values]
    at = dict(zip(axes, places, strict=True))
    return LocalMinimum(split, at, float(row[f"{prefix}loss"]))
