"""The tables of the study `teacher-student`.

Safran & Shamir 2018, arXiv:1712.08968.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.study import Cell, Column, Table
from tasks.facts import Trees, facts_of
from tasks.students import cell_measures as measures
from tasks.students.cells import cell_of, certificates, families_of, proved
from tasks.students.families import described
from tasks.students.passes import barrier_of_line, lowest_pass
from tasks.students.published import CONFIDENCE, PUBLISHED, RUNS, interval
from tasks.students.torus import critical_points

Cells = Mapping[tuple[int, int], str]
"""(teachers k, students n) → the scan's name."""

_SHOWN = 6
"""Families of a cell in the table."""


def tables(cells: Cells, betweens: Sequence[int]) -> dict[str, Table]:
    """The percentages beside the published ones, the basins, the ways between, and the torus."""
    return {
        "cells": _percentages(cells),
        "families": _families(cells),
        "ways": _ways(betweens),
        "torus-points": _torus(),
    }


def _percentages(cells: Cells) -> Table:
    return Table(
        "Runs that end in a spurious minimum",
        "Bad are runs that end at a loss of 10⁻³ or more. Intervals are exact 95 % ones of a "
        "binomial share (Clopper and Pearson). p is of both counts being of one share (Fisher's "
        "exact test). Proved: bad ends near "
        "which a local minimum that is not global is proved. Given up: runs that have not "
        "converged within the iterations allowed.",
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
        means["least_eigenvalue"][0] if bad else None,
        None if known is None else known.least_eigenvalue,
        means["loss"][0] if bad else None,
        None if known is None else known.loss,
    ]


def _families(cells: Cells) -> Table:
    return Table(
        "Where the runs end: basins",
        "The share of the starts in each basin: runs that end below a loss of 10⁻³, and families "
        "of bad ends that are one point but for permutations of neurons and of coordinates, the "
        f"largest {_SHOWN} of each cell. λ_min and the radius, within which a local minimum lies, "
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
    proofs, cell = certificates(scans[scan]), cell_of(scans[scan])
    runs, good = len(cell.bad), ~cell.bad
    share = 100 * float(good.mean())
    best = float(cell.losses[good].min()) if good.any() else None
    rows: list[list[Cell]] = [[*at, "global", int(good.sum()), share, best, None, None, None, None]]
    for number, family in enumerate(families_of(scans[scan])[:_SHOWN], start=1):
        proof, count = proofs[family.members[0]], len(family.members)
        rows.append(
            [
                *at,
                str(number),
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
    facts, over = facts_of(tree)[0], lowest_pass(scans[f"softest-{k}"])
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


def _torus() -> Table:
    return Table(
        "Critical points of the torus of two students",
        "Where Newton's method ends from every point of the grid, for two orthogonal teachers at "
        "the angles 0 and π/2.",
        (
            Column("first angle", "π", 6),
            Column("second angle", "π", 6),
            Column("F", decimals=6),
            Column("least eigenvalue", decimals=3),
            Column("greatest eigenvalue", decimals=3),
            Column("kind"),
        ),
        lambda scans: [
            [*point.angles, point.loss, *point.eigenvalues, point.kind]
            for point in critical_points(scans["torus"])
        ],
    )
