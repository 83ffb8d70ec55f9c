"""The table of the study `symmetry` on students of growing width.

Şimşek et al. 2021, arXiv:2105.12221, section 5.
"""

from __future__ import annotations

from schemas.study import Cell, Column, Table
from tasks.facts import Trees
from tasks.students.published import interval
from tasks.symmetry.training_claims import TRAINED
from tasks.symmetry.training_measures import COPIED, ZERO, share_of_subspaces, trained
from tasks.symmetry.training_scans import STEP, TAUGHT, Training, trainings


def training_tables(quick: bool) -> dict[str, Table]:
    """How often each student reaches zero loss, and where the other trainings end."""
    students = trainings(quick).every
    return {
        TRAINED: Table(
            "Where trainings end",
            f"The published teacher of {TAUGHT} units. Adam with a step of {STEP:g}, then "
            "Levenberg–Marquardt, from Glorot's uniform distribution; each width has starts of its "
            f"own. Zero: below {ZERO:g}, with the 95 % interval of the share (Clopper and "
            "Pearson). Share of subspaces: T/(T + Σ_k G). Above zero: critical points by the least "
            "eigenvalue of the Hessian, positive, zero or negative to rounding; with copies: two "
            f"units whose incoming weights differ by {COPIED:g} at most; not ended: neither zero "
            "nor converged.",
            (
                Column("units"),
                Column("activation"),
                Column("Adam's steps"),
                Column("trainings"),
                Column("zero", "%", 0),
                Column("from", "%", 0),
                Column("to", "%", 0),
                Column("share of subspaces", "%", 1),
                Column("greatest loss at zero"),
                Column("least above"),
                Column("minima"),
                Column("flat"),
                Column("saddles"),
                Column("with copies"),
                Column("not ended"),
            ),
            lambda scans: [_row(scans, each) for each in students],
        )
    }


def _row(scans: Trees, training: Training) -> list[Cell]:
    ends = trained(scans[training.name])
    zero, runs = int(ends.zero.sum()), len(ends.zero)
    shares = (zero / runs, *interval(zero, runs), share_of_subspaces(training.units))
    above = ends.losses[~ends.zero]
    return [
        training.units,
        training.activation,
        training.steps,
        runs,
        *(100 * share for share in shares),
        float(ends.losses[ends.zero].max()) if zero else None,
        float(above.min()) if above.size else None,
        *(int(ends.of_curvature(sign).sum()) for sign in (1, 0, -1)),
        int(ends.copies.sum()),
        int(ends.given_up.sum()),
    ]
