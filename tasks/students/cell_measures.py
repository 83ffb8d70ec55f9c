"""Statistics of the cells of the table, beside what is published of them.

Safran & Shamir 2018, arXiv:1712.08968. Shape legend: B = bad runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy.stats import combine_pvalues, fisher_exact

from schemas.study import Hypothesis, Statistic
from tasks.facts import Trees, facts_of
from tasks.students.cells import cell_of, certificates, families_of, proved
from tasks.students.certificate import refine
from tasks.students.minima import spurious_minimum
from tasks.students.published import PUBLISHED, RUNS, Published, interval

MOST_GIVEN_UP = 0.05
"""Share of the runs of a cell that may be given up before its percentage says nothing."""
FEWEST = 10
"""Bad runs whose mean is compared with a published one."""
_HALF_UNIT = 0.5e-4
"""Of the last digit of a published mean."""


def p_value(bad: int, runs: int, published: Published) -> float:
    """How likely two counts of one share are as far apart (Fisher's exact test, two-sided)."""
    table = np.array([[bad, runs - bad], [published.bad, RUNS - published.bad]])
    return float(fisher_exact(table).pvalue)


def agreement(scan: str, published: Published) -> Statistic:
    """The p-value of a cell's count beside a published one; runs given up count by their loss."""

    def statistic(scans: Trees) -> float:
        bad = cell_of(scans[scan]).bad
        return p_value(int(bad.sum()), len(bad), published)

    return statistic


def joint_agreement(cells: Mapping[tuple[int, int], str]) -> Statistic:
    """The p-value of several independent cells together (Fisher 1925, his method to combine)."""

    def statistic(scans: Trees) -> float:
        found = [agreement(scan, PUBLISHED[at])(scans) for at, scan in cells.items()]
        return float(combine_pvalues(np.array(found), method="fisher").pvalue)

    return statistic


def is_within(scans: Trees, scan: str, published: Published) -> bool:
    """Whether a cell's share of bad runs is in the 95 % interval of the published one."""
    low, high = interval(published.bad, RUNS)
    return bool(low <= cell_of(scans[scan]).bad.mean() <= high)


def as_published(scan: str, k: int, n: int) -> Hypothesis:
    """The protocol is theirs, and nearly all runs have ended."""

    def met(scans: Trees) -> bool:
        cell = cell_of(scans[scan])
        unit_vectors = np.array_equal(cell.teacher, np.eye(k)) and cell.students == n
        return bool(unit_vectors and cell.given_up.mean() <= MOST_GIVEN_UP)

    return Hypothesis(
        f"{k} unit vectors teach {n} students of as many inputs, and at most "
        f"{MOST_GIVEN_UP:.0%} of the runs are given up",
        met,
    )


def all_as_published(cells: Mapping[tuple[int, int], str]) -> Hypothesis:
    """The same of several cells; as many students as teachers in each."""
    single = [as_published(scan, k, k) for (k, _), scan in cells.items()]
    return Hypothesis(
        "as many unit vectors teach as there are students and inputs, and at most "
        f"{MOST_GIVEN_UP:.0%} of the runs of a cell are given up",
        lambda scans: all(one.met(scans) for one in single),
    )


def share_proved(*scans_of: str) -> Statistic:
    """The share of the bad ends near which a local minimum that is not global is proved.

    Of runs that were not given up; None where none of them has ended badly.
    """

    def statistic(scans: Trees) -> float | None:
        found = []
        for scan in scans_of:
            cell = cell_of(scans[scan])
            ended = ~cell.given_up[cell.bad]
            found += [
                proved(one)
                for one, counts in zip(certificates(scans[scan]), ended, strict=True)
                if counts
            ]
        return float(np.mean(found)) if found else None

    return statistic


def by_descent(*scans_of: str) -> Hypothesis:
    """The points are ends of gradient descent, not of a method that goes to any critical point."""

    def met(scans: Trees) -> bool:
        return all(
            scans[scan]["outcome"].attrs["method"] == "gd"
            and cell_of(scans[scan]).given_up.mean() <= MOST_GIVEN_UP
            for scan in scans_of
        )

    return Hypothesis(
        "the points were reached by gradient descent, and at most "
        f"{MOST_GIVEN_UP:.0%} of the runs of a cell are given up",
        met,
    )


def minima_proved(scan: str) -> Statistic:
    """How many families of minima that are not global are proved in a cell."""

    def statistic(scans: Trees) -> float:
        found = [proved(one) for one in certificates(scans[scan])]
        return float(sum(any(found[i] for i in one.members) for one in families_of(scans[scan])))

    return statistic


def at_least(scan: str, least: int) -> Hypothesis:
    """There are as many teachers."""
    return Hypothesis(
        f"there are {least} teachers or more",
        lambda scans: facts_of(scans[scan])[0]["teachers"] >= least,
    )


def as_many(scan: str, k: int) -> Hypothesis:
    """So many teachers and as many students."""

    def met(scans: Trees) -> bool:
        facts = facts_of(scans[scan])[0]
        return bool(facts["teachers"] == k and facts["students"] == k)

    return Hypothesis(f"{k} teachers and as many students", met)


def mean_of_bad(scans: Trees, scan: str) -> dict[str, tuple[float, float]]:
    """Means over the bad runs, and their standard errors, by what is published of them."""
    cell = cell_of(scans[scan])
    found = {"least_eigenvalue": cell.eigenvalues[cell.bad], "loss": cell.losses[cell.bad]}
    return {
        name: (float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values))))
        if len(values) > 1
        else (float(values.mean()) if len(values) else math.nan, math.nan)
        for name, values in found.items()
    }


def means_apart(cells: Mapping[tuple[int, int], str], what: str) -> Statistic:
    """How far means over bad runs are from the published ones, in standard errors of both.

    The greatest of the cells with enough bad runs. The published mean has as many runs, so its
    error is ours; half a unit of its last digit is taken off the difference.
    """

    def statistic(scans: Trees) -> float | None:
        found = []
        for at, scan in cells.items():
            published, bad = PUBLISHED[at], int(cell_of(scans[scan]).bad.sum())
            known: float | None = getattr(published, what)
            if known is None or min(bad, published.bad) < FEWEST:
                continue
            mean, error = mean_of_bad(scans, scan)[what]
            away = max(abs(mean - known) - _HALF_UNIT, 0.0)
            error *= math.sqrt(1 + bad / published.bad)
            found.append(away / error if error > 0 else math.inf if away else 0.0)
        return max(found) if found else None

    return statistic


def reference_missed(scan: str, k: int) -> Statistic:
    """How far the nearest bad minimum is from that of five numbers, in its loss and in its weights.

    Weights are compared in order, for they may be permuted, and where there are as many of them;
    with more students a minimum may still have the loss of that one. Infinite if there is no bad
    minimum.
    """

    def statistic(scans: Trees) -> float:
        known, cell = spurious_minimum(k), cell_of(scans[scan])
        numbers, away = np.sort(known.weights, axis=None), [math.inf]
        for family in families_of(scans[scan]):
            beside = abs(family.loss - known.loss)
            if family.weights.shape == known.weights.shape:
                weights, converged = refine(family.weights, cell.teacher)
                if not converged:
                    continue
                beside = max(beside, float(np.abs(np.sort(weights, axis=None) - numbers).max()))
            away.append(beside)
        return min(away)

    return statistic
