"""The barrier along a path: how far the loss rises above the straight line between its ends.

    max over t ∈ [0, 1] of L(t) − [(1 − t) L(0) + t L(1)]

(Entezari et al. 2021, arXiv 2110.06296, section 2; Frankle et al. 2020, arXiv 1912.05671,
whose error barrier is the same against the mean of the ends), over the grid points with t in
[0, 1] and the ends, so it is never below 0. Where 0 or 1 is not on the grid, the loss there is
interpolated linearly between the grid points beside it. NaN is passed over, +inf is the greatest
there can be; NaN where the loss at an end is not finite or none is known between the ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.analysis.frame import Floats, Frame, computed
from pipeline.analysis.halo import inner, over_surroundings
from pipeline.analysis.origin import CLOSE


@dataclass(frozen=True)
class Rise:
    """Of a split along part of a path: the points seen, the greatest rise above the line between
    the ends and its t, and the greatest rise above the higher end.
    """

    seen: int
    above_line: float
    at: float
    above_ends: float

    @classmethod
    def merge(cls, parts: Sequence[Rise]) -> Rise:
        """Of the whole path; the ends themselves rise by 0, and the least t wins a tie."""
        held = [part for part in parts if part.seen]
        start = cls(0, 0.0, 0.0, 0.0)
        highest = max([start, *held], key=lambda part: (part.above_line, -part.at))
        return cls(
            sum(part.seen for part in held),
            highest.above_line,
            highest.at,
            max(part.above_ends for part in [start, *held]),
        )


def applies(coordinates: Sequence[Floats]) -> bool:
    """Whether a grid has one axis, and it reaches from 0 to 1."""
    return len(coordinates) == 1 and coordinates[0].min() <= 0 and coordinates[0].max() >= 1


def barriers(frame: Frame) -> list[dict[str, npt.NDArray[Any]]]:
    """The barrier statistics (S,) of every replicate of a scan along a path."""
    ends = _ends(frame)
    (blocks,) = computed(over_surroundings(_rises, frame, ends))
    found = []
    for parts, at_ends in zip(blocks, ends, strict=True):
        known = np.isfinite(at_ends).all(axis=-1)
        whole = [Rise.merge([part[s] for part in parts]) for s in range(len(frame.splits))]
        known &= np.array([rise.seen > 0 for rise in whole])
        columns = {
            "barrier": [rise.above_line for rise in whole],
            "barrier_at": [rise.at for rise in whole],
            "barrier_max_rise": [rise.above_ends for rise in whole],
        }
        found.append({name: np.where(known, values, np.nan) for name, values in columns.items()})
    return found


def _ends(frame: Frame) -> Floats:
    """L(0) and L(1): (R, S, 2)."""
    along = frame.coordinates[0]
    order = np.argsort(along)
    ends = []
    for t in (0.0, 1.0):
        before = order[np.searchsorted(along[order], t + CLOSE, side="right") - 1]
        after = order[np.searchsorted(along[order], t - CLOSE)]
        losses = [frame.loss[..., int(k)] for k in (before, after)]
        low, high = (values.astype(np.float64) for values in computed(*losses))
        if before != after:
            part = (t - along[before]) / (along[after] - along[before])
            with np.errstate(invalid="ignore"):
                low = (1 - part) * low + part * high
        ends.append(low)
    return np.stack(ends, axis=-1)


def _rises(loss: npt.NDArray[Any], ends: Floats, along: Floats) -> list[Rise]:
    """For each split the rise in a block: loss (S, m+2), L(0) and L(1) (S, 2), t (m+2,)."""
    t = inner(along)
    within = (t >= -CLOSE) & (t <= 1 + CLOSE)
    return [
        _rise(inner(values)[within].astype(np.float64), t[within], *at_ends)
        for values, at_ends in zip(loss, ends, strict=True)
    ]


def _rise(values: Floats, t: Floats, start: float, stop: float) -> Rise:
    with np.errstate(invalid="ignore", over="ignore"):
        above = values - ((1 - t) * start + t * stop)
        seen = int(np.count_nonzero(~np.isnan(above[(t > CLOSE) & (t < 1 - CLOSE)])))
        if not seen:
            return Rise(0, 0.0, 0.0, 0.0)
        k = int(np.nanargmax(above))
        return Rise(seen, float(above[k]), float(t[k]), float(np.nanmax(values) - max(start, stop)))
