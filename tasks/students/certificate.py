"""Proofs that a local minimum of the expected loss of ReLU students lies near a point.

Safran & Shamir 2018, "Spurious local minima are common in two-layer ReLU neural networks",
arXiv:1712.08968. Shape legend: n = students, k = teachers, d = inputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import flint
import numpy as np
import torch
from flint import arb
from scipy import linalg

from schemas.errors import SpecError
from tasks.landscape import Floats
from tasks.students.balls import PRECISION, above, balls, below, enclose, norms_of
from tasks.students.population import PopulationLoss

_REACH = 0.1
"""Radius of the ball in which the Hessian's change is bounded, in norms of the least student."""
_UNIT = 2.0**-53
"""Greatest relative error of one operation in float64."""
_TINY = 2.0**-1000
"""More than what numbers lose by being too small for a float64."""
_STEPS = 30
_CONVERGED = 1e-13


@dataclass(frozen=True)
class Certificate:
    """What is proved of a point W, all roundings included.

    Attributes:
        gradient_norm: ε, an upper bound of ‖∇F(W)‖.
        least_eigenvalue: λ, a lower bound of the least eigenvalue of ∇²F(W).
        smoothness: B, a bound of ‖∇²F(U) − ∇²F(U')‖ / ‖U − U'‖ in a ball around W.
        radius: a local minimum lies within it of W, in the Frobenius norm; None where no minimum is
            proved, which does not say that there is none.
        loss: F at W and at that minimum, (lower, upper).
    """

    gradient_norm: float
    least_eigenvalue: float
    smoothness: float
    radius: float | None
    loss: tuple[float, float]


def certify(weights: Floats, teacher: Floats) -> Certificate:
    """Whether a local minimum is near the weights (n, d), for a teacher (k, d).

    By Taylor's theorem F(W + δ) ≥ F(W) − ε r + λ r²/2 − B r³/6 for ‖δ‖ = r. Where that is above
    F(W), the least value of F in the ball of radius r is taken inside it. It is where
    B r² − 3λ r + 6ε < 0, thus for some r if 9λ² > 24εB: as Safran & Shamir (2018), with 25 for 24.

    Raises:
        SpecError: weights that are not finite, a neuron that is zero, or widths that differ.
    """
    _check(weights, teacher)
    found = enclose(weights, teacher)
    least = least_eigenvalue(found.hessian) - found.away
    least = float(np.nextafter(least, -math.inf))
    with flint.ctx.workprec(PRECISION):
        reach = _REACH * below(min(norms_of(balls(weights)), key=below))
        bend = smoothness(weights, teacher, reach)
        radius = _radius(found.slope, least, bend)
        low, high = found.loss
        if radius is None or radius > reach:
            return Certificate(found.slope, least, bend, None, found.loss)
        # As r < 3λ/2B, the terms of second and third order together are positive.
        fall = arb(found.slope) * arb(radius)
        return Certificate(found.slope, least, bend, radius, (below(arb(low) - fall), high))


def smoothness(weights: Floats, teacher: Floats, reach: float) -> float:
    """A bound B of the Hessian's Lipschitz constant in a ball around the weights (n, d).

    With f(w, v) = E relu(w·x) relu(v·x), s and c the sine and cosine of the angle of w and v, m
    what v̂ has across ŵ as a unit vector, and a = ρŵ + τm + a vector across both of norm μ,
        2π f_www a³ = −(‖v‖/‖w‖²) (2cτ³ + 6sρτ² + 3(cτ + sρ)μ²).
    The square of the bracket is at most τ²(2τ²+3μ²)² + 9ρ²(2τ²+μ²)², by Cauchy; with X = τ² + μ² =
    1 − ρ² that is at most 4X³ + 36(1−X)X² ≤ 27/4, thus |f_www a³| ≤ 3√3/(4π) ‖v‖/‖w‖². Likewise
        2π f_wwv a²b = (1/‖w‖) (β(|a'|² + α²) + 2α(a'·b')),
    α and β the components of a and b along m, a' what a has across ŵ and b' what b has across ŵ and
    m, is at most 2|a|²|b|/‖w‖: as a form in a it has no eigenvalue above (3β + √(β² + 4|b'|²))/2,
    which is 2|b| at most. For a change a_1 … a_n of norm 1 of all students the sum over their pairs
    is, since Σ_i |a_i|² Σ_{j≠i} |a_j| ≤ (n−1)/√n by Jensen's inequality, at most
        B = 3√3/(4π) max_i (Σ_{j≠i} ‖w_j‖ + Σ_j ‖v_j‖)/‖w_i‖² + 3(n−1)/(π√n min_i ‖w_i‖).
    In the ball norms change by its radius `reach`, which is less than any. ∇²F is continuous where
    neurons are parallel, and smooth elsewhere, so that a bound of the third derivative is one of B.

    The constant of Safran & Shamir (2018), n(√2(n−1)(w_max+w_min) + k v_max)/(π w_min²), is larger
    for n ≥ 2. For n = 1 it does not hold: at an angle of π/3 from parallel teachers the Hessian of
    one student changes 3√3/4 times as fast.
    """
    n = len(weights)
    with flint.ctx.workprec(PRECISION):
        students, teachers = norms_of(balls(weights)), norms_of(balls(teacher))
        large, small = students + reach, students - reach
        pulls = (large.sum() - large + teachers.sum()) / (small * small)
        first = 3 * arb(3).sqrt() / (4 * arb.pi()) * arb(max(above(each) for each in pulls))
        least = arb(min(below(each) for each in small))
        second = 3 * (n - 1) / (arb.pi() * arb(n).sqrt() * least)
        return above(first + second)


