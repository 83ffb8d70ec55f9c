"""What is claimed of ReLU students and their teachers.

The statistics are in `cell_measures`, `passes` and `torus`. A control is the same claim where its
hypothesis is broken.
"""

from __future__ import annotations

from dataclasses import replace

from schemas.study import Claim
from tasks.students import cell_measures, passes, torus
from tasks.students.scans import cell_name

SAFRAN = "Safran & Shamir 2018, arXiv:1712.08968"
FIVE_NUMBERS = f"{SAFRAN}; solved within five numbers from the closed form"
WU = "Wu, Luo & Lee 2018, No Spurious Local Minima in a Two Hidden Unit ReLU Network"
TIAN = "Tian 2017, arXiv:1703.00560"

CELLS, MEANS, FAMILIES, LINES = "cells", "means", "families", "lines"
"""Tables and figures of the study."""

EXACT = 1e-8
RISES = 1e-4
STANDARD_ERRORS = 3.0
LAST_DIGIT = 0.51
LEAST_SHARE = 0.01


def ends_are_minima(name: str, words: str, *scans: str, least: float = 1.0) -> Claim:
    """Bad runs have ended at local minima, or at least this share of them has."""
    return Claim(
        name=name,
        statement=f"{words}: near {'every' if least == 1 else 'nearly every'} bad end of a run "
        "that is not given up a local minimum that is not global is proved in ball arithmetic: "
        "share of them",
        source=SAFRAN,
        statistic=cell_measures.share_proved(*scans),
        threshold=least,
        sense="at least",
        figure=FAMILIES,
        hypothesis=cell_measures.by_descent(*scans),
    )


def has_spurious_minima(k: int) -> Claim:
    """There are local minima that are not global."""
    return Claim(
        name=f"k{k}-has-spurious-minima",
        statement=f"with {k} teachers and students there are local minima that are not global: "
        "families proved",
        source=SAFRAN,
        statistic=cell_measures.minima_proved(cell_name(k, k)),
        threshold=1.0,
        sense="at least",
        figure=FAMILIES,
        hypothesis=cell_measures.at_least(cell_name(k, k), 6),
    )


def known_minimum(k: int, scan: str | None = None) -> Claim:
    """Descents find the minimum of five numbers."""
    return Claim(
        name=f"{scan or cell_name(k, k)}-known-minimum",
        statement=f"runs with {k} teachers and students end at the minimum of five numbers: "
        "difference of loss and weights of the nearest",
        source=FIVE_NUMBERS,
        statistic=cell_measures.reference_missed(scan or cell_name(k, k), k),
        threshold=EXACT,
        sense="at most",
        figure=FAMILIES,
        hypothesis=cell_measures.as_many(scan or cell_name(k, k), k),
    )


def has_a_pass(k: int) -> Claim:
    """The loss must rise on the way from the spurious minimum, as far as is known."""
    return Claim(
        name=f"k{k}-barrier",
        statement=f"with {k} teachers and students the lowest saddle found that links the spurious "
        "minimum with a global one lies above it: by this part of its loss",
        source=f"{SAFRAN}; the saddles by Newton's method",
        statistic=passes.relative_barrier(f"softest-{k}"),
        threshold=RISES,
        sense="at least",
        figure=LINES,
        hypothesis=passes.begins_at_minimum(f"softest-{k}"),
    )


def reached_in_plane(scan: str) -> Claim:
    """Descents from a plane through three minima end in the spurious one as well."""
    return Claim(
        name=f"{scan}-reached",
        statement="descents from a plane through the spurious minimum and two global ones end at "
        "the spurious one: share of them",
        source=f"{SAFRAN}; the plane by the minimum of five numbers",
        statistic=passes.share_at_spurious(scan),
        threshold=LEAST_SHARE,
        sense="at least",
        figure=f"{scan}:descents",
        hypothesis=passes.begins_at_minimum(scan),
    )


