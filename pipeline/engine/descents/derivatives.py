"""Gradients, Jacobians and Hessians of many points at once.

In closed form where the function has them so, else by automatic differentiation of its value. A
loss that is not finite has derivatives of NaN, also where it is a constant.

Shape legend: P = points, n = variables, m = residuals, k = outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.engine.descents.functions import Function


def value_and_gradient(function: Function, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Losses (P,) and gradients (P, n) at points (P, n)."""
    theta = theta.detach()
    if function.slopes is not None:
        values, slopes = function.slopes(theta)
        # Each 0, or NaN: cheaper than asking which are finite, and this is asked at every step.
        return values, slopes + (values - values)[:, None]
    theta = theta.requires_grad_()
    values = function.value(theta)
    slopes = _rows(values, theta)
    return values.detach(), _where_finite(values, slopes)


def residuals_and_jacobian(function: Function, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Residuals (P, m) and their Jacobians (P, m, n) at points (P, n).

    Raises:
        ValueError: the loss is no sum of squares.
    """
    if function.residuals is None:
        raise ValueError("the function has no residuals")
    theta = theta.detach().requires_grad_()
    residuals = function.residuals(theta)
    if residuals.shape[1] <= theta.shape[1]:
        return residuals.detach(), _jacobian(residuals, theta)
    # A derivative of Jᵀu by u along each variable: n passes instead of m (Pearlmutter 1994).
    weights = torch.zeros_like(residuals).requires_grad_()
    pulled = _rows((residuals * weights).sum(dim=1), theta, graph=True)
    return residuals.detach(), _jacobian(pulled, weights).transpose(1, 2)


def gradient_and_hessian(function: Function, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients (P, n) and symmetric Hessians (P, n, n) at points (P, n)."""
    if function.slopes is None and function.hessians is None:
        return _differentiated_twice(function, theta)
    return value_and_gradient(function, theta)[1], hessians(function, theta)


def hessians(function: Function, theta: Tensor) -> Tensor:
    """Symmetric Hessians (P, n, n) at points (P, n); all at once, so P bounds the memory."""
    if function.hessians is None:
        return _differentiated_twice(function, theta)[1]
    with torch.no_grad():
        values, matrices = function.value(theta), function.hessians(theta)
    return _where_finite(values, _symmetric(matrices))


def _differentiated_twice(function: Function, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients and Hessians, both of the value."""
    theta = theta.detach().requires_grad_()
    values = function.value(theta)
    slopes = _rows(values, theta, graph=True)
    matrices = _symmetric(_jacobian(slopes, theta))
    return _where_finite(values, slopes.detach()), _where_finite(values, matrices)


def _jacobian(outputs: Tensor, theta: Tensor) -> Tensor:
    """The Jacobian (P, k, n) of each point's outputs (P, k) by its own row of theta (P, n)."""
    columns = range(outputs.shape[1])
    rows = [_rows(outputs[:, column], theta, keep=True) for column in columns]
    return torch.stack(rows, dim=1)


def _symmetric(matrices: Tensor) -> Tensor:
    return (matrices + matrices.transpose(1, 2)) / 2


def _where_finite(values: Tensor, derivatives: Tensor) -> Tensor:
    """Derivatives (P, …), NaN where values (P,) are not finite."""
    finite = values.detach().isfinite().reshape(-1, *[1] * (derivatives.dim() - 1))
    return torch.where(finite, derivatives, torch.nan)


def _rows(values: Tensor, theta: Tensor, *, graph: bool = False, keep: bool = False) -> Tensor:
    """The gradient of each of the values (P,) by its own row of theta (P, n)."""
    if not values.requires_grad:
        return torch.zeros_like(theta)
    (rows,) = torch.autograd.grad(
        values.sum(), theta, create_graph=graph, retain_graph=graph or keep, materialize_grads=True
    )
    return rows
