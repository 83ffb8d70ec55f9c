"""What is claimed of each subspace of zero loss: where it meets others, and how flat the loss is.

Şimşek et al. 2021, arXiv:2105.12221. The statistics are in `count_measures`, `nullity_measures` and
`parity`; none reads a scan. A control is the same claim where its hypothesis is broken, or with
another number in its place. Counts and dimensions must be equal; small trials had been seen when
the other thresholds were set.
"""

from __future__ import annotations

from dataclasses import replace
from math import factorial

import numpy as np

from schemas.study import Claim, Outcome
from tasks.symmetry import count_measures as counted
from tasks.symmetry import nullity_measures as measured
from tasks.symmetry import parity
from tasks.symmetry.data import random_teacher
from tasks.symmetry.graph import copies_only

PAPER = "Şimşek et al. 2021, arXiv:2105.12221"
OURS = f"derived from the subspaces of {PAPER}"
GRAPHS, NULLITIES = "subspace-graphs", "subspace-nullities"
"""Tables."""
DRAWN = "subspace-meetings"
"""A figure."""

WIDER = ((1, 2), (1, 3), (2, 3), (2, 4), (3, 4))
EQUAL = ((1, 1), (2, 2), (3, 3), (4, 4))
_TEACHERS = tuple(
    random_teacher(sizes, np.random.default_rng(seed))
    for seed, sizes in enumerate([(1, 2, 1), (2, 2, 1), (3, 2, 2)])
)
_EQUAL_TEACHERS = (counted.equal_units(2), counted.equal_units(2, 2))
_POWER = 0.1
_RISES, _IN_THETA = 1e-3, 1e-6


def subspace_claims() -> list[Claim]:
    """All of them."""
    return [*_connected(), *_meetings(), *_dimensions(), *_flat(), *_turned()]


def _connected() -> list[Claim]:
    isolated = Claim(
        name="isolated-without-spare",
        statement="with as many units as the teacher's r the subspaces are r! isolated ones: "
        "greatest difference of their number and of pairs that meet, r ≤ 4",
        source=PAPER,
        statistic=counted.components_but_isolated(EQUAL),
        threshold=0.0,
        sense="at most",
        figure=GRAPHS,
        hypothesis=counted.as_wide(EQUAL),
    )
    connected = replace(
        isolated,
        name="connected-with-spare",
        statement="with one unit more or two Θ is connected: greatest number of components of the "
        "intersection graph",
        statistic=counted.components(WIDER),
        threshold=1.0,
        figure=DRAWN,
        hypothesis=counted.of_width(WIDER, 1),
    )
    return [
        isolated,
        replace(
            isolated,
            statistic=counted.components_but_isolated(WIDER),
            hypothesis=counted.as_wide(WIDER),
        ).as_control("isolated-with-spare", "with one unit more or two"),
        connected,
        replace(
            connected,
            statistic=counted.components(EQUAL),
            hypothesis=counted.of_width(EQUAL, 1),
        ).as_control("connected-without-spare", "with as many units as the teacher's"),
        replace(
            connected, statistic=counted.components(WIDER, copies_only), hypothesis=None
        ).as_control("connected-by-copies", "without groups that have no effect"),
    ]


def _meetings() -> list[Claim]:
    one_more = tuple((r, r + 1) for r in (1, 2, 3))
    two_more = tuple((r, r + 2) for r in (1, 2))
    numbers = Claim(
        name="meetings-with-one-more",
        statement="with one unit more r (r+1)! pairs of subspaces meet, 12 for r = 2 and 72 for "
        "r = 3: greatest difference from that, r ≤ 3",
        source=OURS,
        statistic=counted.meetings_but(_pairs, one_more),
        threshold=0.0,
        sense="at most",
        figure=GRAPHS,
    )
    exact = replace(
        numbers,
        name="meetings-agree",
        statement="where two subspaces meet, and the dimensions, by their groups and by their "
        "weights: pairs of subspaces where these differ, with two units more",
        statistic=counted.meetings_misjudged(_TEACHERS, 4),
        hypothesis=counted.irreducible(_TEACHERS),
    )
    return [
        numbers,
        replace(numbers, statistic=counted.meetings_but(_pairs, two_more)).as_control(
            "meetings-with-two-more", "with two units more in its place"
        ),
        exact,
        replace(
            exact,
            statistic=counted.meetings_misjudged(_EQUAL_TEACHERS, 4),
            hypothesis=counted.irreducible(_EQUAL_TEACHERS),
        ).as_control("meetings-of-reducible", "with a teacher of equal units"),
    ]


