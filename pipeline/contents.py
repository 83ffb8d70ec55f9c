"""What the store of a scan holds, said without zarr, so that a plan can be made quickly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from schemas.grid import Block, Grid
from schemas.layout import Variable
from schemas.scan import ScanSpec


@dataclass(frozen=True)
class Contents:
    """What a scan's store holds: enough to create it, write to it and read from it.

    `fields` are the stored functions of the coordinates alone, by name.
    """

    grid: Grid
    replicates: int
    splits: tuple[str, ...]
    metrics: tuple[str, ...]
    fields: Mapping[str, Variable]
    dtype: str
    sharded: bool

    @property
    def n_shards(self) -> int:
        """Shards of all replicates; they are numbered replicate by replicate."""
        return self.replicates * self.grid.n_shards

    @property
    def n_points(self) -> int:
        """Points of all replicates."""
        return self.replicates * self.grid.n_points

    @property
    def n_bytes(self) -> int:
        """Bytes of all variables, before compression."""
        item = np.dtype(self.dtype).itemsize
        per_point = len(self.metrics) * len(self.splits) + len(self.fields)
        return self.n_points * per_point * item

    def place(self, shard: int) -> tuple[int, Block]:
        """The replicate and the block of a shard."""
        replicate, within = divmod(shard, self.grid.n_shards)
        return replicate, self.grid.shard(within)


def scan_contents(spec: ScanSpec, fields: Mapping[str, Variable]) -> Contents:
    """What the store of a spec's scan holds, given the landscape's fields."""
    return Contents(
        grid=spec.grid(),
        replicates=spec.replicates,
        splits=spec.splits,
        metrics=spec.metrics,
        fields=fields,
        dtype=spec.compute.dtype,
        sharded=spec.shards is not None,
    )
