"""Specs from YAML files, with overrides from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from schemas.errors import SpecError
from schemas.scan import ScanSpec, parse_spec


def load_spec(path: Path, overrides: tuple[str, ...] = ()) -> ScanSpec:
    """The spec in a YAML file, with `key.path=value` overrides; SpecError when it is wrong.

    Values of overrides are read as YAML. A store is named after the file when the spec names none.
    """
    raw = _read_yaml(path)
    if isinstance(raw, dict):
        for text in overrides:
            _override(raw, text)
        if raw.get("store") is None:
            raw["store"] = f"{path.stem}.zarr"
    return parse_spec(raw, str(path))


def _read_yaml(path: Path) -> object:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file; give the path of a YAML spec") from None
    except IsADirectoryError:
        raise SpecError(f"{path}: is a directory; give the path of a YAML spec") from None
    except UnicodeDecodeError:
        raise SpecError(f"{path}: is not UTF-8 text; give the path of a YAML spec") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    try:
        # A SafeLoader, but one that refuses repeated keys.
        return yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "cannot be parsed"
        raise SpecError(f"{path}: not valid YAML{where}: {problem}; mend the file") from None


class _UniqueKeyLoader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _override(raw: dict[str, Any], text: str) -> None:
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise SpecError(f"--set {text!r}: expected key=value, such as compute.workers=2")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        raise SpecError(f"--set {text!r}: the value is not valid YAML; quote it") from None
    *parents, last = key.strip().split(".")
    place = raw
    for name in parents:
        below = place.setdefault(name, {})
        if not isinstance(below, dict):
            raise SpecError(
                f"--set {text!r}: {name} holds {below!r}, not a mapping; set {name} as a whole"
            )
        place = below
    place[last] = parsed
