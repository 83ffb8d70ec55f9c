"""Minima of a surface of 512³ points, scanned, counted and refined out of core on two cores.

The surface is that of a single neuron with three inputs and six examples, which has 8 minima on
logarithmic axes. Every process's memory is the peak that the kernel keeps of it. The baseline is
`scipy.ndimage` on the same grid in the memory of one process: the same minima, ties and plateaus
included, without basins, depths and refinement.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy import ndimage

from benchmarks.recording import save, table
from pipeline.analysing import analyse
from pipeline.analysis import surface
from pipeline.analysis.frame import Frame
from pipeline.analysis.minima import Minima
from pipeline.running import run
from schemas import parse_spec

SIDE = 512
MINIMA = 8
LIMIT = 2 * 2**30
_SAMPLE_SECONDS = 0.1


def scan(store: Path) -> dict[str, Any]:
    """Scan the surface with two workers."""
    axis = {"scale": "log", "start": 0.05, "stop": 5000, "num": SIDE}
    spec = {
        "task": "single-neuron",
        "parameters": {"data": {"kind": "geometric", "examples": 6}, "dimensions": 3},
        "axes": {"w1": axis, "w2": axis, "w3": axis},
        "splits": ["train"],
        "compute": {"workers": 2, "device": "cpu"},
        "store": str(store),
    }
    run(parse_spec(spec))
    return {}


def out_of_core(store: Path) -> dict[str, Any]:
    """Analyse the scan, and note how long its minima alone take."""
    seconds = 0.0
    plain = surface.minima

    def timed(
        frame: Frame, at: tuple[int, ...] | None, relative: float
    ) -> list[list[Minima | None]]:
        nonlocal seconds
        start = time.perf_counter()
        found = plain(frame, at, relative)
        seconds += time.perf_counter() - start
        return found

    surface.minima = timed
    analyse(store)
    found = xr.open_zarr(store, group="minima")
    return {
        "minima": found.sizes["minimum"],
        "merged": int(found.attrs["merged"]),
        "kinds": sorted({str(kind) for kind in found["kind"].values}),
        "refined": found["refined_coordinate"].values.tolist(),
        "seconds_of_minima": seconds,
    }


def in_memory(store: Path) -> dict[str, Any]:
    """Count the minima by `scipy.ndimage`, plateaus once, those with a lower neighbour not."""
    loss = xr.open_zarr(store)["loss"].isel(split=0).values
    start = time.perf_counter()
    low = loss <= ndimage.minimum_filter(loss, 3)
    labels, count = ndimage.label(low, np.ones((3, 3, 3)))
    # A plateau that is left is level with a point beside it that is not low.
    others = np.where(low, np.float32(np.inf), loss)
    left = low & (ndimage.minimum_filter(others, 3) <= loss)
    drained = np.unique(labels[left])
    return {"minima": count - drained.size, "seconds_of_minima": time.perf_counter() - start}


STEPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "scan": scan,
    "out of core": out_of_core,
    "scipy.ndimage in memory": in_memory,
}


@contextmanager
def peaks() -> Iterator[dict[str, int]]:
    """Within, the peak memory in bytes of this process's descendants is noted, by what they run."""
    found: dict[str, int] = {}
    over = threading.Event()

    def sample() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            for name, held in _descendants():
                found[name] = max(found.get(name, 0), held)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _descendants() -> list[tuple[str, int]]:
    """What each descendant runs, and the greatest memory it has had."""
    parents: dict[int, tuple[int, str, int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                lines = (folder / "status").read_text().splitlines()
            except (OSError, IndexError):
                continue  # it has ended meanwhile
            held = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
            parents[int(folder.name)] = parent, Path(words[0]).name, held * 1024
    family, grown = {os.getpid()}, True
    while grown:
        more = {number for number, (parent, _, _) in parents.items() if parent in family} - family
        family, grown = family | more, bool(more)
    return [parents[number][1:] for number in family - {os.getpid()} if number in parents]


def step(name: str, store: Path) -> dict[str, Any]:
    """One step in a process of its own, with its time and the memory of all its processes."""
    start = time.perf_counter()
    with peaks() as held:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.minima", name, str(store)],
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {
        "step": name,
        "seconds": time.perf_counter() - start,
        "peak_bytes": dict(sorted(held.items(), key=lambda item: -item[1])),
        "within_limit": max(held.values()) <= LIMIT,
        **told,
    }


def main() -> None:
    """Print and write down the time and memory of every step."""
    with tempfile.TemporaryDirectory() as folder:
        results = [step(name, Path(folder) / "neuron.zarr") for name in STEPS]
    rows = []
    for result in results:
        greatest, held = next(iter(result["peak_bytes"].items()))
        minima, seconds = result.get("minima", ""), result.get("seconds_of_minima")
        rows.append(
            [
                result["step"], f"{result['seconds']:.0f}",
                "" if seconds is None else f"{seconds:.0f}", f"{held / 2**20:,.0f}",
                greatest, str(minima),
            ]
        )  # fmt: skip
    header = [f"{SIDE}³ points", "s", "s of minima", "peak MiB", "of", "minima"]
    print(table(header, rows))
    ours, baseline = results[1], results[2]
    ratio = ours["seconds_of_minima"] / baseline["seconds_of_minima"]
    print(f"out of core takes {ratio:.1f} times as long as scipy.ndimage, basins and depths too")
    assert ours["minima"] == baseline["minima"] - ours["merged"] == MINIMA  # noqa: S101
    assert ours["kinds"] == ["minimum"]  # noqa: S101
    print(f"written to {save('minima', {'side': SIDE, 'limit': LIMIT, 'steps': results})}")


if __name__ == "__main__":
    print(json.dumps(STEPS[sys.argv[1]](Path(sys.argv[2]))))
