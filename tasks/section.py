"""Sections: coordinates α ∈ R^z → parameters, θ(α) = origin + Σ αᵢ·directionᵢ.

Shape legend: P = points, z = axes, n = numbers a direction touches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from schemas.errors import SpecError, listing, suggestion
from tasks.tensors import tensors_in_double


@dataclass(frozen=True)
class Section:
    """An affine map from coordinates to named parameters.

    Attributes:
        origin: every parameter at α = 0, float64.
        directions: for each axis the parameters it moves; those left out do not move. float64.
    """

    origin: Mapping[str, Tensor]
    directions: tuple[Mapping[str, Tensor], ...]

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

    @property
    def z(self) -> int:
        """Number of axes."""
        return len(self.directions)

    @property
    def touched(self) -> tuple[str, ...]:
        """Names of the parameters that some direction moves, in the origin's order."""
        moved = {name for direction in self.directions for name in direction}
        return tuple(name for name in self.origin if name in moved)

    def parameters(self, points: Tensor) -> dict[str, Tensor]:
        """The touched parameters at points (P, z): name → (P, *shape), float64.

        Products and sums are rounded one by one, so a point's parameters are the same bits
        whatever the batch it is in.
        """
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
