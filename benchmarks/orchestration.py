"""What orchestration costs: shards a second with an evaluator that costs nothing.

The baseline is two bare processes that make the same Zarr writes and nothing else. The driver's
memory is compared between a thousand and a hundred thousand shards.
"""

import math
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import zarr

from pipeline.manifest import new_manifest
from pipeline.planning import make_plan
from pipeline.running import run_built
from pipeline.store import RegionFile, create
from schemas import ScanSpec, parse_spec
from tasks.landscape import Landscape
from tasks.objective import ClosedForm
from tasks.section import coordinate_section

POINTS_PER_SHARD = 64
WORKERS = 2
PAIRED_RUNS = 3
SHARDS = 4_000
FEW, MANY = 1_000, 100_000


def nothing(theta: torch.Tensor) -> torch.Tensor:
    """An evaluator that costs nothing."""
    return theta[:, 0]


def spec_of(shards: int) -> ScanSpec:
    """A plane of that many shards of one chunk each; its coordinates stay small."""
    rows = max(n for n in range(1, math.isqrt(shards) + 1) if shards % n == 0)
    side = math.isqrt(POINTS_PER_SHARD)
    return parse_spec(
        {
            "task": "nothing",
            "axes": {
                "a": {"start": 0, "stop": 1, "num": rows * side},
                "b": {"start": 0, "stop": 1, "num": shards // rows * side},
            },
            "chunks": {"a": side, "b": side},
            "splits": ["train"],
            "compute": {"workers": WORKERS},
        }
    )


def landscape() -> Landscape:
    """The landscape of `nothing`."""
    return Landscape(ClosedForm({"train": nothing}), coordinate_section(2))


def bare_writes(store: Path, spec: ScanSpec, first: int) -> None:
    """Write every second shard, and nothing else."""
    plan = make_plan(spec, landscape(), workers=WORKERS, device="cpu", calibrate=False)
    regions = RegionFile(store, plan.contents)
    values = {"loss": np.zeros((1, POINTS_PER_SHARD))}
    for shard in range(first, plan.contents.n_shards, WORKERS):
        regions.write(shard, values)


def baseline_seconds(folder: Path, spec: ScanSpec) -> float:
    """Time from the first to the last write of two bare processes, their start-up left out."""
    store = folder / "bare.zarr"
    plan = make_plan(spec, landscape(), workers=WORKERS, device="cpu", calibrate=False)
    create(store, plan.contents, new_manifest(spec, folder, plan, [landscape()]))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.orchestration"])
    ready = context.Barrier(WORKERS + 1)
    workers = [
        context.Process(target=_bare_process, args=(store, spec, first, ready))
        for first in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    ready.wait()
    start = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - start


def _bare_process(store: Path, spec: ScanSpec, first: int, ready: object) -> None:
    ready.wait()  # type: ignore[attr-defined]
    bare_writes(store, spec, first)


class Stopwatch:
    """A display that notes when the first and the last point were done."""

    def __init__(self) -> None:
        self.first = self.last = (0.0, 0)

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None:  # noqa: ARG002
        """Note the time of a report."""
        now = time.perf_counter()
        if self.first[1] == 0:
            self.first = (now, done)
        self.last = (now, done)

    @property
    def seconds(self) -> float:
        """Time between the first report and the last."""
        return self.last[0] - self.first[0]

    @property
    def rate(self) -> float:
        """Points a second between the first report and the last."""
        return (self.last[1] - self.first[1]) / self.seconds


def orchestrated_rate(folder: Path, shards: int) -> float:
    """Shards a second through Ray, from the first report on."""
    watch = Stopwatch()
    run_built(spec_of(shards), folder / f"{shards}.zarr", lambda: [landscape()], display=watch)
    return watch.rate / POINTS_PER_SHARD


def memory_of(shards: int) -> float:
    """Peak memory of a driver, in MiB, in a process of its own."""
    code = f"from benchmarks.orchestration import report_memory; report_memory({shards})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def report_memory(shards: int) -> None:
    """Scan that many shards and print this process's peak memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        orchestrated_rate(Path(folder), shards)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Print the ratio of rates, pair by pair, and the driver's memory."""
    zarr.config.set({"array.write_empty_chunks": True})
    ratios = []
    for _ in range(PAIRED_RUNS):
        with tempfile.TemporaryDirectory() as folder:
            bare = SHARDS / baseline_seconds(Path(folder), spec_of(SHARDS))
            ours = orchestrated_rate(Path(folder), SHARDS)
        ratios.append(ours / bare)
        print(f"{ours:,.0f} shards/s; two bare processes {bare:,.0f}; ratio {ratios[-1]:.2f}")
    print(f"median ratio {sorted(ratios)[len(ratios) // 2]:.2f} (wanted: at least 0.5)")
    few, many = memory_of(FEW), memory_of(MANY)
    print(
        f"driver's peak memory: {few:.0f} MiB at {FEW:,} shards, {many:.0f} MiB at {MANY:,}; "
        f"{1024 * 1024 * max(many - few, 0) / (MANY - FEW):.0f} bytes a shard"
    )
