"""Descents from many starts at once.

Shape legend: P = starts, n = variables.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pipeline.engine.descents.adam import adam
from pipeline.engine.descents.damped import damped
from pipeline.engine.descents.derivatives import (
    gradient_and_hessian,
    hessians,
    residuals_and_jacobian,
    value_and_gradient,
)
from pipeline.engine.descents.ends import Ends, Limits
from pipeline.engine.descents.fixed_step import fixed_step
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
    *,
    step: float | None = None,
    decay_every: int | None = None,
    target: float | None = None,
) -> Ends:
    """Descents from starts (P, n) until the gradient norm is within the tolerance.

    What becomes of a start depends on it and, in its last digits, on the others beside it: on
    nothing else.

    Args:
        function: the loss.
        starts: (P, n), in the dtype of the descent.
        method: `adam`, `gd`, `lbfgs`, `lm` or `newton`, as `schemas.starts.Descent` has them.
        tolerance: gradient norm at which a descent has converged.
        max_iterations: after which it is given up.
        scale: (P, n), positive: the descents are in θ/scale, and so are gradient norms.
        step: of adam; of gd, instead of a line search.
        decay_every: iterations of adam after which its step becomes less.
        target: loss at or below which a descent ends as well.

    Raises:
        SpecError: the method is lm and the loss no sum of squares.
    """
    scaled, limits = _Scaled(function, scale), Limits(tolerance, max_iterations, target)
    # Copied, as kernels may sum in another order where memory begins at another boundary.
    begin = starts.clone() if scale is None else starts / scale
    if method == "adam" and step is not None:
        ends = adam(scaled.slopes, begin, limits, step, decay_every)
    elif method == "gd" and step is not None:
        ends = fixed_step(scaled.slopes, begin, limits, step)
    elif method in ("gd", "lbfgs"):
        ends = quasi_newton(scaled.slopes, begin, limits, MEMORY if method == "lbfgs" else 0)
    elif method == "lm":
        if function.residuals is None:
            raise no_sum_of_squares()
        ends = damped(scaled.residuals, scaled.losses, begin, limits, of_gradient=False)
    elif method == "newton":
        ends = damped(scaled.gradients, scaled.losses, begin, limits, of_gradient=True)
    else:
        without = " without a step" if method == "adam" else ""
        raise ValueError(f"descents: no method {method!r}{without}")
    return ends if scale is None else replace(ends, theta=ends.theta * scale)


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

    def losses(self, at: Tensor, rows: Tensor) -> Tensor:
        """Losses (P,)."""
        with torch.no_grad():
            return self._function.value(at if self._scale is None else at * self._scale[rows])

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
