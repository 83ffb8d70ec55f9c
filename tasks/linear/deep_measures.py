"""Statistics that decide the claims about deep linear networks, and the checks of hypotheses.

Each reads a study's scans: name → DataTree whose root holds the losses, the ends of descents and
the builder's facts, one set for each replicate. Losses are judged on the split train, relative to
‖Y‖², the loss at zero weights. Over scans and replicates the worst one counts.

Shape legend: K = descents, n = weights, T = points of a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from schemas.layout import NUMBER, REPLICATE, SPLIT, START, DescentOutcome
from schemas.study import Statistic
from tasks.facts import Trees, facts_of

if TYPE_CHECKING:
    import xarray as xr

Facts: TypeAlias = Mapping[str, Any]
Floats: TypeAlias = npt.NDArray[np.float64]
Check: TypeAlias = Callable[[Trees], bool]

AXIS_NAME = "t"
GAP = 1e-6
"""Excess over the global minimum, relative to ‖Y‖², below which an end is global."""
SLOPE = 1e-4
"""Gradient of ℓ₀ relative to that at the zero map, below which it vanishes."""
MOST_UNCONVERGED = 0.01
"""Share of descents that may be given up without making a scan inconclusive."""
LEAST_OF_EACH = 0.02
"""Share of the ends that must be global, and share that must not, to compare two criteria."""
FITTED = 0.01
"""The coordinate up to which the order of flatness is fitted."""
GENERIC = 1e-4
"""Least cosine of Y with the outputs along a line for it to count as generic."""
RESOLVED = 1e-12
"""Greatest difference of the rise and the difference of losses, relative to ‖Y‖²."""


@dataclass(frozen=True)
class Ends:
    """The converged ends of the descents of a replicate, and how many were given up.

    Attributes:
        facts: what the builder knows of the replicate.
        losses: (K,).
        excess: loss above the global minimum, or, where none is known, above the least that any
            descent has reached, converged or not; relative to ‖Y‖², (K,).
        saddles: where the Hessian has a negative eigenvalue, (K,).
        given_up: share of the descents that have not converged.
        parameters: (n, K) if they were stored.
    """

    facts: Facts
    losses: Floats
    excess: Floats
    saddles: npt.NDArray[np.bool_]
    given_up: float
    parameters: Floats | None


def ends(scans: Trees, name: str, least: str = "global_minimum") -> list[Ends]:
    """The ends of each replicate; `least` names the fact above which the excess is taken."""
    found = []
    for facts, data in _replicates(scans[name]):
        outcome = np.asarray(data["outcome"])
        done = outcome != DescentOutcome.NOT_CONVERGED
        saddles = outcome[done] == DescentOutcome.SADDLE
        losses = np.asarray(data["end_loss"], dtype=np.float64)
        floor = facts[least] if least in facts else losses[np.isfinite(losses)].min(initial=np.inf)
        kept = data["end_parameters"].transpose(NUMBER, START) if "end_parameters" in data else None
        parameters = None if kept is None else np.asarray(kept, dtype=np.float64)[:, done]
        excess = (losses[done] - floor) / facts["loss_at_zero"]
        found.append(Ends(facts, losses[done], excess, saddles, float(1 - done.mean()), parameters))
    return found


def share_at_global(*names: str) -> Statistic:
    """Share of the converged descents that end at the global minimum.

    NaN if none ends elsewhere and many are given up; a single one elsewhere decides.
    """
    return _share_at(names, "global_minimum")


def share_at_regression(name: str) -> Statistic:
    """The same with the least loss of maps of any rank for the global minimum."""
    return _share_at((name,), "regression_minimum")


def _share_at(names: Sequence[str], least: str) -> Statistic:
    def share(one: Ends) -> float:
        there = np.abs(one.excess) <= GAP
        undecided = there.all() and one.given_up > MOST_UNCONVERGED
        return np.nan if undecided else float(there.mean())

    return lambda scans: _least(share(one) for name in names for one in ends(scans, name, least))


def share_of_saddles(*names: str) -> Statistic:
    """Share of the converged ends above the least loss that are saddles; NaN if they are few."""

    def share(scans: Trees) -> float:
        found = [one for name in names for one in ends(scans, name)]
        above = np.concatenate([one.excess > GAP for one in found])
        saddles = np.concatenate([one.saddles for one in found])
        enough = above.any() and above.mean() >= LEAST_OF_EACH
        return float(saddles[above].mean()) if enough else np.nan

    return share


def criteria_agree(*names: str) -> Statistic:
    """Share of the converged ends at which `excess` and ∇ℓ₀ both vanish or both do not.

    NaN unless there are enough of either kind; descents that are given up are no critical points.
    """

    def share(scans: Trees) -> float:
        found = [one for name in names for one in ends(scans, name)]
        least = np.concatenate([one.excess <= GAP for one in found])
        flat = np.concatenate([map_gradients(one) <= SLOPE for one in found])
        rarer = min(least.sum(), len(least) - least.sum())
        enough = rarer > 0 and rarer >= LEAST_OF_EACH * len(least)
        return float((least == flat).mean()) if enough else np.nan

    return share


def map_gradients(found: Ends) -> Floats:
    """‖∇ℓ₀(R)‖ at the product R of the weights of each end, over that at R = 0, (K,).

    ℓ₀(R) = ‖Y − R X‖² and ∇ℓ₀(R) = 2 (R XXᵀ − YXᵀ).
    """
    if found.parameters is None:
        raise ValueError("the parameters at the ends were not stored")
    widths = found.facts["widths"]
    product = np.eye(widths[0])[None]
    at = 0
    for columns, rows in pairwise(widths):
        layer = found.parameters[at : at + rows * columns].T.reshape(-1, rows, columns)
        product, at = layer @ product, at + rows * columns
    targets = np.asarray(found.facts["target_moment"])
    slopes = product @ np.asarray(found.facts["input_moment"]) - targets
    norms: Floats = np.linalg.norm(slopes, axis=(1, 2)) / np.linalg.norm(targets)
    return norms


def distance_from_values(*names: str) -> Statistic:
    """The greatest distance of a converged end's loss from ‖Y‖² − Σ_{i∈S} λᵢ, relative to ‖Y‖².

    λ are the eigenvalues of YXᵀ(XXᵀ)⁺XYᵀ, and S any of their subsets up to the least width.
    """

    def distance(one: Ends) -> float:
        known, scale = np.asarray(one.facts["eigenvalues"]), float(one.facts["loss_at_zero"])
        sizes = range(min(min(one.facts["widths"]), len(known)) + 1)
        sums = [sum(kept) for size in sizes for kept in combinations(known, size)]
        off = np.abs(one.losses[:, None] - (scale - np.array(sums)))
        return float(off.min(axis=1).max() / scale) if len(off) else np.nan

    return lambda scans: _greatest(distance(one) for name in names for one in ends(scans, name))


def derivatives_at_origin(*names: str) -> Statistic:
    """The greatest of gradient norm and |Hessian eigenvalue| at coordinate 0."""
    measured = ("gradient_norm", "hessian_eigenvalue_min", "hessian_eigenvalue_max")

    def greatest(_: Facts, data: xr.Dataset) -> float:
        at = data.sel({AXIS_NAME: 0.0})
        return max(abs(float(at[name])) for name in measured)

    return _worst(names, greatest)


def least_eigenvalue_error(*names: str) -> Statistic:
    """|λ_min / (−2 σ_max(XYᵀ)) − 1| at coordinate 0.

    At zero weights of two layers L = ‖Y‖² − 2⟨W_2 W_1, YXᵀ⟩ + …, whose least curvature is along
    the singular vectors of YXᵀ, half in each layer.
    """

    def error(facts: Facts, data: xr.Dataset) -> float:
        least = float(data["hessian_eigenvalue_min"].sel({AXIS_NAME: 0.0}))
        expected = -2 * float(facts["greatest_moment"])
        return abs(least / expected - 1)

    return _worst(names, error)


def share_below_origin(*names: str) -> Statistic:
    """Share of the points up to `FITTED` at which the loss is below that at coordinate 0."""

    def share(scans: Trees) -> float:
        lines = [line for name in names for line in rises(scans, name)]
        return _least(float((rise[t <= FITTED] < 0).mean()) for t, rise in lines)

    return share


def order_error(*names: str) -> Statistic:
    """The greatest |order − H|, the order being the slope of log |L(t) − L(0)| over log t."""

    def error(scans: Trees) -> float:
        return _greatest(
            abs(order(t, rise) - float(facts["depth"]))
            for name in names
            for (facts, _), (t, rise) in zip(
                _replicates(scans[name]), rises(scans, name), strict=True
            )
        )

    return error


def curvatures(scans: Trees, name: str) -> list[tuple[Floats, Floats]]:
    """Positive coordinates (T,) and the greatest |Hessian eigenvalue| over 2σ_max(XYᵀ), (T,)."""
    found = []
    for facts, data in _replicates(scans[name]):
        t = np.asarray(data[AXIS_NAME], dtype=np.float64)
        ends = [np.asarray(data[f"hessian_eigenvalue_{end}"])[t > 0] for end in ("min", "max")]
        greatest = np.abs(np.stack(ends)).max(axis=0) / (2 * facts["greatest_moment"])
        found.append((t[t > 0], greatest))
    return found


def rises(scans: Trees, name: str) -> list[tuple[Floats, Floats]]:
    """Positive coordinates t (T,) and L(t) − L(0) (T,) of each replicate, from the split `rise`."""
    found = []
    for _, data in _replicates(scans[name], "rise"):
        t = np.asarray(data[AXIS_NAME], dtype=np.float64)
        found.append((t[t > 0], np.asarray(data["loss"], dtype=np.float64)[t > 0]))
    return found


def order(t: Floats, rise: Floats) -> float:
    """The slope of log |rise| over log t up to `FITTED`; NaN where some rise is zero."""
    near = t <= FITTED
    if not (rise[near] != 0).all():
        return np.nan
    return float(np.polyfit(np.log(t[near]), np.log(np.abs(rise[near])), 1)[0])


def lines_generic(scans: Trees, name: str) -> bool:
    """Whether every line goes through zero weights and is generic, and its rises are true.

    They are compared with the differences of the losses themselves, as far as those are resolved.
    """
    if any(facts["origin"] != "zero" or facts["relu_after"] for facts in facts_of(scans[name])):
        return False
    pairs = zip(_replicates(scans[name]), rises(scans, name), strict=True)
    for (facts, data), (_, rise) in pairs:
        losses = np.asarray(data["loss"].where(data[AXIS_NAME] > 0, drop=True), dtype=np.float64)
        off = np.abs(losses - facts["loss_at_zero"] - rise).max() / facts["loss_at_zero"]
        if not min(facts["alignments"]) >= GENERIC or off > RESOLVED:
            return False
    return True


def every(names: Sequence[str], true: Callable[[Facts], bool]) -> Check:
    """Whether something is true of the facts of every replicate of the scans."""
    return lambda scans: all(true(facts) for name in names for facts in facts_of(scans[name]))


def _least(values: Iterable[float]) -> float:
    """The least value; NaN if any is."""
    return float(np.min(list(values)))


def _greatest(values: Iterable[float]) -> float:
    """The greatest value; NaN if any is."""
    return float(np.max(list(values)))


def _worst(names: Sequence[str], measure: Callable[[Facts, xr.Dataset], float]) -> Statistic:
    """The greatest of a measure; NaN if any is."""

    def worst(scans: Trees) -> float:
        pairs = (pair for name in names for pair in _replicates(scans[name]))
        return _greatest(measure(facts, data) for facts, data in pairs)

    return worst


def _replicates(tree: xr.DataTree, split: str = "train") -> Iterator[tuple[Facts, xr.Dataset]]:
    data = tree.to_dataset().sel({SPLIT: split})
    if REPLICATE not in data.dims:
        data = data.expand_dims(REPLICATE)
    for number, facts in enumerate(facts_of(tree)):
        yield facts, data.isel({REPLICATE: number})
