"""What a point costs: the engine beside the ways there are without it, on one thread.

Each round runs every contender once and measures the machine's matrix product, so that whatever
slows the machine meets all of them. Baseline: the plain loop. Dear contenders are timed on some of
the grid's points, and the table says on how many.
"""

from __future__ import annotations

import copy
import math
import statistics
import time
import warnings
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.contenders import Contender, LossLandscapes, Ours, PlainLoop, Run, tuned_vmap
from benchmarks.recording import save, table
from benchmarks.workloads import WORKLOADS, Workload
from pipeline.engine.reference import evaluate_reference
from pipeline.verifying import relative_difference
from schemas.compute import Compute

ROUNDS = 5
_RUN_SECONDS = 1.2
_OUR_RUN_SECONDS = 3.0
_ENOUGH_TO_PACE = 0.1
_GEMM_SIDE = 1024
_CHECKED = 3
_ALLOWED = {"float32": 1e-3, "bfloat16": 0.5}


@dataclass
class Entry:
    """A contender, how many points each of its runs takes, and its runs."""

    contender: Contender
    count: int
    difference: float
    runs: list[Run] = field(default_factory=list)

    def milliseconds(self, points: float) -> list[float]:
        """Time of a point in each run, with its share of the set-up of a grid of `points`."""
        return [1e3 * (run.seconds / run.count + run.setup / points) for run in self.runs]


def naive_operations(workload: Workload) -> int:
    """Operations of one point: 2 × multiply-adds of the linear, convolution and attention layers.

    Counted with gradients on and attention written out: fused kernels would not be seen.
    """
    module, inputs = copy.deepcopy(workload.objective.module), workload.data.inputs
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module.requires_grad_(True)(inputs[:1])
    return int(counter.get_total_flops()) * len(inputs)


def matrix_product_gflops(dtype: str) -> float:
    """The best of three square matrix products, in GFLOP/s."""
    left, right = (torch.randn(_GEMM_SIDE, _GEMM_SIDE).to(getattr(torch, dtype)) for _ in range(2))
    out = torch.mm(left, right)
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        torch.mm(left, right, out=out)
        taken.append(time.perf_counter() - start)
    return 2 * _GEMM_SIDE**3 / min(taken) / 1e9


def contenders(workload: Workload) -> tuple[list[Contender], list[str]]:
    """Those that take part, the baseline first and ours last, and why others do not."""
    found: list[Contender] = [PlainLoop(workload)]
    absent = []
    vmapped = tuned_vmap(workload)
    if isinstance(vmapped, str):
        absent.append(vmapped)
    else:
        found.append(vmapped)
    found.append(LossLandscapes(workload))
    if workload.name == "resnet20":
        found.append(PlainLoop(workload, "bfloat16"))
        if "bfloat16" in get_args(Compute.model_fields["dtype"].annotation):
            found.append(Ours(workload, "bfloat16"))
        else:
            absent.append("cartograd bfloat16: not on offer yet")
    return [*found, Ours(workload)], absent


def entered(workload: Workload, contender: Contender) -> Entry:
    """A contender after a warm-up, with as many points to a run as there is time for.

    Raises:
        RuntimeError: its losses are not those of the reference.
    """
    count = 4
    while True:
        run = contender.run(count)
        if run.seconds > _ENOUGH_TO_PACE or run.count >= workload.n_points:
            break
        count = min(8 * count, workload.n_points)
    seconds = _OUR_RUN_SECONDS if isinstance(contender, Ours) else _RUN_SECONDS
    count = max(2, min(workload.n_points, int(seconds * run.count / run.seconds)))
    checked = np.linspace(0, len(run.points) - 1, _CHECKED).astype(int)
    expected = evaluate_reference(workload.landscape, run.points[checked], ("train",), ("loss",))
    difference = relative_difference(run.losses[checked], expected["loss"][0])
    if not difference <= _ALLOWED[contender.dtype]:
        raise RuntimeError(f"{workload.name}, {contender.name}: loss differs by {difference:.1e}")
    return Entry(contender, count, difference)


