"""What is claimed of equal units and of random features, on as many units as samples.

The statistics are in `yu_chen_measures`. A control is the same claim where its hypothesis is
broken. Thresholds: 10⁻¹² and 10⁻¹⁰ are for rounding, of losses near 10³ and Hessians near 10²;
small trials had been seen when they were set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from schemas.study import Claim, Figure, Outcome
from tasks.wide import yu_chen_measures as measures
from tasks.wide.yu_chen_scans import MIDDLE, near

YU = 'Yu & Chen 1995, "On the local minima free condition of backpropagation learning"'
DING = "Ding, Li & Sun 2019, arXiv:1911.01413; the construction is ours"
WAY = "trap-across"
"""The figure of the way from the local minimum to a global one."""

ROUNDING = 1e-12
CURVATURE = -1e-10
SOLVED = 1e-12
SAME_END = 1e-9


def yu_chen_claims(widths: Sequence[int]) -> list[Claim]:
    """Every claim on the scans of `yu_chen_scans` with these widths."""
    return [
        *(as_printed(width) for width in widths),
        *_proofs(widths),
        *_critical_point(widths),
        *_perturbed(widths),
        *_flatness(widths),
        *_random_features(widths),
    ]


def yu_chen_figures(widths: Sequence[int]) -> dict[str, Figure]:
    """The way across, for each width."""
    lines = [measures.way(f"across-{width}", f"{width} units") for width in widths]
    return {
        WAY: Figure(
            "From the local minimum of equal units straight to a global one",
            "0 is a local minimum, proved to be one, and 1 a point with a loss of 0. From 0 the "
            "loss first rises, if only by a little.",
            "t",
            "loss, relative to that of the local minimum",
            lambda scans: [line(scans) for line in lines],
        )
    }


def as_printed(width: int) -> Claim:
    """The claim, which a local minimum that is not global refutes."""
    scan = f"trap-{width}"
    return Claim(
        name=f"no-bad-minimum-{width}",
        statement=f"{width} sigmoid units on {width} distinct samples: every local minimum is "
        "global (as printed; refuted): how far one is above the global minimum, proved in ball "
        "arithmetic",
        source=YU,
        statistic=measures.false_minimum(scan),
        threshold=0.0,
        sense="at most",
        expected=Outcome.REFUTED,
        figure=WAY,
        hypothesis=measures.wide_and_distinct(scan),
    )


def _proofs(widths: Sequence[int]) -> list[Claim]:
    def proved(data: str) -> Claim:
        scans = [f"{data}-{width}" for width in widths]
        return Claim(
            name="minimum-proved",
            statement="equal units are proved to be a local minimum that is not global: share of "
            "the widths",
            source=DING,
            statistic=measures.share_proved(*scans),
            threshold=1.0,
            sense="at least",
            figure=WAY,
            hypothesis=measures.made_as_minima(*scans),
        )

    def nearby(data: str) -> Claim:
        scan = f"{data}-{MIDDLE}"
        return replace(
            proved(data),
            name="minimum-proved-nearby",
            statement=f"with {MIDDLE} units and targets changed at random, by 10⁻⁵ of each, there "
            "is such a minimum as well: share of such targets",
            statistic=measures.share_of_targets(scan),
            hypothesis=measures.made_as_minima(scan),
        )

    return [
        proved("trap"),
        proved("saddle").as_control("saddle-proved", "with residuals of the other sign"),
        nearby("trap"),
        nearby("saddle").as_control("saddle-proved-nearby", "with residuals of the other sign"),
    ]


def _critical_point(widths: Sequence[int]) -> list[Claim]:
    scans, saddles = ([f"{data}-{width}" for width in widths] for data in ("trap", "saddle"))
    slope = Claim(
        name="minimum-is-critical",
        statement="equal units are a critical point, however their output weights are shared out: "
        "greatest norm of the gradient",
        source=DING,
        statistic=measures.greatest_gradient(*scans),
        threshold=ROUNDING,
        sense="at most",
        figure=scans[0],
        hypothesis=measures.exchanged(*scans),
    )
    bend = replace(
        slope,
        name="minimum-is-convex",
        statement="the Hessian of the loss there has no negative eigenvalue: the least one",
        statistic=measures.least_eigenvalue(*scans),
        threshold=CURVATURE,
        sense="at least",
        hypothesis=measures.made_as_minima(*scans),
    )
    return [
        slope,
        replace(
            slope,
            statistic=measures.greatest_gradient("random"),
            hypothesis=measures.exchanged("random"),
        ).as_control("elsewhere-is-critical", "along a random direction"),
        bend,
        replace(
            bend,
            statistic=measures.least_eigenvalue(*saddles),
            hypothesis=measures.made_as_minima(*saddles),
        ).as_control("saddle-is-convex", "with residuals of the other sign"),
    ]


def _perturbed(widths: Sequence[int]) -> list[Claim]:
    scans = [name for width in widths for name in near("trap", width)]
    saddles = near("saddle", MIDDLE)
    ends, others = [f"trap-{width}-ends" for width in widths], f"saddle-{MIDDLE}-ends"
    rise = Claim(
        name="perturbed-is-higher",
        statement="no random perturbation of equal units, of 0.0001 or 0.01, lowers the loss: "
        "least change of it, relative to it",
        source=DING,
        statistic=measures.least_rise(*scans),
        threshold=-ROUNDING,
        sense="at least",
        figure=near("trap", MIDDLE)[0],
        hypothesis=measures.made_as_minima(*scans),
    )
    back = replace(
        rise,
        name="descents-come-back",
        statement="descents from perturbations of 0.01 end with the loss of equal units: greatest "
        "difference, relative to it",
        statistic=measures.ends_apart(*ends),
        threshold=SAME_END,
        sense="at most",
        figure=f"trap-{MIDDLE}-ends",
        hypothesis=measures.made_as_minima(*ends),
    )
    return [
        rise,
        replace(
            rise,
            statistic=measures.least_rise(*saddles),
            hypothesis=measures.made_as_minima(*saddles),
        ).as_control("saddle-perturbed-is-higher", "with residuals of the other sign"),
        back,
        replace(
            back,
            statistic=measures.ends_apart(others),
            hypothesis=measures.made_as_minima(others),
        ).as_control("saddle-descents-come-back", "with residuals of the other sign"),
    ]


def _flatness(widths: Sequence[int]) -> list[Claim]:
    scans = [f"trap-{width}" for width in widths]
    flat = Claim(
        name="minimum-is-not-strict",
        statement="the local minimum is not strict, thus none of those that Theorem 3.4 of "
        "Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749, excludes: greatest change of the loss, "
        "relative to it, where one output weight grows as another falls",
        source=DING,
        statistic=measures.greatest_change(*scans),
        threshold=ROUNDING,
        sense="at most",
        figure=scans[0],
        hypothesis=measures.exchanged(*scans),
    )
    rank = replace(
        flat,
        name="minimum-is-degenerate",
        statement="the features of equal units are of rank 1, so that Nguyen & Hein's condition is "
        "not met (2017, arXiv:1704.08045): greatest rank",
        statistic=measures.greatest_rank(*scans),
        threshold=1.0,
        hypothesis=measures.of_equal_units(*scans),
    )
    return [
        flat,
        replace(
            flat,
            statistic=measures.greatest_change("random"),
            hypothesis=measures.exchanged("random"),
        ).as_control("elsewhere-is-not-strict", "along a random direction"),
        rank,
        replace(
            rank,
            statistic=measures.greatest_rank("features-repeated"),
            hypothesis=measures.of_equal_units("features-repeated"),
        ).as_control("elsewhere-is-degenerate", "at a random start"),
    ]


def _random_features(widths: Sequence[int]) -> list[Claim]:
    def reached(*scans: str) -> Claim:
        return Claim(
            name="zero-is-reached",
            statement="random hidden weights and the best output weights fit every target: "
            "greatest loss, relative to that of outputs of 0",
            source="N random features of N samples are independent almost surely: Nguyen, "
            "Mukkamala & Hein 2018, arXiv:1809.10749, Lemma 3.2",
            statistic=measures.greatest_unsolved(*scans),
            threshold=SOLVED,
            sense="at most",
            figure=scans[0],
            hypothesis=measures.wide_and_distinct(*scans),
        )

    return [
        reached(*(f"features-{width}" for width in widths)),
        reached("features-narrow").as_control("narrow-reaches-zero", "with one unit fewer"),
        reached("features-repeated").as_control("repeated-reaches-zero", "with a repeated input"),
    ]
