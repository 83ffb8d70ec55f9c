"""Objectives: parameters → metrics per split.

Shape legend: N = samples, P = points, n = parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from schemas.errors import SpecError, listing, suggestion
from tasks.batchnorm import Reestimation

SampleLoss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(outputs (N, …), targets (N, …)) → losses (N,) or (N, …), to be averaged over all but samples."""


IGNORED = -100
"""The class of a position that does not count, as in torch."""


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits (N, C, …) against classes (N, …), in nats, shape (N,).

    The mean over a sample's positions leaves out those of class −100. Floating targets (N, C, …)
    are probabilities.
    """
    losses = functional.cross_entropy(outputs, targets, reduction="none", ignore_index=IGNORED)
    if losses.dim() == 1:
        return losses
    if targets.is_floating_point():
        return losses.flatten(1).mean(dim=1)
    counted = (targets != IGNORED).flatten(1).sum(dim=1)
    return losses.flatten(1).sum(dim=1) / counted


def binary_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits against labels 0 and 1 of the same shape, in nats, shape (N,)."""
    outputs, targets = _alike(outputs, targets)
    ones = targets.to(outputs.dtype)
    # Torch's own writes into a tensor of one point's shape, which no block of points has.
    inside, outside = functional.logsigmoid(outputs), functional.logsigmoid(-outputs)
    return _mean(-(ones * inside + (1 - ones) * outside))


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared error of outputs against targets of the same shape, averaged to (N,).

    Integer targets are classes and are compared as one-hot vectors, but for a single output.
    """
    return _mean(differences(outputs, targets).square())


def differences(outputs: Tensor, targets: Tensor) -> Tensor:
    """Outputs minus targets (N, …), whose squares are those of `squared_error`."""
    whole = not targets.is_floating_point() and targets.dim() == 1
    if whole and not _alike_shapes(outputs, targets):
        targets = functional.one_hot(targets, outputs.shape[-1]).to(outputs.dtype)
    outputs, targets = _alike(outputs, targets)
    return outputs - targets


def absolute_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Absolute error of outputs against targets of the same shape, averaged to (N,)."""
    outputs, targets = _alike(outputs, targets)
    return _mean((outputs - targets).abs())


def huber(outputs: Tensor, targets: Tensor) -> Tensor:
    """Huber loss with δ = 1 (Huber 1964) against targets of the same shape, averaged to (N,)."""
    outputs, targets = _alike(outputs, targets)
    return _mean(functional.huber_loss(outputs, targets, reduction="none"))


def _alike_shapes(outputs: Tensor, targets: Tensor) -> bool:
    """Whether there is one target for each output, as of regressions and labels."""
    one, other = outputs.shape, targets.shape
    return one in (other, (*other, 1)) or other == (*one, 1)


def _alike(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Both of one shape: broadcasting (N, 1) against (N,) would compare every pair of samples."""
    if outputs.shape == (*targets.shape, 1):
        outputs = outputs.squeeze(-1)
    if targets.shape == (*outputs.shape, 1):
        targets = targets.squeeze(-1)
    if outputs.shape != targets.shape:
        raise SpecError(
            f"loss: outputs have shape {tuple(outputs.shape)} and targets "
            f"{tuple(targets.shape)}; expected the same; check the data or choose another loss"
        )
    return outputs, targets


def _mean(losses: Tensor) -> Tensor:
    return losses if losses.dim() == 1 else losses.flatten(1).mean(dim=1)


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
    return _mean(losses)


LOSSES: Mapping[str, SampleLoss] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": squared_error,
    "mae": absolute_error,
    "huber": huber,
}
"""Losses by name."""


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
    (P,) in the dtype it was given. Where the loss is a sum of squares, up to a constant, a function
    in `residuals` may give the terms (P, m): loss = Σ residual² + constant. Derivatives that are
    known in closed form may be given as well, else they are found by automatic differentiation:
    `slopes` gives losses (P,) and gradients (P, n), `hessians` gives (P, n, n).
    """

    functions: Mapping[str, Callable[[Tensor], Tensor]]
    residuals: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    slopes: Mapping[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = field(default_factory=dict)
    hessians: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)


def targets_are_classes(loss: SampleLoss, outputs: Tensor, targets: Tensor) -> bool:
    """Whether a loss takes the targets for numbers of the outputs' second dimension."""
    if targets.is_floating_point() or targets.is_complex() or outputs.dim() < 2:
        return False
    return loss is cross_entropy or (
        loss is squared_error and targets.dim() == 1 and not _alike_shapes(outputs, targets)
    )


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Share of a sample's targets that the outputs hit, (N,), float64.

    Of classes (N, …) those at which outputs (N, C, …) are greatest; positions of class −100 do not
    count. Of labels 0 and 1, one for each output, those whose output is positive just where they
    are 1.
    """
    if _alike_shapes(outputs, targets):
        outputs, targets = _alike(outputs, targets)
        return _mean(((outputs > 0) == (targets > 0)).to(torch.float64))
    # Several times faster than argmax, and the first of equals as well.
    hits = (outputs.max(dim=1).indices == targets).to(torch.float64)
    if hits.dim() == 1:
        return hits
    counted = (targets != IGNORED).flatten(1).sum(dim=1)
    return hits.flatten(1).sum(dim=1) / counted
