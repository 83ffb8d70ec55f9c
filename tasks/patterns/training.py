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

_POOL = 65_536
_STEPS_PER_POOL = 250
_LEVELS = 32
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
    level: Callable[[Tensor], Tensor],
    *,
    z: int,
    schedule: Schedule,
    generator: torch.Generator,
    progress: Progress,
) -> None:
    """Minimise the mean squared difference of `example` over coordinates, by Adam then L-BFGS.

    Half of the coordinates are uniform; the other half are drawn so that every level of T
    (`level`, (P,)) is seen equally often: narrow wells would otherwise be missed.
    """
    with _one_thread():
        _adam(parameters, example, level, z, schedule, generator, progress)
        if schedule.steps and schedule.refinement:
            _refine(parameters, example, level, z, schedule, generator, progress)


def _adam(
    parameters: list[nn.Parameter],
    example: Example,
    level: Callable[[Tensor], Tensor],
    z: int,
    schedule: Schedule,
    generator: torch.Generator,
    progress: Progress,
) -> None:
    optimiser = torch.optim.Adam(parameters, lr=schedule.learning_rate)
    pool = _Pool(level, z, generator)
    for step in range(schedule.steps):
        if step and step % _STEPS_PER_POOL == 0:
            pool = _Pool(level, z, generator)
        for group in optimiser.param_groups:
            cosine = math.cos(math.pi * step / schedule.steps)
            group["lr"] = schedule.learning_rate * (1 + cosine) / 2
        optimiser.zero_grad()
        outputs, wanted = example(pool.draw(schedule.batch))
        loss = (outputs - wanted).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if (step + 1) % _SHOWN_EVERY == 0 or step + 1 == schedule.steps:
            progress(STEP, step + 1, schedule.steps, f"squared error {float(loss):.2e}")


def _refine(
    parameters: list[nn.Parameter],
    example: Example,
    level: Callable[[Tensor], Tensor],
    z: int,
    schedule: Schedule,
    generator: torch.Generator,
    progress: Progress,
) -> None:
    points = _Pool(level, z, generator).draw(_REFINEMENT_POINTS)
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
            note = f"squared error {float(loss):.2e}"
            progress("refining the sub-network", done, schedule.refinement, note)
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    progress("refining the sub-network", schedule.refinement, schedule.refinement)


class _Pool:
    """Coordinates to draw from: uniform in the cube and on its faces, half of the weight by level."""

    def __init__(
        self, level: Callable[[Tensor], Tensor], z: int, generator: torch.Generator
    ) -> None:
        # A little wider than the cube, then clamped, so that its faces are learnt too.
        wide = torch.rand(_POOL, z, generator=generator) * 1.1 - 0.05
        self._points = wide.clamp(0.0, 1.0)
        values = level(self._points)
        low, high = values.min(), values.max()
        at = ((values - low) / (high - low).clamp(min=1e-12) * _LEVELS).long()
        at = at.clamp(max=_LEVELS - 1)
        rare = 1.0 / torch.bincount(at, minlength=_LEVELS).double()[at]
        weight = rare / rare.sum() + 1.0 / _POOL
        cumulative = weight.cumsum(0)
        self._cumulative = cumulative / cumulative[-1]
        self._generator = generator

    def draw(self, count: int) -> Tensor:
        """Coordinates (count, z), float32."""
        where = torch.rand(count, generator=self._generator, dtype=torch.float64)
        index = torch.searchsorted(self._cumulative, where).clamp(max=_POOL - 1)
        return self._points[index]


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread, so that a training's bits do not depend on the machine's number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
