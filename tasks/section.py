"""Sections: coordinates α ∈ R^z → parameters, θ(α) = origin + Σ αᵢ·directionᵢ.

With a chart the coordinates of the scan are not those of the directions: θ(t) = origin +
Σ cⱼ(t)·directionⱼ, such as a Bézier curve over its control points.

Shape legend: P = points, z = axes, m = directions (z without a chart), n = numbers a direction
touches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from schemas.errors import SpecError, listing, suggestion
from tasks.tensors import tensors_in_double

Floats: TypeAlias = npt.NDArray[np.float64]


class Chart(Protocol):
    """A smooth, or piecewise smooth, map from a scan's coordinates to those of the directions."""

    @property
    def axes(self) -> int:
        """Z."""
        ...

    @property
    def directions(self) -> int:
        """M."""
        ...

    def coordinates(self, points: Floats) -> Floats:
        """C at points (P, z): (P, m). A row depends on its own point alone, to the bit."""
        ...

    def jacobian(self, points: Floats) -> Floats:
        """∂cⱼ/∂αᵢ at points (P, z): (P, m, z)."""
        ...

    def hessian(self, points: Floats) -> Floats:
        """∂²cⱼ/∂αᵢ∂αₖ at points (P, z): (P, m, z, z)."""
        ...


@dataclass(frozen=True)
class Section:
    """A map from coordinates to named parameters, affine but for its chart.

    Attributes:
        origin: every parameter at α = 0, float64.
        directions: the parameters each one moves; those left out do not move. float64.
        chart: from the scan's coordinates to those of the directions; None where they are the
            same.
        whole: the coordinates are all numbers of all parameters, one after another in the origin's
            order, as of a multi-start scan; there are no directions then.
    """

    origin: Mapping[str, Tensor]
    directions: tuple[Mapping[str, Tensor], ...]
    chart: Chart | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        for axis, direction in enumerate(self.directions):
            for name, tensor in direction.items():
                if name not in self.origin:
                    raise SpecError(
                        f"directions[{axis}]: the model has no parameter {name!r}; "
                        f"expected some of {listing(self.origin)}{suggestion(name, self.origin)}"
                    )
                if tensor.shape != self.origin[name].shape:
                    raise SpecError(
                        f"directions[{axis}][{name!r}]: shape {tuple(tensor.shape)}; expected the "
                        f"parameter's {tuple(self.origin[name].shape)}"
                    )

        if self.chart is not None and self.chart.directions != len(self.directions):
            raise ValueError(
                f"a chart of {self.chart.directions}, {len(self.directions)} directions"
            )

    @property
    def z(self) -> int:
        """Number of coordinates."""
        if self.whole:
            return sum(tensor.numel() for tensor in self.origin.values())
        return len(self.directions) if self.chart is None else self.chart.axes

    @property
    def flat(self) -> Section:
        """The section in the coordinates of its directions."""
        return self if self.chart is None else replace(self, chart=None)

    def coordinates(self, points: Floats) -> Floats:
        """The coordinates of the directions (P, m) at points (P, z)."""
        return points if self.chart is None else self.chart.coordinates(points)

    @property
    def touched(self) -> tuple[str, ...]:
        """Names of the parameters that some direction moves, in the origin's order."""
        if self.whole:
            return tuple(self.origin)
        moved = {name for direction in self.directions for name in direction}
        return tuple(name for name in self.origin if name in moved)

    def parameters(self, points: Tensor) -> dict[str, Tensor]:
        """The touched parameters at points (P, z): name → (P, *shape), float64.

        Products and sums are rounded one by one, so a point's parameters are the same bits
        whatever the batch it is in.
        """
        if self.whole:
            return unflattened(points, self.origin)
        if self.chart is not None:
            points = torch.from_numpy(self.chart.coordinates(points.numpy()))
        result: dict[str, Tensor] = {}
        for name in self.touched:
            origin = self.origin[name]
            value = origin.expand(len(points), *origin.shape).clone()
            for axis, direction in enumerate(self.directions):
                if name in direction:
                    weight = points[:, axis].reshape(-1, *[1] * origin.dim())
                    value += weight * direction[name]
            result[name] = value
        return result


def whole_section(origin: Mapping[str, Tensor]) -> Section:
    """The space of all parameters: the coordinates are their numbers, one after another."""
    return Section(tensors_in_double(origin), (), whole=True)


def unflattened(numbers: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Numbers (P, n), one parameter after another, as tensors: name → (P, *shape)."""
    parts = torch.split(numbers, [tensor.numel() for tensor in like.values()], dim=1)
    named = zip(like.items(), parts, strict=True)
    return {name: part.reshape(len(numbers), *tensor.shape) for (name, tensor), part in named}


def coordinate_section(z: int) -> Section:
    """The identity section of a closed form: the parameters `theta` (z,) are the coordinates."""
    eye = torch.eye(z, dtype=torch.float64)
    zero = torch.zeros(z, dtype=torch.float64)
    return Section({"theta": zero}, tuple({"theta": row} for row in eye))


def axis_count_error(given: int, expected: int, what: str) -> SpecError:
    """The error for a spec whose number of axes does not fit what is scanned."""
    return SpecError(f"axes: got {given}; {what} needs {expected}, one for each direction")


def directions_as_section(
    origin: Mapping[str, Tensor], directions: Sequence[Mapping[str, Tensor]]
) -> Section:
    """A Section from any float tensors, converted to float64; SpecError when shapes disagree."""
    return Section(tensors_in_double(origin), tuple(tensors_in_double(d) for d in directions))
