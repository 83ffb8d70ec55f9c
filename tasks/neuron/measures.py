"""Statistics that decide the claims on a neuron of many minima, and on one that has a teacher.

Each reads a study's analysed scans: name → DataTree with `loss` at the root and the groups of
`schemas.layout`. Over replicates the worst one counts. Shape legend: K = minima, z = axes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from schemas.layout import (
    AXIS,
    END_PARAMETERS,
    MINIMA_GROUP,
    MINIMUM,
    REPLICATE,
    SPLIT,
    START,
    DescentOutcome,
)
from schemas.study import Hypothesis, Statistic
from tasks.facts import Trees, facts_of

if TYPE_CHECKING:
    import xarray as xr

Floats: TypeAlias = npt.NDArray[np.float64]

TRAIN = "train"
_NO_MINIMUM = ("saddle", "edge", "not converged")
_POINTS_IN_A_DIP = 3
_AT = 1e-3


def minima_found(tree: xr.DataTree, split: str, replicate: int = 0) -> xr.Dataset | None:
    """The rows of the group `minima` that are minima inside the grid; None without the group.

    A point of the grid is left out if the descent from it has shown that it is no minimum of the
    surface, or the same one as another: it ended at a saddle, outside the grid, nowhere, or where
    another ended.
    """
    if MINIMA_GROUP not in tree.children:
        return None
    rows = tree[MINIMA_GROUP].to_dataset().load()
    kept = (rows["of_split"].astype(object) == split) & ~rows["at_edge"].astype(bool)
    if "of_replicate" in rows:
        kept &= rows["of_replicate"] == replicate
    if "kind" in rows:
        kept &= ~rows["kind"].astype(object).isin(_NO_MINIMUM)
        kept &= rows["same_as"] == np.arange(rows.sizes[MINIMUM])
    return rows.isel({MINIMUM: np.flatnonzero(kept.values)})


def count(scan: str, split: str = TRAIN) -> Statistic:
    """The number of minima inside the grid; the least of the replicates."""

    def statistic(scans: Trees) -> float | None:
        tree = scans[scan]
        found = [minima_found(tree, split, each) for each in range(_replicates(tree))]
        counts = [rows.sizes[MINIMUM] for rows in found if rows is not None]
        return float(min(counts)) if len(counts) == len(found) else None

    return statistic


def miscount(scan: str, expected: int, split: str = TRAIN) -> Statistic:
    """|number of minima − expected|; the greatest of the replicates."""

    def statistic(scans: Trees) -> float | None:
        tree = scans[scan]
        found = [minima_found(tree, split, each) for each in range(_replicates(tree))]
        away = [abs(rows.sizes[MINIMUM] - expected) for rows in found if rows is not None]
        return float(max(away)) if len(away) == len(found) else None

    return statistic


def misplaced(scan: str) -> Statistic:
    """How far the refined minima are from those of one weight each, relative to these.

    Each known minimum is compared with the nearest one that was found, along each axis: |w − w*| /
    |w*|, or |b| of a bias. Infinite if there is none left for it.
    """
    return _compared(scan, "refined_coordinate")


def misvalued(scan: str) -> Statistic:
    """How far the losses of the refined minima are from the sums of those of one weight each."""
    return _compared(scan, "refined_loss")


def _compared(scan: str, what: str) -> Statistic:
    def statistic(scans: Trees) -> float | None:
        tree, worst = scans[scan], 0.0
        for replicate in range(_replicates(tree)):
            rows = minima_found(tree, TRAIN, replicate)
            if rows is None or "refined_loss" not in rows:
                return None
            places, losses = known_minima(facts_of(tree)[replicate])
            found = np.asarray(rows["refined_coordinate"].transpose(..., AXIS), dtype=np.float64)
            if len(found) != len(places):
                return math.inf
            scale = np.where(places == 0, 1.0, np.abs(places))
            away = np.abs(found[None] - places[:, None]) / scale[:, None]
            nearest = away.max(axis=2).argmin(axis=1)
            if len({*nearest.tolist()}) < len(places):
                return math.inf
            if what == "refined_loss":
                values = np.asarray(rows["refined_loss"], dtype=np.float64)[nearest]
                worst = max(worst, float(np.abs(values - losses).max()))
            else:
                worst = max(worst, float(away.max(axis=2)[np.arange(len(places)), nearest].max()))
        return worst

    return statistic


def known_minima(known: Mapping[str, Any]) -> tuple[Floats, Floats]:
    """All combinations of the minima of one weight each: places (K, z) and their losses (K,)."""
    places = np.array([*itertools.product(*known["minima"])], dtype=np.float64)
    losses = np.array([math.fsum(parts) for parts in itertools.product(*known["losses"])])
    return places, losses


def separated(scan: str, *, on_grid: bool = True) -> Hypothesis:
    """Lemma 3.2's condition, from the builder, and a grid that can show what follows from it."""
    condition = (
        "the loss of each example alone rises by more, on both sides of where it is fitted, than "
        "all others change on the way (Lemma 3.2 made quantitative)"
    )

    def met(scans: Trees) -> bool:
        tree = scans[scan]
        every = facts_of(tree)
        apart = all((known.get("separation") or -1.0) > 0 for known in every)
        return apart and (not on_grid or all(_resolved(tree, known) for known in every))

    shown = ", and the grid has three points or more there" if on_grid else ""
    return Hypothesis(condition + shown, met)


