"""Descents from many starts at once.

Shape legend: P = starts, n = variables.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pipeline.engine.descents.damped import damped
from pipeline.engine.descents.derivatives import (
    gradient_and_hessian,
    hessians,
    residuals_and_jacobian,
    value_and_gradient,
)
from pipeline.engine.descents.ends import Ends
from pipeline.engine.descents.functions import Function
from pipeline.engine.descents.quasi_newton import MEMORY, quasi_newton
from schemas.errors import SpecError

__all__ = ["Ends", "descend", "hessians"]


def descend(
    function: Function,
    starts: Tensor,
    method: str,
    tolerance: float,
    max_iterations: int,
    scale: Tensor | None = None,
) -> Ends:
    """Descents from starts (P, n) until the gradient norm is within the tolerance.

    What becomes of a start depends on it and, in its last digits, on the others beside it: on
    nothing else.

    Args:
        function: the loss.
        starts: (P, n), in the dtype of the descent.
        method: `gd`, `lbfgs`, `lm` or `newton`, as `schemas.starts.Descent` has them.
        tolerance: gradient norm at which a descent has converged.
        max_iterations: after which it is given up.
        scale: (P, n), positive: the descents are in θ/scale, and so are gradient norms.

    Raises:
        SpecError: the method is lm and the loss no sum of squares.
    """
    scaled = _Scaled(function, scale)
    # Copied, as kernels may sum in another order where memory begins at another boundary.
    begin = starts.clone() if scale is None else starts / scale
    if method in ("gd", "lbfgs"):
        memory = MEMORY if method == "lbfgs" else 0
        ends = quasi_newton(scaled.slopes, begin, tolerance, max_iterations, memory)
    elif method == "lm":
        if function.residuals is None:
            raise no_sum_of_squares()
        ends = damped(scaled.residuals, begin, tolerance, max_iterations, of_gradient=False)
    elif method == "newton":
        ends = damped(scaled.gradients, begin, tolerance, max_iterations, of_gradient=True)
    else:
        raise ValueError(f"descents: no method {method!r}")
    theta = ends.theta if scale is None else ends.theta * scale
    if method in ("gd", "lbfgs"):
        return replace(ends, theta=theta)
    with torch.no_grad():
        return replace(ends, theta=theta, loss=function.value(theta))


def no_sum_of_squares() -> SpecError:
    """The error for a method that needs residuals where there are none."""
    return SpecError(
        "descent.method: lm needs a loss that is a sum of squares, such as mse; use lbfgs"
    )


class _Scaled:
    """A function in the variables u = θ/scale, for the descents given by number."""

    def __init__(self, function: Function, scale: Tensor | None) -> None:
        self._function = function
        self._scale = scale

    def slopes(self, at: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Losses (P,) and gradients (P, n)."""
        if self._scale is None:
            return value_and_gradient(self._function, at)
        scale = self._scale[rows]
        values, slopes = value_and_gradient(self._function, at * scale)
        return values, slopes * scale

    def residuals(self, at: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals (P, m) and Jacobians (P, m, n)."""
        if self._scale is None:
            return residuals_and_jacobian(self._function, at)
        scale = self._scale[rows]
        residuals, jacobian = residuals_and_jacobian(self._function, at * scale)
        return residuals, jacobian * scale[:, None, :]

    def gradients(self, at: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients (P, n) and Hessians (P, n, n)."""
        if self._scale is None:
            return gradient_and_hessian(self._function, at)
        scale = self._scale[rows]
        slopes, matrices = gradient_and_hessian(self._function, at * scale)
        return slopes * scale, matrices * scale[:, :, None] * scale[:, None, :]
