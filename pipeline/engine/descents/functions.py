"""A loss as a function of flat variables, many points at once.

Shape legend: P = points, n = variables, m = residuals, N = samples, z = axes.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from pipeline.engine.blocks import aligned
from pipeline.engine.contract import changes_inputs, load_origin, trainable_names
from tasks.kernels import open_kernels
from tasks.landscape import Landscape
from tasks.objective import ClosedForm, EmpiricalRisk, differences, per_sample, squared_error
from tasks.section import Chart, Section, unflattened

_OfPoints: TypeAlias = Callable[[Tensor], Tensor]
_PROBED = 2
_AGREEMENT = {torch.float64: 1e-9, torch.float32: 1e-3}


@dataclass(frozen=True)
class Function:
    """A loss of n variables, differentiable by automatic differentiation.

    Derivatives that are given are used instead. A point's value depends on its own row alone.

    Attributes:
        n: number of variables.
        value: (P, n) → (P,).
        residuals: (P, n) → (P, m) with value = Σ residual² + constant, if the loss is such a sum.
        slopes: (P, n) → losses (P,) and gradients (P, n), if they are known in closed form.
        hessians: (P, n) → (P, n, n), likewise.
        free: numbers of the variables that a descent moves, (k,), where others are held fast: they
            have no gradient.
    """

    n: int
    value: Callable[[Tensor], Tensor]
    residuals: Callable[[Tensor], Tensor] | None = None
    slopes: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    hessians: Callable[[Tensor], Tensor] | None = None
    free: Tensor | None = None


def over_parameters(
    landscape: Landscape, split: str, device: torch.device, dtype: torch.dtype
) -> Function:
    """The loss of a split as a function of all parameters, one after another.

    A module is in eval mode, and its parameters that need no gradient are held fast, unless none
    does. All points are evaluated in one operation where the module allows it, else in turn.
    """
    return _over_parameters(landscape, split, device, dtype, hold=True)


def over_section(
    landscape: Landscape, split: str, device: torch.device, dtype: torch.dtype
) -> Function:
    """The loss of a split as a function of the section's coordinates.

    Parameters are formed in float64 and rounded once. The axes move every parameter they touch,
    also those that need no gradient; a whole section is that of `over_parameters`.
    """
    section = landscape.section
    function = _over_parameters(landscape, split, device, dtype, hold=section.whole)
    if section.whole:
        return function
    at = _Along(section, device, dtype)
    residuals = function.residuals
    return Function(
        n=section.z,
        value=lambda points: function.value(at.parameters(points)),
        residuals=None if residuals is None else lambda points: residuals(at.parameters(points)),
    )


def is_sum_of_squares(objective: ClosedForm | EmpiricalRisk, split: str) -> bool:
    """Whether functions of this split have residuals."""
    if isinstance(objective, ClosedForm):
        return split in objective.residuals
    return objective.loss is squared_error


def all_parameters(section: Section, points: Tensor) -> Tensor:
    """All parameters (P, n) at points (P, z), one after another, float64."""
    if section.whole:
        return points
    moved, number = section.parameters(points), len(points)
    parts = [
        moved[name] if name in moved else origin.expand(number, *origin.shape)
        for name, origin in section.origin.items()
    ]
    return torch.cat([part.reshape(number, -1) for part in parts], dim=1)


def _over_parameters(
    landscape: Landscape, split: str, device: torch.device, dtype: torch.dtype, *, hold: bool
) -> Function:
    objective, origin = landscape.objective, landscape.section.origin
    n = sum(tensor.numel() for tensor in origin.values())
    if isinstance(objective, ClosedForm):
        return Function(
            n,
            objective.functions[split],
            objective.residuals.get(split),
            objective.slopes.get(split),
            objective.hessians.get(split),
        )
    risk = _Risk(objective, origin, split, device, dtype, hold)
    batched = risk.is_batched()
    squares = is_sum_of_squares(objective, split)
    residuals = risk.over_points(risk.residuals, batched) if squares else None
    return Function(n, risk.over_points(risk.value, batched), residuals, free=risk.free)


class _Along:
    """Coordinates → all parameters, differentiable twice."""

    def __init__(self, section: Section, device: torch.device, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._chart = section.chart
        self._origin = _flattened(section.origin, section.origin).to(device)
        self._directions = [
            _flattened(direction, section.origin).to(device) for direction in section.directions
        ]

    def parameters(self, points: Tensor) -> Tensor:
        """Parameters (P, n) at coordinates (P, z)."""
        along = points.double()
        if self._chart is not None:
            along = _charted(self._chart, along)
        theta = self._origin
        for axis, direction in enumerate(self._directions):
            theta = theta + along[:, axis, None] * direction
        return theta.to(self._dtype)


def _flattened(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> Tensor:
    """Named tensors as one vector (n,), zero for those left out."""
    parts = [tensors.get(name, torch.zeros_like(other)) for name, other in like.items()]
    return torch.cat([part.reshape(-1) for part in parts])


def _charted(chart: Chart, points: Tensor) -> Tensor:
    """A chart's coordinates (P, m) at points (P, z), with its first and second derivatives.

    The Taylor polynomial about the points themselves, which autograd can go through.
    """
    at = points.detach().cpu().numpy()
    value, slope, bend = (
        torch.from_numpy(part(at)).to(points.device)
        for part in (chart.coordinates, chart.jacobian, chart.hessian)
    )
    step = points - points.detach()
    return (
        value
        + torch.einsum("pji,pi->pj", slope, step)
        + torch.einsum("pjik,pi,pk->pj", bend, step, step) / 2
    )


class _Risk:
    """The mean loss of a split, and its residuals, at the parameters of one point."""

    def __init__(
        self,
        objective: EmpiricalRisk,
        origin: Mapping[str, Tensor],
        split: str,
        device: torch.device,
        dtype: torch.dtype,
        hold: bool,
    ) -> None:
        module = copy.deepcopy(objective.module).eval()
        trainable = frozenset(trainable_names(module))
        self._module = module.requires_grad_(False).to(device, dtype)
        load_origin(self._module, origin)
        data = objective.splits[split]
        self._inputs, self._targets = (
            aligned(part.to(device, dtype if part.is_floating_point() else part.dtype))
            for part in (data.inputs, data.targets)
        )
        self._changes_inputs = changes_inputs(self._module, self._inputs)
        self._loss, self._like, self._dtype = objective.loss, origin, dtype
        self._held = frozenset(origin) - trainable if hold else frozenset[str]()
        free = [torch.full((t.numel(),), name not in self._held) for name, t in origin.items()]
        self.free = torch.cat(free).nonzero()[:, 0].to(device) if self._held else None

    def value(self, named: Mapping[str, Tensor]) -> Tensor:
        """The mean loss, ()."""
        return per_sample(self._loss, self._outputs(named), self._targets).mean()

    def residuals(self, named: Mapping[str, Tensor]) -> Tensor:
        """Differences between outputs and targets, (m,), whose squares add up to the mean loss."""
        apart = differences(self._outputs(named), self._targets).reshape(-1)
        return apart / math.sqrt(len(apart))

    def _outputs(self, named: Mapping[str, Tensor]) -> Tensor:
        inputs = self._inputs.clone() if self._changes_inputs else self._inputs
        found: Tensor = functional_call(self._module, dict(named), (inputs,))
        return found

    def over_points(
        self, function: Callable[[Mapping[str, Tensor]], Tensor], batched: bool
    ) -> _OfPoints:
        """A function of one point's parameters as one of flat parameters (P, n)."""

        def of_points(theta: Tensor) -> Tensor:
            with open_kernels(self._module):
                named = self._named(theta)
                # Of a single point, as of a descent that outlasts the others, vmap is the slower.
                if batched and len(theta) > 1:
                    found: Tensor = vmap(function)(named)
                    return found
                rows = range(len(theta))
                return torch.stack(
                    [function({n: t[row] for n, t in named.items()}) for row in rows]
                )

        return of_points

    def _named(self, theta: Tensor) -> dict[str, Tensor]:
        named = unflattened(theta, self._like)
        return {name: t.detach() if name in self._held else t for name, t in named.items()}

    def is_batched(self) -> bool:
        """Whether vmap has a rule for all that the module does, forwards and backwards."""
        theta = _flattened(self._like, self._like).to(self._inputs.device, self._dtype)
        theta = theta.expand(_PROBED, -1).clone().requires_grad_()
        try:
            with warnings.catch_warnings():
                # Vmap says so where it loops over an operation that it has no rule for.
                warnings.simplefilter("error")
                found = _with_slopes(self.over_points(self.value, True), theta)
        except (RuntimeError, ValueError, TypeError, UserWarning):
            return False
        known = _with_slopes(self.over_points(self.value, False), theta)
        near = {"rtol": _AGREEMENT[self._dtype], "atol": _AGREEMENT[self._dtype]}
        return all(
            torch.allclose(one, other, equal_nan=True, **near)
            for one, other in zip(found, known, strict=True)
        )


def _with_slopes(value: _OfPoints, theta: Tensor) -> tuple[Tensor, Tensor]:
    losses = value(theta)
    (slopes,) = torch.autograd.grad(losses.sum(), theta)
    return losses.detach(), slopes
