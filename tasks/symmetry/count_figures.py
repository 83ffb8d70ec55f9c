"""The figures of the study `symmetry` on numbers of subspaces and on where they meet.

Şimşek et al. 2021, arXiv:2105.12221.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import networkx as nx

from schemas.study import Figure, Series
from tasks.symmetry.count_claims import MILD, VAST
from tasks.symmetry.count_measures import CROSSINGS
from tasks.symmetry.counts import (
    all_critical_to_global,
    critical_to_global,
    first_with_fewer_critical,
    mild_limit,
)
from tasks.symmetry.graph import intersection_graph
from tasks.symmetry.groupings import Grouping, expansion
from tasks.symmetry.subspace_claims import DRAWN

_TAUGHT = (5, 7, 10, 14, 20, 30, 40, 60, 80, 120, 170, 240, 300)
_ORDERS = ((1, 1), (2, 1), (1, 3))
_FARTHEST = 3
_SHOWN = ((2, 3), (3, 4))
_APART = 2.6


def count_figures() -> dict[str, Figure]:
    """Ratios with few units more than the teacher's and with many, and two intersection graphs."""
    return {MILD: _mild(), VAST: _vast(), DRAWN: _drawn()}


def _mild() -> Figure:
    return Figure(
        "With few units more, critical points have more subspaces",
        "Subspaces of critical points of r − k units, for each of global minima of a teacher of r, "
        "in students of r + h. Broken: r^k / (2^k (h+1)…(h+k)).",
        "teacher's units r",
        "G(r−k, r+h)/T(r, r+h)",
        lambda _: [series for k, h in _ORDERS for series in _ratio(k, h)],
        x_scale="log",
        y_scale="log",
    )


def _ratio(k: int, h: int) -> list[Series]:
    label, at = f"k = {k}, h = {h}", [float(r) for r in _TAUGHT]
    found = [float(critical_to_global(r, k, r + h)) for r in _TAUGHT]
    limits = [float(mild_limit(r, k, h)) for r in _TAUGHT]
    return [Series(label, at, found), Series(f"limit, {label}", at, limits, "bound")]


def _vast() -> Figure:
    return Figure(
        "With many units more, global minima have more subspaces",
        "Subspaces of critical points of all smaller widths together, for each of global minima of "
        "a teacher of r units. Marked: the first m with fewer of them.",
        "student's units m",
        "Σ_k G(r−k, m)/T(r, m)",
        lambda _: [
            *(_shares(f"r = {r}", r, range(r, _FARTHEST * r + 1)) for r in CROSSINGS),
            Series(
                "first with fewer",
                [float(first_with_fewer_critical(r)) for r in CROSSINGS],
                [float(all_critical_to_global(r, first_with_fewer_critical(r))) for r in CROSSINGS],
                "points",
            ),
            Series("as many", (min(CROSSINGS), _FARTHEST * max(CROSSINGS)), (1.0, 1.0), "bound"),
        ],
        y_scale="log",
    )


def _shares(label: str, r: int, widths: Sequence[int]) -> Series:
    found = [float(all_critical_to_global(r, m)) for m in widths]
    return Series(label, [float(m) for m in widths], found)


def _drawn() -> Figure:
    return Figure(
        "Which subspaces of zero loss meet",
        "Intersection graphs with one unit more than the teacher's r: left r = 2, right r = 3. "
        "With a unit without effect a subspace is an order of the r units and that one; where two "
        "units are copies of one, it joins two orders in which that one has changed places.",
        "place in the drawing, of no meaning",
        "place",
        lambda _: _graphs(),
    )


def _graphs() -> list[Series]:
    places: dict[Grouping, tuple[float, float]] = {}
    lines = []
    for number, (r, m) in enumerate(_SHOWN):
        graph = intersection_graph(expansion(r, m))
        laid = nx.kamada_kawai_layout(graph)
        for grouping, (x, y) in laid.items():
            places[grouping] = (float(x) + _APART * number, float(y))
        lines.append(_series(f"meet, r = {r}", [places[each] for each in _walk(graph)], "line"))
    idle = [at for grouping, at in places.items() if grouping.without_effect]
    copied = [at for grouping, at in places.items() if not grouping.without_effect]
    return [
        *lines,
        _series("with a unit without effect", idle, "points"),
        _series("with two copies of a unit", copied, "points"),
    ]


def _walk(graph: nx.Graph[Grouping]) -> list[Grouping]:
    """A way along all edges of a connected graph, each one there and back."""
    twice = nx.MultiGraph([*graph.edges, *graph.edges])
    steps = list(nx.eulerian_circuit(twice))
    return [steps[0][0], *(end for _, end in steps)]


def _series(
    label: str, places: Sequence[tuple[float, float]], kind: Literal["line", "points"]
) -> Series:
    return Series(label, [x for x, _ in places], [y for _, y in places], kind)