def measured(workload: Workload) -> dict[str, Any]:
    """All contenders on one workload, in interleaved rounds."""
    found, absent = contenders(workload)
    entries = [entered(workload, contender) for contender in found]
    dtypes = sorted({contender.dtype for contender in found}, reverse=True)
    peaks: dict[str, list[float]] = {dtype: [] for dtype in dtypes}
    for _ in range(ROUNDS):
        for dtype in dtypes:
            peaks[dtype].append(matrix_product_gflops(dtype))
        for entry in entries:
            entry.runs.append(entry.contender.run(entry.count))
    gflop = naive_operations(workload) / 1e9
    base = entries[0].milliseconds(math.inf)
    return {
        "workload": workload.name,
        "samples": len(workload.data),
        "parameters": sum(t.numel() for t in workload.landscape.section.origin.values()),
        "points": workload.n_points,
        "naive_gflop_per_point": gflop,
        "matrix_product_gflops": peaks,
        "absent": absent,
        "contenders": [_account(workload, entry, base, gflop, peaks) for entry in entries],
        "roofline": {
            dtype: _roofline(gflop, statistics.median(peaks[dtype]), base) for dtype in dtypes
        },
    }


def _account(
    workload: Workload, entry: Entry, base: list[float], gflop: float, peaks: dict[str, list[float]]
) -> dict[str, Any]:
    each, evaluation = entry.milliseconds(workload.n_points), entry.milliseconds(math.inf)
    typical = statistics.median(evaluation)
    gflops = gflop / typical * 1e3
    return {
        "name": entry.contender.name,
        "note": entry.contender.note,
        "points_timed": entry.runs[0].count,
        "ms_per_point": typical,
        "ms_per_point_with_setup": statistics.median(each),
        "setup_seconds": statistics.median(run.setup for run in entry.runs),
        "ratio_to_plain_loop": _ratio(base, evaluation),
        "ratio_with_setup": _ratio(base, each),
        "effective_gflops": gflops,
        "part_of_matrix_product": gflops / statistics.median(peaks[entry.contender.dtype]),
        "worst_difference": entry.difference,
        "raw_ms_per_point": evaluation,
        "raw_setup_seconds": [run.setup for run in entry.runs],
    }


def _roofline(gflop: float, peak: float, base: list[float]) -> dict[str, float]:
    """The least time of a point if every layer were a matrix product at full speed."""
    least = gflop / peak * 1e3
    return {"ms_per_point": least, "ratio_to_plain_loop": _ratio(base, [least] * len(base))}


def _ratio(base: list[float], each: list[float]) -> float:
    """Median over the rounds of how many times quicker than the baseline, round by round."""
    return statistics.median(b / e for b, e in zip(base, each, strict=True))


def printed(result: dict[str, Any]) -> str:
    """A workload's results as a table."""
    rows = [
        [
            one["name"],
            f"{one['points_timed']}",
            f"{one['ms_per_point']:.3f}",
            f"{one['ratio_to_plain_loop']:.2f}",
            f"{one['setup_seconds']:.3f}",
            f"{one['ratio_with_setup']:.2f}",
            f"{one['effective_gflops']:.1f}",
            f"{one['part_of_matrix_product']:.0%}",
            f"{one['worst_difference']:.0e}",
        ]
        for one in result["contenders"]
    ]
    for dtype, line in result["roofline"].items():
        peak = statistics.median(result["matrix_product_gflops"][dtype])
        time_, ratio = f"{line['ms_per_point']:.3f}", f"{line['ratio_to_plain_loop']:.2f}"
        rows.append([f"roofline {dtype}", "", time_, ratio, "", "", f"{peak:.1f}", "100%", ""])
    header = [
        f"{result['workload']}: {result['points']} points",
        *("timed on", "ms/point", "ratio", "set-up s", "with it"),
        *("GFLOP/s", "of GEMM", "differs"),
    ]
    notes = [f"{one['name']}: {one['note']}" for one in result["contenders"] if one["note"]]
    return "\n".join([table(header, rows), *(f"  {note}" for note in notes + result["absent"])])


def main() -> None:
    """Measure every workload on one thread, print tables, and write them down."""
    torch.set_num_threads(1)
    print(
        f"{ROUNDS} interleaved rounds on one thread, medians.\nratio: how many times quicker than "
        "the plain loop in the same round; with it: as a scan of this grid alone, set-up "
        "included.\ndiffers: from the float64 reference."
    )
    start = time.perf_counter()
    results = []
    for build in WORKLOADS.values():
        with warnings.catch_warnings():
            # That vmap loops over an operation is said in its note.
            warnings.filterwarnings("ignore", message="There is a performance drop")
            results.append(measured(build()))
        print(f"\n{printed(results[-1])}", flush=True)
    path = save("engine", {"threads": 1, "rounds": ROUNDS, "workloads": results})
    print(f"\n{time.perf_counter() - start:.0f} s; written to {path}")
