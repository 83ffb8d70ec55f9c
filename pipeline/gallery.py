"""Run every study, one after the other, and put what became of all of them on one page."""

from __future__ import annotations

import json
import shlex
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.beside import Beside
from pipeline.report import GalleryStudy, Times, write_gallery
from pipeline.report.gallery import tally, total
from pipeline.studies import StudyResult, place_of, run_study
from pipeline.timing import runs
from schemas.errors import CartogradError, Interrupted, StoreError
from schemas.study import Verdict
from tasks.registry import Progress, StudyEntry, silent

GALLERY = "gallery"
DOCUMENT = "gallery.json"


@dataclass(frozen=True)
class GalleryResult:
    """What became of every study, the page that shows it, and the seconds it took."""

    studies: tuple[GalleryStudy, ...]
    folder: Path
    page: Path
    seconds: float
    quick: bool

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdicts of all studies."""
        return [verdict for study in self.studies for verdict in study.verdicts]

    @property
    def exit_code(self) -> int:
        """2 if a study could not be finished, else 1 if a verdict is not as expected, else 0."""
        if any(study.error is not None for study in self.studies):
            return 2
        return 0 if all(verdict.as_expected for verdict in self.verdicts) else 1

    def as_json(self) -> dict[str, Any]:
        """Plain values for `cartograd study --all --json`; paths are relative to `folder`."""
        return {
            "ok": self.exit_code == 0,
            "quick": self.quick,
            "folder": str(self.folder),
            "page": self._within(self.page),
            "tally": asdict(tally(self.verdicts)),
            "seconds": asdict(total(self.studies, self.seconds)),
            "studies": [self._study(study) for study in self.studies],
        }

    def _study(self, study: GalleryStudy) -> dict[str, Any]:
        return {
            "study": study.name,
            "summary": study.summary,
            "error": study.error,
            "report": None if study.page is None else self._within(study.page.path),
            "tally": asdict(tally(study.verdicts)),
            "seconds": asdict(study.times),
            "verdicts": [
                {**verdict.as_json(), "said": verdict.said, "shown": self._shown(study, verdict)}
                for verdict in study.verdicts
            ],
        }

    def _shown(self, study: GalleryStudy, verdict: Verdict) -> str | None:
        place = study.place(verdict)
        if study.page is None or place is None:
            return None
        return f"{self._within(study.page.path)}#{place[0]}-{place[1]}"

    def _within(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def run_gallery(
    entries: Iterable[StudyEntry],
    folder: Path,
    *,
    quick: bool = False,
    display: Progress = silent,
    beside: Beside | None = None,
) -> GalleryResult:
    """Run studies in their order, as `run_study` does, and write the page of all of them.

    The page and its content as `gallery.json` are in `folder/gallery` (`folder/gallery-quick`). A
    study that cannot be finished does not stop the others.

    Raises:
        Interrupted: SIGINT or SIGTERM; what was written is kept.
        StoreError: the folder of the page cannot be written.
    """
    start = time.monotonic()
    out = place_of(GALLERY, folder, quick)
    _make(out)
    studies = tuple(_attempt(entry, folder, quick, display, beside) for entry in entries)
    command = ["cartograd", "study", "--all", *(["--quick"] if quick else [])]
    seconds = time.monotonic() - start
    page = write_gallery(
        studies,
        out,
        quick=quick,
        seconds=seconds,
        command=shlex.join([*command, "--folder", str(folder)]),
    )
    result = GalleryResult(studies, folder, page, seconds, quick)
    text = json.dumps(result.as_json(), indent=2, allow_nan=False)
    (out / DOCUMENT).write_text(text + "\n", encoding="utf-8")
    return result


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be written ({error.strerror}); choose another --folder"
        ) from None


def _attempt(
    entry: StudyEntry, folder: Path, quick: bool, display: Progress, beside: Beside | None
) -> GalleryStudy:
    """A study, run or continued, or the line that says why it could not be finished."""
    start = time.monotonic()
    shown = partial(_show, display, entry.name)
    try:
        study = entry.build(quick)
        result = run_study(study, folder, quick=quick, display=shown, beside=beside)
    except Interrupted:
        raise
    except CartogradError as error:
        return _unfinished(entry, folder, quick, start, str(error))
    except Exception as error:  # noqa: BLE001 - a defect of one study; the others may well run
        traceback.print_exc()
        return _unfinished(entry, folder, quick, start, f"{type(error).__name__}: {error}")
    return GalleryStudy(
        name=entry.name,
        summary=study.summary,
        times=_times(result.folder, start, _evaluations(result)),
        verdicts=result.verdicts,
        page=result.page,
    )


def _unfinished(
    entry: StudyEntry, folder: Path, quick: bool, start: float, error: str
) -> GalleryStudy:
    times = _times(place_of(entry.name, folder, quick), start, None)
    return GalleryStudy(entry.name, entry.summary, times, error=" ".join(error.split()))


def _times(place: Path, start: float, evaluations: float | None) -> Times:
    command = round(time.monotonic() - start, 3)
    noted = []
    with suppress(StoreError):  # It is what the study could not be finished for.
        noted = [run.seconds for run in runs(place)]
    return Times(command, round(sum(noted), 3), len(noted), evaluations)


def _evaluations(result: StudyResult) -> float:
    """The seconds in the ledgers of a study's scans, over all workers."""
    trees = [scan.tree for scan in result.scans.values()]
    return round(sum(float(tree["ledger"]["seconds"].sum()) for tree in trees), 3)


def _show(display: Progress, study: str, step: str, done: int, total: int, note: str = "") -> None:
    display(f"{study}, {step}", done, total, note)
