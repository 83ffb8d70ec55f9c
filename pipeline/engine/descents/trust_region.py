"""Newton's method in a trust region, many descents at once, for few variables.

A step goes along the eigenvectors of the Hessian, along each by −gradient/|eigenvalue|, so it leads
down where an eigenvalue is negative, and along none further than the radius of the region. It is
taken if the loss falls, or, where the loss no longer changes but for rounding, if the gradient
does; if not, or if it falls by less than a quarter of what the Hessian foresees, the region shrinks
to a quarter of the step (Conn, Gould & Toint 2000, Trust-region methods, algorithm 6.1.1). As the
region is small, a descent keeps to the basin that it begins in.

Shape legend: P = descents, z = variables, f = those that are not held.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.engine.descents.derivatives import gradient_and_hessian
from pipeline.engine.descents.functions import Function

CONVERGED = 1e-6
"""In cells: from where a descent has converged, Newton's next step is no longer than this."""
ROUNDING = 64 * torch.finfo(torch.float64).eps
"""Of the loss: changes along a direction, within a cell, that are taken for rounding."""

# Points whose Hessians are held at once.
_TOGETHER = 256
_ITERATIONS = 60
_FIRST_RADIUS = 0.5
_GREATEST_RADIUS = 2.0
_TRUSTED = 0.25


@dataclass(frozen=True)
class Box:
    """Bounds of the variables (z,). Those whose bounds are equal are held."""

    least: Tensor
    greatest: Tensor


@dataclass(frozen=True)
class Bottoms:
    """Where descents have ended.

    Attributes:
        theta: variables (P, z).
        loss, gradient_norm: (P,), the gradient by variables in cells.
        spectrum: eigenvalues of the Hessian in cells (P, f), ascending.
        converged: along each eigenvector Newton's step is at most CONVERGED, or the gradient at
            most ROUNDING of the loss (P,).
        outside: how many cells beyond the box it is, 0 within (P,).
    """

    theta: Tensor
    loss: Tensor
    gradient_norm: Tensor
    spectrum: Tensor
    converged: Tensor
    outside: Tensor


def trust_region(function: Function, starts: Tensor, cells: Tensor, box: Box) -> Bottoms:
    """Descents from starts (P, z), float64, in variables of the widths `cells` (P, z).

    A descent ends where its steps are lost in the rounding of the variables, or a cell beyond the
    box.
    """
    regions = _Regions(function, starts, cells, box)
    for _ in range(_ITERATIONS):
        if not regions.advance():
            break
    return regions.bottoms()


