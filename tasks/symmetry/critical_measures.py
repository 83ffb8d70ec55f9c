"""Statistics of critical points that are made of copies of units.

What the copies are is told from the sign of U, see `curvature.copy_curvature`. Shape legend:
m = units, M = shares that are scanned, r = units of the narrow network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from schemas.study import CaseStatistic, Hypothesis, Statistic
from tasks.facts import Trees, facts_of
from tasks.landscape import Floats
from tasks.symmetry.critical_scans import Copied
from tasks.symmetry.curvature import Kind, Nature, nature
from tasks.symmetry.embedding import add_up

SLOPE = 1e-12
"""Of a gradient's norm, at critical points."""
_NEAR = 1e-9
"""How far a share that is scanned may be from 0, ½ or 1 to count as these."""


def greatest_gradient(scans_of: Sequence[str], excess: float, away: float) -> Statistic:
    """The greatest norm of the gradient at embeddings that are off critical ones as far."""

    def statistic(scans: Trees) -> float:
        found = [scans[name]["gradient_norm"].sel(excess=excess, away=away) for name in scans_of]
        return max(float(each.max()) for each in found)

    return statistic


def greatest_change(scans_of: Sequence[str], excess: float, away: float) -> Statistic:
    """The greatest change of the loss from that of the narrow network, relative to it."""

    def statistic(scans: Trees) -> float:
        changes = []
        for name in scans_of:
            tree = scans[name]
            loss = facts_of(tree)[0]["critical_loss"]
            there = tree["loss"].sel(excess=excess, away=away)
            changes.append(float(np.abs(there / loss - 1).max()))
        return max(changes)

    return statistic


def are_copies(scans_of: Sequence[str], excess: float, away: float) -> Hypothesis:
    """The units of the embeddings are copies, and their shares sum to 1."""

    def met(scans: Trees) -> bool:
        each = [facts for name in scans_of for facts in facts_of(scans[name])]
        return away == 0.0 and all(_add_up(facts, excess) for facts in each)

    return Hypothesis(
        "every unit is a copy of one at the critical point of the narrow network, with shares of "
        "its output weight that sum to 1 over the copies",
        met,
    )


def _add_up(facts: Mapping[str, Any], excess: float) -> bool:
    pairs = zip(facts["copied"], facts["shares"], strict=True)
    critical = facts["critical_slope"] <= SLOPE
    return critical and all(
        add_up(copied, np.array(shares) + excess / np.bincount(copied)[copied])
        for copied, shares in pairs
    )


def formula_differs(units: Sequence[Copied], apart: float) -> Statistic:
    """How far second derivatives are from 0 along the share and μ(1 − μ)U along eigenvectors of U.

    Of any two of these directions, relative to the greatest eigenvalue of U in magnitude, where
    the copies have parted along both eigenvectors as far.
    """

    def statistic(scans: Trees) -> float:
        differences = []
        for copied in units:
            tree = scans[copied.curve]
            there = _of_copies(tree, "section_hessian", apart)
            measured = there.transpose("share", "axis", "axis_other").values
            shares, values = _shares(tree), np.array(facts_of(tree)[0]["curvatures"][copied.unit])
            expected = np.zeros_like(measured)
            expected[:, [1, 2], [1, 2]] = (shares * (1 - shares))[:, None] * values
            differences.append(np.abs(measured - expected).max() / np.abs(values).max())
        return float(max(differences))

    return statistic


def together(units: Sequence[Copied], apart: float) -> Hypothesis:
    """The copies have not parted, at a critical point of the narrow network."""
    return Hypothesis(
        "the copies of a unit at a critical point of the narrow network have the same weights",
        lambda scans: (
            apart == 0.0
            and all(facts_of(scans[unit.curve])[0]["critical_slope"] <= SLOPE for unit in units)
        ),
    )


Mask: TypeAlias = npt.NDArray[np.bool_]
Part: TypeAlias = Callable[[Floats], Mask]
"""Which of the shares (M,) count: a mask (M,)."""


def inside(shares: Floats) -> Mask:
    """Those in (0, 1)."""
    found: Mask = (shares > _NEAR) & (shares < 1 - _NEAR)
    return found


def outside(shares: Floats) -> Mask:
    """Those beyond 0 and 1."""
    found: Mask = (shares < -_NEAR) | (shares > 1 + _NEAR)
    return found


def everywhere(shares: Floats) -> Mask:
    """All but 0 and 1."""
    found: Mask = inside(shares) | outside(shares)
    return found


def half(shares: Floats) -> Mask:
    """½."""
    found: Mask = np.abs(shares - 0.5) < _NEAR
    return found


