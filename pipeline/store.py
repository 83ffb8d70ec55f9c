"""The Zarr store of a scan: created once, written region by region, read by anyone.

Shape legend: S = splits, P = points, *extra = a metric's own dimensions; a region is one block of
the grid in one replicate.
"""

from __future__ import annotations

import json
import math
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import zarr
from zarr.abc.store import Store
from zarr.codecs import BloscCodec, Crc32cCodec

from pipeline.contents import Contents
from schemas.errors import StoreError
from schemas.grid import Block
from schemas.layout import (
    END_PARAMETERS,
    FORMAT_VERSION,
    LEDGER_CHUNK,
    LEDGER_COLUMNS,
    LEDGER_GROUP,
    LEDGER_TEXTS,
    METRICS,
    REPLICATE,
    SPLIT,
    Metric,
    Variable,
)
from schemas.starts import StartAxis, descent_rules

Location: TypeAlias = Path | Store
"""A directory, or a Zarr store in memory."""
_MOST_CHUNK = 2**22
Values: TypeAlias = Mapping[str, npt.NDArray[Any]]


def create(location: Location, contents: Contents, manifest: Mapping[str, Any]) -> None:
    """Write the metadata, the coordinates and an empty ledger, and consolidate them."""
    root = zarr.create_group(zarr_target(location), zarr_format=3, attributes=dict(manifest))
    _create_coordinates(root, contents)
    leading = (REPLICATE,) if contents.replicates > 1 else ()
    for name in contents.metrics:
        metric = METRICS[name]
        array = _create_variable(root, name, metric, (*leading, SPLIT, *metric.dims), contents)
        array.update_attributes(_flags(metric))
    if contents.descent is not None:
        root["outcome"].attrs.update(descent_rules(contents.descent))
    for name, variable in contents.fields.items():
        _create_variable(root, name, variable, leading, contents)
    ledger = root.create_group(LEDGER_GROUP)
    for name, (dtype, long_name, units) in LEDGER_COLUMNS.items():
        _create_ledger_column(ledger, name, dtype, contents.n_shards, long_name, units)
    for name, long_name in LEDGER_TEXTS.items():
        _create_ledger_column(ledger, name, "str", contents.n_shards, long_name, "")
    consolidate(location)


def _flags(metric: Metric) -> dict[str, Any]:
    """What the codes of a metric mean, as the CF conventions tell it."""
    if not metric.flags:
        return {}
    return {
        "flag_values": list(metric.flags),
        "flag_meanings": " ".join(metric.flags.values()),
    }


def _create_coordinates(root: zarr.Group, contents: Contents) -> None:
    for name, axis in contents.grid.named.items():
        is_start = isinstance(axis, StartAxis)
        told = "number of the start" if is_start else f"coordinate along direction {name}"
        attributes = {"long_name": told, "units": "1"}
        _create_coordinate(root, name, axis.coordinates(0, axis.num), attributes)
    labels = np.array(contents.splits, dtype=np.dtypes.StringDType())
    _create_coordinate(root, SPLIT, labels, {"long_name": "data set"})
    names = np.array(contents.grid.names, dtype=np.dtypes.StringDType())
    for dim in contents.section_dims:
        _create_coordinate(root, dim, names, {"long_name": "axis of the grid"})
    if contents.replicates > 1:
        numbers = np.arange(contents.replicates)
        _create_coordinate(root, REPLICATE, numbers, {"long_name": "seeded repetition"})


def _create_coordinate(
    root: zarr.Group, name: str, values: npt.NDArray[Any], attributes: dict[str, Any]
) -> None:
    array = root.create_array(
        name,
        shape=values.shape,
        dtype=cast("Any", str if values.dtype.kind == "T" else values.dtype),
        dimension_names=(name,),
        attributes=attributes,
    )
    array[:] = values


