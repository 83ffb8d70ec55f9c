"""Parameters of the task `linear-residual`. Importing this module imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

from tasks.registry import Parameters

POPULATION = "population"
"""The split of the risk f."""
EXCESS = "excess"
"""The split of f − C, which keeps the digits that C would take."""
LARGEST_NORM = "largest_norm"
"""The stored field max ‖A_i‖, of spectral norms."""

Size = Annotated[int, Field(ge=1, strict=True)]
Matrix: TypeAlias = tuple[tuple[FiniteFloat, ...], ...]
"""Rows of a square matrix."""


class IdentityMatrix(Parameters):
    """The identity."""

    kind: Literal["identity"] = "identity"


class RotationMatrix(Parameters):
    """A random rotation: orthogonal, of determinant 1."""

    kind: Literal["rotation"]


class RandomTarget(Parameters):
    """Random singular vectors and singular values."""

    kind: Literal["random"]
    gamma: Annotated[FiniteFloat, Field(ge=0)] = Field(
        0.5, description="Greatest |ln σ| of the singular values σ, between exp(±gamma)."
    )
    determinant: Literal["positive", "negative"] = Field(
        "positive", description="Sign of the determinant."
    )


class GivenMatrix(Parameters):
    """A matrix given by its rows."""

    kind: Literal["given"]
    rows: Matrix = Field(description="The rows.")


class RandomCovariance(Parameters):
    """Random eigenvectors and eigenvalues."""

    kind: Literal["random"]
    condition: Annotated[FiniteFloat, Field(ge=1)] = Field(
        4.0, description="The eigenvalues lie between 1 / condition, which is one of them, and 1."
    )


class ResidualParameters(Parameters):
    """A linear residual net of layers I + A, the map it is to learn, and the inputs' covariance."""

    dimension: Size = Field(2, description="Inputs and outputs, d.")
    layers: Size = Field(3, description="Layers; a point has layers · dimension² numbers.")
    target: Annotated[
        IdentityMatrix | RotationMatrix | RandomTarget | GivenMatrix, Field(discriminator="kind")
    ] = Field(RandomTarget(kind="random"), description="The map R to learn: y = Rx + noise.")
    covariance: Annotated[
        IdentityMatrix | RandomCovariance | GivenMatrix, Field(discriminator="kind")
    ] = Field(IdentityMatrix(), description="Covariance of the inputs.")
    origin: Literal["zero", "construction", "boundary", "given"] = Field(
        "zero",
        description="Where the axes cross: every A = 0; the explicit global minimum; every A = -I; "
        "every A = layer.",
    )
    layer: Matrix | None = Field(
        None, description="Rows of the matrix of every layer, with origin: given."
    )
    directions: Literal["random", "identity"] = Field(
        "random",
        description="Random orthonormal directions, or one axis along which every A gains that "
        "multiple of I.",
    )

    @model_validator(mode="after")
    def _matrices_fit(self) -> Self:
        d = self.dimension
        if isinstance(self.target, GivenMatrix):
            _check_square("target.rows", self.target.rows, d)
        if isinstance(self.covariance, GivenMatrix):
            _check_square("covariance.rows", self.covariance.rows, d)
            _check_covariance(self.covariance.rows)
        if (self.layer is not None) != (self.origin == "given"):
            remedy = "add it" if self.layer is None else "leave it out"
            raise ValueError(f"layer: goes with origin: given, got origin: {self.origin}; {remedy}")
        if self.layer is not None:
            _check_square("layer", self.layer, d)
        return self


def _check_square(name: str, rows: Matrix, d: int) -> None:
    lengths = [len(row) for row in rows]
    if lengths != [d] * d:
        raise ValueError(
            f"{name}: got {len(rows)} rows of {sorted(set(lengths))} numbers; expected {d} rows of "
            f"{d}, as dimension says"
        )


def _check_covariance(rows: Matrix) -> None:
    matrix = np.array(rows)
    if not np.array_equal(matrix, matrix.T):
        raise ValueError("covariance.rows: is not symmetric; make it equal to its transpose")
    least = float(np.linalg.eigvalsh(matrix)[0])
    if least <= 0:
        raise ValueError(
            f"covariance.rows: the least eigenvalue is {least:g}; expected a positive definite "
            "matrix"
        )