def least_curvature(tree: xr.DataTree) -> tuple[Floats, Floats]:
    """The shares (M,), and the least eigenvalue of the whole Hessian at the copies (M,).

    Relative to the greatest of U in magnitude, which differs by orders between units.
    """
    found = _of_copies(tree, "hessian_eigenvalue_min", 0.0)
    facts = facts_of(tree)[0]
    scale = np.abs(facts["curvatures"][facts["unit"]]).max()
    return _shares(tree), np.asarray(found.values, dtype=np.float64) / scale


def by_unit(units: Sequence[Copied], part: Part) -> CaseStatistic:
    """For each unit the greatest of the least eigenvalues at these shares, relative to U."""

    def statistic(scans: Trees) -> dict[str, float]:
        return {unit.words: float(_at(scans, unit, part).max()) for unit in units}

    return statistic


def greatest_curvature(units: Sequence[Copied], part: Part) -> Statistic:
    """The greatest of the least eigenvalues at these shares, relative to U."""
    return lambda scans: max(float(_at(scans, unit, part).max()) for unit in units)


def lowest_curvature(units: Sequence[Copied], part: Part) -> Statistic:
    """The least of them."""
    return lambda scans: min(float(_at(scans, unit, part).min()) for unit in units)


def _at(scans: Trees, unit: Copied, part: Part) -> Floats:
    shares, found = least_curvature(scans[unit.curve])
    kept: Floats = found[part(shares)]
    return kept


def of_nature(units: Sequence[Copied], part: Part, expected: Nature) -> Hypothesis:
    """By the sign of U, and the shares, the copies of these units are all of that nature."""

    def met(scans: Trees) -> bool:
        for unit in units:
            tree = scans[unit.curve]
            facts = facts_of(tree)[0]
            kind = Kind(facts["kinds"][unit.unit])
            shares = _shares(tree)
            shares = shares[part(shares)]
            found = {nature(kind, np.array([share, 1 - share])) for share in shares}
            if found != {expected} or facts["critical_least_eigenvalue"] <= 0:
                return False
        return True

    said = {
        Nature.MINIMUM: "U is positive definite and both shares are positive, or negative definite "
        "and one of them is negative",
        Nature.SADDLE: "U is indefinite, or positive definite and one share is negative, or "
        "negative definite and both are positive",
    }
    return Hypothesis(f"at a minimum of the narrow network {said[expected]}", met)


def share_proved(units: Sequence[Copied]) -> Statistic:
    """Of these units, the share for which a minimum, its loss above 0, and U ≻ 0 are proved."""

    def statistic(scans: Trees) -> float:
        return float(np.mean([_is_proved(scans[unit.curve], unit) for unit in units]))

    return statistic


def _is_proved(tree: xr.DataTree, unit: Copied) -> bool:
    proof = facts_of(tree)[0]["proof"]
    sign = proof["kinds"][unit.unit]
    return bool(proof["minimum"] and sign == Kind.POSITIVE and proof["loss_lower"] > 0)


def least_change(scans_of: Sequence[str]) -> Statistic:
    """The least change of the loss at perturbed points, and at ends of descents from them.

    From that of the copies, relative to it.
    """
    return lambda scans: min(float(_ends(scans[name]).min()) for name in scans_of)


def greatest_end(scans_of: Sequence[str]) -> Statistic:
    """The greatest loss of the ends of descents, relative to that of the copies."""
    return lambda scans: max(float(end_losses(scans[name]).max()) for name in scans_of)


def end_losses(tree: xr.DataTree) -> Floats:
    """Losses at which descents have ended, relative to that of the copies."""
    found = np.asarray(tree["end_loss"].values, dtype=np.float64).ravel()
    return found / float(facts_of(tree)[0]["critical_loss"])


def _ends(tree: xr.DataTree) -> Floats:
    loss = float(facts_of(tree)[0]["critical_loss"])
    started = np.asarray(tree["loss"].values, dtype=np.float64).ravel() / loss
    return np.concatenate([started, end_losses(tree)]) - 1


def about(scans_of: Sequence[str], expected: Nature) -> Hypothesis:
    """Starts are about copies that are of that nature."""

    def met(scans: Trees) -> bool:
        return all(_nature_of(facts_of(scans[name])[0]) is expected for name in scans_of)

    return Hypothesis(
        f"by the sign of U and by the shares of its copies the point is a {expected}", met
    )


def _nature_of(facts: Mapping[str, Any]) -> Nature | None:
    others = facts["units"][0] - facts["narrow"]
    shares = np.array([facts["share"], *[(1 - facts["share"]) / others] * others])
    if facts["critical_least_eigenvalue"] <= 0:
        return None
    return nature(Kind(facts["kinds"][facts["unit"]]), shares)


def _shares(tree: xr.DataTree) -> Floats:
    return np.asarray(tree["share"].values, dtype=np.float64)


def _of_copies(tree: xr.DataTree, name: str, apart: float) -> xr.DataArray:
    """A metric over the shares, where the copies have parted along both ways as far."""
    return tree.to_dataset()[name].isel(split=0).sel(first=apart, second=apart)