def least_eigenvalue(matrix: Floats) -> float:
    """A lower bound of the least eigenvalue of a symmetric matrix (N, N), proved in float64.

    Where Cholesky's factorisation of A ends in float64, in whatever order it sums, its factor R has
    |RᵀR − A|_ij ≤ γ/(1−γ) √(a_ii a_jj), γ = (N+1)u/(1−(N+1)u), u = 2⁻⁵³ (Demmel 1989; Higham 2002,
    "Accuracy and stability of numerical algorithms", theorem 10.5). RᵀR has no negative eigenvalue,
    thus A none below −γ/(1−γ) tr A, but for underflow: Rump 2006, "Verification of positive
    definiteness", BIT 46. A is the matrix less t on its diagonal, t just below the eigenvalue as
    found.
    """
    if not np.isfinite(matrix).all():
        return -math.inf
    size = len(matrix)
    diagonal = np.diag(matrix)
    estimate = float(np.linalg.eigvalsh(matrix)[0])
    gamma = (size + 1) * _UNIT / (1 - 2 * (size + 1) * _UNIT)
    scale = float(np.abs(diagonal).sum()) + size * abs(estimate)
    margin = 2 * gamma * scale + _TINY
    while True:
        shift = estimate - margin
        shifted = matrix - shift * np.eye(size)
        try:
            np.linalg.cholesky(shifted)
        except np.linalg.LinAlgError:
            margin *= 4
            continue
        # The diagonal's own rounding, underflow, and the rounding of this sum.
        lost = gamma * float(np.trace(shifted)) + _UNIT * float(np.diag(shifted).max())
        return float(np.nextafter(shift - (1.01 * lost + size * _TINY), -math.inf))


def refine(weights: Floats, teacher: Floats) -> tuple[Floats, bool]:
    """The weights (n, d) after Newton steps to a critical point, and whether they have come to one.

    Steps are taken as long as they lessen the gradient. A critical point may be a saddle.

    Raises:
        SpecError: weights that are not finite, a neuron that is zero, or widths that differ.
    """
    _check(weights, teacher)
    loss = PopulationLoss(torch.from_numpy(np.ascontiguousarray(teacher)))
    here = torch.from_numpy(weights.reshape(1, -1).copy())
    slope = loss.slopes(here)[1]
    for _ in range(_STEPS):
        step = linalg.lstsq(loss.hessians(here)[0].numpy(), slope[0].numpy(), lapack_driver="gelsy")
        there = here - torch.from_numpy(step[0])
        after = loss.slopes(there)[1]
        if not after.norm() < slope.norm():
            break
        here, slope = there, after
    converged = float(slope.norm()) <= _CONVERGED * weights.size
    return here.numpy().reshape(weights.shape), converged


def _radius(slope: float, least: float, bend: float) -> float | None:
    """A radius r with B r² − 3λ r + 6ε < 0, where there is one by the margin of 25 for 24."""
    if not 0 < least < math.inf:
        return None
    steep, curved, bent = arb(slope), arb(least), arb(bend)
    # (3λ − √…)/(2B), without the cancellation of that difference. Of a negative number the root is
    # no number, and nothing is less than 0 then.
    root = (9 * curved * curved - 25 * steep * bent).sqrt()
    radius = above(25 * steep / (2 * (3 * curved + root)))
    met = bent * arb(radius) ** 2 - 3 * curved * radius + 6 * steep < 0
    return radius if met else None


def _check(weights: Floats, teacher: Floats) -> None:
    if weights.ndim != 2 or teacher.ndim != 2 or weights.shape[1] != teacher.shape[1]:
        raise SpecError(
            f"weights: got shape {weights.shape} for a teacher of shape {teacher.shape}; expected "
            "(n, d) and (k, d) of the same d; take the rows for neurons"
        )
    for name, rows in (("weights", weights), ("teacher", teacher)):
        sizes = np.abs(rows).max(axis=1)
        wrong = np.flatnonzero(~(np.isfinite(sizes) & (sizes > 0)))
        if wrong.size:
            raise SpecError(
                f"{name}: neuron {wrong[0]} has the greatest entry {sizes[wrong[0]]}; expected a "
                "finite one above 0, where the loss has a Hessian; leave this point out"
            )
