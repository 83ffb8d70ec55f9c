"""Three samples and two smooth units with a local minimum that is not global.

Yun, Sra & Jadbabaie 2019, arXiv:1802.03487, theorem 2. The samples are (1, 0), (0, 1) and (½, ½),
with targets 0, 0 and 1.

That it is a minimum is proved in a way of ours. Let unit j have output weight u_j and the sums
p_j + d_j, p_j − d_j and p_j at the samples. With the outputs f, e = (⅓, ⅓, −⅔), and h', h''
somewhere between these sums,
    ½‖f − y‖² = ⅓ + e·f + ½‖f − ⅓‖² ≥ ⅓ + ⅓ Σ_j u_j h''_j d_j² + (Σ_j u_j h'_j d_j)²,
as ‖f − ⅓‖² ≥ ½(f_1 − f_2)². Where this form in d is positive definite for all parameters in a ball,
no risk in the ball is below ⅓.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import flint
import numpy as np
from flint import arb

from tasks.piecewise.case import Case
from tasks.piecewise.certificate import Proof, risk_bound
from tasks.piecewise.data import Samples
from tasks.piecewise.network import Layer, zero_layers
from tasks.piecewise.pieces import Floats, Numbers
from tasks.students.balls import PRECISION, Balls, above, below
from tasks.wide.certificate import DERIVATIVES, Derivatives

_WIDEST = 1.0
_STEPS = 40
_INVERSES: Mapping[str, Callable[[float], float]] = {
    "sigmoid": lambda value: math.log(value / (1 - value)),
    "tanh": math.atanh,
    "arctan": math.tan,
}
_ROWS = (2.0, -1.0, 1.0)
"""v_1, v_2 and v_3 of the point with a loss of 0."""


@dataclass(frozen=True)
class Example:
    """Published numbers of the minimum.

    Attributes:
        inner: v_1 and v_2, the weights of the two units.
        first: u_1, the output weight of the first one.
    """

    inner: tuple[float, float]
    first: float


EXAMPLES: Mapping[str, Example] = {
    "sigmoid": Example((1.5, -3.0), -4.0),
    "tanh": Example((-1.0, -0.25), 4.0),
    "arctan": Example((-1.0, -0.25), 4.0),
}
"""By activation. u_2 follows from u_1 h(v_1) + u_2 h(v_2) = 1/3."""


def _arctan(t: arb) -> tuple[arb, arb, arb]:
    slope = 1 / (1 + t * t)
    return t.atan(), slope, -2 * t * slope * slope


SMOOTH_DERIVATIVES: Mapping[str, Derivatives] = {**DERIVATIVES, "arctan": _arctan}
"""T → h(t), h'(t), h''(t), by activation."""


def second_output(activation: str, *, broken: bool = False) -> arb:
    """u_2, a ball, with the published u_1, or with −u_1."""
    example, h = EXAMPLES[activation], SMOOTH_DERIVATIVES[activation]
    with flint.ctx.workprec(PRECISION):
        value, other = (h(arb(v))[0] for v in example.inner)
        return (arb(1) / 3 - _first(activation, broken) * value) / other


def smooth_minimum(activation: str, *, broken: bool = False) -> list[Layer]:
    """Both units have equal weights and no bias: 1/3 is put out for every sample, a risk of 1/3.

    `broken` has the other sign of u_1, with which it is a saddle.
    """
    rows = np.array([[v, v] for v in EXAMPLES[activation].inner])
    outputs = [_first(activation, broken), float(second_output(activation, broken=broken).mid())]
    return [Layer(rows, np.zeros(2)), Layer(np.array([outputs]), np.zeros(1))]


def smooth_zero(activation: str) -> list[Layer]:
    """A point with a loss of 0: rows (v_1, v_2), (v_3, v_4) with h(v_1)h(v_4) = h(v_2)h(v_3).

    The output weights are in the ratio of h(v_3) and −h(v_1).
    """
    first, second, third = (_value(activation, v) for v in _ROWS)
    rows = np.array([_ROWS[:2], (_ROWS[2], _INVERSES[activation](second * third / first))])
    outputs = np.array([third, -first])
    middle = np.array([_value(activation, float(row.mean())) for row in rows])
    scaled = outputs / float(outputs @ middle)
    return [Layer(rows, np.zeros(2)), Layer(scaled[None], np.zeros(1))]


