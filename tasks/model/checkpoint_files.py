"""Files of trained tensors, read without running anything that is in them.

What kind of file it is follows from its first bytes; a file named .safetensors must be one.
"""

from __future__ import annotations

import io
import json
import pickletools
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from schemas.errors import SpecError, listing, suggestion

_INDEX = ".index.json"
_PICKLE = b"\x80"
# torch.save's older format: a magic number, a version, the machine, and then the object.
_LEGACY_PICKLES = 4
# RuntimeError is zipfile's word for encryption, ValueError pickletools' for damage.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError)
_SAVE = "save the weights alone: torch.save(model.state_dict(), 'weights.pt')"


def checkpoint_content(path: Path, shown: str, what: str) -> object:
    """What a file holds: nested containers of tensors, numbers and text, on the CPU.

    Tensors may share memory with the file. `shown` is the path as error lines name it.

    Raises:
        SpecError: there is no such file, it is of another kind or damaged, or it can only be read
            by running code that it brings along.
    """
    path = _one_file(path, shown, what)
    if path.name.endswith(_INDEX):
        return _sharded(path, shown, what)
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise SpecError(f"{what}: {shown} cannot be read ({error.strerror})") from None
    if start[8:] == b"{":
        return _safetensors(path, shown, what)
    if path.suffix == ".safetensors":
        kind = "a pickle" if start[:1] == _PICKLE else "a zip file" if start[:2] == b"PK" else ""
        found = f"; it is {kind}" if kind else ""
        raise SpecError(
            f"{what}: {shown} is no safetensors file{found}; write it with safetensors.torch."
            "save_file, or give it the ending of what it is"
        )
    if start[:2] == b"PK":
        return _zipped(path, shown, what)
    if start[:1] == _PICKLE:
        return _loaded(path, False, shown, what)
    empty = "is empty" if not start else "was written neither by torch.save nor by safetensors"
    raise SpecError(f"{what}: {shown} {empty}; {_SAVE}")


def _one_file(path: Path, shown: str, what: str) -> Path:
    if path.is_dir():
        for pattern in (f"*.safetensors{_INDEX}", "*.safetensors"):
            found = sorted(path.glob(pattern))
            if len(found) == 1:
                return found[0]
        names = sorted(file.name for file in path.iterdir())
        raise SpecError(
            f"{what}: {shown} is a directory ({listing(names, 6) or 'empty'}); name a file in it"
        )
    if not path.is_file():
        beside = [file.name for file in path.parent.glob("*")] if path.parent.is_dir() else []
        raise SpecError(f"{what}: no file {shown!r}{suggestion(path.name, beside)}")
    return path


def _safetensors(path: Path, shown: str, what: str) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise SpecError(_damaged(shown, error, what)) from None


def _sharded(path: Path, shown: str, what: str) -> dict[str, Tensor]:
    """The tensors of several files, as the index says: {"weight_map": {name: file}}."""
    try:
        places = json.loads(path.read_bytes())["weight_map"]
    except (ValueError, RecursionError, KeyError, TypeError):
        places = None
    if not isinstance(places, dict) or not all(isinstance(p, str) for p in places.values()):
        raise SpecError(
            f"{what}: {shown} is no index of tensors; expected "
            '{"weight_map": {name: file}}; name the file itself'
        )
    tensors: dict[str, Tensor] = {}
    for name in sorted(set(places.values())):
        if Path(name).name != name or name.endswith(_INDEX):
            raise SpecError(f"{what}: {shown} names {name!r}; expected a file beside it")
        content = checkpoint_content(path.parent / name, name, what)
        if not isinstance(content, Mapping):
            raise SpecError(f"{what}: {name} holds no tensors by name; expected those of {shown}")
        for key in (key for key, place in places.items() if place == name):
            if not isinstance(content.get(key), Tensor):
                raise SpecError(f"{what}: {name} has no tensor {key!r}, which {shown} puts there")
            tensors[key] = content[key]
    return tensors


