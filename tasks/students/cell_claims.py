"""What is claimed of the cells of the published table.

The statistics are in `cell_measures`. A control is the same claim where its hypothesis is broken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from schemas.study import Claim, Outcome
from tasks.students import cell_measures
from tasks.students.claims import CELLS, MEANS, SAFRAN
from tasks.students.published import PUBLISHED
from tasks.students.scans import cell_name

SIGNIFICANCE = 0.05
MEANS_APART = 3.5


def agrees(k: int, n: int, cells: int) -> Claim:
    """A cell's percentage is the published one."""
    scan = cell_name(k, n)
    return Claim(
        name=f"{scan}-agrees",
        statement=f"{k} teachers, {n} students: the share of bad runs is the published one: "
        f"p-value of the two counts, to be at least {SIGNIFICANCE:g}/{cells} as one of {cells} "
        "cells",
        source=SAFRAN,
        statistic=cell_measures.agreement(scan, PUBLISHED[k, n]),
        threshold=SIGNIFICANCE / cells,
        sense="at least",
        figure=CELLS,
        hypothesis=cell_measures.as_published(scan, k, n),
    )


def other_cell(k: int, n: int, cells: int) -> Claim:
    """The control: a cell beside what is published of as many students as teachers."""
    known, scan = agrees(k, k, cells), cell_name(k, n)
    return replace(
        known,
        statement=known.statement.replace(f"{k} students", f"{n} students")
        + f"; published of {k} students",
        statistic=cell_measures.agreement(scan, PUBLISHED[k, k]),
        hypothesis=cell_measures.as_published(scan, k, k),
    ).as_control(f"{scan}-agrees-with-{cell_name(k, k)}")


def refuted_as_printed(claim: Claim) -> Claim:
    """A cell whose published share is not that of the protocol, as was found by doing it again."""
    statement = f"{claim.statement} (as printed; not borne out by more runs)"
    return replace(claim, statement=statement, expected=Outcome.REFUTED)


def column_agrees(column: Mapping[tuple[int, int], str]) -> Claim:
    """The cells together agree with the published ones."""
    sizes = ", ".join(str(k) for k, _ in column)
    return Claim(
        name="column-agrees",
        statement=f"k = n = {sizes}: the shares of bad runs are all the published ones: p-value of "
        "these cells together (Fisher's method)",
        source=SAFRAN,
        statistic=cell_measures.joint_agreement(column),
        threshold=SIGNIFICANCE,
        sense="at least",
        figure=CELLS,
        hypothesis=cell_measures.all_as_published(column),
    )


def wrong_column(column: Mapping[tuple[int, int], str]) -> Claim:
    """The control: cells with one student more beside those of as many students as teachers."""
    return column_agrees(column).as_control(
        "column-agrees-one-more", "with one student more than teachers"
    )


def means_agree(column: Mapping[tuple[int, int], str], what: str, words: str) -> Claim:
    """Means over the bad runs are the published ones."""
    return Claim(
        name=f"mean-{what.replace('_', '-')}-agrees",
        statement=f"the mean over the bad runs of {words} is the published one: greatest "
        "difference in standard errors",
        source=SAFRAN,
        statistic=cell_measures.means_apart(column, what),
        threshold=MEANS_APART,
        sense="at most",
        figure=MEANS,
        hypothesis=cell_measures.all_as_published(column),
    )


def other_means(cells: Mapping[tuple[int, int], str], what: str, words: str) -> Claim:
    """The control: one student more, beside means of as many students as teachers."""
    claim = means_agree(cells, what, words)
    return claim.as_control(f"{claim.name}-one-more", "with one student more than teachers")
