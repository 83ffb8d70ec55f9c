"""Run a study: its scans, their analyses, the verdicts on its claims, and its page."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.beside import Beside, Coming
from pipeline.concluding import renewed
from pipeline.devices import shared_ray
from pipeline.kept import kept
from pipeline.reading import read_scan, status
from pipeline.report import Report, StudiedScan, StudyPage, write_study_report
from pipeline.report.study_tables import csv_path
from pipeline.running import run
from pipeline.store import exists
from pipeline.timing import timed
from schemas.errors import CartogradError
from schemas.study import Study, Verdict
from tasks.registry import Progress, silent

VERDICTS = "verdicts.json"
REPORTING = "analyses and reports"
_FEW = 4
"""Scans that are analysed and reported sooner than another process has started."""


@dataclass(frozen=True)
class StudyResult:
    """The verdicts of a study, and where everything it left behind is."""

    name: str
    verdicts: tuple[Verdict, ...]
    folder: Path
    page: StudyPage
    scans: dict[str, StudiedScan]
    tables: dict[str, Path]

    @property
    def report(self) -> Path:
        """The study's page."""
        return self.page.path

    @property
    def ok(self) -> bool:
        """Whether every check said what the theory expects of it."""
        return all(verdict.as_expected for verdict in self.verdicts)

    def as_json(self) -> dict[str, Any]:
        """Plain values for `cartograd study --json`; paths are relative to the study's folder."""
        scans = {
            name: {"store": self._within(scan.store), "report": self._within(scan.report.page)}
            for name, scan in self.scans.items()
        }
        return {
            "study": self.name,
            "ok": self.ok,
            "verdicts": [verdict.as_json() for verdict in self.verdicts],
            "folder": str(self.folder),
            "report": self._within(self.report),
            "scans": scans,
            "tables": {name: self._within(path) for name, path in self.tables.items()},
        }

    def _within(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def run_study(
    study: Study,
    folder: Path,
    *,
    quick: bool = False,
    display: Progress = silent,
    beside: Beside | None = None,
) -> StudyResult:
    """Run a study; scans that are complete in its folder are not run again.

    Each scan keeps its own store and report under `folder/<study>` (`<study>-quick`), beside the
    study's page, its verdicts as `verdicts.json` and the time it has taken as `times.json`. The
    scans share one Ray. Reports that would be made the same again stay; with `beside`, the others
    are made in that process, unless they are so few that starting it takes longer.

    Raises:
        CartogradError: as `run` does, for the first scan that cannot be finished, which it names.
    """
    place = place_of(study.name, folder, quick)
    with timed(place):
        return _run(study, place, quick, display, beside)


def place_of(study: str, folder: Path, quick: bool) -> Path:
    """The folder of the study of that name."""
    return folder / (f"{study}-quick" if quick else study)


def _run(
    study: Study, place: Path, quick: bool, display: Progress, beside: Beside | None
) -> StudyResult:
    scans = _scanned(study, place, display, beside)
    trees = {name: scan.tree for name, scan in scans.items()}
    verdicts = tuple(claim.judge(trees) for claim in study.claims)
    command = ["cartograd", "study", study.name, *(["--quick"] if quick else [])]
    page = write_study_report(
        study,
        verdicts,
        scans,
        place / "report",
        command=shlex.join([*command, "--folder", str(place.parent)]),
    )
    tables = {name: csv_path(page.path.parent, name) for name in study.tables}
    result = StudyResult(study.name, verdicts, place, page, scans, tables)
    text = json.dumps(result.as_json(), indent=2, allow_nan=False)
    (place / VERDICTS).write_text(text + "\n", encoding="utf-8")
    return result


def _scanned(
    study: Study, place: Path, display: Progress, beside: Beside | None
) -> dict[str, StudiedScan]:
    """The scans of a study, run or continued, analysed and reported."""
    stores = {name: _store(place, name) for name in study.scans}
    left = [spec for name, spec in study.scans.items() if not _complete(stores[name])]
    reports: dict[str, Report] = {}
    coming: dict[str, Coming] = {}
    with shared_ray([spec.compute for spec in left]):
        for name, spec in study.scans.items():
            shown = partial(_show, display, name)
            with _named(study.name, name):
                run(spec.model_copy(update={"store": str(stores[name])}), display=shown)
                there = kept(stores[name])
                if there is not None:
                    reports[name] = there
                elif beside is not None and (beside.started or len(stores) > _FEW):
                    coming[name] = beside.report(stores[name])
                else:
                    reports[name] = renewed(stores[name], shown)
            for earlier in [other for other, each in coming.items() if each.future.done()]:
                with _named(study.name, earlier):
                    reports[earlier] = coming.pop(earlier).take()
    for name, each in coming.items():
        display(REPORTING, len(reports), len(stores))
        with _named(study.name, name):
            reports[name] = each.take()
    display(REPORTING, len(reports), len(stores))
    return {
        name: StudiedScan(store, read_scan(store), reports[name]) for name, store in stores.items()
    }


def _store(place: Path, name: str) -> Path:
    return place / f"{name}.zarr"


def _complete(store: Path) -> bool:
    return exists(store) and status(store).state == "complete"


def _show(display: Progress, scan: str, step: str, done: int, total: int, note: str = "") -> None:
    display(f"{scan}: {step}", done, total, note)


@contextmanager
def _named(study: str, scan: str) -> Iterator[None]:
    """Within, errors of ours say of which scan they are."""
    try:
        yield
    except CartogradError as error:
        error.args = (f"study {study}, scan {scan}: {error}",)
        raise
