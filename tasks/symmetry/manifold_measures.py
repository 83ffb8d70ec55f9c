"""Statistics of scans of Θ: subspaces of zero loss, where descents end, and paths.

Şimşek et al. 2021, arXiv:2105.12221. Shape legend: R = replicates, one for each teacher,
S = subspaces, W = points within one, O = distances out of it, E = ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.layout import END_PARAMETERS, NUMBER, REPLICATE, SPLIT, START
from schemas.study import CaseStatistic, Hypothesis, Statistic
from tasks.facts import Trees, facts_of, remembered
from tasks.landscape import Floats
from tasks.symmetry.counts import subspaces_by_groups
from tasks.symmetry.data import is_irreducible
from tasks.symmetry.manifold_scans import NEAR
from tasks.symmetry.network import unflattened
from tasks.symmetry.subspaces import distance

if TYPE_CHECKING:
    import xarray as xr

ZERO = 1e-24
"""Ends of a loss of at most this are at zero loss."""
IN_THETA = 1e-4
"""Ends at most this far from Θ count as being in it. Where two subspaces meet the loss grows as the
fourth power of the distance, so that 10⁻²⁴ leaves 10⁻⁶ and more. Set after a first look at
descents of other seeds, which ended within 5·10⁻⁵ of Θ or beyond 0.9.
"""
FEWEST = 5
"""Ends at zero loss without which nothing is said of them."""
_ORTHOGONAL = 1e-9
WITHOUT_PARITY = ("asymmetric",)


def losses_around(tree: xr.DataTree) -> Floats:
    """Losses about the subspaces of a scan, (R, S, W, O)."""
    return _of_dimensions(tree, "subspace", "within", "out")


def losses_along(tree: xr.DataTree) -> Floats:
    """Losses along a path, (R, points)."""
    return _of_dimensions(tree, "t")


def _of_dimensions(tree: xr.DataTree, *axes: str) -> Floats:
    values = tree["loss"].sel({SPLIT: "train"})
    if REPLICATE not in values.dims:
        values = values.expand_dims(REPLICATE)
    found: Floats = np.asarray(values.transpose(REPLICATE, *axes).values, dtype=np.float64)
    return found


def distances_out(tree: xr.DataTree) -> Floats:
    """The distances from a subspace that a scan looks at, (O,)."""
    found: Floats = np.asarray(tree["out"].values, dtype=np.float64)
    return found


def _at(tree: xr.DataTree, out: float) -> Floats:
    """Losses at that distance from the subspaces, (R, S, W)."""
    place = int(np.flatnonzero(distances_out(tree) == out)[0])
    found: Floats = losses_around(tree)[..., place]
    return found


def greatest_on(tree: xr.DataTree) -> float:
    """The greatest loss on all subspaces of a scan."""
    return float(_at(tree, 0.0).max())


def least_off(tree: xr.DataTree) -> float:
    """The least loss at the least distance from a subspace."""
    return float(_at(tree, NEAR).min())


def exponents(tree: xr.DataTree) -> Floats:
    """The power of the distance as which the loss grows, by that and twice that, (R, S, W)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.log2(_at(tree, 2 * NEAR) / _at(tree, NEAR))
    return found


def greatest_on_subspaces(scans: Sequence[str]) -> CaseStatistic:
    """The greatest loss on all subspaces, of each scan."""
    return lambda trees: {scan: greatest_on(trees[scan]) for scan in scans}


def least_off_subspaces(scans: Sequence[str]) -> CaseStatistic:
    """The least loss near by all subspaces, of each scan."""
    return lambda trees: {scan: least_off(trees[scan]) for scan in scans}


def greatest_from_quadratic(scans: Sequence[str]) -> CaseStatistic:
    """How far the power of the growth is from 2 at most, of each scan."""
    return lambda trees: {scan: float(np.abs(exponents(trees[scan]) - 2).max()) for scan in scans}


def least_within(scans: Sequence[str]) -> CaseStatistic:
    """The least loss at points of the subspaces other than where their ways begin."""

    def of_scan(tree: xr.DataTree) -> float:
        moved = np.asarray(tree["within"].values) != 0
        return float(_at(tree, 0.0)[..., moved].min())

    return lambda trees: {scan: of_scan(trees[scan]) for scan in scans}


def on_subspaces(scans: Sequence[str]) -> Hypothesis:
    """What is scanned are all subspaces of students that equal an irreducible teacher."""

    def met(trees: Trees) -> bool:
        return all(_is_of_theorem(facts) for scan in scans for facts in facts_of(trees[scan]))

    return Hypothesis(
        "the teacher is irreducible and puts out the targets; the output weights of copies sum to "
        "its own; there are as many subspaces as counted",
        met,
    )


