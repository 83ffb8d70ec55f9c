"""The figure of the study `wide-layer` on where critical points meet Nguyen & Hein's condition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schemas.study import Figure, Series
from tasks.facts import Trees
from tasks.wide.conditions import NONSINGULAR
from tasks.wide.nguyen_hein_claims import CURVATURE
from tasks.wide.nguyen_hein_measures import ends_of
from tasks.wide.scans import Net


def condition_figures(nets: Sequence[tuple[Net, int, Sequence[str]]]) -> dict[str, Figure]:
    """Losses of critical points by the Hessian of the layers above one of each network."""
    return {
        CURVATURE: Figure(
            "Critical points are global where the Hessian above a layer of N − 1 units is "
            "nonsingular",
            "Each point is where a descent has ended, with a gradient of 10⁻¹⁰ or less. What is "
            "right of the dashed line counts as nonsingular. Next to 1 are the losses of points "
            "that are no global minima, near 10⁻²⁰ and below those of global ones.",
            "least |eigenvalue| of the Hessian by the layers above, relative to the greatest",
            "loss",
            lambda scans: _with_border([_points(scans, *net) for net in nets]),
            x_scale="log",
            y_scale="log",
        )
    }


def _points(scans: Trees, net: Net, layer: int, names: Sequence[str]) -> Series:
    ends = [ends_of(scans[name]) for name in names]
    at = np.concatenate([each.layers[layer - 1].hessian[each.critical] for each in ends])
    losses = np.concatenate([each.losses[each.critical] for each in ends])
    return Series(_label(net, layer), at.tolist(), losses.tolist(), "points")


def _label(net: Net, layer: int) -> str:
    return net.words if len(net.widths) == 1 else f"{net.words}: layer {layer}"


def _with_border(series: Sequence[Series]) -> list[Series]:
    """The points, and what their Hessians are held to, as high as they reach."""
    heights = [y for one in series for y in one.y if y > 0]
    ends = [min(heights, default=1.0), max(heights, default=1.0)]
    at = [NONSINGULAR, NONSINGULAR]
    return [*series, Series("counts as nonsingular", at, ends, "bound")]
