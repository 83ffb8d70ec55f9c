"""Parameters of the task `quadratic`."""

from __future__ import annotations

from pydantic import Field, FiniteFloat

from tasks.registry import Parameters


class QuadraticParameters(Parameters):
    """L(α) = offset + Σᵢ curvatureᵢ (αᵢ − centreᵢ)², with regions where it is not a number."""

    curvature: FiniteFloat | tuple[FiniteFloat, ...] = Field(
        1.0,
        description="Factor of each squared coordinate: one number, or one for each axis; for "
        "starts one for each variable.",
    )
    centre: FiniteFloat | tuple[FiniteFloat, ...] = Field(
        0.0, description="Where the loss is stationary: one number, or one for each axis."
    )
    offset: FiniteFloat = Field(0.0, description="Value at the centre, on the train split.")
    test_offset: FiniteFloat = Field(
        0.1, description="What is added to the offset on the test split."
    )
    nan_above: FiniteFloat | None = Field(
        None, description="The loss is NaN where the first coordinate exceeds this."
    )
    infinite_below: FiniteFloat | None = Field(
        None, description="The loss is +inf where the first coordinate is below this."
    )
