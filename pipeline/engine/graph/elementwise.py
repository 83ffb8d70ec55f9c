"""Operations that act on each number by itself, and those that only rename shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten

_FUNCTIONS = [
    "relu",
    "gelu",
    "tanh",
    "sigmoid",
    "silu",
    "softplus",
    "elu",
    "celu",
    "selu",
    "leaky_relu",
    "hardtanh",
    "relu6",
    "hardswish",
    "hardsigmoid",
    "mish",
    "log_sigmoid",
    "softshrink",
    "hardshrink",
    "threshold",
    "neg",
    "abs",
    "square",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "exp",
    "log",
    "log1p",
    "expm1",
    "sin",
    "cos",
    "atan",
    "erf",
    "sign",
    "clamp",
    "clamp_min",
    "clamp_max",
    "maximum",
    "minimum",
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
]
_WITH_NUMBERS = ["add", "sub", "rsub", "mul", "div", "gt", "lt", "ge", "le"]
ELEMENTWISE = frozenset(
    {
        *(getattr(aten, name).default for name in _FUNCTIONS),
        *(getattr(aten, name).Tensor for name in _WITH_NUMBERS),
        *(getattr(aten, name).Scalar for name in _WITH_NUMBERS),
        aten.pow.Tensor_Scalar,
        aten.where.self,
    }
)
# Element-wise losses with the position of their reduction, which must be 0: none.
REDUCTION = {
    aten.mse_loss.default: 2,
    aten.l1_loss.default: 2,
    aten.smooth_l1_loss.default: 2,
    aten.huber_loss.default: 2,
    aten.binary_cross_entropy.default: 3,
    aten.binary_cross_entropy_with_logits.default: 4,
}
IN_PLACE: dict[Any, Callable[..., Tensor]] = {
    aten.relu.default: torch.relu_,
    aten.tanh.default: torch.tanh_,
    aten.sigmoid.default: torch.sigmoid_,
}
TRANSPARENT = frozenset(
    {
        aten.view.default, aten.reshape.default, aten.flatten.using_ints, aten.clone.default,
        aten.contiguous.default, aten.detach.default, aten.alias.default, aten.to.dtype,
        aten._to_copy.default,
    }
)  # fmt: skip
