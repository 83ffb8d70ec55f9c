"""A scan's dataset in the one form the analysis works on, and a function of its blocks.

Shape legend: R = replicates (one when the scan has none), S = splits, n₁ … n_z = points along the
axes. A block is one chunk of the grid with all its splits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import dask.array as da
import dask.base
import numpy as np
import numpy.typing as npt
import xarray as xr

from schemas.errors import InputError
from schemas.layout import PREDICTED_PREFIX, REPLICATE, SPLIT, TARGET, TARGET_LOSS

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """Loss (R, S, n₁ … n_z) and fields (R, n₁ … n_z), chunked alike: one replicate, every split."""

    loss: da.Array
    fields: Mapping[str, da.Array]
    splits: tuple[str, ...]
    axes: tuple[str, ...]
    coordinates: tuple[Floats, ...]
    replicates: npt.NDArray[Any] | None

    @property
    def n_replicates(self) -> int:
        """R."""
        return int(self.loss.shape[0])

    @property
    def grid_shape(self) -> tuple[int, ...]:
        """n₁ … n_z."""
        return tuple(int(n) for n in self.loss.shape[2:])

    @property
    def n_points(self) -> int:
        """Points of the grid."""
        return math.prod(self.grid_shape)

    def block_origins(self) -> list[tuple[int, ...]]:
        """The first grid index of every block, in C order."""
        starts = [np.cumsum([0, *chunks[:-1]]) for chunks in self.loss.chunks[2:]]
        counts = tuple(len(along) for along in starts)
        return [
            tuple(int(along[k]) for along, k in zip(starts, block, strict=True))
            for block in np.ndindex(*counts)
        ]

    def block_shapes(self) -> list[tuple[int, ...]]:
        """The shape of every block over the axes, in C order."""
        chunks = self.loss.chunks[2:]
        counts = tuple(len(along) for along in chunks)
        return [
            tuple(int(along[k]) for along, k in zip(chunks, block, strict=True))
            for block in np.ndindex(*counts)
        ]


def frame_of(dataset: xr.Dataset) -> Frame:
    """The frame of a scan's dataset; nothing is read. InputError when it has no loss per split."""
    if "loss" not in dataset or SPLIT not in dataset["loss"].dims:
        raise InputError(
            f"the dataset holds {sorted(map(str, dataset.data_vars))}; "
            "expected loss(split, axis…): open the store of a scan of the loss"
        )
    loss = dataset["loss"]
    axes = tuple(str(dim) for dim in loss.dims if dim not in (REPLICATE, SPLIT))
    replicated = REPLICATE in loss.dims
    if not replicated:
        loss = loss.expand_dims(REPLICATE)
    loss = loss.transpose(REPLICATE, SPLIT, *axes).chunk({REPLICATE: 1, SPLIT: -1})
    splits = tuple(str(label) for label in loss[SPLIT].values)
    wanted = [TARGET, TARGET_LOSS, *(PREDICTED_PREFIX + split for split in splits[1:])]
    return Frame(
        loss=loss.data,
        fields={name: _field(dataset[name], loss) for name in wanted if name in dataset},
        splits=splits,
        axes=axes,
        coordinates=tuple(np.asarray(dataset[name].values, dtype=np.float64) for name in axes),
        replicates=np.asarray(loss[REPLICATE].values) if replicated else None,
    )


def _field(field: xr.DataArray, loss: xr.DataArray) -> da.Array:
    """A field over the axes, repeated over the replicates it does not have, chunked as the loss."""
    if REPLICATE not in field.dims:
        field = field.expand_dims({REPLICATE: loss.sizes[REPLICATE]})
    dims = [dim for dim in loss.dims if dim != SPLIT]
    array: da.Array = field.transpose(*dims).chunk({dim: loss.chunksizes[dim] for dim in dims}).data
    return array


def over_blocks(
    function: Callable[..., object],
    loss: da.Array,
    fields: Sequence[da.Array] = (),
    **settings: object,
) -> da.Array:
    """function(loss block (S, …), *field blocks (…), **settings) of every block, one object each.

    `loss` is (R, S, n₁ … n_z) and `fields` are (R, n₁ … n_z). Returns a lazy object array
    (R, blocks along axis 1, …), so results are met in C order whichever thread made them.
    """
    axes = tuple(range(2, loss.ndim))
    arguments: list[Any] = [loss, (0, 1, *axes)]
    for field in fields:
        arguments += [field, (0, *axes)]
    blocks: da.Array = da.blockwise(  # type: ignore[no-untyped-call]
        _boxed,
        (0, *axes),
        *arguments,
        function=function,
        settings=settings,
        adjust_chunks=dict.fromkeys((0, *axes), _ones),
        concatenate=True,
        align_arrays=False,
        dtype=object,
        meta=np.empty((0,) * (loss.ndim - 1), dtype=object),
    )
    return blocks


def computed(*lazy: object) -> tuple[Any, ...]:
    """The values of lazy collections, from one run of the scheduler in force."""
    return tuple(dask.base.compute(*lazy))  # type: ignore[no-untyped-call]


def _ones(chunk: int) -> int:
    return 1 if chunk else 0


def _boxed(
    loss: npt.NDArray[Any],
    *fields: npt.NDArray[Any],
    function: Callable[..., object],
    settings: Mapping[str, object],
) -> npt.NDArray[np.object_]:
    """The function's result as the single entry of an object array of one dimension an axis."""
    box = np.empty((1,) * (loss.ndim - 1), dtype=object)
    box.flat[0] = function(loss[0], *(field[0] for field in fields), **settings)
    return box
