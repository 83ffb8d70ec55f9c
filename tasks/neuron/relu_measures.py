"""Statistics that decide the claims on a ReLU neuron which learns another one.

Tian 2017, arXiv:1703.00560. The scans are of starts, or of planes through 0 whose first axis is
along the teacher v and whose second is orthogonal to it. Shape legend: R = replicates, P = points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from schemas.layout import AXIS, END_PARAMETERS, REPLICATE, SPLIT, START
from schemas.study import Hypothesis, Statistic
from tasks.facts import Trees, facts_of
from tasks.neuron.measures import Floats, minima_found

if TYPE_CHECKING:
    import xarray as xr

POPULATION = "population"
SAMPLE = "sample"
_OPPOSITE = 1e-6
_AT_TEACHER = 1e-5
_ROUNDED = 1e-12


def norm_of_teacher(tree: xr.DataTree, replicate: int = 0) -> float:
    """‖v‖."""
    return math.hypot(*facts_of(tree)[replicate]["teacher"])


def along_and_across(tree: xr.DataTree) -> tuple[Floats, Floats]:
    """The coordinates of a plane's points along v and across, (P,) each, in C order."""
    first, second = [str(n) for n in tree["loss"].dims if n not in (REPLICATE, SPLIT)]
    along, across = np.meshgrid(
        np.asarray(tree[first], dtype=np.float64),
        np.asarray(tree[second], dtype=np.float64),
        indexing="ij",
    )
    return along.reshape(-1), across.reshape(-1)


def losses(tree: xr.DataTree, split: str) -> Floats:
    """Losses (R, P) of a plane."""
    return _values(tree, "loss", split)


def _values(tree: xr.DataTree, name: str, split: str) -> Floats:
    """A variable of a plane: (R, P), or (R, 2, P) where it is by axis."""
    found = tree[name].sel({SPLIT: split})
    if REPLICATE not in found.dims:
        found = found.expand_dims(REPLICATE)
    leading = [REPLICATE, *([AXIS] if AXIS in found.dims else [])]
    values = np.asarray(found.transpose(*leading, ...), dtype=np.float64)
    return values.reshape(*values.shape[: len(leading)], -1)


def rate_from_zero(angle: Floats, norm: float) -> Floats:
    """Directional derivative −‖v‖ (sin θ + (π−θ) cos θ)/2π of the loss at w = 0: (P,).

    `angle` (P,) is θ, from v to the direction.
    """
    rate: Floats = -norm / (2 * math.pi) * (np.sin(angle) + (math.pi - angle) * np.cos(angle))
    return rate


def rates_found(tree: xr.DataTree) -> tuple[Floats, Floats]:
    """Angles (P,) of a plane's points, 0 left out, and (L(w) − L(0))/‖w‖ − ‖w‖/4 there.

    The loss is ‖w‖²/4 + ‖v‖²/4 plus a term linear in ‖w‖, so that this is the directional
    derivative at 0 at any distance.
    """
    along, across = along_and_across(tree)
    distance = np.hypot(along, across)
    at = distance > 0
    loss = losses(tree, POPULATION)[0]
    zero = float(loss[~at][0]) if not at.all() else math.nan
    rates = (loss[at] - zero) / distance[at] - distance[at] / 4
    return np.arctan2(np.abs(across[at]), along[at]), rates


def wrong_rate_from_zero(scan: str) -> Statistic:
    """Greatest difference of the measured directional derivatives at 0 from the formula."""

    def statistic(scans: Trees) -> float:
        angles, rates = rates_found(scans[scan])
        expected = rate_from_zero(angles, norm_of_teacher(scans[scan]))
        return float(np.abs(rates - expected).max())

    return statistic


def greatest_rate(scan: str, least: float, most: float) -> Statistic:
    """Greatest directional derivative at 0, at angles to v from the least to the most."""

    def statistic(scans: Trees) -> float:
        angles, rates = rates_found(scans[scan])
        return float(rates[(angles >= least) & (angles <= most)].max())

    return statistic


def has_zero(scan: str) -> Hypothesis:
    """The grid holds w = 0, from which rates are measured."""

    def met(scans: Trees) -> bool:
        return bool((np.hypot(*along_and_across(scans[scan])) == 0).any())

    return Hypothesis("w = 0 is on the grid", met)


def not_opposite(scan: str, least: float, most: float) -> Hypothesis:
    """No direction that is judged is opposite v."""

    def met(scans: Trees) -> bool:
        angle = rates_found(scans[scan])[0]
        judged = angle[(angle >= least) & (angle <= most)]
        return bool(judged.size and judged.max() < math.pi - _OPPOSITE)

    return Hypothesis("no direction that is judged is opposite v", met)


def misplaced_minimum(scan: str) -> Statistic:
    """How far the one minimum of a plane is from v, relative to ‖v‖; infinite if there are others.

    The greatest of the replicates.
    """

    def statistic(scans: Trees) -> float | None:
        tree, worst = scans[scan], 0.0
        for replicate in range(len(losses(tree, POPULATION))):
            rows = minima_found(tree, POPULATION, replicate)
            if rows is None or "refined_coordinate" not in rows:
                return None
            found = np.asarray(rows["refined_coordinate"].transpose(..., AXIS), dtype=np.float64)
            if len(found) != 1:
                return math.inf
            norm = norm_of_teacher(tree, replicate)
            worst = max(worst, float(np.abs(found[0] - (norm, 0.0)).max()) / norm)
        return worst

    return statistic


