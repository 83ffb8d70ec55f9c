"""Modules from a user's own folders: kept while unchanged, told apart, and pickled whole.

Workers do not have these folders on their path. The classes and functions of every module from
them are therefore pickled by value instead of by name.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import cloudpickle  # type: ignore[import-untyped]

# By value, ours would be other classes than those the workers import; a script is so anyway.
_NEVER = frozenset({"schemas", "tasks", "pipeline", "__main__"})
_OF_THIS_PROCESS = frozenset({"__builtins__", "__cached__", "__loader__", "__spec__"})
_INSTALLED = tuple(
    {Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib", "purelib")}
)


class TravellingModule(ModuleType):
    """A module that is pickled whole, also where its functions lead back to it."""

    def __reduce__(self) -> tuple[type[ModuleType], tuple[str], dict[str, object]]:
        kept = {name: value for name, value in vars(self).items() if name not in _OF_THIS_PROCESS}
        # What is filled in after the module exists may refer to it.
        return TravellingModule, (self.__name__,), kept


@dataclass(frozen=True)
class _Loaded:
    """A user's module, its file (or the folder of a namespace package) and the content's hash.

    `root` is the folder its name is relative to; None for a file that is imported by its path.
    """

    module: ModuleType
    file: Path
    content: bytes | None
    root: Path | None


_loaded: dict[tuple[str, Path], _Loaded] = {}


@contextmanager
def importable(folders: Sequence[Path]) -> Iterator[None]:
    """The folders at the front of the path; what comes from them is pickled by value ever after."""
    _bring_in(folders)
    importlib.invalidate_caches()
    before = dict(sys.modules)
    writes_nothing = sys.dont_write_bytecode
    front = [str(folder) for folder in folders]
    sys.path[:0] = front
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes_nothing
        _keep(folders, before)
        for entry in front:
            if entry in sys.path:
                sys.path.remove(entry)


def _bring_in(folders: Sequence[Path]) -> None:
    """Only unchanged modules of these folders stay; those of others come back when it is theirs."""
    here = {key: kept for key, kept in _loaded.items() if is_below(kept.file, folders)}
    if any(_content(kept.file) != kept.content for kept in here.values()):
        for (name, file), kept in here.items():
            if sys.modules.get(name) is kept.module:
                del sys.modules[name]
            del _loaded[name, file]
    named = [(name, kept) for (name, _), kept in _loaded.items() if kept.root is not None]
    for name, kept in named:
        if sys.modules.get(name) is kept.module:
            del sys.modules[name]
    for name, kept in named:
        top = name.partition(".")[0]
        if kept.root == next((folder for folder in folders if holds(folder, top)), None):
            sys.modules.setdefault(name, kept.module)


def _keep(folders: Sequence[Path], before: Mapping[str, ModuleType]) -> None:
    for name, module in list(sys.modules.items()):
        file = source_of(module)
        if file is None or not is_below(file, folders) or name != module.__name__:
            continue
        if name.partition(".")[0] in _NEVER or _is_installed(file):
            continue
        cloudpickle.register_pickle_by_value(module)
        if type(module) is ModuleType:
            module.__class__ = TravellingModule
        if before.get(name) is not module:
            _loaded[name, file] = _Loaded(module, file, _content(file), _root(name, file))


def _root(name: str, file: Path) -> Path | None:
    """`/a` for `b.c` in `/a/b/c.py`; None where the name does not follow from the path."""
    inner = file.parent if file.name == "__init__.py" else file.with_suffix("")
    parts = tuple(name.split("."))
    return inner.parents[len(parts) - 1] if inner.parts[-len(parts) :] == parts else None


def source_of(module: ModuleType) -> Path | None:
    """The source of a module, the folder of a namespace package, or None for compiled ones."""
    known = getattr(module, "__dict__", {})
    file = known.get("__file__")
    if isinstance(file, str):
        return Path(file) if file.endswith(".py") else None
    spec = known.get("__spec__")
    if file is None and spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return None


def holds(folder: Path, top: str) -> bool:
    """Whether a module or package of that name stands in the folder."""
    return (folder / f"{top}.py").is_file() or (folder / top).is_dir()


def is_below(file: Path | None, folders: Sequence[Path]) -> bool:
    """Whether the file stands in one of the folders, however deep."""
    return file is not None and any(file.is_relative_to(folder) for folder in folders)


def _is_installed(file: Path) -> bool:
    packaged = {"site-packages", "dist-packages"} & set(file.parts)
    return bool(packaged) or is_below(file, _INSTALLED)


def _content(file: Path) -> bytes | None:
    if not file.is_file():
        return None
    return hashlib.sha256(file.read_bytes()).digest()
