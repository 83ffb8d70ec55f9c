"""The expected loss of ReLU students and its derivatives, enclosed: all roundings are counted.

Numbers are balls of Arb, a midpoint with a radius: Johansson 2017, "Arb: efficient
arbitrary-precision midpoint-radius interval arithmetic", IEEE Transactions on Computers 66. What
each term is stands in `population.PopulationLoss`.
Shape legend: n = students, k = teachers, m = n + k, d = inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import flint
import numpy as np
import numpy.typing as npt
from flint import arb, arb_mat

from tasks.landscape import Floats

Balls: TypeAlias = npt.NDArray[np.object_]
"""An array whose entries are balls."""

PRECISION = 128
"""Binary digits of the midpoints."""
_ROUNDED = 2.0**-52
"""Relative error, at most, of a midpoint as a float64."""
_TINY = 2.0**-1000
"""More than what a number loses by being too small for a float64."""


@dataclass(frozen=True)
class Enclosure:
    """What is sure of F and its derivatives at a point.

    Attributes:
        loss: F, (lower, upper).
        slope: an upper bound of ‖∇F‖.
        hessian: ∇²F rounded to float64, (n·d, n·d), symmetric.
        away: an upper bound of ‖∇²F − hessian‖ in the spectral norm.
    """

    loss: tuple[float, float]
    slope: float
    hessian: Floats
    away: float


@dataclass(frozen=True)
class _Pairs:
    """Of neurons u_1 … u_m, students first: norms (m,), unit vectors (m, d); the rest is of pairs.

    Cosine, sine and supplement, π less the angle, are (m, m).
    `beside` (m, m, d) is what û_j has across û_i, as a unit vector. Where the sine may be 0 it is
    any vector with entries in [−1, 1]: there every term has the sine as a factor.
    """

    norms: Balls
    units: Balls
    cosine: Balls
    sine: Balls
    supplement: Balls
    beside: Balls


def enclose(students: Floats, teacher: Floats) -> Enclosure:
    """The loss and its derivatives at students (n, d), none of them zero, for a teacher (k, d)."""
    with flint.ctx.workprec(PRECISION):
        pairs = _pairs(np.concatenate([students, teacher]))
        signs = np.array([1] * len(students) + [-1] * len(teacher), dtype=object)
        hessian, away = _rounded(_hessian(pairs, signs, len(students)))
        return Enclosure(
            bounds(_loss(pairs, signs)),
            above(_norm(_gradient(pairs, signs, len(students)).ravel())),
            hessian,
            away,
        )


def bounds(ball: arb) -> tuple[float, float]:
    """Floats below and above all of a ball."""
    below = float(np.nextafter(float(ball.lower()), -np.inf))
    return below, float(np.nextafter(float(ball.upper()), np.inf))


def above(ball: arb) -> float:
    """A float above all of a ball."""
    return bounds(ball)[1]


def below(ball: arb) -> float:
    """A float below all of a ball."""
    return bounds(ball)[0]


def balls(values: Floats) -> Balls:
    """Exact balls of the shape of `values`."""
    found: Balls = np.frompyfunc(arb, 1, 1)(values.astype(object))
    return found


def norms_of(rows: Balls) -> Balls:
    """Norms (…,) of vectors (…, d)."""
    found: Balls = np.frompyfunc(_root, 1, 1)((rows * rows).sum(axis=-1))
    return found


def _norm(vector: Balls) -> arb:
    return _root((vector * vector).sum())


def _root(squared: arb) -> arb:
    """√x for x ≥ 0; about 0 where the ball may reach below it."""
    return squared.sqrt() if squared > 0 else arb(0, squared.abs_upper().sqrt().abs_upper())


def _pairs(neurons: Floats) -> _Pairs:
    everyone = balls(neurons)
    norms = norms_of(everyone)
    units = everyone / norms[:, None]
    cosine = units @ units.T
    across = units[None] - cosine[:, :, None] * units[:, None]
    sine = norms_of(across)
    supplement: Balls = np.frompyfunc(_supplement, 2, 1)(sine, cosine)
    beside = np.full_like(across, arb(0, 1))
    turned = (sine > 0).astype(bool)
    beside[turned] = across[turned] / sine[turned][:, None]
    return _Pairs(norms, units, cosine, sine, supplement, beside)


def _supplement(sine: arb, cosine: arb) -> arb:
    """π − θ; on the side of the cosine where no ball of the sine meets the cut of atan2."""
    if cosine > 0:
        return arb.pi() - arb.atan2(sine, cosine)
    return arb.atan2(sine, -cosine)


def _loss(pairs: _Pairs, signs: Balls) -> arb:
    """½ Σ_ab σ_a σ_b E relu(u_a·x) relu(u_b·x)."""
    shared = pairs.sine + pairs.supplement * pairs.cosine
    weights = signs * pairs.norms
    return arb((weights * (shared @ weights)).sum() / (4 * arb.pi()))


def _gradient(pairs: _Pairs, signs: Balls, n: int) -> Balls:
    """∇F, (n, d)."""
    weights = signs * pairs.norms
    own = pairs.sine[:n] @ weights
    found = own[:, None] * pairs.units[:n]
    found = found + (pairs.supplement[:n] * weights) @ pairs.units
    gradient: Balls = found / (2 * arb.pi())
    return gradient


def _hessian(pairs: _Pairs, signs: Balls, n: int) -> Balls:
    """∇²F, (n, d, n, d), of which the blocks below the diagonal are left out: they are None."""
    d = pairs.units.shape[1]
    found = np.full((n, d, n, d), None, dtype=object)
    around, here = 2 * arb.pi(), np.arange(d)
    for i in range(n):
        unit, beside = pairs.units[i], pairs.beside[i]
        bend = signs * pairs.norms * pairs.sine[i] / (around * pairs.norms[i])
        left = np.vstack([beside, unit]) * np.append(bend, -bend.sum())[:, None]
        found[i, :, i] = _product(left.T, np.vstack([beside, unit]))
        found[i, here, i, here] += arb(1) / 2 + bend.sum()
        for j in range(i + 1, n):
            c, s, m = pairs.cosine[i, j], pairs.sine[i, j] / around, beside[j]
            across = pairs.sine[i, j] * s
            left = np.stack([across * m + c * s * unit, across * unit - c * s * m])
            found[i, :, j] = _product(left.T, np.stack([unit, m]))
            found[i, here, j, here] += pairs.supplement[i, j] / around
    return found


def _product(left: Balls, right: Balls) -> Balls:
    """A product of matrices; numpy's own takes ten times as long for balls."""
    found = arb_mat(left.tolist()) * arb_mat(right.tolist())
    return np.array(found.entries(), dtype=object).reshape(len(left), -1)


def _rounded(blocks: Balls) -> tuple[Floats, float]:
    """The symmetric matrix (n·d, n·d) in float64, and a bound of its error in the spectral norm."""
    n, d = blocks.shape[:2]
    values, radii = np.zeros((n, d, n, d)), np.zeros((n, d, n, d))
    for i in range(n):
        for j in range(i, n):
            values[i, :, j] = _floats(blocks[i, :, j])
            radii[i, :, j] = _floats(_RADII(blocks[i, :, j]))
    matrix, radius = (_symmetric(each.reshape(n * d, n * d)) for each in (values, radii))
    # Twice the Frobenius norm: the sum's own rounding is far less.
    return matrix, 2 * float(np.linalg.norm(radius + _ROUNDED * np.abs(matrix) + _TINY))


def _symmetric(upper: Floats) -> Floats:
    return np.triu(upper) + np.triu(upper, 1).T


_RADII: Any = np.frompyfunc(arb.rad, 1, 1)


def _floats(found: Balls) -> Floats:
    return found.astype(np.float64)
