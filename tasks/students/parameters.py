"""Parameters of the task `teacher-student`. Importing this module imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, FiniteFloat, model_validator

from schemas.compute import Count
from tasks.registry import Parameters

Row: TypeAlias = Annotated[tuple[FiniteFloat, ...], Field(min_length=1)]

FEWEST_BETWEEN, MOST_BETWEEN = 4, 30
"""Neurons of which a critical point is known; its Hessian has as many rows as their square."""


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
    section: Literal["weights", "angles", "between", "softest"] = Field(
        "weights",
        description="weights: an axis for each number of each w_i; angles: an axis for each w_i, "
        "a unit vector at that angle in the plane of the first two inputs; between: one axis from "
        "a spurious minimum (of 4 or 5 students a saddle), at 0, to the nearest global one, at 1, "
        "and a second one, orthogonal to it, towards the next global one; softest: one axis from "
        "there along its least curvature, towards the nearest global minimum, as long.",
    )

    @property
    def inputs(self) -> int:
        """How many inputs there are."""
        if self.dimensions is not None:
            return self.dimensions
        return self.teachers if self.teacher is None else len(self.teacher[0])

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
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
        for number, row in enumerate(self.teacher, start=1):
            if len(row) != self.inputs:
                raise ValueError(
                    f"row {number} of teacher has {len(row)} inputs; expected {self.inputs}, as "
                    f"{'the first' if self.dimensions is None else 'dimensions says'}"
                )
            if not any(row):
                raise ValueError(f"row {number} of teacher is zero; give it a direction")
        return self

    @model_validator(mode="after")
    def _section_fits(self) -> Self:
        if self.section == "angles" and self.inputs < 2:
            raise ValueError("section: angles needs 2 inputs or more, got 1; use section: weights")
        if self.section not in ("between", "softest"):
            return self
        if self.teacher is not None or not self.students == self.teachers == self.inputs:
            raise ValueError(
                f"section: {self.section} needs as many students as teachers and dimensions, got "
                f"{self.students}, {self.teachers} and {self.inputs}, and no rows of teacher; make "
                "them agree, or use section: weights"
            )
        if not FEWEST_BETWEEN <= self.students <= MOST_BETWEEN:
            raise ValueError(
                f"section: {self.section} needs a critical point, known of {FEWEST_BETWEEN} to "
                f"{MOST_BETWEEN} students, got {self.students}; use section: weights"
            )
        return self
