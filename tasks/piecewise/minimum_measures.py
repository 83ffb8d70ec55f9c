"""Statistics of bad local minima, of lower points, and of what lies between them.

Risks are those of the papers, ½‖F − Y‖². Over replicates the worst one counts.
Shape legend: R = replicates, P = points of a scan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from schemas.layout import REPLICATE, SPLIT
from schemas.study import CaseStatistic, Hypothesis, Statistic
from tasks.facts import Trees, facts_of
from tasks.piecewise.pieces import Floats

if TYPE_CHECKING:
    import xarray as xr

Facts = Mapping[str, Any]


def risks(tree: xr.DataTree) -> Floats:
    """The risk at every point, (R, P)."""
    values = tree["loss"]
    if REPLICATE in values.dims:
        values = values.transpose(REPLICATE, ...)
    found: Floats = np.asarray(values.values, dtype=np.float64)
    facts = facts_of(tree)
    factors = np.array([each["risk_per_loss"] for each in facts])
    scaled: Floats = found.reshape(len(facts), -1) * factors[:, None]
    return scaled


def rises(tree: xr.DataTree) -> Floats:
    """How far the risk is above that of least squares, relative to it, (R, P)."""
    least = np.array([each["fit_risk"] for each in facts_of(tree)])
    relative: Floats = risks(tree) / least[:, None] - 1
    return relative


def coordinate(tree: xr.DataTree, name: str) -> Floats:
    """The coordinates of an axis, (P,)."""
    found: Floats = np.asarray(tree[name].values, dtype=np.float64)
    return found


def axes(tree: xr.DataTree) -> list[str]:
    """The names of the scan's axes."""
    return [str(name) for name in tree["loss"].dims if name not in (REPLICATE, SPLIT)]


def scales(tree: xr.DataTree) -> Floats:
    """The α of a family, (P,)."""
    found: Floats = 10.0 ** coordinate(tree, "log10_alpha")
    return found


def share_of_minima(*scans: str) -> Statistic:
    """The share of replicates whose local minimum is proved."""
    return _share(scans, lambda proof: bool(proof["local_minimum"]))


def share_not_global(*scans: str) -> CaseStatistic:
    """The share of replicates whose minimum is proved to be one and not global, scan by scan."""

    def statistic(trees: Trees) -> dict[str, float | None]:
        return {scan: _share([scan], _not_global)(trees) for scan in scans}

    return statistic


def share_of_all(*scans: str) -> Statistic:
    """The same over all scans."""
    return _share(scans, _not_global)


def _not_global(proof: Facts) -> bool:
    return bool(proof["proved"])


def _share(scans: Sequence[str], holds: Callable[[Facts], bool]) -> Statistic:
    def statistic(trees: Trees) -> float:
        proofs = [facts["proof"] for scan in scans for facts in facts_of(trees[scan])]
        return float(np.mean([proof is not None and holds(proof) for proof in proofs]))

    return statistic


def least_rise(*scans: str) -> Statistic:
    """The least rise of the risk above that of least squares, relative to it."""
    return lambda trees: min(float(rises(trees[scan]).min()) for scan in scans)


def greatest_change(*scans: str) -> Statistic:
    """The greatest difference of the risk from that of least squares, relative to it."""
    return lambda trees: max(float(np.abs(rises(trees[scan])).max()) for scan in scans)


def barrier(*scans: str) -> Statistic:
    """How far the risk rises on the way, at least, relative to that of the minimum."""
    return lambda trees: min(float(highest(trees[scan]).min()) for scan in scans)


def highest(tree: xr.DataTree) -> Floats:
    """The highest rise between the ends of the way, (R,)."""
    (name,) = axes(tree)
    at = coordinate(tree, name)
    between = (at > 0) & (at < 1) if name == "t" else np.full(at.shape, True)
    found: Floats = rises(tree)[:, between].max(axis=1)
    return found


