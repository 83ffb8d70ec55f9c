"""Check a store: every checksum, and random points against the reference evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.engine.reference import evaluate_reference
from pipeline.ledger import Ledger
from pipeline.locking import locked
from pipeline.manifest import StoredScan, read_stored
from pipeline.points import scan_points
from pipeline.rebuilding import rebuilt
from pipeline.store import RegionFile
from schemas.layout import ShardStatus
from tasks.landscape import Landscape
from tasks.registry import Progress, silent

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
"""Greatest relative difference from the reference evaluation, by the scan's dtype."""
_BFLOAT16_FACTOR, _BFLOAT16_ERROR = 10, 0.005
"""A scan in bfloat16 is held to a multiple of the error that it measured on a few points, or
of a typical one where its driver had none of the workers' devices to measure it on."""


@dataclass(frozen=True)
class Verification:
    """What a check of a store found.

    Attributes:
        checked: shards whose checksums were compared.
        damaged: shards that do not hold what was written; they are pending again.
        spot_checks: points evaluated again by the reference; 0 when the landscape cannot be
            built again from its spec.
        worst_difference: greatest relative difference among them.
        tolerance: what is allowed of it.
    """

    checked: int
    damaged: tuple[int, ...]
    spot_checks: int
    worst_difference: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged and every spot check agrees."""
        return not self.damaged and self.worst_difference <= self.tolerance

    def as_json(self) -> dict[str, Any]:
        """Plain values for `cartograd verify --json`."""
        return {
            "ok": self.ok,
            "checked": self.checked,
            "damaged": list(self.damaged),
            "spot_checks": self.spot_checks,
            "worst_difference": self.worst_difference,
            "tolerance": self.tolerance,
        }


def verify(
    store: str | Path, *, points: int = 32, seed: int = 0, display: Progress = silent
) -> Verification:
    """Compare every finished shard with its checksums, and random points with the reference.

    Damaged shards are noted in the ledger, so that continuing the scan computes them again.

    Args:
        store: path of the store.
        points: random points to evaluate again, in float64, one by one.
        seed: seed of their choice.
        display: is told of progress.

    Raises:
        StoreError: there is no scan, or another run is writing to it.
    """
    path = Path(store)
    stored = read_stored(path)
    with locked(path):
        ledger = Ledger(path)
        regions = RegionFile(path, stored.contents)
        damaged = _damaged(ledger, regions, display)
        sound = list(ledger.shards(ShardStatus.DONE))
        landscapes = rebuilt(path, stored, display) if sound else []
        checks, worst = 0, 0.0
        if landscapes:
            checks = points
            worst = _worst_difference(stored, regions, sound, landscapes, points, seed)
    tolerance = TOLERANCE[stored.contents.dtype]
    if stored.engine.dtype == "bfloat16":
        tolerance = _BFLOAT16_FACTOR * float(
            stored.attributes.get("bfloat16_error", _BFLOAT16_ERROR)
        )
    return Verification(len(sound) + len(damaged), damaged, checks, worst, tolerance)


def _damaged(ledger: Ledger, regions: RegionFile, display: Progress) -> tuple[int, ...]:
    damaged = []
    total = ledger.counts().done
    for position, written in enumerate(ledger.reports(ShardStatus.DONE)):
        try:
            _, checksum = regions.read(written.shard)
            problem = "" if checksum == written.checksum else "the checksum differs"
        except (ValueError, RuntimeError, OSError) as error:
            problem = str(error).splitlines()[0]
        if problem:
            damaged.append(replace(written, status=ShardStatus.DAMAGED, error=problem))
        display("verifying shards", position + 1, total)
    for report in damaged:
        ledger.record(report)
    ledger.flush()
    return tuple(report.shard for report in damaged)


def _worst_difference(
    stored: StoredScan,
    regions: RegionFile,
    shards: list[int],
    landscapes: list[Landscape],
    points: int,
    seed: int,
) -> float:
    """Greatest relative difference of the stored loss from the reference at random points."""
    contents, where = stored.contents, scan_points(stored.spec)
    random = np.random.default_rng(seed)
    worst = 0.0
    for shard in random.choice(shards, size=points):
        replicate, block = contents.place(int(shard))
        at = int(random.integers(block.size))
        landscape = landscapes[replicate]
        point = where.of(landscape, replicate, block, at, at + 1)
        expected = evaluate_reference(landscape, point, contents.splits, ("loss",))
        held = regions.read(int(shard))[0]["loss"].reshape(len(contents.splits), -1)[:, at]
        worst = max(worst, relative_difference(held, expected["loss"][:, 0]))
    return worst


def relative_difference(stored: npt.NDArray[Any], expected: npt.NDArray[np.float64]) -> float:
    """Greatest |stored − expected| / |expected|; infinite unless non-finite values are the same."""
    stored = np.asarray(stored, dtype=np.float64)
    finite = np.isfinite(expected)
    if not np.array_equal(stored[~finite], expected[~finite], equal_nan=True):
        return np.inf
    difference = np.abs(stored[finite] - expected[finite])
    scale = np.abs(expected[finite])
    relative = np.divide(difference, scale, out=difference.copy(), where=scale > 0)
    return float(relative.max(initial=0.0))
