"""Roughness of a surface along each axis: how often its values go up and down again.

Along a grid line of values f₁ … f_n, total variation over range: Σ|f_{i+1} − f_i| / (max − min).
It is 1 for a monotone line, at most 2 for a single valley, and does not change when the loss is
scaled or shifted; its mean over the lines along an axis is given. Lines that hold a NaN or an
infinity are left out, and so are those whose range is no more than rounding: they are flat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, Self

import dask.array as da
import numpy as np
import numpy.typing as npt

from pipeline.analysis.frame import Floats, Frame
from pipeline.analysis.proximity import ROUNDING_UNITS
from pipeline.analysis.sweep import SLAB


@dataclass(frozen=True)
class Lines:
    """Stretches of lines side by side: ends, total variation, least and greatest value.

    Arrays of one shape, with one entry along the axis of the lines. NaN where a value is.
    """

    first: Floats
    last: Floats
    variation: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, values: npt.NDArray[Any], axis: int) -> Self:
        """The stretches of the lines along an axis of an array of two dimensions or more."""
        others = [k for k in range(values.ndim) if k != axis]
        across = max(others, key=lambda k: values.shape[k])
        n = values.shape[across]
        side_by_side = max(1, SLAB * n // values.size)
        before = (slice(None),) * across
        parts = [
            cls._short(values[(*before, slice(lo, lo + side_by_side))].astype(np.float64), axis)
            for lo in range(0, n, side_by_side)
        ]
        columns = ([getattr(part, each.name) for part in parts] for each in fields(cls))
        return cls(*(np.concatenate(column, across) for column in columns))

    @classmethod
    def _short(cls, values: Floats, axis: int) -> Self:
        with np.errstate(invalid="ignore", over="ignore"):
            return cls(
                values.take([0], axis),
                values.take([-1], axis),
                np.abs(np.diff(values, axis=axis)).sum(axis=axis, keepdims=True),
                values.min(axis=axis, keepdims=True),
                values.max(axis=axis, keepdims=True),
            )

    @classmethod
    def joined(cls, parts: Sequence[Self], axis: int) -> Self:
        """Stretches that follow each other along the axis, as one."""
        with np.errstate(invalid="ignore", over="ignore"):
            jumps = [np.abs(after.first - before.last) for before, after in pairwise(parts)]
            within = np.concatenate([part.variation for part in parts] + jumps, axis)
            return cls(
                parts[0].first,
                parts[-1].last,
                within.sum(axis=axis, keepdims=True),
                np.concatenate([part.low for part in parts], axis).min(axis, keepdims=True),
                np.concatenate([part.high for part in parts], axis).max(axis, keepdims=True),
            )

    def ratios(self, eps: float) -> Floats:
        """Total variation over range; NaN for lines left out. `eps`: relative rounding."""
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            extent = self.high - self.low
            rounding = ROUNDING_UNITS * eps * np.maximum(np.abs(self.low), np.abs(self.high))
            held = np.isfinite(self.variation) & (extent > rounding)
            return np.where(held, self.variation / extent, np.nan)


def roughness(frame: Frame) -> da.Array:
    """The mean ratio of the lines along each axis, lazily: (R, S, z)."""
    return da.stack([_along(frame, axis) for axis in range(2, frame.loss.ndim)], axis=-1)  # type: ignore[no-untyped-call, no-any-return]


def _along(frame: Frame, axis: int) -> da.Array:
    eps = float(np.finfo(frame.loss.dtype).eps)

    def of(values: npt.NDArray[Any], axis: tuple[int, ...], keepdims: bool) -> Lines:  # noqa: ARG001
        return Lines.of(values, axis[0])

    def joined(parts: list[Lines], axis: tuple[int, ...], keepdims: bool) -> Lines:  # noqa: ARG001
        return Lines.joined(parts, axis[0])

    def ratios(parts: list[Lines], axis: tuple[int, ...], keepdims: bool) -> Floats:
        whole = Lines.joined(parts, axis[0]).ratios(eps)
        return whole if keepdims else whole.squeeze(axis)

    lines: da.Array = da.reduction(  # type: ignore[no-untyped-call]
        frame.loss,
        of,
        ratios,
        axis=axis,
        combine=joined,
        concatenate=False,
        dtype=np.float64,
        meta=np.empty((0,) * (frame.loss.ndim - 1)),
    )
    others = tuple(range(2, lines.ndim))
    count = da.isfinite(lines).sum(axis=others)
    total = da.nansum(lines, axis=others)
    mean: da.Array = total / da.where(count > 0, count, np.nan)
    return mean
