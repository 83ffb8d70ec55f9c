"""The ledger: what became of each shard, as arrays in the scan's own store.

The driver alone writes it. Blocks of it are held only while shards in them are under way, so
millions of shards cost no memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import zarr

from pipeline.store import Location, zarr_target
from schemas.layout import LEDGER_CHUNK, LEDGER_COLUMNS, LEDGER_GROUP, LEDGER_TEXTS, ShardStatus

_COLUMNS = (*LEDGER_COLUMNS, *LEDGER_TEXTS)


@dataclass(frozen=True)
class ShardReport:
    """What a worker, or the executor in its place, says of one shard."""

    shard: int
    status: ShardStatus
    attempts: int
    seconds: float = 0.0
    checksum: int = 0
    worker: int = -1
    error: str = ""
    nonfinite: int = 0
    engine: str = ""


@dataclass(frozen=True)
class Counts:
    """Shards by what became of them; damaged ones are pending again.

    `nonfinite` counts losses that are NaN or infinite; they are results like any other.
    """

    done: int
    failed: int
    pending: int
    nonfinite: int = 0


class Ledger:
    """Reads and writes the ledger of a store."""

    def __init__(self, location: Location, *, writable: bool = True) -> None:
        mode: Literal["r", "r+"] = "r+" if writable else "r"
        self._group = zarr.open_group(
            zarr_target(location), path=LEDGER_GROUP, mode=mode, use_consolidated=False
        )
        self._length = int(self._column("status").shape[0])
        self._held: dict[int, dict[str, npt.NDArray[Any]]] = {}
        self._dirty: set[int] = set()

    def __len__(self) -> int:
        return self._length

    def record(self, report: ShardReport) -> None:
        """Note a report; it is stored at the next flush."""
        block, at = divmod(report.shard, LEDGER_CHUNK)
        columns = self._block(block)
        for name in _COLUMNS:
            columns[name][at] = getattr(report, name)
        self._dirty.add(block)

    def flush(self) -> None:
        """Store what was noted, the status last, and let go of blocks that are complete."""
        for block in sorted(self._dirty):
            start = block * LEDGER_CHUNK
            columns = self._held[block]
            for name in reversed(_COLUMNS):
                self._column(name)[start : start + len(columns[name])] = columns[name]
            if np.all(columns["status"] == ShardStatus.DONE):
                del self._held[block]
        self._dirty.clear()

    def unfinished(self) -> Iterator[int]:
        """Shards that are not done, in order; statuses are read block by block."""
        for block in range(-(-self._length // LEDGER_CHUNK)):
            status = self._statuses(block)
            for at in np.flatnonzero(status != ShardStatus.DONE):
                yield block * LEDGER_CHUNK + int(at)

    def counts(self) -> Counts:
        """How many shards are done, failed and pending."""
        done = failed = nonfinite = 0
        for block in range(-(-self._length // LEDGER_CHUNK)):
            status = self._statuses(block)
            done += int(np.count_nonzero(status == ShardStatus.DONE))
            failed += int(np.count_nonzero(status == ShardStatus.FAILED))
            nonfinite += int(self._values("nonfinite", block).sum(dtype=np.int64))
        return Counts(done, failed, self._length - done - failed, nonfinite)

    def digest(self) -> str:
        """A hash of what became of the shards; after any work on one it is another."""
        digest = hashlib.sha256()
        for block in range(-(-self._length // LEDGER_CHUNK)):
            for column in ("status", "seconds", "checksum"):
                digest.update(self._values(column, block).tobytes())
        return digest.hexdigest()

    def shards(self, status: ShardStatus) -> Iterator[int]:
        """Shards of that status, in order."""
        for block in range(-(-self._length // LEDGER_CHUNK)):
            for at in np.flatnonzero(self._statuses(block) == status):
                yield block * LEDGER_CHUNK + int(at)

    def reports(self, status: ShardStatus) -> Iterator[ShardReport]:
        """What the ledger holds of the shards of that status, in order, block by block."""
        for block in range(-(-self._length // LEDGER_CHUNK)):
            columns = self._held.get(block) or self._stored(block)
            for at in np.flatnonzero(columns["status"] == status):
                yield _report(block * LEDGER_CHUNK + int(at), columns, int(at))

    def _statuses(self, block: int) -> npt.NDArray[Any]:
        return self._values("status", block)

    def _values(self, column: str, block: int) -> npt.NDArray[Any]:
        if block in self._held:
            return self._held[block][column]
        start = block * LEDGER_CHUNK
        return np.asarray(self._column(column)[start : start + LEDGER_CHUNK])

    def _block(self, block: int) -> dict[str, npt.NDArray[Any]]:
        if block not in self._held:
            self._held[block] = self._stored(block)
        return self._held[block]

    def _stored(self, block: int) -> dict[str, npt.NDArray[Any]]:
        start = block * LEDGER_CHUNK
        return {
            name: np.array(self._column(name)[start : start + LEDGER_CHUNK]) for name in _COLUMNS
        }

    def _column(self, name: str) -> zarr.Array[Any]:
        array = self._group[name]
        if not isinstance(array, zarr.Array):
            raise TypeError(f"ledger/{name} is not an array")
        return array


def _report(shard: int, columns: dict[str, npt.NDArray[Any]], at: int) -> ShardReport:
    return ShardReport(
        shard=shard,
        status=ShardStatus(int(columns["status"][at])),
        attempts=int(columns["attempts"][at]),
        seconds=float(columns["seconds"][at]),
        checksum=int(columns["checksum"][at]),
        worker=int(columns["worker"][at]),
        error=str(columns["error"][at]),
        nonfinite=int(columns["nonfinite"][at]),
        engine=str(columns["engine"][at]),
    )
