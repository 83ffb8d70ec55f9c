"""The task `model`: from what a spec names to a landscape."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import nn

from schemas.errors import SpecError
from tasks.landscape import Landscape
from tasks.model.assemble import Setting, assemble
from tasks.model.checkpoints import load_checkpoint, read_checkpoint
from tasks.model.importing import call, imported
from tasks.model.parameters import ModelParameters
from tasks.model.risk import Given
from tasks.objective import SampleLoss
from tasks.registry import BuildContext
from tasks.sources.read import read_splits


def build_model(parameters: ModelParameters, context: BuildContext) -> Landscape:
    """The landscape of a user's model.

    What its code draws from torch's global random numbers follows from the seed.

    Raises:
        SpecError: a file, a name or a number in the parameters is wrong.
        WorkError: a path cannot be trained, or an alignment would change a checkpoint's function.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(context.seed)
        given = _given(parameters, context)
    setting = Setting(
        z=context.z,
        seed=context.seed,
        cache=context.cache,
        train=context.train,
        progress=context.progress,
    )
    return assemble(given, setting)


def _given(parameters: ModelParameters, context: BuildContext) -> Given:
    """The module, its checkpoint, the data and the loss."""
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
    return Given(
        module=module,
        splits=read_splits(data, context.splits, base, data.seed),
        loss=_loss(parameters.loss, base),
        said=parameters,
        raw=lambda checkpoint: read_checkpoint(checkpoint, base, "checkpoint"),
        base=base,
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
