"""What decides the claims on numbers of subspaces and on where they meet.

Şimşek et al. 2021, arXiv:2105.12221. All of it is counted or computed at once; no scan is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import combinations
from math import factorial
from typing import TypeAlias

import networkx as nx
import numpy as np

from schemas.study import Hypothesis
from tasks.facts import Trees
from tasks.symmetry.counts import (
    all_critical_to_global,
    copies,
    critical_to_global,
    first_with_fewer_critical,
    subspaces,
)
from tasks.symmetry.data import is_irreducible
from tasks.symmetry.enumeration import distinct_images
from tasks.symmetry.graph import intersection_graph
from tasks.symmetry.groupings import Grouping, expansion, meeting
from tasks.symmetry.network import Weights
from tasks.symmetry.subspaces import affine, affine_meeting

Count: TypeAlias = Callable[[int, int], int]
"""From r and m to a number of subspaces."""
Widths: TypeAlias = Sequence[tuple[int, int]]
"""Pairs of r and m."""
Groupings: TypeAlias = Callable[[int, int], Iterable[Grouping]]
Measured: TypeAlias = Callable[[Trees], float]

SMALL = tuple((r, m) for m in range(1, 31) for r in range(1, m + 1))
LARGE = ((300, 301), (10, 600), (250, 500))
ENUMERATED = tuple((r, m) for r in range(1, 5) for m in range(r, 7))
"""What the definition is applied to literally."""
CROSSINGS = {6: 8, 10: 13, 18: 25}
"""r → the first m with fewer subspaces of critical points than of global minima."""
FAR, WIDE = 500, 5
_ORDERS = tuple((k, h) for k in (1, 2, 3) for h in (0, 1, 2, 3))


def disagreements(formulas: Sequence[Count], widths: Widths) -> Measured:
    """For how many r, m some of the formulas differ."""
    return lambda _: float(sum(len({each(*at) for each in formulas}) > 1 for at in widths))


def miscounted(teacher_of: Callable[[int], Weights], widths: Widths) -> Measured:
    """For how many r, m the images of Γ_s are not T(r, m) sets, or without groups not G(r, m)."""

    def differs(r: int, m: int) -> bool:
        teacher = teacher_of(r)
        found = distinct_images(teacher, m), distinct_images(teacher, m, groups=False)
        return found != (subspaces(r, m), copies(r, m))

    return lambda _: float(sum(differs(*at) for at in widths))


def distance_from(r: int, k: int, h: int, expected: float) -> Measured:
    """How far G(r−k, r+h)/T(r, r+h) is from a number."""
    return lambda _: abs(float(critical_to_global(r, k, r + h)) - expected)


def slowest_approach(limit: Callable[[int, int, int], Fraction]) -> Measured:
    """How the distance of G(r−k, r+h)/T(r, r+h) from its limit shrinks as r doubles.

    That is the greatest ratio of both distances, relative to the limit, for k ≤ 3 and h ≤ 3.
    """

    def distance(r: int, k: int, h: int) -> Fraction:
        return abs(critical_to_global(r, k, r + h) / limit(r, k, h) - 1)

    return lambda _: max(float(distance(2 * FAR, k, h) / distance(FAR, k, h)) for k, h in _ORDERS)


def crossings_missed(count: Count) -> Measured:
    """For how many r `CROSSINGS` is not where that count of global minima is first the greater."""
    return lambda _: float(
        sum(first_with_fewer_critical(r, count) != m for r, m in CROSSINGS.items())
    )


def greatest_share(width: Callable[[int], int]) -> Measured:
    """The greatest Σ_{k≥1} G(r−k, m)/T(r, m) of the r of `CROSSINGS` and a width m of each."""
    return lambda _: max(float(all_critical_to_global(r, width(r))) for r in CROSSINGS)


def components(widths: Widths, groupings: Groupings = expansion) -> Measured:
    """The greatest number of connected components."""
    return lambda _: float(
        max(nx.number_connected_components(intersection_graph(groupings(*at))) for at in widths)
    )


def components_but_isolated(widths: Widths) -> Measured:
    """How far the subspaces are from r! ones, none of which meet: greatest difference."""

    def difference(r: int, m: int) -> int:
        graph = intersection_graph(expansion(r, m))
        return abs(len(graph) - factorial(r)) + int(graph.number_of_edges())

    return lambda _: float(max(difference(*at) for at in widths))


def meetings_but(count: Callable[[int], int], widths: Widths) -> Measured:
    """How far the number of pairs that meet is from that of r units: greatest difference."""
    return lambda _: float(
        max(
            abs(intersection_graph(expansion(r, m)).number_of_edges() - count(r)) for r, m in widths
        )
    )


def meetings_misjudged(teachers: Sequence[Weights], m: int) -> Measured:
    """For how many pairs of subspaces groupings and weights differ on where they meet."""

    def differs(groupings: Sequence[Grouping], teacher: Weights) -> int:
        inputs, outputs = teacher[0].shape[1], len(teacher[1])
        spaces = [affine([grouping], teacher) for grouping in groupings]
        wrong = 0
        for (one, first), (other, second) in combinations(zip(groupings, spaces, strict=True), 2):
            met = meeting(one, other)
            expected = None if met is None else met.dimensions(inputs, outputs)
            found = affine_meeting(first, second)
            wrong += expected != (None if found is None else found.dimensions)
        return wrong

    return lambda _: float(
        sum(differs(list(expansion(len(each[0]), m)), each) for each in teachers)
    )


def of_width(widths: Widths, spare: int) -> Hypothesis:
    """Whether students have this many units more than the teacher, or more."""
    return Hypothesis(
        f"m ≥ r + {spare}" if spare else "m ≥ r",
        lambda _: all(m >= r + spare for r, m in widths),
    )


def as_wide(widths: Widths) -> Hypothesis:
    """Whether students have as many units as the teacher."""
    return Hypothesis("m = r", lambda _: all(m == r for r, m in widths))


def irreducible(teachers: Sequence[Weights]) -> Hypothesis:
    """Whether no smaller network puts out what the teachers do, so far as copies tell."""
    return Hypothesis(
        "the teacher's units differ, and each has an effect",
        lambda _: all(map(is_irreducible, teachers)),
    )


def equal_units(r: int, inputs: int = 1, outputs: int = 1) -> Weights:
    """A teacher of r units with the same weights: not irreducible but for r = 1."""
    return np.ones((r, inputs)), np.ones((outputs, r))
