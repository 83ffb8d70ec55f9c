"""A quadratic in closed form: every value of its scan is known.

Shape legend: P = points, z = axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from schemas.errors import SpecError
from tasks.landscape import Landscape
from tasks.objective import ClosedForm
from tasks.quadratic_parameters import QuadraticParameters
from tasks.registry import BuildContext
from tasks.section import coordinate_section, whole_section


@dataclass(frozen=True)
class Quadratic:
    """L(α) = offset + Σᵢ curvatureᵢ (αᵢ − centreᵢ)², (P, z) → (P,)."""

    curvature: tuple[float, ...]
    centre: tuple[float, ...]
    offset: float
    nan_above: float | None
    infinite_below: float | None

    def __call__(self, theta: Tensor) -> Tensor:
        """Values at points (P, z), in the dtype of the points."""
        value = torch.full_like(theta[:, 0], self.offset)
        for axis, (curvature, centre) in enumerate(zip(self.curvature, self.centre, strict=True)):
            value = value + curvature * torch.square(theta[:, axis] - centre)
        if self.nan_above is not None:
            value = torch.where(theta[:, 0] > self.nan_above, torch.nan, value)
        if self.infinite_below is not None:
            value = torch.where(theta[:, 0] < self.infinite_below, torch.inf, value)
        return value


def build_quadratic(parameters: QuadraticParameters, context: BuildContext) -> Landscape:
    """The quadratic on the splits train and test, which differ by a constant.

    Raises:
        SpecError: the number of curvatures or centres is not that of the axes, or of a multi-start
            scan not known.
    """
    n = _variables(parameters) if context.z is None else context.z
    curvature = _per_axis("curvature", parameters.curvature, n)
    centre = _per_axis("centre", parameters.centre, n)
    offsets = {"train": 0.0, "test": parameters.test_offset}
    functions = {
        split: Quadratic(
            curvature,
            centre,
            parameters.offset + added,
            parameters.nan_above,
            parameters.infinite_below,
        )
        for split, added in offsets.items()
    }
    convex = min(curvature) >= 0
    reached = math.isfinite(functions["train"](torch.tensor([centre])).item())
    reference = {"global_minimum": parameters.offset} if convex and reached else {}
    zero = {"theta": torch.zeros(n, dtype=torch.float64)}
    section = coordinate_section(n) if context.z is not None else whole_section(zero)
    return Landscape(ClosedForm(functions), section, reference=reference)


def _variables(parameters: QuadraticParameters) -> int:
    """How many variables the quadratic has where no axes say it."""
    for given in (parameters.curvature, parameters.centre):
        if isinstance(given, tuple):
            return len(given)
    raise SpecError(
        "parameters.curvature: is one number, and starts do not say for how many variables; give "
        "one for each, such as [1, 2]"
    )


def _per_axis(name: str, value: float | tuple[float, ...], z: int) -> tuple[float, ...]:
    values = value if isinstance(value, tuple) else (value,) * z
    if len(values) != z:
        raise SpecError(
            f"parameters.{name}: got {len(values)} numbers for {z} axes; give one for each, or one "
            "for all"
        )
    return values
