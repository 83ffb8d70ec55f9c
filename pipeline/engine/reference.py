"""The reference evaluation: float64, one point at a time, on the CPU, nothing clever.

Shape legend: P = points, S = splits, z = axes.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from pipeline.engine.contract import Floats, Values
from tasks.landscape import Landscape
from tasks.objective import ClosedForm, EmpiricalRisk, accuracy


def evaluate_reference(
    landscape: Landscape, points: Floats, splits: Sequence[str], metrics: Sequence[str]
) -> Values:
    """Metrics at points (P, z): metric → (S, P), float64."""
    values = {metric: np.empty((len(splits), len(points))) for metric in metrics}
    for column, point in enumerate(points):
        parameters = _parameters(landscape, point)
        for row, split in enumerate(splits):
            measured = _measure(landscape.objective, parameters, split, metrics)
            for metric, value in measured.items():
                values[metric][row, column] = value
    return values


def _parameters(landscape: Landscape, point: Floats) -> dict[str, Tensor]:
    parameters = {name: tensor.clone() for name, tensor in landscape.section.origin.items()}
    for coordinate, direction in zip(point, landscape.section.directions, strict=True):
        for name, tensor in direction.items():
            parameters[name] = parameters[name] + float(coordinate) * tensor
    return parameters


def _measure(
    objective: EmpiricalRisk | ClosedForm,
    parameters: dict[str, Tensor],
    split: str,
    metrics: Sequence[str],
) -> dict[str, float]:
    if isinstance(objective, ClosedForm):
        return {"loss": float(objective.functions[split](parameters["theta"][None])[0])}
    data = objective.splits[split]
    module = copy.deepcopy(objective.module).to("cpu", torch.float64).eval()
    inputs = data.inputs.double() if data.inputs.is_floating_point() else data.inputs
    targets = data.targets.double() if data.targets.is_floating_point() else data.targets
    with torch.no_grad():
        outputs = functional_call(module, parameters, (inputs,))
        per_sample = {"loss": objective.loss(outputs, targets)}
        if "accuracy" in metrics:
            per_sample["accuracy"] = accuracy(outputs, targets)
    return {metric: float(per_sample[metric].double().mean()) for metric in metrics}
