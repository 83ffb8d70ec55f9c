"""Parameters of the tasks `single-neuron` and `relu-neuron`. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, FiniteFloat, NonNegativeFloat, model_validator

from tasks.registry import Parameters

Whole: TypeAlias = Annotated[int, Field(ge=1, strict=True)]
Vector: TypeAlias = Annotated[tuple[FiniteFloat, ...], Field(min_length=1)]
ActivationName = Literal["sigmoid", "tanh", "relu", "identity", "sine", "gaussian"]


class GeometricData(Parameters):
    """Examples on the axes of the inputs, along each in a geometric sequence, of one target.

    The data of Auer et al. 1995, Theorem 3.4. With a bias they come in pairs (x, y) and
    (−x, 2φ(0) − y), for Theorem 4.1.
    """

    kind: Literal["geometric"] = "geometric"
    examples: Whole = Field(
        description="How many in all; the axes share them, the first ones taking what is over."
    )
    ratio: Annotated[FiniteFloat, Field(gt=1)] = Field(
        20.0, description="Of one input to the next along an axis: 1, 1/ratio, 1/ratio² …"
    )
    target: FiniteFloat = Field(0.75, description="Target y of every example.")


class GivenData(Parameters):
    """Examples given one by one."""

    kind: Literal["given"]
    examples: tuple[tuple[Vector, FiniteFloat], ...] = Field(
        min_length=1, description="Pairs of inputs and a target, such as [[[10], 0.55]]."
    )

    @model_validator(mode="after")
    def _alike(self) -> Self:
        lengths = {len(inputs) for inputs, _ in self.examples}
        if len(lengths) > 1:
            raise ValueError(
                f"examples have {min(lengths)} to {max(lengths)} inputs; give each the same number"
            )
        return self


class TeacherData(Parameters):
    """Standard normal inputs with the targets of a teacher, y = φ(w₀·x + noise)."""

    kind: Literal["teacher"]
    examples: Whole = Field(description="How many.")
    teacher: Vector | None = Field(
        None, description="w₀, of the inputs and then the bias; by default standard normal numbers."
    )
    noise: NonNegativeFloat = Field(
        0.0, description="Standard deviation of the noise inside φ; 0 makes the data realizable."
    )


class SingleNeuronParameters(Parameters):
    """E(w) = Σ_t loss(y_t, φ(w·x_t)) of one neuron, summed over its examples."""

    data: Annotated[GeometricData | GivenData | TeacherData, Field(discriminator="kind")] = Field(
        description="The examples."
    )
    dimensions: Whole | None = Field(
        None,
        description="Inputs of the neuron; by default as given examples or the teacher say, else "
        "one for each axis, but for that of the bias.",
    )
    bias: bool = Field(
        False, description="Whether the neuron has a bias, the last of its parameters."
    )
    rotated: bool = Field(
        False, description="Whether all inputs are turned by one seeded rotation."
    )
    activation: ActivationName = Field("sigmoid", description="φ.")
    loss: Literal["square", "entropic"] = Field(
        "square",
        description="(φ − y)², or y ln(y/φ) + (1−y) ln((1−y)/(1−φ)), which is the matching loss of "
        "the sigmoid.",
    )
    section: Literal["weights", "rotated", "ray"] = Field(
        "weights",
        description="weights: an axis for each weight, and the last for the bias; rotated: the "
        "same, turned as the inputs are; ray: one axis, from the teacher in a seeded random "
        "direction.",
    )

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.loss == "entropic" and self.activation != "sigmoid":
            raise ValueError(
                f"loss: entropic goes with activation: sigmoid, got {self.activation}; use square"
            )
        if self.section == "rotated" and not self.rotated:
            raise ValueError("section: rotated needs rotated: true, or use section: weights")
        if self.section == "ray" and not isinstance(self.data, TeacherData):
            raise ValueError(
                f"section: ray begins at a teacher, and data.kind is {self.data.kind}; use "
                "data.kind: teacher"
            )
        return self


class ReluNeuronParameters(Parameters):
    """L(w) = ½ E (max(w·x, 0) − max(v·x, 0))² over normal inputs x, and its mean over a sample."""

    dimensions: Whole | None = Field(
        None, description="Inputs of the neuron; by default one for each axis."
    )
    teacher: Vector | None = Field(
        None, description="v, not zero; by default a seeded random unit vector."
    )
    samples: Annotated[int, Field(ge=1, le=10**7, strict=True)] = Field(
        10_000, description="Seeded inputs of the split `sample`."
    )
    inputs: Literal["normal", "signs"] = Field(
        "normal",
        description="Distribution of that sample's inputs: standard normal, or ±1 with equal "
        "chances; that of the split `population` is normal.",
    )
    section: Literal["weights", "plane"] = Field(
        "weights",
        description="weights: an axis for each weight; plane: two axes, the first along v and the "
        "second along a seeded unit vector orthogonal to it.",
    )

    @model_validator(mode="after")
    def _a_direction(self) -> Self:
        if self.teacher is not None and not any(self.teacher):
            raise ValueError("teacher is zero; give it a direction")
        return self
