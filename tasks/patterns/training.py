"""Observation 2: train the sub-network on the preimage of T, by least squares over h in [0,1]^z.

Czarnecki et al. 2019, arXiv:1912.07559. Shape legend: P = points, z = axes, N = samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.registry import Progress
from tasks.threads import one_thread

Example: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Coordinates (P, z) → what the sub-network puts out there and what it should, both (P, C)."""
Draw: TypeAlias = Callable[[int], Tensor]
"""A number P → coordinates (P, z)."""

_MARGIN = 0.05
_CANDIDATES = 8
_LEVELS = 32
_BY_LEVEL = 1 / 3
_REFINEMENT_POINTS = 8_192
_SHOWN_EVERY = 50
STEP = "training the sub-network"


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train."""

    steps: int
    refinement: int
    batch: int
    learning_rate: float


def train(
    parameters: list[nn.Parameter],
    example: Example,
    draw: Draw,
    *,
    schedule: Schedule,
    progress: Progress,
) -> None:
    """Minimise the mean squared difference of `example` over `draw`, by Adam then L-BFGS."""
    with one_thread():
        _adam(parameters, example, draw, schedule, progress)
        if schedule.steps and schedule.refinement:
            _refine(parameters, example, draw, schedule, progress)


def _adam(
    parameters: list[nn.Parameter],
    example: Example,
    draw: Draw,
    schedule: Schedule,
    progress: Progress,
) -> None:
    optimiser = torch.optim.Adam(parameters, lr=schedule.learning_rate)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(schedule.steps, 1))
    for step in range(schedule.steps):
        optimiser.zero_grad()
        outputs, wanted = example(draw(schedule.batch))
        loss = functional.mse_loss(outputs, wanted)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        decay.step()
        if (step + 1) % _SHOWN_EVERY == 0 or step + 1 == schedule.steps:
            progress(STEP, step + 1, schedule.steps, f"squared error {loss.item():.2e}")


def _refine(
    parameters: list[nn.Parameter],
    example: Example,
    draw: Draw,
    schedule: Schedule,
    progress: Progress,
) -> None:
    points = draw(_REFINEMENT_POINTS)
    done = 0
    optimiser = torch.optim.LBFGS(
        parameters,
        max_iter=schedule.refinement,
        max_eval=schedule.refinement * 5 // 4,
        history_size=30,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        nonlocal done
        optimiser.zero_grad()
        outputs, wanted = example(points)
        loss = functional.mse_loss(outputs, wanted)
        loss.backward()  # type: ignore[no-untyped-call]
        done = min(done + 1, schedule.refinement - 1)
        if done % _SHOWN_EVERY == 0:
            note = f"squared error {loss.item():.2e}"
            progress("refining the sub-network", done, schedule.refinement, note)
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    progress("refining the sub-network", schedule.refinement, schedule.refinement)


def _uniform(z: int, generator: torch.Generator) -> Draw:
    """Uniform coordinates, drawn a little wider than the cube and clamped to it.

    A tenth of them lie on its faces along each axis, which would otherwise be learnt worst.
    """

    def draw(count: int) -> Tensor:
        wide = torch.rand(count, z, generator=generator) * (1 + 2 * _MARGIN) - _MARGIN
        return wide.clamp(0.0, 1.0)

    return draw


def balanced(z: int, generator: torch.Generator, level: Callable[[Tensor], Tensor]) -> Draw:
    """Coordinates of which two thirds are uniform; in the others all levels (P,) occur as often.

    A well is a small part of the cube, and what a preimage does at its bottom is steep: √T or
    log T. The mean over h ~ U[0,1]^z alone hardly sees it.
    """
    anywhere = _uniform(z, generator)

    def draw(count: int) -> Tensor:
        points = anywhere(_CANDIDATES * count)
        values = level(points)
        part = (values - values.min()) / (values.max() - values.min()).clamp(min=1e-12)
        bins = (part * _LEVELS).long().clamp(max=_LEVELS - 1)
        rarity = 1.0 / torch.bincount(bins, minlength=_LEVELS).double()[bins]
        weight = _BY_LEVEL * rarity / rarity.sum() + (1 - _BY_LEVEL) / len(points)
        upto = weight.cumsum(0)
        chosen = torch.rand(count, generator=generator, dtype=torch.float64) * upto[-1]
        return points[torch.searchsorted(upto, chosen).clamp(max=len(points) - 1)]

    return draw
