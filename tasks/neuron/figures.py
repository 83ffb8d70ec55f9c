"""Figures of the study `single-neuron`, from its stored scans."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from schemas.study import Figure, Series
from tasks.facts import Trees, facts_of
from tasks.neuron import measures, relu_measures

_RAYS_SHOWN = 2


def figures(
    growth: Mapping[int, Mapping[int, str]],
    ratios: Mapping[float, str],
    rays: Mapping[str, str],
    zero: str,
    samples: Sequence[str],
) -> dict[str, Figure]:
    """The figures by name.

    Args:
        growth: inputs d → examples n → scan.
        ratios: ratio of geometric data of one input → scan.
        rays: what a legend says → scan along rays.
        zero: scan of a plane about 0.
        samples: scans with samples of several sizes, if there are any.
    """
    made = {
        "growth": Figure(
            title="Local minima of one neuron",
            caption="Counted on the grid, against ⌊n/d⌋^d of Theorem 3.4.",
            x_label="examples n",
            y_label="local minima",
            y_scale="log",
            series=lambda trees: _growth(trees, growth),
        ),
        "ratios": Figure(
            title="Inputs that are too close lose minima",
            caption="Local minima of one weight by the ratio of neighbouring inputs, against one "
            "for each example.",
            x_label="ratio of inputs",
            y_label="local minima",
            x_scale="log",
            series=lambda trees: _ratios(trees, ratios),
        ),
        "rays": Figure(
            title="The error along rays from the teacher",
            caption="In the realizable case it increases along every ray (Theorem 5.1); not so "
            "with noise, or with an activation that is not monotone.",
            x_label="distance from w₀",
            y_label="error",
            series=lambda trees: _rays(trees, rays),
        ),
        "kink": Figure(
            title="The ReLU neuron's loss at w = 0",
            caption="Directional derivative at 0 against the angle to the teacher, measured and "
            "derived. It is 0 only opposite the teacher.",
            x_label="angle to v, rad",
            y_label="directional derivative",
            series=lambda trees: _kink(trees, zero),
        ),
    }
    if samples:
        made["sampling"] = Figure(
            title="The closed form against samples",
            caption="Root mean square of what the loss of a sample misses, over a plane and all "
            "replicates, and N^−½ through the first of them.",
            x_label="inputs N of a sample",
            y_label="difference from the closed form",
            x_scale="log",
            y_scale="log",
            series=lambda trees: _sampling(trees, samples),
        )
    return made


def _growth(trees: Trees, growth: Mapping[int, Mapping[int, str]]) -> list[Series]:
    made = []
    for d, scans in growth.items():
        sizes = sorted(scans)
        counted = [(n, measures.count(scans[n])(trees)) for n in sizes]
        known = [(float(n), number) for n, number in counted if number is not None]
        made.append(
            Series(f"d = {d}", [n for n, _ in known], [number for _, number in known], "points")
        )
        theory = [float((n // d) ** d) for n in sizes]
        made.append(Series(f"⌊n/{d}⌋^{d}", [float(n) for n in sizes], theory, "bound"))
    return made


def _ratios(trees: Trees, ratios: Mapping[float, str]) -> list[Series]:
    counted = [(ratio, measures.count(scan)(trees)) for ratio, scan in sorted(ratios.items())]
    known = [(ratio, number) for ratio, number in counted if number is not None]
    examples = float(facts_of(trees[next(iter(ratios.values()))])[0]["examples"])
    at = [ratio for ratio, _ in known]
    return [
        Series("counted", at, [number for _, number in known], "points"),
        Series("examples", at, [examples] * len(at), "bound"),
    ]


def _rays(trees: Trees, scans: Mapping[str, str]) -> list[Series]:
    made = []
    for words, scan in scans.items():
        tree = trees[scan]
        at = np.asarray(tree[str(tree["loss"].dims[-1])], dtype=np.float64)
        for number, loss in enumerate(measures.rays(tree)[:_RAYS_SHOWN]):
            label = words if number == 0 else f"{words}, ray {number + 1}"
            made.append(Series(label, at.tolist(), loss.tolist()))
    return made


def _kink(trees: Trees, scan: str) -> list[Series]:
    angles, rates = relu_measures.rates_found(trees[scan])
    line = np.linspace(0, math.pi, 100)
    expected = relu_measures.rate_from_zero(line, relu_measures.norm_of_teacher(trees[scan]))
    return [
        Series("measured", angles.tolist(), rates.tolist(), "points"),
        Series("derived", line.tolist(), expected.tolist()),
    ]


def _sampling(trees: Trees, scans: Sequence[str]) -> list[Series]:
    sizes, missed = relu_measures.sampling_errors(trees, scans)
    law = missed[0] * np.sqrt(sizes[0] / sizes)
    return [
        Series("sample", sizes.tolist(), missed.tolist(), "points"),
        Series("N^−½", sizes.tolist(), law.tolist(), "bound"),
    ]
