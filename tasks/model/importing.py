"""A user's own code, named in a spec as `package.module:name` or `path/to/file.py:name`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from schemas.errors import SpecError, listing, suggestion
from tasks.model.user_modules import holds, importable, is_below, source_of

_FORMS = "package.module:name or path/to/file.py:name"


def imported(reference: str, base: Path, what: str) -> Any:  # noqa: ANN401 - whatever is named
    """The object that a reference names; its module stays the same while no file changes.

    Args:
        reference: `package.module:name`, or `path/to/file.py:name` with the path relative to
            `base`; `name` may be dotted. While importing, `base`, and the file's own folder, are
            at the front of the import path.
        base: the folder that references are relative to.
        what: the field of the spec, with which error lines begin.

    Raises:
        SpecError: the reference has no colon, names nothing, or what it names cannot be imported.
    """
    place, name, folders = _parsed(reference, base.resolve(), what)
    with importable(folders):
        return _found(place, name, folders, what)


def call(
    reference: str,
    base: Path,
    what: str,
    arguments: Mapping[str, Any],
) -> Any:  # noqa: ANN401 - whatever the user's function gives
    """What the class or function that a reference names gives for these keyword arguments.

    Raises:
        SpecError: as `imported`, and when it is not callable, takes other arguments, or raises.
    """
    place, name, folders = _parsed(reference, base.resolve(), what)
    # A builder may import its neighbours only when it is called.
    with importable(folders):
        target = _found(place, name, folders, what)
        if not callable(target):
            raise SpecError(
                f"{what}: {reference} is of type {type(target).__name__}, which cannot be called; "
                "name a class or a function"
            )
        _check_arguments(target, reference, what, arguments)
        try:
            return target(**arguments)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - user code may raise anything
            told = _told(error, folders)
            raise SpecError(
                f"{what}: {reference} raised {told}; mend it or its arguments"
            ) from None


def _parsed(reference: str, base: Path, what: str) -> tuple[Path | str, str, tuple[Path, ...]]:
    """The file or the module's name, the name in it, and the folders to import from."""
    place, colon, name = reference.rpartition(":")
    if not (colon and place and all(part.isidentifier() for part in name.split("."))):
        raise SpecError(f"{what}: got {reference!r}; expected {_FORMS}{_with_colon(reference)}")
    if place.endswith(".py") or "/" in place or "\\" in place:
        file = (base / place).resolve()
        if not file.is_file():
            raise SpecError(_no_such_file(place, file, base, what))
        return file, name, tuple(dict.fromkeys((file.parent, base)))
    if not all(part.isidentifier() for part in place.split(".")):
        raise SpecError(f"{what}: got {reference!r}; {place!r} is no module's name; use {_FORMS}")
    return place, name, (base,)


def _with_colon(reference: str) -> str:
    if ":" in reference or not reference:
        return ""
    if reference.endswith(".py"):
        return f", such as '{reference}:Net'"
    module, dot, name = reference.rpartition(".")
    return f"; did you mean '{module}:{name}'?" if module and dot and name else ""


def _no_such_file(place: str, file: Path, base: Path, what: str) -> str:
    if file.is_dir():
        return f"{what}: {place} is a directory; expected a Python file, as in {_FORMS}"
    folder = file.parent if file.parent.is_dir() else base
    names = sorted(path.name for path in folder.glob("*.py"))
    there = f", where there is {listing(names)}" if names else ""
    return f"{what}: no file {place!r} in {base}{there}{suggestion(file.name, names)}"


def _found(place: Path | str, name: str, folders: Sequence[Path], what: str) -> Any:  # noqa: ANN401
    shown = place.name if isinstance(place, Path) else place
    if isinstance(place, str):
        _check_free(place, folders[0], what)
    try:
        module = _module_of_file(place) if isinstance(place, Path) else _module(place, what)
        here: Any = module
        for part in name.split("."):
            if not hasattr(here, part):
                raise SpecError(_no_such_name(shown, name, part, here, what))
            here = getattr(here, part)
    except SpecError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - user code may raise anything
        told = f"importing {shown} raised {_told(error, folders)}"
        raise SpecError(f"{what}: {told}; {_remedy(error)}") from None
    return here


def _no_such_name(shown: str, name: str, part: str, here: object, what: str) -> str:
    names = [n for n in dir(here) if not n.startswith("_")]
    own = (
        [n for n in names if getattr(vars(here).get(n), "__module__", None) == here.__name__]
        if (isinstance(here, ModuleType))
        else []
    )
    near = suggestion(part, own) or suggestion(part, names)
    has = f"; it defines {listing(own)}" if own and not near else ""
    where = shown if part == name else f"{shown}:{name}"
    return f"{what}: {where} has no {part!r}{has}{near}"


def _module(name: str, what: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if not f"{name}.".startswith(f"{missing}."):
            raise
        parent, _, last = missing.rpartition(".")
        places = list(getattr(sys.modules.get(parent), "__path__", ())) if parent else None
        near = suggestion(last, {module.name for module in pkgutil.iter_modules(places)})
        within = f" in {parent}" if parent else " beside the spec or installed"
        remedy = near or "; name a file as path/to/file.py:name"
        raise SpecError(f"{what}: no module {missing!r}{within}{remedy}") from None


def _module_of_file(file: Path) -> ModuleType:
    # The path is in the name, so that two files of one stem are two modules.
    digest = hashlib.sha256(str(file).encode()).hexdigest()[:12]
    name = f"{re.sub(r'[^0-9A-Za-z_]', '_', file.stem)}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError("it is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _check_free(name: str, base: Path, what: str) -> None:
    """Refuse a module of the user's whose name an imported one from elsewhere has taken."""
    top = name.partition(".")[0]
    module = sys.modules.get(top)
    if module is None or not holds(base, top) or is_below(source_of(module), (base,)):
        return
    raise SpecError(
        f"{what}: the name {top!r} is taken by {source_of(module) or 'a module of Python'}; "
        f"name the file instead, as {name.replace('.', '/')}.py:name"
    )


def _check_arguments(
    target: Any,  # noqa: ANN401 - any callable
    reference: str,
    what: str,
    arguments: Mapping[str, Any],
) -> None:
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError):
        return  # Some compiled callables do not tell; their own complaint will have to do.
    try:
        signature.bind(**arguments)
    except TypeError as error:
        takes = f"it takes {str(signature).partition(' -> ')[0]}"
        unknown = [name for name in arguments if name not in signature.parameters]
        if not unknown:
            raise SpecError(f"{what}: {reference}: {error}; {takes}") from None
        near = suggestion(unknown[0], signature.parameters)
        raise SpecError(
            f"{what}: {reference} has no argument {unknown[0]!r}; {takes}{near}"
        ) from None


def _told(error: BaseException, folders: Sequence[Path]) -> str:
    """`NameError: name 'x' is not defined (nets.py, line 3)`: the place is the user's own."""
    if isinstance(error, SyntaxError) and error.filename:
        text, place = error.msg, f" ({Path(error.filename).name}, line {error.lineno})"
    else:
        text, place = str(error), ""
        for frame in traceback.extract_tb(error.__traceback__):
            if is_below(Path(frame.filename), folders):
                place = f" ({Path(frame.filename).name}, line {frame.lineno})"
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")[:200]
    return type(error).__name__ + (f": {first}" if first else "") + place


def _remedy(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return "install it, or put it beside the spec"
    if isinstance(error, ImportError) and "relative import" in str(error):
        return "name it as package.module:name"
    if isinstance(error, SystemExit):
        return "put what is to run as a script under if __name__ == '__main__':"
    return "mend the file"