def bounded(scan: str) -> Hypothesis:
    """The loss saturates."""
    return Hypothesis(
        "the loss of an example is a continuous and bounded function of w·x",
        lambda scans: all(map(_is_bounded, facts_of(scans[scan]))),
    )


def separable(scan: str) -> Hypothesis:
    """The surface is a sum of functions of one coordinate each."""
    return Hypothesis(
        "the loss of an example is a continuous and bounded function of w·x, and each input lies "
        "on an axis of the grid",
        lambda scans: all(
            _is_bounded(facts) and facts["along_inputs"] for facts in facts_of(scans[scan])
        ),
    )


def _is_bounded(facts: Mapping[str, Any]) -> bool:
    return facts["loss"] == "square" and facts["activation"] in ("sigmoid", "tanh")


def _resolved(tree: xr.DataTree, known: Mapping[str, Any]) -> bool:
    """Whether three grid points or more lie in each dip, along each axis of the inputs."""
    axes = [name for name in tree["loss"].dims if name not in (REPLICATE, SPLIT)]
    for name, dips in zip(axes, known["dips"] or [], strict=False):
        at = np.asarray(tree[str(name)], dtype=np.float64)
        for below, _, above in dips:
            low, high = min(below, above), max(below, above)
            if np.count_nonzero((at > low) & (at < high)) < _POINTS_IN_A_DIP:
                return False
    return bool(known["dips"])


def convexity(scan: str) -> Statistic:
    """Part of the grid's inner points at which the surface is convex."""

    def statistic(scans: Trees) -> float:
        found = scans[scan]["analysis"]["shape_convexity"].sel({SPLIT: TRAIN})
        return float(np.asarray(found).min())

    return statistic


def matching(scan: str) -> Hypothesis:
    """The loss is the matching loss of the activation."""
    return Hypothesis(
        "the loss is the matching loss of the activation: entropic, with the sigmoid",
        lambda scans: bool(
            facts_of(scans[scan])[0]["loss"] == "entropic"
            and facts_of(scans[scan])[0]["activation"] == "sigmoid"
        ),
    )


def least_rise(scan: str) -> Statistic:
    """The least rise from a point of a ray to the next, in units of the loss's rounding there.

    Rounding is a unit in the last place of float64 of the greater of the two losses. The least over
    all steps and all replicates, of which each is a ray.
    """

    def statistic(scans: Trees) -> float:
        loss = rays(scans[scan])
        rounding = np.finfo(np.float64).eps * np.maximum(loss[:, 1:], loss[:, :-1])
        return float((np.diff(loss, axis=1) / rounding).min())

    return statistic


def rays(tree: xr.DataTree) -> Floats:
    """Losses (replicates, points) of a scan along rays."""
    loss = tree["loss"].sel({SPLIT: TRAIN})
    if REPLICATE not in loss.dims:
        loss = loss.expand_dims(REPLICATE)
    return np.asarray(loss.transpose(REPLICATE, ...), dtype=np.float64)


def from_a_teacher(scan: str) -> Hypothesis:
    """The rays begin at an error of zero, and φ is monotone."""

    def met(scans: Trees) -> bool:
        tree = scans[scan]
        every = facts_of(tree)
        starts = float(rays(tree)[:, 0].max())
        return starts <= 1e-20 and all(known["monotone"] for known in every)

    return Hypothesis("the data are realizable, E(w₀) = 0, and φ is monotone", met)


def unreached(scan: str) -> Statistic:
    """The number of known minima at which no descent of a multi-start scan ends, and of ends that
    are at none of them.

    An end is at a minimum if every weight of it is, to a thousandth.
    """

    def statistic(scans: Trees) -> float | None:
        tree = scans[scan]
        if END_PARAMETERS not in tree.data_vars:
            return None
        places, _ = known_minima(facts_of(tree)[0])
        ends = tree[END_PARAMETERS].sel({SPLIT: TRAIN}).transpose(START, ...)
        away = np.abs(np.asarray(ends, dtype=np.float64)[:, None] - places[None]) / np.abs(places)
        at = away.max(axis=2) < _AT
        return float(np.count_nonzero(~at.any(axis=0)) + np.count_nonzero(~at.any(axis=1)))

    return statistic


def spurious_share(scan: str) -> Statistic:
    """The part of the starts whose descent ends at a minimum that is not the global one."""

    def statistic(scans: Trees) -> float | None:
        tree = scans[scan]
        if "outcome" not in tree.data_vars:
            return None
        outcome = np.asarray(tree["outcome"].sel({SPLIT: TRAIN}))
        return float(np.mean(outcome == DescentOutcome.SPURIOUS.value))

    return statistic


def _replicates(tree: xr.DataTree) -> int:
    return int(tree["loss"].sizes.get(REPLICATE, 1))
