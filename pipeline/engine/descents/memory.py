"""The memory that descents take, and how many of them go on together.

Shape legend: P = descents of a block, n = parameters, m = residuals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from pipeline.engine.contract import activation_numbers, item_bytes
from pipeline.engine.descents.quasi_newton import MEMORY
from pipeline.engine.descents.spectra import BLOCK_BYTES, CLOSED_COPIES, COPIES, MOST_DENSE
from schemas.starts import Descent
from tasks.landscape import Landscape
from tasks.objective import ClosedForm, EmpiricalRisk, differences
from tasks.spectrum import BASIS
from tasks.trial import trial

MOST_TOGETHER = 4096
_DOUBLE = 8
# Of a state's and a step's vectors, and of the matrices JᵀJ, their factors and their successors.
_VECTORS, _MATRICES = 24, 8
_JACOBIANS = 3
# What the forward pass keeps, its gradients, and the graph of both for second derivatives.
_GRAPH_COPIES = 8
# Derivatives in closed form work on arrays such as the loss does, and keep none.
_WORK_COPIES = 2


def descent_bytes(landscape: Landscape, splits: Sequence[str], descent: Descent) -> int:
    """Bytes of one descent under way, in float64: of its stage that takes the most."""
    return max(_stage_bytes(landscape, splits, stage) for stage in descent.stages)


def _stage_bytes(landscape: Landscape, splits: Sequence[str], descent: Descent) -> int:
    n = _numbers(landscape)
    work = max(_work_numbers(landscape, split, descent) for split in splits)
    numbers = n * (_VECTORS + 2 * MEMORY) + work
    if descent.method in ("lm", "newton"):
        terms = [n if descent.method == "newton" else _terms(landscape, s) for s in splits]
        numbers += _MATRICES * n**2 + _JACOBIANS * max(terms) * n
    return numbers * _DOUBLE


def data_bytes(landscape: Landscape, splits: Sequence[str], dtype: torch.dtype) -> int:
    """Bytes of the samples that descents hold: of each split, and once more in float64."""
    objective = landscape.objective
    if isinstance(objective, ClosedForm):
        return 0
    data = [objective.splits[split] for split in splits]
    numbers = sum(split.inputs.numel() + split.targets.numel() for split in data)
    return numbers * (item_bytes(dtype) + _DOUBLE)


def spectrum_bytes(landscape: Landscape, block: int) -> int:
    """Bytes of the Hessians that are held at a time, or of Lanczos' vectors."""
    n = _numbers(landscape)
    if n > MOST_DENSE:
        return _DOUBLE * BASIS * n
    objective = landscape.objective
    closed = isinstance(objective, ClosedForm) and objective.hessians
    one = (CLOSED_COPIES if closed else COPIES) * _DOUBLE * n**2
    return max(one, min(BLOCK_BYTES, block * one))


def most_together(per_descent: int, room: int) -> int:
    """How many descents go on together within so many bytes: a power of 2, or 1."""
    fitting = max(1, min(MOST_TOGETHER, room // max(per_descent, 1)))
    return 1 << (fitting.bit_length() - 1)


def _work_numbers(landscape: Landscape, split: str, descent: Descent) -> int:
    """Numbers that a point's loss and its derivatives need beside vectors and matrices."""
    graph, objective = _graph_numbers(landscape, split), landscape.objective
    given = isinstance(objective, ClosedForm) and (
        split in objective.slopes and split in objective.hessians
    )
    # Residuals have no derivatives in closed form, and nor have products with large Hessians.
    if given and descent.method != "lm" and _numbers(landscape) <= MOST_DENSE:
        return _WORK_COPIES * graph
    return _GRAPH_COPIES * graph


def _graph_numbers(landscape: Landscape, split: str) -> int:
    """Numbers that the graph of a point's loss keeps."""
    objective = landscape.objective
    if isinstance(objective, EmpiricalRisk):
        return len(objective.splits[split]) * activation_numbers(objective)
    function = objective.functions[split]
    return max(0, _saved(function, landscape, 2) - _saved(function, landscape, 1))


def _saved(function: Callable[[Tensor], Tensor], landscape: Landscape, points: int) -> int:
    """Numbers that the graph of a closed form keeps for so many points."""
    counted = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal counted
        counted += tensor.numel()
        return tensor

    theta = _origin(landscape).expand(points, -1).clone().requires_grad_()
    with saved_tensors_hooks(count, lambda tensor: tensor):
        function(theta)
    return counted


def _terms(landscape: Landscape, split: str) -> int:
    """M: the number of residuals."""
    objective = landscape.objective
    if isinstance(objective, ClosedForm):
        return objective.residuals[split](_origin(landscape)[None]).shape[1]
    data = objective.splits[split]
    outputs = cast("Tensor", trial(objective.module, data.inputs[:1]))
    return len(data) * differences(outputs, data.targets[:1]).numel()


def _origin(landscape: Landscape) -> Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in landscape.section.origin.values()])


def _numbers(landscape: Landscape) -> int:
    return sum(tensor.numel() for tensor in landscape.section.origin.values())
