"""Figures of the study `linear-resnet`, from its stored scans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from schemas.study import Figure, Series
from tasks.facts import Trees, facts_of
from tasks.linear import residual_measures as measures
from tasks.linear.residual_inequality import COUNTEREXAMPLES
from tasks.linear.residual_matrices import Floats
from tasks.linear.residual_measures import Constant
from tasks.linear.residual_parameters import LARGEST_NORM

FLOOR = 1e-33
"""Where an excess of exactly 0 is drawn on a logarithmic scale."""
BINS = 60


def figures(
    series: Mapping[str, Sequence[str]],
    starts: Mapping[str, str],
    negative: Mapping[str, str],
    balls: Mapping[str, str],
    line: str,
) -> dict[str, Figure]:
    """The figures by name; every mapping is from what a legend says to scans."""
    every = {**balls, "A_i = αI": line}
    return {
        "construction": Figure(
            title="The loss and the gradient at the explicit point",
            caption="Greatest excess f − C and greatest gradient norm over all R at each depth: "
            "rounding alone.",
            x_label="layers ℓ",
            y_label="f − C, ‖∇f‖",
            x_scale="log",
            y_scale="log",
            series=lambda trees: _exactness(trees, series),
        ),
        "norms": Figure(
            title="Norms of the explicit global minimum",
            caption="max ‖A_i‖ of each R against the depth, with both published bounds.",
            x_label="layers ℓ",
            y_label="max ‖A_i‖",
            x_scale="log",
            y_scale="log",
            series=lambda trees: _norms(trees, series, scaled=False),
        ),
        "scaled-norms": Figure(
            title="ℓ · max ‖A_i‖ of the explicit global minimum",
            caption="Depth times the greatest norm, of each R. It settles: the norms decay as 1/ℓ.",
            x_label="layers ℓ",
            y_label="ℓ · max ‖A_i‖",
            x_scale="log",
            series=lambda trees: _norms(trees, series, scaled=True),
        ),
        "ends": _of_ends(
            title="Where descents from the ball end, det R > 0",
            caption="Critical points at which Newton's method ends. Left of the line, in the ball, "
            f"all are global minima. An excess of 0 is drawn at {FLOOR:g}.",
            starts=starts,
        ),
        "ends-negative": _of_ends(
            title="Where descents from the ball end, det R < 0",
            caption="The same with det R < 0: none ends in the ball.",
            starts=negative,
        ),
        "corrected": _of_ratios(
            title="The corrected gradient inequality over the ball",
            caption="Least ‖∇f‖² over 4ℓ(1 − τ)^(2ℓ−2) σ_min(Σ)(f − C) at each τ. The inequality "
            "holds where it is 1 or more, and along A_i = αI it is 1.",
            series=lambda trees: _ratios(trees, every, measures.corrected_constant),
        ),
        "stronger": _of_ratios(
            title="Half of the exponent is too strong",
            caption="Least ‖∇f‖² over 4ℓ(1 − τ)^(ℓ−1) σ_min(Σ)(f − C) at each τ: below 1 the "
            "inequality fails.",
            series=lambda trees: _ratios(trees, every, measures.stronger_constant),
        ),
        "printed": _of_ratios(
            title="The gradient inequality as printed",
            caption="Least ‖∇f‖² over 4ℓ(1 − τ)^(ℓ−1) σ_min(Σ)²(f − C) at each τ: below 1 the "
            "inequality fails. The marks are its two counterexamples.",
            series=lambda trees: [
                *_ratios(trees, every, measures.printed_constant),
                *_counterexamples(trees),
            ],
        ),
    }


def _of_ends(title: str, caption: str, starts: Mapping[str, str]) -> Figure:
    return Figure(
        title=title,
        caption=caption,
        x_label="max ‖A_i‖ at the end",
        y_label="f − C at the end",
        x_scale="log",
        y_scale="log",
        series=lambda trees: _ends(trees, starts),
    )


def _of_ratios(title: str, caption: str, series: Callable[[Trees], list[Series]]) -> Figure:
    return Figure(
        title=title,
        caption=caption,
        x_label="τ = max ‖A_i‖",
        y_label="‖∇f‖² over the right-hand side",
        y_scale="log",
        series=series,
    )


def _depth(trees: Trees, scan: str) -> int:
    return int(facts_of(trees[scan])[0]["layers"])


def _exactness(trees: Trees, series: Mapping[str, Sequence[str]]) -> list[Series]:
    found = []
    for words, name in (("f − C", "loss"), ("‖∇f‖", "gradient_norm")):
        for label, scans in series.items():
            depths = [float(_depth(trees, scan)) for scan in scans]
            greatest = [float(measures.at_origin(trees[scan], name).max()) for scan in scans]
            found.append(Series(f"{words}, {label}", depths, greatest))
    return found


def _norms(trees: Trees, series: Mapping[str, Sequence[str]], *, scaled: bool) -> list[Series]:
    points, bounds = [], []
    for label, scans in series.items():
        depths, norms = [], []
        known: dict[str, list[float]] = {"conference": [], "later": []}
        for scan in scans:
            depth = _depth(trees, scan)
            factor = depth if scaled else 1
            here = measures.at_origin(trees[scan], LARGEST_NORM) * factor
            norms += here.tolist()
            depths += [float(depth)] * len(here)
            for version, values in known.items():
                facts = facts_of(trees[scan])[0]
                values.append(facts[f"bound_{version}"] * factor)
        points.append(Series(label, depths, norms, "points"))
        each = [float(_depth(trees, scan)) for scan in scans]
        bounds += [
            Series(f"{version} bound, {label}", each, values, "bound")
            for version, values in known.items()
        ]
    return [*points, *bounds]


def _ends(trees: Trees, starts: Mapping[str, str]) -> list[Series]:
    found = []
    for label, scan in starts.items():
        ends = measures.ends_of(trees[scan])
        excess = np.maximum(ends.excess, FLOOR).tolist()
        found.append(Series(label, ends.largest_norm.tolist(), excess, "points"))
    return [*found, Series("edge of the ball", [1.0, 1.0], [FLOOR, 10.0], "bound")]


def _ratios(trees: Trees, scans: Mapping[str, str], constant: Constant) -> list[Series]:
    found = []
    for label, scan in scans.items():
        tau, values = measures.ratios(trees[scan], constant)
        found.append(Series(label, *_least_by_bin(tau, values)))
    return [*found, Series("equality", [0.0, 1.0], [1.0, 1.0], "bound")]


def _least_by_bin(tau: Floats, values: Floats) -> tuple[list[float], list[float]]:
    """The least value in each of equal bins of τ from 0 to 1, and the bins' centres."""
    bins = np.minimum((tau * BINS).astype(np.int64), BINS - 1)
    least = np.full(BINS, np.inf)
    np.minimum.at(least, bins, values)
    there = np.isfinite(least)
    centres = (np.arange(BINS) + 0.5) / BINS
    return centres[there].tolist(), least[there].tolist()


def _counterexamples(trees: Trees) -> list[Series]:
    found = []
    for scan in COUNTEREXAMPLES:
        tree = trees[scan]
        left, right = measures.two_sides(tree, measures.printed_constant)
        tau = float(measures.at_origin(tree, LARGEST_NORM)[0])
        found.append(Series(f"{left:.6f} < {right:.6f}", [tau], [left / right], "points"))
    return found
