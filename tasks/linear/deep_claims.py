"""What is claimed of deep linear networks: statements, sources, hypotheses and thresholds.

The statistics are in `tasks.linear.deep_measures`. A control is the same claim where its
hypothesis is broken.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from schemas.study import Claim, Hypothesis
from tasks.linear import deep_measures as measures
from tasks.linear.deep_measures import Facts

KAWAGUCHI = "Kawaguchi 2016, arXiv:1605.07110, Theorem 2.3"
BAD_SADDLE = "Kawaguchi 2016, arXiv:1605.07110, Corollary 2.4"
SADDLES = "Kawaguchi 2016, arXiv:1605.07110, Theorem 2.3 (iii), (iv)"
LAURENT = "Laurent & von Brecht 2018, arXiv:1712.01473, Theorem 1"
VALUES = (
    "Baldi & Hornik 1989, Neural Networks 2, 53, for two layers; Achour, Malgouyres & "
    "Gerchinovitz 2021, arXiv:2107.13289, for any number"
)
YUN = "Yun, Sra & Jadbabaie 2018, arXiv:1707.02444, Theorem 4 and Corollary 5"

ENDS, FLATNESS, CURVATURE, CRITICAL = "ends", "flatness", "curvature", "critical-points"
"""Figures of the study."""

EIGENVALUE = 1e-10
VALUE = 1e-9
ORDER = 1e-3
_DISTINCT_DATA = (
    "linear, XXᵀ and XYᵀ of full rank, d_y ≤ d_x, eigenvalues of YXᵀ(XXᵀ)⁻¹XYᵀ distinct"
)
DISTINCT = 1e-6
"""Least difference of two eigenvalues, relative to the greatest, to count as distinct."""


def no_spurious_minima(name: str, words: str, *scans: str, deficient: bool | None = False) -> Claim:
    """All descents end at the global value where no layer is a bottleneck.

    The data must be rank-deficient, of full rank, or, if None, may be either.
    """
    data = {True: ", the data rank-deficient", False: ", the data of full rank", None: ""}

    def fits(facts: Facts) -> bool:
        return _linear(facts) and _wide(facts) and _full_rank(facts) is not deficient

    return Claim(
        name=name,
        statement=f"{words}, every descent that converges ends at the global minimum: share of "
        "them",
        source=LAURENT,
        statistic=measures.share_at_global(*scans),
        threshold=1.0,
        sense="at least",
        figure=ENDS,
        hypothesis=Hypothesis(
            f"linear, no hidden layer narrower than both input and output{data[deficient]}",
            measures.every(scans, fits),
        ),
    )


def bottleneck_reaches_its_own(*scans: str) -> Claim:
    """With a narrow layer all descents end at the value of reduced-rank regression."""

    def fits(facts: Facts) -> bool:
        return _linear(facts) and _full_rank(facts) and _distinct(facts)

    return Claim(
        name="narrow-global",
        statement="with a hidden layer narrower than the data's rank, every descent that converges "
        "ends at the minimum of reduced-rank regression: share of them",
        source=KAWAGUCHI,
        statistic=measures.share_at_global(*scans),
        threshold=1.0,
        sense="at least",
        figure=ENDS,
        hypothesis=Hypothesis(_DISTINCT_DATA, measures.every(scans, fits)),
    )


def bottleneck_reaches_regression(scan: str) -> Claim:
    """Control: with a narrow layer no descent reaches the least loss of maps of any rank."""
    return Claim(
        name="narrow-regression",
        statement="with a hidden layer narrower than the data's rank, every descent reaches "
        "the least squares of maps of any rank: share of them",
        source=LAURENT,
        statistic=measures.share_at_regression(scan),
        threshold=1.0,
        sense="at least",
        figure=ENDS,
        hypothesis=Hypothesis(
            "no hidden layer narrower than the data's rank",
            measures.every((scan,), lambda facts: min(facts["widths"]) >= facts["data_rank"]),
        ),
    ).as_control()


def relu_has_spurious_minima(scan: str) -> Claim:
    """Control: with one ReLU inserted descents end at different values."""
    claim = no_spurious_minima("relu-global", "with one ReLU inserted", scan)
    return replace(
        claim,
        statement="with one ReLU inserted, every descent that converges ends at the least loss "
        "that any of them reaches: share of them",
    ).as_control()


def vanishes_at_zero(name: str, where: str, *scans: str, control: bool = False) -> Claim:
    """With three layers or more the gradient and the Hessian are zero at zero weights."""
    claim = Claim(
        name=name,
        statement=f"at zero weights of {where} gradient and Hessian vanish exactly: the greatest "
        "of the gradient's norm and the Hessian's |eigenvalues|",
        source=BAD_SADDLE,
        statistic=measures.derivatives_at_origin(*scans),
        threshold=0.0,
        sense="at most",
        figure=CURVATURE,
        hypothesis=Hypothesis("three layers or more, through zero", _through_zero(scans, 3)),
    )
    return claim.as_control() if control else claim


def falls_from_zero(name: str, where: str, *scans: str, control: bool = False) -> Claim:
    """Zero weights are no minimum: the loss falls from there, however near."""
    claim = Claim(
        name=name,
        statement=f"from {where} the loss falls however near, so that there is no minimum: share "
        f"of the points up to {measures.FITTED:g} on lines from there at which it is lower",
        source=BAD_SADDLE,
        statistic=measures.share_below_origin(*scans),
        threshold=1.0,
        sense="at least",
        figure=FLATNESS,
        hypothesis=_generic(scans),
    )
    return claim.as_control() if control else claim


def strict_saddle_at_zero(name: str, where: str, scan: str, *, control: bool = False) -> Claim:
    """With two layers zero weights are a strict saddle, its curvature known."""

    def fits(facts: Facts) -> bool:
        return _linear(facts) and facts["depth"] == 2 and facts["origin"] == "zero"

    claim = Claim(
        name=name,
        statement=f"at zero weights of {where} the Hessian's least eigenvalue is −2σ_max(XYᵀ): "
        "relative error",
        source="Kawaguchi 2016, arXiv:1605.07110, Theorem 2.3 (iv); the value by differentiation",
        statistic=measures.least_eigenvalue_error(scan),
        threshold=EIGENVALUE,
        sense="at most",
        figure=CURVATURE,
        hypothesis=Hypothesis("linear, two layers, zero", measures.every((scan,), fits)),
    )
    return claim.as_control() if control else claim


def flat_to_depth(name: str, where: str, *scans: str, control: bool = False) -> Claim:
    """Along a generic line through zero weights the loss is flat to the order of the depth."""
    claim = Claim(
        name=name,
        statement=f"along random lines through {where} |L(t) − L(0)| grows as t^H, H being the "
        "number of layers: greatest error of the fitted exponent",
        source=f"{BAD_SADDLE}: L(t) − L(0) = −2t^H⟨Y, PX⟩ + t^2H‖PX‖² by multilinearity",
        statistic=measures.order_error(*scans),
        threshold=ORDER,
        sense="at most",
        figure=FLATNESS,
        hypothesis=_generic(scans),
    )
    return claim.as_control() if control else claim


def global_where_map_is_critical(
    name: str, where: str, *scans: str, control: bool = False
) -> Claim:
    """A critical point is global just where the gradient of the loss of the product vanishes."""

    def fits(facts: Facts) -> bool:
        return _linear(facts) and _wide(facts)

    claim = Claim(
        name=name,
        statement=f"{where}, a critical point is a global minimum exactly where ∇ℓ₀ vanishes at "
        "the product of the weights: share of the critical points found at which both say the same",
        source=YUN,
        statistic=measures.criteria_agree(*scans),
        threshold=1.0,
        sense="at least",
        figure=CRITICAL,
        hypothesis=Hypothesis(
            "linear, no hidden layer narrower than both input and output",
            measures.every(scans, fits),
        ),
    )
    return claim.as_control() if control else claim


def others_are_saddles(name: str, where: str, *scans: str, control: bool = False) -> Claim:
    """With two layers every critical point that is no global minimum is a strict saddle."""

    def fits(facts: Facts) -> bool:
        return facts["depth"] == 2 and _linear(facts) and _full_rank(facts) and _distinct(facts)

    claim = Claim(
        name=name,
        statement=f"at a critical point of {where} above the least loss the Hessian has a negative "
        "eigenvalue: share of those found",
        source=SADDLES,
        statistic=measures.share_of_saddles(*scans),
        threshold=1.0,
        sense="at least",
        figure=ENDS if control else CRITICAL,
        hypothesis=Hypothesis(f"two layers, {_DISTINCT_DATA}", measures.every(scans, fits)),
    )
    return claim.as_control() if control else claim


def critical_values(name: str, where: str, *scans: str, control: bool = False) -> Claim:
    """The losses of critical points are known: eigenvalues of Ĉ that are left out."""

    def fits(facts: Facts) -> bool:
        return _linear(facts) and _full_rank(facts) and _distinct(facts)

    claim = Claim(
        name=name,
        statement=f"at a critical point of {where} the loss is ‖Y‖² less the sum of some "
        "eigenvalues of YXᵀ(XXᵀ)⁻¹XYᵀ, at most as many as the least width: greatest distance from "
        "such a value, relative to ‖Y‖²",
        source=VALUES,
        statistic=measures.distance_from_values(*scans),
        threshold=VALUE,
        sense="at most",
        figure=ENDS if control else CRITICAL,
        hypothesis=Hypothesis(_DISTINCT_DATA, measures.every(scans, fits)),
    )
    return claim.as_control() if control else claim


def _generic(scans: tuple[str, ...]) -> Hypothesis:
    return Hypothesis(
        "linear, lines through zero weights whose outputs are not orthogonal to Y; the rise along "
        "them is the difference of the losses",
        lambda found: all(measures.lines_generic(found, name) for name in scans),
    )


def _through_zero(scans: tuple[str, ...], depth: int) -> measures.Check:
    return measures.every(
        scans,
        lambda facts: _linear(facts) and facts["depth"] >= depth and facts["origin"] == "zero",
    )


def _linear(facts: Facts) -> bool:
    return bool(facts["relu_after"] is None)


def _wide(facts: Facts) -> bool:
    widths = facts["widths"]
    return bool(min(widths) >= min(widths[0], widths[-1]))


def _full_rank(facts: Facts) -> bool:
    inputs, outputs = facts["widths"][0], facts["widths"][-1]
    return bool(facts["input_rank"] == inputs and facts["data_rank"] == min(inputs, outputs))


def _distinct(facts: Facts) -> bool:
    if facts["widths"][-1] > facts["widths"][0]:
        return False
    values = facts["eigenvalues"]
    gaps = [one - other for one, other in pairwise(values)]
    return bool(min(gaps, default=values[0]) > DISTINCT * values[0])
