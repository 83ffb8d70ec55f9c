"""Parameters of the task `piecewise-net`. Importing this module imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, FiniteFloat, model_validator

from schemas.compute import Count
from schemas.errors import SpecError, listing, suggestion
from tasks.piecewise.pieces import NAMED, PiecewiseLinear
from tasks.registry import Parameters

Widths: TypeAlias = Annotated[tuple[Count, ...], Field(min_length=1)]
SMOOTH_NAMES = ("sigmoid", "tanh", "arctan")


class Pieces(Parameters):
    """A piecewise-linear function by its knots and slopes."""

    knots: tuple[FiniteFloat, ...] = Field((0.0,), description="Where the slope changes, rising.")
    slopes: tuple[FiniteFloat, ...] = Field(
        description="Of the pieces from left to right, one more than knots."
    )
    at_zero: FiniteFloat = Field(0.0, description="The value at 0.")


def _activation(value: object) -> object:
    names = [*NAMED, *SMOOTH_NAMES]
    if isinstance(value, (str, Mapping, Pieces)) and (not isinstance(value, str) or value in names):
        return value
    near = suggestion(value, names)
    raise ValueError(
        f"got {value!r}; expected one of {listing(names)}, or a mapping with slopes, such as "
        f"{{slopes: [0.1, 1]}}{near}"
    )


class PiecewiseNetParameters(Parameters):
    """The mean squared error of a network of piecewise-linear units on a few samples."""

    samples: Count = Field(8, description="How many samples there are, N.")
    dimensions: Count = Field(2, description="Inputs of each.")
    outputs: Count = Field(1, description="Outputs, and targets of each sample.")
    widths: Widths = Field((3,), description="Units of each hidden layer, the first one first.")
    activation: Annotated[str | Pieces, BeforeValidator(_activation)] = Field(
        "relu",
        description="Of the hidden units: relu, abs, hard-tanh, linear, or a mapping with the "
        "slopes of the pieces from left to right, the knots between them, by default [0], and the "
        "value at_zero; for data: three-points sigmoid, tanh or arctan.",
    )
    bias: bool = Field(True, description="Whether units, and the outputs, have a bias.")
    data: Literal["normal", "fittable", "xor", "three-points"] = Field(
        "normal",
        description="normal: seeded normal inputs and targets; fittable: the same inputs, but "
        "their targets are an affine function of them; xor: the four corners of a square, targets "
        "of opposite corners alike; three-points: the example of Theorem 2, three samples on a "
        "line.",
    )
    at: Literal["start", "minimum", "kink", "lower"] = Field(
        "start",
        description="The origin of the section. start: normal weights; minimum: the local minimum "
        "of the construction; kink: the same, but moved so that a unit of the first layer is at a "
        "kink for one sample; lower: the point that is constructed to be lower.",
    )
    scale: Annotated[FiniteFloat, Field(gt=0)] = Field(
        1.0, description="Of the local minimum: α, which its first layer is multiplied by."
    )
    section: Literal["random", "spare", "family", "across"] = Field(
        "random",
        description="random: an axis along each of several random orthonormal directions, in units "
        "of the radius that is proved for the minimum, if there is one; spare: a unit of the first "
        "layer that the construction does not need turns towards the data, and then its weight in "
        "the next layer grows; family: one axis, α itself; across: one axis from the minimum, at "
        "0, straight to the lower point, at 1, and a second one to the minimum of another α.",
    )

    @property
    def function(self) -> PiecewiseLinear | None:
        """The activation, if it is piecewise linear."""
        if isinstance(self.activation, Pieces):
            given = self.activation
            return PiecewiseLinear(given.knots, given.slopes, given.at_zero)
        return NAMED.get(self.activation)

    @model_validator(mode="after")
    def _pieces_fit(self) -> Self:
        try:
            smooth = self.function is None
        except SpecError as error:
            raise ValueError(str(error)) from None
        return self._smooth_fits(smooth)

    def _smooth_fits(self, smooth: bool) -> Self:
        if smooth != (self.data == "three-points"):
            raise ValueError(
                f"activation: got {self.activation} with data: {self.data}; data: three-points is "
                "of sigmoid, tanh or arctan, and these are of it alone"
            )
        return self

    @model_validator(mode="after")
    def _constructed(self) -> Self:
        wanted = self.at != "start" or self.section != "random"
        if wanted and not self.bias:
            raise ValueError(
                f"at: {self.at} and section: {self.section} are constructed with biases; use bias: "
                "true, or at: start and section: random"
            )
        return self

    @model_validator(mode="after")
    def _published_sizes(self) -> Self:
        for name, expected in PUBLISHED.get(self.data, {}).items():
            if getattr(self, name) != expected:
                raise ValueError(
                    f"{name}: got {getattr(self, name)}; data: {self.data} has {expected}; give "
                    f"{name}: {expected}"
                )
        return self


PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "xor": {"samples": 4, "dimensions": 2, "outputs": 1},
    "three-points": {"samples": 3, "dimensions": 2, "outputs": 1, "widths": (2,)},
}
"""Sizes of the data sets that are not drawn."""
