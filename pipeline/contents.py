"""What the store of a scan holds, said without zarr, so that a plan can be made quickly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from schemas.grid import Block, Grid
from schemas.layout import AXIS, AXIS_OTHER, METRICS, NUMBER, Variable
from schemas.scan import ScanSpec
from schemas.starts import Descent

STORED_DTYPE = {"bfloat16": "float32"}
"""Dtype in which losses are stored, where it is not that of the evaluation."""


@dataclass(frozen=True)
class Contents:
    """What a scan's store holds: enough to create it, write to it and read from it.

    `fields` are the stored functions of the coordinates alone, by name; `numbers` is how many
    parameters there are, 0 unless some metric has one entry for each; `descent` is that from every
    point.
    """

    grid: Grid
    replicates: int
    splits: tuple[str, ...]
    metrics: tuple[str, ...]
    fields: Mapping[str, Variable]
    dtype: str
    sharded: bool
    numbers: int = 0
    descent: Descent | None = None

    @property
    def n_shards(self) -> int:
        """Shards of all replicates; they are numbered replicate by replicate."""
        return self.replicates * self.grid.n_shards

    @property
    def n_points(self) -> int:
        """Points of all replicates."""
        return self.replicates * self.grid.n_points

    @property
    def numbers_per_point(self) -> int:
        """Stored numbers of one point, all variables together."""
        return sum(math.prod(self.lead(name)) for name in (*self.metrics, *self.fields))

    @property
    def n_bytes(self) -> int:
        """Bytes of all variables, before compression."""
        per_point = sum(
            math.prod(self.lead(name)) * np.dtype(self.dtype_of(name)).itemsize
            for name in (*self.metrics, *self.fields)
        )
        return self.n_points * per_point

    @property
    def section_dims(self) -> tuple[str, ...]:
        """The dimensions that some metric has beside the split and the grid's axes."""
        used = {dim for name in self.metrics for dim in METRICS[name].dims}
        return tuple(dim for dim in (AXIS, AXIS_OTHER) if dim in used)

    def lead(self, name: str) -> tuple[int, ...]:
        """Sizes of a variable before the grid's axes: (S, *extra) of a metric, () of a field."""
        if name not in self.metrics:
            return ()
        sizes = {AXIS: len(self.grid.names), AXIS_OTHER: len(self.grid.names), NUMBER: self.numbers}
        return (len(self.splits), *(sizes[dim] for dim in METRICS[name].dims))

    def dtype_of(self, name: str) -> str:
        """The dtype in which a variable is stored."""
        own = METRICS[name].dtype if name in self.metrics else None
        return own or self.dtype

    def place(self, shard: int) -> tuple[int, Block]:
        """The replicate and the block of a shard."""
        replicate, within = divmod(shard, self.grid.n_shards)
        return replicate, self.grid.shard(within)


def scan_contents(spec: ScanSpec, fields: Mapping[str, Variable], numbers: int = 0) -> Contents:
    """What the store of a spec's scan holds, given the landscape's fields and parameters."""
    return Contents(
        grid=spec.grid(),
        replicates=spec.replicates,
        splits=spec.splits,
        metrics=spec.measured,
        fields=fields,
        dtype=STORED_DTYPE.get(spec.compute.dtype, spec.compute.dtype),
        sharded=spec.shards is not None,
        numbers=numbers,
        descent=spec.descent,
    )
