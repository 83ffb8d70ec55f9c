"""The tables and figures of the study `teacher-student`.

Safran & Shamir 2018, arXiv:1712.08968.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from schemas.study import Cell, Column, Figure, Series, Table
from tasks.facts import facts_of
from tasks.students import cell_measures as measures
from tasks.students.cells import Trees, cell_of, certificates, families_of, proved
from tasks.students.families import described
from tasks.students.passes import barrier_of_line, lowest_pass, rise_of_line
from tasks.students.published import CONFIDENCE, PUBLISHED, RUNS, interval

Cells = Mapping[tuple[int, int], str]
"""(teachers k, students n) → the scan's name."""

_ASIDE = 0.15
"""How far published points stand beside ours."""
_SHOWN = 6
"""Families of a cell in the table."""


def tables(cells: Cells, betweens: Sequence[int]) -> dict[str, Table]:
    """The percentages beside the published ones, the families of minima, and the ways between."""
    return {
        "cells": _percentages(cells),
        "families": _families(cells),
        "ways": _ways(betweens),
    }


def _percentages(cells: Cells) -> Table:
    return Table(
        "Runs that end in a spurious minimum",
        "Bad are runs that end at a loss of 10⁻³ or more. Intervals are exact 95 % ones of a "
        "binomial share (Clopper and Pearson). p is of both counts being of one share (Fisher's "
        "exact test). Proved: bad ends near which a local minimum that is not global is proved. "
        "Given up: runs at no minimum within the iterations allowed.",
        (
            Column("teachers"),
            Column("students"),
            Column("runs"),
            Column("bad", "%", 1),
            Column("from", "%", 1),
            Column("to", "%", 1),
            Column("published", "%", 1),
            Column("published from", "%", 1),
            Column("published to", "%", 1),
            Column("p", decimals=3),
            Column("within published"),
            Column("agree at 95 %"),
            Column("proved"),
            Column("given up"),
            Column("λ_min", decimals=4),
            Column("published λ_min", decimals=4),
            Column("F", decimals=4),
            Column("published F", decimals=4),
        ),
        lambda scans: [_percentage(scans, at, scan) for at, scan in cells.items()],
    )


def _percentage(scans: Trees, at: tuple[int, int], scan: str) -> list[Cell]:
    cell = cell_of(scans[scan])
    bad, runs, known = int(cell.bad.sum()), len(cell.bad), PUBLISHED.get(at)
    means = measures.mean_of_bad(scans, scan)
    percent: list[Cell] = [100 * share for share in (bad / runs, *interval(bad, runs))]
    beside: list[Cell] = [None] * 6
    if known is not None:
        p = measures.p_value(bad, runs, known)
        shares = (known.bad / RUNS, *interval(known.bad, RUNS))
        within = measures.is_within(scans, scan, known)
        beside = [*(100 * share for share in shares), p, within, p >= 1 - CONFIDENCE]
    return [
        *at,
        runs,
        *percent,
        *beside,
        sum(proved(one) for one in certificates(scans[scan])),
        int(cell.given_up.sum()),
        means["least_eigenvalue"][0],
        None if known is None else known.least_eigenvalue,
        means["loss"][0],
        None if known is None else known.loss,
    ]


def _families(cells: Cells) -> Table:
    return Table(
        "Families of spurious minima",
        "Ends that are one point but for permutations of neurons and of coordinates, the largest "
        f"{_SHOWN} families of each cell. λ_min and the radius, within which a local minimum lies, "
        "are proved of the first end of a family.",
        (
            Column("teachers"),
            Column("students"),
            Column("family"),
            Column("runs"),
            Column("of all runs", "%", 1),
            Column("F", decimals=8),
            Column("λ_min at least", decimals=6),
            Column("gradient at most"),
            Column("radius"),
            Column("neurons"),
        ),
        lambda scans: [row for at, scan in cells.items() for row in _of_cell(scans, at, scan)],
    )


def _of_cell(scans: Trees, at: tuple[int, int], scan: str) -> list[list[Cell]]:
    proofs, runs = certificates(scans[scan]), len(cell_of(scans[scan]).bad)
    rows: list[list[Cell]] = []
    for number, family in enumerate(families_of(scans[scan])[:_SHOWN], start=1):
        proof, count = proofs[family.members[0]], len(family.members)
        rows.append(
            [
                *at,
                number,
                count,
                100 * count / runs,
                family.loss,
                proof.least_eigenvalue,
                proof.gradient_norm,
                proof.radius,
                described(family),
            ]
        )
    return rows


