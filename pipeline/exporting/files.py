"""Where an export goes, and files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import InputError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path to write to, of the same suffix; on success it takes the place of `path`.

    What stood at `path` is kept until then.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
            partial = Path(folder) / path.name
            yield partial
            os.replace(partial, path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); choose another path for out"
        ) from None


def sibling(path: Path, ending: str) -> Path:
    """The path with `-ending` after its stem, as it may stand in a file name."""
    safe = "".join(char if char.isalnum() or char in "._-" else "_" for char in ending)
    return path.with_name(f"{path.stem}-{safe}{path.suffix}")
