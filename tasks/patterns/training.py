"""Observation 2: train the sub-network on the preimage of T, least squares over h ~ U[0,1]^z.

Czarnecki et al. 2019, arXiv:1912.07559. Shape legend: P = points, z = axes, N = samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from tasks.registry import Progress

Example: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Coordinates (P, z) → what the sub-network puts out there and what it should, both (P, C)."""

_MARGIN = 0.05
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
    *,
    z: int,
    schedule: Schedule,
    generator: torch.Generator,
    progress: Progress,
) -> None:
    """Minimise the mean squared difference of `example` over coordinates, by Adam then L-BFGS."""
    with _one_thread():
        _adam(parameters, example, z, schedule, generator, progress)
        if schedule.steps and schedule.refinement:
            _refine(parameters, example, z, schedule, generator, progress)


def _adam(
    parameters: list[nn.Parameter],
    example: Example,
    z: int,
    schedule: Schedule,
    generator: torch.Generator,
    progress: Progress,
) -> None:
    optimiser = torch.optim.Adam(parameters, lr=schedule.learning_rate)
    for step in range(schedule.steps):
        for group in optimiser.param_groups:
            cosine = math.cos(math.pi * step / schedule.steps)
            group["lr"] = schedule.learning_rate * (1 + cosine) / 2
        optimiser.zero_grad()
        outputs, wanted = example(_coordinates(schedule.batch, z, generator))
        loss = (outputs - wanted).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if (step + 1) % _SHOWN_EVERY == 0 or step + 1 == schedule.steps:
            progress(STEP, step + 1, schedule.steps, f"squared error {loss.item():.2e}")


def _refine(
    parameters: list[nn.Parameter],
    example: Example,
    z: int,
    schedule: Schedule,
    generator: torch.Generator,
    progress: Progress,
) -> None:
    points = _coordinates(_REFINEMENT_POINTS, z, generator)
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
        loss = (outputs - wanted).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        done = min(done + 1, schedule.refinement - 1)
        if done % _SHOWN_EVERY == 0:
            note = f"squared error {loss.item():.2e}"
            progress("refining the sub-network", done, schedule.refinement, note)
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    progress("refining the sub-network", schedule.refinement, schedule.refinement)


def _coordinates(count: int, z: int, generator: torch.Generator) -> Tensor:
    """Uniform coordinates (count, z), drawn a little wider than the cube and clamped to it.

    A tenth of them lie on its faces along each axis, which would otherwise be learnt worst.
    """
    wide = torch.rand(count, z, generator=generator) * (1 + 2 * _MARGIN) - _MARGIN
    return wide.clamp(0.0, 1.0)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread, so that a training's bits do not depend on the machine's number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
