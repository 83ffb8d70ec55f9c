"""The table of the study `wide-layer` on what critical points meet of Nguyen & Hein's condition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schemas.study import Cell, Column, Table
from tasks.facts import Trees
from tasks.wide.conditions import THEOREM, Condition, LayerConditions, Mask
from tasks.wide.nguyen_hein_claims import CONDITIONS
from tasks.wide.nguyen_hein_measures import ends_of
from tasks.wide.scans import SAMPLES, Net


def condition_tables(nets: Sequence[tuple[Net, Sequence[str]]]) -> dict[str, Table]:
    """How many critical points of each network meet which part of the condition."""
    return {
        CONDITIONS: Table(
            "Critical points, and what they meet of the condition",
            f"Of descents to minima and to critical points of any kind, N = {SAMPLES}: those with "
            "a gradient of 10⁻¹⁰ or less. Global: with a loss of 10⁻¹² or less, or of the least of "
            "the same data. For each hidden layer, how many of them meet which part of Nguyen & "
            "Hein's condition, and all of it. The rank is that of the features, and the bias's "
            "ones: the least and the greatest.",
            (
                Column("network"),
                Column("layer"),
                Column("units"),
                Column("critical points"),
                Column("number"),
                Column("wide enough"),
                Column("Hessian nonsingular"),
                Column("W of full column rank"),
                Column("all of it"),
                Column("features of full rank"),
                Column("rank from"),
                Column("to"),
            ),
            lambda scans: [row for net, names in nets for row in _of_net(scans, net, names)],
        )
    }


def _of_net(scans: Trees, net: Net, names: Sequence[str]) -> list[list[Cell]]:
    ends = [ends_of(scans[name]) for name in names]
    rows = []
    for at in range(len(net.widths)):
        for kind in ("global", "not global"):
            parts = [
                (each.layers[at], each.critical & (each.stuck == (kind == "not global")))
                for each in ends
            ]
            rows.append([net.words, at + 1, net.widths[at], kind, *_counts(parts)])
    return rows


def _counts(parts: Sequence[tuple[LayerConditions, Mask]]) -> list[Cell]:
    ranks = np.concatenate([layer.ranks[points] for layer, points in parts])
    asked: list[tuple[Condition, ...]] = [*((each,) for each in THEOREM), THEOREM, ("features",)]
    met: list[Cell] = [
        sum(int(np.count_nonzero(layer.meets(each) & points)) for layer, points in parts)
        for each in asked
    ]
    between: list[Cell] = [int(ranks.min()), int(ranks.max())] if ranks.size else [None, None]
    return [len(ranks), *met, *between]
