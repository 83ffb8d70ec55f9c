"""The arc-cosine kernel of degree 1: what two ReLU neurons share on normal inputs.

With x ~ N(0, I), E relu(w·x) relu(u·x) = (‖w‖‖u‖ sin θ + (π−θ) w·u)/2π, θ the angle between w and
u: Cho & Saul 2009, "Kernel methods for deep learning", NIPS 22, eq. (6). Shape legend: P = pairs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_NARROW = 0.125
_TERMS = 9


def excess(across: Tensor, along: Tensor) -> Tensor:
    """The value s − θc for s ≥ 0 and any c, θ = atan2(s, c): (P,).

    Near the line of v, where s ≪ |c|, it is |c| (t − arctan t) with t = s/|c|, and π|c| more where
    c < 0: a series, since the difference and its derivatives would lose their digits.
    """
    size = along.abs()
    near = across <= _NARROW * size
    safe = torch.where(near & (size > 0), size, 1.0)
    beside = size * _less_arctangent(torch.where(near, across, 0.0) / safe)
    beside = beside + math.pi * torch.relu(-along)
    wide, middle = torch.where(near, 1.0, across), torch.where(near, 0.0, along)
    # Not atan2, whose last digit depends on the place in an array.
    angle = math.pi / 2 - torch.atan(middle / wide)
    return torch.where(near, beside, wide - angle * middle)


def _less_arctangent(t: Tensor) -> Tensor:
    """T − arctan t = t³/3 − t⁵/5 + … for 0 ≤ t ≤ ⅛, to the last digit of float64."""
    squared = t.square()
    series = torch.zeros_like(t)
    for k in range(_TERMS, 0, -1):
        series = 1 / (2 * k + 1) - squared * series
    return t * squared * series
