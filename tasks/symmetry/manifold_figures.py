"""Figures and tables of the study `symmetry` on Θ: subspaces, ends of descents, paths.

Şimşek et al. 2021, arXiv:2105.12221.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from schemas.study import Cell, Column, Figure, Series, Table
from tasks.facts import Trees, facts_of
from tasks.symmetry import manifold_measures as measures
from tasks.symmetry import manifold_scans as scans
from tasks.symmetry.manifold_claims import ENDS, FOUND, PATHS, SUBSPACES
from tasks.symmetry.manifold_scans import Family, ManifoldSizes

_ROUTES = {
    scans.SWAP: "through the spare unit, seven steps",
    scans.LINE: "straight",
    scans.BARE: "without a spare unit",
}


def manifold_figures(sizes: ManifoldSizes) -> dict[str, Figure]:
    """Losses out of subspaces, ends of descents, and paths."""
    return {
        "out-of-subspaces": Figure(
            "The loss grows as the square of the distance from every subspace",
            "Of all subspaces of Θ of each kind, and of every teacher: the median loss along "
            "random ways out of them, from several points of each, with the least and the "
            "greatest. Dashed: the square.",
            "distance from the subspace",
            "loss",
            lambda trees: _out(trees, sizes.families),
            x_scale="log",
            y_scale="log",
        ),
        FOUND: Figure(
            "Where descents end at zero loss, Θ is near, but for a symmetry of the activation",
            "Each point is where a Levenberg-Marquardt descent from a random start has ended. With "
            "tanh a unit's signs may be turned at zero loss, off Θ, and with the sigmoid as well, "
            "if another unit is constant; the asymmetric activation leaves no such way.",
            "distance from Θ",
            "loss",
            lambda trees: [_found(trees, name) for name in sizes.ends],
            x_scale="log",
            y_scale="log",
        ),
        PATHS: Figure(
            "Two units change places at zero loss, through a spare one",
            "The published teacher of four units, two of which change places, on seven straight "
            "segments through a fifth unit or straight; without a fifth unit one is moved onto "
            "the other. Each segment takes an equal part of the way.",
            "part of the way",
            "loss",
            lambda trees: [_along(trees, name) for name in _ROUTES if name in sizes.paths],
        ),
    }


def _out(trees: Trees, families: Sequence[Family]) -> list[Series]:
    found = []
    for family in families:
        away = measures.distances_out(trees[family.name])
        losses = measures.losses_around(trees[family.name])
        shown = away > 0
        of_all = losses[..., shown].reshape(-1, int(shown.sum()))
        median, least, greatest = (each(of_all, axis=0) for each in (np.median, np.min, np.max))
        label = f"{family.words}, {family.activation}"
        found.append(
            Series(
                label,
                away[shown].tolist(),
                median.tolist(),
                "line",
                least.tolist(),
                greatest.tolist(),
            )
        )
    ends = np.array([scans.NEAR, away.max()])
    return [*found, Series("square of the distance", ends.tolist(), (ends**2).tolist(), "bound")]


def _found(trees: Trees, name: str) -> Series:
    ends, facts = measures.ends_of(trees[name]), facts_of(trees[name])[0]
    return Series(_student(facts), ends.distances.tolist(), ends.losses.tolist(), "points")


def _student(facts: dict[str, Any]) -> str:
    return f"{facts['activation']}, {facts['teacher_units'][0]} in {facts['units'][0]}"


def _along(trees: Trees, name: str) -> Series:
    t = np.asarray(trees[name]["t"].values, dtype=np.float64)
    return Series(_ROUTES[name], t.tolist(), measures.losses_along(trees[name])[0].tolist())


def manifold_tables(sizes: ManifoldSizes) -> dict[str, Table]:
    """What was found on the subspaces of each family, and where descents have ended."""
    return {
        SUBSPACES: Table(
            "Subspaces of zero loss",
            "All affine subspaces of Θ of each kind: for each teacher, and at several points of "
            f"each, on it and at a distance of {scans.NEAR:g} from it. The power is that of the "
            "distance as which the loss grows, by that distance and twice that.",
            (
                Column("units of the teacher in the student's layers"),
                Column("activation"),
                Column("outputs"),
                Column("subspaces"),
                Column("teachers"),
                Column("dimensions from"),
                Column("to"),
                Column("greatest loss on them"),
                Column("least loss near by"),
                Column("power from", decimals=3),
                Column("power to", decimals=3),
            ),
            lambda trees: [_subspace_row(trees, family) for family in sizes.families],
        ),
        ENDS: Table(
            "Where descents to zero loss end",
            f"Zero loss: {measures.ZERO:g} or less. In Θ: within {measures.IN_THETA:g} of it.",
            (
                Column("activation"),
                Column("units of the teacher"),
                Column("of the student"),
                Column("descents"),
                Column("at zero loss"),
                Column("of these in Θ"),
                Column("greatest distance in Θ"),
                Column("least distance of others"),
            ),
            lambda trees: [_ends_row(trees, name) for name in sizes.ends],
        ),
    }


def _subspace_row(trees: Trees, family: Family) -> list[Cell]:
    tree = trees[family.name]
    every, powers = facts_of(tree), measures.exponents(tree)
    return [
        family.words,
        every[0]["activation"],
        every[0]["outputs"],
        family.subspaces,
        len(every),
        min(every[0]["dimensions"]),
        max(every[0]["dimensions"]),
        measures.greatest_on(tree),
        measures.least_off(tree),
        float(powers.min()),
        float(powers.max()),
    ]


def _ends_row(trees: Trees, name: str) -> list[Cell]:
    ends, facts = measures.ends_of(trees[name]), facts_of(trees[name])[0]
    near = ends.at_zero <= measures.IN_THETA
    inside, outside = ends.at_zero[near], ends.at_zero[~near]
    return [
        facts["activation"],
        facts["teacher_units"][0],
        facts["units"][0],
        len(ends.losses),
        len(ends.at_zero),
        len(inside),
        float(inside.max()) if len(inside) else None,
        float(outside.min()) if len(outside) else None,
    ]
