"""Statistics of equal units, at a local minimum that is not global, and of random features.

Shape legend: N = samples, d = inputs of each, n = units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from schemas.study import Hypothesis, Series, Statistic
from tasks.facts import Trees, facts_of
from tasks.landscape import Floats
from tasks.wide.certificate import prove_trap
from tasks.wide.conditions import distinct
from tasks.wide.trap import derivatives

_CRITICAL = 1e-9
"""Of the greatest term, what sums of the residuals may be for these to meet their equations."""
_SEED = 0
_TARGETS = 50
_MOVED = 1e-5


@dataclass(frozen=True)
class EqualUnits:
    """What equal units w (d,) of a scan are to its samples, in float64.

    Attributes:
        loss: Σe_i²/N.
        sums: the greatest of Σe_iσ_i/N and Σe_iσ'_ix_i/N, relative to their terms.
        curvature: the least eigenvalue of Σe_iσ''_ix_ix_iᵀ/N.
        least_output: of the output weights.
    """

    loss: float
    sums: float
    curvature: float
    least_output: float

    @property
    def minimum(self) -> bool:
        """Whether e is as a local minimum needs it."""
        return self.sums <= _CRITICAL and self.curvature > 0 and self.least_output > 0


def equal_units(tree: xr.DataTree) -> EqualUnits:
    """Equal units of a scan of data: trap or saddle."""
    inputs, targets, unit, outputs, activation = _made_for(tree)
    value, slope, bend = derivatives(activation, inputs @ unit)
    away = outputs.sum() * value - targets
    terms = np.column_stack([away * value, (away * slope)[:, None] * inputs])
    curvature = (inputs.T * (away * bend)) @ inputs / len(inputs)
    return EqualUnits(
        loss=float(np.square(away).mean()),
        sums=float(np.abs(terms.mean(axis=0)).max() / np.abs(terms).max()),
        curvature=float(np.linalg.eigvalsh(curvature)[0]),
        least_output=float(outputs.min()),
    )


def _made_for(tree: xr.DataTree) -> tuple[Floats, Floats, Floats, Floats, str]:
    facts = facts_of(tree)[0]
    inputs, targets, unit, outputs = (
        np.array(facts[name]) for name in ("inputs", "targets", "unit", "outputs")
    )
    return inputs, targets, unit, outputs, facts["activation"]


def _proof(tree: xr.DataTree) -> dict[str, Any]:
    found: dict[str, Any] = facts_of(tree)[0]["proof"]
    return found


def false_minimum(scan: str) -> Statistic:
    """How far a local minimum is above the global one, at least; None if it is not proved."""

    def statistic(scans: Trees) -> float | None:
        proof = _proof(scans[scan])
        return float(proof["loss_lower"]) if proof["proved"] else None

    return statistic


def share_proved(*names: str) -> Statistic:
    """The share of scans whose equal units are proved to be a local minimum and not global."""
    return lambda scans: float(np.mean([_proof(scans[name])["proved"] for name in names]))


def share_of_targets(scan: str) -> Statistic:
    """The share of targets near a scan's with which there is such a minimum near by, proved."""

    def statistic(scans: Trees) -> float:
        inputs, targets, unit, outputs, activation = _made_for(scans[scan])
        random = np.random.default_rng(_SEED)
        factors = 1 + _MOVED * random.standard_normal((_TARGETS, len(targets)))
        proofs = [
            prove_trap(inputs, moved, unit, outputs, activation) for moved in factors * targets
        ]
        return float(np.mean([proof.proved for proof in proofs]))

    return statistic


def greatest_gradient(*names: str) -> Statistic:
    """The greatest norm of the gradient."""
    return lambda scans: max(float(_values(scans[n], "gradient_norm").max()) for n in names)


def least_eigenvalue(*names: str) -> Statistic:
    """The least eigenvalue of the Hessian."""
    return lambda scans: min(
        float(_values(scans[n], "hessian_eigenvalue_min").min()) for n in names
    )


def least_rise(*names: str) -> Statistic:
    """The least rise of the loss from that of equal units, relative to it."""
    return lambda scans: min(float(_rises(scans[n], "loss").min()) for n in names)


def greatest_change(*names: str) -> Statistic:
    """The greatest change of the loss from that of equal units, relative to it."""
    return lambda scans: max(float(np.abs(_rises(scans[n], "loss")).max()) for n in names)


def ends_apart(*names: str) -> Statistic:
    """The same of the losses at which descents end."""
    return lambda scans: max(float(np.abs(_rises(scans[n], "end_loss")).max()) for n in names)


def greatest_rank(*names: str) -> Statistic:
    """The greatest rank of the features at the origin."""
    return lambda scans: max(facts_of(scans[n])[0]["feature_ranks"][-1] for n in names)


def greatest_unsolved(*names: str) -> Statistic:
    """The greatest loss, relative to that of outputs of 0."""

    def statistic(scans: Trees) -> float:
        found = []
        for name in names:
            targets = np.array(facts_of(scans[name])[0]["targets"])
            found.append(_values(scans[name], "loss").max() / np.square(targets).mean())
        return float(max(found))

    return statistic


def way(scan: str, label: str) -> Callable[[Trees], Series]:
    """The loss straight to a global minimum, in units of that of equal units."""

    def series(scans: Trees) -> Series:
        rises = _rises(scans[scan], "loss")
        return Series(label, _values(scans[scan], "t").tolist(), (1 + rises).tolist())

    return series


def wide_and_distinct(*names: str) -> Hypothesis:
    """What Yu & Chen suppose."""

    def met(scans: Trees) -> bool:
        return all(_is_wide(facts_of(scans[name])[0]) for name in names)

    return Hypothesis("inputs are distinct, with no fewer hidden units than samples", met)


def _is_wide(facts: dict[str, Any]) -> bool:
    inputs = np.array(facts["inputs"])
    return distinct(inputs) and facts["widths"][-1] >= len(inputs)


def made_as_minima(*names: str) -> Hypothesis:
    """The residuals are as a local minimum at equal units needs them."""
    return Hypothesis(
        "output weights of equal units are positive, and with the residuals e the sum "
        "Σ e_i σ(u·x_i) has a critical point of positive curvature at their weights",
        lambda scans: all(equal_units(scans[name]).minimum for name in names),
    )


def exchanged(*names: str) -> Hypothesis:
    """Only output weights move, and their sum does not."""

    def met(scans: Trees) -> bool:
        found = [facts_of(scans[name])[0] for name in names]
        return all("unit" in facts and facts["section"] == "flat" for facts in found)

    return Hypothesis("units stay equal, and the sum of their output weights stays as it is", met)


def of_equal_units(*names: str) -> Hypothesis:
    """The origin has equal units."""
    return Hypothesis(
        "all units have the same weights",
        lambda scans: all("unit" in facts_of(scans[name])[0] for name in names),
    )


def _values(tree: xr.DataTree, name: str) -> Floats:
    return np.asarray(tree[name].values, dtype=np.float64).ravel()


def _rises(tree: xr.DataTree, name: str) -> Floats:
    loss = equal_units(tree).loss
    return (_values(tree, name) - loss) / loss
