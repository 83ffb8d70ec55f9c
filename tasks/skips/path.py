"""The path of Theorem 3.4: from any parameters to a loss as small as is wanted, never rising.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749, Theorem 3.4 and its proof. If Ψ has not rank N, the
other parameters U are moved until it has. Then V goes straight towards V* with ΨV* = t*Y − what the
network puts out without V, where t* makes the loss ε/2. The loss is convex along this line; the
paper's line stays in the sublevel set, and one that ends at the line's least point does not rise.

Shape legend: N = samples, M = columns of Ψ, m = outputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from scipy.optimize import brentq
from torch import Tensor
from torch.func import grad

from schemas.errors import WorkError
from tasks.skips.features import rank
from tasks.skips.networks import MOVES, hidden_names, normal_numbers
from tasks.skips.problem import Point, Problem

WELL_CONDITIONED = 2.0**15
"""Margin of the rank of Ψ from which on rounding of ΨV* is of no account."""
ALLOWED = 1e-10
"""Rise of the loss that is taken for rounding, relative to 1 + loss."""
_SPAN = 1e-3
"""Singular values of Ψ, relative to the greatest, along which V falls while U is moved."""
_TRIES = 10
_LARGEST, _SMALLEST = 4.0, 2.0**-30
_PROBED = 37
_BEYOND = 1.125
_MISSED = 1e-3


@dataclass(frozen=True)
class DescendingPath:
    """Control points of the path, from the start over one where Ψ has full rank to the end.

    Attributes:
        start, full_rank, end: parameters by name; the first two are one where the start has it.
        facts: what was found on the way, as plain JSON values.
    """

    start: Point
    full_rank: Point
    end: Point
    facts: dict[str, Any]


@dataclass(frozen=True)
class Conditioning:
    """How far Ψ (N, M) is from losing rank N.

    Attributes:
        rank: singular values above rounding.
        margin: the least of N singular values in units of that rounding; 0 where M < N.
    """

    rank: int
    margin: float


def conditioning(features: Tensor) -> Conditioning:
    """Of Ψ (N, M), in float64."""
    found = rank(features)
    wide = features.shape[1] >= features.shape[0] and found.tolerance > 0
    return Conditioning(found.rank, found.smallest / found.tolerance if wide else 0.0)


def target_scale(epsilon: float, outputs: int) -> float:
    """t* = log((m − 1)/(e^{ε/2} − 1)): outputs t*Y have the loss ε/2."""
    return math.log((outputs - 1) / math.expm1(epsilon / 2))


def descending_path(
    problem: Problem, start: Point, epsilon: float, seed: int, *, attainable: bool = True
) -> DescendingPath:
    """The path from `start` to a loss of at most ε/2, or of the start if that is less.

    Where U is moved the loss rises by no more than ALLOWED·(1 + loss) between two of the points
    probed; afterwards it does not rise at all but for rounding. With `attainable` false, for
    features that cannot have rank N, U is not moved, and the line goes to the least squares of
    ΨV* = t*Y, as far as the loss falls.

    Raises:
        WorkError: no move is found after which Ψ has rank N, or V* misses its loss by rounding.
    """
    before = conditioning(problem.parts(start)[1])
    moved = attainable and before.margin < WELL_CONDITIONED
    full_rank = _to_full_rank(problem, start, before, seed) if moved else dict(start)
    added, features = problem.parts(full_rank)
    after = conditioning(features)
    target = target_scale(epsilon, added.shape[1]) * problem.wanted
    readout = torch.linalg.lstsq(features, target - added, driver="gelsd").solution
    goal = problem.with_readout(full_rank, readout)
    predicted = float(problem.loss(goal))
    if attainable and abs(predicted - epsilon / 2) > _MISSED * epsilon:
        raise WorkError(
            f"the path ends at a loss of {predicted:.3g}, expected {epsilon / 2:.3g}: the rank of "
            f"the features is lost in rounding, whose least singular value is {after.margin:.1g} "
            "times that; give more skips or wider hidden layers"
        )
    part = _least_point(problem, full_rank, goal)
    end = problem.with_readout(
        full_rank, torch.lerp(problem.readout(full_rank), readout, torch.tensor(part).double())
    )
    facts = {
        "rank_at_start": before.rank,
        "margin_at_start": before.margin,
        "rank": after.rank,
        "margin": after.margin,
        "moved": moved,
        "readout_norm": float(readout.norm()),
        "stopped_at": part,
        "loss_at_start": float(problem.loss(start)),
        "loss_at_full_rank": float(problem.loss(full_rank)),
        "loss_at_end": float(problem.loss(end)),
    }
    return DescendingPath(dict(start), full_rank, end, facts)


def _to_full_rank(
    problem: Problem, start: Point, before: Conditioning, seed: int
) -> dict[str, Tensor]:
    """A point where Ψ has rank N, to which the loss falls on a straight line.

    U moves at random while V goes down: by −Ψ⁺(p − Y), p the softmax of the outputs, a gradient
    step in the outputs as far as Ψ can make them. Its loss gained pays for what the random part may
    cost, whose size is halved until the loss does not rise. Where no first-order descent is left
    the size falls until the rise is within what is allowed, and no more than that is promised.
    """
    best, found = before, dict(start)
    down = _down(problem, start)
    slope = grad(problem.loss)(dict(start))
    for attempt in range(_TRIES):
        drawn = normal_numbers(problem.module, seed, MOVES, attempt)
        around = {name: drawn[name] for name in hidden_names(problem.module)}
        uphill = sum(float((slope[name] * around[name]).sum()) for name in around)
        sign = -1.0 if uphill > 0 else 1.0
        size = _LARGEST
        while size >= _SMALLEST:
            moved = {**down, **{n: start[n] + sign * size * d for n, d in around.items()}}
            if not _rises(problem, start, moved):
                break
            size /= 2
        else:
            continue
        reached = conditioning(problem.parts(moved)[1])
        if reached.margin > best.margin:
            best, found = reached, moved
        if best.margin >= WELL_CONDITIONED:
            return found
    if best.rank < len(problem.inputs):
        raise WorkError(
            f"the features of {len(problem.inputs)} samples have rank {best.rank} after "
            f"{_TRIES} moves, of which none raises the loss; expected full rank: give more skips, "
            "wider hidden layers, or distinct samples"
        )
    return found


def _down(problem: Problem, point: Point) -> dict[str, Tensor]:
    """The point with V − Ψ⁺(p − Y), of the well-conditioned part of Ψ."""
    added, features = problem.parts(point)
    readout = problem.readout(point)
    excess = torch.softmax(added + features @ readout, dim=1) - problem.wanted
    return problem.with_readout(point, readout - torch.linalg.pinv(features, rtol=_SPAN) @ excess)


def _rises(problem: Problem, first: Point, last: Point) -> bool:
    # Also somewhat beyond the end, lest the least point lie just before it.
    parts = torch.linspace(0, _BEYOND, _PROBED, dtype=torch.float64)
    losses = problem.losses(first, last, parts)
    if not bool(losses.isfinite().all()):
        return True
    return float(losses.diff().max()) > ALLOWED * (1 + float(losses[0]))


def _least_point(problem: Problem, first: Point, last: Point) -> float:
    """Where the loss is least on a line in V, a part of it in [0, 1]; it is convex there."""

    def loss(part: Tensor) -> Tensor:
        return problem.loss({n: first[n] + part * (last[n] - first[n]) for n in first})

    def slope(part: float) -> float:
        return float(grad(loss)(torch.tensor(part, dtype=torch.float64)))

    if slope(1.0) <= 0:
        return 1.0
    return 0.0 if slope(0.0) >= 0 else float(brentq(slope, 0.0, 1.0, xtol=1e-12))
