"""What follows a complete scan: its statistics, the verdicts on its task's claims, its report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from pipeline.analysing import analyse
from pipeline.analysis import Row, rows
from pipeline.kept import keep, kept, report_folder
from pipeline.manifest import read_stored
from pipeline.reading import Status, read_scan, status
from pipeline.report import Report, write_report
from pipeline.running import run
from schemas.layout import ANALYSIS_GROUP
from schemas.scan import ScanSpec
from schemas.study import Verdict
from tasks import TASKS
from tasks.registry import Progress, silent


@dataclass(frozen=True)
class Conclusion:
    """Where a scan's results are and what they say."""

    store: Path
    report: Report
    status: Status
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values for `cartograd run --json`."""
        return {
            "store": str(self.store),
            "report": str(self.report.page),
            **self.status.as_json(),
            "verdicts": [verdict.as_json() for verdict in self.verdicts],
        }


def conclude(store: Path, display: Progress = silent) -> Conclusion:
    """Analyse the scan in a store, judge its task's claims on it, and write its report."""
    found = tuple(rows(analyse(store, display=display)))
    tree = read_scan(store)
    verdicts = _judged(store, tree)
    report = _write_report(store, tree, found, verdicts)
    return Conclusion(store, report, status(store), found, verdicts)


def finished(spec: ScanSpec, display: Progress = silent) -> Report:
    """The report of the scan of a spec that names its store: run or continued, and analysed.

    A report that would be made the same again stays. Raises as `run` does.
    """
    run(spec, display=display)
    store = Path(str(spec.store))
    report = kept(store)
    if report is None:
        report = conclude(store, display).report
        keep(store, report)
    return report


def write_scan_report(store: Path) -> Path:
    """Write a scan's page and figures beside its store, analysing it first if need be."""
    tree = read_scan(store)
    if ANALYSIS_GROUP not in tree.children:
        return conclude(store).report.page
    found = tuple(rows(tree[ANALYSIS_GROUP].to_dataset()))
    return _write_report(store, tree, found, _judged(store, tree)).page


def _judged(store: Path, tree: xr.DataTree) -> tuple[Verdict, ...]:
    """The verdicts on the claims that the scan's task makes of a single scan."""
    spec = read_stored(store).spec
    task = TASKS.get(spec.task)
    claims = task.claims_on(spec) if task else ()
    return tuple(claim.judge({"scan": tree}) for claim in claims)


def _write_report(
    store: Path, tree: xr.DataTree, found: tuple[Row, ...], verdicts: tuple[Verdict, ...]
) -> Report:
    return write_report(
        tree,
        found,
        report_folder(store),
        title=str(tree.attrs["title"]),
        store=str(store),
        verdicts=verdicts,
    )
