"""Evaluation of a closed form, a batch of points at a time.

Shape legend: P = points, S = splits, z = axes, n = parameters, k = vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.engine.contract import EngineChoice, Floats, Values
from tasks.objective import ClosedForm
from tasks.section import Section

_EIGENVALUES = ("hessian_eigenvalue_min", "hessian_eigenvalue_max")
CLOSED_FORM_METRICS = (
    "loss",
    "gradient_norm",
    "section_gradient",
    "section_hessian",
    *_EIGENVALUES,
)
"""What can be measured of a closed form: it has no samples, outputs or units."""


class ClosedFormEvaluator:
    """Evaluates a ClosedForm over a section. Parameters are formed in float64, then rounded.

    Derivatives are by automatic differentiation, over all parameters, and NaN where the loss is
    not finite.
    """

    def __init__(
        self,
        objective: ClosedForm,
        section: Section,
        splits: Sequence[str],
        choice: EngineChoice,
        metrics: Sequence[str],
    ) -> None:
        self._functions = [objective.functions[split] for split in splits]
        self._section = section
        self._metrics = tuple(metrics)
        self._device, self._dtype = torch.device(choice.device), choice.sum_dtype
        zero = torch.zeros_like(section.origin["theta"])
        rows = [direction.get("theta", zero) for direction in section.directions]
        along = torch.stack(rows) if rows else zero.new_zeros((0, len(zero)))
        self._directions = along.to(self._device)

    def evaluate(self, points: Floats) -> Values:
        """Metrics at points (P, z): metric → (S, *extra, P), float64."""
        theta = self._section.parameters(torch.from_numpy(points))["theta"]
        theta = theta.to(self._device, self._dtype)
        found = [self._split(function, theta) for function in self._functions]
        return {
            name: np.stack([values[name].cpu().numpy() for values in found])
            for name in self._metrics
        }

    def _split(self, function: Callable[[Tensor], Tensor], theta: Tensor) -> dict[str, Tensor]:
        """Metric → (*extra, P)."""
        if self._metrics == ("loss",):
            with torch.inference_mode():
                return {"loss": function(theta).double()}
        theta = theta.detach().requires_grad_()
        losses = function(theta)
        slopes = _rows(losses, theta)
        values = self._derivatives(slopes, theta)
        finite = losses.detach().isfinite()
        values = {name: torch.where(finite, value, torch.nan) for name, value in values.items()}
        return {"loss": losses.detach().double(), **values}

    def _derivatives(self, slopes: Tensor, theta: Tensor) -> dict[str, Tensor]:
        """Metric → (*extra, P) from gradients (P, n)."""
        first = slopes.detach().double()
        values = {
            "gradient_norm": first.norm(dim=1),
            "section_gradient": self._directions @ first.T,
        }
        if "section_hessian" in self._metrics:
            products = _products(slopes, theta, self._directions)
            curvature = torch.einsum("pin,jn->ijp", products, self._directions)
            values["section_hessian"] = (curvature + curvature.transpose(0, 1)) / 2
        if {*_EIGENVALUES} & {*self._metrics}:
            eye = torch.eye(theta.shape[1], dtype=torch.float64, device=theta.device)
            matrices = _products(slopes, theta, eye)
            finite = matrices.isfinite().all(dim=2).all(dim=1)
            matrices = torch.where(finite[:, None, None], matrices, 0.0)
            spectra = torch.linalg.eigvalsh((matrices + matrices.transpose(1, 2)) / 2)
            spectra = torch.where(finite[:, None], spectra, torch.nan)
            values |= dict(zip(_EIGENVALUES, (spectra[:, 0], spectra[:, -1]), strict=True))
        return values


def _products(slopes: Tensor, theta: Tensor, vectors: Tensor) -> Tensor:
    """Hessians at P points times vectors (k, n), from gradients (P, n): (P, k, n), float64."""
    rows = [_rows(slopes.double() @ vector, theta).detach().double() for vector in vectors]
    return torch.stack(rows, dim=1)


def _rows(values: Tensor, theta: Tensor) -> Tensor:
    """The gradient of each of the values (P,) by its own row of theta (P, n)."""
    if not values.requires_grad:
        return torch.zeros_like(theta)
    (rows,) = torch.autograd.grad(values.sum(), theta, create_graph=True, materialize_grads=True)
    return rows
