"""Parameters of the task `deep-linear`. Importing this module imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from tasks.registry import Parameters

Width = Annotated[int, Field(ge=1, strict=True)]


class DeepLinearParameters(Parameters):
    """L(W_1 … W_H) = ‖Y − W_H … W_1 X‖_F² on seeded Gaussian data Y = R X + noise."""

    widths: tuple[Width, ...] = Field(
        (4, 4, 4, 4),
        min_length=2,
        description="Numbers of inputs, of units of each hidden layer, and of outputs.",
    )
    samples: Width = Field(64, description="Columns of X and Y, scaled so that L is their mean.")
    input_rank: Width | None = Field(None, description="Rank of X; by default full.")
    map_rank: Width | None = Field(None, description="Rank of the map R; by default full.")
    noise: Annotated[FiniteFloat, Field(ge=0)] = Field(
        0.1, description="Standard deviation of what is added to each target."
    )
    relu_after: Width | None = Field(
        None, description="The layer whose outputs pass a ReLU: the network is not linear then."
    )
    origin: Literal["zero", "minimum", "seeded"] = Field(
        "zero",
        description="The section's origin: all weights zero, a global minimum, or a random point.",
    )

    @model_validator(mode="after")
    def _ranks_possible(self) -> Self:
        inputs, outputs = self.widths[0], self.widths[-1]
        for field, rank, most in (
            ("input_rank", self.input_rank, min(inputs, self.samples)),
            ("map_rank", self.map_rank, min(inputs, outputs)),
        ):
            if rank is not None and rank > most:
                raise ValueError(f"{field} is {rank}; expected at most {most}, the full rank")
        return self

    @model_validator(mode="after")
    def _relu_inside(self) -> Self:
        if self.relu_after is None:
            return self
        depth = len(self.widths) - 1
        if self.relu_after >= depth:
            raise ValueError(
                f"relu_after is {self.relu_after}; expected a layer before the last of {depth}"
            )
        if self.origin == "minimum":
            raise ValueError(
                "origin is minimum and a ReLU is inserted: no minimum is known in closed form; "
                "use origin: zero or seeded"
            )
        return self
