"""What a landscape is assembled from, and the objective among it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from schemas.errors import SpecError, listing, suggestion
from tasks.batchnorm import Reestimation, batch_norms, statistics_as_parameters
from tasks.directions.parameters import (
    CheckpointDirectionParameters,
    Direction,
    PlaneParameters,
    TrajectoryParameters,
)
from tasks.model.checkpoint_parameters import Checkpoint
from tasks.model.outputs import predicting_next_token, with_single_output
from tasks.model.parameters import BatchNormParameters, ModelPathParameters
from tasks.objective import LOSSES, EmpiricalRisk, SampleLoss, Split

NEXT_TOKEN = "next_token"  # noqa: S105 - a loss
_TO_CHECKPOINTS = (CheckpointDirectionParameters, PlaneParameters, TrajectoryParameters)


@dataclass(frozen=True)
class Given:
    """What a landscape is assembled from.

    Attributes:
        module: the model, with the parameters and buffers of the origin.
        splits: the data, the first split first.
        loss: a name, or a function (outputs, targets) → losses (N,).
        output: which of the module's outputs; None for `logits` or the first.
        directions: as in a spec, or a mapping from parameter name to tensor for each axis.
        path: to another checkpoint, instead of directions.
        align: whether the hidden units of other checkpoints are permuted to match.
        batchnorm: what becomes of running statistics; None where it was not said.
        runs: checkpoints to project into the section, by the run's name.
        raw: reads a checkpoint's tensors.
        origin: parameters at the origin that are not the module's.
    """

    module: nn.Module
    splits: Mapping[str, Split]
    loss: str | SampleLoss
    raw: Callable[[Checkpoint], Mapping[str, Tensor]]
    output: str | int | None = None
    directions: Sequence[Direction] | Sequence[Mapping[str, Tensor]] = ()
    path: ModelPathParameters | None = None
    align: bool = False
    batchnorm: BatchNormParameters | None = None
    runs: Mapping[str, Sequence[Checkpoint]] = field(default_factory=dict)
    origin: Mapping[str, Tensor] = field(default_factory=dict)


def refuse_training(module: nn.Module) -> None:
    """SpecError for a module in train mode with dropout: its loss would be random."""
    for name, layer in module.named_modules():
        active = isinstance(layer, _DropoutNd) and layer.p > 0
        if layer.training and active:
            raise SpecError(
                f"model: is in train mode and its {name or 'module'} drops out with p = "
                f"{layer.p:g}; the loss would be random; call eval() on the model first"
            )


def objective_of(given: Given) -> tuple[EmpiricalRisk, dict[str, Any] | None]:
    """The objective, and what is to be told of its running statistics."""
    splits = dict(given.splits)
    sample = next(iter(splits.values())).inputs[:1]
    module = with_single_output(given.module, given.output, sample)
    loss = given.loss
    if loss == NEXT_TOKEN:
        module, splits = predicting_next_token(module, splits)
        loss = "cross_entropy"
    layers = batch_norms(module)
    settings = given.batchnorm
    if settings is None:
        if layers and _leads_to_checkpoints(given):
            raise SpecError(
                "batchnorm: is missing; the model has batch normalisation and the section leads to "
                "other checkpoints: choose stored, interpolated or reestimated"
            )
        settings = BatchNormParameters(policy="stored")
    elif not layers and settings.policy != "stored":
        raise SpecError(
            f"batchnorm: got {settings.policy}, but the model has no running statistics; "
            "leave it out"
        )
    risk = EmpiricalRisk(module, _loss(loss), splits)
    if not layers:
        return risk, None
    return _with_policy(risk, settings, given)


def _with_policy(
    risk: EmpiricalRisk, settings: BatchNormParameters, given: Given
) -> tuple[EmpiricalRisk, dict[str, Any]]:
    told: dict[str, Any] = {"policy": settings.policy}
    if settings.policy == "interpolated":
        if given.path is not None and given.path.inner_points:
            raise SpecError(
                "batchnorm: got interpolated, but the bends of a path have no statistics of their "
                "own; use reestimated"
            )
        module = copy.deepcopy(risk.module)
        statistics_as_parameters(module)
        return EmpiricalRisk(module, risk.loss, risk.splits), told
    if settings.policy == "stored":
        return risk, told
    name = settings.split or next(iter(risk.splits))
    if name not in risk.splits:
        raise SpecError(
            f"batchnorm.split: got {name!r}; expected one of {listing(risk.splits)}"
            f"{suggestion(name, risk.splits)}"
        )
    inputs = risk.splits[name].inputs[: settings.samples]
    again = Reestimation(inputs, min(settings.batch, len(inputs)))
    told |= {"split": name, "samples": len(inputs), "batch": again.batch}
    return EmpiricalRisk(risk.module, risk.loss, risk.splits, again), told


def _leads_to_checkpoints(given: Given) -> bool:
    return given.path is not None or any(
        isinstance(item, _TO_CHECKPOINTS) for item in given.directions
    )


def _loss(loss: str | SampleLoss) -> SampleLoss:
    if callable(loss):
        return loss
    if loss not in LOSSES:
        known = [*LOSSES, NEXT_TOKEN]
        raise SpecError(
            f"loss: got {loss!r}; expected one of {listing(known)}, or a function "
            f"(outputs, targets) -> one loss a sample{suggestion(loss, known)}"
        )
    return LOSSES[loss]
