"""Piecewise-linear functions as torch modules, of operations whose pieces a scan can tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.piecewise.pieces import PiecewiseLinear


class ArcTan(nn.Module):
    """The arc tangent."""

    def forward(self, values: Tensor) -> Tensor:
        """Of the shape of the values."""
        return torch.atan(values)


SMOOTH: Mapping[str, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "arctan": ArcTan,
}
"""Activations that are not piecewise linear, by name."""


class Leaky(nn.Module):
    """max(s_+ x, 0) + min(s_− x, 0) with s_+ ≠ 0."""

    def __init__(self, right: float, left: float) -> None:
        super().__init__()
        self.right = right
        self.left = left

    def forward(self, values: Tensor) -> Tensor:
        """Of the shape of the values."""
        if self.left == 0:
            return self.right * torch.relu(values)
        if self.left == -self.right:
            return self.right * torch.abs(values)
        return self.right * functional.leaky_relu(values, self.left / self.right)


class Pieces(nn.Module):
    """Any other piecewise-linear function: a line, and a ReLU for each knot."""

    def __init__(self, function: PiecewiseLinear) -> None:
        super().__init__()
        self.function = function

    def forward(self, values: Tensor) -> Tensor:
        """Of the shape of the values."""
        h = self.function
        found = h.left_line + h.slopes[0] * values
        for knot, (left, right) in zip(h.knots, pairwise(h.slopes), strict=True):
            found = found + (right - left) * torch.relu(values - knot)
        return found


def unit(activation: str | PiecewiseLinear) -> nn.Module:
    """The module of a smooth activation by name, or of a piecewise-linear one."""
    if isinstance(activation, str):
        return SMOOTH[activation]()
    h = activation
    if h.at_zero == 0 and h.knots == (0.0,) and h.slopes[1] != 0:
        return Leaky(h.slopes[1], h.slopes[0])
    if h.at_zero == 0 and h.slopes == (0.0, 1.0, 0.0) and h.knots[0] == -h.knots[1]:
        return nn.Hardtanh(h.knots[0], h.knots[1])
    return Pieces(h)
