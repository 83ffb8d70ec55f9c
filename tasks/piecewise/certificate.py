"""Proof, in ball arithmetic, that there is a local minimum that is not global, with its radius.

Where every unit is in one piece for all samples the network is affine in its inputs, thus its risk
is at least that of least squares: Yun, Sra & Jadbabaie 2019, arXiv:1802.03487, section 2.2. How
far parameters can move until a unit changes its piece is bounded layer by layer.
Shape legend: N = samples, m = outputs, n_l = units of layer l.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import flint
import numpy as np
from flint import arb

from tasks.piecewise.data import Samples
from tasks.piecewise.fit import Fit
from tasks.piecewise.network import Layer, run
from tasks.piecewise.pieces import Floats, Number, Numbers, PiecewiseLinear
from tasks.students.balls import PRECISION, Balls, above, balls, below, norms_of

_STEPS = 40
_SHORT = 1 - 2.0**-20
"""Of the radius that is found in floats: what is tried to be proved."""


@dataclass(frozen=True)
class Proof:
    """What is proved of parameters θ, all roundings included.

    Attributes:
        radius: of a ball about θ in which no unit changes its piece, and no risk is below that of
            least squares; None where that is not proved, and infinite of units with one piece.
        away: θ is not farther than this from parameters whose risk is that of least squares; None
            where there are none known.
        risk_lower, risk_upper: of least squares, ½‖ȳ − y‖².
        lower: an upper bound of the risk at the other point; None without one.
        reason: why there is no radius.
    """

    radius: float | None
    away: float | None
    risk_lower: float
    risk_upper: float
    lower: float | None = None
    reason: str | None = None

    @property
    def local_minimum(self) -> bool:
        """Whether there is a local minimum, with the risk of least squares."""
        return self.radius is not None and self.away is not None and self.away < self.radius

    @property
    def proved(self) -> bool:
        """Whether that minimum is proved not to be global."""
        return self.local_minimum and self.lower is not None and self.lower < self.risk_lower

    def as_json(self) -> dict[str, float | str | bool | None]:
        """Plain values; an infinite radius is None, with `everywhere` true."""
        radius = None if self.radius == math.inf else self.radius
        everywhere = self.radius == math.inf
        said = {"local_minimum": self.local_minimum, "proved": self.proved}
        return {**asdict(self), "radius": radius, "everywhere": everywhere, **said}


def risk_bound(
    layers: Sequence[Layer], function: Callable[[Numbers], Numbers], samples: Samples
) -> float:
    """An upper bound of ½‖F − Y‖² of layers of floats; the function is one of balls as well."""
    with flint.ctx.workprec(PRECISION):
        outputs = run(_in_balls(layers), function, balls(samples.inputs))[1]
        away = outputs - balls(samples.targets)
        return above((away * away).sum() / 2)


def prove_minimum(
    layers: Sequence[Layer],
    ideal: Sequence[Layer] | None,
    function: PiecewiseLinear,
    exact: Fit,
    lower: float | None = None,
) -> Proof:
    """What is proved of layers of floats on the samples of a fit in balls.

    `ideal` are layers in balls that put out the fit, if such are known near by.
    """
    with flint.ctx.workprec(PRECISION):
        risk = exact.risk
        found = _in_balls(layers)
        before = run(found, function, exact.inputs)[0]
        held = [_held(each, function) for each in before]
        away = None if ideal is None else _distance(found, ideal)
        reason = _reason(held)
        radius = None if reason else _radius(found, function, exact.inputs, before, held)
        return Proof(radius, away, below(risk), above(risk), lower, reason)


@dataclass(frozen=True)
class _Held:
    """Of the units of a layer: distances to the ends of their pieces, and the pieces.

    Attributes:
        margins: lower bounds, (N, n_l); infinite without a kink.
        pieces: by number, (N, n_l).
    """

    margins: Floats
    pieces: Floats


def _held(before: Balls, function: PiecewiseLinear) -> _Held:
    middles: Floats = before.astype(np.float64)
    knots = np.array([kink.at for kink in function.kinks])
    if not knots.size:
        return _Held(np.full(middles.shape, math.inf), np.zeros(middles.shape))
    pieces = np.searchsorted(knots, middles)
    distances = np.stack([abs(before - knot) for knot in knots])
    margins = np.frompyfunc(below, 1, 1)(distances).astype(np.float64).min(axis=0)
    return _Held(margins, pieces.astype(np.float64))


def _reason(held: Sequence[_Held]) -> str | None:
    for number, layer in enumerate(held, start=1):
        at = np.argwhere(~(layer.margins > 0))
        if at.size:
            sample, unit = at[0]
            return f"unit {unit} of layer {number} is at a kink for sample {sample}"
        apart = np.flatnonzero(np.ptp(layer.pieces, axis=0))
        if apart.size:
            return f"unit {apart[0]} of layer {number} is in several pieces, one for some samples"
    return None


def _radius(
    layers: Sequence[Layer],
    function: PiecewiseLinear,
    inputs: Balls,
    before: Sequence[Balls],
    held: Sequence[_Held],
) -> float | None:
    """A radius within which no unit changes its piece."""
    sizes = [norms_of(each) for each in (inputs, *map(function, before))]
    if all(np.isinf(layer.margins).all() for layer in held):
        return math.inf
    rows = [norms_of(layer.weight) for layer in layers[:-1]]
    steep = max(abs(slope) for slope in function.slopes)
    chain = _Chain(rows, sizes, [layer.margins for layer in held], steep)
    plain = _Chain(
        [each.astype(np.float64) for each in rows],
        [each.astype(np.float64) for each in sizes],
        chain.margins,
        steep,
    )
    low, high = 0.0, float(chain.margins[0].min())
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if plain.holds(middle) else (low, middle)
    radius = low * _SHORT
    return radius if radius > 0 and chain.holds(arb(radius)) else None


@dataclass(frozen=True)
class _Chain:
    """How a change of parameters is passed on from layer to layer; in floats or in balls.

    Attributes:
        rows: norms of the rows of each hidden layer's weights, (n_l,).
        sizes: norms of the inputs and of what each hidden layer puts out, (N,).
        margins: of each hidden layer, (N, n_l).
        steep: the greatest |slope|.
    """

    rows: Sequence[Numbers]
    sizes: Sequence[Numbers]
    margins: Sequence[Floats]
    steep: float

    def holds(self, radius: Number) -> bool:
        """Whether no unit changes its piece where parameters change by at most the radius.

        A pre-activation w·a + b then changes by at most r√(1 + ‖a'‖²) + ‖w‖‖Δa‖, a' = a + Δa; what
        the layer puts out by at most its steepest slope times that of all its units together.
        """
        change: Numbers = 0 * self.sizes[0]
        layers = zip(self.rows, self.sizes[:-1], self.margins, strict=True)
        for rows, sizes, margins in layers:
            reached = _roots(1 + (sizes + change) ** 2)
            moved = reached[:, None] * radius + change[:, None] * rows
            if not (moved < margins).all():
                return False
            whole = _roots((rows * rows).sum(keepdims=True))
            change = (reached * radius + change * whole) * self.steep
        return True


def _roots(values: Numbers) -> Numbers:
    """Square roots of positive floats or balls."""
    if values.dtype != object:
        roots: Floats = np.sqrt(values)
        return roots
    root: Callable[[Numbers], Numbers] = np.frompyfunc(arb.sqrt, 1, 1)
    return root(values)


def _in_balls(layers: Sequence[Layer]) -> list[Layer]:
    return [Layer(balls(layer.weight), balls(layer.bias)) for layer in layers]


def _distance(layers: Sequence[Layer], others: Sequence[Layer]) -> float:
    """An upper bound of the Euclidean distance of all parameters."""
    parts = [
        (one - other).ravel()
        for a, b in zip(layers, others, strict=True)
        for one, other in ((a.weight, b.weight), (a.bias, b.bias))
    ]
    return above(norms_of(np.concatenate(parts)[None])[0])