def _dimensions() -> list[Claim]:
    dimensions = Claim(
        name="subspace-dimensions",
        statement="a subspace with j groups without effect has (m−r−j) c + j d dimensions: "
        "greatest difference from what random points of it span",
        source=f"{PAPER}; for c outputs ours",
        statistic=measured.dimensions_missed(lambda each: each.dimensions),
        threshold=0.0,
        sense="at most",
        figure=NULLITIES,
    )
    least = replace(
        dimensions,
        name="dimensions-at-least",
        statement="a subspace has m − r dimensions at least: least number of more",
        source=PAPER,
        statistic=measured.least_spare(),
        sense="at least",
    )
    return [
        dimensions,
        replace(dimensions, statistic=measured.dimensions_missed(measured.of_copies)).as_control(
            "dimensions-of-copies", "with (m−r) c in its place"
        ),
        least,
        replace(least, statistic=measured.least_spare_of_meetings()).as_control(
            "dimensions-of-meetings", "where two subspaces meet"
        ),
    ]


def _flat() -> list[Claim]:
    derived = Claim(
        name="hessian-zeros",
        statement="the Hessian has Σ b (c+d) − c − d min(b, c) zero eigenvalues on a subspace, "
        "over its groups of b units, with b−1 in the minimum if they have no effect: greatest "
        "difference at a random point",
        source=OURS,
        statistic=measured.nullity_missed(),
        threshold=0.0,
        sense="at most",
        figure=NULLITIES,
    )
    reading = replace(
        derived,
        name="hessian-zeros-are-dimensions",
        statement="the Hessian is zero along the subspace only: greatest number of zero "
        "eigenvalues above its dimensions, of each kind of subspace",
        statistic=measured.excess_by_shape(),
        expected=Outcome.CONDITIONAL,
    )
    small = replace(
        derived,
        name="hessian-zeros-of-small-groups",
        statement="it is zero along the subspace only, where groups are small: greatest number of "
        "zero eigenvalues above its dimensions",
        statistic=measured.greatest_excess(True),
        hypothesis=measured.small_groups(True),
    )
    fourth = replace(
        derived,
        name="fourth-power",
        statement="where the Hessian is zero off the subspace, the loss grows as the fourth power "
        "of the distance: greatest difference of its power from 4",
        statistic=measured.growth_missed(4.0, flat=True),
        threshold=_POWER,
    )
    return [
        derived,
        replace(derived, statistic=measured.nullity_missed_at_meetings()).as_control(
            "hessian-zeros-of-meetings", "where two subspaces meet"
        ),
        reading,
        small,
        replace(
            small,
            statistic=measured.greatest_excess(False),
            hypothesis=measured.small_groups(False),
        ).as_control("hessian-zeros-of-large-groups", "where they are not"),
        fourth,
        replace(fourth, statistic=measured.growth_missed(4.0, flat=False)).as_control(
            "fourth-power-anywhere", "along random ways"
        ),
    ]


def _turned() -> list[Claim]:
    rises = Claim(
        name="turned-unit-rises",
        statement="a unit cannot be turned around at zero loss, whatever makes up for it with "
        "tanh, the sigmoid or softplus: least loss of the published teacher's first two units",
        source=f"{PAPER}, for activations without parity symmetry; of softplus ours",
        statistic=parity.least_loss_of_turned("asymmetric", *parity.RELATIONS),
        threshold=_RISES,
        sense="at least",
        hypothesis=parity.holds_none("asymmetric"),
    )
    inside = replace(
        rises,
        statement="all points of zero loss lie in Θ: greatest distance from it of those where a "
        "unit is turned around",
        threshold=_IN_THETA,
        sense="at most",
    )
    return [
        rises,
        *(
            replace(
                claim, statistic=statistic, hypothesis=parity.holds_none(activation)
            ).as_control(f"{name}-{activation}", f"with {activation}")
            for activation in parity.RELATIONS
            for claim, name, statistic in (
                (
                    rises,
                    "turned-unit-rises",
                    parity.least_loss_of_turned(activation, activation),
                ),
                (inside, "turned-in-theta", parity.greatest_distance_of_turned(activation)),
            )
        ),
    ]


def _pairs(r: int) -> int:
    """How many subspaces meet with one unit more.

    Each of the G(r, r+1) = r (r+1)!/2 with two copies meets two: of either copy without effect.
    """
    return r * factorial(r + 1)
