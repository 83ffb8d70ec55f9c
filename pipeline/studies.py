"""Run a study: its scans, their analyses, the verdicts on its claims, and its page."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.beside import Beside
from pipeline.lanes import finish_scans
from pipeline.report import StudiedScan, StudyPage, write_study_report
from pipeline.report.study_tables import csv_path
from pipeline.timing import timed
from schemas.study import Study, Verdict
from tasks.registry import Progress, silent

VERDICTS = "verdicts.json"


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
    scans share one Ray. Reports that would be made the same again stay. With `beside`, scans that
    ask for no workers are finished there and here at once, and the others are analysed there.

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
    scans = finish_scans(study, place, display, beside)
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
