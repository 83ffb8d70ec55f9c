"""What is claimed of a ReLU neuron that learns another one from normal inputs.

Tian 2017, arXiv:1703.00560; the expectation is the arc-cosine kernel of Cho & Saul 2009. The
statistics are in `tasks.neuron.relu_measures`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from schemas.study import Claim
from tasks.neuron import relu_measures as measures
from tasks.neuron.claims import PLACES

PAPER = "Tian 2017, arXiv:1703.00560"
KERNEL = f"{PAPER}; the arc-cosine kernel of degree 1, Cho & Saul 2009, NIPS 22"

GRADIENT = 1e-12
RATE = 1e-9
FALLS = -0.02
SLOPE = 0.2
STANDARD_ERRORS = 3.0
ROOT_LAW = 0.1

_WIDE = 3 * math.pi / 4


def on_plane(scan: str) -> list[Claim]:
    """One minimum, Tian's gradient, and no other zero of it."""
    gradient = Claim(
        name=f"{scan}-gradient",
        statement="the gradient of the closed form is ½(w−v) + (θv − (‖v‖/‖w‖) sin θ w)/2π: "
        "greatest difference",
        source=PAPER,
        statistic=measures.wrong_gradient(scan, measures.POPULATION),
        threshold=GRADIENT,
        sense="at most",
        figure=scan,
        hypothesis=measures.is_population(scan, measures.POPULATION),
    )
    of_sample = replace(
        gradient,
        statement="the gradient of a sample's loss is that of the expectation: greatest difference",
        statistic=measures.wrong_gradient(scan, measures.SAMPLE),
        hypothesis=measures.is_population(scan, measures.SAMPLE),
    )
    return [
        Claim(
            name=f"{scan}-one-minimum",
            statement="in a plane through v the one local minimum is w = v: distance relative to "
            "‖v‖, infinite if there are others",
            source=PAPER,
            statistic=measures.misplaced_minimum(scan),
            threshold=PLACES,
            sense="at most",
            figure=scan,
            hypothesis=measures.several_inputs(scan),
        ),
        gradient,
        Claim(
            name=f"{scan}-no-other-critical-point",
            statement="the gradient vanishes at no other point but 0, where there is none: least "
            "‖∇L‖ / min(‖w‖, ‖w−v‖) on the grid",
            source=PAPER,
            statistic=measures.least_slope(scan),
            threshold=SLOPE,
            sense="at least",
            figure=scan,
            hypothesis=measures.several_inputs(scan),
        ),
        of_sample.as_control(f"{scan}-gradient-of-a-sample"),
    ]


def at_zero(scan: str) -> list[Claim]:
    """The loss has a kink at w = 0 and falls from there, but opposite v."""
    falls = Claim(
        name=f"{scan}-is-no-minimum",
        statement="from w = 0 the loss falls in every direction at up to 3π/4 from v: greatest "
        "rate of change",
        source=PAPER,
        statistic=measures.greatest_rate(scan, 0.0, _WIDE),
        threshold=FALLS,
        sense="at most",
        figure="kink",
        hypothesis=measures.not_opposite(scan, 0.0, _WIDE),
    )
    opposite = replace(
        falls,
        statement="from w = 0 the loss falls opposite v: rate of change",
        statistic=measures.greatest_rate(scan, math.pi, math.pi),
        hypothesis=measures.not_opposite(scan, math.pi, math.pi),
    )
    return [
        Claim(
            name=f"{scan}-directional-derivative",
            statement="at w = 0 the directional derivative at an angle θ to v is "
            "−‖v‖ (sin θ + (π−θ) cos θ)/2π, which is not linear in the direction: greatest "
            "difference",
            source=f"{PAPER}; derived from the closed form",
            statistic=measures.wrong_rate_from_zero(scan),
            threshold=RATE,
            sense="at most",
            figure="kink",
            hypothesis=measures.has_zero(scan),
        ),
        falls,
        opposite.as_control(f"{scan}-opposite-the-teacher"),
    ]


def descents_reach(scan: str, d: int) -> Claim:
    """Every descent ends at v."""
    return Claim(
        name=f"{scan}-reach-the-teacher",
        statement=f"descents from normal starts with {d} {'input' if d == 1 else 'inputs'} all end "
        "at v: part that does not",
        source=PAPER,
        statistic=measures.not_at_teacher(scan),
        threshold=0.0,
        sense="at most",
        figure=scan,
        hypothesis=measures.several_inputs(scan),
    )


def agrees_with_samples(scan: str, words: str) -> Claim:
    """The closed form is the expectation."""
    return Claim(
        name=f"{scan}-agrees",
        statement=f"the closed form is the mean over samples of {words} inputs: root mean square "
        "difference over the grid, in standard errors",
        source=KERNEL,
        statistic=measures.standard_errors(scan),
        threshold=STANDARD_ERRORS,
        sense="at most",
        figure=scan,
        hypothesis=measures.normal_inputs([scan]),
    )


def follows_root_law(scans: Sequence[str]) -> Claim:
    """What samples miss falls as one over the root of their size."""
    return Claim(
        name="sampling-error-falls-as-root",
        statement="what a sample misses of the closed form falls as N^−½: difference of the "
        "exponent from that",
        source=KERNEL,
        statistic=measures.off_the_root_law(scans),
        threshold=ROOT_LAW,
        sense="at most",
        figure="sampling",
        hypothesis=measures.normal_inputs(scans),
    )
