"""Parameters of the task `wide-layer`. Importing this module imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from schemas.compute import Count
from tasks.registry import Parameters

Widths: TypeAlias = Annotated[tuple[Count, ...], Field(min_length=1)]


class WideLayerParameters(Parameters):
    """The mean squared error of a network with one output on a few samples."""

    samples: Count = Field(10, description="How many samples there are, N.")
    dimensions: Count = Field(2, description="Inputs of each.")
    widths: Widths = Field((10,), description="Units of each hidden layer, the first one first.")
    activation: Literal["sigmoid", "tanh", "softplus"] = Field(
        "sigmoid", description="Of the hidden units; the output is linear."
    )
    bias: bool = Field(True, description="Whether units, and the output, have a bias.")
    data: Literal["normal", "trap", "saddle", "repeated"] = Field(
        "normal",
        description="normal: seeded normal inputs and targets; trap: inputs and targets at which "
        "equal units are a local minimum that is not global, of one hidden layer without bias; "
        "saddle: the same with residuals of the other sign, where equal units are a saddle; "
        "repeated: as normal, but the second input is the first one again, with another target.",
    )
    draw: Literal["normal", "solved"] = Field(
        "normal",
        description="normal: starts with normal weights and biases, divided by the root of the "
        "inputs of their unit; solved: the same, but the output's weights are of least squares.",
    )
    section: Literal["random", "across", "flat"] = Field(
        "random",
        description="random: an axis along each of several random orthonormal directions through "
        "the origin; across: one axis from the origin, at 0, straight to a global minimum, at 1, "
        "and a second one along a random direction, as long; flat: one axis along which the first "
        "output weight of the trap grows by as much as the second falls. The origin is the local "
        "minimum of the trap, or its saddle, else a start.",
    )

    @property
    def of_equal_units(self) -> bool:
        """Whether the origin is that of the trap, or its saddle."""
        return self.data in ("trap", "saddle")

    @property
    def distinct(self) -> int:
        """How many distinct inputs there are."""
        return self.samples - (self.data == "repeated")

    @property
    def solvable(self) -> bool:
        """Whether output weights reach the least loss at almost all weights of the other layers."""
        return self.widths[-1] + self.bias >= self.distinct

    @property
    def reached(self) -> bool:
        """Whether the outputs are known to be able to agree with the targets of distinct inputs.

        They are where the features of some hidden layer, those of the bias among them, are of full
        rank: what follows can then be any increasing function of the targets, if it has biases.
        """
        wide = any(width + self.bias >= self.distinct for width in self.widths)
        return self.solvable or (self.bias and wide)

    @model_validator(mode="after")
    def _trap_fits(self) -> Self:
        if not self.of_equal_units:
            if self.section == "flat":
                raise ValueError(
                    f"section: flat is of data: trap, got {self.data}; use section: random"
                )
            return self
        if len(self.widths) > 1 or self.bias:
            raise ValueError(
                f"data: {self.data} is of one hidden layer without bias, got widths "
                f"{list(self.widths)} and bias {self.bias}; give one width and bias: false, or "
                "data: normal"
            )
        least = conditions(self.dimensions)
        if self.samples < least:
            raise ValueError(
                f"data: {self.data} needs {least} samples for {self.dimensions} dimensions, got "
                f"{self.samples}; give more samples or fewer dimensions"
            )
        if self.section == "flat" and self.widths[0] < 2:
            raise ValueError("section: flat needs 2 units or more, got 1; use section: random")
        return self

    @model_validator(mode="after")
    def _repeats(self) -> Self:
        if self.data == "repeated" and self.samples < 2:
            raise ValueError("data: repeated needs 2 samples or more, got 1; give more samples")
        return self

    @model_validator(mode="after")
    def _way_across(self) -> Self:
        if self.section == "across" and not self.solvable:
            raise ValueError(
                "section: across leads to a global minimum, known where the last hidden layer has "
                f"{self.distinct - self.bias} units or more for {self.samples} samples, got "
                f"{self.widths[-1]}; use section: random or a wider layer"
            )
        return self


def conditions(dimensions: int) -> int:
    """How many equations the residuals of the trap meet: a value, a gradient and a Hessian."""
    return 1 + dimensions + dimensions * (dimensions + 1) // 2
