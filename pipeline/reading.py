"""Open a store as xarray, and say how far its scan has come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from pipeline.ledger import Counts, Ledger
from pipeline.locking import is_locked
from pipeline.manifest import read_stored
from schemas.errors import StoreError

_SMALL = 2**24
"""Bytes of the variables of a scan below which reading it needs no Dask."""


@dataclass(frozen=True)
class Status:
    """How far a scan has come: complete, running, failed (some shards) or incomplete."""

    state: str
    points: int
    counts: Counts

    def as_json(self) -> dict[str, Any]:
        """Plain values for `cartograd status --json`."""
        counts = self.counts
        shards = {"done": counts.done, "failed": counts.failed, "pending": counts.pending}
        return {
            "state": self.state,
            "points": self.points,
            "shards": shards,
            "nonfinite": counts.nonfinite,
        }


def open_scan(store: str | Path) -> xr.DataTree:
    """The scan in a store: its variables at the root, `analysis`, `descent` and `ledger` below.

    Arrays are lazy, one Dask chunk for each stored chunk. StoreError when there is no scan.
    """
    path = Path(store)
    read_stored(path)
    return _opened(path, chunks={})


def read_scan(store: str | Path) -> xr.DataTree:
    """As `open_scan`, to be read rather than computed with: of a small scan without Dask.

    Values are then kept once they are read, in a fraction of the time.
    """
    path = Path(store)
    return _opened(path, chunks=None if read_stored(path).contents.n_bytes <= _SMALL else {})


def _opened(path: Path, chunks: dict[str, int] | None) -> xr.DataTree:
    try:
        return xr.open_datatree(path, engine="zarr", chunks=chunks)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"{path}: cannot be opened ({reason}); restore its metadata") from None


def status(store: str | Path) -> Status:
    """How far the scan in a store has come; StoreError when there is none."""
    path = Path(store)
    stored = read_stored(path)
    counts = Ledger(path, writable=False).counts()
    if not counts.failed and not counts.pending:
        state = "complete"
    elif is_locked(path):
        state = "running"
    else:
        state = "failed" if counts.failed and not counts.pending else "incomplete"
    return Status(state, stored.contents.n_points, counts)
