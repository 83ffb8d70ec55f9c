"""Checks of an objective before anything is evaluated, each with one clear line.

Shape legend: N = samples.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.engine.contract import load_origin
from schemas.errors import SpecError
from tasks.landscape import Landscape
from tasks.objective import IGNORED, EmpiricalRisk, Split, per_sample, targets_are_classes

_PROBED = 8
_TRIED = 2
_SCANNED_BYTES = 64 * 2**20


def check_objective(landscape: Landscape, splits: Sequence[str]) -> None:
    """SpecError, naming what is wrong, unless the objective can be evaluated on the splits."""
    objective = landscape.objective
    if not isinstance(objective, EmpiricalRisk):
        return
    for name, tensor in (*objective.module.named_parameters(), *landscape.section.origin.items()):
        if not tensor.is_floating_point():
            raise SpecError(
                f"model: parameter {name!r} has dtype {tensor.dtype}; expected a floating one; "
                "convert the model with .float()"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise SpecError(f"model: parameter {name!r} holds NaN or infinite values")
    for split in splits:
        for part in ("inputs", "targets"):
            _check_finite(f"data[{split!r}].{part}", getattr(objective.splits[split], part))
        outputs = _check_forward(objective, landscape, split)
        _check_classes(split, objective, outputs)
        _check_loss(objective, split, outputs)


def _check_finite(what: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point():
        return
    rows = max(1, _SCANNED_BYTES // max(1, tensor[0].numel() * tensor.element_size()))
    for low in range(0, len(tensor), rows):
        part = tensor[low : low + rows]
        sound = torch.isfinite(part.reshape(len(part), -1)).all(dim=1)
        if not bool(sound.all()):
            first = low + int((~sound).nonzero()[0])
            raise SpecError(
                f"{what}: sample {first} holds NaN or infinite values; leave such samples out or "
                "replace the values"
            )


def _check_forward(objective: EmpiricalRisk, landscape: Landscape, split: str) -> Tensor:
    """The module's outputs for the first samples, float64."""
    data = objective.splits[split]
    module = _in_double(objective.module, landscape)
    inputs, _ = _first(data, _TRIED)
    try:
        with torch.no_grad():
            outputs = module(inputs.clone())
            again = module(inputs.clone())
    except SpecError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a user's model raises is the answer
        first_line = str(error).split("\n")[0]
        raise SpecError(
            f"model: {type(objective.module).__name__} cannot be evaluated on "
            f"data[{split!r}].inputs of shape {tuple(data.inputs.shape)} and dtype "
            f"{data.inputs.dtype}: {first_line}"
        ) from None
    if not isinstance(outputs, Tensor):
        raise SpecError(
            f"model: {type(objective.module).__name__} gives {type(outputs).__name__}; expected a "
            "tensor; name the one to take with output"
        )
    if not torch.equal(outputs, again) and not bool(outputs.isnan().any()):
        raise SpecError(
            f"model: {type(objective.module).__name__} gives other outputs each time for the same "
            f"data[{split!r}].inputs in eval mode; take out what draws random numbers"
        )
    return outputs


def _check_loss(objective: EmpiricalRisk, split: str, outputs: Tensor) -> None:
    data = objective.splits[split]
    _, targets = _first(data, _TRIED)
    try:
        with torch.no_grad():
            per_sample(objective.loss, outputs, targets)
    except SpecError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a user's loss raises is the answer
        first_line = str(error).split("\n")[0]
        raise SpecError(
            f"loss: cannot be evaluated on outputs {tuple(outputs.shape)} and "
            f"data[{split!r}].targets of shape {tuple(data.targets.shape)} and dtype "
            f"{data.targets.dtype}: {first_line}"
        ) from None


def _check_classes(split: str, objective: EmpiricalRisk, outputs: Tensor) -> None:
    """SpecError unless targets that are classes are among those the outputs (N, C, …) offer."""
    targets = objective.splits[split].targets
    if not targets_are_classes(objective.loss, outputs, targets[: len(outputs)]):
        return
    counts = targets != IGNORED
    empty = ~counts.reshape(len(targets), -1).any(dim=1)
    if bool(empty.any()):
        raise SpecError(
            f"data[{split!r}].targets: sample {int(empty.nonzero()[0])} is of class {IGNORED} at "
            "every position, which does not count, so it has no loss; leave such samples out"
        )
    counted = targets[counts]
    least, greatest = int(counted.min()), int(counted.max())
    if not 0 <= least <= greatest < outputs.shape[1]:
        raise SpecError(
            f"data[{split!r}].targets: hold classes {least} to {greatest}; the model's outputs of "
            f"shape {tuple(outputs.shape)} offer 0 to {outputs.shape[1] - 1}; "
            "mend the labels or the model"
        )


def samples_are_independent(landscape: Landscape, split: str) -> bool:
    """Whether the loss of a sample depends on that sample alone, tried on a few.

    Statistics over the batch, for example, make a loss depend on its neighbours; such an objective
    must see all samples at once.
    """
    objective = landscape.objective
    if not isinstance(objective, EmpiricalRisk):
        return True
    data = objective.splits[split]
    number = min(len(data), _PROBED)
    module = _in_double(objective.module, landscape)

    def losses(count: int) -> Tensor:
        inputs, targets = _first(data, count)
        return per_sample(objective.loss, module(inputs), targets)

    with torch.no_grad():
        together, apart = losses(number), losses((number + 1) // 2)
    return torch.allclose(together[: len(apart)], apart, rtol=1e-9, atol=1e-12, equal_nan=True)


def _in_double(module: nn.Module, landscape: Landscape) -> nn.Module:
    own = copy.deepcopy(module).to("cpu", torch.float64).eval().requires_grad_(False)
    load_origin(own, landscape.section.origin)
    return own


def _first(data: Split, number: int) -> tuple[Tensor, Tensor]:
    inputs, targets = data.inputs[:number].cpu().clone(), data.targets[:number].cpu().clone()
    if inputs.is_floating_point():
        inputs = inputs.double()
    return inputs, targets.double() if targets.is_floating_point() else targets