def _ways(betweens: Sequence[int]) -> Table:
    return Table(
        "From a spurious minimum to a global one",
        "The minimum of five numbers, the nearest global minimum, the greatest rise of the loss on "
        "the straight line between them, and the lowest saddle of index 1 found from which one way "
        "down leads to either. With five teachers the point is a saddle itself.",
        (
            Column("teachers"),
            Column("F", decimals=8),
            Column("λ_min", decimals=6),
            Column("distance", decimals=4),
            Column("rise of the line", decimals=6),
            Column("saddle F", decimals=8),
            Column("rise to the saddle"),
            Column("saddle's eigenvalue", decimals=6),
            Column("distance of the saddle", decimals=4),
        ),
        lambda scans: [_way(scans, k) for k in betweens],
    )


def _way(scans: Trees, k: int) -> list[Cell]:
    tree = scans[f"between-{k}"]
    facts, over = facts_of(tree)[0], lowest_pass(tree)
    return [
        k,
        facts["spurious_loss"],
        facts["spurious_least_eigenvalue"],
        facts["distances"][0],
        barrier_of_line(tree),
        None if over is None else over.saddle,
        None if over is None else over.barrier,
        None if over is None else over.eigenvalue,
        None if over is None else over.distance,
    ]


def figures(cells: Cells, betweens: Sequence[int]) -> dict[str, Figure]:
    """Percentages and means by k, the losses of the families, and the lines between minima."""
    equal = {at: scan for at, scan in cells.items() if at[0] == at[1]}
    more = {at: scan for at, scan in cells.items() if at[0] < at[1]}
    return {
        "percentages": Figure(
            "How often descents end in a spurious minimum",
            "Share of runs that end at a loss of 10⁻³ or more, with 95 % intervals, beside what "
            "is published.",
            "teachers k",
            "bad runs [%]",
            lambda scans: [
                *_shares(scans, equal, "n = k"),
                *(_shares(scans, more, "n = k + 1") if more else []),
            ],
        ),
        "means": Figure(
            "Curvature at the spurious minima",
            "Mean over the bad runs of the least eigenvalue of the Hessian, with two standard "
            "errors, and the mean that is published.",
            "teachers k",
            "λ_min",
            lambda scans: _means(scans, equal),
        ),
        "family-losses": Figure(
            "Families of spurious minima",
            "Losses of the families found with as many students as teachers. The largest family "
            "is marked apart.",
            "teachers k",
            "F",
            lambda scans: _losses(scans, equal),
        ),
        "lines": Figure(
            "From a spurious minimum to the nearest global one",
            "Loss along the straight line, with the spurious minimum at 0 and the global one at 1.",
            "t",
            "F",
            lambda scans: [_line(scans, k) for k in betweens],
        ),
    }


def _shares(scans: Trees, cells: Cells, label: str) -> list[Series]:
    found = [cell_of(scans[scan]).bad for scan in cells.values()]
    ends = [interval(int(bad.sum()), len(bad)) for bad in found]
    known = {k: PUBLISHED[k, n].bad / RUNS for k, n in cells if (k, n) in PUBLISHED}
    errors = [interval(PUBLISHED[at].bad, RUNS) for at in cells if at in PUBLISHED]
    return [
        Series(
            label,
            [float(k) for k, _ in cells],
            [100 * float(bad.mean()) for bad in found],
            "line",
            [100 * low for low, _ in ends],
            [100 * high for _, high in ends],
        ),
        Series(
            f"{label}, published",
            [k + _ASIDE for k in known],
            [100 * share for share in known.values()],
            "points",
            [100 * low for low, _ in errors],
            [100 * high for _, high in errors],
        ),
    ]


def _means(scans: Trees, cells: Cells) -> list[Series]:
    found = {
        k: measures.mean_of_bad(scans, scan)["least_eigenvalue"]
        for (k, _), scan in cells.items()
        if cell_of(scans[scan]).bad.any()
    }
    known = {k: PUBLISHED[k, k].least_eigenvalue for k in found if (k, k) in PUBLISHED}
    errors = [2 * (0.0 if np.isnan(error) else error) for _, error in found.values()]
    values = [mean for mean, _ in found.values()]
    return [
        Series(
            "measured",
            [float(k) for k in found],
            values,
            "line",
            [value - error for value, error in zip(values, errors, strict=True)],
            [value + error for value, error in zip(values, errors, strict=True)],
        ),
        Series(
            "published",
            [k + _ASIDE for k in known],
            [value for value in known.values() if value is not None],
            "points",
        ),
    ]


def _losses(scans: Trees, cells: Cells) -> list[Series]:
    first: list[tuple[float, float]] = []
    other: list[tuple[float, float]] = []
    for (k, _), scan in cells.items():
        points = [(float(k), family.loss) for family in families_of(scans[scan])]
        first += points[:1]
        other += points[1:]
    return [
        Series(label, [x for x, _ in points], [y for _, y in points], "points")
        for label, points in (("other families", other), ("largest family", first))
    ]


def _line(scans: Trees, k: int) -> Series:
    t, rise = rise_of_line(scans[f"between-{k}"])
    least = facts_of(scans[f"between-{k}"])[0]["spurious_loss"]
    return Series(f"k = {k}", t.tolist(), (rise + least).tolist())
