"""What is exported of a scan: one replicate or all, some axes held, and which points are there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from pipeline.ledger import Ledger
from pipeline.store import read_manifest
from schemas.errors import SpecError, StoreError, listing, suggestion
from schemas.layout import ANALYSIS_GROUP, REPLICATE, SPLIT

Flags: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Selection:
    """A part of a stored scan, lazy.

    Attributes:
        tree: the scan, reduced; an axis or a replicate that is held stays, with one entry.
        axes: the axes of the grid, in the store's order.
        shards: the length of a shard along each of them.
        kept: for each dimension that is held, the index that is left.
        done: whether each shard is computed, (replicates, shards along axis 1, …).
    """

    tree: xr.DataTree
    axes: tuple[str, ...]
    shards: tuple[int, ...]
    kept: Mapping[str, int]
    done: Flags

    @property
    def root(self) -> xr.Dataset:
        """The scan's variables."""
        return self.tree.to_dataset()

    @property
    def free(self) -> tuple[str, ...]:
        """The axes with more than one point."""
        return tuple(axis for axis in self.axes if self.tree.sizes[axis] > 1)

    @property
    def held(self) -> dict[str, float]:
        """The coordinates of the others."""
        root = self.root
        return {axis: float(root[axis][0]) for axis in self.axes if self.tree.sizes[axis] == 1}

    @property
    def missing(self) -> int:
        """Shards of the scan that are not computed."""
        return int(np.count_nonzero(~self.done))

    def computed(self, replicate: int, ranges: Mapping[str, slice]) -> Flags:
        """Whether the points in these ranges of a replicate of the selection are computed."""
        window = []
        for axis, shard in zip(self.axes, self.shards, strict=True):
            index = np.arange(self.tree.sizes[axis])[ranges.get(axis, slice(None))]
            window.append((index + self.kept.get(axis, 0)) // shard)
        done: Flags = self.done[self.kept.get(REPLICATE, replicate)][np.ix_(*window)]
        return done

    def first_replicate(self) -> xr.Dataset:
        """The variables of the first replicate of the selection."""
        root = self.root
        return root.isel({REPLICATE: 0}, drop=True) if REPLICATE in root.dims else root


def select(
    store: Path, *, replicate: int | None = None, at: Mapping[str, float] | None = None
) -> Selection:
    """The scan in a store, or what is left of it with a replicate and axes held.

    An axis is held at the grid's coordinate nearest to the one given, which lies within its ends.

    Raises:
        StoreError: there is no scan, or it cannot be opened.
        SpecError: no such replicate or axis, or a coordinate beyond the axis.
    """
    read_manifest(store)
    whole = _opened(store)
    root = whole.to_dataset()
    loss = root["loss"]
    axes = tuple(str(dim) for dim in loss.dims if dim not in (REPLICATE, SPLIT))
    kept = {axis: _place(root, axes, axis, value) for axis, value in (at or {}).items()}
    replicates = loss.sizes.get(REPLICATE, 1)
    if replicate is not None:
        if not 0 <= replicate < replicates:
            raise SpecError(
                f"replicate: got {replicate}; the scan has {replicates} of them; expected one of "
                f"{listing(map(str, range(replicates)))}"
            )
        kept |= {REPLICATE: replicate} if REPLICATE in loss.dims else {}
    stored = loss.encoding.get("shards") or loss.encoding["chunks"]
    shards = tuple(int(length) for length in stored[-len(axes) :])
    counts = [-(-loss.sizes[axis] // length) for axis, length in zip(axes, shards, strict=True)]
    return Selection(
        tree=_reduced(whole, kept, sliced=bool(at)),
        axes=axes,
        shards=shards,
        kept=kept,
        done=_done(store).reshape(replicates, *counts),
    )


def _opened(store: Path) -> xr.DataTree:
    try:
        return xr.open_datatree(store, engine="zarr", chunks={})
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"{store}: cannot be opened ({reason}); restore its metadata") from None


def _done(store: Path) -> Flags:
    ledger = Ledger(store, writable=False)
    done = np.ones(len(ledger), dtype=np.bool_)
    done[np.fromiter(ledger.unfinished(), dtype=np.intp)] = False
    return done


def _place(root: xr.Dataset, axes: tuple[str, ...], axis: str, value: float) -> int:
    if axis not in axes:
        raise SpecError(
            f"at: got the axis {axis!r}; expected one of {listing(axes)}{suggestion(axis, axes)}"
        )
    coordinates = root[axis].values
    low, high = float(coordinates.min()), float(coordinates.max())
    if not low <= value <= high:
        raise SpecError(
            f"at: got {axis}={value:g}; expected a coordinate of the grid, {low:g} … {high:g}"
        )
    return int(np.argmin(np.abs(coordinates - value)))


def _reduced(whole: xr.DataTree, kept: Mapping[str, int], *, sliced: bool) -> xr.DataTree:
    index = {dim: [place] for dim, place in kept.items()}
    nodes = {
        name: node.to_dataset(inherit=False).isel(index, missing_dims="ignore")
        for name, node in whole.children.items()
        # what the analysis says of the whole grid is not true of a slice through it
        if not (sliced and name == ANALYSIS_GROUP)
    }
    return xr.DataTree.from_dict({"/": whole.to_dataset().isel(index), **nodes})


@dataclass(frozen=True)
class Column:
    """A metric of one split, or a field: `index` picks it from its variable.

    `components` label the dimensions that remain beside the grid's axes, in C order.
    """

    name: str
    variable: str
    index: Mapping[str, str]
    dims: tuple[str, ...]
    components: tuple[str, ...]

    def pick(self, dataset: xr.Dataset, axes: tuple[str, ...]) -> npt.NDArray[Any]:
        """Its values over the axes, (n_1 … n_z, components); one component when it has none."""
        values = dataset[self.variable].sel(self.index).transpose(*axes, *self.dims).values
        return values.reshape(*(dataset.sizes[axis] for axis in axes), -1)


def columns(root: xr.Dataset, axes: tuple[str, ...]) -> list[Column]:
    """Every variable of a scan, `variable_split` where it is measured for each split.

    Raises:
        SpecError: two of them, or one and an axis, would have the same name.
    """
    found = [column for name in root.data_vars for column in _of(root[name], axes)]
    seen = set(axes)
    for column in found:
        for name in full_names(column):
            if name in seen:
                raise SpecError(
                    f"columns: two would be called {name!r}; rename a split or an axis of the scan"
                )
            seen.add(name)
    return found


def full_names(column: Column) -> list[str]:
    """`name_component` of each component, or the name alone."""
    return [f"{column.name}_{part}" for part in column.components] or [column.name]


def _of(variable: xr.DataArray, axes: tuple[str, ...]) -> Iterator[Column]:
    name = str(variable.name)
    dims = tuple(str(dim) for dim in variable.dims if dim not in (REPLICATE, SPLIT, *axes))
    labels = [[str(label) for label in variable[dim].values] for dim in dims]
    components = tuple("_".join(parts) for parts in itertools.product(*labels)) if dims else ()
    if SPLIT not in variable.dims:
        yield Column(name, name, {}, dims, components)
        return
    for split in map(str, variable[SPLIT].values):
        yield Column(f"{name}_{split}", name, {SPLIT: split}, dims, components)
