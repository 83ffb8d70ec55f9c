"""Parameters of the task `piecewise-cells`. Importing this module imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from schemas.compute import Count
from tasks.registry import Parameters

Widths: TypeAlias = Annotated[tuple[Count, ...], Field(min_length=1)]
BETWEEN_MINIMA = ("within", "across", "reversed")
"""Sections that lead from one minimum to another."""


class PiecewiseCellsParameters(Parameters):
    """The mean squared error of a piecewise-linear network without biases on a few samples."""

    samples: Count = Field(12, description="How many samples there are, N.")
    dimensions: Count = Field(
        3, description="Inputs of each. The last one is 1, so that it serves as a bias."
    )
    widths: Widths = Field((3,), description="Units of each hidden layer, the first one first.")
    slope: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="Of the units below 0; above it is 1. With 0 they are ReLUs, with 1 the "
        "network is linear.",
    )
    section: Literal["random", "first", "within", "across", "reversed"] = Field(
        "random",
        description="random: an axis along each of several random orthonormal directions through "
        "a random start; first: the same in the weights of the first layer; within: one axis, "
        "from one minimum at 0 to another of the same activation cell at 1, along a curve of "
        "constant loss; across: one axis straight from one minimum at 0 to one of another cell at "
        "1, and a second one along a random direction, as long; reversed: as across, between two "
        "minima of one cell with an output weight of the other sign, on six samples made for them.",
    )

    @model_validator(mode="after")
    def _one_hidden_layer(self) -> Self:
        if self.section in BETWEEN_MINIMA and len(self.widths) > 1:
            raise ValueError(
                f"section: {self.section} is of one hidden layer, got widths {list(self.widths)}; "
                "give one width, or section: random"
            )
        return self

    @model_validator(mode="after")
    def _several_cells(self) -> Self:
        if self.section in ("across", "reversed") and self.slope == 1.0:
            raise ValueError(
                f"section: {self.section} needs several cells, and with slope: 1 there is one; "
                "give a slope below 1, or section: within"
            )
        return self

    @model_validator(mode="after")
    def _made_samples(self) -> Self:
        if self.section != "reversed":
            return self
        made = (self.samples, self.dimensions, self.widths)
        if made != (6, 3, (2,)) or self.slope == 0.0:
            raise ValueError(
                "section: reversed is of two units with a slope above 0 on 6 samples of 3 inputs, "
                f"got widths {list(self.widths)}, slope {self.slope:g}, samples {self.samples}, "
                f"dimensions {self.dimensions}; give these"
            )
        return self
