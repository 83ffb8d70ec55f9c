"""What is claimed of the numbers of subspaces of zero loss and of critical points.

Şimşek et al. 2021, arXiv:2105.12221. The statistics are in `count_measures`; none reads a scan. A
control is the same claim with another count in its place, or with a broken hypothesis. Thresholds:
counts must be equal; small trials had been seen when the others were set.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from schemas.study import Claim
from tasks.symmetry import count_measures as counted
from tasks.symmetry.counts import (
    copies,
    copies_by_powers,
    mild_limit,
    subspaces,
    subspaces_by_groups,
    subspaces_by_recurrence,
    subspaces_with_one_more,
)
from tasks.symmetry.data import random_teacher
from tasks.symmetry.network import Weights
from tasks.symmetry.subspace_claims import PAPER, subspace_claims

COUNTS = "subspace-counts"
"""The table."""
MILD, VAST = "mild-ratio", "vast-ratio"
"""The figures."""

_RATIO, _LAST_DIGIT = 74.09, 0.005
_HALVED = 0.51
_VANISHED = 1e-3


def count_claims() -> list[Claim]:
    """All of them, and those on single subspaces."""
    return [*_formulas(), *_mild(), *_vast(), *subspace_claims()]


def _formulas() -> list[Claim]:
    widths = (*counted.SMALL, *counted.LARGE)
    agree = Claim(
        name="subspaces-agree",
        statement="T(r, m) by Bell numbers, by numbers of groups without effect and by a "
        "recurrence: pairs r ≤ m, all up to 30 and some up to 600, where these differ",
        source=PAPER,
        statistic=counted.disagreements(
            (subspaces, subspaces_by_groups, subspaces_by_recurrence), widths
        ),
        threshold=0.0,
        sense="at most",
        figure=COUNTS,
    )
    literal = replace(
        agree,
        name="subspaces-enumerated",
        statement="distinct images of Γ_s under all permutations are T(r, m), and G(r, m) of them "
        "have no group without effect: pairs r ≤ 4, m ≤ 6 where they are not",
        statistic=counted.miscounted(_irreducible, counted.ENUMERATED),
        hypothesis=counted.irreducible([_irreducible(r) for r in range(1, 5)]),
    )
    one_more = replace(
        agree,
        name="one-more-unit",
        statement="T(r, r+1) = (r+1)! (r+2)/2: numbers r ≤ 60 where it is not",
        statistic=counted.disagreements(
            (subspaces, lambda r, _: subspaces_with_one_more(r)), _with_more(1)
        ),
    )
    return [
        replace(
            agree,
            name="copies-agree",
            statement="G(r, m) by Stirling numbers and by inclusion and exclusion: pairs r ≤ m, "
            "all up to 30 and some up to 600, where these differ",
            statistic=counted.disagreements((copies, copies_by_powers), widths),
        ),
        agree,
        replace(agree, statistic=counted.disagreements((subspaces, copies), widths)).as_control(
            "copies-are-all", "with G in the place of T"
        ),
        literal,
        replace(
            literal,
            statistic=counted.miscounted(counted.equal_units, ((2, 3), (2, 4), (3, 4))),
            hypothesis=counted.irreducible([counted.equal_units(r) for r in range(1, 5)]),
        ).as_control("reducible-enumerated", "with a teacher of equal units"),
        one_more,
        replace(
            one_more,
            statistic=counted.disagreements(
                (subspaces, lambda r, _: subspaces_with_one_more(r)), _with_more(2)
            ),
        ).as_control("two-more-units", "with T(r, r+2) in its place"),
    ]


def _mild() -> list[Claim]:
    ratio = Claim(
        name="mild-ratio",
        statement="with one unit more than the teacher's 300 there are 74.09 subspaces of critical "
        "points of 299 units for each of global minima: difference of G(299, 301)/T(300, 301) "
        "from that",
        source=f"{PAPER}; the number is ours",
        statistic=counted.distance_from(300, 1, 1, _RATIO),
        threshold=_LAST_DIGIT,
        sense="at most",
        figure=MILD,
    )
    limit = replace(
        ratio,
        name="mild-limit",
        statement="G(r−k, r+h)/T(r, r+h) comes near r^k / (2^k (h+1)…(h+k)) as 1/r, for k, h ≤ 3: "
        "greatest ratio of the relative distances at r = 1000 and at 500",
        source=PAPER,
        statistic=counted.slowest_approach(mild_limit),
        threshold=_HALVED,
    )
    return [
        ratio,
        replace(ratio, statistic=counted.distance_from(300, 1, 2, _RATIO)).as_control(
            "mild-ratio-wider", "with 302 units"
        ),
        limit,
        replace(
            limit, statistic=counted.slowest_approach(lambda r, k, h: 2**k * mild_limit(r, k, h))
        ).as_control("mild-limit-doubled", "without 2^k"),
    ]


def _vast() -> list[Claim]:
    first = Claim(
        name="vast-crossings",
        statement="global minima first have more subspaces than all critical points of fewer "
        "units at m = 8, 13, 25 for r = 6, 10, 18: numbers r where they do not",
        source=f"{PAPER}; the numbers are ours",
        statistic=counted.crossings_missed(subspaces),
        threshold=0.0,
        sense="at most",
        figure=VAST,
    )
    far = replace(
        first,
        name="vast-vanishes",
        statement="Σ_k G(r−k, m)/T(r, m) vanishes as m grows: greatest one of r = 6, 10, 18 at "
        f"m = {counted.WIDE} r",
        source=PAPER,
        statistic=counted.greatest_share(lambda r: counted.WIDE * r),
        threshold=_VANISHED,
    )
    return [
        first,
        replace(first, statistic=counted.crossings_missed(copies)).as_control(
            "vast-crossings-of-copies", "with G(r, m) alone for the global minima"
        ),
        far,
        replace(far, statistic=counted.greatest_share(lambda r: r + 1)).as_control(
            "mild-vanishes", "with m = r + 1 in its place"
        ),
    ]


def _irreducible(r: int) -> Weights:
    return random_teacher((1, r, 1), np.random.default_rng(r))


def _with_more(units: int) -> tuple[tuple[int, int], ...]:
    return tuple((r, r + units) for r in range(1, 61))
