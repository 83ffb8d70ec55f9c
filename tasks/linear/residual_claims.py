"""What Theorems 2.1 and 2.2 claim of linear residual nets: hypotheses, thresholds, sources.

Hardt & Ma 2016, arXiv:1611.04231. The statistics are in `tasks.linear.residual_measures`; what is
claimed of gradients is in `tasks.linear.residual_inequality`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from schemas.study import Claim, Hypothesis
from tasks.facts import Trees, facts_of
from tasks.linear import residual_measures as measures
from tasks.linear.residual_parameters import LARGEST_NORM

PAPER = "Hardt & Ma 2016, arXiv:1611.04231"
THEOREM1 = f"{PAPER}, Theorem 2.1"
THEOREM2 = f"{PAPER}, Theorem 2.2"
ECKART = "Eckart & Young 1936, Psychometrika 1"

EXACT = 1e-20
"""Excess of an exact global minimum: the entries of E may be 1e-10, far above their rounding."""
CRITICAL = 1e-9
DECAY = -0.95
GLOBAL = 1e-10
SHARE_FOUND = 0.05
LEAST_INSIDE = 20


def construction(series: Sequence[Sequence[str]]) -> list[Claim]:
    """The explicit point of small norm is a global minimum.

    Each of the series is of scans whose origin it is, of the same R at rising depth.
    """
    scans = [scan for each in series for scan in each]
    return [
        Claim(
            name="construction-is-global",
            statement="the loss at the explicit point of small norm is C: greatest f − C, of all R "
            "and depths",
            source=THEOREM1,
            statistic=measures.greatest_at_origin(scans, "loss"),
            threshold=EXACT,
            sense="at most",
            figure="construction",
            hypothesis=_deep_enough(scans),
        ),
        Claim(
            name="construction-is-critical",
            statement="the gradient at the explicit point is zero: greatest norm",
            source=THEOREM1,
            statistic=measures.greatest_at_origin(scans, "gradient_norm"),
            threshold=CRITICAL,
            sense="at most",
            figure="construction",
            hypothesis=_deep_enough(scans),
        ),
        within_bound(scans, "conference"),
        within_bound(scans, "later"),
        norm_decays(series),
    ]


def norm_decays(series: Sequence[Sequence[str]], figure: str = "scaled-norms") -> Claim:
    """Max ‖A_i‖ of the explicit point falls with the depth."""
    return Claim(
        name="norm-decays-with-depth",
        statement="max ‖A_i‖ of the explicit point decays as 1/ℓ: greatest slope of its "
        "logarithm on that of ℓ",
        source=THEOREM1,
        statistic=measures.decay_exponent(series),
        threshold=DECAY,
        sense="at most",
        figure=figure,
        hypothesis=_deep_enough([scan for each in series for scan in each]),
    )


def growing_targets(scans: Sequence[str]) -> Claim:
    """The control of the decay: R = e^ℓ I, which asks as much of every layer at any depth."""
    return norm_decays([scans], scans[0]).as_control(
        "norm-of-growing-targets", "with R = e^ℓ I, whose γ = ℓ"
    )


def within_bound(scans: Sequence[str], version: str, figure: str = "norms") -> Claim:
    """Max ‖A_i‖ of the explicit point is within the bound of the `conference` or `later` text."""
    words = {
        "conference": "2(√π + √(3γ))²/ℓ, the bound of the conference text",
        "later": "(4π + 3γ)/ℓ, the bound of the later version",
    }
    return Claim(
        name=f"norm-within-{version}-bound",
        statement=f"max ‖A_i‖ of the explicit point is at most {words[version]}: greatest part of "
        "it",
        source=THEOREM1,
        statistic=measures.norm_over_bound(scans, f"bound_{version}"),
        threshold=1.0,
        sense="at most",
        figure=figure,
        hypothesis=_deep_enough(scans),
    )


def too_shallow(scan: str) -> Claim:
    """The control of the bounds: fewer layers than 3γ, where R needs greater norms of any layers.

    Since ‖R‖ ≤ Π(1 + ‖A_i‖), max ‖A_i‖ ≥ σ_max(R)^(1/ℓ) − 1.
    """
    claim = within_bound([scan], "conference", scan)
    return claim.as_control("too-shallow", "with fewer layers than 3γ")


def minimum_in_ball(scans: Sequence[str], figure: str) -> Claim:
    """There are global minima in the ball, if det R > 0 and R is near enough to I."""
    return Claim(
        name="minimum-in-ball",
        statement=f"there are global minima with max ‖A_i‖ ≤ {measures.INSIDE}: part of the starts "
        "from which Newton's method ends at one",
        source=THEOREM1,
        statistic=measures.share_global_inside(scans),
        threshold=SHARE_FOUND,
        sense="at least",
        figure=figure,
        hypothesis=_determinant(scans, 1),
    )


def determinant_margin(scans: Sequence[str], figure: str) -> Claim:
    """Where det R < 0, no point of the open ball comes near C.

    All ‖A_i‖ < 1 make det Π(I + A_i) > 0, and the nearest singular matrix is σ_min(RΣ^½) away.
    """
    return Claim(
        name="determinant-must-be-positive",
        statement="the singular matrices keep f − C ≥ σ_min(RΣ^½)² wherever max ‖A_i‖ < 1, for "
        "det Π(I + A_i) > 0 there: least (f − C)/σ_min(RΣ^½)²",
        source=f"{THEOREM1}, that det R > 0 is needed; {ECKART}",
        statistic=measures.excess_over_margin(scans),
        threshold=1.0,
        sense="at least",
        figure=figure,
        hypothesis=_determinant(scans, -1),
    )


def critical_in_ball(scans: Sequence[str], figure: str) -> Claim:
    """Theorem 2.2, on the critical points at which descents end."""

    def met(trees: Trees) -> bool:
        started = [measures.values_of(trees[scan], LARGEST_NORM) for scan in scans]
        inside = sum(int(measures.ends_of(trees[scan]).inside.sum()) for scan in scans)
        return all(bool((norms < 1).all()) for norms in started) and inside >= LEAST_INSIDE

    return Claim(
        name="critical-points-in-ball-are-global",
        statement=f"critical points with max ‖A_i‖ ≤ {measures.INSIDE} are global minima: greatest "
        "f − C of those at which descents end",
        source=THEOREM2,
        statistic=measures.greatest_excess(scans, lambda ends: ends.inside),
        threshold=GLOBAL,
        sense="at most",
        figure=figure,
        hypothesis=Hypothesis(
            f"all starts have max ‖A_i‖ < 1, and {LEAST_INSIDE} or more of the critical points "
            f"have max ‖A_i‖ ≤ {measures.INSIDE}",
            met,
        ),
    )


def critical_outside(scans: Sequence[str]) -> Claim:
    """The control of Theorem 2.2: the ends that left the ball."""

    def in_ball(trees: Trees) -> bool:
        found = (measures.ends_of(trees[scan]) for scan in scans)
        return not any(ends.outside.any() for ends in found)

    claim = Claim(
        name="critical-points-outside",
        statement="critical points with max ‖A_i‖ ≥ 1 are global minima as well: greatest f − C of "
        "those at which Newton's method ends",
        source=THEOREM2,
        statistic=measures.greatest_excess(scans, lambda ends: ends.outside),
        threshold=GLOBAL,
        sense="at most",
        figure="ends",
        hypothesis=Hypothesis("the critical points have max ‖A_i‖ < 1", in_ball),
    )
    return claim.as_control()


def boundary(scan: str) -> list[Claim]:
    """A_i = −I, with R = Σ = I, ℓ = 2 and d = 2: the ball of Theorem 2.2 must be open."""

    def gradient(trees: Trees) -> float:
        return float(measures.at_origin(trees[scan], "gradient_norm")[0])

    def excess(trees: Trees) -> float:
        return float(measures.at_origin(trees[scan], "loss")[0])

    def norm(trees: Trees) -> float:
        return float(measures.at_origin(trees[scan], LARGEST_NORM)[0])

    beyond = Claim(
        name="boundary-is-not-the-ball",
        statement="critical points with max ‖A_i‖ ≤ 1 are global minima: f − C at A_i = −I",
        source=THEOREM2,
        statistic=lambda trees: excess(trees) if gradient(trees) <= CRITICAL else None,
        threshold=GLOBAL,
        sense="at most",
        figure=scan,
        hypothesis=Hypothesis("max ‖A_i‖ < 1", lambda trees: norm(trees) < 1),
    )
    return [
        Claim(
            name="boundary-critical-point",
            statement="A_i = −I, with R = Σ = I, two layers and d = 2, is critical and f − C = 2 "
            "there: greatest deviation of ‖∇f‖ and f − C",
            source=f"{THEOREM2}, that τ < 1 is needed",
            statistic=lambda trees: max(gradient(trees), abs(excess(trees) - 2.0)),
            threshold=1e-12,
            sense="at most",
            figure=scan,
            hypothesis=Hypothesis(
                "max ‖A_i‖ = 1 there", lambda trees: abs(norm(trees) - 1) <= 1e-12
            ),
        ),
        beyond.as_control(),
    ]


def _all_facts(
    scans: Sequence[str], hold: Callable[[Mapping[str, Any]], bool]
) -> Callable[[Trees], bool]:
    return lambda trees: all(hold(facts) for scan in scans for facts in facts_of(trees[scan]))


def _deep_enough(scans: Sequence[str]) -> Hypothesis:
    return Hypothesis(
        "det R > 0 and ℓ ≥ 3γ",
        _all_facts(scans, lambda f: f["determinant"] > 0 and f["layers"] >= 3 * f["gamma"]),
    )


def _determinant(scans: Sequence[str], sign: int) -> Hypothesis:
    return Hypothesis(
        f"det R {'>' if sign > 0 else '<'} 0",
        _all_facts(scans, lambda facts: bool(facts["determinant"] * sign > 0)),
    )
