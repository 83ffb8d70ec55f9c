"""The scans of a study, finished in this process and in one beside it at once.

Each lane takes the next scan when it is done with one, this process from the first on and the
other from the last, so that both are busy to the end. Scans on Ray's workers are run from here
alone, since they have all cores already, and analysed beside.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from pipeline.beside import Beside
from pipeline.concluding import finished
from pipeline.devices import shared_ray
from pipeline.kept import kept
from pipeline.reading import read_scan, status
from pipeline.report import Report, StudiedScan
from pipeline.running import run
from pipeline.store import exists
from schemas.errors import CartogradError
from schemas.scan import ScanSpec
from schemas.study import Study
from tasks.registry import Progress

STEP = "scans finished"
_FEW = 2
"""Scans that are finished sooner than another process has started."""


def finish_scans(
    study: Study, place: Path, display: Progress, beside: Beside | None
) -> dict[str, StudiedScan]:
    """The scans of a study, run or continued in a folder, analysed and reported.

    Raises as `run` does, for the first scan that cannot be finished, which it names.
    """
    stores = {name: place / f"{name}.zarr" for name in study.scans}
    specs = {
        name: spec.model_copy(update={"store": str(stores[name])})
        for name, spec in study.scans.items()
    }
    reports = _Lanes(study.name, specs, display, beside).reports()
    return {
        name: StudiedScan(stores[name], read_scan(stores[name]), reports[name]) for name in stores
    }


class _Lanes:
    def __init__(
        self, study: str, specs: dict[str, ScanSpec], display: Progress, beside: Beside | None
    ) -> None:
        self._study = study
        self._specs = specs
        self._display = display
        self._beside = beside
        self._lock = threading.Lock()
        self._left: deque[str] = deque()
        self._coming: dict[str, Future[Report]] = {}
        self._reports: dict[str, Report] = {}

    def reports(self) -> dict[str, Report]:
        """The report of every scan."""
        begun = {name for name, spec in self._specs.items() if not _complete(spec)}
        self._left.extend(name for name in self._specs if name in begun or not self._stands(name))
        if self._beside and not (self._beside.started or len(self._left) > _FEW):
            self._beside = None
        try:
            with shared_ray([self._specs[name].compute for name in begun]):
                self._share()
                while (name := self._next()) is not None:
                    self._take(name)
                    self._collect([name for name, each in self._held() if each.done()])
            self._collect([name for name, _ in self._held()])
        finally:
            self._left.clear()
        return self._reports

    def _stands(self, name: str) -> bool:
        """Whether the report of a complete scan is the one that would be made."""
        spec = self._specs[name]
        with self._named(name):
            run(spec)  # does nothing if the store holds this scan
            report = kept(Path(str(spec.store)))
        if report is not None:
            self._reports[name] = report
        return report is not None

    def _next(self) -> str | None:
        with self._lock:
            return self._left.popleft() if self._left else None

    def _take(self, name: str) -> None:
        """Finish a scan here, or run it here and have it analysed beside."""
        spec = self._specs[name]
        with self._named(name):
            if spec.compute.workers == 0 or self._beside is None:
                self._reports[name] = finished(spec, self._shown(name))
            else:
                run(spec, display=self._shown(name))
                self._coming[name] = self._beside.finish(spec)

    def _share(self, before: Future[Report] | None = None) -> None:
        """Give the last scan that is left to the process beside, and another when it is done."""
        if before is not None and (before.cancelled() or before.exception() is not None):
            return
        with self._lock:
            if self._beside is None or not self._left:
                return
            if self._specs[self._left[-1]].compute.workers != 0:
                return
            name = self._left.pop()
            future = self._coming[name] = self._beside.finish(self._specs[name])
        future.add_done_callback(self._share)

    def _held(self) -> list[tuple[str, Future[Report]]]:
        with self._lock:
            return list(self._coming.items())

    def _collect(self, names: list[str]) -> None:
        """Wait for reports from beside; what a process that died was to finish is finished here."""
        self._display(STEP, len(self._reports), len(self._specs))
        for name in names:
            with self._named(name):
                try:
                    self._reports[name] = self._coming.pop(name).result()
                except BrokenProcessPool:
                    self._reports[name] = finished(self._specs[name], self._shown(name))
            self._display(STEP, len(self._reports), len(self._specs))

    def _shown(self, name: str) -> Progress:
        def shown(step: str, done: int, total: int, note: str = "") -> None:
            self._display(f"{name}: {step}", done, total, note)

        return shown

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """Within, errors of ours say of which scan they are."""
        try:
            yield
        except CartogradError as error:
            error.args = (f"study {self._study}, scan {name}: {error}",)
            raise


def _complete(spec: ScanSpec) -> bool:
    store = Path(str(spec.store))
    return exists(store) and status(store).state == "complete"
