"""The task `skip-training`: a deep network along its training, with skip units or without.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749, section 4. Shape legend: N = samples, M = skip
units, C = checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from schemas.errors import SpecError, listing
from tasks.cache import cached
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split, cross_entropy
from tasks.paths.charts import PolygonChart
from tasks.registry import BuildContext
from tasks.section import Section, axis_count_error
from tasks.skips.features import features
from tasks.skips.training.networks import (
    BATCHES,
    TEST,
    TRAIN,
    network_of,
    splits_of,
    stream,
)
from tasks.skips.training.parameters import SkipTrainingParameters
from tasks.skips.training.sgd import Schedule, Trained, train
from tasks.skips.wrapper import SkipToOutput
from tasks.tensors import tensor_hash

_VERSION = 1
"""Raised when the training changes, so that nothing older is taken from a cache."""
_LOSSES, _CHECKPOINT = "losses", "checkpoint."


class _Readout(nn.Module):
    """Ψ (N, M) → ΨV (N, m)."""

    def __init__(self, skip: Tensor) -> None:
        super().__init__()
        self.skip = nn.Parameter(skip.detach().clone())

    def forward(self, psi: Tensor) -> Tensor:
        """The outputs."""
        return psi @ self.skip


def build_skip_training(parameters: SkipTrainingParameters, context: BuildContext) -> Landscape:
    """The mean cross-entropy on `train` and `test` along the polygon through the checkpoints.

    Raises:
        SpecError: another split is asked for, there is not one axis, or data or hidden units do not
            suffice.
        WorkError: the training diverges at all learning rates.
    """
    unknown = [split for split in context.splits if split not in (TRAIN, TEST)]
    if unknown:
        raise SpecError(
            f"splits: got {listing(unknown)}; this task has {TRAIN} and {TEST}; use some of these"
        )
    if context.axes != 1:
        raise axis_count_error(context.axes, 1, "skip-training")
    splits = splits_of(parameters, context.seed)
    network = network_of(parameters, splits[TRAIN].inputs, context.seed)
    schedule = _schedule(parameters)
    trained = _trained(parameters, network, splits[TRAIN], schedule, context)
    return Landscape(
        EmpiricalRisk(network, cross_entropy, splits),
        _section(network, trained.checkpoints),
        facts={
            **_facts(parameters, network, splits),
            "learning_rate": schedule.learning_rates[trained.best],
            "final_losses": [
                loss if np.isfinite(loss) else None for loss in trained.losses.tolist()
            ],
            "checkpoints": list(schedule.kept),
        },
    )


def _schedule(parameters: SkipTrainingParameters) -> Schedule:
    kept = np.linspace(0, parameters.epochs, parameters.checkpoints).round().astype(int)
    return Schedule(
        parameters.epochs,
        parameters.batch,
        parameters.learning_rates,
        parameters.falls,
        parameters.momentum,
        tuple(kept.tolist()),
    )


def _trained(
    parameters: SkipTrainingParameters,
    network: nn.Module,
    data: Split,
    schedule: Schedule,
    context: BuildContext,
) -> Trained:
    """What the training gives, or has given before; without training the start throughout."""
    module, data = _what_is_trained(parameters, network, data)
    start = {name: tensor.detach() for name, tensor in module.named_parameters()}
    if not context.train:
        count = len(schedule.kept)
        still = {name: torch.stack([tensor] * count) for name, tensor in start.items()}
        return Trained(still, torch.full((len(schedule.learning_rates),), torch.nan))

    def make() -> dict[str, Tensor]:
        found = train(
            module,
            start,
            data,
            schedule,
            seed=stream(context.seed, BATCHES),
            progress=context.progress,
        )
        named = {_CHECKPOINT + name: tensor for name, tensor in found.checkpoints.items()}
        return {_LOSSES: found.losses, **named}

    identity = {
        "version": _VERSION,
        "task": "skip-training",
        "parameters": parameters.model_dump(mode="json"),
        "start": tensor_hash(network.state_dict().items()),
        "data": tensor_hash([("inputs", data.inputs), ("targets", data.targets)]),
        "seed": context.seed,
        "torch": torch.__version__,
    }
    found = cached(context.cache, identity, make)
    checkpoints = {name: found[_CHECKPOINT + name] for name in start}
    return Trained(checkpoints, found[_LOSSES])


def _what_is_trained(
    parameters: SkipTrainingParameters, network: nn.Module, data: Split
) -> tuple[nn.Module, Split]:
    """The network and its data; of random features V alone, with Ψ as its inputs."""
    if parameters.connections != "random-features" or not isinstance(network, SkipToOutput):
        return network, data
    psi = features(network, data.inputs).to(data.inputs.dtype)
    return _Readout(network.skip), Split(psi, data.targets)


def _section(network: nn.Module, checkpoints: Mapping[str, Tensor]) -> Section:
    """Straight lines from checkpoint to checkpoint; what was not trained stays."""
    kept = {name: tensor.double() for name, tensor in checkpoints.items()}
    origin = {name: tensor.detach().double() for name, tensor in network.named_parameters()}
    origin |= {name: tensor[0] for name, tensor in kept.items()}
    count = len(next(iter(kept.values())))
    directions = tuple(
        {name: tensor[step] - tensor[0] for name, tensor in kept.items()}
        for step in range(1, count)
    )
    return Section(origin, directions, PolygonChart(count - 1))


def _facts(
    parameters: SkipTrainingParameters, network: nn.Module, splits: Mapping[str, Split]
) -> dict[str, Any]:
    return {
        "data": parameters.data,
        "samples": len(splits[TRAIN]),
        "test_samples": len(splits[TEST]),
        "labels": parameters.labels,
        "network": parameters.network,
        "hidden_layers": parameters.hidden_layers,
        "width": parameters.width,
        "activation": parameters.activation,
        "connections": parameters.connections,
        "skips": parameters.units,
        "parameters": sum(tensor.numel() for tensor in network.parameters()),
        "epochs": parameters.epochs,
        "batch": parameters.batch,
        "momentum": parameters.momentum,
        "learning_rates": list(parameters.learning_rates),
    }