def on_torus() -> list[Claim]:
    """Two students of unit norm with two orthogonal teachers, and where these are not."""
    wide = "with teachers at 120°"
    return [
        *_minima("torus"),
        *_critical("torus"),
        *(one.as_control(one.name, wide) for one in _critical("torus-wide")),
        Claim(
            name="torus-none-missed",
            statement="minima less saddles and maxima of the torus: their sum with signs",
            source=f"{WU}; Morse 1925, Trans. AMS 27, 345",
            statistic=torus.characteristic("torus"),
            threshold=0.0,
            sense="at most",
            figure="torus",
            hypothesis=torus.nondegenerate("torus"),
        ),
    ]


def three_on_torus() -> list[Claim]:
    """The controls: with three teachers two students have spurious minima."""
    return [one.as_control(one.name, "with three teachers") for one in _minima("torus-three")]


def _critical(scan: str) -> list[Claim]:
    places = Claim(
        name=f"{scan}-places",
        statement="the critical points of the torus are those of the closed form: difference of "
        "their angles, in π",
        source=f"{WU}; derived from the closed form",
        statistic=torus.misplaced_critical(scan),
        threshold=EXACT,
        sense="at most",
        figure="torus",
        hypothesis=torus.orthogonal_pair(scan),
    )
    values = replace(
        places,
        name=f"{scan}-values",
        statement="at the critical points of the torus loss and eigenvalues are those of the "
        "closed form: difference in units of the last digit given",
        statistic=torus.misvalued_critical(scan),
        threshold=LAST_DIGIT,
    )
    return [places, values]


def _minima(scan: str) -> list[Claim]:
    count = Claim(
        name=f"{scan}-two-minima",
        statement="the torus of two students of unit norm has two minima: difference from that",
        source=WU,
        statistic=torus.miscounted_minima(scan, 2),
        threshold=0.0,
        sense="at most",
        figure=scan,
        hypothesis=torus.orthogonal_pair(scan),
    )
    worst = replace(
        count,
        name=f"{scan}-no-spurious-minimum",
        statement="no minimum on the torus is spurious: how far the highest is above the least "
        "loss there",
        statistic=torus.greatest_excess(scan),
        threshold=1e-12,
    )
    return [count, worst]


def closed_form() -> list[Claim]:
    """The closed form is the expectation; with the printed sign it is not."""
    expectation = Claim(
        name="closed-form-agrees",
        statement="the closed form is the mean over normal samples: root mean square difference in "
        "standard errors",
        source=f"{SAFRAN}; the arc-cosine kernel of degree 1, Cho & Saul 2009, NIPS 22",
        statistic=torus.standard_errors("torus-samples", torus.POPULATION),
        threshold=STANDARD_ERRORS,
        sense="at most",
        figure="torus",
        hypothesis=torus.zero_at_teacher("torus-samples", torus.POPULATION),
    )
    printed = replace(
        expectation,
        statement="the loss with sin θ − (π−θ) cos θ, as eq. (4) is printed, is the mean over "
        "normal samples: root mean square difference in standard errors",
        source=f"{WU}, eq. (4) as printed",
        statistic=torus.standard_errors("torus-samples", torus.PRINTED),
        hypothesis=torus.zero_at_teacher("torus-samples", torus.PRINTED),
    )
    return [expectation, printed.as_control("printed-sign-agrees")]


def one_student() -> list[Claim]:
    """One student of one teacher ends at it, where the Hessian is ½I."""
    reaches = Claim(
        name="single-reaches-teacher",
        statement="one student of one teacher ends at it from every start: share that does not",
        source=TIAN,
        statistic=torus.not_at_teacher("single"),
        threshold=0.0,
        sense="at most",
        figure="single",
        hypothesis=torus.one_student("single"),
    )
    half = replace(
        reaches,
        name="single-hessian",
        statement="there the Hessian is ½I: greatest difference of its eigenvalues",
        statistic=torus.not_half("single"),
        threshold=1e-6,
    )
    two = torus.one_student("single-two")
    return [
        reaches,
        half,
        replace(reaches, statistic=torus.not_at_teacher("single-two"), hypothesis=two).as_control(
            "two-students-reach-teacher", "with two students"
        ),
        replace(half, statistic=torus.not_half("single-two"), hypothesis=two).as_control(
            "two-students-hessian", "with two students"
        ),
    ]
