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
    data: Literal["normal", "fittable", "xor", "three-points"] = Field(
        "normal",
        description="normal: seeded normal inputs and targets; fittable: the same inputs, but "
        "their targets are an affine function of them; xor: the four corners of a square, targets "
        "of opposite corners alike; three-points: the example of Theorem 2, three samples on a "
        "line.",
    )
    at: Literal["start", "minimum", "broken", "lower"] = Field(
        "minimum",
        description="The origin of the section. start: normal weights; minimum: the local minimum "
        "of the construction; broken: the same but for what makes it one, in that units of the "
        "first layer that are not needed are at a kink, or, of three-points, that output weights "
        "have another sign; lower: the point that is constructed to be lower.",
    )
    scale: Annotated[FiniteFloat, Field(gt=0)] = Field(
        1.0, description="Of the local minimum: α, which its first layer is multiplied by."
    )
    section: Literal["random", "probe", "family", "across"] = Field(
        "random",
        description="random: an axis along each of several random orthonormal directions; probe: "
        "two axes along which the risk falls where the minimum is broken, those of a unit that is "
        "not needed, or of three-points those in which units tell the samples apart; both in units "
        "of the radius that is proved for the minimum, if it is bounded; family: one axis, "
        "log10 α; across: one axis from the minimum, at 0, straight to the lower point, at 1, and "
        "a second one to the minimum of an α twice as large.",
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
    def _sections_fit(self) -> Self:
        if self.data == "three-points" and (self.section == "family" or self.scale != 1):
            raise ValueError(
                "data: three-points has no α; use section: random, probe or across, and leave "
                "scale out"
            )
        if self.at != "minimum" and self.section in ("family", "across"):
            raise ValueError(
                f"at: got {self.at}; section: {self.section} begins at the minimum; use at: minimum"
            )
        return self

    @model_validator(mode="after")
    def _widths_fit(self) -> Self:
        narrowest = min(self.widths)
        if narrowest < self.outputs:
            raise ValueError(
                f"widths: got {narrowest} units for {self.outputs} outputs; the minimum needs as "
                "many in each hidden layer; give wider layers, or fewer outputs"
            )
        needed = (self.at == "broken" or self.section == "probe") and self.data != "three-points"
        if needed and self.widths[0] == self.outputs:
            raise ValueError(
                f"widths: got {self.widths[0]} units in the first layer for {self.outputs} "
                "outputs; at: broken and section: probe are of a unit that is not needed; give "
                "one more"
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
