"""What is claimed of networks with skip units: paths, the lemmas, derivatives, planes.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749. The statistics are in `measures`; a control is the
same claim where its hypothesis is broken.
"""

from __future__ import annotations

from dataclasses import replace

from schemas.study import Claim, Outcome
from tasks.skips import measures, scans

PAPER = "Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749"
THEOREM = f"{PAPER}, Theorem 3.4"
LEMMA_ERROR = f"{PAPER}, Lemma 2.1"
LEMMA_RANK = f"{PAPER}, Lemma 3.2"
FIGURE = f"{PAPER}, Figure 3"

PATHS, FALLING, ENDS = "paths", "falling", "ends"
"""Tables and figures of the study."""

ROUNDING = 1e-9
SEVERAL = 3.0
"""Times log 2/N: an image with two labels is then a loss that is small, and an error."""
_CURVED = 1e-12


def path_claims() -> list[Claim]:
    """Theorem 3.4 (2): from anywhere the loss falls, without rising, to any ε."""
    paths = scans.skip_paths()
    every = (*paths, scans.PATH_LOOSE, scans.PATH_TIGHT)
    rises = Claim(
        name="never-rises",
        statement="along the path of Theorem 3.4, from normal starts, equal units and zero, the "
        "loss never rises: greatest rise between two points relative to 1 + loss",
        source=THEOREM,
        statistic=measures.greatest_rise(*every),
        threshold=ROUNDING,
        sense="at most",
        figure=FALLING,
        hypothesis=measures.assumption_met(*every),
    )
    line = replace(
        rises,
        statistic=measures.greatest_rise(scans.LINE_PLAIN),
        hypothesis=measures.assumption_met(scans.LINE_PLAIN),
    )
    ends = _ends("ends-at-epsilon", scans.EPSILON, *paths)
    return [
        rises,
        line.as_control(
            "straight-line-rises", "without skip units, straight to a trained solution instead"
        ),
        ends,
        _ends("ends-at-loose-epsilon", scans.LOOSE, scans.PATH_LOOSE),
        _ends("ends-at-tight-epsilon", scans.TIGHT, scans.PATH_TIGHT),
        _ends("plain-ends", scans.EPSILON, scans.PATH_PLAIN).as_control(
            "plain-ends", "without skip units, from the same starts"
        ),
        _ends("repeated-ends", scans.EPSILON, scans.PATH_REPEATED).as_control(
            "repeated-ends", "with an image that has two labels"
        ),
    ]


def _ends(name: str, epsilon: float, *paths: str) -> Claim:
    return Claim(
        name=name,
        statement=f"every path ends at a loss of at most ε = {epsilon:g}: greatest loss at an end",
        source=THEOREM,
        statistic=measures.greatest_end(*paths),
        threshold=epsilon,
        sense="at most",
        figure=PATHS,
        hypothesis=measures.assumption_met(*paths),
    )


def lemma_claims() -> list[Claim]:
    """Lemmas 2.1 and 3.2."""
    below = Claim(
        name="no-error-below",
        statement="wherever the loss is below log 2/N every sample is classified right: points "
        "where one is not, of all scans",
        source=LEMMA_ERROR,
        statistic=measures.wrong_below(scans.with_accuracy(), 1.0),
        threshold=0.0,
        sense="at most",
        figure=FALLING,
        hypothesis=measures.by_lemma(scans.with_accuracy(), 1.0),
    )
    above = replace(
        below,
        statistic=measures.wrong_below(scans.with_accuracy(), SEVERAL),
        hypothesis=measures.by_lemma(scans.with_accuracy(), SEVERAL),
    )
    accuracy = Claim(
        name="no-error-at-end",
        statement="at the end of every path all samples are classified right: least accuracy",
        source=LEMMA_ERROR,
        statistic=measures.least_accuracy(*scans.skip_paths()),
        threshold=1.0,
        sense="at least",
        figure=PATHS,
        hypothesis=measures.assumption_met(*scans.skip_paths()),
    )
    repeated = replace(
        accuracy,
        statistic=measures.least_accuracy(scans.PATH_REPEATED),
        hypothesis=measures.assumption_met(scans.PATH_REPEATED),
    )
    return [
        below,
        above.as_control("error-below-several", f"with {SEVERAL:g} log 2/N instead"),
        accuracy,
        repeated.as_control("repeated-error", "with an image that has two labels"),
        _rank("random-full-rank", "at normal random U", *scans.NORMAL.values()),
        _rank("proof-full-rank", "at the U of the proof", *scans.PROOF.values()),
        _rank("repeated-full-rank", "at normal random U", scans.PATH_REPEATED).as_control(
            "repeated-full-rank", "with an image that has two labels"
        ),
    ]


