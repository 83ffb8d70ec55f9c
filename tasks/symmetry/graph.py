"""Which of the affine subspaces of zero loss meet: their intersection graph.

Şimşek et al. 2021, arXiv:2105.12221: with as many units as the teacher has the subspaces are
isolated points, with one more their union is connected.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import networkx as nx

from tasks.symmetry.groupings import Grouping, expansion, meeting


@dataclass(frozen=True)
class GraphSize:
    """How many subspaces there are, pairs of them that meet, and connected components."""

    subspaces: int
    meetings: int
    components: int


def intersection_graph(groupings: Iterable[Grouping]) -> nx.Graph[Grouping]:
    """The groupings as vertices, and an edge between two whose subspaces meet.

    An edge's `meeting` is where they do.

    Raises:
        SpecError: the groupings are not of the same units.
    """
    graph: nx.Graph[Grouping] = nx.Graph()
    graph.add_nodes_from(groupings)
    for first, second in combinations(list(graph), 2):
        met = meeting(first, second)
        if met is not None:
            graph.add_edge(first, second, meeting=met)
    return graph


def size_of(graph: nx.Graph[Grouping]) -> GraphSize:
    """Its numbers of vertices, edges and components."""
    return GraphSize(len(graph), graph.number_of_edges(), nx.number_connected_components(graph))


def copies_only(r: int, m: int) -> list[Grouping]:
    """The G(r, m) groupings in which every unit has an effect.

    Raises:
        SpecError: r is below 1, or m below r.
    """
    return [grouping for grouping in expansion(r, m) if not grouping.without_effect]
