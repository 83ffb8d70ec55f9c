"""The landscapes of a stored scan, built again."""

from __future__ import annotations

from pathlib import Path

from pipeline.building import build_landscapes
from pipeline.locking import cache_of
from pipeline.manifest import StoredScan, check_same_landscapes
from tasks import TASKS
from tasks.landscape import Landscape
from tasks.registry import Progress


def rebuilt(store: Path, stored: StoredScan, display: Progress) -> list[Landscape]:
    """One for each replicate; none when the scan was of a module given in memory.

    Raises:
        StoreMismatch: they are no longer those that were scanned.
    """
    if stored.spec.task not in TASKS:
        return []
    landscapes = build_landscapes(stored.spec, stored.base, cache=cache_of(store), display=display)
    check_same_landscapes(store, stored, landscapes)
    return landscapes
