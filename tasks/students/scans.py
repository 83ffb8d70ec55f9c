"""The scans of the study `teacher-student`, as plain specs.

Safran & Shamir 2018, arXiv:1712.08968; Wu, Luo & Lee 2018, "No Spurious Local Minima in a Two
Hidden Unit ReLU Network", ICLR workshop; Tian 2017, arXiv:1703.00560.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.students.published import BAD, STEP, STOP

_SERIAL = {"workers": 0, "dtype": "float64"}
_GRADIENT = STOP / (2 * math.pi)
"""‖∇F‖ at most this implies max_i ‖2π ∇_{w_i} F‖ ≤ 1e-9."""
_SEEDS_APART = 1000
_AROUND = -2.5
"""Where the angles begin: no critical point of the torus is near the edge."""

_WIDE = (0, 120)
"""Angles of teachers, in degrees."""
_THREE = (0, 122, 241)
"""Not a third of a turn apart, where the minima would be each other's images, thus none spurious.
"""


@dataclass(frozen=True)
class Sizes:
    """How much of everything the study does.

    Attributes:
        cells: (k, n) of the table.
        runs: of each cell.
        more_runs: of cells whose published share 1,000 runs of ours only cast doubt on.
        together: runs that go on together, a shard.
        iterations: after which a run is given up.
        betweens: k of the lines between two minima.
        side: points along each axis of the torus.
        basins: points along each axis of a plane, from each of which a descent begins.
        replicates: samples of the closed form.
        workers: of the cells and the basins.
    """

    cells: tuple[tuple[int, int], ...]
    runs: int
    more_runs: Mapping[tuple[int, int], int]
    together: int
    iterations: int
    betweens: tuple[int, ...]
    side: int
    basins: int
    replicates: int
    workers: int | str


def cell_name(k: int, n: int) -> str:
    """The scan of k teachers and n students."""
    return f"k{k}" if k == n else f"k{k}-n{n}"


def all_scans(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """Every scan by its name."""
    return {
        **{cell_name(k, n): _cell(k, n, sizes) for k, n in sizes.cells},
        **_on_torus(sizes),
        **_single(sizes.runs),
        **{f"between-{k}": _between(k) for k in sizes.betweens},
        **{f"softest-{k}": _softest(k) for k in sizes.betweens},
        **_planes(sizes),
    }


def _scan(parameters: dict[str, Any], **more: object) -> dict[str, Any]:
    return {
        "task": "teacher-student",
        "parameters": parameters,
        "splits": ["population"],
        "compute": _SERIAL,
        **more,
    }


def _cell(k: int, n: int, sizes: Sizes) -> dict[str, Any]:
    """Runs by the published protocol; with more students than teachers also up to the target.

    There, near global minima two students share a teacher, the Hessian is singular, and the
    gradient falls like a power of time, never to 1e-9. But a step of 0.1 was never seen to
    make the loss greater, and a run that only falls from 1e-3 cannot end as a bad one. Cells have
    seeds of their own, as starts of one seed would begin with the same random numbers in all.
    """
    descent: dict[str, Any] = {
        "method": "gd",
        "step": STEP,
        "tolerance": _GRADIENT,
        "max_iterations": sizes.iterations,
        "keep_parameters": True,
    }
    if n > k:
        descent["target"] = BAD
    return _scan(
        {"teachers": k, "students": n},
        seed=_SEEDS_APART * k + n,
        starts={"num": sizes.more_runs.get((k, n), sizes.runs)},
        descent=descent,
        chunks={"start": sizes.together},
        compute={"workers": sizes.workers, "dtype": "float64"},
    )


def _on_torus(sizes: Sizes) -> dict[str, dict[str, Any]]:
    two = {"teachers": 2, "students": 2, "section": "angles"}
    wide = {**two, "teacher": _turned(_WIDE)}
    three = {**two, "teachers": 3, "dimensions": 2, "teacher": _turned(_THREE)}
    axis = {"start": _AROUND, "stop": _AROUND + 2 * math.pi}

    def square(num: int) -> dict[str, Any]:
        return {"theta_1": {**axis, "num": num}, "theta_2": {**axis, "num": num}}

    newton = {"method": "newton", "tolerance": 1e-10, "keep_parameters": True}
    # Of four steps around, so that the teachers are on the grid.
    quarters = {"start": -math.pi, "stop": math.pi, "num": 5}
    samples = {
        "axes": {"theta_1": quarters, "theta_2": quarters},
        "splits": ["population", "printed", "sample"],
    }
    return {
        "torus": _scan(two, axes=square(sizes.side), descent=newton),
        "torus-three": _scan(three, axes=square(sizes.side), descent=newton),
        "torus-wide": _scan(wide, axes=square(sizes.side), descent=newton),
        "torus-samples": _scan({**two, "samples": 1000}, **samples, replicates=sizes.replicates),
    }


def _turned(degrees: tuple[int, ...]) -> list[list[float]]:
    """Unit vectors at these angles."""
    return [[math.cos(math.radians(each)), math.sin(math.radians(each))] for each in degrees]


def _single(runs: int) -> dict[str, dict[str, Any]]:
    """One student and one teacher; two students of one teacher, where minima are not isolated."""
    descent = {"method": "gd", "tolerance": 1e-9, "keep_parameters": True}
    one = {"teachers": 1, "dimensions": 5}
    return {
        "single": _scan({**one, "students": 1}, starts={"num": runs}, descent=descent),
        "single-two": _scan({**one, "students": 2}, starts={"num": 20}, descent=descent),
    }


def _between(k: int) -> dict[str, Any]:
    """A line between two minima."""
    return _scan(
        {"teachers": k, "students": k, "section": "between"},
        axes={"t": {"start": -0.3, "stop": 1.3, "num": 801}},
    )


def _softest(k: int) -> dict[str, Any]:
    """Critical points either way along the least curvature, by Newton's method."""
    return _scan(
        {"teachers": k, "students": k, "section": "softest"},
        axes={"t": {"start": -0.8, "stop": 0.8, "num": 81}},
        descent={"method": "newton", "tolerance": 1e-10, "keep_parameters": True},
    )


def _planes(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """Planes through a spurious and two global minima; with five teachers it is a saddle."""

    def plane(k: int, num: int, **more: object) -> dict[str, Any]:
        axis = {"start": -0.6, "stop": 1.4, "num": num}
        parameters = {"teachers": k, "students": k, "section": "between"}
        return _scan(parameters, axes={"towards": axis, "aside": axis}, **more)

    descent = {"method": "gd", "step": STEP, "tolerance": 1e-6, "max_iterations": 50_000}
    compute = {"workers": sizes.workers, "dtype": "float64"}
    return {
        "basins": plane(7, sizes.basins, descent=descent, compute=compute),
        "basins-5": plane(5, sizes.basins, descent=descent, compute=compute),
    }
