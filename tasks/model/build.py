"""The task `model`: from what a spec names to a landscape."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from schemas.errors import SpecError
from tasks.directions.parameters import Direction, RandomParameters, TrajectoryParameters
from tasks.landscape import Landscape
from tasks.model.assemble import Setting, assemble
from tasks.model.checkpoint_parameters import Checkpoint
from tasks.model.checkpoints import load_checkpoint, read_checkpoint
from tasks.model.importing import call, imported
from tasks.model.parameters import ModelParameters
from tasks.model.reading import expanded
from tasks.model.risk import Given
from tasks.objective import SampleLoss
from tasks.registry import BuildContext
from tasks.sources.read import read_splits


def build_model(parameters: ModelParameters, context: BuildContext) -> Landscape:
    """The landscape of a user's model.

    Raises:
        SpecError: a file, a name or a number in the parameters is wrong.
        WorkError: a path cannot be trained, or an alignment would change a checkpoint's function.
    """
    if parameters.path is not None and parameters.directions is not None:
        raise SpecError("path: stands beside directions; keep one of the two")
    base = context.base
    module = call(parameters.model, base, "model", parameters.arguments)
    if not isinstance(module, nn.Module):
        raise SpecError(
            f"model: {parameters.model} gave {type(module).__name__}; expected a torch.nn.Module"
        )
    if parameters.checkpoint is not None:
        tensors = read_checkpoint(parameters.checkpoint, base, "checkpoint")
        load_checkpoint(module, tensors, "checkpoint")
    data = parameters.data
    given = Given(
        module=module,
        splits=read_splits(data, context.splits, base, data.seed),
        loss=_loss(parameters.loss, base),
        raw=lambda checkpoint: _raw(checkpoint, base),
        output=parameters.output,
        directions=_directions(parameters, base),
        path=parameters.path,
        align=parameters.align,
        batchnorm=parameters.batchnorm,
        runs={
            run: expanded(checkpoints, base, f"trajectories.{run}")
            for run, checkpoints in parameters.trajectories.items()
        },
    )
    setting = Setting(
        z=context.z,
        seed=context.seed,
        cache=context.cache,
        train=context.train,
        progress=context.progress,
    )
    return assemble(given, setting)


def _raw(checkpoint: Checkpoint, base: Path) -> Mapping[str, Tensor]:
    return read_checkpoint(checkpoint, base, "checkpoint")


def _directions(parameters: ModelParameters, base: Path) -> tuple[Direction, ...]:
    if parameters.path is not None:
        return ()
    items = parameters.directions or (RandomParameters(kind="filter"),)
    return tuple(
        item.model_copy(
            update={"checkpoints": expanded(item.checkpoints, base, "directions.checkpoints")}
        )
        if isinstance(item, TrajectoryParameters)
        else item
        for item in items
    )


def _loss(reference: str, base: Path) -> str | SampleLoss:
    """The loss that a reference names; a class is made with reduction='none'."""
    if ":" not in reference:
        return reference
    found = imported(reference, base, "loss")
    if isinstance(found, type):
        return cast("SampleLoss", call(reference, base, "loss", {"reduction": "none"}))
    if not callable(found):
        raise SpecError(f"loss: {reference} is {type(found).__name__}; expected a function")
    return cast("SampleLoss", found)
