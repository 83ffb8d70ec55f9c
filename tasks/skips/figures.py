"""The figures of the study `no-bad-valleys` but for those of trainings.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749.
"""

from __future__ import annotations

import numpy as np

from schemas.study import Figure, Series, Surfaces
from tasks.facts import Trees, facts_of
from tasks.skips import measures, scans
from tasks.skips.bounds import zero_error_below
from tasks.skips.measures import along

_SHOWN = 8
"""Lines of a scan that are drawn."""


def figures() -> dict[str, Figure]:
    """The loss along the paths, at their ends, and on lines to solutions."""
    return {
        "falling": Figure(
            "The path of Theorem 3.4",
            "Loss along the path, at each point the greatest of all starts of a kind. From 0 to ½ "
            "the other parameters U move if the features lack full rank, "
            "from ½ to 1 the skip units' weights V. The dashed line is log 2/N.",
            "t",
            "loss",
            _falling,
            y_scale="log",
        ),
        "ends": Figure(
            "With skip units and without",
            "Loss at the ends of paths of sigmoids, sorted: the same construction with the weights "
            "V of the skip units, from the same starts with those of the last layer instead, and "
            "with an image that has two labels.",
            "path, by its end",
            "loss at the end",
            _ends,
            y_scale="log",
        ),
        "lines": Figure(
            "Without skip units: straight to a solution",
            "Loss on the straight line from the end of the construction, at 0, to a solution that "
            "was trained from another start, at 1.",
            "t",
            "loss",
            _lines,
        ),
    }


def pairs(near: bool) -> dict[str, Surfaces]:
    """Figure 3: planes with skip units beside those without, and `near` a start if asked for."""
    found = {
        f"surfaces-{each}": Surfaces(
            f"{each.capitalize()} with skip units and without",
            "Loss over a random plane through zero that moves all parameters, along the same "
            "directions, the skip units' weights apart.",
            {
                "with skip units": scans.surface_name(each, True),
                "without": scans.surface_name(each, False),
            },
        )
        for each in scans.ACTIVATIONS
    }
    if near:
        found["surfaces-near"] = Surfaces(
            "Softplus near a random start, with skip units and without",
            "Loss over a small random plane around a normal start that moves all parameters.",
            {"with skip units": scans.NEAR_SKIPS, "without": scans.NEAR_PLAIN},
        )
    found["surfaces-hidden"] = Surfaces(
        "Hidden layers alone, with skip units and without",
        "Loss over a random plane that moves the hidden layers U of sigmoids while V and the last "
        "layer are held fast: the theorem says nothing of it.",
        {"with skip units": scans.HIDDEN_SKIPS, "without": scans.HIDDEN_PLAIN},
    )
    return found


def _t(trees: Trees, scan: str) -> list[float]:
    found: list[float] = np.asarray(trees[scan]["t"].values, dtype=np.float64).tolist()
    return found


def _falling(trees: Trees) -> list[Series]:
    worst = [
        Series(f"{words}, {activation}", _t(trees, scan), along(trees[scan]).max(axis=0))
        for words, kind in (
            ("normal starts", scans.NORMAL),
            ("equal units", scans.EQUAL),
            ("zero", scans.ZERO),
        )
        for activation, scan in kind.items()
    ]
    samples = facts_of(trees[scans.NORMAL[scans.SIGMOID]])[0]["samples"]
    bound = [zero_error_below(samples)] * 2
    return [*worst, Series(f"log 2/N, N = {samples}", [0.0, 1.0], bound, "bound")]


def _ends(trees: Trees) -> list[Series]:
    shown = {
        "with skip units": scans.NORMAL[scans.SIGMOID],
        "without": scans.PATH_PLAIN,
        "two labels": scans.PATH_REPEATED,
    }
    found = []
    for label, scan in shown.items():
        ends = np.sort(along(trees[scan])[:, -1])
        found.append(Series(label, np.linspace(0, 1, len(ends)).tolist(), ends.tolist(), "points"))
    return [*found, Series("ε", [0.0, 1.0], [scans.EPSILON] * 2, "bound")]


def _lines(trees: Trees) -> list[Series]:
    rows = along(trees[scans.LINE_PLAIN])
    rises = measures.rises_of_lines(trees[scans.LINE_PLAIN])
    return [
        Series(f"start {number}, barrier {rise:.2g}", _t(trees, scans.LINE_PLAIN), row)
        for number, (row, rise) in enumerate(zip(rows[:_SHOWN], rises, strict=False))
    ]