def _create_variable(
    root: zarr.Group, name: str, variable: Variable, leading: tuple[str, ...], contents: Contents
) -> zarr.Array[Any]:
    grid, lead = contents.grid, contents.lead(name)
    dtype = np.dtype(contents.dtype_of(name))
    replicates = (contents.replicates,) if REPLICATE in leading else ()
    # One split is often read alone; entries along a metric's own dimensions never are, but there
    # may be very many of them.
    extra = lead[1:]
    if name == END_PARAMETERS and not contents.sharded:
        extra = (min(contents.numbers, max(1, _MOST_CHUNK // math.prod(grid.chunks))),)
    chunk = (*(1 for _ in replicates), *(1 for _ in lead[:1]), *extra, *grid.chunks)
    # A shard holds every split of its points in one replicate, so a Zarr shard must as well.
    shard = (*(1 for _ in replicates), *lead, *grid.shards)
    return root.create_array(
        name,
        shape=(*replicates, *lead, *grid.shape),
        chunks=chunk,
        shards=shard if contents.sharded else None,
        dtype=dtype,
        fill_value=np.nan if dtype.kind == "f" else 0,
        compressors=(BloscCodec(cname="lz4", shuffle="shuffle"), Crc32cCodec()),
        dimension_names=(*leading, *grid.names),
        attributes={"long_name": variable.long_name, "units": variable.units},
    )


def _create_ledger_column(
    ledger: zarr.Group, name: str, dtype: str, length: int, long_name: str, units: str
) -> None:
    ledger.create_array(
        name,
        shape=(length,),
        chunks=(min(length, LEDGER_CHUNK),),
        dtype=cast("Any", str if dtype == "str" else dtype),
        compressors=(BloscCodec(cname="lz4", shuffle="shuffle"), Crc32cCodec()),
        dimension_names=("shard",),
        attributes={"long_name": long_name, "units": units},
    )


def consolidate(location: Location) -> None:
    """Gather all metadata in one document, as readers expect."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(zarr_target(location))


def exists(location: Location) -> bool:
    """Whether there is one of our stores at the location; StoreError if it is something else."""
    if isinstance(location, Path) and not location.exists():
        return False
    if isinstance(location, Path) and location.is_dir() and not any(location.iterdir()):
        return False
    try:
        attributes = zarr.open_group(zarr_target(location), mode="r").attrs.asdict()
    except (OSError, ValueError, KeyError, TypeError):
        if not isinstance(location, Path):
            return False
        raise StoreError(
            f"{location}: exists and is not a Zarr store of a scan; choose another path for store"
        ) from None
    if attributes.get("cartograd_format") != FORMAT_VERSION:
        raise StoreError(
            f"{location}: is a Zarr group but not a scan of format {FORMAT_VERSION}; "
            "choose another path for store"
        )
    return True


def read_manifest(location: Location) -> dict[str, Any]:
    """The manifest, with its JSON texts decoded; StoreError when there is no scan here."""
    if not exists(location):
        raise StoreError(f"{location}: no scan is stored here; check the path")
    attributes = zarr.open_group(zarr_target(location), mode="r").attrs.asdict()
    texts = ("spec", "spans", "hashes", "versions", "facts", "fields", "reference", "engine")
    try:
        return {
            key: json.loads(str(value)) if key in texts else value
            for key, value in attributes.items()
        }
    except json.JSONDecodeError:
        raise StoreError(f"{location}: its manifest is damaged; restore zarr.json") from None


class RegionFile:
    """Access to the regions of a store: written whole, read whole, checksummed."""

    def __init__(self, location: Location, contents: Contents) -> None:
        # An all-NaN chunk is a result: it must be stored, or it would look uncomputed.
        zarr.config.set({"array.write_empty_chunks": True})
        group = zarr.open_group(zarr_target(location), mode="r+", use_consolidated=False)
        self._contents = contents
        self._arrays = {name: _array(group, name) for name in (*contents.metrics, *contents.fields)}

    def write(self, shard: int, values: Values) -> int:
        """Write a shard's variables, metric (S, *extra, P) or field (P,); returns their CRC-32."""
        replicate, block = self._contents.place(shard)
        checksum = 0
        for name, array in self._arrays.items():
            lead = values[name].shape[:-1]
            region = np.ascontiguousarray(
                values[name].reshape(*lead, *block.shape), dtype=array.dtype
            )
            array[self._index(replicate, lead, block)] = region
            checksum = zlib.crc32(region.data, checksum)
        return checksum

    def read(self, shard: int) -> tuple[dict[str, npt.NDArray[Any]], int]:
        """A shard's variables, metric (S, *extra, *block) or field (*block), and their CRC-32.

        Raises ValueError when a chunk does not match its own checksum.
        """
        replicate, block = self._contents.place(shard)
        regions: dict[str, npt.NDArray[Any]] = {}
        checksum = 0
        for name, array in self._arrays.items():
            index = self._index(replicate, self._contents.lead(name), block)
            region = np.ascontiguousarray(array[index])
            regions[name] = region
            checksum = zlib.crc32(region.data, checksum)
        return regions, checksum

    def _index(
        self, replicate: int, lead: tuple[int, ...], block: Block
    ) -> tuple[int | slice, ...]:
        replicates = (replicate,) if self._contents.replicates > 1 else ()
        return (*replicates, *(slice(0, n) for n in lead), *block.slices)


def _array(group: zarr.Group, name: str) -> zarr.Array[Any]:
    array = group[name]
    if not isinstance(array, zarr.Array):
        raise StoreError(f"{name}: expected an array in the store, found a group")
    return array


def zarr_target(location: Location) -> Any:  # noqa: ANN401 - zarr's own union of stores
    """The location as zarr takes it."""
    return str(location) if isinstance(location, Path) else location
