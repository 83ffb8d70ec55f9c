"""What a landscape is assembled from, and the objective among it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from schemas.errors import SpecError, listing, suggestion
from tasks.batchnorm import Reestimation, batch_norms, statistics_as_parameters
from tasks.directions.parameters import (
    CheckpointDirectionParameters,
    PlaneParameters,
    TrajectoryParameters,
)
from tasks.model.checkpoint_parameters import Checkpoint
from tasks.model.outputs import predicting_next_token, with_single_output
from tasks.model.parameters import BatchNormParameters, SectionParameters
from tasks.model.precision import following
from tasks.objective import LOSSES, EmpiricalRisk, SampleLoss, Split
from tasks.paths.parameters import PathParameters

NEXT_TOKEN = "next_token"  # noqa: S105 - a loss
_TO_CHECKPOINTS = (CheckpointDirectionParameters, PlaneParameters, TrajectoryParameters)


@dataclass(frozen=True)
class Given:
    """What a landscape is assembled from.

    Attributes:
        module: the model, with the parameters and buffers of the origin.
        splits: the data, the first split first.
        loss: a name, or a function (outputs, targets) → losses (N,).
        said: the section.
        raw: reads a checkpoint's tensors.
        base: the folder that patterns of checkpoints are relative to.
        directions: a mapping from parameter name to tensor for each axis, instead of those said.
        origin: parameters at the origin that are not the module's.
    """

    module: nn.Module
    splits: Mapping[str, Split]
    loss: str | SampleLoss
    said: SectionParameters
    raw: Callable[[Checkpoint], Mapping[str, Tensor]]
    base: Path
    directions: Sequence[Mapping[str, Tensor]] = ()
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
    sample = next(iter(splits.values())).inputs[:2]
    module = with_single_output(given.module, given.said.output, sample)
    loss = given.loss
    if loss == NEXT_TOKEN:
        module, splits = predicting_next_token(module, splits)
        loss = "cross_entropy"
    layers = batch_norms(module)
    settings = given.said.batchnorm
    if settings is None:
        if layers and _leads_to_checkpoints(given.said):
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
    module, function = following(module, _loss(loss), next(iter(splits.values())))
    risk = EmpiricalRisk(module, function, splits)
    if not layers:
        return risk, None
    return _with_policy(risk, settings, given.said.path)


def _with_policy(
    risk: EmpiricalRisk, settings: BatchNormParameters, path: PathParameters | None
) -> tuple[EmpiricalRisk, dict[str, Any]]:
    told: dict[str, Any] = {"policy": settings.policy}
    if settings.policy == "interpolated":
        if path is not None and path.inner_points:
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


def _leads_to_checkpoints(said: SectionParameters) -> bool:
    return said.path is not None or any(isinstance(item, _TO_CHECKPOINTS) for item in said.items)


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
