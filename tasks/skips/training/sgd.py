"""SGD on a network at several learning rates at once, with the parameters kept along the way.

Shape legend: R = learning rates, C = checkpoints, N = samples, m = outputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from schemas.errors import WorkError, listing
from tasks.objective import Split
from tasks.registry import Progress
from tasks.threads import one_thread

STEP = "training a network"
_TENTH = 0.1
_BLOCK = 500
"""Samples that are evaluated together."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: SGD with Nesterov's momentum.

    Attributes:
        epochs: passes over the samples.
        batch: samples of a step.
        learning_rates: one for each network.
        falls: epochs after which the rates fall to a tenth.
        momentum: 0 for none.
        kept: epochs after which the parameters are kept, ascending, 0 for the start.
    """

    epochs: int
    batch: int
    learning_rates: tuple[float, ...]
    falls: tuple[int, ...]
    momentum: float
    kept: tuple[int, ...]


@dataclass(frozen=True)
class Trained:
    """What has become of the networks.

    Attributes:
        checkpoints: parameters of the best one by name, (C, …) each.
        losses: mean cross-entropy of each at the end, (R,), float64.
    """

    checkpoints: dict[str, Tensor]
    losses: Tensor

    @property
    def best(self) -> int:
        """That of the least loss; one that is not finite is never."""
        return best_of(self.losses)


def best_of(losses: Tensor) -> int:
    """The position of the least finite loss among (R,)."""
    return int(losses.nan_to_num(math.inf).argmin())


def train(
    module: nn.Module,
    start: Mapping[str, Tensor],
    data: Split,
    schedule: Schedule,
    *,
    seed: int,
    progress: Progress,
) -> Trained:
    """Minimise the mean cross-entropy over the parameters in `start`; the module is not changed.

    The networks of all rates are one batch of operations, and see the same samples in the same
    order. On one thread, so that the bits follow from the seed alone.

    Args:
        module: x (N, …) → (N, m); its own parameters are used where `start` has none.
        start: parameters that are trained, by name.
        data: inputs (N, …) and classes (N,).
        schedule: how long and how fast.
        seed: of the order of the samples.
        progress: told of the epochs.

    Raises:
        WorkError: no loss is finite in the end.
    """
    with one_thread():
        networks = _Networks(module, start, schedule)
        order = torch.Generator().manual_seed(seed)
        kept = [networks.copy()]
        for epoch in range(1, schedule.epochs + 1):
            shuffled = torch.randperm(len(data), generator=order)
            for index in torch.split(shuffled, schedule.batch):
                networks.step(data.inputs[index], data.targets[index])
            networks.decay.step()
            if epoch in schedule.kept:
                kept.append(networks.copy())
            progress(STEP, epoch, schedule.epochs)
        losses = networks.losses(data)
    if not bool(losses.isfinite().any()):
        rates = listing([f"{rate:g}" for rate in schedule.learning_rates])
        raise WorkError(
            f"learning_rates: with {rates} no loss is finite after {schedule.epochs} epochs; give "
            "smaller ones"
        )
    best = best_of(losses)
    checkpoints = {name: torch.stack([each[name][best] for each in kept]) for name in start}
    return Trained(checkpoints, losses)


class _Networks:
    """Copies of a network, one for each learning rate, stacked: every parameter is (R, …)."""

    def __init__(self, module: nn.Module, start: Mapping[str, Tensor], schedule: Schedule) -> None:
        rates = schedule.learning_rates
        self._parameters = {
            name: tensor.detach().expand(len(rates), *tensor.shape).clone().requires_grad_()
            for name, tensor in start.items()
        }
        # SGD is linear in the gradients: to scale a network's loss is to scale its rate.
        self._scales = torch.tensor(rates) / rates[0]
        self._optimiser = torch.optim.SGD(
            self._parameters.values(),
            lr=rates[0],
            momentum=schedule.momentum,
            nesterov=schedule.momentum > 0,
            foreach=True,
        )
        self.decay = torch.optim.lr_scheduler.MultiStepLR(self._optimiser, schedule.falls, _TENTH)

        def outputs(own: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
            found: Tensor = functional_call(module, dict(own), (inputs,))
            return found

        self._outputs = vmap(outputs, (0, None))

    def step(self, inputs: Tensor, targets: Tensor) -> None:
        """One step of all networks on a batch."""
        self._optimiser.zero_grad()
        means = self._sample_losses(inputs, targets).mean(dim=1)
        (self._scales * means).sum().backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()

    def losses(self, data: Split) -> Tensor:
        """Mean losses over all samples, (R,), float64."""
        blocks = zip(
            torch.split(data.inputs, _BLOCK), torch.split(data.targets, _BLOCK), strict=True
        )
        with torch.no_grad():
            found = [self._sample_losses(*block).double().sum(dim=1) for block in blocks]
        return torch.stack(found).sum(dim=0) / len(data)

    def copy(self) -> dict[str, Tensor]:
        """The parameters, (R, …) each."""
        return {name: tensor.detach().clone() for name, tensor in self._parameters.items()}

    def _sample_losses(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """(R, N)."""
        outputs = self._outputs(self._parameters, inputs)
        rates = len(outputs)
        losses = functional.cross_entropy(
            outputs.flatten(0, 1), targets.repeat(rates), reduction="none"
        )
        return losses.reshape(rates, -1)
