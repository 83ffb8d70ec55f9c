"""Parameters of the task `skip-net`. Importing this module imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, FiniteFloat, model_validator

from schemas.compute import Count
from tasks.registry import Parameters

Widths: TypeAlias = Annotated[tuple[Count, ...], Field(min_length=1)]


class SkipNetParameters(Parameters):
    """The mean cross-entropy of a dense network on a few images, with skip units or without."""

    data: Literal["digits", "mnist-subset"] = Field(
        "digits", description="scikit-learn's 1,797 digits (8×8) or 5,000 MNIST images (28×28)."
    )
    samples: Annotated[int, Field(ge=2, strict=True)] = Field(
        128, description="How many of these images, N, drawn at random."
    )
    repeated: bool = Field(
        False, description="Whether the second image is the first one again, with another label."
    )
    hidden: Widths = Field(
        (180, 20), description="Units of each hidden layer, the first one first."
    )
    activation: Literal["sigmoid", "softplus"] = Field(
        "sigmoid", description="Of the hidden units; softplus is log(1 + exp(20 x))/20."
    )
    skips: Count | None = Field(
        None,
        description="Skip units, M: hidden units, drawn at random, that lead straight to the "
        "outputs as well; by default none. All other random numbers are the same with and without.",
    )
    start: Literal["normal", "equal", "zero", "proof"] = Field(
        "normal",
        description="normal: each weight normal with variance 1/inputs of its unit, each bias with "
        "variance 1; equal: the same, but all units of a hidden layer are its first one; zero: all "
        "parameters are 0; proof: hidden layers as in the proof that skip units can tell all "
        "samples apart, the other weights normal.",
    )
    section: Literal["random", "hidden", "output", "descent", "across"] = Field(
        "random",
        description="random: an axis from the start along each of several directions that are "
        "drawn like normal starts; hidden: the same for the hidden layers alone; output: the same "
        "for the last weights alone, those of the skip units if there are any; descent: one axis, "
        "the path of Theorem 3.4 from the start, at 0, to its end, at 1; across: one axis from "
        "this end, at 0, straight to a solution that was trained from another start, at 1.",
    )
    epsilon: Annotated[FiniteFloat, Field(gt=0)] = Field(
        1e-3, description="The path ends at half this loss, or below."
    )

    @property
    def units(self) -> int:
        """All hidden units, H."""
        return sum(self.hidden)

    @model_validator(mode="after")
    def _skips_fit(self) -> Self:
        if self.skips is not None and self.skips > self.units:
            raise ValueError(
                f"skips is {self.skips} and there are {self.units} hidden units; ask for at most "
                "as many, or widen hidden"
            )
        if self.start == "proof" and self.skips is None:
            raise ValueError(
                "start: proof is one of skip units, and skips is missing; give skips, or start: "
                "normal"
            )
        paths = self.section in ("descent", "across")
        if paths and self.skips is not None and self.skips < self.samples:
            raise ValueError(
                f"section: {self.section} needs as many skip units as samples, got {self.skips} "
                f"for {self.samples}; give more skips or fewer samples"
            )
        return self