def _rank(name: str, where: str, *found: str) -> Claim:
    return Claim(
        name=name,
        statement=f"{where} the features of the skip units have rank N: least rank over N, with "
        "singular values up to rounding taken for zero",
        source=LEMMA_RANK,
        statistic=measures.least_rank(*found),
        threshold=1.0,
        sense="at least",
        figure=PATHS,
        hypothesis=measures.assumption_met(*found),
    )


def derivative_claims() -> list[Claim]:
    """Theorem 3.4 (4), and the Hessian of its proof."""
    closed = Claim(
        name="output-hessian",
        statement="the second derivative along V is (1/N) Σ Var_p(ψᵀD): greatest difference from "
        "automatic differentiation",
        source=f"{THEOREM}; its Hessian, with the factor 1/N",
        statistic=measures.curvature_error(scans.OUTPUT_PLANE, per_sample=True),
        threshold=ROUNDING,
        sense="at most",
        figure=scans.OUTPUT_PLANE,
        hypothesis=measures.moves("output", scans.OUTPUT_PLANE),
    )
    printed = replace(
        closed,
        name="output-hessian-as-printed",
        statement="the second derivative along V is Σ Var_p(ψᵀD), as printed, without the factor "
        "1/N: greatest difference from automatic differentiation",
        source=f"{THEOREM}, its proof as printed",
        statistic=measures.curvature_error(scans.OUTPUT_PLANE, per_sample=False),
        expected=Outcome.REFUTED,
    )
    return [closed, printed, *_of_plane(scans.OUTPUT_PLANE), *_hidden_plane()]


def _of_plane(scan: str) -> list[Claim]:
    convex = Claim(
        name="convex-in-output",
        statement="in V the loss is convex: least eigenvalue of the second derivatives in a plane, "
        "relative to the greatest",
        source=THEOREM,
        statistic=measures.least_eigenvalue(scan),
        threshold=-_CURVED,
        sense="at least",
        figure=scan,
        hypothesis=measures.moves("output", scan),
    )
    highest = replace(
        convex,
        name="no-maximum",
        statement="no point is a local maximum, as the loss curves upwards along V: least over the "
        "points of a plane of the greatest curvature",
        statistic=measures.least_curvature(scan),
        threshold=_CURVED,
    )
    return [convex, highest]


def _hidden_plane() -> list[Claim]:
    return [
        claim.as_control(f"{claim.name}-hidden", "with U moved instead")
        for claim in _of_plane(scans.HIDDEN_PLANE)
    ]


def surface_claims(near: bool) -> list[Claim]:
    """Figure 3: planes with skip units and without, those `near` a start if there are any."""
    planes = [scans.surface_name(each, True) for each in scans.ACTIVATIONS]
    none = Claim(
        name="no-bad-valley",
        statement="in random planes of a network with skip units no point lies in a bad valley: "
        "part of the points from which the plane's least loss cannot be reached without climbing",
        source=FIGURE,
        statistic=measures.in_bad_valleys(*planes),
        threshold=0.0,
        sense="at most",
        figure=f"surfaces-{scans.SIGMOID}",
        hypothesis=measures.moves("random", *planes),
    )
    hidden = replace(
        none,
        statistic=measures.in_bad_valleys(scans.HIDDEN_SKIPS),
        figure="surfaces-hidden",
        hypothesis=measures.moves("random", scans.HIDDEN_SKIPS),
    )
    return [
        *(
            _fewer(
                f"{each}-valleys",
                scans.surface_name(each, True),
                scans.surface_name(each, False),
                f"surfaces-{each}",
            )
            for each in scans.ACTIVATIONS
        ),
        *([_near()] if near else []),
        _fewer(
            "hidden-valleys",
            scans.HIDDEN_SKIPS,
            scans.surface_name(scans.SIGMOID, False),
            "surfaces-hidden",
        ).as_control("hidden-valleys", "with U moved and V held fast, beside a plane of all"),
        none,
        hidden.as_control("bad-valley-hidden", "with U moved and V held fast"),
    ]


def _near() -> Claim:
    """What was found and not foreseen: a section may show valleys that its space has not."""
    claim = _fewer("near-valleys", scans.NEAR_SKIPS, scans.NEAR_PLAIN, "surfaces-near")
    statement = f"{claim.statement} (near a random start, where it was seen not to be so)"
    return replace(claim, statement=statement, expected=Outcome.REFUTED)


def _fewer(name: str, first: str, second: str, figure: str) -> Claim:
    return Claim(
        name=name,
        statement="with skip units no more of the plane lies in bad valleys than without: "
        "difference of the parts",
        source=FIGURE,
        statistic=measures.more_bad(first, second),
        threshold=0.0,
        sense="at most",
        figure=figure,
        hypothesis=measures.skips_and_plain(first, second),
    )
