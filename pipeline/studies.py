"""Run a study: its scans, their analyses, the verdicts on its claims, and its page."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.concluding import conclude
from pipeline.devices import shared_ray
from pipeline.reading import open_scan, status
from pipeline.report import StudiedScan, write_study_report
from pipeline.report.study_tables import csv_path
from pipeline.running import run
from pipeline.store import exists
from schemas.errors import CartogradError
from schemas.scan import ScanSpec
from schemas.study import Study, Verdict
from tasks.registry import Progress, silent

VERDICTS = "verdicts.json"


@dataclass(frozen=True)
class StudyResult:
    """The verdicts of a study, and where everything it left behind is."""

    name: str
    verdicts: tuple[Verdict, ...]
    folder: Path
    report: Path
    scans: dict[str, StudiedScan]
    tables: dict[str, Path]

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
    study: Study, folder: Path, *, quick: bool = False, display: Progress = silent
) -> StudyResult:
    """Run a study; scans that are complete in its folder are not run again.

    Each scan keeps its own store and report under `folder/<study>` (`<study>-quick`), beside the
    study's page and its verdicts as `verdicts.json`. The scans share one Ray.

    Raises:
        CartogradError: as `run` does, for the first scan that cannot be finished, which it names.
    """
    place = folder / (f"{study.name}-quick" if quick else study.name)
    scans: dict[str, StudiedScan] = {}
    left = [spec for name, spec in study.scans.items() if not _complete(_store(place, name))]
    with shared_ray([spec.compute for spec in left]):
        for name, spec in study.scans.items():
            scans[name] = _studied(study.name, name, spec, place, display)
    trees = {name: scan.tree for name, scan in scans.items()}
    verdicts = tuple(claim.judge(trees) for claim in study.claims)
    command = ["cartograd", "study", study.name, *(["--quick"] if quick else [])]
    page = write_study_report(
        study,
        verdicts,
        scans,
        place / "report",
        command=shlex.join([*command, "--folder", str(folder)]),
    )
    tables = {name: csv_path(page.parent, name) for name in study.tables}
    result = StudyResult(study.name, verdicts, place, page, scans, tables)
    text = json.dumps(result.as_json(), indent=2, allow_nan=False)
    (place / VERDICTS).write_text(text + "\n", encoding="utf-8")
    return result


def _store(place: Path, name: str) -> Path:
    return place / f"{name}.zarr"


def _complete(store: Path) -> bool:
    return exists(store) and status(store).state == "complete"


def _studied(study: str, name: str, spec: ScanSpec, place: Path, display: Progress) -> StudiedScan:
    """A scan of a study, run or continued, analysed and reported."""
    store = _store(place, name)

    def shown(step: str, done: int, total: int, note: str = "") -> None:
        display(f"{name}: {step}", done, total, note)

    try:
        run(spec.model_copy(update={"store": str(store)}), display=shown)
        report = conclude(store, display=shown).report
    except CartogradError as error:
        error.args = (f"study {study}, scan {name}: {error}",)
        raise
    return StudiedScan(store, open_scan(store), report)
