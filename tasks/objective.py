"""Objectives: parameters → metrics per split.

Shape legend: N = samples, P = points, n = parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.errors import SpecError, listing, suggestion
from tasks.batchnorm import Reestimation

SampleLoss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(outputs (N, …), targets (N, …)) → losses (N,) or (N, …), to be averaged over all but samples."""


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits (N, C) against classes (N,), in nats, shape (N,)."""
    return functional.cross_entropy(outputs, targets, reduction="none")


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared error of outputs against targets of the same shape, averaged to (N,).

    Integer targets are classes and are compared as one-hot vectors.
    """
    if not targets.is_floating_point():
        targets = functional.one_hot(targets, outputs.shape[-1]).to(outputs.dtype)
    return (outputs - targets).square().flatten(1).mean(dim=1)


def per_sample(loss: SampleLoss, outputs: Tensor, targets: Tensor) -> Tensor:
    """Losses (N,) of outputs (N, …) and targets (N, …); further dimensions are averaged.

    Raises:
        SpecError: the loss does not give one value, or several, for each sample.
    """
    losses = loss(outputs, targets)
    if losses.dim() == 0 or len(losses) != len(targets):
        raise SpecError(
            f"loss: gave shape {tuple(losses.shape)} for {len(targets)} samples; expected "
            f"({len(targets)},) or more dimensions; use reduction='none'"
        )
    return losses if losses.dim() == 1 else losses.flatten(1).mean(dim=1)


LOSSES: Mapping[str, SampleLoss] = {"cross_entropy": cross_entropy, "mse": squared_error}


def loss_named(loss: str | SampleLoss) -> SampleLoss:
    """The loss of that name, or the given function itself; SpecError for an unknown name."""
    if callable(loss):
        return loss
    if loss not in LOSSES:
        raise SpecError(
            f"loss: got {loss!r}; expected one of {listing(LOSSES)} or a function "
            f"(outputs, targets) -> one loss a sample{suggestion(loss, LOSSES)}"
        )
    return LOSSES[loss]


@dataclass(frozen=True)
class Split:
    """A data set on which an objective is evaluated: inputs (N, …) and targets (N, …)."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class EmpiricalRisk:
    """Mean loss of a module over the samples of each split.

    The module is evaluated in eval mode; its parameters are those of a Section. With a
    `reestimation` the running statistics of its batch normalisation are measured anew at each
    point.
    """

    module: nn.Module
    loss: SampleLoss
    splits: Mapping[str, Split]
    reestimation: Reestimation | None = None


@dataclass(frozen=True)
class ClosedForm:
    """A loss known as a function of the parameters, for each split.

    Each function takes parameters (P, n), laid out as the section's `theta`, and gives losses
    (P,) in the dtype it was given.
    """

    functions: Mapping[str, Callable[[Tensor], Tensor]]


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Share of the targets (N, …) at which the outputs (N, C, …) are greatest, (N,), float64."""
    # Several times faster than argmax, and the first of equals as well.
    hits = (outputs.max(dim=1).indices == targets).to(torch.float64)
    return hits if hits.dim() == 1 else hits.flatten(1).mean(dim=1)
