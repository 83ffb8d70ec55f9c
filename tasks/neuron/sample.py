"""The loss of ReLU neurons over a sample of inputs. Shape legend: P = points, N = samples.

n = neurons, d = inputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.neuron.arithmetic import products, total

_BLOCK = 256


@dataclass(frozen=True)
class SampleLoss:
    """(1/2N) Σ_t (Σ_i relu(w_i·x_t) − y_t)², of rows w_1 … w_n one after another, (P, n·d).

    Attributes:
        inputs: x, (N, d).
        targets: y, (N, 1).
    """

    inputs: Tensor
    targets: Tensor

    def __call__(self, theta: Tensor) -> Tensor:
        """Losses (P,), in the dtype of the points."""
        found = torch.zeros_like(theta[:, 0])
        for start in range(0, len(self.inputs), _BLOCK):
            found = found + total(self._away(theta, slice(start, start + _BLOCK)).square())
        return found / (2 * len(self.inputs))

    def residuals(self, theta: Tensor) -> Tensor:
        """(Σ_i relu(w_i·x_t) − y_t) / √2N, (P, N)."""
        return self._away(theta, slice(None)).t() / math.sqrt(2 * len(self.inputs))

    def _away(self, theta: Tensor, which: slice) -> Tensor:
        """Outputs less targets, (B, P); one student at a time, so that no more is held."""
        inputs = self.inputs[which]
        return outputs(inputs, theta) - self.targets[which].to(theta)


def outputs(inputs: Tensor, theta: Tensor) -> Tensor:
    """Σ_i relu(w_i·x_t) at inputs (N, d) of points (P, n·d): (N, P), in the points' dtype."""
    students = torch.split(theta, inputs.shape[1], dim=1)
    found = torch.relu(products(inputs, students[0]))
    for student in students[1:]:
        found = found + torch.relu(products(inputs, student))
    return found
