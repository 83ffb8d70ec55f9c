"""A loss as a function of flat variables, many points at once.

Shape legend: P = points, n = variables, m = residuals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Function:
    """A loss of n variables, differentiable by automatic differentiation.

    A point's value depends on its own row alone.

    Attributes:
        n: number of variables.
        value: (P, n) → (P,).
        residuals: (P, n) → (P, m) with value = Σ residual² + constant, if the loss is such a sum.
    """

    n: int
    value: Callable[[Tensor], Tensor]
    residuals: Callable[[Tensor], Tensor] | None = None
