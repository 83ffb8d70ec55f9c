"""Statistics of trained students: how often they reach zero loss, and where the others end.

Şimşek et al. 2021, arXiv:2105.12221. Shape legend: E = ends, m = units, d = inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import fisher_exact

from schemas.layout import END_PARAMETERS, NUMBER, SPLIT, START, DescentOutcome
from schemas.starts import resolved_curvature
from schemas.study import CaseStatistic, Hypothesis, Statistic
from tasks.facts import Trees, facts_of, remembered
from tasks.landscape import Floats
from tasks.symmetry.counts import all_critical_to_global
from tasks.symmetry.network import unflattened
from tasks.symmetry.training_scans import TAUGHT, Training

if TYPE_CHECKING:
    import xarray as xr

ZERO = 1e-12
"""An end at a loss below this has reached zero loss, as published."""
COPIED = 1e-2
"""Units whose incoming weights differ by at most this, in the Euclidean norm, are copies."""
MOST_GIVEN_UP = 0.2
"""Share of the trainings that may not have ended: some go on to infinity."""

Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Known:
    """In how many of so many trainings zero loss was reached elsewhere."""

    reached: int
    runs: int


KNOWN = {4: Known(17, 50), 5: Known(34, 50)}
"""By the units of a sigmoid student: from another implementation, of 20,000 steps of Adam and then
Levenberg–Marquardt, with starts of its own; its shares are 0.34 and 0.68."""


@dataclass(frozen=True)
class Trained:
    """Where the trainings of a scan have ended.

    Attributes:
        losses: (E,).
        converged: whether the gradient is within its tolerance, (E,).
        least, greatest: eigenvalues of the Hessian, (E,).
        tolerance: of the gradient.
        nearest: the least distance between two units' incoming weights, (E,); infinite for one.
    """

    losses: Floats
    converged: Mask
    least: Floats
    greatest: Floats
    tolerance: float
    nearest: Floats

    @property
    def zero(self) -> Mask:
        """Those at zero loss, (E,)."""
        found: Mask = self.losses < ZERO
        return found

    @property
    def given_up(self) -> Mask:
        """Those that have neither converged nor reached zero loss, (E,)."""
        found: Mask = ~self.zero & ~self.converged
        return found

    @property
    def critical(self) -> Mask:
        """Those at a critical point above zero loss, (E,)."""
        found: Mask = ~self.zero & self.converged
        return found

    @property
    def copies(self) -> Mask:
        """Those at a critical point above zero loss with two units that are copies, (E,)."""
        found: Mask = self.critical & (self.nearest <= COPIED)
        return found

    def of_curvature(self, sign: int) -> Mask:
        """Critical points whose least eigenvalue is above zero, 1, zero, 0, or below, −1; (E,)."""
        small = resolved_curvature(self.tolerance) * np.maximum(np.abs(self.greatest), 1.0)
        signs = np.where(self.least > small, 1, np.where(self.least < -small, -1, 0))
        found: Mask = self.critical & (signs == sign)
        return found


@remembered
def trained(tree: xr.DataTree) -> Trained:
    """The ends of a scan of starts of students with one hidden layer."""
    facts = facts_of(tree)[0]
    data = tree.to_dataset().sel({SPLIT: "train"})
    ends = np.asarray(data[END_PARAMETERS].transpose(START, NUMBER), dtype=np.float64)
    sizes = [facts["inputs"], *facts["units"], facts["outputs"]]
    unfinished = (DescentOutcome.NOT_CONVERGED, DescentOutcome.LOW_ENOUGH)
    return Trained(
        np.asarray(data["end_loss"], dtype=np.float64),
        ~np.isin(np.asarray(data["outcome"]), unfinished),
        np.asarray(data["end_hessian_eigenvalue_min"], dtype=np.float64),
        np.asarray(data["end_hessian_eigenvalue_max"], dtype=np.float64),
        float(data["outcome"].attrs["tolerance"]),
        np.array([_nearest(unflattened(end, sizes)[0]) for end in ends]),
    )


def _nearest(hidden: Floats) -> float:
    """The least distance between two rows of (m, d)."""
    apart = np.linalg.norm(hidden[:, None] - hidden, axis=2)
    return float(apart[np.triu_indices(len(hidden), 1)].min(initial=np.inf))


def share_of_subspaces(units: int) -> float:
    """T(r, m) of them and all subspaces of critical points together: the share of T."""
    if units < TAUGHT:
        return 0.0
    return float(1 / (1 + all_critical_to_global(TAUGHT, units)))


def agreement(scan: str, known: Known) -> Statistic:
    """How likely two counts of one share are as far apart (Fisher's exact test, two-sided)."""

    def statistic(scans: Trees) -> float:
        zero = trained(scans[scan]).zero
        return _p_value(zero, known.reached, known.runs, "two-sided")

    return statistic


def shares_reached(names: Sequence[str]) -> CaseStatistic:
    """The share of the trainings that reach zero loss, of each scan."""
    return lambda scans: {name: float(trained(scans[name]).zero.mean()) for name in names}


def no_more_likely(more: str, fewer: str) -> Statistic:
    """How likely the one reaches zero loss so much more often by chance (Fisher, one-sided)."""

    def statistic(scans: Trees) -> float:
        other = trained(scans[fewer]).zero
        return _p_value(trained(scans[more]).zero, int(other.sum()), len(other), "greater")

    return statistic


def _p_value(
    zero: Mask, reached: int, runs: int, alternative: Literal["two-sided", "greater"]
) -> float:
    counted = int(zero.sum())
    table = [[counted, len(zero) - counted], [reached, runs - reached]]
    return float(fisher_exact(np.array(table), alternative=alternative).pvalue)


def as_trained(trainings: Sequence[Training], least_units: int) -> Hypothesis:
    """The students are as wide as is supposed, trained as published, and nearly all have ended."""

    def met(scans: Trees) -> bool:
        return all(_as_trained(scans[each.name], least_units) for each in trainings)

    return Hypothesis(
        f"{least_units} units or more learn the published teacher of {TAUGHT}, by Adam and then "
        f"Levenberg–Marquardt; at most {MOST_GIVEN_UP:.0%} of the trainings have not ended",
        met,
    )


def _as_trained(tree: xr.DataTree, least_units: int) -> bool:
    facts = facts_of(tree)[0]
    task = facts["data"] == "published" and facts["units"][0] >= least_units
    theirs = tree["outcome"].attrs["method"] == "adam, then lm"
    return bool(task and theirs and trained(tree).given_up.mean() <= MOST_GIVEN_UP)


def more_units(more: Training, fewer: Training) -> Hypothesis:
    """The one has more units than the other, which has as many as the teacher."""

    def met(scans: Trees) -> bool:
        units = [facts_of(scans[each.name])[0]["units"][0] for each in (more, fewer)]
        return bool(units[0] > units[1] == TAUGHT)

    return Hypothesis("one has more units than the other, which has as many as its teacher", met)
