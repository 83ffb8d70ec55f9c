"""What is claimed of critical points of networks with a wide layer.

The statistics are in `nguyen_hein_measures`. A control is the same claim where one of its
conditions is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from schemas.study import Claim
from tasks.wide import nguyen_hein_measures as measures
from tasks.wide.conditions import NONSINGULAR, STEP, THEOREM, Condition
from tasks.wide.yu_chen_claims import as_printed
from tasks.wide.yu_chen_measures import wide_and_distinct
from tasks.wide.yu_chen_scans import MIDDLE

THEOREM_OF = "Nguyen & Hein 2017, arXiv:1704.08045, Theorem 3.8"
STEP_OF = "Nguyen & Hein 2017, arXiv:1704.08045, a step of the proof of Theorem 3.8"
REMARK_ON = f"{THEOREM_OF}; the remark is ours"

CURVATURE, CONDITIONS = "curvature", "conditions"
"""Figure and table of the study."""
_SINGULAR = 1e-12
"""Of what is singular by construction, least |eigenvalue| relative to the greatest."""


def narrow_has_none(words: str, scan: str) -> Claim:
    """The control of Yu & Chen's claim: with fewer units descents do end in bad minima."""
    return replace(
        as_printed(MIDDLE),
        statement=f"{words} on more distinct samples: every local minimum is global: greatest loss "
        "of those at which descents end, above the least",
        statistic=measures.greatest_minimum(scan),
        threshold=measures.GLOBAL,
        figure=scan,
        hypothesis=wide_and_distinct(scan),
    ).as_control("no-bad-minimum-narrow")


def condition_suffices(name: str, words: str, scans: Sequence[str]) -> Claim:
    """Critical points that meet the theorem's condition are global minima."""
    return Claim(
        name=name,
        statement=f"{words}: critical points that meet the condition for some layer are global: "
        "greatest loss",
        source=THEOREM_OF,
        statistic=measures.greatest_loss(THEOREM, *scans),
        threshold=measures.GLOBAL,
        sense="at most",
        figure=CURVATURE,
        hypothesis=measures.enough(THEOREM, *scans),
    )


def full_rank_suffices(name: str, words: str, scans: Sequence[str]) -> Claim:
    """Critical points with features of full rank are global minima, however wide the layer is."""
    return Claim(
        name=name,
        statement=f"{words}: critical points with features of full rank in some layer, and weights "
        "of full column rank from the second layer above it on, are global: greatest loss",
        source=STEP_OF,
        statistic=measures.greatest_loss(STEP, *scans),
        threshold=measures.GLOBAL,
        sense="at most",
        figure=CONDITIONS,
        hypothesis=measures.enough(STEP, *scans, asked=STEP),
    )


def left_out(
    claim: Claim, name: str, words: str, kept: Collection[Condition], scans: Sequence[str]
) -> Claim:
    """The control: critical points that meet only these conditions."""
    asked = STEP if claim.source == STEP_OF else THEOREM
    return replace(
        claim,
        statement=f"{claim.statement}; {words}",
        statistic=measures.greatest_loss(kept, *scans),
        hypothesis=measures.enough(kept, *scans, asked=asked),
    ).as_control(name)


def wider_is_singular(name: str, words: str, layer: int, scans: Sequence[str]) -> Claim:
    """A layer with more units than the theorem asks for never meets its condition."""
    return Claim(
        name=name,
        statement=f"{words}: the Hessian by the layers above is singular wherever a descent ends: "
        "greatest ratio of its least |eigenvalue| to its greatest",
        source=REMARK_ON,
        statistic=measures.greatest_curvature(layer, *scans),
        threshold=_SINGULAR,
        sense="at most",
        figure=CURVATURE,
        hypothesis=measures.is_wider(layer, *scans),
    )


def lower_is_singular(name: str, words: str, layer: int, scans: Sequence[str]) -> Claim:
    """A wide layer with a hidden one above it never meets the condition at a critical point."""
    return Claim(
        name=name,
        statement=f"{words}: the Hessian by the layers above is singular at every critical point: "
        "greatest ratio of its least |eigenvalue| to its greatest",
        source=REMARK_ON,
        statistic=measures.greatest_curvature(layer, *scans, critical=True),
        threshold=NONSINGULAR,
        sense="at most",
        figure=CURVATURE,
        hypothesis=measures.is_below(layer, *scans),
    )