def _is_of_theorem(facts: dict[str, Any]) -> bool:
    widths = zip(facts["teacher_units"], facts["units"], strict=True)
    counted = prod(subspaces_by_groups(r, m) for r, m in widths)
    exact = facts["noise"] == 0 and facts["excess"] == 0
    return bool(exact and facts["subspaces"] == counted and _irreducible(facts))


def _irreducible(facts: dict[str, Any]) -> bool:
    return is_irreducible([np.asarray(matrix) for matrix in facts["teacher"]])


def ways_out(scans: Sequence[str], axis: str) -> Hypothesis:
    """The ways along this axis lead out of the subspaces."""

    def met(trees: Trees) -> bool:
        return all(
            facts["parts_within"][axis] <= _ORTHOGONAL
            for scan in scans
            for facts in facts_of(trees[scan])
        )

    return Hypothesis("the ways are orthogonal to the subspaces", met)


@dataclass(frozen=True)
class ZeroEnds:
    """Where the descents of a scan have ended.

    Attributes:
        losses: of all ends, (E,).
        distances: from Θ, (E,).
    """

    losses: Floats
    distances: Floats

    @property
    def at_zero(self) -> Floats:
        """Distances from Θ of the ends at zero loss."""
        found: Floats = self.distances[self.losses <= ZERO]
        return found


@remembered
def ends_of(tree: xr.DataTree) -> ZeroEnds:
    """The ends of students of one hidden layer."""
    data = tree.to_dataset()[[END_PARAMETERS, "end_loss"]].sel({SPLIT: "train"})
    if REPLICATE not in data.dims:
        data = data.expand_dims(REPLICATE)
    data = data.transpose(REPLICATE, START, ..., NUMBER).load()
    losses, distances = [], []
    for number, facts in enumerate(facts_of(tree)):
        sizes = [facts["inputs"], *facts["units"], facts["outputs"]]
        teacher = tuple(np.asarray(matrix) for matrix in facts["teacher"])
        part = data.isel({REPLICATE: number})
        losses.append(np.asarray(part["end_loss"], dtype=np.float64))
        distances.append(
            [distance(unflattened(row, sizes), teacher) for row in part[END_PARAMETERS].values]
        )
    return ZeroEnds(np.concatenate(losses), np.concatenate(distances))


def greatest_distance(scan: str) -> Statistic:
    """The greatest distance from Θ of an end at zero loss; None if there are too few of them."""

    def statistic(trees: Trees) -> float | None:
        found = ends_of(trees[scan]).at_zero
        return float(found.max()) if len(found) >= FEWEST else None

    return statistic


def without_parity(scan: str) -> Hypothesis:
    """The activation has no parity symmetry, and the teacher is irreducible."""

    def met(trees: Trees) -> bool:
        every = facts_of(trees[scan])
        return all(facts["activation"] in WITHOUT_PARITY and _irreducible(facts) for facts in every)

    return Hypothesis(
        "the activation is neither odd nor even, nor so but for a constant or a linear function; "
        "the teacher is irreducible",
        met,
    )


def greatest_along(paths: Sequence[str]) -> CaseStatistic:
    """The greatest loss along each path."""
    return lambda trees: {path: float(losses_along(trees[path]).max()) for path in paths}


def least_barrier(paths: Sequence[str]) -> CaseStatistic:
    """How far each path rises above the higher of its ends, the least over replicates."""

    def of_path(tree: xr.DataTree) -> float:
        loss = losses_along(tree)
        return float((loss.max(axis=1) - np.maximum(loss[:, 0], loss[:, -1])).min())

    return lambda trees: {path: of_path(trees[path]) for path in paths}


def through_spare(paths: Sequence[str]) -> Hypothesis:
    """The paths make use of a spare unit in each layer."""

    def met(trees: Trees) -> bool:
        return all(
            facts["route"] == "swap" and min(_spare(facts)) >= 1
            for path in paths
            for facts in facts_of(trees[path])
        )

    return Hypothesis("every hidden layer has a spare unit, and the path leads through it", met)


def straight(paths: Sequence[str]) -> Hypothesis:
    """The paths are straight."""
    return Hypothesis(
        "the path is straight",
        lambda trees: all(
            facts["route"] == "line" for path in paths for facts in facts_of(trees[path])
        ),
    )


def _spare(facts: dict[str, Any]) -> list[int]:
    return [m - r for r, m in zip(facts["teacher_units"], facts["units"], strict=True)]
