"""Where the runs of a cell of the table have ended.

Safran & Shamir 2018, arXiv:1712.08968. Each reads a scan of starts over all weights. Shape legend:
R = runs, B = bad runs, n = students, d = inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from schemas.layout import END_PARAMETERS, NUMBER, SPLIT, DescentOutcome
from tasks.facts import facts_of, remembered
from tasks.students.certificate import Certificate, certify, refine
from tasks.students.families import Family, alignment, families
from tasks.students.published import BAD

if TYPE_CHECKING:
    import xarray as xr

Floats: TypeAlias = npt.NDArray[np.float64]

SAME = 1e-6
"""Weights of one family, after permutations, differ by at most this."""
_NEAR = 0.1
"""Of an end is what Newton's method reaches within this, in the Frobenius norm."""


@dataclass(frozen=True)
class Cell:
    """The ends of the runs with k teachers and n students.

    Attributes:
        teacher: V, (k, d).
        students: n.
        losses: (R,).
        weights: (R, n, d).
        eigenvalues: the least of the Hessian, (R,).
        iterations: (R,).
        given_up: those that have neither converged nor reached their target, (R,).
    """

    teacher: Floats
    students: int
    losses: Floats
    weights: Floats
    eigenvalues: Floats
    iterations: npt.NDArray[np.int64]
    given_up: npt.NDArray[np.bool_]

    @property
    def bad(self) -> npt.NDArray[np.bool_]:
        """Those that have ended at a loss of `BAD` or more, (R,)."""
        return ~(self.losses < BAD)


@remembered
def cell_of(tree: xr.DataTree) -> Cell:
    """The ends of the descents of a scan over all weights."""
    facts = facts_of(tree)[0]
    data = tree.to_dataset().sel({SPLIT: "population"})
    ends = np.asarray(data[END_PARAMETERS].transpose(..., NUMBER), dtype=np.float64)
    return Cell(
        np.asarray(facts["teacher"], dtype=np.float64),
        facts["students"],
        np.asarray(data["end_loss"], dtype=np.float64),
        ends.reshape(-1, facts["students"], facts["dimensions"]),
        np.asarray(data["end_hessian_eigenvalue_min"], dtype=np.float64),
        np.asarray(data["iterations"], dtype=np.int64),
        np.asarray(data["outcome"]) == DescentOutcome.NOT_CONVERGED,
    )


@remembered
def certificates(tree: xr.DataTree) -> list[Certificate]:
    """Of each bad run: that of the first end of its family, moved to it by their permutation.

    Permutations leave the loss as it is, so that what is proved within r of one end is proved
    within r and their distance of the other. Where no minimum is proved at an end, it is tried
    where Newton's method leads: runs that are given up come closer only as a power of time, or are
    not at a minimum, and then it may lead far away, to what says nothing of them.
    """
    cell = cell_of(tree)
    ends, found = cell.weights[cell.bad], {}
    for family in families_of(tree):
        first = ends[family.members[0]]
        proof = _certified(first, cell.teacher)
        for member in family.members:
            found[member] = _moved(proof, first, ends[member])
    return [found[number] for number in range(len(ends))]


def _moved(proof: Certificate, weights: Floats, other: Floats) -> Certificate:
    """The certificate of weights (n, d) for others of the same family."""
    order = alignment(other, weights, SAME)
    if order is None:
        return replace(proof, radius=None)
    return _from_beside(proof, other[order[0]][:, order[1]], weights)


def _certified(weights: Floats, teacher: Floats) -> Certificate:
    found = certify(weights, teacher)
    if found.radius is not None:
        return found
    refined, converged = refine(weights, teacher)
    near = converged and float(np.linalg.norm(refined - weights)) <= _NEAR
    return _from_beside(certify(refined, teacher), weights, refined) if near else found


def _from_beside(proof: Certificate, here: Floats, there: Floats) -> Certificate:
    """What is proved of the minimum near there, with its radius from here; (n, d) both."""
    if proof.radius is None:
        return proof
    away = float(np.linalg.norm(here - there))
    # More than what the norm and the sum lose by rounding.
    return replace(proof, radius=(proof.radius + away) * (1 + 1e-9))


@remembered
def families_of(tree: xr.DataTree) -> list[Family]:
    """The bad ends, of minima that are the same but for permutations, the largest family first."""
    cell = cell_of(tree)
    return families(cell.weights[cell.bad], cell.losses[cell.bad], SAME)


def proved(certificate: Certificate) -> bool:
    """Whether a local minimum that is not global is proved near by."""
    return certificate.radius is not None and certificate.loss[0] > 0
