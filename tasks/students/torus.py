"""Statistics on one student and on two students of unit norm, whose angles make a torus.

Wu, Luo & Lee 2018, "No Spurious Local Minima in a Two Hidden Unit ReLU Network", ICLR workshop;
Tian 2017, arXiv:1703.00560. Shape legend: P = points, K = critical points, R = replicates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from schemas.layout import END_PARAMETERS, NUMBER, REPLICATE, SPLIT, START, DescentOutcome
from schemas.study import Hypothesis, Statistic
from tasks.facts import Trees, facts_of
from tasks.neuron.measures import minima_found
from tasks.students.cells import Floats

if TYPE_CHECKING:
    import xarray as xr

POPULATION, PRINTED, SAMPLE = "population", "printed", "sample"

_FLAT = 1e-6
"""An eigenvalue of no more than this is not counted as a direction up or down."""
_SAME_PLACE = 1e-6
_NEAR = 0.5e-3
_EXACT = 1e-12


@dataclass(frozen=True)
class Critical:
    """A critical point on the torus.

    Attributes:
        angles: of both students, in units of π, within [0, 2).
        loss: there.
        eigenvalues: of the Hessian by the angles, in order.
    """

    angles: tuple[float, float]
    loss: float
    eigenvalues: tuple[float, float]

    @property
    def kind(self) -> str:
        """Minimum, saddle or maximum."""
        low, high = self.eigenvalues
        if low > _FLAT:
            return "minimum"
        return "maximum" if high < -_FLAT else "saddle"


THEORY = (
    Critical((0.0, 0.5), 0.0, (0.341, 0.659)),
    Critical((0.25, 0.25), 0.148337, (-0.695, 0.305)),
    Critical((0.25, 1.25), 0.355443, (-0.402, 0.305)),
    Critical((1.25, 1.25), 1.562550, (-1.402, -0.402)),
)
"""With orthogonal teachers at the angles 0 and π/2, the smaller angle first: derived from the
closed form, eigenvalues to three decimals and losses to six."""


def critical_points(tree: xr.DataTree) -> list[Critical]:
    """The distinct ends of Newton's method, by their loss; angles are the same modulo 2π."""
    data = tree.to_dataset().sel({SPLIT: POPULATION})
    there = np.asarray(data["outcome"]).reshape(-1) != DescentOutcome.NOT_CONVERGED
    names = ("end_loss", "end_hessian_eigenvalue_min", "end_hessian_eigenvalue_max")
    values = [np.asarray(data[name], dtype=np.float64).reshape(-1)[there] for name in names]
    ends = np.asarray(data[END_PARAMETERS].transpose(..., NUMBER), dtype=np.float64)
    angles = (ends.reshape(-1, 2)[there] / math.pi) % 2
    found: list[Critical] = []
    for place, loss, low, high in zip(angles, *values, strict=True):
        if all(_apart(place, np.array(other.angles)) > _SAME_PLACE for other in found):
            # What rounds up to 2 is at 0.
            first, second = (0.0 if 2 - each < _SAME_PLACE else float(each) for each in place)
            found.append(Critical((first, second), float(loss), (float(low), float(high))))
    return sorted(found, key=lambda point: point.loss)


def _apart(one: Floats, other: Floats) -> float:
    """The greater difference of two pairs of angles, in units of π and within [0, 2)."""
    away = np.abs(one - other)
    return float(np.minimum(away, 2 - away).max())


def misplaced_critical(scan: str) -> Statistic:
    """How far the critical points are from those of the theory, in π; infinite if not as many."""

    def statistic(scans: Trees) -> float:
        found = critical_points(scans[scan])
        known = _both_orders()
        if len(found) != len(known):
            return math.inf
        nearest = [_nearest(point, found) for point in known]
        if len({id(one) for one in nearest}) < len(known):
            return math.inf
        pairs = zip(known, nearest, strict=True)
        return max(_apart(np.array(a.angles), np.array(b.angles)) for a, b in pairs)

    return statistic


def misvalued_critical(scan: str) -> Statistic:
    """Greatest difference of losses and eigenvalues from the theory's, in units of its last digit.

    Infinite if a critical point of the theory has none near it.
    """

    def statistic(scans: Trees) -> float:
        found, worst = critical_points(scans[scan]), 0.0
        if not found:
            return math.inf
        for known in _both_orders():
            near = _nearest(known, found)
            if _apart(np.array(known.angles), np.array(near.angles)) > _NEAR:
                return math.inf
            worst = max(worst, abs(known.loss - near.loss) / 1e-6)
            pairs = zip(known.eigenvalues, near.eigenvalues, strict=True)
            worst = max(worst, *(abs(a - b) / 1e-3 for a, b in pairs))
        return worst

    return statistic


def _both_orders() -> list[Critical]:
    """The theory's points, those with two different angles in both orders."""
    turned = [
        Critical((point.angles[1], point.angles[0]), point.loss, point.eigenvalues)
        for point in THEORY
        if point.angles[0] != point.angles[1]
    ]
    return [*THEORY, *turned]


