"""Proof, in ball arithmetic, that equal units are a local minimum that is not global.

Shape legend: N = samples, d = inputs of each, n = units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TypeAlias

import flint
import numpy as np
from flint import arb, arb_mat

from schemas.errors import SpecError
from tasks.landscape import Floats
from tasks.students.balls import PRECISION, Balls, above, balls, below, norms_of
from tasks.students.certificate import least_eigenvalue

Derivatives: TypeAlias = Callable[[arb], tuple[arb, arb, arb]]
"""T → σ(t), σ'(t), σ''(t)."""

_WIDER = 4
"""The box, in norms of the Newton step from its middle."""
_SEED = 0
_SPREAD = 8.0
_PRECISIONS = (PRECISION, 4 * PRECISION)
"""Binary digits with which the features are tried to be proved independent."""


@dataclass(frozen=True)
class TrapProof:
    """What is proved of data and of equal units near the given ones, all roundings included.

    Attributes:
        radius: of a box, about w and Σv, in which there is one exact critical point of the one unit
            with output weight Σv; None where that is not proved.
        curvature: a lower bound of the least eigenvalue of ∇²g/N, g(u) = Σ_i e_i σ(u·x_i), all over
            the box, or at its middle where there is none.
        loss_lower: a lower bound of the loss, Σe_i²/N, there.
        outputs_positive: whether all output weights are, also if Σv is moved to that point.
        features_nonsingular: whether some n units are proved to have features (N, n) of rank N, so
            that some output weights have a loss of 0.
    """

    radius: float | None
    curvature: float
    loss_lower: float
    outputs_positive: bool
    features_nonsingular: bool

    @property
    def local_minimum(self) -> bool:
        """Whether a local minimum of the loss is proved, of equal units.

        With g(w) = 0 and ∇g(w) = 0 exactly, and ∇²g(w) ≻ 0, Σ_i e_i f_i = Σ_j v_j g(w_j) ≥ 0 near
        by, where the loss is thus at least that of e.
        """
        return self.radius is not None and self.curvature > 0 and self.outputs_positive

    @property
    def proved(self) -> bool:
        """Whether that minimum is proved not to be global."""
        return self.local_minimum and self.loss_lower > 0 and self.features_nonsingular

    def as_json(self) -> dict[str, float | bool | None]:
        """Plain values."""
        return {**asdict(self), "proved": self.proved}


def prove_trap(
    inputs: Floats, targets: Floats, unit: Floats, outputs: Floats, activation: str
) -> TrapProof:
    """What is proved of inputs (N, d), targets (N,), and n units w (d,) with output weights (n,).

    Targets near these have such a minimum as well, as all that is proved holds for an open set.

    Equal units compute Σv·σ(w·x). They are critical where Σ_i e_i σ_i = 0 and Σ_i e_i σ'_i x_i = 0:
    as many equations as numbers (w, Σv). That they have one exact solution in a box is shown by the
    operator of Krawczyk 1969, "Newton-Algorithmen zur Bestimmung von Nullstellen mit
    Fehlerschranken", Computing 4, 187: where it maps the box into its inside.

    Raises:
        SpecError: shapes that differ.
    """
    if inputs.shape != (len(targets), len(unit)):
        raise SpecError(
            f"inputs: got shape {inputs.shape} for {len(targets)} targets and a unit of "
            f"{len(unit)} weights; expected ({len(targets)}, {len(unit)}); take these of one scan"
        )
    with flint.ctx.workprec(PRECISION):
        one = _OneUnit(balls(inputs), balls(targets), DERIVATIVES[activation])
        sum_ = balls(outputs).sum()
        middle = np.append(unit, float(sum_.mid()))
        radius = _radius(one, middle)
        box = balls(middle) + arb(0, radius or 0.0)
        curvature, loss = one.curvature(box), one.loss(box)
        moved = balls(outputs) + (box[-1] - sum_) / len(outputs)
    return TrapProof(
        radius,
        curvature,
        below(loss),
        all(below(each) > 0 for each in moved),
        _independent(inputs, len(outputs), DERIVATIVES[activation]),
    )


