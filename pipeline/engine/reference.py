"""The reference evaluation: float64, one point at a time, on the CPU, nothing clever.

Shape legend: P = points, S = splits, z = axes, N = samples, n = all parameters as one vector,
*extra = a metric's own dimensions.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.functional import hessian, jacobian
from torch.func import functional_call

from pipeline.engine.charted import charted, evaluated_metrics, flat
from pipeline.engine.contract import Floats, Values, load_origin, trainable_names
from tasks.batchnorm import reestimate
from tasks.kernels import open_kernels
from tasks.landscape import Landscape
from tasks.objective import ClosedForm, EmpiricalRisk, accuracy, per_sample

_FIRST_ORDER = frozenset({"gradient_norm", "section_gradient"})
_SECOND_ORDER = frozenset({"section_hessian", "hessian_eigenvalue_min", "hessian_eigenvalue_max"})


@dataclass(frozen=True)
class _Function:
    """One split of an objective: parameters by name → losses (N,) and, of a module, hits (N,)."""

    parameters: dict[str, Tensor]
    trainable: Sequence[str]
    losses: Callable[[Mapping[str, Tensor]], Tensor]
    hits: Callable[[Mapping[str, Tensor]], Tensor] | None


def evaluate_reference(
    landscape: Landscape, points: Floats, splits: Sequence[str], metrics: Sequence[str]
) -> Values:
    """Metrics at points (P, z): metric → (S, *extra, P), float64.

    Activation cells have no reference here.
    """
    chart, landscape = landscape.section.chart, flat(landscape)
    along = points if chart is None else chart.coordinates(points)
    wanted = frozenset(evaluated_metrics(tuple(metrics), chart))
    functions = [_function(landscape, split) for split in splits]
    found = [[_measure(f, landscape, point, wanted) for f in functions] for point in along]
    values = {
        metric: np.moveaxis(np.array([[one[metric] for one in row] for row in found]), 0, -1)
        for metric in wanted
    }
    return {metric: charted(values, metric, chart, points) for metric in metrics}


def _function(landscape: Landscape, split: str) -> _Function:
    objective, origin = landscape.objective, dict(landscape.section.origin)
    if isinstance(objective, ClosedForm):
        function = objective.functions[split]
        return _Function(origin, list(origin), lambda named: function(named["theta"][None]), None)
    return _risk(objective, origin, split)


def _risk(objective: EmpiricalRisk, origin: Mapping[str, Tensor], split: str) -> _Function:
    data = objective.splits[split]
    module = copy.deepcopy(objective.module).to("cpu", torch.float64).eval()
    inputs = data.inputs.double() if data.inputs.is_floating_point() else data.inputs
    targets = data.targets.double() if data.targets.is_floating_point() else data.targets

    again = objective.reestimation

    def outputs(named: Mapping[str, Tensor]) -> Tensor:
        if again is not None:
            load_origin(module, named)
            floating = again.inputs.is_floating_point()
            reestimate(module, [b.double() if floating else b for b in again.batches])
        with open_kernels(module):
            found: Tensor = functional_call(module, dict(named), (inputs.clone(),))
        return found

    return _Function(
        {name: parameter.detach() for name, parameter in module.named_parameters()} | dict(origin),
        trainable_names(module),
        lambda named: per_sample(objective.loss, outputs(named), targets),
        lambda named: accuracy(outputs(named), targets),
    )


def _measure(
    function: _Function, landscape: Landscape, point: Floats, metrics: frozenset[str]
) -> dict[str, Any]:
    """Metrics at one point (z,): metric → (*extra,); no derivatives if the loss is not finite."""
    parameters = dict(function.parameters)
    if landscape.section.whole:
        there = landscape.section.parameters(torch.from_numpy(point)[None])
        parameters |= {name: tensor[0] for name, tensor in there.items()}
    else:
        for coordinate, direction in zip(point, landscape.section.directions, strict=True):
            for name, tensor in direction.items():
                parameters[name] = parameters[name] + float(coordinate) * tensor
    with torch.no_grad():
        losses = function.losses(parameters).double()
        values: dict[str, Any] = {"loss": float(losses.mean())}
        if "accuracy" in metrics and function.hits is not None:
            values["accuracy"] = float(function.hits(parameters).double().mean())
    if "loss_stderr" in metrics:
        spread = float(losses.std()) if len(losses) > 1 else math.nan
        values["loss_stderr"] = spread / math.sqrt(len(losses))
    if metrics & (_FIRST_ORDER | _SECOND_ORDER):
        found = _derivatives(function, parameters, landscape, bool(metrics & _SECOND_ORDER))
        finite = math.isfinite(values["loss"])
        values |= {n: v if finite else np.full_like(v, np.nan) for n, v in found.items()}
    return values


def _derivatives(
    function: _Function, parameters: Mapping[str, Tensor], landscape: Landscape, second: bool
) -> dict[str, Any]:
    shapes = {name: tensor.shape for name, tensor in parameters.items()}

    def mean_loss(vector: Tensor) -> Tensor:
        parts = torch.split(vector, [shape.numel() for shape in shapes.values()])
        named = {n: part.view(shapes[n]) for n, part in zip(shapes, parts, strict=True)}
        return function.losses(named).mean()

    def as_vector(tensors: Mapping[str, Tensor]) -> Tensor:
        return torch.cat(
            [tensors.get(n, torch.zeros(shape)).reshape(-1) for n, shape in shapes.items()]
        ).double()

    start = as_vector(parameters)
    learns = as_vector({name: torch.ones(shapes[name]) for name in function.trainable}) == 1
    gradient = jacobian(mean_loss, start)  # type: ignore[no-untyped-call]
    values = {"gradient_norm": gradient[learns].norm().numpy()}
    along = [as_vector(direction) for direction in landscape.section.directions]
    directions = torch.stack(along) if along else None
    if directions is not None:
        values["section_gradient"] = (directions @ gradient).numpy()
    if second:
        matrix = hessian(mean_loss, start)  # type: ignore[no-untyped-call]
        eigenvalues = torch.linalg.eigvalsh(matrix[learns][:, learns])
        if directions is not None:
            values["section_hessian"] = (directions @ matrix @ directions.T).numpy()
        values["hessian_eigenvalue_min"] = eigenvalues[0].numpy()
        values["hessian_eigenvalue_max"] = eigenvalues[-1].numpy()
    return values
