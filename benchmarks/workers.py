"""What a second worker brings: points a second with one and with two, on the same scan.

The scan is the digits classifier on as many points as keep two workers busy for half a minute.
Time is taken from the first shard's report to the last, so that Ray's start-up does not count.
"""

from __future__ import annotations

import math
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.orchestration import Stopwatch
from benchmarks.recording import save
from benchmarks.workloads import Workload, digits_mlp
from pipeline.planning import make_plan
from pipeline.running import run_built
from schemas import ScanSpec

SECONDS = 33.0
PAIRS = 2
# Enough shards that the first of each worker, which the time leaves out, weigh little.
_SHARDS_ALONG_AN_AXIS = 16


def large_enough(workload: Workload, seconds: float) -> Workload:
    """The workload on a grid that keeps two workers busy for that long."""
    trial = make_plan(workload.spec("float32"), workload.landscape, workers=2, device="cpu")
    if trial.seconds_per_point is None:
        raise RuntimeError("the trial's plan does not fit its memory limit")
    points = 2 * seconds / trial.seconds_per_point
    return Workload(workload.name, workload.landscape, math.ceil(math.sqrt(points)))


def spec_of(workload: Workload, workers: int) -> ScanSpec:
    """The scan with that many workers of one thread each."""
    spec = workload.spec("float32")
    length = math.ceil(workload.side / _SHARDS_ALONG_AN_AXIS)
    compute = spec.compute.model_copy(update={"workers": workers})
    return spec.model_copy(update={"compute": compute, "chunks": {"alpha": length, "beta": length}})


def scan(workload: Workload, workers: int) -> Stopwatch:
    """The stopwatch of one scan."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "scan.zarr"
        run_built(spec_of(workload, workers), store, lambda: [workload.landscape], display=watch)
    return watch


def main() -> None:
    """Print the ratio of rates, pair by pair, and write it down."""
    workload = large_enough(digits_mlp(), SECONDS)
    pairs: list[dict[str, Any]] = []
    for _ in range(PAIRS):
        one, two = scan(workload, 1), scan(workload, 2)
        pairs.append(
            {
                "points_per_second": {"one": one.rate, "two": two.rate},
                "seconds": {"one": one.seconds, "two": two.seconds},
                "ratio": two.rate / one.rate,
            }
        )
        print(
            f"{workload.n_points:,} points: one worker {one.rate:,.0f} points/s "
            f"({one.seconds:.0f} s), two {two.rate:,.0f} ({two.seconds:.0f} s); "
            f"ratio {pairs[-1]['ratio']:.2f}",
            flush=True,
        )
    ratio = statistics.median(pair["ratio"] for pair in pairs)
    print(f"median ratio {ratio:.2f} (ideal: 2)")
    results = {"points": workload.n_points, "pairs": pairs, "median_ratio": ratio}
    print(f"written to {save('workers', results)}")