def tian(along: Floats, across: Floats, norm: float) -> tuple[Floats, Floats]:
    """Tian's gradient ½(w−v) + (θv − (‖v‖/‖w‖) sin θ · w)/2π in the plane, along v and across.

    NaN at w = 0.
    """
    size, angle = np.hypot(along, across), np.arctan2(np.abs(across), along)
    with np.errstate(invalid="ignore", divide="ignore"):
        pull = norm / size * np.sin(angle) / (2 * math.pi)
    first = (along - norm) / 2 + angle * norm / (2 * math.pi) - pull * along
    return first, across / 2 - pull * across


def wrong_gradient(scan: str, split: str) -> Statistic:
    """Greatest difference of the measured gradient in a plane from Tian's, but at w = 0."""

    def statistic(scans: Trees) -> float:
        tree, worst = scans[scan], 0.0
        along, across = along_and_across(tree)
        at = np.hypot(along, across) > 0
        for replicate, values in enumerate(_values(tree, "section_gradient", split)):
            expected = np.stack(tian(along, across, norm_of_teacher(tree, replicate)))
            worst = max(worst, float(np.abs(values - expected)[:, at].max()))
        return worst

    return statistic


def is_population(scan: str, split: str) -> Hypothesis:
    """The loss is the expectation: at w = 0 it is ‖v‖²/4, which that of no sample is."""

    def met(scans: Trees) -> bool:
        tree = scans[scan]
        at = np.hypot(*along_and_across(tree)) == 0
        found = losses(tree, split)[:, at]
        expected = [norm_of_teacher(tree, each) ** 2 / 4 for each in range(len(found))]
        away = found / np.array(expected)[:, None] - 1
        return bool(at.any() and (np.abs(away) <= _ROUNDED).all())

    return Hypothesis("the loss is the expectation over normal inputs: ‖v‖²/4 at w = 0", met)


def least_slope(scan: str) -> Statistic:
    """Least ‖∇L‖ / min(‖w‖, ‖w − v‖) of a plane's points but v and 0; a critical point has 0."""

    def statistic(scans: Trees) -> float:
        tree, least = scans[scan], math.inf
        along, across = along_and_across(tree)
        for replicate, slope in enumerate(_values(tree, "gradient_norm", POPULATION)):
            beside = np.hypot(along - norm_of_teacher(tree, replicate), across)
            away = np.minimum(np.hypot(along, across), beside)
            at = away > 1e-9
            least = min(least, float((slope[at] / away[at]).min()))
        return least

    return statistic


def not_at_teacher(scan: str) -> Statistic:
    """The part of the starts whose descent has not converged to v, to 1e-5 of ‖v‖."""

    def statistic(scans: Trees) -> float | None:
        tree = scans[scan]
        if END_PARAMETERS not in tree.data_vars:
            return None
        teacher = np.asarray(facts_of(tree)[0]["teacher"])
        ends = tree[END_PARAMETERS].sel({SPLIT: POPULATION}).transpose(START, ...)
        away = np.linalg.norm(np.asarray(ends, dtype=np.float64) - teacher, axis=1)
        return float(np.mean(~(away <= _AT_TEACHER * np.linalg.norm(teacher))))

    return statistic


def several_inputs(scan: str) -> Hypothesis:
    """Starts lie opposite v with probability zero: not so with one input."""
    return Hypothesis(
        "the neuron has two inputs or more, so that almost no start lies opposite v",
        lambda scans: len(facts_of(scans[scan])[0]["teacher"]) >= 2,
    )


def standard_errors(scan: str) -> Statistic:
    """How far the sample's loss is from the expectation, in standard errors.

    Over the points of a plane, root mean squares of the mean over replicates of the difference, and
    of its standard error. The replicates have independent samples.
    """

    def statistic(scans: Trees) -> float:
        away = losses(scans[scan], SAMPLE) - losses(scans[scan], POPULATION)
        mean = away.mean(axis=0)
        error = away.std(axis=0, ddof=1) / math.sqrt(len(away))
        return float(np.sqrt(np.square(mean).mean() / np.square(error).mean()))

    return statistic


def normal_inputs(scans_of: Sequence[str]) -> Hypothesis:
    """The sample's inputs are normal, as those of the expectation."""
    return Hypothesis(
        "the sample's inputs are standard normal",
        lambda scans: all(
            facts["distribution"] == "normal"
            for scan in scans_of
            for facts in facts_of(scans[scan])
        ),
    )


def sampling_errors(scans: Trees, names: Sequence[str]) -> tuple[Floats, Floats]:
    """Sizes of the samples and root mean squares of what they miss, by scan."""
    sizes = [float(facts_of(scans[name])[0]["samples"]) for name in names]
    away = [losses(scans[name], SAMPLE) - losses(scans[name], POPULATION) for name in names]
    missed = [float(np.sqrt(np.square(each).mean())) for each in away]
    return np.array(sizes), np.array(missed)


def off_the_root_law(names: Sequence[str]) -> Statistic:
    """|slope + ½| of the logarithm of what samples miss on that of their size, by least squares."""

    def statistic(scans: Trees) -> float:
        sizes, missed = sampling_errors(scans, names)
        slope = np.polyfit(np.log(sizes), np.log(missed), 1)[0]
        return abs(float(slope) + 0.5)

    return statistic
