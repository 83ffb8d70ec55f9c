"""The page of a study, one self-contained HTML file: verdicts, controls, tables, figures, scans."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import xarray as xr

from pipeline.report import study_figures, study_surfaces, study_tables
from pipeline.report.page import Report, Shown, render, save, verdict_line, write_page
from schemas.scan import ScanSpec
from schemas.study import Study, Verdict

Place: TypeAlias = tuple[str, int]
"""A figure or a table of a page: which of the two, and its number."""


@dataclass(frozen=True)
class StudiedScan:
    """A scan of a study: as it is stored, analysed, and where its own report is."""

    store: Path
    tree: xr.DataTree
    report: Report


@dataclass(frozen=True)
class StudyPage:
    """A study's page, where on it the figures and tables are, and the picture that stands for it.

    `places` maps the name that a claim has for a figure or a table to its kind and number:
    `("figure", 3)` is at `#figure-3`. `cover` and its place are None where there is no picture.
    """

    path: Path
    places: Mapping[str, Place]
    cover: Shown | None
    cover_place: Place | None


@dataclass(frozen=True)
class _Numbered:
    """A figure of the page: a picture, its number, and the scan whose report has it as well."""

    number: int
    shown: Shown
    scan: str | None


def write_study_report(
    study: Study,
    verdicts: Sequence[Verdict],
    scans: Mapping[str, StudiedScan],
    out: Path,
    *,
    command: str,
) -> StudyPage:
    """Write `out/index.html`, and beside it the study's figures as PNG and its tables as CSV.

    Claims come first, controls after them. The figures are the study's own and those of the scans
    that a claim or the cover names. `command` is what runs the study again.

    Raises:
        ValueError: what a table or a figure makes of the scans does not fit together.
    """
    out.mkdir(parents=True, exist_ok=True)
    trees = {name: scan.tree for name, scan in scans.items()}
    tables = {
        name: study_tables.make(name, table, trees, out) for name, table in study.tables.items()
    }
    figures = _figures(study, scans, out)
    places: dict[str, Place] = {
        name: ("table", place) for place, name in enumerate(tables, start=1)
    }
    places |= {name: ("figure", figure.number) for name, figure in figures.items()}
    lines = [_line(verdict, places) for verdict in verdicts]
    page = render(
        "study.html",
        title=study.name,
        summary=study.summary,
        tally=_tally(verdicts),
        unexpected=[verdict.claim for verdict in verdicts if not verdict.as_expected],
        claims=[line for line in lines if not line["control"]],
        controls=[line for line in lines if line["control"]],
        tables=[
            {
                "number": places[name][1],
                "shown": table,
                "claims": [verdict for verdict in verdicts if verdict.figure == name],
            }
            for name, table in tables.items()
        ],
        figures=[
            {
                "number": figure.number,
                "shown": figure.shown,
                "scan": figure.scan,
                "claims": [verdict for verdict in verdicts if verdict.figure == name],
            }
            for name, figure in figures.items()
        ],
        scans=[_scan_line(name, study.scans[name], scan, out) for name, scan in scans.items()],
        command=command,
    )
    cover = figures.get(study.cover or "", next(iter(figures.values()), None))
    return StudyPage(
        write_page(page, out),
        places,
        cover.shown if cover else None,
        ("figure", cover.number) if cover else None,
    )


def _figures(study: Study, scans: Mapping[str, StudiedScan], out: Path) -> dict[str, _Numbered]:
    """The page's figures by the names that claims have for them, the study's own first."""
    trees = {name: scan.tree for name, scan in scans.items()}
    shown: dict[str, Shown] = {
        name: save(study_figures.draw(name, figure, trees), out)
        for name, figure in study.figures.items()
    }
    shown |= {
        name: save(study_surfaces.draw(name, surfaces, trees), out)
        for name, surfaces in study.surfaces.items()
    }
    own = set(shown)
    for name in [study.cover, *(claim.figure for claim in study.claims)]:
        if name is None or name in own or name in study.tables:
            continue
        scan, _, picture = name.partition(":")
        found = scans[scan].report.picture(picture) if picture else scans[scan].report.leading
        if found is not None:
            shown[name] = found
    return {
        name: _Numbered(number, picture, None if name in own else name.partition(":")[0])
        for number, (name, picture) in enumerate(shown.items(), start=1)
    }


def _tally(verdicts: Sequence[Verdict]) -> str:
    met = sum(verdict.as_expected for verdict in verdicts)
    controls = sum(verdict.control for verdict in verdicts)
    return (
        f"{met} of {len(verdicts)} checks came out as the theory expects: "
        f"{counted(len(verdicts) - controls, 'claim')} and {counted(controls, 'control')}."
    )


def _line(verdict: Verdict, places: Mapping[str, Place]) -> dict[str, object]:
    return {
        **verdict_line(verdict),
        "place": places.get(verdict.figure or ""),
        "surprises": _surprises(verdict),
    }


def _surprises(verdict: Verdict) -> list[str]:
    """In what a verdict differs from what the theory expects of it."""
    words = []
    if verdict.verdict != verdict.expected:
        words.append(f"the theory expects {verdict.expected}")
    if verdict.hypothesis_met is not None and verdict.hypothesis_met is verdict.control:
        words.append(f"the hypothesis was to be {'broken' if verdict.control else 'met'}")
    return words


def _scan_line(name: str, spec: ScanSpec, scan: StudiedScan, out: Path) -> dict[str, object]:
    return {
        "name": name,
        "task": spec.task,
        "points": points(spec),
        "splits": ", ".join(spec.splits),
        "store": scan.store,
        "report": quote(Path(os.path.relpath(scan.report.page, out)).as_posix()),
    }


def points(spec: ScanSpec) -> str:
    """How many points a scan has: `64 × 64 = 4,096 points`, `1,000 starts, 3 replicates`."""
    along = [axis.num for axis in spec.dimensions.values()]
    words = counted(math.prod(along), "point" if spec.starts is None else "start")
    if len(along) > 1:
        words = f"{' × '.join(f'{num:,}' for num in along)} = {words}"
    return f"{words}, {spec.replicates:,} replicates" if spec.replicates > 1 else words


def counted(count: int, noun: str) -> str:
    """`1,500 points`, `1 point`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