def prove_smooth(activation: str, samples: Samples, *, broken: bool = False) -> Proof:
    """What is proved of the minimum, or of the saddle if it is broken."""
    inner, outer = smooth_minimum(activation, broken=broken)
    second = second_output(activation, broken=broken)
    lower = risk_bound(smooth_zero(activation), _in_balls(activation), samples)
    with flint.ctx.workprec(PRECISION):
        third = arb(1) / 3
        away = above(abs(second - float(outer.weight[0, 1])))
        low, high = 0.0, _WIDEST
        for _ in range(_STEPS):
            middle = (low + high) / 2
            kept = _convex(activation, inner.weight[:, 0], outer.weight[0], middle)
            low, high = (middle, high) if kept else (low, middle)
        radius = low if low > 0 else None
        reason = None if radius else "the form of second order is not proved positive definite"
        return Proof(radius, away, below(third), above(third), lower, reason)


def smooth_case(activation: str, samples: Samples, *, broken: bool) -> Case:
    """All of the example."""
    minimum = smooth_minimum(activation)
    unbroken = prove_smooth(activation, samples)
    example = EXAMPLES[activation]
    return Case(
        minimum=minimum,
        broken=smooth_minimum(activation, broken=True),
        lower=smooth_zero(activation),
        other=None,
        probes=_probes(activation, broken),
        family=None,
        unbroken=unbroken,
        proof=prove_smooth(activation, samples, broken=True) if broken else unbroken,
        missing="",
        facts={
            "fit_risk": 1 / 3,
            "inner": list(example.inner),
            "outer": [example.first, float(second_output(activation).mid())],
        },
    )


def _probes(activation: str, broken: bool) -> list[list[Layer]]:
    """Directions in which the units tell the first two samples apart, of norm 1."""
    minimum = smooth_minimum(activation)
    found = []
    for turned in bending(activation, broken=broken):
        layers = zero_layers(minimum)
        layers[0].weight[:] = np.outer(turned, [1.0, -1.0]) / np.sqrt(2)
        found.append(layers)
    return found


def bending(activation: str, *, broken: bool = False) -> Floats:
    """Orthonormal (d_1, d_2), as rows: first the one with Σ_j u_j h'_j d_j = 0; (2, 2)."""
    inner, outer = smooth_minimum(activation, broken=broken)
    slopes = [_derivatives(activation, v)[1] for v in inner.weight[:, 0]]
    steep = outer.weight[0] * slopes
    unit = steep / np.linalg.norm(steep)
    found: Floats = np.array([[-unit[1], unit[0]], unit])
    return found


def _convex(activation: str, inner: Floats, outer: Floats, radius: float) -> bool:
    """Whether the form is positive definite for all parameters within the radius."""
    # A unit's sum is that of a weight and its bias.
    moved, reach = arb(0, radius), arb(0, above(arb(2).sqrt() * radius))
    parts = []
    for v, u in zip(inner, outer, strict=True):
        _, slope, bend = SMOOTH_DERIVATIVES[activation](arb(float(v)) + reach)
        parts.append(((u + moved) * slope, (u + moved) * bend / 3))
    (a, p), (b, q) = parts
    # The determinant, without the terms that cancel.
    return bool(a * a + p > 0) and bool(a * a * q + b * b * p + p * q > 0)


def _first(activation: str, broken: bool) -> float:
    first = EXAMPLES[activation].first
    return -first if broken else first


def _value(activation: str, at: float) -> float:
    return _derivatives(activation, at)[0]


def _derivatives(activation: str, at: float) -> tuple[float, float, float]:
    value, slope, bend = SMOOTH_DERIVATIVES[activation](arb(at))
    return float(value.mid()), float(slope.mid()), float(bend.mid())


def _in_balls(activation: str) -> Callable[[Numbers], Numbers]:
    def values(at: Numbers) -> Numbers:
        found: Balls = np.frompyfunc(lambda t: SMOOTH_DERIVATIVES[activation](t)[0], 1, 1)(at)
        return found

    return values