def off_prediction(*scans: str) -> Statistic:
    """How far the risk at the lower point is from the formula, relative to it, at most."""

    def statistic(trees: Trees) -> float:
        found = []
        for scan in scans:
            ends = risks_at(trees[scan], 1.0)
            predicted = np.array([formula(facts) for facts in facts_of(trees[scan])])
            found.append(float((np.abs(ends - predicted) / predicted).max()))
        return max(found)

    return statistic


def formula(facts: Facts) -> float:
    """ℓ_0 − 2Scγ + Nc²γ²/2."""
    right, left = facts["g"]
    split = facts["split"]
    moved = (right - left) / (right + left) * split["gamma"]
    count = len(facts["inputs"])
    return float(facts["fit_risk"] - 2 * split["sum"] * moved + count * moved**2 / 2)


def greatest_end(*scans: str) -> Statistic:
    """The greatest risk at the lower point."""
    return lambda trees: max(float(risks_at(trees[scan], 1.0).max()) for scan in scans)


def risks_at(tree: xr.DataTree, place: float) -> Floats:
    """The risks at the point of a line nearest to a place, (R,)."""
    found: Floats = risks(tree)[:, int(np.abs(coordinate(tree, "t") - place).argmin())]
    return found


def as_supposed(*scans: str) -> Hypothesis:
    """What Yun et al. and He et al. suppose."""

    def met(trees: Trees) -> bool:
        found = [facts for scan in scans for facts in facts_of(trees[scan])]
        return all(each["met"] for facts in found for each in facts["supposed"])

    return Hypothesis(
        "no affine function fits the targets, inputs are distinct, each hidden layer has more "
        "units than there are outputs, and slopes differ",
        met,
    )


def at_minimum(*scans: str) -> Hypothesis:
    """The origin is as constructed, and all points are within the proved radius."""

    def met(trees: Trees) -> bool:
        return all(_within(trees[scan]) for scan in scans)

    return Hypothesis(
        "the origin is a proved local minimum, and no parameter is farther from it than the proof "
        "reaches",
        met,
    )


def _within(tree: xr.DataTree) -> bool:
    reach = math.hypot(*(float(np.abs(coordinate(tree, name)).max()) for name in axes(tree)))
    proofs = [facts["proof"] for facts in facts_of(tree)]
    return reach <= 1 and all(proof and proof["local_minimum"] for proof in proofs)


def as_constructed(*scans: str) -> Hypothesis:
    """The origin is that of the construction."""
    return Hypothesis(
        "no unit is at a kink for a sample, and output weights have the signs of the example",
        lambda trees: all(
            facts["at"] == "minimum" for scan in scans for facts in facts_of(trees[scan])
        ),
    )


def to_lower(*scans: str) -> Hypothesis:
    """The way leads from a minimum to a lower point."""

    def met(trees: Trees) -> bool:
        found = [facts for scan in scans for facts in facts_of(trees[scan])]
        return all(facts["section"] == "across" and facts["proof"]["proved"] for facts in found)

    return Hypothesis("the way leads from a proved local minimum to a point proved lower", met)


def untied(*scans: str) -> Hypothesis:
    """The fit is not tilted."""

    def met(trees: Trees) -> bool:
        found = [facts for scan in scans for facts in facts_of(trees[scan])]
        return not any(np.any(facts["split"]["tilt"]) for facts in found)

    return Hypothesis(
        "the outputs of least squares are not tied, and some first ones of them have residuals "
        "whose sum is not 0",
        met,
    )


def within_pieces(*scans: str) -> Hypothesis:
    """No α is so large that a unit leaves its piece."""

    def met(trees: Trees) -> bool:
        return all(
            scales(trees[scan]).max() < (facts["greatest_scale"] or math.inf)
            for scan in scans
            for facts in facts_of(trees[scan])
        )

    return Hypothesis("no unit leaves its piece for any of these α", met)


def smooth_example(*scans: str) -> Hypothesis:
    """The lower point is that of Theorem 2."""
    return Hypothesis(
        "the samples are those of the example, and the lower point is made of "
        "h(v_1)h(v_4) = h(v_2)h(v_3)",
        lambda trees: all(
            facts["data"] == "three-points" for scan in scans for facts in facts_of(trees[scan])
        ),
    )
