"""How deep minima are: their persistence, from the passes between neighbouring basins.

As the level of the loss rises, basins join at their passes, and of two that join the one with the
higher minimum ends in the other (the elder rule of Edelsbrunner, Letscher & Zomorodian 2002, doi
10.1007/s00454-002-2885-2). The depth of a minimum is the height of the pass at which it ends less
its own loss; the deepest of those that are connected never ends.

Shape legend: M = minima, E = passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree

from pipeline.analysis.descending import Indices
from pipeline.analysis.frame import Floats


@dataclass(frozen=True)
class Passes:
    """The lowest pass between each two neighbouring basins.

    Attributes:
        low, high: numbers of the two basins (E,), low < high, each pair once and ascending.
        height: least of max(f(p), f(q)) over neighbours p and q in either (E,).
    """

    low: Indices
    high: Indices
    height: Floats

    @classmethod
    def none(cls) -> Passes:
        """No passes."""
        return cls(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))

    @classmethod
    def merge(cls, parts: Sequence[Passes]) -> Passes:
        """The lowest of all parts for each pair; at least one part."""
        low, high, height = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("low", "high", "height")
        )
        order = np.lexsort((height, high, low))
        low, high, height = low[order], high[order], height[order]
        new = np.ones(low.size, dtype=np.bool_)
        new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
        return cls(low[new], high[new], height[new])


@dataclass(frozen=True)
class Depths:
    """Of each minimum (M,) its depth, the pass at which it ends and the basin beyond.

    `depth` and `height` are +inf for a minimum that never ends; it is then its own `beyond`.
    """

    depth: Floats
    height: Floats
    beyond: Indices


def beyond_rounding(low: Floats, high: Floats, relative: float) -> npt.NDArray[np.bool_]:
    """Where `high` is above `low` by more than `relative` times the greater magnitude of the two.

    Between what is finite and what is not there is no rounding.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        apart = high - low
        rounding = np.isfinite(apart) & (apart <= relative * np.maximum(np.abs(low), np.abs(high)))
    above: npt.NDArray[np.bool_] = (high > low) & ~rounding
    return above


def depths(values: Floats, passes: Passes) -> Depths:
    """The depth of minima of losses `values` (M,); of equal ones the first never ends."""
    age = np.empty(values.size, dtype=np.int64)
    age[np.argsort(values, kind="stable")] = np.arange(values.size)
    height, beyond = np.full(values.size, np.inf), np.arange(values.size)
    eldest = list(range(values.size))
    elder = age.tolist()
    for k in _rising(values.size, passes).tolist():
        ends = int(passes.low[k]), int(passes.high[k])
        roots = [_root(eldest, end) for end in ends]
        younger = 0 if elder[roots[0]] > elder[roots[1]] else 1
        height[roots[younger]] = passes.height[k]
        beyond[roots[younger]] = ends[1 - younger]
        eldest[roots[younger]] = roots[1 - younger]
    return Depths(height - values, height, beyond)


def _rising(count: int, passes: Passes) -> Indices:
    """The passes at which basins join, by height and then by the basins' numbers."""
    order = np.lexsort((passes.high, passes.low, passes.height))
    # Their ranks stand for the heights: a weight of 0 would be no edge, and ties are decided.
    rank = np.empty(order.size)
    rank[order] = np.arange(1, order.size + 1)
    graph = coo_array((rank, (passes.low, passes.high)), shape=(count, count))
    kept = np.sort(minimum_spanning_tree(graph.tocsr()).data).astype(np.int64) - 1
    chosen: Indices = order[kept]
    return chosen


def _root(eldest: list[int], at: int) -> int:
    """The eldest of the basins joined with one; ways there are halved."""
    while eldest[at] != at:
        eldest[at] = eldest[eldest[at]]
        at = eldest[at]
    return at
