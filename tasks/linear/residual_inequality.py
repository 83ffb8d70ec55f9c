"""What is claimed of gradients of linear residual nets: inequality (2.3), printed and corrected.

Hardt & Ma 2016, arXiv:1611.04231, print ‖∇f‖²_F ≥ 4ℓ(1 − τ)^(ℓ−1) σ_min(Σ)² (f − C) for
max ‖A_i‖ ≤ τ < 1, which two points refute. What their proof gives holds and is tight:
‖∇f‖²_F ≥ 4ℓ(1 − τ)^(2ℓ−2) σ_min(Σ) (f − C).
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.layout import END_PARAMETERS
from schemas.scan import ScanSpec
from schemas.study import Claim, Hypothesis, Outcome
from tasks.facts import Trees, facts_of
from tasks.linear import residual_measures as measures
from tasks.linear.residual_claims import PAPER, critical_in_ball
from tasks.linear.residual_parameters import EXCESS, LARGEST_NORM

INEQUALITY = f"{PAPER}, inequality (2.3)"
RATIO = 1 - 1e-9
TIGHT = 1e-9
DIGITS = 5e-7
COUNTEREXAMPLES = {
    "printed-deep": (0.574219, 2.296875),
    "printed-shallow": (64.0, 256.0),
}
"""Both sides of the printed inequality at the origins of two scans."""


def printed() -> list[Claim]:
    """Inequality (2.3) as printed, and its counterexamples to their digits."""
    scans = list(COUNTEREXAMPLES)
    return [
        Claim(
            name="printed-inequality",
            statement="‖∇f‖²_F ≥ 4ℓ(1 − τ)^(ℓ−1) σ_min(Σ)² (f − C), as printed: least ratio of the "
            "sides on lines through two points. They are 0.574219 and 2.296875 at ℓ = 3, d = 1, "
            "A_i = −1/2, R = Σ = 1, and 64 and 256 at ℓ = 1, d = 1, A = 0, R = 2, Σ = 4",
            source=INEQUALITY,
            statistic=measures.least_ratio(scans, measures.printed_constant),
            threshold=RATIO,
            sense="at least",
            expected=Outcome.REFUTED,
            figure="printed",
            hypothesis=_in_ball(scans),
        ),
        Claim(
            name="printed-counterexamples",
            statement="the sides of the printed inequality are 0.574219 and 2.296875 at the first "
            "counterexample and 64 and 256 at the second: greatest deviation",
            source=INEQUALITY,
            statistic=measures.deviation_of_sides(COUNTEREXAMPLES, measures.printed_constant),
            threshold=DIGITS,
            sense="at most",
            figure="printed",
            hypothesis=_in_ball(scans),
        ),
    ]


def corrected(scans: Sequence[str], line: str) -> list[Claim]:
    """The corrected inequality at random points of the ball and on the line where it is tight."""
    stronger = Claim(
        name="stronger-inequality",
        statement="‖∇f‖²_F ≥ 4ℓ(1 − τ)^(ℓ−1) σ_min(Σ) (f − C), with half of the exponent: least "
        "ratio of the sides",
        source=f"{INEQUALITY}, corrected but for the exponent",
        statistic=measures.least_ratio(scans, measures.stronger_constant),
        threshold=RATIO,
        sense="at least",
        figure="stronger",
        hypothesis=Hypothesis(
            "the factor of f − C is no greater than in the corrected inequality",
            lambda trees: all(_no_greater(trees, scan) for scan in scans),
        ),
    )
    return [
        corrected_inequality(scans, "corrected"),
        Claim(
            name="corrected-inequality-is-tight",
            statement="the sides of the corrected inequality are equal at A_i = αI, −1 < α < 0, "
            "where R = Σ = I: greatest |ratio − 1|",
            source=f"{INEQUALITY}, corrected",
            statistic=measures.distance_from_one(line, measures.corrected_constant),
            threshold=TIGHT,
            sense="at most",
            figure="corrected",
            hypothesis=_in_ball([line]),
        ),
        stronger.as_control(),
    ]


def corrected_inequality(scans: Sequence[str], figure: str) -> Claim:
    """The corrected inequality at the points of scans."""
    return Claim(
        name="corrected-inequality",
        statement="‖∇f‖²_F ≥ 4ℓ(1 − τ)^(2ℓ−2) σ_min(Σ) (f − C) with τ = max ‖A_i‖ < 1: least "
        "ratio of the sides",
        source=f"{INEQUALITY}, corrected",
        statistic=measures.least_ratio(scans, measures.corrected_constant),
        threshold=RATIO,
        sense="at least",
        figure=figure,
        hypothesis=_in_ball(scans),
    )


def claims_on(spec: ScanSpec) -> tuple[Claim, ...]:
    """What one scan of the task decides on the split `excess`.

    The corrected inequality, where gradients are measured; Theorem 2.2, where descents kept the
    parameters at which they end.
    """
    found: list[Claim] = []
    if EXCESS in spec.splits and "gradient_norm" in spec.metrics:
        found.append(corrected_inequality(["scan"], "scan"))
    if EXCESS in spec.splits and END_PARAMETERS in spec.measured:
        found.append(critical_in_ball(["scan"], "scan"))
    return tuple(found)


def _in_ball(scans: Sequence[str]) -> Hypothesis:
    def met(trees: Trees) -> bool:
        return all(
            bool((measures.values_of(trees[scan], LARGEST_NORM) < 1).any())
            and all(f["covariance_eigenvalue_min"] > 0 for f in facts_of(trees[scan]))
            for scan in scans
        )

    return Hypothesis(
        "max ‖A_i‖ < 1 at points of every scan, which alone are judged; Σ is positive definite", met
    )


def _no_greater(trees: Trees, scan: str) -> bool:
    """Whether the stronger constant is nowhere greater than the corrected one."""
    norms = measures.values_of(trees[scan], LARGEST_NORM)
    return all(
        bool(
            (
                measures.stronger_constant(facts, tau) <= measures.corrected_constant(facts, tau)
            ).all()
        )
        for facts, tau in zip(facts_of(trees[scan]), norms, strict=True)
    )
