"""The figures and the table of critical points that copies of units make.

Fukumizu & Amari 2000, Neural Networks 13; Şimşek et al. 2021, arXiv:2105.12221.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schemas.study import Cell, Column, Figure, Series, Surfaces, Table
from tasks.facts import Trees, facts_of
from tasks.symmetry.critical_claims import CURVES, KINDS
from tasks.symmetry.critical_measures import least_curvature
from tasks.symmetry.critical_scans import FULL, PLATEAU, QUICK, SADDLE, Copied
from tasks.symmetry.curvature import Kind, nature


def critical_figures(quick: bool) -> dict[str, Figure]:
    """The least curvature by the share of a copy."""
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
        )
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
