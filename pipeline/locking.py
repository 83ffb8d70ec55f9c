"""One run at a time on a store. The lock goes with its process, however that ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from schemas.errors import StoreError


def cache_of(store: Path) -> Path:
    """The directory beside a store for what is costly to build, and for its lock."""
    return store.with_name(store.name.removesuffix(".zarr") + ".cache")


def lock_path(store: Path) -> Path:
    """The file that is locked while a run writes to a store."""
    return cache_of(store) / "lock"


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Hold the store; StoreError when another process does, or when it cannot be written."""
    path = lock_path(store)
    lock = filelock.FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise StoreError(
            f"{store}: another run is writing to it; wait for it to end, or stop it"
        ) from None
    except OSError as error:
        raise StoreError(
            f"{store}: cannot write beside it ({error.strerror}); choose another path for store"
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_locked(store: Path) -> bool:
    """Whether some process holds the store."""
    path = lock_path(store)
    if not path.exists():
        return False
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except (filelock.Timeout, OSError):
        return True
    lock.release()
    return False
