"""Which activation modules are real analytic and strictly increasing, as assumption 3.1 wants them.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

_ANALYTIC = (nn.Sigmoid, nn.Tanh, nn.LogSigmoid, nn.Tanhshrink)
_CORNERS = "has corners and parts that do not increase"
_REASONS: Mapping[type[nn.Module], str] = {
    nn.ReLU: "has a corner at 0 and is constant below it",
    nn.ReLU6: _CORNERS,
    nn.LeakyReLU: "has a corner at 0",
    nn.PReLU: "has a corner at 0",
    nn.RReLU: "has a corner at 0",
    nn.ELU: "is not analytic at 0, where its derivatives jump",
    nn.CELU: "is not analytic at 0, where its derivatives jump",
    nn.SELU: "is not analytic at 0, where its derivatives jump",
    nn.Softsign: "is not analytic at 0, where its derivatives jump",
    nn.GELU: "falls below −0.75",
    nn.SiLU: "falls below −1.28",
    nn.Mish: "falls below −1.19",
    nn.Hardtanh: _CORNERS,
    nn.Hardsigmoid: _CORNERS,
    nn.Hardswish: _CORNERS,
    nn.Hardshrink: _CORNERS,
    nn.Softshrink: _CORNERS,
    nn.Threshold: _CORNERS,
}
# From here on softplus and the identity are one in float64, relative to 1.
_LEAST_THRESHOLD = -math.log(torch.finfo(torch.float64).eps / 2)


def is_activation(module: nn.Module) -> bool:
    """Whether `reason_against` knows the module."""
    return isinstance(module, (*_ANALYTIC, nn.Softplus)) or type(module) in _REASONS


def reason_against(module: nn.Module) -> str | None:
    """Why an activation is not real analytic or not strictly increasing; None if it is both.

    A softplus that torch takes for the identity beyond its `threshold` counts as one where float64
    sees no difference; with torch's default of 20 it jumps by 2e-9 there.
    """
    name = type(module).__name__
    if isinstance(module, nn.Softplus):
        if module.beta <= 0:
            return f"{name}(beta={module.beta:g}) does not increase; expected beta above 0"
        if module.threshold < _LEAST_THRESHOLD:
            jump = math.exp(-module.threshold)
            return (
                f"{name}(threshold={module.threshold:g}) is linear beyond, with a jump of "
                f"{jump:.0e}; give it threshold=40"
            )
        return None
    if isinstance(module, _ANALYTIC):
        return None
    return f"{name} {_REASONS[type(module)]}"


def is_bounded_with_zero(module: nn.Module) -> bool:
    """Whether σ is bounded and tends to 0 at −∞."""
    return isinstance(module, nn.Sigmoid)
