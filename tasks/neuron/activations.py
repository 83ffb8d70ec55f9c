"""Activations of a neuron, and how far its output is from a target, without losing digits.

Shape legend: N = examples, P = points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from schemas.errors import SpecError

Floats: TypeAlias = npt.NDArray[np.float64]

_LARGEST_EXPONENT = {torch.float32: 80.0, torch.float64: 700.0}


def sigmoid_deviation(sums: Tensor, logits: Tensor, targets: Tensor, others: Tensor) -> Tensor:
    """σ(a) − y of sums a (N, P) and targets y (N, 1) = σ(b), with `others` 1 − y and logits b.

    σ(a) − σ(b) = tanh((a−b)/2) (σ(a)(1−y) + σ(−a)y): no difference is taken but a − b, so the
    deviation is as accurate as that, on both sides of the target and for targets 0 and 1, where b
    is infinite.
    """
    # Beyond this the exponential, and the products with it in derivatives, would overflow.
    ratio = torch.exp((-sums).clamp(max=_LARGEST_EXPONENT[sums.dtype]))
    return torch.tanh((sums - logits) / 2) * ((others + ratio * targets) / (1 + ratio))


def _sine(sums: Tensor) -> Tensor:
    return torch.sin(sums)


def _gaussian(sums: Tensor) -> Tensor:
    return torch.exp(-sums.square())


def _identity(sums: Tensor) -> Tensor:
    return sums


@dataclass(frozen=True)
class Activation:
    """An activation φ.

    Attributes:
        value: φ, float64.
        monotone: whether it never falls.
        slope, shift: a sigmoid's, φ(a) = slope·σ(slope·a) + shift, which is every φ here that is
            bounded and symmetric about φ(0); None for the others.
        plain: φ as evaluated in a neuron that is no sigmoid.
    """

    value: Callable[[Floats], Floats]
    monotone: bool
    slope: float | None = None
    shift: float = 0.0
    plain: Callable[[Tensor], Tensor] = _identity

    @property
    def sigmoidal(self) -> bool:
        """Whether it is a sigmoid but for scale."""
        return self.slope is not None


def _sigmoid(sums: Floats) -> Floats:
    small = np.exp(-np.abs(sums))
    values: Floats = np.where(sums >= 0, 1.0, small) / (1.0 + small)
    return values


def _rectified(sums: Floats) -> Floats:
    values: Floats = np.maximum(sums, 0.0)
    return values


ACTIVATIONS: Mapping[str, Activation] = {
    "sigmoid": Activation(_sigmoid, True, slope=1.0),
    "tanh": Activation(np.tanh, True, slope=2.0, shift=-1.0),
    "relu": Activation(_rectified, True, plain=torch.relu),
    "identity": Activation(np.positive, True),
    "sine": Activation(np.sin, False, plain=_sine),
    "gaussian": Activation(lambda a: np.exp(-np.square(a)), False, plain=_gaussian),
}
"""Activations by name; tanh(a) = 2 σ(2a) − 1."""


def check_targets(activation: str, targets: Floats) -> None:
    """SpecError unless every target is within the range of a sigmoid, its ends included."""
    phi = ACTIVATIONS[activation]
    if phi.slope is None:
        return
    low, high = phi.shift, phi.shift + phi.slope
    outside = targets[(targets < low) | (targets > high)]
    if outside.size:
        raise SpecError(
            f"parameters.data: target {outside[0]:g} is out of the range of {activation}; expected "
            f"{low:g} to {high:g}"
        )
