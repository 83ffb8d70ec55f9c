"""A function of blocks of the grid, each with the points around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt

from pipeline.analysis.frame import Floats, Frame
from pipeline.analysis.sweep import SLAB

# Stored chunks can be small, and each block exchanges 3^z − 1 pieces with its neighbours.
BLOCK_POINTS = 2**18


def over_surroundings(
    function: Callable[..., object], frame: Frame, known: Floats, **settings: object
) -> da.Array:
    """function(loss (S, m₁+2 … m_z+2), known (S, …), coordinates (m_k+2,) …, **settings) by block.

    Each block of m₁ … m_z points comes with one point on every side; beyond the grid, losses and
    coordinates are NaN. `known` (R, S, …) is what is already known of every replicate and split.
    Returns a lazy object array (R, blocks along axis 1, …).
    """
    axes = tuple(range(2, 2 + len(frame.axes)))
    chunks = grown([along[0] for along in frame.loss.chunks[2:]], frame.grid_shape, BLOCK_POINTS)
    loss = with_halo(rechunked(frame.loss, dict(zip(axes, chunks, strict=True))), axes, 1)
    arguments: list[Any] = [loss, (0, 1, *axes)]
    extra = tuple(range(-1, 1 - known.ndim, -1))
    whole = dict.fromkeys(range(1, known.ndim), -1)
    arguments += [rechunked(_dask(known), {0: 1, **whole}), (0, 1, *extra)]
    for axis, along, chunk in zip(axes, frame.coordinates, chunks, strict=True):
        arguments += [with_halo(rechunked(_dask(along), {0: chunk}), (0,), 1), (axis,)]
    blocks: da.Array = da.blockwise(  # type: ignore[no-untyped-call]
        _boxed,
        (0, *axes),
        *arguments,
        function=function,
        settings=settings,
        adjust_chunks=dict.fromkeys((0, *axes), _one),
        concatenate=True,
        align_arrays=False,
        dtype=object,
        meta=np.empty((0,) * (1 + len(axes)), dtype=object),
    )
    return blocks


def pieces(shape: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Cuts of a block of this shape, without its halo, into compact pieces of up to SLAB points.

    So a block of any size needs but small temporaries, and a piece's own halo is thin.
    """
    lengths = list(shape)
    while math.prod(lengths) > SLAB:
        longest = lengths.index(max(lengths))
        lengths[longest] = -(-lengths[longest] // 2)
    starts = [range(0, n, length) for n, length in zip(shape, lengths, strict=True)]
    for corner in product(*starts):
        yield tuple(
            slice(lo, min(lo + length, n))
            for lo, length, n in zip(corner, lengths, shape, strict=True)
        )


def widened(cut: slice) -> slice:
    """Where a block with its halo holds the points of a cut and those around them."""
    return slice(cut.start, cut.stop + 2)


def inner(array: npt.NDArray[Any], axes: Sequence[int] | None = None) -> npt.NDArray[Any]:
    """The array without its first and last entry along some axes, by default all."""
    kept = range(array.ndim) if axes is None else axes
    return array[tuple(slice(1, -1) if k in kept else slice(None) for k in range(array.ndim))]


def grown(chunk: Sequence[int], shape: Sequence[int], points: int) -> tuple[int, ...]:
    """Lengths of a block of up to `points` points, or of one chunk, made of whole chunks."""
    lengths = list(chunk)
    while 2 * math.prod(lengths) <= points:
        free = [k for k, n in enumerate(shape) if lengths[k] < n]
        if not free:
            break
        shortest = min(free, key=lambda k: lengths[k])
        lengths[shortest] *= 2
    return tuple(min(length, n) for length, n in zip(lengths, shape, strict=True))


def with_halo(array: da.Array, axes: Sequence[int], depth: int) -> da.Array:
    """The array with `depth` points of its neighbours on every side of each block, NaN beyond."""
    extended: da.Array = da.overlap.overlap(  # type: ignore[no-untyped-call]
        array, depth=dict.fromkeys(axes, depth), boundary=dict.fromkeys(axes, np.nan)
    )
    return extended


def _dask(array: Floats) -> da.Array:
    lazy: da.Array = da.from_array(array)  # type: ignore[no-untyped-call]
    return lazy


def rechunked(
    array: da.Array, chunks: Mapping[int, int] | Mapping[int, tuple[int, ...]]
) -> da.Array:
    """The array in blocks of these lengths along these axes."""
    cut: da.Array = array.rechunk(dict(chunks))  # type: ignore[no-untyped-call]
    return cut


def _one(chunk: int) -> int:
    return 1 if chunk else 0


def _boxed(
    loss: npt.NDArray[Any],
    known: Floats,
    *coordinates: Floats,
    function: Callable[..., object],
    settings: Mapping[str, object],
) -> npt.NDArray[np.object_]:
    """The function's result as the single entry of an object array of one dimension an axis."""
    box = np.empty((1,) * (loss.ndim - 1), dtype=object)
    box.flat[0] = function(loss[0], known[0], *coordinates, **settings)
    return box
