"""Figures of the study `deep-linear`, drawn from its scans.

Shape legend: K = descents, T = points of a line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from schemas.study import Figure, Series
from tasks.facts import Trees, facts_of
from tasks.linear import deep_measures as measures
from tasks.linear.deep_claims import CRITICAL, CURVATURE, ENDS, FLATNESS
from tasks.linear.deep_measures import Floats

_LEAST = 1e-16
"""Where what is zero to rounding is drawn on a logarithmic axis."""
_SHOWN = 400
"""Points of a series, at most."""


def figures(
    ends: Mapping[str, str], lines: Mapping[str, str], critical: Mapping[str, str]
) -> dict[str, Figure]:
    """The figures of the study; each argument gives the labels of scans by their names."""
    return {
        ENDS: _ends(ends),
        FLATNESS: _flatness(lines),
        CURVATURE: _curvature(lines),
        CRITICAL: _critical(critical),
    }


def _ends(labels: Mapping[str, str]) -> Figure:
    return Figure(
        title="Where descents end",
        caption="Excess of the loss over the global minimum at the end of every converged "
        "descent, sorted; with a ReLU, over the least loss found. Below "
        f"{measures.GAP:g} an end counts as global; excesses below {_LEAST:g} are drawn there.",
        x_label="share of the descents",
        y_label="(L − L*) / ‖Y‖²",
        series=lambda scans: [
            *(_sorted_excess(scans, name, label) for name, label in labels.items()),
            Series("global below", (0.0, 1.0), (measures.GAP, measures.GAP), "bound"),
        ],
        y_scale="log",
    )


def _flatness(labels: Mapping[str, str]) -> Figure:
    return Figure(
        title="Flatness at zero weights",
        caption="How much the loss moves along random unit directions. Through zero it falls as "
        "the power H of the distance, H being the number of layers (broken lines: exactly so).",
        x_label="distance t",
        y_label="|L(t) − L(0)| / ‖Y‖²",
        series=lambda scans: [
            series for name, label in labels.items() for series in _rise(scans, name, label)
        ],
        x_scale="log",
        y_scale="log",
    )


def _curvature(labels: Mapping[str, str]) -> Figure:
    return Figure(
        title="Curvature near zero weights",
        caption="The greatest |Hessian eigenvalue| along the same lines, relative to 2σ_max(XYᵀ), "
        "its value at zero for two layers. With H layers it vanishes as t^(H−2).",
        x_label="distance t",
        y_label="max |λ| / 2σ_max(XYᵀ)",
        series=lambda scans: [_greatest(scans, name, label) for name, label in labels.items()],
        x_scale="log",
        y_scale="log",
    )


def _critical(labels: Mapping[str, str]) -> Figure:
    return Figure(
        title="Critical points and the gradient of the product's loss",
        caption="Every critical point found by Newton's method. Without a bottleneck the excess "
        "vanishes exactly where ∇ℓ₀ does; with one it does not. The points lie at the few values "
        "that the eigenvalues of YXᵀ(XXᵀ)⁻¹XYᵀ allow.",
        x_label="‖∇ℓ₀(W_H…W_1)‖ / ‖∇ℓ₀(0)‖",
        y_label="(L − L*) / ‖Y‖²",
        series=lambda scans: [_criteria(scans, name, label) for name, label in labels.items()],
    )


def _sorted_excess(scans: Trees, name: str, label: str) -> Series:
    excess = np.sort(np.concatenate([one.excess for one in measures.ends(scans, name)]))
    share = (np.arange(len(excess)) + 0.5) / max(len(excess), 1)
    every = -(-len(excess) // _SHOWN) or 1
    return Series(label, _plain(share[::every]), _plain(_drawn(excess[::every])), "points")


def _rise(scans: Trees, name: str, label: str) -> list[Series]:
    """The first replicate's rise, and t^H through its first point."""
    facts = facts_of(scans[name])[0]
    t, rise = measures.rises(scans, name)[0]
    relative = np.abs(rise) / float(facts["loss_at_zero"])
    if facts["origin"] != "zero":
        return [Series(label, _plain(t), _plain(relative), "line")]
    depth = int(facts["depth"])
    straight = relative[0] * (t[[0, -1]] / t[0]) ** depth
    drawn = Series(label, _plain(t), _plain(relative), "points")
    return [drawn, Series(f"∝ t^{depth}", _plain(t[[0, -1]]), _plain(straight), "bound")]


def _greatest(scans: Trees, name: str, label: str) -> Series:
    t, greatest = measures.curvatures(scans, name)[0]
    return Series(label, _plain(t), _plain(greatest), "line")


def _criteria(scans: Trees, name: str, label: str) -> Series:
    found = measures.ends(scans, name)
    slopes = np.concatenate([measures.map_gradients(one) for one in found])
    excess = np.concatenate([one.excess for one in found])
    return Series(label, _plain(slopes), _plain(excess), "points")


def _drawn(values: Floats) -> Floats:
    raised: Floats = np.maximum(values, _LEAST)
    return raised


def _plain(values: Floats) -> Sequence[float]:
    return [float(value) for value in values]
