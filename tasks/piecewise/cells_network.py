"""The network of the task `piecewise-cells`, and its samples.

Shape legend: N = samples, d = inputs of each, n_l = units of layer l (n_0 inputs, n_L = 1).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from tasks.landscape import Floats


def network(dimensions: int, widths: Sequence[int], slope: float) -> nn.Sequential:
    """`layer1`, `unit1`, …, `layerL`: linear layers (n_l, n_{l−1}) without biases, units between.

    The last one has one output and no unit. float64.
    """
    sizes = [dimensions, *widths, 1]
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (inputs, units) in enumerate(pairwise(sizes), start=1):
        parts[f"layer{number}"] = nn.Linear(inputs, units, bias=False, dtype=torch.float64)
        if number <= len(widths):
            parts[f"unit{number}"] = unit(slope)
    return nn.Sequential(parts)


def unit(slope: float) -> nn.Module:
    """A unit with this slope below 0 and 1 above it; of slope 1 it has one piece and no wall."""
    if slope == 0.0:
        return nn.ReLU()
    return nn.Hardtanh(-math.inf, math.inf) if slope == 1.0 else nn.LeakyReLU(slope)


def draw_samples(
    samples: int, dimensions: int, random: np.random.Generator
) -> tuple[Floats, Floats]:
    """Normal inputs (N, d), of which the last is 1, and normal targets (N,)."""
    inputs = random.standard_normal((samples, dimensions))
    inputs[:, -1] = 1.0
    return inputs, random.standard_normal(samples)