def _zipped(path: Path, shown: str, what: str) -> object:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            kind = _other_kind([entry.filename for entry in entries])
            flipped = None if kind else _flipped(archive, entries)
    except _UNREADABLE as error:
        raise SpecError(_damaged(shown, error, what)) from None
    if kind:
        raise SpecError(f"{what}: {shown} is {kind}; {_SAVE}")
    if flipped:
        raise SpecError(
            f"{what}: {shown} is damaged: {flipped} in it does not have its checksum; copy it again"
        )
    # Mapped memory is taken as it stands, packed or not.
    mapped = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    return _loaded(path, mapped, shown, what)


def _other_kind(names: list[str]) -> str:
    if any(name.endswith("/constants.pkl") for name in names):
        return "a TorchScript program, not a state dict"
    if not any(name.endswith("/data.pkl") for name in names):
        numpy = any(name.endswith(".npy") for name in names)
        return "a NumPy archive" if numpy else "a zip file that torch.save did not write"
    return ""


def _flipped(archive: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo]) -> str | None:
    """The first entry whose bytes are not those that were written; torch never checks."""
    for info in entries:
        if info.CRC == 0:
            continue  # As torch.serialization.set_crc32_options(False) has it.
        try:
            with archive.open(info) as entry:
                while entry.read(2**20):
                    pass
        except zipfile.BadZipFile:
            return info.filename
    return None


def _loaded(path: Path, mapped: bool, shown: str, what: str) -> object:
    try:
        with warnings.catch_warnings():
            # About formats of which the errors say more.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # noqa: BLE001 - a damaged file makes torch raise anything
        complaint = error
    named = list(_globals_named(path))
    strange = [name for name in named if name.partition(".")[0] not in ("torch", "collections")]
    refused = list(dict.fromkeys((*re.findall(r"GLOBAL (\S+)", str(complaint)), *strange)))
    if not refused and "Unsupported operand" in str(complaint):
        raise SpecError(
            f"{what}: {shown} is a pickle of another protocol than 2, which torch.save uses unless "
            f"told otherwise; {_SAVE}"
        )
    if not refused:
        raise SpecError(_damaged(shown, complaint, what))
    if any(name.startswith("torch.nn.modules.") for name in named):
        raise SpecError(
            f"{what}: {shown} holds a whole model ({refused[0]}), and only code could bring it "
            f"back to life; where it can be loaded, {_SAVE}"
        )
    raise SpecError(
        f"{what}: {shown} holds Python objects ({listing(refused, 3)}) beside tensors, numbers and "
        f"text, and only code that it names could read them; {_SAVE}"
    )


def _globals_named(path: Path) -> Iterator[str]:
    """The functions and classes that a file's pickles ask for, read without running them."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    if name.endswith("/data.pkl"):
                        yield from _globals_of(io.BytesIO(archive.read(name)))
        else:
            with path.open("rb") as file:
                for _ in range(_LEGACY_PICKLES):
                    yield from _globals_of(file)
    # A damaged length may ask for more memory than there is.
    except (*_UNREADABLE, EOFError, MemoryError, OverflowError):
        return  # What was found before the damage is enough for the error line.


def _globals_of(stream: BinaryIO) -> Iterator[str]:
    words, memo = ["", ""], list[str | None]()
    last: str | None = None
    for code, argument, _ in pickletools.genops(stream):
        if code.name == "MEMOIZE":
            memo.append(last)
            continue
        last = argument if isinstance(argument, str) else None
        if code.name == "GLOBAL":
            yield str(argument).replace(" ", ".")
        elif code.name == "STACK_GLOBAL":
            yield ".".join(words)
        elif code.name in ("BINGET", "LONG_BINGET") and int(argument or 0) < len(memo):
            last = memo[int(argument or 0)]
        words = [words[1], last] if last is not None else words


def _damaged(shown: str, error: Exception, what: str) -> str:
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:120]
    told = type(error).__name__ + (f": {first}" if first else "")
    return f"{what}: {shown} is damaged, or of another kind ({told}); copy it again, or {_SAVE}"
