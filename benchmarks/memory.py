"""What a worker holds when neither the grid nor the data set would fit in its memory limit.

The private memory of a worker (RssAnon; what it maps from Ray's object store is shared) is sampled
while it scans. The baseline is its peak on four points and 64 samples: code, libraries and their
buffers. What is above it is the worker's own data, which the limit is about. Data in the scan's own
dtype can be used where it is mapped; data in another has to be converted, and in parts.
"""

from __future__ import annotations

import math
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.recording import save, table
from pipeline.engine import EngineChoice
from pipeline.manifest import read_stored
from pipeline.running import run_built
from schemas import InputError, ScanSpec, parse_spec
from schemas.compute import Engine
from tasks.given import given_landscape
from tasks.landscape import Landscape
from tasks.objective import ClosedForm
from tasks.section import coordinate_section

LIMIT = 32 * 2**20
TIMES = 10
WIDTH = 64
# A point of a plane held whole: two coordinates and one value, in float64.
_POINT_BYTES = 24
_SAMPLE_SECONDS = 0.01


@dataclass
class Peak:
    """The greatest private memory, in bytes, of any worker of this process's Ray."""

    bytes: int = 0


@contextmanager
def sampled() -> Iterator[Peak]:
    """Within, workers are sampled; their peak is in what is yielded."""
    peak, over = Peak(), threading.Event()

    def sample() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            for worker in _workers():
                peak.bytes = max(peak.bytes, _private_bytes(worker))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _workers() -> list[int]:
    """Actors among the descendants of this process: Ray's raylet is a child, they are its own."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                line = (folder / "cmdline").read_bytes()
                stat = (folder / "stat").read_text()
            except OSError:
                continue  # it has ended meanwhile
            parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1]), line
    return [
        number
        for number, (parent, line) in parents.items()
        if line.startswith(b"ray::ActorWorker") and parents.get(parent, (0,))[0] == os.getpid()
    ]


def _private_bytes(process: int) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines.get("RssAnon", "0 kB").split()[0]) * 1024


def spec_of(side: int, engine: EngineChoice | None) -> ScanSpec:
    """A plane of side × side points for one worker with the limit; `engine` is forced if given."""
    axis = {"start": -1, "stop": 1, "num": side}
    compute: dict[str, Any] = {"workers": 1, "device": "cpu", "memory_per_worker": LIMIT}
    if engine is not None:
        forced = Engine.model_fields.keys()
        compute["engine"] = {k: v for k, v in asdict(engine).items() if k in forced}
    return parse_spec(
        {
            "task": "memory",
            "axes": {"a": axis, "b": axis},
            "splits": ["train"],
            "compute": compute,
        }
    )


def bowl(theta: torch.Tensor) -> torch.Tensor:
    """A loss that costs next to nothing."""
    return theta.square().sum(dim=1)


def closed_form() -> Landscape:
    """The landscape of `bowl`."""
    return Landscape(ClosedForm({"train": bowl}), coordinate_section(2))


def classifier(samples: int, dtype: torch.dtype = torch.float32) -> Landscape:
    """A small network on that many random samples, held in that dtype."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(WIDTH, 32), nn.ReLU(), nn.Linear(32, 10))
    inputs, classes = torch.randn(samples, WIDTH, dtype=dtype), torch.randint(0, 10, (samples,))
    return given_landscape(
        module, {"train": (inputs, classes)}, loss="cross_entropy", directions="filter",
        origin=None, z=2, seed=0,
    )  # fmt: skip


def few_samples() -> Landscape:
    """The baseline of `classifier`."""
    return classifier(64)


def peak_of(
    build: Callable[[], Landscape], side: int, engine: EngineChoice | None = None
) -> tuple[int, EngineChoice]:
    """The worker's peak private memory over a scan, in bytes, and the evaluator it had.

    Raises:
        InputError: the plan refuses the scan.
    """
    with tempfile.TemporaryDirectory() as folder, sampled() as peak:
        store = Path(folder) / "scan.zarr"
        run_built(spec_of(side, engine), store, lambda: [build()])
        return peak.bytes, read_stored(store).engine


def measured(
    name: str,
    held_whole: int,
    small: Callable[[], Landscape],
    large: Callable[[], Landscape],
    side: int,
) -> dict[str, Any]:
    """One scan beside its baseline; `held_whole` is what it would take to hold all of it."""
    result: dict[str, Any] = {"scan": name, "bytes_held_whole": held_whole, "limit": LIMIT}
    start = time.perf_counter()
    try:
        peak, engine = peak_of(large, side)
        # The same evaluator, so that the libraries that it imports are no part of the growth.
        idle, _ = peak_of(small, 2, engine)
    except InputError as error:
        return {**result, "refused": str(error)}
    return {
        **result,
        "engine": str(engine),
        "idle_bytes": idle,
        "peak_bytes": peak,
        "growth_bytes": peak - idle,
        "within_limit": peak - idle <= LIMIT,
        "seconds": time.perf_counter() - start,
    }


def _row(result: dict[str, Any]) -> list[str]:
    held = f"{result['bytes_held_whole'] / 2**20:.0f}"
    if "refused" in result:
        return [result["scan"], held, "refused", "", "", f"{LIMIT / 2**20:.0f}"]
    numbers = (result[key] / 2**20 for key in ("idle_bytes", "peak_bytes", "growth_bytes"))
    return [result["scan"], held, *(f"{number:.0f}" for number in numbers), f"{LIMIT / 2**20:.0f}"]


def main() -> None:
    """Print what a worker held on a large grid and on large data sets, beside its limit."""
    side = math.isqrt(TIMES * LIMIT // _POINT_BYTES) + 1
    samples = TIMES * LIMIT // (4 * WIDTH)
    whole = samples * WIDTH * 4
    results = [
        measured(f"{side}×{side} points", side**2 * _POINT_BYTES, closed_form, closed_form, side),
        measured(f"{samples:,} samples", whole, few_samples, lambda: classifier(samples), 3),
        measured(
            f"{samples:,} samples to convert", whole, few_samples,
            lambda: classifier(samples, torch.float64), 3,
        ),
    ]  # fmt: skip
    header = ["private memory in MiB", "held whole", "idle", "peak", "growth", "limit"]
    print(table(header, [_row(result) for result in results]))
    for result in results:
        if "refused" in result:
            print(f"  {result['scan']}: {result['refused']}")
    print(f"written to {save('memory', {'scans': results})}")