def _nearest(point: Critical, found: list[Critical]) -> Critical:
    place = np.array(point.angles)
    return min(found, key=lambda other: _apart(place, np.array(other.angles)))


def characteristic(scan: str) -> Statistic:
    """|minima − saddles + maxima|, which is 0 on a torus if none is missed (Morse 1925)."""

    def statistic(scans: Trees) -> float:
        kinds = [point.kind for point in critical_points(scans[scan])]
        return float(abs(sum(-1 if kind == "saddle" else 1 for kind in kinds)))

    return statistic


def nondegenerate(scan: str) -> Hypothesis:
    """The torus has critical points, and the Hessian has no eigenvalue near 0 at any of them."""

    def met(scans: Trees) -> bool:
        found = critical_points(scans[scan])
        away = [abs(value) for point in found for value in point.eigenvalues]
        return bool(away) and min(away) > _FLAT

    return Hypothesis("no critical point found is degenerate", met)


def greatest_excess(scan: str) -> Statistic:
    """How far the highest minimum is above the least loss found on the torus; None without one."""

    def statistic(scans: Trees) -> float | None:
        rows = minima_found(scans[scan], POPULATION)
        if rows is None or "refined_loss" not in rows or not rows["refined_loss"].size:
            return None
        refined = np.asarray(rows["refined_loss"], dtype=np.float64)
        on_grid = float(scans[scan]["loss"].sel({SPLIT: POPULATION}).min())
        return float(refined.max()) - min(float(refined.min()), on_grid)

    return statistic


def miscounted_minima(scan: str, expected: int) -> Statistic:
    """|number of minima − expected| of a grid on the torus."""

    def statistic(scans: Trees) -> float | None:
        rows = minima_found(scans[scan], POPULATION)
        return None if rows is None else float(abs(rows["loss"].size - expected))

    return statistic


def orthogonal_pair(scan: str) -> Hypothesis:
    """Two orthogonal teachers of unit norm."""

    def met(scans: Trees) -> bool:
        teacher = np.asarray(facts_of(scans[scan])[0]["teacher"])
        return bool(
            teacher.shape == (2, 2) and np.allclose(teacher @ teacher.T, np.eye(2), atol=1e-12)
        )

    return Hypothesis("two teachers, orthogonal and of unit norm", met)


def zero_at_teacher(scan: str, split: str) -> Hypothesis:
    """Students that are the teachers lose nothing, on a grid that holds that point."""

    def met(scans: Trees) -> bool:
        losses = scans[scan]["loss"].sel({SPLIT: split})
        first, second = [str(name) for name in losses.dims if name != REPLICATE]
        at = losses.sel({first: 0.0, second: math.pi / 2}, method="nearest")
        there = abs(float(at[first])) + abs(float(at[second]) - math.pi / 2) <= _EXACT
        return there and bool((np.abs(np.asarray(at)) <= _EXACT).all())

    return Hypothesis("students that are the teachers lose nothing", met)


def standard_errors(scan: str, split: str) -> Statistic:
    """How far a closed form is from the mean over samples, in standard errors, over a grid.

    Root mean squares over the points, of the mean over replicates of the difference and of its
    standard error.
    """

    def statistic(scans: Trees) -> float:
        losses = scans[scan]["loss"].transpose(REPLICATE, SPLIT, ...)
        away = np.asarray(losses.sel({SPLIT: SAMPLE}) - losses.sel({SPLIT: split}))
        away = away.reshape(len(away), -1).astype(np.float64)
        error = away.std(axis=0, ddof=1) / math.sqrt(len(away))
        return float(np.sqrt(np.square(away.mean(axis=0)).mean() / np.square(error).mean()))

    return statistic


def not_at_teacher(scan: str) -> Statistic:
    """The share of the descents with one teacher that have brought no student to it, to 1e-6."""

    def statistic(scans: Trees) -> float:
        data = scans[scan].to_dataset().sel({SPLIT: POPULATION})
        teacher = np.asarray(facts_of(scans[scan])[0]["teacher"]).reshape(-1)
        ends = np.asarray(data[END_PARAMETERS].transpose(START, NUMBER), dtype=np.float64)
        students = ends.reshape(len(ends), -1, len(teacher))
        away = np.linalg.norm(students - teacher, axis=2) / np.linalg.norm(teacher)
        return float(np.mean(~(away <= _SAME_PLACE).any(axis=1)))

    return statistic


def not_half(scan: str) -> Statistic:
    """Greatest difference from ½ of the extreme eigenvalues of the Hessian at the ends."""

    def statistic(scans: Trees) -> float:
        data = scans[scan].to_dataset().sel({SPLIT: POPULATION})
        names = ("end_hessian_eigenvalue_min", "end_hessian_eigenvalue_max")
        values = np.stack([np.asarray(data[name], dtype=np.float64) for name in names])
        return float(np.abs(values - 0.5).max())

    return statistic


def one_student(scan: str) -> Hypothesis:
    """One student learns one teacher."""

    def met(scans: Trees) -> bool:
        facts = facts_of(scans[scan])[0]
        return bool(facts["students"] == 1 and facts["teachers"] == 1)

    return Hypothesis("one student learns one teacher", met)
