"""A stored scan in the formats of others: VTK for ParaView, CSV, figures, one interactive page."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.exporting.selection import Selection, select
from schemas.errors import SpecError, listing, suggestion
from schemas.layout import STARTS


@dataclass(frozen=True)
class Format:
    """How a format is written, as `module:function` that is imported when it is asked for.

    Attributes:
        check: refuses a selection that the format cannot hold.
        write: writes the selection to a path; returns the files.
        ending: what the store's name gets in place of `.zarr`.
        of_grid: whether it shows a grid, which a multi-start scan does not have.
    """

    check: str
    write: str
    ending: str
    of_grid: bool = False


FORMATS: Mapping[str, Format] = {
    "vti": Format("paraview:check_image", "paraview:write_image", ".vti", of_grid=True),
    "vtr": Format("paraview:check_rectilinear", "paraview:write_rectilinear", ".vtr", of_grid=True),
    "vtp": Format("surfaces:check", "surfaces:write", ".vtp", of_grid=True),
    "csv": Format("table:check", "table:write", ".csv"),
    "html": Format("pictures:check", "pictures:write_page", ".html", of_grid=True),
    "png": Format("pictures:check", "pictures:write_figures", ".figures"),
    "safetensors": Format("directions:check", "directions:write", ".safetensors"),
}
"""Every format, by the name it is asked for."""
DEFAULT = "html"


@dataclass(frozen=True)
class Exported:
    """The files that were written, and what of the scan they hold.

    Attributes:
        files: their paths.
        held: the axes of a single point, among them those that were asked to be held, and where.
        missing: shards of the scan that are not computed; of `shards`.
    """

    files: tuple[Path, ...]
    held: Mapping[str, float]
    missing: int
    shards: int

    def as_json(self) -> dict[str, Any]:
        """Plain values for `cartograd export --json`."""
        return {
            "files": [str(file) for file in self.files],
            "held": dict(self.held),
            "shards": {"missing": self.missing, "all": self.shards},
        }


def export(
    store: str | Path,
    out: str | Path | None = None,
    *,
    format: str | Sequence[str] | None = None,  # noqa: A002 - the word the command line has
    replicate: int | None = None,
    at: Mapping[str, float] | None = None,
) -> Exported:
    """Write a scan in one or several formats; what stands there already is replaced.

    * `vti`, `vtr`: a grid of up to 3 axes for ParaView, every variable as point data; `vti` needs
      equally spaced axes.
    * `vtp`: the loss over 2 axes raised to height, `NAME-SPLIT.vtp`, and the trajectories.
    * `csv`: a row for each point, streamed; of every replicate unless one is chosen.
    * `html`: one self-contained interactive page.
    * `png`: the report's figures, in a folder.
    * `safetensors`: the origin and the directions, by parameter, to be used again.

    A multi-start scan can be written as csv, a row for each start, as png, and its origin as
    safetensors.

    Points that are not computed are NaN, `computed` = 0 (VTK), empty (CSV) or gaps.

    Args:
        store: path of the scan.
        out: a file of the format's ending, or a folder, in which files are named after the store
            and PNG figures after themselves. By default beside the store.
        format: by default that of `out`'s ending, else html.
        replicate: which one; by default the first.
        at: axis → coordinate at which to hold it; the grid's nearest one is taken.

    Raises:
        StoreError: there is no scan in the store.
        SpecError: an unknown format, replicate or axis, or a scan the format cannot hold. All
            formats are checked before any is written.
        InputError: an optional package is missing, or `out` cannot be written.
    """
    path = Path(store)
    names = _formats(format, None if out is None else Path(out))
    targets = {name: _target(path, name, out, alone=len(names) == 1) for name in names}
    selection = select(path, replicate=replicate, at=at)
    for name in names:
        if FORMATS[name].of_grid and selection.root.attrs.get("section") == STARTS:
            raise SpecError(
                f"format: {name} shows a grid, and the scan is of starts; expected csv or png"
            )
        check: Callable[[Selection], None] = _function(FORMATS[name].check)
        check(selection)
    files: list[Path] = []
    for name in names:
        write: Callable[[Selection, Path], list[Path]] = _function(FORMATS[name].write)
        files += write(selection, targets[name])
    return Exported(tuple(files), selection.held, selection.missing, selection.done.size)


def _formats(asked: str | Sequence[str] | None, out: Path | None) -> list[str]:
    if not asked:
        ending = out.suffix.removeprefix(".") if out else ""
        return [ending if ending in FORMATS else DEFAULT]
    names = list(dict.fromkeys([asked] if isinstance(asked, str) else asked))
    for name in names:
        if name not in FORMATS:
            raise SpecError(
                f"format: got {name!r}; expected one of {listing(FORMATS)}"
                f"{suggestion(name, FORMATS)}"
            )
    return names


def _target(store: Path, name: str, out: str | Path | None, *, alone: bool) -> Path:
    stem, ending = store.name.removesuffix(".zarr"), FORMATS[name].ending
    if out is None:
        return store.with_name(stem + ending)
    path = Path(out)
    if path.resolve().is_relative_to(store.resolve()):
        raise SpecError(f"out: {path} is within the store; choose a path outside of {store}")
    if path.is_dir() or path.suffix.removeprefix(".") not in FORMATS:
        return path if name == "png" and alone else path / (stem + ending)
    if alone and path.suffix == ending:
        return path
    raise SpecError(
        f"out: got {path} for {name}; expected a folder"
        + (f", or a file that ends in {ending}" if alone and name != "png" else "")
    )


def _function(place: str) -> Any:  # noqa: ANN401 - each caller says which function it is
    module, _, function = place.partition(":")
    return getattr(importlib.import_module(f"pipeline.exporting.{module}"), function)


__all__ = ["FORMATS", "Exported", "Format", "export"]
