"""Where the loss of a network with skip units is looked at.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749. Shape legend: n = parameters, z = axes, P = points,
N = samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from scipy.optimize import OptimizeResult, minimize
from torch import Tensor
from torch.func import grad_and_value

from schemas.errors import WorkError
from tasks.landscape import FieldVariable, Floats
from tasks.paths.charts import PolygonChart
from tasks.registry import BuildContext
from tasks.section import Section, axis_count_error
from tasks.skips.full_rank import full_rank
from tasks.skips.networks import (
    DIRECTIONS,
    OTHER_START,
    hidden_names,
    normal_numbers,
    readout_names,
    start_of,
)
from tasks.skips.parameters import SkipNetParameters
from tasks.skips.path import DescendingPath, conditioning, descending_path
from tasks.skips.problem import Point, Problem
from tasks.skips.wrapper import SkipToOutput

SOLVED = 1e-3
"""Loss of a solution that was trained."""
CURVATURE = "output_curvature"
"""Field of the section `output`: what the second derivative along its first axis should be."""
_MOST_ITERATIONS = 300
_ATTEMPTS = 5


@dataclass(frozen=True)
class Looked:
    """A section, functions of its coordinates, and what is known of it as plain JSON values."""

    section: Section
    facts: Mapping[str, Any]
    fields: Mapping[str, FieldVariable]


def section_of(parameters: SkipNetParameters, problem: Problem, context: BuildContext) -> Looked:
    """The section that is asked for.

    Raises:
        SpecError: the number of axes does not fit, or a proof's start cannot be made.
        WorkError: the path or the solution cannot be found.
    """
    z = context.axes
    start = start_of(problem.module, parameters, context.seed)
    if parameters.start == "proof":
        made = full_rank(cast("SkipToOutput", problem.module), problem.inputs, context.seed)
        # The last layer is none of the proof's, and in the module it is not drawn by our seed.
        start.update({name: made.parameters[name] for name in hidden_names(problem.module)})
    if parameters.section in ("random", "hidden", "output"):
        return _directions(parameters, problem, start, context.seed, z)
    if z != 1:
        raise axis_count_error(z, 1, f"section: {parameters.section}")
    # Features that cannot have full rank are gone on with, as far as they lead.
    attainable = problem.has_skips and not parameters.repeated
    path = descending_path(problem, start, parameters.epsilon, context.seed, attainable=attainable)
    if parameters.section == "descent":
        return Looked(_polygon(problem, path), path.facts, {})
    solution = _solution(problem, context) if context.train else start
    away = {name: solution[name] - path.end[name] for name in solution}
    facts = {**path.facts, "loss_of_solution": float(problem.loss(solution))}
    return Looked(Section(path.end, (away,)), facts, {})


def _directions(
    parameters: SkipNetParameters, problem: Problem, start: Point, seed: int, z: int
) -> Looked:
    """Random directions, or those that move the hidden layers or V alone."""
    moved = {"random": tuple(start), "hidden": hidden_names(problem.module)}
    names = moved.get(parameters.section) or readout_names(problem.module)
    directions = []
    for axis in range(z):
        drawn = normal_numbers(problem.module, seed, DIRECTIONS, axis)
        directions.append({name: tensor for name, tensor in drawn.items() if name in names})
    found = conditioning(problem.parts(start)[1])
    facts = {"rank_at_start": found.rank, "margin_at_start": found.margin}
    fields: dict[str, FieldVariable] = {}
    if parameters.section == "output":
        fields[CURVATURE] = FieldVariable(
            OutputCurvature(problem, start, tuple(directions)),
            "second derivative of the mean cross-entropy along the first axis, in closed form",
        )
    return Looked(Section(start, tuple(directions)), facts, fields)


@dataclass(frozen=True)
class OutputCurvature:
    """∂²Φ/∂α₁² at points (P, z) of directions D_j in V: mean over i of Var_p(i)(ψ_iᵀD₁).

    The Hessian of Φ by V is (1/N) Σ_i (diag p_i − p_i p_iᵀ) ⊗ ψ_i ψ_iᵀ; as printed in the proof of
    Theorem 3.4 it lacks the factor 1/N.
    """

    problem: Problem
    start: Point
    directions: tuple[Mapping[str, Tensor], ...]

    def __call__(self, points: Floats) -> Floats:
        """Second derivatives (P,)."""
        added, features = self.problem.parts(self.start)
        outputs = added + features @ self.problem.readout(self.start)
        along = [features @ self.problem.readout(direction) for direction in self.directions]
        found = np.empty(len(points))
        for row, point in enumerate(points):
            at = outputs + sum(float(c) * each for c, each in zip(point, along, strict=True))
            shares = torch.softmax(at, dim=1)
            mean = (shares * along[0]).sum(dim=1)
            found[row] = float(((shares * along[0].square()).sum(dim=1) - mean.square()).mean())
        return found


def _polygon(problem: Problem, path: DescendingPath) -> Section:
    """From the start, at 0, over full rank, at ½, to the end, at 1."""
    moved = [*hidden_names(problem.module), *readout_names(problem.module)]
    ways = tuple(
        {name: point[name] - path.start[name] for name in moved}
        for point in (path.full_rank, path.end)
    )
    return Section(path.start, ways, chart=PolygonChart(len(ways)))


def _solution(problem: Problem, context: BuildContext) -> dict[str, Tensor]:
    """Parameters of a loss of at most SOLVED, by L-BFGS from starts of their own.

    The first one that leads there counts: some end where two samples cannot be told apart.
    """
    least = math.inf
    for attempt in range(_ATTEMPTS):
        start = normal_numbers(problem.module, context.seed, OTHER_START, attempt)
        loss, found = _trained(problem, start)
        if loss <= SOLVED:
            return found
        least = min(least, loss)
    raise WorkError(
        f"section: across: training ends at a loss of {least:.3g} at best, expected at most "
        f"{SOLVED:g}; give wider hidden layers, fewer samples or another seed"
    )


def _trained(problem: Problem, start: Point) -> tuple[float, dict[str, Tensor]]:
    """Where L-BFGS leads, and the loss there."""
    sizes = [tensor.numel() for tensor in start.values()]
    of_point: Callable[[Point], tuple[dict[str, Tensor], Tensor]] = grad_and_value(problem.loss)

    def named(numbers: Floats) -> dict[str, Tensor]:
        parts = torch.split(torch.from_numpy(numbers.copy()), sizes)
        pairs = zip(start.items(), parts, strict=True)
        return {name: part.reshape(tensor.shape) for (name, tensor), part in pairs}

    def function(numbers: Floats) -> tuple[float, Floats]:
        slope, value = of_point(named(numbers))
        flat: Floats = torch.cat([slope[name].flatten() for name in start]).numpy()
        return float(value), flat

    def solved(intermediate_result: OptimizeResult) -> None:
        if intermediate_result.fun <= SOLVED:
            raise StopIteration

    first: Floats = torch.cat([tensor.flatten() for tensor in start.values()]).numpy()
    found = minimize(
        function,
        first,
        jac=True,
        method="L-BFGS-B",
        callback=solved,
        options={"maxiter": _MOST_ITERATIONS, "ftol": 0.0, "gtol": 0.0},
    )
    return float(found.fun), named(found.x)
