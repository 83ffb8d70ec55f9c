"""Statistics that decide the claims on linear residual nets.

Each reads a study's stored scans: name → DataTree, whose variables are those of `schemas.layout`.
Shape legend: K = replicates, P = points, n = parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from schemas.layout import END_PARAMETERS, NUMBER, REPLICATE, SPLIT, DescentOutcome
from schemas.study import Statistic
from tasks.facts import Trees, facts_of
from tasks.linear.residual_matrices import Floats, spectral_norms
from tasks.linear.residual_parameters import EXCESS, LARGEST_NORM

if TYPE_CHECKING:
    import xarray as xr

Flags: TypeAlias = npt.NDArray[np.bool_]

INSIDE = 0.99
"""τ: an end with max ‖A_i‖ ≤ τ is inside the ball.

A gradient norm of 1e-10 there bounds the excess of two or three layers by 1e-13 / σ_min(Σ), by the
corrected inequality (2.3). Nearer to 1 it says less, and on the sphere itself lie saddles, whose
norms are 1 but for rounding.
"""
LEAST_JUDGED = 1e-10
"""Ratios of the gradient inequality are judged where the excess is greater: below, its own rounding
would decide."""


def values_of(tree: xr.DataTree, name: str) -> Floats:
    """A variable at all points of the split `excess`, if it has splits: (K, P)."""
    variable = tree[name]
    if SPLIT in variable.dims:
        variable = variable.sel({SPLIT: EXCESS})
    if REPLICATE not in variable.dims:
        variable = variable.expand_dims(REPLICATE)
    values = variable.transpose(REPLICATE, ...).to_numpy()
    return np.asarray(values, dtype=np.float64).reshape(len(values), -1)


def at_origin(tree: xr.DataTree, name: str) -> Floats:
    """A variable where every coordinate is 0: (K,)."""
    axes = [dim for dim in tree["loss"].dims if dim not in (SPLIT, REPLICATE)]
    there = tree.to_dataset().sel(dict.fromkeys(axes, 0.0))
    variable = there[name].sel({SPLIT: EXCESS}) if SPLIT in there[name].dims else there[name]
    return np.asarray(variable.to_numpy(), dtype=np.float64).reshape(-1)


def greatest_at_origin(scans: Sequence[str], name: str) -> Statistic:
    """The greatest value of a variable at the origins of all scans and replicates."""
    return lambda trees: max(float(at_origin(trees[scan], name).max()) for scan in scans)


def norm_over_bound(scans: Sequence[str], bound: str) -> Statistic:
    """Greatest max ‖A_i‖ at the origin over the bound that the facts name so."""

    def statistic(trees: Trees) -> float:
        return max(
            float(norm / facts[bound])
            for scan in scans
            for norm, facts in zip(
                at_origin(trees[scan], LARGEST_NORM), facts_of(trees[scan]), strict=True
            )
        )

    return statistic


def decay_exponent(series: Sequence[Sequence[str]]) -> Statistic:
    """The slope of ln max ‖A_i‖ on ln ℓ over the scans of a series: the greatest of all R."""

    def statistic(trees: Trees) -> float:
        slopes = []
        for scans in series:
            depths = [math.log(facts_of(trees[scan])[0]["layers"]) for scan in scans]
            norms = np.log([at_origin(trees[scan], LARGEST_NORM) for scan in scans])
            slopes.append(float(np.polyfit(depths, norms, 1)[0].max()))
        return max(slopes)

    return statistic


@dataclass(frozen=True)
class Ends:
    """Converged ends of the descents of a scan, all replicates together, (P,) each."""

    excess: Floats
    largest_norm: Floats
    found_global: Flags
    started: int

    @property
    def inside(self) -> Flags:
        """Which of them are inside the ball of radius τ."""
        return self.largest_norm <= INSIDE

    @property
    def outside(self) -> Flags:
        """Which of them are not in the open unit ball."""
        return self.largest_norm >= 1


def ends_of(tree: xr.DataTree) -> Ends:
    """The converged ends of a scan that kept the parameters."""
    parameters = tree[END_PARAMETERS].sel({SPLIT: EXCESS})
    if REPLICATE not in parameters.dims:
        parameters = parameters.expand_dims(REPLICATE)
    theta = parameters.transpose(REPLICATE, ..., NUMBER).to_numpy()
    outcome = values_of(tree, "outcome").reshape(-1)
    converged = outcome != DescentOutcome.NOT_CONVERGED
    dimension = facts_of(tree)[0]["dimension"]
    flat = theta.reshape(-1, theta.shape[-1]).astype(np.float64)[converged]
    return Ends(
        values_of(tree, "end_loss").reshape(-1)[converged],
        spectral_norms(flat, dimension).max(axis=1),
        outcome[converged] == DescentOutcome.GLOBAL,
        len(outcome),
    )


def greatest_excess(scans: Sequence[str], which: Callable[[Ends], Flags]) -> Statistic:
    """The greatest excess of the ends that `which` picks; None without such ends."""

    def statistic(trees: Trees) -> float | None:
        found = [ends.excess[which(ends)] for ends in (ends_of(trees[scan]) for scan in scans)]
        values = np.concatenate(found)
        return float(values.max()) if len(values) else None

    return statistic


def share_global_inside(scans: Sequence[str]) -> Statistic:
    """Part of all starts whose descent ends at a global minimum inside the ball."""

    def statistic(trees: Trees) -> float:
        found = [ends_of(trees[scan]) for scan in scans]
        hits = sum(int((ends.inside & ends.found_global).sum()) for ends in found)
        return hits / sum(ends.started for ends in found)

    return statistic


Constant: TypeAlias = Callable[[Mapping[str, Any], Floats], Floats]
"""(facts, τ (P,)) → c (P,) of an inequality ‖∇f‖²_F ≥ c·(f − C)."""


def printed_constant(facts: Mapping[str, Any], tau: Floats) -> Floats:
    """4ℓ(1 − τ)^(ℓ−1) σ_min(Σ)²: Hardt & Ma 2016, arXiv:1611.04231, inequality (2.3)."""
    layers, least = facts["layers"], facts["covariance_eigenvalue_min"]
    constant: Floats = 4 * layers * (1 - tau) ** (layers - 1) * least**2
    return constant


def corrected_constant(facts: Mapping[str, Any], tau: Floats) -> Floats:
    """4ℓ(1 − τ)^(2ℓ−2) σ_min(Σ).

    ∂f/∂A_i is 2·Bᵀ E Σ B'ᵀ with B, B' the products of the other layers, whose ℓ − 1 factors have
    singular values of 1 − τ at the least, and ‖EΣ‖²_F ≥ σ_min(Σ)‖EΣ^½‖²_F = σ_min(Σ)(f − C).
    """
    layers, least = facts["layers"], facts["covariance_eigenvalue_min"]
    constant: Floats = 4 * layers * (1 - tau) ** (2 * (layers - 1)) * least
    return constant


def stronger_constant(facts: Mapping[str, Any], tau: Floats) -> Floats:
    """4ℓ(1 − τ)^(ℓ−1) σ_min(Σ): half of the exponent."""
    layers, least = facts["layers"], facts["covariance_eigenvalue_min"]
    constant: Floats = 4 * layers * (1 - tau) ** (layers - 1) * least
    return constant


def ratios(tree: xr.DataTree, constant: Constant) -> tuple[Floats, Floats]:
    """τ = max ‖A_i‖ and ‖∇f‖²_F / (c·(f − C)) at the points of the open ball, (P,) each."""
    tau, excess = values_of(tree, LARGEST_NORM), values_of(tree, "loss")
    squared = np.square(values_of(tree, "gradient_norm"))
    judged = (tau < 1) & (excess > LEAST_JUDGED)
    constants = np.array(
        [constant(facts, row) for facts, row in zip(facts_of(tree), tau, strict=True)]
    )
    return tau[judged], squared[judged] / (constants[judged] * excess[judged])


def least_ratio(scans: Sequence[str], constant: Constant) -> Statistic:
    """The least of all ratios of an inequality; it holds where that is 1 or more."""

    def statistic(trees: Trees) -> float | None:
        found = np.concatenate([ratios(trees[scan], constant)[1] for scan in scans])
        return float(found.min()) if len(found) else None

    return statistic


def distance_from_one(scan: str, constant: Constant) -> Statistic:
    """The greatest |ratio − 1| of an inequality along a scan."""

    def statistic(trees: Trees) -> float | None:
        found = ratios(trees[scan], constant)[1]
        return float(np.abs(found - 1).max()) if len(found) else None

    return statistic


def two_sides(tree: xr.DataTree, constant: Constant) -> tuple[float, float]:
    """‖∇f‖²_F and c·(f − C) at the origin."""
    tau = at_origin(tree, LARGEST_NORM)
    squared, excess = (at_origin(tree, name) for name in ("gradient_norm", "loss"))
    right = constant(facts_of(tree)[0], tau) * excess
    return float(squared[0] ** 2), float(right[0])


def deviation_of_sides(
    expected: Mapping[str, tuple[float, float]], constant: Constant
) -> Statistic:
    """The greatest difference of both sides at the origins from the expected ones, by scan."""

    def statistic(trees: Trees) -> float:
        return max(
            abs(got - wanted)
            for scan, sides in expected.items()
            for got, wanted in zip(two_sides(trees[scan], constant), sides, strict=True)
        )

    return statistic


def excess_over_margin(scans: Sequence[str]) -> Statistic:
    """The least excess in the open ball over σ_min(RΣ^½)²."""

    def statistic(trees: Trees) -> float:
        found = []
        for scan in scans:
            tree = trees[scan]
            margins = np.array([facts["least_excess_beyond"] for facts in facts_of(tree)])
            in_ball = values_of(tree, LARGEST_NORM) < 1
            relative = values_of(tree, "loss") / margins[:, None]
            found.append(float(relative[in_ball].min()))
        return min(found)

    return statistic
