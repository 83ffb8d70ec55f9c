"""The map of activation cells of a trained classifier: cells of a plane, beside a plain loop.

The network is the digits classifier of the examples, on its 360 test images, in a plane of two
filter-normalised random directions (Li et al. 2018, arXiv:1712.09913). The baseline is what one
writes without the engine: for every point the parameters set in place, one forward pass of all
images in inference mode with a hook on each ReLU, and a hash of the bits. Points are the same ones,
drawn at random from the map, in interleaved rounds on one thread; times are the processor's. Then
the whole map is evaluated.

Shape legend: P = points, N = samples, U = units.
"""

from __future__ import annotations

import copy
import hashlib
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from benchmarks.recording import save, table
from pipeline.engine.choice import choose_engine, make_evaluator
from pipeline.engine.contract import Floats, Work
from tasks import TASKS, BuildContext
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk

SIDE = 1024
ROUNDS = 3
_POINTS = 2048
_RADIUS = 0.01
"""So that a cell has several points of the map."""
_BATCH = 16_384
_ROOM = 2**30
_ROUNDED = 0.02
"""Share of points that may be on the other side of a wall in float32."""
_METRICS = ("loss", "activation_cell")
_EXAMPLES = Path(__file__).parents[1] / "examples"
Hashes = npt.NDArray[np.uint64]


def landscape() -> Landscape:
    """The classifier of the examples in a plane, on its test images."""
    task = TASKS["model"]
    parameters = {
        "model": "models.py:mlp",
        "checkpoint": "checkpoints/mlp-a.safetensors",
        "data": "digits",
        "directions": "filter",
    }
    context = BuildContext(z=2, seed=0, splits=("test",), base=_EXAMPLES)
    return task.builder()(task.parse(parameters), context)


def some_points(count: int) -> Floats:
    """Points of the map drawn at random, (P, 2)."""
    chosen = np.random.default_rng(0).choice(SIDE**2, count, replace=False)
    axis = np.linspace(-_RADIUS, _RADIUS, SIDE)
    return np.stack([axis[chosen // SIDE], axis[chosen % SIDE]], axis=-1)


def plain_loop(given: Landscape) -> Callable[[Floats], Hashes]:
    """The loop: points (P, 2) → hashes (P,)."""
    risk = given.objective
    if not isinstance(risk, EmpiricalRisk):
        raise TypeError("the benchmark's task has samples")
    module = copy.deepcopy(risk.module).eval().requires_grad_(False)
    inputs = risk.splits["test"].inputs.float()
    bits: list[Tensor] = []
    for unit in module.modules():
        if isinstance(unit, nn.ReLU):
            unit.register_forward_hook(lambda _unit, _inputs, outputs: bits.append(outputs > 0))

    def hashes(points: Floats) -> Hashes:
        found = []
        with torch.inference_mode():
            for alpha in torch.from_numpy(points).float():
                bits.clear()
                for name, value in given.section.origin.items():
                    moved = value.float()
                    for weight, direction in zip(alpha, given.section.directions, strict=True):
                        if name in direction:
                            moved = moved + weight * direction[name].float()
                    module.get_parameter(name).copy_(moved)
                module(inputs)
                packed = np.packbits(torch.cat(bits, dim=1).numpy())
                digest = hashlib.blake2b(packed.tobytes(), digest_size=8).digest()
                found.append(np.frombuffer(digest, dtype=np.uint64)[0])
        return np.array(found)

    return hashes


def engine(given: Landscape) -> tuple[str, Callable[[Floats], Hashes]]:
    """The evaluator that a scan of the map would choose, and its function of points (P, 2)."""
    work = Work(("test",), _METRICS, some_points(1024), SIDE**2, _ROOM)
    choice = choose_engine(given, "cpu", "float32", 1, work)
    evaluator = make_evaluator(given, ("test",), _METRICS, choice)
    return str(choice), lambda points: evaluator.evaluate(points)["activation_cell"][0]


def compared(points: int = _POINTS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Both ways at the same points in interleaved rounds.

    Raises:
        RuntimeError: they do not tell the same points apart.
    """
    given = landscape()
    name, ours = engine(given)
    loop, where = plain_loop(given), some_points(points)
    contenders = {"plain loop": loop, "cartograd": ours}
    taken: dict[str, list[float]] = {contender: [] for contender in contenders}
    found: dict[str, Hashes] = {}
    for _ in range(rounds):
        for contender, function in contenders.items():
            begin = time.process_time()
            found[contender] = function(where)
            taken[contender].append((time.process_time() - begin) / points)
    counts = {contender: len(np.unique(hashes)) for contender, hashes in found.items()}
    # Points that share a cell in one way and not in the other, but for rounding, make more pairs.
    pairs = len(np.unique(np.stack(list(found.values())), axis=1).T)
    if pairs - min(counts.values()) > _ROUNDED * points:
        raise RuntimeError(f"different cells: {counts}, and {pairs} pairs of them")
    ratios = [base / own for base, own in zip(*taken.values(), strict=True)]
    return {
        "evaluator": name,
        "points": points,
        "cells": counts,
        "microseconds_per_point": {
            contender: 1e6 * statistics.median(times) for contender, times in taken.items()
        },
        "ratio": statistics.median(ratios),
        "ratios": ratios,
    }


def whole_map(side: int = SIDE) -> dict[str, Any]:
    """Seconds of the whole map, its cells, and by how many MiB the process's peak grows."""
    _, ours = engine(landscape())
    axis = np.linspace(-_RADIUS, _RADIUS, side)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    ours(points[:_BATCH])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.process_time()
    found = [ours(points[low : low + _BATCH]) for low in range(0, len(points), _BATCH)]
    seconds = time.process_time() - begin
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    cells = len(np.unique(np.concatenate(found)))
    return {"side": side, "seconds": seconds, "cells": cells, "grown_mib": grown}


def main() -> None:
    """Measure on one thread, print, and write it down."""
    torch.set_num_threads(1)
    result = compared()
    times = result["microseconds_per_point"]
    rows = [
        [name, f"{time:.0f}", f"{1e6 / time:,.0f}", f"{times['plain loop'] / time:.2f}"]
        for name, time in times.items()
    ]
    print(table(["cells of a plane", "µs a point", "points a second", "ratio"], rows))
    print(f"{result['evaluator']}; median ratio {result['ratio']:.2f}", flush=True)
    whole = whole_map()
    print(
        f"whole map, {SIDE} × {SIDE}: {whole['seconds']:.0f} s, {whole['cells']:,} cells; the "
        f"process's peak grows by {whole['grown_mib']:.0f} MiB"
    )
    print(f"\nwritten to {save('cells', {'threads': 1, **result, 'map': whole})}")
