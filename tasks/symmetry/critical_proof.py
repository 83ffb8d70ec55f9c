"""Proof, in ball arithmetic, that copies of a unit are a plateau of local minima, or a saddle.

Shape legend: N = samples, d = inputs, r = units, n = r·d + r numbers of all weights; one output.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import flint
import numpy as np
from flint import arb

from tasks.landscape import Floats
from tasks.students.balls import PRECISION, Balls, above, balls, below, norms_of
from tasks.students.certificate import least_eigenvalue
from tasks.symmetry.critical_points import CriticalPoint
from tasks.symmetry.curvature import Kind, Regression
from tasks.wide.certificate import DERIVATIVES

_RADIUS = 2.0**-30
"""Of the box about the point, each way: far more than the gradient's rounding moves it."""


@dataclass(frozen=True)
class CriticalProof:
    """What is proved of a point of a network with r units, all roundings included.

    Attributes:
        slope: an upper bound of the gradient's norm there.
        least_eigenvalue: a lower bound of those of the Hessian, all over the box about it.
        loss_lower: a lower bound of the loss, all over the box.
        kinds: of each unit the sign of U wherever it is proved, all over the box; else None.
    """

    slope: float
    least_eigenvalue: float
    loss_lower: float
    kinds: tuple[Kind | None, ...]

    @property
    def minimum(self) -> bool:
        """Whether there is a strict local minimum in the box.

        A distance δ from the point, the loss is above its own by λδ²/2 − εδ or more, thus not
        least on the sphere of that radius where λδ > 2ε. Its least value within is at a point
        whose Hessian is positive definite.
        """
        return 2 * self.slope < self.least_eigenvalue * _RADIUS

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        return {**asdict(self), "kinds": list(self.kinds), "minimum": self.minimum}


def is_provable(regression: Regression) -> bool:
    """Whether there is one output, and its units are known in balls."""
    return regression.targets.shape[1] == 1 and regression.activation in DERIVATIVES


def prove(regression: Regression, point: CriticalPoint) -> CriticalProof:
    """What is proved of the exact minimum near a point (r, d), (1, r).

    Where there is one, what copies of its units are follows from the sign of U: the Hessian of the
    network with one copy more is, in suitable coordinates, that of the minimum, μ(1 − μ)U, and 0
    along the change of μ, along which the loss is constant. Where μ(1 − μ)U is positive definite
    the points are thus a manifold of critical points whose tangents are all of the Hessian's
    kernel, the rest being positive: they are local minima (Bott 1954, "Nondegenerate critical
    manifolds", Annals of Mathematics 60). Where it has a negative eigenvalue they are strict
    saddles. With more copies it is as `curvature.nature` says.

    Inputs and targets are taken as they are, as float64.

    Raises:
        ValueError: there are several outputs, or the activation is not known in balls.
    """
    if not is_provable(regression):
        raise ValueError(
            f"a proof for {regression.targets.shape[1]} outputs and {regression.activation}; "
            f"expected 1 output and one of {', '.join(DERIVATIVES)}"
        )
    with flint.ctx.workprec(PRECISION):
        hidden, output = balls(point.weights[0]), balls(point.weights[1][0])
        slope = _Terms.at(regression, hidden, output).slope()
        around = arb(0, _RADIUS)
        near = _Terms.at(regression, hidden + around, output + around)
        least = _ends(near.hessian())[0]
        kinds = tuple(_kind(near.copy_curvature(unit)) for unit in range(len(hidden)))
        return CriticalProof(slope, below(least), below(near.loss()), kinds)


@dataclass(frozen=True)
class _Terms:
    """Inputs (N, d), output weights (r,), σ, σ' and σ'' (N, r), and the residuals (N,)."""

    inputs: Balls
    output: Balls
    value: Balls
    first: Balls
    second: Balls
    away: Balls

    @classmethod
    def at(cls, regression: Regression, hidden: Balls, output: Balls) -> _Terms:
        """Of units (r, d) and (r,)."""
        inputs, each = balls(regression.inputs), DERIVATIVES[regression.activation]
        value, first, second = np.frompyfunc(each, 1, 3)(inputs @ hidden.T)
        return cls(
            inputs, output, value, first, second, value @ output - balls(regression.targets[:, 0])
        )

    def loss(self) -> arb:
        """Σe²/N."""
        return arb((self.away * self.away).sum() / len(self.away))

    def slope(self) -> float:
        """An upper bound of the gradient's norm."""
        gradient = 2 * (self.away @ self._rows()) / len(self.away)
        return above(norms_of(gradient[None])[0])

    def hessian(self) -> Balls:
        """(n, n)."""
        rows, (units, dimensions) = self._rows(), (len(self.output), self.inputs.shape[1])
        found = rows.T @ rows
        for unit in range(units):
            own = slice(unit * dimensions, (unit + 1) * dimensions)
            mixed = (self.away * self.first[:, unit]) @ self.inputs
            found[own, own] = found[own, own] + self._bent(unit)
            found[own, units * dimensions + unit] += mixed
            found[units * dimensions + unit, own] += mixed
        scaled: Balls = 2 * found / len(self.away)
        return scaled

    def copy_curvature(self, unit: int) -> Balls:
        """U, (d, d)."""
        scaled: Balls = 2 * self._bent(unit) / len(self.away)
        return scaled

    def _bent(self, unit: int) -> Balls:
        """Σ e a σ'' x xᵀ, (d, d)."""
        weight = self.away * self.output[unit] * self.second[:, unit]
        found: Balls = (self.inputs.T * weight) @ self.inputs
        return found

    def _rows(self) -> Balls:
        """The derivatives of the outputs, (N, n)."""
        entering = (self.first * self.output)[:, :, None] * self.inputs[:, None]
        return np.hstack([entering.reshape(len(self.inputs), -1), self.value])


def _kind(matrix: Balls) -> Kind | None:
    """The sign of a symmetric matrix (d, d), where it is proved."""
    least, greatest = _ends(matrix)
    if least > 0:
        return Kind.POSITIVE
    if greatest < 0:
        return Kind.NEGATIVE
    return Kind.INDEFINITE if least < 0 < greatest else None


def _ends(matrix: Balls) -> tuple[arb, arb]:
    """Balls about the least and the greatest eigenvalue of a symmetric matrix (n, n).

    One bound of each is the proved one of the middle, less the distance to it; the other is the
    quotient of Rayleigh at the eigenvector as found.
    """
    middle: Floats = matrix.astype(np.float64)
    middle = (middle + middle.T) / 2
    away = norms_of((matrix - balls(middle)).reshape(1, -1))[0]
    low = arb(least_eigenvalue(middle)) - away
    high = away - arb(least_eigenvalue(-middle))
    vectors = balls(np.linalg.eigh(middle)[1].T)
    first, last = (row @ matrix @ row / (row @ row) for row in (vectors[0], vectors[-1]))
    return low.lower().union(first.upper()), last.lower().union(high.upper())
