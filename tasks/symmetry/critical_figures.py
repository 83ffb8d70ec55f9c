"""The figures and the table of critical points that copies of units make.

Fukumizu & Amari 2000, Neural Networks 13; Şimşek et al. 2021, arXiv:2105.12221.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schemas.study import Cell, Column, Figure, Series, Surfaces, Table
from tasks.facts import Trees, facts_of
from tasks.symmetry.critical_claims import CURVES, ENDS, KINDS
from tasks.symmetry.critical_measures import end_losses, least_curvature
from tasks.symmetry.critical_scans import (
    FULL,
    PLATEAU,
    QUICK,
    SADDLE,
    SHARES,
    WIDE,
    Copied,
    near_points,
)
from tasks.symmetry.curvature import Kind, nature


def critical_figures(quick: bool) -> dict[str, Figure]:
    """The least curvature by the share of a copy, and where descents end."""
    units = (QUICK if quick else FULL).units
    return {
        CURVES: Figure(
            "What copies of a unit make of a local minimum",
            "A unit of a narrow network at a local minimum is replaced by two with the shares μ "
            "and 1 − μ of its output weight. Where the least eigenvalue of the Hessian is negative "
            "they are a strict saddle. Those that are 0 for μ in (0, 1) are a plateau of local "
            "minima.",
            "share μ",
            "least eigenvalue of the Hessian, relative to U",
            lambda scans: [_curve(scans, unit) for unit in units],
        ),
        ENDS: Figure(
            "Where descents end that begin beside copies of a unit",
            f"Networks of {WIDE} units, one more than the teacher's, begin 0.001 from copies of a "
            "unit, and end at a critical point or far below the loss of the copies, where they "
            "are not followed further.",
            "start, by rank of its end",
            "loss at the end, relative to that of the copies",
            lambda scans: [_ends(scans, *point) for point in near_points(quick)],
        ),
    }


def critical_surfaces(quick: bool) -> dict[str, Surfaces]:
    """The plateau beside the saddle; the quick study has none."""
    if quick:
        return {}
    return {
        "copies-surfaces": Surfaces(
            "A plateau and a saddle of the same loss",
            "One of the two units at the same local minimum is replaced by two copies, with the "
            "shares μ and 1 − μ of its output weight; they part along the eigenvector of U with "
            "the greatest curvature.",
            {
                f"{PLATEAU.words}: U positive definite": PLATEAU.plane,
                f"{SADDLE.words}: U indefinite": SADDLE.plane,
            },
        )
    }


def critical_tables(quick: bool) -> dict[str, Table]:
    """What copies of each unit are."""
    units = (QUICK if quick else FULL).units
    return {
        KINDS: Table(
            "What copies of units are",
            "Units of narrow networks at the lowest critical point found of their loss, with the "
            "least eigenvalue of its Hessian, U of each unit, whether its sign is proved in ball "
            "arithmetic as well as the minimum of the narrow network, and what two copies are for "
            "shares μ within (0, 1) and outside [0, 1], with the least eigenvalue of the Hessian "
            "at μ = ½, relative to the greatest of U in magnitude.",
            (
                Column("unit"),
                Column("loss"),
                Column("least eigenvalue of the narrow network"),
                Column("least of U"),
                Column("greatest of U"),
                Column("U"),
                Column("proved"),
                Column("least eigenvalue at μ = ½, relative to U"),
                Column("μ within (0, 1)"),
                Column("μ outside [0, 1]"),
            ),
            lambda scans: [_row(scans, unit) for unit in units],
        )
    }


def _curve(scans: Trees, unit: Copied) -> Series:
    shares, found = least_curvature(scans[unit.curve])
    kind = facts_of(scans[unit.curve])[0]["kinds"][unit.unit]
    return Series(f"{unit.words}: U {kind}", shares.tolist(), found.tolist())


def _ends(scans: Trees, unit: Copied, place: str) -> Series:
    ends = np.sort(end_losses(scans[unit.near(place)]))
    ranks = np.arange(1.0, len(ends) + 1)
    label = f"{unit.words}, μ = {SHARES[place]:g}"
    return Series(label, ranks.tolist(), ends.tolist(), "points")


def _row(scans: Trees, unit: Copied) -> Sequence[Cell]:
    tree = scans[unit.curve]
    facts = facts_of(tree)[0]
    shares, found = least_curvature(tree)
    kind = Kind(facts["kinds"][unit.unit])
    proof = facts["proof"]
    return [
        unit.words,
        facts["critical_loss"],
        facts["critical_least_eigenvalue"],
        min(facts["curvatures"][unit.unit]),
        max(facts["curvatures"][unit.unit]),
        kind,
        proof["minimum"] and proof["kinds"][unit.unit] == kind,
        float(found[np.abs(shares - 0.5).argmin()]),
        *(nature(kind, np.array([share, 1 - share])) for share in (0.5, 1.5)),
    ]
