"""Training on from the scan's minimum: how far below it, and how far away, descent ends.

Shape legend: n = all parameters.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from pipeline.engine.contract import Floats, load_origin
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, per_sample
from tasks.registry import Progress, silent

_STEPS = 300
_STEPS_PER_CALL = 10
STEP = "training on from the minimum"


@dataclass(frozen=True)
class Descent:
    """Where a descent of all parameters began and ended."""

    descent_loss_start: float
    descent_loss_end: float
    descent_distance: float
    descent_relative_distance: float
    descent_steps: int

    def as_dict(self) -> dict[str, float]:
        """Values by their names in the store."""
        return asdict(self)


def descend(
    landscape: Landscape, point: Floats, split: str, display: Progress = silent
) -> Descent | None:
    """Minimise the loss of a split over every parameter, from a point (z,) of the section.

    L-BFGS with strong Wolfe line search in float64, until the loss no longer falls or 300 steps
    are taken. None for a landscape that is not the risk of a module.
    """
    objective = landscape.objective
    if not isinstance(objective, EmpiricalRisk):
        return None
    module = copy.deepcopy(objective.module).double().eval()
    load_origin(module, landscape.section.origin)
    load_origin(module, _at(landscape, point))
    parameters = [p.requires_grad_(True) for p in module.parameters()]
    data = objective.splits[split]
    inputs = data.inputs.double() if data.inputs.is_floating_point() else data.inputs
    targets = data.targets.double() if data.targets.is_floating_point() else data.targets

    def mean_loss() -> Tensor:
        return per_sample(objective.loss, module(inputs.clone()), targets).mean()

    start = parameters_to_vector(parameters).detach().clone()
    with torch.no_grad():
        first = float(mean_loss())
    steps = _minimise(parameters, mean_loss, display)
    with torch.no_grad():
        last = float(mean_loss())
        distance = float((parameters_to_vector(parameters) - start).norm())
    relative = distance / max(float(start.norm()), torch.finfo(torch.float64).tiny)
    return Descent(first, last, distance, relative, steps)


def _at(landscape: Landscape, point: Floats) -> dict[str, Tensor]:
    moved = landscape.section.parameters(torch.from_numpy(point[None]))
    return {name: value[0] for name, value in moved.items()}


def _minimise(parameters: list[Tensor], loss: Callable[[], Tensor], display: Progress) -> int:
    optimiser = torch.optim.LBFGS(
        parameters, max_iter=_STEPS_PER_CALL, history_size=20, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    before = float("inf")
    for step in range(0, _STEPS, _STEPS_PER_CALL):
        now = optimiser.step(closure).item()  # type: ignore[no-untyped-call]
        done = step + _STEPS_PER_CALL
        display(STEP, done, _STEPS, f"loss {now:.4g}")
        if not now < before:
            display(STEP, _STEPS, _STEPS, f"loss {now:.4g}")
            return done
        before = now
    return _STEPS