class _Regions:
    """Descents in u, the distance from the start in cells: θ = start + cell · u, with u (P, f)."""

    def __init__(self, function: Function, starts: Tensor, cells: Tensor, box: Box) -> None:
        self._function, self._start, self._box = function, starts, box
        self._free = (box.least < box.greatest).nonzero()[:, 0]
        self._cell = cells[:, self._free]
        self._u = torch.zeros_like(self._cell)
        self._radius = torch.full((len(starts),), _FIRST_RADIUS, dtype=torch.float64)
        self._loss, self._slope, self._bend = self._measured(self._u, torch.arange(len(starts)))
        self._active = self._loss.isfinite() & _finite(self._slope) & _finite(self._bend)

    def advance(self) -> bool:
        """One step of those that are under way; false if there are none."""
        rows = self._active.nonzero()[:, 0]
        if not rows.numel():
            return False
        radius = self._radius[rows]
        step = self._step(rows, radius)
        loss, slope, bend = self._measured(self._u[rows] + step, rows)
        down = loss < self._loss[rows]
        level = (loss - self._loss[rows]).abs() <= ROUNDING * self._loss[rows].abs()
        flatter = slope.norm(dim=1) < self._slope[rows].norm(dim=1)
        taken = (down | (level & flatter)) & _finite(slope) & _finite(bend)
        length = step.norm(dim=1)
        trusted = taken & (
            level | (self._loss[rows] - loss >= _TRUSTED * self._foreseen(rows, step))
        )
        far = length > 0.9 * radius
        radius = torch.where(far, (2 * radius).clamp(max=_GREATEST_RADIUS), radius)
        self._radius[rows] = torch.where(trusted, radius, length / 4)
        on = rows[taken]
        self._u[on] += step[taken]
        self._loss[on], self._slope[on], self._bend[on] = loss[taken], slope[taken], bend[taken]
        self._active[rows] = (length > self._shortest(rows)) & (self._outside(rows) < 1)
        return True

    def bottoms(self) -> Bottoms:
        """Where the descents are."""
        rows = torch.arange(len(self._u))
        return Bottoms(
            self._theta(self._u, rows),
            self._loss,
            self._slope.norm(dim=1),
            _eigen(self._bend)[0],
            self._is_converged(rows),
            self._outside(rows),
        )

    def _theta(self, u: Tensor, rows: Tensor) -> Tensor:
        theta = self._start[rows].clone()
        theta[:, self._free] += self._cell[rows] * u
        return theta

    def _measured(self, u: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Losses (P,), and gradients (P, f) and Hessians (P, f, f) in cells."""
        theta, cell = self._theta(u, rows), self._cell[rows]
        parts = [self._derivatives(block) for block in torch.split(theta, _TOGETHER)]
        loss, slope, bend = (torch.cat(part) for part in zip(*parts, strict=True))
        return loss, slope * cell, bend * cell[:, :, None] * cell[:, None, :]

    def _derivatives(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Losses (P,), and gradients (P, f) and Hessians (P, f, f) in the variables themselves."""
        with torch.no_grad():
            loss = self._function.value(theta).double()
        slope, bend = gradient_and_hessian(self._function, theta)
        return loss, slope[:, self._free], bend[:, self._free][:, :, self._free]

    def _step(self, rows: Tensor, radius: Tensor) -> Tensor:
        """Newton's step (P, f), along each eigenvector downwards and no longer than the radius."""
        spectrum, vectors = _eigen(self._bend[rows])
        along = torch.einsum("pij,pi->pj", vectors, self._slope[rows])
        steps = -along / spectrum.abs().clamp(min=torch.finfo(torch.float64).tiny)
        steps = steps.clamp(-radius[:, None], radius[:, None])
        return torch.einsum("pij,pj->pi", vectors, steps)

    def _foreseen(self, rows: Tensor, step: Tensor) -> Tensor:
        """By how much the loss falls for steps (P, f) if it is as its gradient and Hessian say."""
        along = (self._slope[rows] * step).sum(dim=1)
        bent = torch.einsum("pi,pij,pj->p", step, self._bend[rows], step)
        return -along - bent / 2

    def _is_converged(self, rows: Tensor) -> Tensor:
        """Whether, along each eigenvector, Newton's step or the gradient is next to nothing."""
        spectrum, vectors = _eigen(self._bend[rows])
        along = torch.einsum("pij,pi->pj", vectors, self._slope[rows]).abs()
        rounding = ROUNDING * self._loss[rows].abs()[:, None]
        return (along <= torch.maximum(CONVERGED * spectrum.abs(), rounding)).all(dim=1)

    def _shortest(self, rows: Tensor) -> Tensor:
        """The length in cells of a step that the rounding of coordinates swallows (P,)."""
        theta = self._theta(self._u[rows], rows)[:, self._free].abs()
        return torch.finfo(torch.float64).eps * (theta / self._cell[rows]).amax(dim=1)

    def _outside(self, rows: Tensor) -> Tensor:
        """How many cells beyond the grid they are (P,), 0 within."""
        theta = self._theta(self._u[rows], rows)
        beyond = torch.maximum(self._box.least - theta, theta - self._box.greatest).clamp(min=0)
        return (beyond[:, self._free] / self._cell[rows]).amax(dim=1)


def _finite(tensor: Tensor) -> Tensor:
    return tensor.flatten(1).isfinite().all(dim=1)


def _eigen(bend: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (P, f), ascending, and eigenvectors (P, f, f); NaN of what is not finite."""
    known = _finite(bend)
    spectrum, vectors = torch.linalg.eigh(torch.where(known[:, None, None], bend, 0.0))
    return torch.where(known[:, None], spectrum, torch.nan), vectors
