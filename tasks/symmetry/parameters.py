"""Parameters of the task `symmetry-net`. Importing this module imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, FiniteFloat, NonNegativeFloat, model_validator

from schemas.compute import Count
from tasks.registry import Parameters

Widths: TypeAlias = Annotated[tuple[Count, ...], Field(min_length=1)]
Index: TypeAlias = Annotated[int, Field(ge=0, strict=True)]
Order: TypeAlias = Annotated[tuple[Index, ...], Field(min_length=1)]

PUBLISHED_UNITS = (4,)
SIDE = 14
"""Pixels of an image along each side."""
CLASSES = 10


class SymmetryNetParameters(Parameters):
    """The mean squared error of a network without biases on what a smaller one puts out."""

    units: Widths = Field((5,), description="Units of each hidden layer, the first one first.")
    activation: Literal["sigmoid", "tanh", "softplus", "exp", "asymmetric"] = Field(
        "sigmoid",
        description="Of the hidden units, teachers and students alike; asymmetric is "
        "sigmoid(4x) + softplus(x), which has no parity symmetry. The output is linear.",
    )
    data: Literal["published", "random", "images"] = Field(
        "published",
        description="published: four units teach on a grid of 41 by 41 inputs; random: seeded "
        "units teach on seeded normal inputs; images: digits of MNIST, 14 by 14 pixels, with "
        "their classes, and no teacher.",
    )
    teacher_units: Widths = Field(
        PUBLISHED_UNITS, description="Of random teachers: units of each of their hidden layers."
    )
    inputs: Count = Field(2, description="Of random teachers: inputs of each sample.")
    outputs: Count = Field(1, description="Of random teachers: their outputs.")
    samples: Count = Field(100, description="Of random teachers and of images: how many.")
    noise: NonNegativeFloat = Field(
        0.0, description="Standard deviation of normal numbers that are added to the targets."
    )
    section: Literal["random", "subspace", "swap", "embedded", "duplicate"] = Field(
        "random",
        description="random: an axis along each of several random orthonormal directions through "
        "a start; subspace: three axes, the number of an affine subspace on which the student "
        "equals its teacher, a way within it and a way out of it; swap: one axis from a student "
        "that equals its teacher, at 0, to the same one with its units permuted, at 1; "
        "embedded: the number of a way to make the units copies of those of a narrower network at "
        "a critical point of its loss, and two axes off these points; duplicate: the share "
        "that one copy of a unit has of its output weight, and axes along which the copies part.",
    )
    excess: FiniteFloat = Field(
        0.0,
        description="Of section subspace: what is added to an output weight of the copies of the "
        "first unit, whose sum is then not the teacher's.",
    )
    route: Literal["swap", "line", "bare"] = Field(
        "swap",
        description="Of section swap: swap: on straight segments through a spare unit of the "
        "layer, seven for each exchange of two units; line: straight; bare: on segments as well, "
        "but without use of a spare unit.",
    )
    permutation: tuple[Order, ...] | None = Field(
        None,
        description="Of section swap, for each hidden layer: of which unit, 0 … r−1, each of the "
        "first r units takes the place; by default the first two exchange theirs in every layer.",
    )

    narrow: Count = Field(
        2, description="Of sections embedded and duplicate: units of the narrower network."
    )
    copied: Index = Field(
        0,
        description="Of section duplicate: the unit of the narrower network that all further ones "
        "copy; they are in the order of their output weights, from 0.",
    )
    share: FiniteFloat = Field(
        0.5,
        description="Of section duplicate with starts: the share of the output weight that one "
        "copy has; the others share the rest.",
    )

    @property
    def has_teacher(self) -> bool:
        """Whether the targets are the outputs of a network."""
        return self.data != "images"

    @property
    def input_count(self) -> int:
        """Inputs of a sample."""
        return self.inputs if self.has_teacher else SIDE**2

    @property
    def output_count(self) -> int:
        """Outputs for a sample."""
        return self.outputs if self.has_teacher else CLASSES

    @property
    def spare(self) -> tuple[int, ...]:
        """Units of each hidden layer beyond those of the teacher, which is as deep."""
        pairs = zip(self.units, self.teacher_units, strict=True)
        return tuple(own - taught for own, taught in pairs)

    @property
    def realisable(self) -> bool:
        """Whether a student is known that puts out the targets."""
        deep = len(self.units) == len(self.teacher_units)
        return self.has_teacher and not self.noise and deep and min(self.spare) >= 0

    @model_validator(mode="after")
    def _teacher_fits(self) -> Self:
        if self.data == "random":
            return self
        given = {"teacher_units": PUBLISHED_UNITS, "inputs": 2, "outputs": 1}
        for name, fixed in given.items():
            if getattr(self, name) != fixed:
                raise ValueError(
                    f"{name} is of data: random, got data: {self.data}; leave it out, or use "
                    "data: random"
                )
        return self

    @model_validator(mode="after")
    def _section_fits(self) -> Self:
        if self.section not in ("subspace", "swap"):
            return self
        if not self.has_teacher:
            raise ValueError(
                f"section: {self.section} needs a teacher, and data: images has none; use "
                "section: random"
            )
        taught = list(self.teacher_units)
        if len(self.units) != len(taught) or min(self.spare) < 0:
            raise ValueError(
                f"section: {self.section} needs a student as deep as its teacher, and no narrower "
                f"anywhere: got units {list(self.units)} for a teacher with {taught}; give more"
            )
        if self.section == "subspace" and not any(self.spare):
            raise ValueError(
                f"section: subspace needs a way within, and of units {list(taught)} on as many "
                "the subspaces are points; give one unit more in some layer"
            )
        if self.section == "swap" and self.route == "swap" and min(self.spare) < 1:
            raise ValueError(
                "route: swap needs a spare unit in every hidden layer: got units "
                f"{list(self.units)} for a teacher with {taught}; give one more each, or use "
                "route: bare"
            )
        return self

    @model_validator(mode="after")
    def _copies_fit(self) -> Self:
        if self.section not in ("embedded", "duplicate"):
            return self
        if len(self.units) != 1 or self.units[0] <= self.narrow:
            raise ValueError(
                f"section: {self.section} needs one hidden layer that is wider than narrow: "
                f"{self.narrow}, got units {list(self.units)}; give one layer of more units"
            )
        if self.copied >= self.narrow:
            raise ValueError(
                f"copied: got {self.copied} of {self.narrow} units; expected 0 to "
                f"{self.narrow - 1}; give one of these"
            )
        return self

    @model_validator(mode="after")
    def _permutation_fits(self) -> Self:
        if self.permutation is None:
            if self.section == "swap" and min(self.teacher_units) < 2:
                raise ValueError(
                    "section: swap exchanges two units of every hidden layer, and the teacher has "
                    f"{list(self.teacher_units)}; give it 2 or more in each, or a permutation"
                )
            return self
        expected = [list(range(count)) for count in self.teacher_units]
        if [sorted(order) for order in self.permutation] != expected:
            raise ValueError(
                f"permutation: got {[list(order) for order in self.permutation]}; expected one "
                f"order of {' and one of '.join(map(str, expected))}"
            )
        if [list(order) for order in self.permutation] == expected:
            raise ValueError(
                "permutation: leaves every unit in its place; exchange two in some layer at least"
            )
        return self

    @property
    def orders(self) -> tuple[tuple[int, ...], ...]:
        """The permutation of each hidden layer."""
        if self.permutation is not None:
            return self.permutation
        return tuple((1, 0, *range(2, count)) for count in self.teacher_units)
