"""The way from a spurious minimum to a global one: saddles between them, and the straight line.

Shape legend: P = points, m = n·d weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from schemas.layout import END_PARAMETERS, NUMBER, SPLIT
from schemas.study import Hypothesis, Statistic
from tasks.facts import Trees, facts_of, remembered
from tasks.students.cells import Floats
from tasks.students.minima import family_point
from tasks.students.population import PopulationLoss
from tasks.students.published import BAD

if TYPE_CHECKING:
    import xarray as xr

_CONVERGED = 1e-9
_NEGATIVE = 1e-7
_SAME = 1e-9
"""Losses of one critical point differ by less."""
_AT_MINIMUM = 1e-8
_LEVEL = 1e-4
"""What only passes the minimum's loss on its way down is steeper."""
_OFF = 1e-3
"""How far from a saddle the ways down begin."""
_STEP = 0.25
"""Less than 2/λ_max for 25 students or fewer."""
_MOST_STEPS = 100_000


@dataclass(frozen=True)
class Pass:
    """A saddle of index 1 from which one way down leads to a spurious and one to a global minimum.

    Attributes:
        minimum: loss at the spurious minimum.
        saddle: loss at the saddle.
        eigenvalue: the negative one.
        distance: of the saddle from the spurious minimum.
    """

    minimum: float
    saddle: float
    eigenvalue: float
    distance: float

    @property
    def barrier(self) -> float:
        """What a way over this saddle rises above the spurious minimum."""
        return self.saddle - self.minimum


@remembered
def lowest_pass(tree: xr.DataTree) -> Pass | None:
    """The lowest pass among the ends of Newton's method from the softest way.

    None if none is found. It bounds the height of the true barrier from above.
    """
    facts = facts_of(tree)[0]
    loss = PopulationLoss(torch.tensor(facts["teacher"], dtype=torch.float64))
    spurious = torch.from_numpy(family_point(facts["teachers"]).weights).reshape(1, -1)
    least = float(loss(spurious))
    data = tree.to_dataset().sel({SPLIT: "population"})
    there = np.asarray(data["end_gradient_norm"], dtype=np.float64) <= _CONVERGED
    ends = np.asarray(data[END_PARAMETERS].transpose(..., NUMBER), dtype=np.float64)[there]
    seen: list[float] = []
    for point in sorted(torch.from_numpy(ends), key=lambda end: float(loss(end[None]))):
        value = float(loss(point[None]))
        if value <= least + _SAME or any(abs(value - other) <= _SAME for other in seen):
            continue
        seen.append(value)
        eigenvalues, vectors = torch.linalg.eigh(loss.hessians(point[None])[0])
        if int((eigenvalues < -_NEGATIVE).sum()) != 1:
            continue
        low, high = sorted(_downhill(loss, point, vectors[:, 0], least))
        if low < BAD and abs(high - least) <= _AT_MINIMUM:
            away = float((point - spurious[0]).norm())
            return Pass(least, value, float(eigenvalues[0]), away)
    return None


def _downhill(
    loss: PopulationLoss, saddle: Tensor, way: Tensor, least: float = -math.inf
) -> list[float]:
    """Losses at which gradient descent from either side of a saddle (m,) ends, as far as is told:
    below `BAD`, or at a minimum of the loss `least`.
    """
    points = torch.stack([saddle + _OFF * way, saddle - _OFF * way])
    values = torch.full((2,), math.inf)
    for _ in range(_MOST_STEPS):
        values, slopes = loss.slopes(points)
        there = ((values - least).abs() <= _AT_MINIMUM) & (slopes.norm(dim=1) <= _LEVEL)
        if bool(((values < BAD) | there).all()):
            break
        points = points - _STEP * slopes
    return values.tolist()


def relative_barrier(scan: str) -> Statistic:
    """The barrier of the lowest pass, relative to the loss at the section's origin.

    It is 0 if the origin is a saddle itself, from which a way down leads to a global minimum.
    """

    def statistic(scans: Trees) -> float | None:
        facts = facts_of(scans[scan])[0]
        loss = PopulationLoss(torch.tensor(facts["teacher"], dtype=torch.float64))
        origin = torch.from_numpy(family_point(facts["teachers"]).weights).reshape(1, -1)
        eigenvalues, vectors = torch.linalg.eigh(loss.hessians(origin)[0])
        if float(eigenvalues[0]) < 0:
            return 0.0 if min(_downhill(loss, origin[0], vectors[:, 0])) < BAD else None
        found = lowest_pass(scans[scan])
        return None if found is None else found.barrier / found.minimum

    return statistic


def rise_of_line(tree: xr.DataTree) -> tuple[Floats, Floats]:
    """Coordinates (P,) of a line between two minima and losses there less that at its start."""
    values = tree["loss"].sel({SPLIT: "population"})
    t = np.asarray(tree[str(values.dims[0])], dtype=np.float64)
    losses = np.asarray(values, dtype=np.float64)
    return t, losses - losses[int(np.abs(t).argmin())]


def barrier_of_line(tree: xr.DataTree) -> float:
    """The greatest rise on the way from 0 to 1."""
    t, rise = rise_of_line(tree)
    return float(rise[(t >= 0) & (t <= 1)].max())


def begins_at_minimum(scan: str) -> Hypothesis:
    """The section's origin is a local minimum."""
    return Hypothesis(
        "the critical point at the origin is a local minimum",
        lambda scans: facts_of(scans[scan])[0]["spurious_least_eigenvalue"] > 0,
    )


def share_at_spurious(scan: str) -> Statistic:
    """The share of descents that end at the loss of the critical point at the plane's origin."""

    def statistic(scans: Trees) -> float:
        least = facts_of(scans[scan])[0]["spurious_loss"]
        ends = np.asarray(scans[scan]["end_loss"].sel({SPLIT: "population"}), dtype=np.float64)
        return float(np.mean(np.abs(ends - least) <= _AT_MINIMUM))

    return statistic
