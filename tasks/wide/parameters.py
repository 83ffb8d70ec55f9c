"""Parameters of the task `wide-layer`. Importing this module imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from schemas.compute import Count
from tasks.registry import Parameters

Widths: TypeAlias = Annotated[tuple[Count, ...], Field(min_length=1)]


class WideLayerParameters(Parameters):
    """The mean squared error of a network with one output on a few distinct samples."""

    samples: Count = Field(10, description="How many samples there are, N.")
    dimensions: Count = Field(2, description="Inputs of each.")
    widths: Widths = Field((10,), description="Units of each hidden layer, the first one first.")
    activation: Literal["sigmoid", "tanh", "softplus"] = Field(
        "sigmoid", description="Of the hidden units; the output is linear."
    )
    bias: bool = Field(True, description="Whether units, and the output, have a bias.")
    data: Literal["normal", "trap", "repeated"] = Field(
        "normal",
        description="normal: seeded normal inputs and targets; trap: inputs and targets at which "
        "equal units are a local minimum that is not global, of one hidden layer without bias; "
        "repeated: as normal, but the second input is the first one again, with another target.",
    )
    draw: Literal["normal", "solved"] = Field(
        "normal",
        description="normal: starts with normal weights, divided by the root of the inputs of "
        "their unit; solved: the same, but the output's weights are those of least squares.",
    )
    section: Literal["random", "across"] = Field(
        "random",
        description="random: an axis along each of several random orthonormal directions through "
        "the origin; across: one axis from the origin, at 0, straight to a global minimum, at 1, "
        "and a second one along a random direction. The origin is the local minimum of the trap, "
        "else a start.",
    )

    @model_validator(mode="after")
    def _trap_fits(self) -> Self:
        if self.data == "trap" and (len(self.widths) > 1 or self.bias):
            raise ValueError(
                f"data: trap is of one hidden layer without bias, got widths {self.widths} and "
                f"bias {self.bias}; give one width and bias: false, or data: normal"
            )
        return self
