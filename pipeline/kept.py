"""Reports that need not be written again: what a report was made of is noted beside it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.ledger import Ledger
from pipeline.manifest import read_stored
from pipeline.report import Report
from pipeline.report.page import INDEX, Shown, inline
from schemas.layout import ANALYSIS_GROUP

_NOTE = "made-of.json"
_PACKAGES = ("schemas", "tasks", "pipeline")
_SOURCES = frozenset({".py", ".html", ".css", ".js"})
_LIBRARIES = (
    *("dask", "jinja2", "matplotlib", "networkx", "numpy", "pillow", "plotly"),
    *("scikit-learn", "scipy", "torch", "xarray", "zarr"),
)


def report_folder(store: Path) -> Path:
    """Where the report of the scan in a store is."""
    return store.with_name(store.name.removesuffix(".zarr") + ".report")


def keep(store: Path, report: Report) -> None:
    """Note what the report of a scan, which is analysed, was made of."""
    pictures = [_described(picture) for picture in report.pictures]
    note = json.dumps({"made_of": _made_of(store), "pictures": pictures}, indent=2)
    (report_folder(store) / _NOTE).write_text(note + "\n", encoding="utf-8")


def kept(store: Path) -> Report | None:
    """The report of a scan as it stands; None if it is not there, or would now be another one.

    It would be after any work on the scan, and with other code of ours or other libraries.
    """
    folder = report_folder(store)
    page = folder / INDEX
    try:
        note = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
        if note["made_of"] != _made_of(store) or not page.is_file():
            return None
        pictures = tuple(_picture(folder, described) for described in note["pictures"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Report(page, pictures) if (store / ANALYSIS_GROUP).is_dir() else None


def _described(picture: Shown) -> dict[str, Any]:
    return {name: value for name, value in asdict(picture).items() if name != "inline"}


def _picture(folder: Path, described: dict[str, Any]) -> Shown:
    content = (folder / f"{described['name']}.png").read_bytes()
    return Shown(**described, inline=inline(content))


def _made_of(store: Path) -> dict[str, str]:
    stored = read_stored(store)
    return {
        "store": str(store),
        "fingerprint": stored.fingerprint,
        "created": str(stored.attributes["created"]),
        "ledger": Ledger(store, writable=False).digest(),
        "code": _code(),
    }


@cache
def _code() -> str:
    return code_under(Path(__file__).parents[1])


def code_under(root: Path) -> str:
    """A hash of our own sources in a folder, and of the versions of what they rest on."""
    digest = hashlib.sha256()
    for path in sorted(path for name in _PACKAGES for path in (root / name).rglob("*")):
        if path.suffix in _SOURCES:
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    for name in _LIBRARIES:
        digest.update(f"{name} {version(name)}\0".encode())
    return digest.hexdigest()
