"""The matrices of a linear residual net's task: its target R and the inputs' covariance Σ.

Shape legend: P = points, ℓ = layers, d = inputs and outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tasks.linear.residual_parameters import (
    GivenMatrix,
    IdentityMatrix,
    RandomCovariance,
    RandomTarget,
    ResidualParameters,
    RotationMatrix,
)

Floats: TypeAlias = npt.NDArray[np.float64]

_TARGET, _COVARIANCE = range(2)
"""What a generator is for: R does not change with the kind of Σ, nor with the depth."""


@dataclass(frozen=True)
class Matrices:
    """R (d, d), Σ (d, d) and its symmetric square root, with the eigenvalues of Σ, ascending."""

    target: Floats
    covariance: Floats
    root: Floats
    spectrum: Floats

    @property
    def determinant(self) -> float:
        """Det R."""
        return float(np.linalg.det(self.target))

    @property
    def gamma(self) -> float | None:
        """max(|ln σ_max(R)|, |ln σ_min(R)|), of Hardt & Ma 2016; None for a singular R."""
        singular = np.linalg.svd(self.target, compute_uv=False)
        return float(np.abs(np.log(singular)).max()) if singular[-1] > 0 else None

    @property
    def least_excess_beyond(self) -> float:
        """The least ‖(M − R)Σ^½‖²_F over singular M: σ_min(RΣ^½)² (Eckart & Young 1936).

        It is a lower bound for every M whose determinant has another sign than R's, since the
        straight line from M to R passes through a singular matrix.
        """
        return float(np.linalg.svd(self.target @ self.root, compute_uv=False)[-1] ** 2)


def spectral_norms(theta: Floats, d: int) -> Floats:
    """‖A_i‖ of the layers of parameters (P, ℓd²): (P, ℓ)."""
    layers = theta.reshape(len(theta), -1, d, d)
    norms: Floats = np.linalg.norm(layers, ord=2, axis=(2, 3))
    return norms


def make_matrices(parameters: ResidualParameters, seed: int) -> Matrices:
    """R and Σ of a replicate of that seed."""
    d = parameters.dimension
    target = _target(parameters.target, d, np.random.default_rng([seed, _TARGET]))
    covariance = _covariance(parameters.covariance, d, np.random.default_rng([seed, _COVARIANCE]))
    values, vectors = np.linalg.eigh(covariance)
    return Matrices(target, covariance, (vectors * np.sqrt(values)) @ vectors.T, values)


def _target(
    kind: IdentityMatrix | RotationMatrix | RandomTarget | GivenMatrix,
    d: int,
    random: np.random.Generator,
) -> Floats:
    match kind:
        case RotationMatrix():
            return _orthogonal(d, random, 1.0)
        case RandomTarget():
            # One of the singular values is at an end of their range, so that gamma is exact.
            logs = random.uniform(-1.0, 1.0, d)
            logs *= kind.gamma / np.abs(logs).max()
            left = _orthogonal(d, random, 1.0 if kind.determinant == "positive" else -1.0)
            right = _orthogonal(d, random, 1.0)
            return (left * np.exp(logs)) @ right
        case GivenMatrix():
            return np.array(kind.rows, dtype=np.float64)
        case IdentityMatrix():
            return np.eye(d)


def _covariance(
    kind: IdentityMatrix | RandomCovariance | GivenMatrix, d: int, random: np.random.Generator
) -> Floats:
    match kind:
        case RandomCovariance():
            parts = random.uniform(0.0, 1.0, d)
            parts[-1:], parts[:1] = 0.0, 1.0
            vectors = _orthogonal(d, random, 1.0)
            matrix = (vectors * kind.condition**-parts) @ vectors.T
            return (matrix + matrix.T) / 2
        case GivenMatrix():
            return np.array(kind.rows, dtype=np.float64)
        case IdentityMatrix():
            return np.eye(d)


def _orthogonal(d: int, random: np.random.Generator, determinant: float) -> Floats:
    """A Haar-distributed orthogonal matrix of that determinant (Mezzadri 2007)."""
    q, r = np.linalg.qr(random.standard_normal((d, d)))
    q = q * np.sign(np.diag(r))
    if np.linalg.det(q) * determinant < 0:
        q[:, 0] = -q[:, 0]
    return q