@dataclass(frozen=True)
class _OneUnit:
    """The loss of one unit s·σ(w·x) at points (w, s), (d+1,), each number a ball."""

    inputs: Balls
    targets: Balls
    derivatives: Derivatives

    def equations(self, point: Balls) -> Balls:
        """Σe_iσ'_ix_i, then Σe_iσ_i, (d+1,)."""
        value, slope, _, away = self._terms(point)
        return np.append((away * slope) @ self.inputs, (away * value).sum())

    def jacobian(self, point: Balls) -> Balls:
        """Their derivatives, (d+1, d+1)."""
        value, slope, bend, away = self._terms(point)
        scale, x = point[-1], self.inputs
        within = (x.T * (scale * slope * slope + away * bend)) @ x
        return np.block(
            [
                [within, (x.T @ (value * slope))[:, None]],
                [((scale * value + away) * slope) @ x, (value * value).sum()],
            ]
        )

    def curvature(self, point: Balls) -> float:
        """A lower bound of the least eigenvalue of Σe_iσ''_ix_ix_iᵀ/N."""
        _, _, bend, residuals = self._terms(point)
        matrix = (self.inputs.T * (residuals * bend)) @ self.inputs / len(self.inputs)
        middle: Floats = matrix.astype(np.float64)
        middle = (middle + middle.T) / 2
        away = norms_of((matrix - balls(middle)).reshape(1, -1))[0]
        return below(arb(least_eigenvalue(middle)) - above(away))

    def loss(self, point: Balls) -> arb:
        """Σe_i²/N."""
        away = self._terms(point)[-1]
        return arb((away * away).sum() / len(away))

    def _terms(self, point: Balls) -> tuple[Balls, Balls, Balls, Balls]:
        """σ, σ', σ'' and e, (N,) each."""
        value, slope, bend = _over(self.inputs @ point[:-1], self.derivatives)
        return value, slope, bend, point[-1] * value - self.targets


def _radius(one: _OneUnit, middle: Floats) -> float | None:
    """A radius in which Krawczyk's operator proves one zero about the middle (d+1,)."""
    centre = balls(middle)
    jacobian: Floats = one.jacobian(centre).astype(np.float64)
    if not np.isfinite(jacobian).all() or np.linalg.matrix_rank(jacobian) < len(middle):
        return None
    inverse = balls(np.linalg.inv(jacobian).astype(np.float64))
    step = inverse @ one.equations(centre)
    radius = _WIDER * max(above(abs(each)) for each in step) + np.spacing(np.abs(middle).max())
    box = centre + arb(0, radius)
    shrinking = balls(np.eye(len(middle))) - inverse @ one.jacobian(box)
    image = shrinking @ (box - centre) - step
    return float(radius) if all(above(abs(each)) < radius for each in image) else None


def _independent(inputs: Floats, units: int, derivatives: Derivatives) -> bool:
    """Whether the features of N seeded units are proved to be of rank N, for some n ≥ N units."""
    samples, dimensions = inputs.shape
    if units < samples:
        return False
    random = np.random.default_rng(_SEED)
    weights = _SPREAD / np.sqrt(dimensions) * random.standard_normal((dimensions, samples))
    return any(_invertible(inputs, weights, derivatives, digits) for digits in _PRECISIONS)


def _invertible(inputs: Floats, weights: Floats, derivatives: Derivatives, digits: int) -> bool:
    with flint.ctx.workprec(digits):
        values = _over(balls(inputs) @ balls(weights), derivatives)[0]
        try:
            arb_mat(values.tolist()).inv()
        except ZeroDivisionError:
            return False
    return True


def _over(values: Balls, derivatives: Derivatives) -> tuple[Balls, Balls, Balls]:
    each: Callable[[Balls], tuple[Balls, Balls, Balls]] = np.frompyfunc(derivatives, 1, 3)
    return each(values)


def _sigmoid(t: arb) -> tuple[arb, arb, arb]:
    value = 1 / (1 + (-t).exp())
    slope = value * (1 - value)
    return value, slope, slope * (1 - 2 * value)


def _tanh(t: arb) -> tuple[arb, arb, arb]:
    value = t.tanh()
    slope = 1 - value * value
    return value, slope, -2 * value * slope


def _softplus(t: arb) -> tuple[arb, arb, arb]:
    slope, bend, _ = _sigmoid(t)
    return (1 + t.exp()).log(), slope, bend


DERIVATIVES: dict[str, Derivatives] = {
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "softplus": _softplus,
}
"""Activations in balls, by name."""
