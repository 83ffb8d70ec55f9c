"""A grid in blocks with two points around each, and a function of them all.

Unlike `halo`, a block knows where it is in the grid, and may be given something of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from dask.delayed import delayed

from pipeline.analysis.descending import HALO, evenly_scaled
from pipeline.analysis.frame import Floats, Frame, computed
from pipeline.analysis.halo import grown, rechunked, with_halo
from pipeline.analysis.joining import Places

T = TypeVar("T")

BLOCK_POINTS = 2**20


@dataclass(frozen=True)
class Block:
    """A block of losses (S, m₁+4, …), lazy or not, with its coordinates (m_k+4,) and its place."""

    loss: Any
    coordinates: tuple[Floats, ...]
    places: Places
    shape: tuple[int, ...]

    @property
    def slices(self) -> tuple[slice, ...]:
        """The block as an index into an array over the grid."""
        corner = self.places.corner
        return tuple(slice(c, c + m) for c, m in zip(corner, self.shape, strict=True))


def blocks_of(frame: Frame, replicate: int) -> list[Block]:
    """The blocks of a replicate, in C order."""
    axes = range(1, 1 + len(frame.axes))
    chunk = grown([each[0] for each in frame.loss.chunks[2:]], frame.grid_shape, BLOCK_POINTS)
    lengths = [_lengths(n, length) for n, length in zip(frame.grid_shape, chunk, strict=True)]
    loss = rechunked(frame.loss[replicate], dict(zip(axes, lengths, strict=True)))
    lazy = with_halo(loss, axes, HALO).to_delayed()[0]  # type: ignore[no-untyped-call]
    padded = [
        np.pad(along, HALO, constant_values=np.nan) for along in evenly_scaled(frame.coordinates)
    ]
    starts = [np.cumsum([0, *each[:-1]]) for each in lengths]
    blocks = []
    for number in np.ndindex(*lazy.shape):
        corner = tuple(int(each[k]) for each, k in zip(starts, number, strict=True))
        shape = tuple(each[k] for each, k in zip(lengths, number, strict=True))
        spans = [slice(c, c + m + 2 * HALO) for c, m in zip(corner, shape, strict=True)]
        along = tuple(each[span] for each, span in zip(padded, spans, strict=True))
        blocks.append(Block(lazy[number], along, Places(corner, frame.grid_shape), shape))
    return blocks


def _lengths(n: int, length: int) -> tuple[int, ...]:
    """Lengths of the blocks along an axis of n points: none is less than the halo."""
    length = max(HALO, length)
    whole, rest = divmod(n, length)
    lengths = [length] * whole + ([rest] if rest else [])
    if len(lengths) > 1 and rest and rest < HALO:
        lengths[-2:] = [length + rest]
    return tuple(lengths)


def over(
    blocks: Sequence[Block], function: Callable[..., T], own: Sequence[object], *shared: object
) -> list[T]:
    """function(losses, block, its own, *shared) of every block, which is without its losses."""
    tasks = [
        delayed(partial(_called, function, replace(block, loss=None), each), pure=False)(
            block.loss, *shared
        )
        for block, each in zip(blocks, own, strict=True)
    ]
    return list(computed(*tasks))


def _called(
    function: Callable[..., T],
    block: Block,
    own: object,
    loss: npt.NDArray[Any],
    *shared: object,
) -> T:
    return function(loss, block, own, *shared)
