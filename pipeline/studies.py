"""Run a study: its scans, their analyses, the verdicts on its claims, and its page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.concluding import conclude
from pipeline.reading import open_scan
from pipeline.report import write_study_report
from pipeline.running import run
from schemas.study import Study, Verdict
from tasks.registry import Progress, silent

# The figure that shows a scan as a whole, for one axis, two, and more.
_FIGURES = ("curves.png", "surfaces.png", "cuts_train.png")


@dataclass(frozen=True)
class StudyResult:
    """The verdicts of a study and its page."""

    name: str
    verdicts: tuple[Verdict, ...]
    report: Path

    @property
    def ok(self) -> bool:
        """Whether every check said what the theory expects of it."""
        return all(verdict.as_expected for verdict in self.verdicts)

    def as_json(self) -> dict[str, Any]:
        """Plain values for `cartograd study --json`."""
        verdicts = [verdict.as_json() for verdict in self.verdicts]
        return {"study": self.name, "ok": self.ok, "verdicts": verdicts}


def run_study(
    study: Study, folder: Path, *, quick: bool = False, display: Progress = silent
) -> StudyResult:
    """Run a study; scans that are complete in its folder are not run again.

    Each scan keeps its own store and report under `folder/<study>` (`<study>-quick`).

    Raises:
        CartogradError: as `run` does, for the first scan that cannot be finished.
    """
    place = folder / (f"{study.name}-quick" if quick else study.name)
    figures: dict[str, Path] = {}
    scans = {}
    for name, spec in study.scans.items():
        store = place / f"{name}.zarr"

        def shown(step: str, done: int, total: int, note: str = "", name: str = name) -> None:
            display(f"{name}: {step}", done, total, note)

        run(spec.model_copy(update={"store": str(store)}), display=shown)
        page = conclude(store, display=shown).report
        scans[name] = open_scan(store)
        for path in (page.parent / figure for figure in _FIGURES):
            if path.exists():
                figures[name] = path
    verdicts = tuple(claim.judge(scans) for claim in study.claims)
    drawn = {v.claim: figures[v.figure] for v in verdicts if v.figure in figures}
    page = write_study_report(study.name, study.summary, verdicts, drawn, place / "report")
    return StudyResult(study.name, verdicts, page)
