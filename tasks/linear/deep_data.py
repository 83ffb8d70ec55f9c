"""Data of the task `deep-linear`, and the least loss that any linear network reaches on them.

Shape legend: N = samples, X (d_x, N) and Y (d_y, N), one column a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tasks.linear.deep_parameters import DeepLinearParameters

Floats: TypeAlias = npt.NDArray[np.float64]

_DATA = 1
"""Keeps the random numbers of the data apart from those of the section of the same seed."""


@dataclass(frozen=True)
class Sample:
    """Inputs (d_x, N) and targets (d_y, N)."""

    inputs: Floats
    targets: Floats

    def reduced(self) -> tuple[Sample, float]:
        """At most d_x columns X̃, Ỹ and a constant c with ‖Y − W X‖² = ‖Ỹ − W X̃‖² + c for all W.

        X = X̃ Qᵀ is the QR decomposition of Xᵀ and Ỹ = Y Q; unlike with XXᵀ, no digits are lost.
        """
        basis, triangle = np.linalg.qr(self.inputs.T)
        within = self.targets @ basis
        return Sample(triangle.T, within), float(np.sum((self.targets - within @ basis.T) ** 2))


def draw_samples(parameters: DeepLinearParameters, seed: int) -> dict[str, Sample]:
    """The splits train and test: inputs and noise of their own, one map R.

    Everything is divided by √N, so that ‖Y − W X‖² is a mean over the samples.
    """
    rng = np.random.default_rng([seed, _DATA])
    inputs, outputs = parameters.widths[0], parameters.widths[-1]
    rank = parameters.input_rank
    mixing = np.eye(inputs) if rank is None else _of_rank(rng, inputs, inputs, rank)
    linear_map = _of_rank(rng, outputs, inputs, parameters.map_rank or min(inputs, outputs))
    return {split: _sample(parameters, mixing, linear_map, rng) for split in ("train", "test")}


def _sample(
    parameters: DeepLinearParameters, mixing: Floats, linear_map: Floats, rng: np.random.Generator
) -> Sample:
    n = parameters.samples
    x = mixing @ rng.standard_normal((mixing.shape[1], n)) / np.sqrt(n)
    noise = parameters.noise * rng.standard_normal((len(linear_map), n)) / np.sqrt(n)
    return Sample(x, linear_map @ x + noise)


def _of_rank(rng: np.random.Generator, rows: int, columns: int, rank: int) -> Floats:
    """A Gaussian matrix of that rank whose rows have squared norms about 1."""
    left, right = rng.standard_normal((rows, rank)), rng.standard_normal((rank, columns))
    product: Floats = left @ right / np.sqrt(rank * columns)
    return product


@dataclass(frozen=True)
class Regression:
    """Least squares of Y on X by maps of bounded rank: reduced-rank regression.

    Izenman 1975, J. Multivariate Anal. 5, 248; Baldi & Hornik 1989, Neural Networks 2, 53. With
    Ĉ = YXᵀ(XXᵀ)⁺XYᵀ, the eigenvalues λ₁ ≥ λ₂ … of Ĉ and its eigenvectors U, the least of
    ‖Y − R X‖² over maps of rank p or less is ‖Y‖² − Σ_{i≤p} λᵢ, at R = U_p U_pᵀ YXᵀ(XXᵀ)⁺.

    Attributes:
        eigenvalues: λ of Ĉ, descending, (d_y,).
        vectors: U, one column each, (d_y, d_y).
        unexplained: ‖Y‖² − tr Ĉ, what no linear map explains.
        least_squares: YXᵀ(XXᵀ)⁺, (d_y, d_x).
        input_rank: rank of X.
    """

    eigenvalues: Floats
    vectors: Floats
    unexplained: float
    least_squares: Floats
    input_rank: int

    def minimum(self, rank: int) -> float:
        """The least loss over maps of that rank or less."""
        return self.unexplained + float(self.eigenvalues[rank:].sum())

    def minimiser(self, rank: int) -> Floats:
        """A map of that rank or less, (d_y, d_x), with the least loss."""
        kept = self.vectors[:, :rank]
        return kept @ (kept.T @ self.least_squares)

    @property
    def rank(self) -> int:
        """How many eigenvalues of Ĉ are above rounding."""
        least = len(self.vectors) * np.finfo(np.float64).eps * self.eigenvalues[0]
        return int((self.eigenvalues > least).sum())


def regress(sample: Sample) -> Regression:
    """The regression of a sample's targets on its inputs.

    The row space of X is taken from its singular value decomposition, and what is explained from
    that of Y within it, so that no λ suffers from squaring.
    """
    left, singular, right = np.linalg.svd(sample.inputs, full_matrices=False)
    tolerance = singular[0] * max(sample.inputs.shape) * np.finfo(np.float64).eps
    rank = int((singular > tolerance).sum())
    basis = right[:rank].T
    within = sample.targets @ basis
    vectors, roots, _ = np.linalg.svd(within, full_matrices=True)
    eigenvalues = np.zeros(len(vectors))
    eigenvalues[: len(roots)] = roots**2
    return Regression(
        eigenvalues=eigenvalues,
        vectors=vectors,
        unexplained=float(np.sum((sample.targets - within @ basis.T) ** 2)),
        least_squares=(within / singular[:rank]) @ left[:, :rank].T,
        input_rank=rank,
    )
