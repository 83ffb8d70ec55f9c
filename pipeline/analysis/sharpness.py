"""How fast the loss rises around the origin, within balls and boxes.

A ball holds the grid points within a Euclidean distance of the origin, a box those within the same
distance along every axis, in the coordinates. The rise is the loss minus L₀, the loss at the
origin; the greatest is never below 0, the rise at the origin itself. NaN is passed over, +inf is
the greatest there can be, and the mean is over points where the loss is finite.

ε-sharpness: (max over the box − L₀) / (1 + L₀) · 100 (Keskar et al. 2017, arXiv 1609.04836,
eq. 4), with the box of half side ε in the section's coordinates; NaN where L₀ ≤ −1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.analysis.frame import Floats
from pipeline.analysis.origin import CLOSE, Origin

RADII = (0.25, 0.5, 1.0)
"""Radii, as parts of the largest one about the origin that the grid holds."""


@dataclass(frozen=True)
class Rises:
    """Rises above the origin in part of a grid, every array (S, radii).

    `ball` and `box` are the greatest, `ball_seen` and `box_seen` how many are not NaN;
    `count` finite ones in the ball sum to `total`.
    """

    ball: Floats
    box: Floats
    ball_seen: npt.NDArray[np.int64]
    box_seen: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    total: Floats

    @classmethod
    def none(cls, splits: int, radii: int) -> Rises:
        """Of no points at all."""
        values, counts = np.zeros((3, splits, radii)), np.zeros((3, splits, radii), dtype=np.int64)
        return cls(values[0], values[1], counts[0], counts[1], counts[2], values[2])

    @classmethod
    def merge(cls, parts: Sequence[Rises]) -> Rises:
        """Of the union of parts, at least one."""
        return cls(
            np.max([part.ball for part in parts], axis=0),
            np.max([part.box for part in parts], axis=0),
            np.sum([part.ball_seen for part in parts], axis=0),
            np.sum([part.box_seen for part in parts], axis=0),
            np.sum([part.count for part in parts], axis=0),
            np.sum([part.total for part in parts], axis=0),
        )


def rises(
    loss: npt.NDArray[Any],
    at_origin: Floats,
    coordinates: Sequence[Floats],
    origin: Origin,
    radii: Sequence[float],
) -> Rises:
    """The rises of losses (S, m₁, …, m_z) above those at the origin (S,), within radii."""
    found = Rises.none(len(loss), len(radii))
    furthest = max(radii) * (1 + CLOSE)
    near = [
        np.flatnonzero(np.abs(along - here) <= furthest)
        for along, here in zip(coordinates, origin.place, strict=True)
    ]
    if not all(along.size for along in near):
        return found
    # The coordinates of an axis are in order, so those that are near follow each other.
    cut = tuple(slice(int(along[0]), int(along[-1]) + 1) for along in near)
    squared, farthest = np.zeros(()), np.zeros(())
    for along, here, part in zip(coordinates, origin.place, cut, strict=True):
        distance = np.abs(along[part] - here)
        squared = np.add.outer(squared, distance**2)
        farthest = np.maximum.outer(farthest, distance)
    for s, (values, lowest) in enumerate(zip(loss, at_origin, strict=True)):
        with np.errstate(over="ignore", invalid="ignore"):
            rise = values[cut].astype(np.float64) - lowest
        for k, radius in enumerate(radii):
            limit = radius * (1 + CLOSE)
            in_ball, in_box = rise[squared <= limit**2], rise[farthest <= limit]
            finite = in_ball[np.isfinite(in_ball)]
            found.ball[s, k] = np.fmax.reduce(in_ball, initial=0.0)
            found.box[s, k] = np.fmax.reduce(in_box, initial=0.0)
            found.ball_seen[s, k] = np.count_nonzero(~np.isnan(in_ball))
            found.box_seen[s, k] = np.count_nonzero(~np.isnan(in_box))
            found.count[s, k] = finite.size
            found.total[s, k] = finite.sum()
    return found


def sharpness(found: Rises, at_origin: Floats) -> dict[str, npt.NDArray[Any]]:
    """The statistics (S, radii) of the rises of a whole grid above losses at the origin (S,).

    NaN where the loss at the origin is, and where nothing but the origin is within the radius.
    """
    lowest = at_origin[:, None]
    known = np.isfinite(lowest)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        keskar = found.box / np.where(lowest > -1, 1 + lowest, np.nan) * 100
        mean = found.total / found.count
    return {
        "sharpness_max_rise": np.where(known & (found.ball_seen > 1), found.ball, np.nan),
        "sharpness_mean_rise": np.where(known & (found.count > 1), mean, np.nan),
        "sharpness_epsilon": np.where(known & (found.box_seen > 1), keskar, np.nan),
        "sharpness_points": found.count,
    }
