"""Arrays from .npy, .npz and .safetensors files. Nothing in them is ever unpickled."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from torch import Tensor

from schemas.errors import SpecError, suggestion
from tasks.sources.convert import as_tensor, chosen_pair
from tasks.sources.kinds import ArraySource, FileSource
from tasks.sources.rows import Rows, tensor_rows

# What numpy raises for a file that is cut off, damaged, or of another kind.
_UNREADABLE = (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error)


def file_rows(source: FileSource, base: Path, what: str) -> Rows:
    """Named arrays of one file.

    Raises:
        SpecError: no such file, of another kind, damaged, or without such arrays.
    """
    path = existing(base / source.file, f"{what}.file")
    if path.suffix == ".npz":
        return _npz_rows(source, path, what)
    if path.suffix == ".safetensors":
        return _safetensors_rows(source, path, what)
    if path.suffix == ".npy":
        raise SpecError(
            f"{what}.file: {path.name} holds one array without a name; "
            f"write inputs: {source.file} instead, and targets: beside it"
        )
    raise SpecError(
        f"{what}.file: got {path.name}; expected .npz or .safetensors; save the arrays with "
        "numpy.savez(file, x=…, y=…)"
    )


def array_rows(source: ArraySource, base: Path, what: str) -> Rows:
    """Arrays of one .npy file each, mapped into memory: only what is used is read.

    Raises:
        SpecError: no such file, of another kind, or damaged.
    """
    inputs = _mapped(base / source.inputs, f"{what}.inputs")
    targets = None if source.targets is None else _mapped(base / source.targets, f"{what}.targets")
    return tensor_rows(inputs, targets, what)


def array_names(path: Path, what: str) -> list[str]:
    """Names of the arrays in a .npz or .safetensors file.

    Raises:
        SpecError: no such file, or damaged.
    """
    try:
        if existing(path, what).suffix == ".safetensors":
            with safe_open(path, framework="pt") as archive:
                return list(archive.keys())
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (SafetensorError, *_UNREADABLE) as error:
        raise _unreadable(error, path, what) from None


def existing(path: Path, what: str) -> Path:
    """The path of a file; SpecError, with the nearest of its neighbours, if there is none."""
    if path.is_dir():
        raise SpecError(f"{what}: {path} is a directory; expected a file")
    if not path.is_file():
        near = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise SpecError(f"{what}: no file {path}{suggestion(path.name, near)}")
    return path


def _mapped(path: Path, what: str) -> Tensor:
    existing(path, what)
    if path.suffix != ".npy":
        raise SpecError(
            f"{what}: got {path.name}; expected a .npy file; name a .npz or .safetensors file "
            "with file:"
        )

    def read() -> npt.NDArray[np.generic]:
        array: npt.NDArray[np.generic] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array

    return _tensor(read, path, what)


def _npz_rows(source: FileSource, path: Path, what: str) -> Rows:
    with path.open("rb") as file:
        try:
            archive = np.load(file, allow_pickle=False)
        except _UNREADABLE as error:
            raise _unreadable(error, path, f"{what}.file") from None
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise SpecError(f"{what}.file: {path.name} is a .npy file by its content; rename it")
        inputs, targets = chosen_pair(archive.files, source.inputs, source.targets, what)

        def read(name: str, field: str) -> Tensor:
            return _tensor(lambda: archive[name], path, f"{what}.{field}")

        second = None if targets is None else read(targets, "targets")
        return tensor_rows(read(inputs, "inputs"), second, what)


def _safetensors_rows(source: FileSource, path: Path, what: str) -> Rows:
    try:
        with safe_open(path, framework="pt") as archive:
            inputs, targets = chosen_pair(archive.keys(), source.inputs, source.targets, what)
            second = None if targets is None else archive.get_tensor(targets)
            return tensor_rows(archive.get_tensor(inputs), second, what)
    except (SafetensorError, OSError) as error:
        raise _unreadable(error, path, f"{what}.file") from None


def _tensor(read: Callable[[], npt.NDArray[np.generic]], path: Path, what: str) -> Tensor:
    try:
        array = read()
    except _UNREADABLE as error:
        raise _unreadable(error, path, what) from None
    return as_tensor(array, what)


def _unreadable(error: Exception, path: Path, what: str) -> SpecError:
    told = str(error)
    if "pickle" in told or "Python object" in told or "Object array" in told:
        # numpy takes any file without its own first bytes for a pickle.
        with path.open("rb") as file:
            if not file.read(2).startswith((b"\x93N", b"PK", b"\x80")):
                return SpecError(f"{what}: {path.name} is no file of numpy's; save it again")
        return SpecError(
            f"{what}: {path.name} holds Python objects, which are never unpickled; save arrays of "
            "numbers"
        )
    first = told.split("\n")[0]
    return SpecError(f"{what}: {path.name} cannot be read ({first}); save it again")
