"""Extreme eigenvalues of a symmetric matrix that is known by its products with vectors.

Shape legend: n = rows of the matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from schemas.errors import WorkError

Floats: TypeAlias = npt.NDArray[np.float64]

DENSE = 64
"""Up to this many rows the whole matrix is formed."""
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-9}
"""Bound on the residual of an eigenvector relative to the spread of the spectrum, by dtype."""
BASIS = 64
"""Vectors of the Krylov basis."""
_MOST_RESTARTS = 100


class _NotFinite(ArithmeticError):
    """A product held NaN or infinite values."""


def extreme_eigenvalues(
    product: Callable[[Floats], Floats], n: int, tolerance: float
) -> tuple[float, float]:
    """The least and the greatest eigenvalue of the symmetric matrix v (n,) → product(v) (n,).

    Implicitly restarted Lanczos (ARPACK) from a seeded start vector: first the eigenvalue of
    greatest magnitude, then that of the matrix without it on its diagonal, which is the other end.
    So neither tolerance is relative to an eigenvalue near zero. NaN, twice, when a product is not
    finite.

    Raises:
        WorkError: Lanczos does not converge.
    """

    def finite(vector: Floats) -> Floats:
        image = product(vector)
        if not np.isfinite(image).all():
            raise _NotFinite
        return image

    try:
        if n <= DENSE:
            matrix = np.stack([finite(row) for row in np.eye(n)])
            values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
            return float(values[0]), float(values[-1])
        first = _greatest_in_magnitude(finite, n, tolerance)
        other = first + _greatest_in_magnitude(lambda v: finite(v) - first * v, n, tolerance)
    except _NotFinite:
        return np.nan, np.nan
    except ArpackNoConvergence:
        raise WorkError(
            f"hessian_eigenvalue: no convergence in {_MOST_RESTARTS} restarts of Lanczos; leave "
            "the eigenvalues out of metrics"
        ) from None
    return min(first, other), max(first, other)


def _greatest_in_magnitude(product: Callable[[Floats], Floats], n: int, tolerance: float) -> float:
    start = np.random.default_rng(0).standard_normal(n)
    if not product(start).any():
        return 0.0  # ARPACK refuses the zero matrix
    operator = LinearOperator((n, n), matvec=lambda v: product(v.reshape(-1)), dtype=np.float64)
    found = eigsh(
        operator,
        k=1,
        which="LM",
        v0=start,
        ncv=min(n, BASIS),
        tol=tolerance,
        maxiter=_MOST_RESTARTS,
        return_eigenvectors=False,
        rng=np.random.default_rng(0),
    )
    return float(found[0])
