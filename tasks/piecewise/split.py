"""Where a fit can be bent so that the risk falls, and by how much.

Yun, Sra & Jadbabaie 2019, arXiv:1802.03487, section 2.2: samples are sorted by the fit's outputs,
and one group of them is shifted up by as much as the other is shifted down. Where all outputs are
tied, the fit is tilted first. Shape legend: N = samples, d = inputs of each, m = outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from tasks.piecewise.fit import Fit
from tasks.piecewise.pieces import Floats
from tasks.piecewise.two_pieces import TwoPieces

_PART = 0.25
"""Of the gap between the groups: what γ is at most, so that no sample changes its group."""
_LEAST_GAIN = 1e-9
"""Relative to the risk. Sums that are 0 but for rounding gain far less."""
_LEAST_GAP = 1e-9
"""Relative to the targets. Outputs nearer to each other count as tied."""
_HALVINGS = 24


@dataclass(frozen=True)
class Split:
    """How output `coordinate` q of the fit is bent.

    With p = ȳ_q + tilt·(x − mean x), β between two neighbours of the sorted p, and e = p − y_q:
    those below are moved to p − cγ, those above to p + cγ; or, if `fold`, all from ȳ_q to
    ȳ_q + γ(g(p − β) − its mean).

    Attributes:
        count: samples below, j_0.
        sum: S = Σ_{i≤j_0} e_i.
        beta, gamma: β and γ.
        tilt: (d,); zeros where the outputs are not tied.
        fold: for slopes that are opposite, where c is not defined.
        mean: of g(p − β); 0 if not `fold`.
        risk: what comes of it, as predicted: ℓ_0 − 2Scγ + Nc²γ²/2 where nothing is tilted.
    """

    coordinate: int
    count: int
    sum: float
    beta: float
    gamma: float
    tilt: Floats
    fold: bool
    mean: float
    risk: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "tilt": self.tilt.tolist()}


def best_split(found: Fit, g: TwoPieces) -> Split | None:
    """The split of the least risk, tilted only where no other lowers it; None if none does."""
    if not g.bends or not found.risk > 0:
        return None
    most = (1 - _LEAST_GAIN) * found.risk
    best = _best(found, g, [np.zeros(found.inputs.shape[1])])
    if best is None or best.risk > most:
        best = _best(found, g, _tilts(found))
        best = None if best is None else _refined(found, g, best)
    return best if best is not None and best.risk <= most else None


def _best(found: Fit, g: TwoPieces, tilts: Iterable[Floats]) -> Split | None:
    splits = (
        split
        for tilt in tilts
        for q in range(len(found.offset))
        for split in _splits(found, g, q, tilt)
    )
    return min(splits, key=lambda split: split.risk, default=None)


def _refined(found: Fit, g: TwoPieces, split: Split) -> Split:
    """The same with a tilt between half and twice as large."""

    def at(factor: float) -> Split:
        splits = _splits(found, g, split.coordinate, factor * split.tilt)
        return min(splits, key=lambda each: each.risk)

    factor = float(minimize_scalar(lambda f: at(f).risk, bounds=(0.5, 2.0), method="bounded").x)
    return min(split, at(factor), key=lambda each: each.risk)


def _tilts(found: Fit) -> Iterator[Floats]:
    """Tilts along the axes and all differences of samples, halved again and again."""
    inputs = found.inputs
    rows, columns = np.triu_indices(len(inputs), 1)
    away = inputs[columns] - inputs[rows]
    lengths = np.linalg.norm(away, axis=1)
    directions = np.vstack([np.eye(inputs.shape[1]), away[lengths > 0]])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    spreads = np.ptp(inputs @ directions.T, axis=0)
    scale = np.sqrt(2 * found.risk / found.targets.size)
    for direction, spread in zip(directions, spreads, strict=True):
        if spread > 0:
            for halving in range(_HALVINGS):
                yield direction * (2 * scale / spread * 0.5**halving)


def _splits(found: Fit, g: TwoPieces, q: int, tilt: Floats) -> Iterator[Split]:
    """One for each gap between sorted outputs of coordinate q."""
    tilted = tilt_of(found, tilt)
    p, e = found.outputs[:, q] + tilted, found.residuals[:, q]
    ordered = np.sort(p)
    gaps = np.diff(ordered)
    for at in np.flatnonzero(gaps > _LEAST_GAP * float(np.abs(found.targets).max())):
        beta, most = float(ordered[at] + gaps[at] / 2), _PART * float(gaps[at])
        made = (_folded if g.shift is None else _shifted)(g, p - beta, e, tilted, most)
        if made is not None:
            gamma, mean, change = made
            below = p < beta
            total = float((e + tilted)[below].sum())
            yield Split(
                q,
                int(below.sum()),
                total,
                beta,
                gamma,
                tilt,
                g.shift is None,
                mean,
                float(found.risk) + change,
            )


def _shifted(
    g: TwoPieces, over: Floats, e: Floats, tilted: Floats, most: float
) -> tuple[float, float, float]:
    """γ, no mean, and by how much the risk changes, for p − β and residuals (N,)."""
    away = e + tilted
    bent = (g.shift or 0.0) * np.where(over < 0, -1.0, 1.0)
    gamma = float(np.clip(-(away @ bent) / (bent @ bent), -most, most))
    tilting = float(tilted @ tilted) / 2 + float(e @ tilted)
    return gamma, 0.0, tilting + gamma * float(away @ bent) + gamma**2 * float(bent @ bent) / 2


def _folded(
    g: TwoPieces, over: Floats, e: Floats, _tilted: Floats, _most: float
) -> tuple[float, float, float] | None:
    """The same of a fold, if it is one; the fit itself is not tilted then."""
    values = g(over)
    mean = float(values.mean())
    bent = values - mean
    if not bent @ bent > _LEAST_GAP * (values @ values):
        return None
    gamma = -float(e @ bent) / float(bent @ bent)
    return gamma, mean, -gamma * gamma * float(bent @ bent) / 2


def tilt_of(found: Fit, tilt: Floats) -> Floats:
    """tilt·(x − mean x), (N,)."""
    tilted: Floats = (found.inputs - found.inputs.mean(axis=0)) @ tilt
    return tilted
