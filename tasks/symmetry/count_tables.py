"""The tables of the study `symmetry` on numbers of subspaces, where they meet, and how flat.

Şimşek et al. 2021, arXiv:2105.12221.
"""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from schemas.study import Cell, Column, Table
from tasks.symmetry.count_claims import COUNTS
from tasks.symmetry.count_measures import ENUMERATED
from tasks.symmetry.counts import all_critical_to_global, copies, subspaces
from tasks.symmetry.graph import copies_only, intersection_graph, size_of
from tasks.symmetry.groupings import expansion
from tasks.symmetry.nullity_measures import CASES, INPUTS, Case, Flatness, flatness, shape
from tasks.symmetry.subspace_claims import EQUAL, GRAPHS, NULLITIES, WIDER


def count_tables() -> dict[str, Table]:
    """Numbers of subspaces, their intersection graphs, and zero eigenvalues of the Hessian."""
    return {COUNTS: _counts(), GRAPHS: _graphs(), NULLITIES: _nullities()}


def _counts() -> Table:
    return Table(
        "Subspaces of critical points and of global minima",
        "G(r, m): copies of all of r units make m. T(r, m): beside them there may be groups "
        "without effect; those are the subspaces of Θ. The last column is of critical points of "
        "all smaller widths together.",
        (
            Column("r"),
            Column("m"),
            Column("G(r, m)"),
            Column("T(r, m)"),
            Column("Σ_k G(r−k, m)/T(r, m)"),
        ),
        lambda _: [
            [r, m, copies(r, m), subspaces(r, m), float(all_critical_to_global(r, m))]
            for r, m in ENUMERATED
        ],
    )


def _graphs() -> Table:
    return Table(
        "Which subspaces meet",
        "The intersection graph of the T(r, m) subspaces: its edges are pairs that meet. Its "
        "diameter is given where it is connected. Subspaces without groups that have no effect "
        "never meet each other.",
        (
            Column("r"),
            Column("m"),
            Column("subspaces"),
            Column("pairs that meet"),
            Column("components"),
            Column("diameter"),
            Column("components of copies only"),
        ),
        lambda _: [_graph(r, m) for r, m in sorted({*EQUAL, *WIDER})],
    )


def _graph(r: int, m: int) -> list[Cell]:
    graph = intersection_graph(expansion(r, m))
    size = size_of(graph)
    diameter = int(nx.diameter(graph)) if size.components == 1 else None
    alone = size_of(intersection_graph(copies_only(r, m))).components
    return [r, m, size.subspaces, size.meetings, size.components, diameter, alone]


def _nullities() -> Table:
    return Table(
        "Dimensions of subspaces, and zero eigenvalues of the Hessian",
        f"Random teachers of {INPUTS} inputs, one random point on each subspace. k: copies of each "
        "unit; b: sizes of the groups without effect. Powers by which the loss grows with the "
        "distance: off the subspace where the Hessian is zero, if it is anywhere, and along a "
        "random way; the one that differs most from 4, or from 2.",
        (
            Column("outputs"),
            Column("r"),
            Column("m"),
            Column("k"),
            Column("b"),
            Column("subspaces"),
            Column("dimensions"),
            Column("zero eigenvalues"),
            Column("derived"),
            Column("power where zero", decimals=3),
            Column("power along random ways", decimals=3),
        ),
        lambda _: [row for case in CASES for row in _of_case(case)],
    )


def _of_case(case: Case) -> list[list[Cell]]:
    kinds: dict[tuple[str, str], list[Flatness]] = {}
    for each in flatness(case):
        kinds.setdefault(shape(each.grouping), []).append(each)
    return [
        [case.outputs, case.r, case.m, copied, idle or None, len(alike), *_alike(alike)]
        for (copied, idle), alike in sorted(kinds.items(), reverse=True)
    ]


def _alike(alike: Sequence[Flatness]) -> list[Cell]:
    """Of subspaces of one kind; where they differ, which they do not, the greatest numbers."""
    flat = [each.flat for each in alike if each.flat is not None]
    return [
        max(each.rank for each in alike),
        max(each.nullity for each in alike),
        max(each.derived for each in alike),
        max(flat, key=lambda power: abs(power - 4)) if flat else None,
        max((each.steep for each in alike), key=lambda power: abs(power - 2)),
    ]
