"""The ends of the spectrum of a symmetric matrix that is known by its products with vectors.

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
_ROUGH = 1e-2


class NotFiniteError(ArithmeticError):
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
    finite = _finite(product)
    try:
        if n <= DENSE:
            values = np.linalg.eigvalsh(_whole(finite, n))
            return float(values[0]), float(values[-1])
        return _both_ends(finite, n, tolerance)
    except NotFiniteError:
        return np.nan, np.nan
    except ArpackNoConvergence:
        raise WorkError(
            f"hessian_eigenvalue: no convergence in {_MOST_RESTARTS} restarts of Lanczos; leave "
            "the eigenvalues out of metrics"
        ) from None


def end_eigenpairs(
    product: Callable[[Floats], Floats],
    n: int,
    tolerance: float,
    top: int,
    bottom: int,
    found: Callable[[int], None] = lambda _done: None,
) -> tuple[Floats, Floats]:
    """The `top` greatest and `bottom` least eigenvalues of a symmetric matrix, with eigenvectors.

    The matrix is that of `extreme_eigenvalues`. Pairs are found one at a time, each by Lanczos on
    the matrix projected beside the vectors already found: so an eigenvalue is found as often as it
    occurs, which a single Krylov space need not do. `found` is told how many there are.

    Returns:
        Values (top + bottom,), first the greatest from the greatest down, then the least from the
        least up; and unit vectors (top + bottom, n), each with its entry of greatest magnitude
        positive.

    Raises:
        ValueError: more pairs than rows are wanted.
        NotFiniteError: a product is not finite.
        WorkError: Lanczos does not converge.
    """
    if top + bottom > n:
        raise ValueError(f"{top} + {bottom} eigenpairs of a matrix of {n} rows")
    finite = _finite(product)
    if n <= DENSE:
        values, columns = np.linalg.eigh(_whole(finite, n))
        order = [*range(n - 1, n - 1 - top, -1), *range(bottom)]
        found(top + bottom)
        return values[order], np.stack([_signed(columns[:, index]) for index in order])
    try:
        values, vectors = _deflated(finite, n, tolerance, top, bottom, found)
    except ArpackNoConvergence:
        raise WorkError(
            f"no convergence in {_MOST_RESTARTS} restarts of Lanczos for the {top} greatest and "
            f"{bottom} least eigenvalues of the Hessian; ask for fewer"
        ) from None
    # Eigenvalues nearer to each other than the tolerance may come out of order.
    order = [*np.argsort(-values[:top]), *(top + np.argsort(values[top:]))]
    return values[order], np.stack([_signed(vectors[index]) for index in order])


def _deflated(
    product: Callable[[Floats], Floats],
    n: int,
    tolerance: float,
    top: int,
    bottom: int,
    found: Callable[[int], None],
) -> tuple[Floats, list[Floats]]:
    least, greatest = _both_ends(product, n, _ROUGH)
    # Shifted so far that what is sought is never near zero, where the vectors found are, nor is
    # ARPACK's tolerance, which is relative to it.
    size = max(greatest - least, abs(greatest), abs(least))
    values: list[float] = []
    vectors: list[Floats] = []

    def beside(vector: Floats) -> Floats:
        """Without its components along the vectors found."""
        for _ in range(2):  # once leaves rounding errors of the size of what is taken away
            for other in vectors:
                vector = vector - (other @ vector) * other
        return vector

    for shift in [least - size] * top + [greatest + size] * bottom:

        def deflated(vector: Floats, shift: float = shift) -> Floats:
            inside = beside(vector)
            return beside(product(inside) - shift * inside)

        start = beside(np.random.default_rng(len(vectors)).standard_normal(n))
        vector = beside(_dominant(deflated, start, tolerance)[1])
        vector /= np.linalg.norm(vector)
        values.append(float(vector @ product(vector)))
        vectors.append(vector)
        found(len(vectors))
    return np.array(values), vectors


def _finite(product: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    def finite(vector: Floats) -> Floats:
        image = product(vector)
        if not np.isfinite(image).all():
            raise NotFiniteError
        return image

    return finite


def _whole(product: Callable[[Floats], Floats], n: int) -> Floats:
    matrix = np.stack([product(row) for row in np.eye(n)])
    symmetric: Floats = (matrix + matrix.T) / 2
    return symmetric


def _both_ends(
    product: Callable[[Floats], Floats], n: int, tolerance: float
) -> tuple[float, float]:
    start = np.random.default_rng(0).standard_normal(n)
    first = _dominant(product, start, tolerance)[0]
    other = first + _dominant(lambda v: product(v) - first * v, start, tolerance)[0]
    return min(first, other), max(first, other)


def _dominant(
    product: Callable[[Floats], Floats], start: Floats, tolerance: float
) -> tuple[float, Floats]:
    """The eigenvalue of greatest magnitude and an eigenvector (n,)."""
    n = len(start)
    if not product(start).any():
        return 0.0, start  # ARPACK refuses the zero matrix
    operator = LinearOperator((n, n), matvec=lambda v: product(v.reshape(-1)), dtype=np.float64)
    values, vectors = eigsh(
        operator,
        k=1,
        which="LM",
        v0=start,
        ncv=min(n, BASIS),
        tol=tolerance,
        maxiter=_MOST_RESTARTS,
        rng=np.random.default_rng(0),
    )
    return float(values[0]), vectors[:, 0]


def _signed(vector: Floats) -> Floats:
    """The vector or its opposite: the first entry of greatest magnitude is positive."""
    return vector if vector[np.argmax(np.abs(vector))] > 0 else -vector
