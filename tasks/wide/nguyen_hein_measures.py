"""Statistics of critical points of networks with a wide layer, and of what they meet.

Nguyen & Hein 2017, arXiv:1704.08045. Each reads scans of descents from random starts, with all
their replicates, each of which has data of its own. Shape legend: R = ends.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.layout import END_PARAMETERS, NUMBER, REPLICATE, SPLIT, START, DescentOutcome
from schemas.study import Hypothesis, Statistic
from tasks.facts import Trees, facts_of, remembered
from tasks.landscape import Floats
from tasks.wide.conditions import (
    QUALIFIED,
    THEOREM,
    Condition,
    LayerConditions,
    Mask,
    conditions_at,
    distinct,
)
from tasks.wide.network import network

if TYPE_CHECKING:
    import xarray as xr

FEWEST = 20
"""Critical points of a kind without which nothing is said."""
GLOBAL = 1e-12
"""Losses of critical points that are at most this above the least one are global minima."""


@dataclass(frozen=True)
class Ends:
    """Where the descents of a scan have ended.

    Attributes:
        losses: above the global minimum, or where that is not known above the least of the same
            data, (R,).
        critical: whether the gradient is within the tolerance, (R,).
        minima: which of them are not saddles, (R,).
        layers: what the conditions come to for each hidden layer, at points (R,).
        qualified: whether samples are distinct and the activation is one the theorem speaks of.
    """

    losses: Floats
    critical: Mask
    minima: Mask
    layers: tuple[LayerConditions, ...]
    qualified: bool

    def counted(self, conditions: Collection[Condition]) -> Mask:
        """Critical points that meet these conditions for some layer, (R,)."""
        met: Mask = np.any([layer.meets(conditions) for layer in self.layers], axis=0)
        return self.critical & met

    @property
    def stuck(self) -> Mask:
        """Critical points that are not global minima, (R,)."""
        return self.critical & (self.losses > GLOBAL)


@remembered
def ends_of(tree: xr.DataTree) -> Ends:
    """The ends of a scan whose descents keep parameters; those that are not finite are left out."""
    data = tree.to_dataset()[[END_PARAMETERS, "end_loss", "outcome"]].sel({SPLIT: "train"})
    if REPLICATE not in data.dims:
        data = data.expand_dims(REPLICATE)
    data = data.transpose(REPLICATE, START, ..., NUMBER).load()
    least = json.loads(tree.attrs["reference"]).get("global_minimum")
    parts = [
        _of_replicate(data.isel({REPLICATE: number}), facts, least)
        for number, facts in enumerate(facts_of(tree))
    ]
    return Ends(
        np.concatenate([part.losses for part in parts]),
        np.concatenate([part.critical for part in parts]),
        np.concatenate([part.minima for part in parts]),
        tuple(map(_joined, zip(*(part.layers for part in parts), strict=True))),
        all(part.qualified for part in parts),
    )


def _of_replicate(data: xr.Dataset, facts: Mapping[str, Any], least: float | None) -> Ends:
    points = np.asarray(data[END_PARAMETERS], dtype=np.float64)
    known = np.isfinite(points).all(axis=1)
    losses = np.asarray(data["end_loss"], dtype=np.float64)[known]
    outcomes = np.asarray(data["outcome"])[known]
    critical = np.asarray(outcomes != DescentOutcome.NOT_CONVERGED)
    inputs, targets = (np.asarray(facts[name], dtype=np.float64) for name in ("inputs", "targets"))
    module = network(facts["dimensions"], facts["widths"], facts["activation"], facts["bias"])
    if least is None:
        least = float(losses[critical].min(initial=np.inf))
    return Ends(
        losses - least,
        critical,
        critical & (outcomes != DescentOutcome.SADDLE),
        conditions_at(module, points[known], inputs, targets),
        distinct(inputs) and facts["activation"] in QUALIFIED,
    )


def _joined(parts: Sequence[LayerConditions]) -> LayerConditions:
    """One layer of one network, at the points of all parts."""
    return replace(
        parts[0],
        hessian=np.concatenate([part.hessian for part in parts]),
        weights=np.concatenate([part.weights for part in parts]),
        singular=np.concatenate([part.singular for part in parts]),
    )


def greatest_loss(conditions: Collection[Condition], *scans_of: str) -> Statistic:
    """The greatest loss of the critical points that meet these conditions; None without any."""

    def statistic(scans: Trees) -> float | None:
        ends = [ends_of(scans[scan]) for scan in scans_of]
        found = np.concatenate([each.losses[each.counted(conditions)] for each in ends])
        return float(found.max()) if found.size else None

    return statistic


def greatest_minimum(scan: str) -> Statistic:
    """The greatest loss of the local minima at which descents end, above the least."""

    def statistic(scans: Trees) -> float | None:
        ends = ends_of(scans[scan])
        return float(ends.losses[ends.minima].max()) if ends.minima.any() else None

    return statistic


def enough(
    conditions: Collection[Condition], *scans_of: str, asked: Collection[Condition] = THEOREM
) -> Hypothesis:
    """All that is asked is met where these conditions are, and there are enough points."""

    def met(scans: Trees) -> bool:
        ends = [ends_of(scans[scan]) for scan in scans_of]
        wanting = any((each.counted(conditions) & ~each.counted(asked)).any() for each in ends)
        counted = sum(int(each.counted(conditions).sum()) for each in ends)
        stuck = sum(int(each.stuck.sum()) for each in ends)
        qualified = all(each.qualified for each in ends)
        return qualified and not wanting and min(counted, stuck) >= FEWEST

    words = {
        "width": "the layer is wide enough",
        "hessian": "the Hessian by the layers above it is nonsingular",
        "weights": "the weights from the second layer above it on have full column rank",
        "features": "its features have full rank",
    }
    return Hypothesis(
        "samples are distinct; at each of these points, for one hidden layer, "
        f"{', '.join(words[each] for each in asked)}; there are {FEWEST} of them or more, and "
        f"{FEWEST} critical points or more that are not global",
        met,
    )


def greatest_curvature(layer: int, *scans_of: str, critical: bool = False) -> Statistic:
    """How far from singular the Hessian by the layers above one is, at the worst end.

    Its least |eigenvalue| relative to the greatest, at all ends or at the critical ones.
    """

    def statistic(scans: Trees) -> float | None:
        ends = [ends_of(scans[scan]) for scan in scans_of]
        found = np.concatenate(
            [
                each.layers[layer - 1].hessian[each.critical if critical else slice(None)]
                for each in ends
            ]
        )
        return float(found.max()) if found.size else None

    return statistic


def is_wider(layer: int, *scans_of: str) -> Hypothesis:
    """A layer has more units than the theorem asks for."""

    def met(scans: Trees) -> bool:
        layers = [ends_of(scans[scan]).layers[layer - 1] for scan in scans_of]
        return all(each.units > each.needed for each in layers)

    return Hypothesis(
        f"layer {layer} has as many units as there are samples, or more, and all have biases", met
    )


def is_below(layer: int, *scans_of: str) -> Hypothesis:
    """A layer is wide enough, with another hidden layer above it."""

    def met(scans: Trees) -> bool:
        ends = [ends_of(scans[scan]) for scan in scans_of]
        layers = [each.layers[layer - 1] for each in ends]
        fits = all(each.above > 0 and each.units >= each.needed for each in layers)
        return fits and sum(int(each.critical.sum()) for each in ends) >= FEWEST

    return Hypothesis(
        f"layer {layer} is wide enough, there is a hidden layer above it, and there are {FEWEST} "
        "critical points or more",
        met,
    )
