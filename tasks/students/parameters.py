"""Parameters of the task `teacher-student`. Importing this module imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, FiniteFloat, model_validator

from schemas.compute import Count
from tasks.registry import Parameters

Row: TypeAlias = Annotated[tuple[FiniteFloat, ...], Field(min_length=1)]


class TeacherStudentParameters(Parameters):
    """F(W) = ½ E (Σ_i max(w_i·x, 0) − Σ_j max(v_j·x, 0))² over normal x, and a sample's mean."""

    students: Count = Field(description="Neurons that learn, w_1 … w_n.")
    teachers: Count = Field(description="Neurons they learn from, v_1 … v_k.")
    dimensions: Count | None = Field(
        None, description="Inputs; by default as many as a teacher given has, else as teachers."
    )
    teacher: Annotated[tuple[Row, ...], Field(min_length=1)] | None = Field(
        None, description="The rows v_j, none of them zero; by default the first unit vectors."
    )
    samples: Annotated[int, Field(ge=1, le=10**7, strict=True)] = Field(
        1000, description="Seeded inputs of the split `sample`."
    )
    section: Literal["weights"] = Field(
        "weights",
        description="weights: an axis for each number of each w_i.",
    )

    @property
    def inputs(self) -> int:
        """D."""
        if self.dimensions is not None:
            return self.dimensions
        return self.teachers if self.teacher is None else len(self.teacher[0])

    @model_validator(mode="after")
    def _teacher_fits(self) -> Self:
        if self.teacher is None:
            if self.teachers > self.inputs:
                raise ValueError(
                    f"teachers is {self.teachers} and dimensions {self.inputs}: there are no more "
                    "unit vectors than dimensions; give the rows of teacher, or more dimensions"
                )
            return self
        if len(self.teacher) != self.teachers:
            raise ValueError(
                f"teachers is {self.teachers} and teacher has {len(self.teacher)} rows; make them "
                "agree"
            )
        for number, row in enumerate(self.teacher):
            if len(row) != self.inputs:
                raise ValueError(
                    f"teacher row {number} has {len(row)} inputs; expected {self.inputs}, as of "
                    f"{'the first row' if self.dimensions is None else 'dimensions'}"
                )
            if not any(row):
                raise ValueError(f"teacher row {number} is zero; give it a direction")
        return self
