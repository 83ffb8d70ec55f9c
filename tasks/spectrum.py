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
_NARROW = 24
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
    product: Callable[[Floats], Floats], n: int, tolerance: float, top: int, bottom: int
) -> tuple[Floats, Floats]:
    """The `top` greatest and `bottom` least eigenvalues of a symmetric matrix, with eigenvectors.

    The matrix is that of `extreme_eigenvalues`. Of a multiple eigenvalue a Krylov space holds a
    single vector, so each end is searched again beside the vectors found, until nothing there
    belongs among them. Tolerances are relative to the eigenvalue of greatest magnitude.

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
    if n <= max(DENSE, 4 * (top + bottom)):
        values, columns = np.linalg.eigh(_whole(finite, n))
        rows = columns.T
    else:
        try:
            values, rows = _ends(finite, n, tolerance, top, bottom)
        except ArpackNoConvergence:
            raise WorkError(
                f"no convergence in {_MOST_RESTARTS} restarts of Lanczos for the {top} greatest "
                f"and {bottom} least eigenvalues of the Hessian; ask for fewer"
            ) from None
    order = np.argsort(values)
    chosen = [*order[::-1][:top], *order[:bottom]]
    return values[chosen], np.stack([_signed(rows[index]) for index in chosen])


def _ends(
    product: Callable[[Floats], Floats], n: int, tolerance: float, top: int, bottom: int
) -> tuple[Floats, Floats]:
    """At least the wanted pairs, in no order: values (k,) and unit vectors (k, n)."""
    start = np.random.default_rng(0).standard_normal(n)
    size = 1.1 * abs(_dominant(product, start, _ROUGH, _NARROW)[0])
    if size == 0:
        vectors = np.random.default_rng(0).standard_normal((n, top + bottom))
        return np.zeros(top + bottom), np.linalg.qr(vectors)[0].T
    values, rows = np.empty(0), np.empty((0, n))
    for wanted, sign in ((top, 1.0), (bottom, -1.0)):
        # Shifted so far that this end is the farthest from zero, where the vectors found are, and
        # ARPACK's tolerance, which is relative to an eigenvalue, is not relative to a small one.
        shift, before, missing = sign * 2 * size, len(rows), wanted
        while missing:
            more = _beside(product, rows, shift, missing, tolerance)
            values, rows = np.append(values, _rayleigh(product, more)), np.vstack([rows, more])
            least = np.sort(sign * values[before:])[-wanted]
            rough = sign * _rayleigh(product, _beside(product, rows, shift, 1, _ROUGH))[0]
            missing = int(rough > least + tolerance * size)
    return values, rows


def _rayleigh(product: Callable[[Floats], Floats], rows: Floats) -> Floats:
    """Rayleigh quotients (k,) of unit vectors (k, n)."""
    return np.array([row @ product(row) for row in rows])


def _beside(
    product: Callable[[Floats], Floats], found: Floats, shift: float, k: int, tolerance: float
) -> Floats:
    """K unit eigenvectors (k, n) of the matrix projected beside unit vectors found (m, n).

    Those of the eigenvalues that the shift takes farthest from zero.
    """

    def projected(vector: Floats) -> Floats:
        for _ in range(2):  # once leaves rounding errors of the size of what is taken away
            vector = vector - (found @ vector) @ found
        return vector

    def deflated(vector: Floats) -> Floats:
        inside = projected(vector)
        return projected(product(inside) + shift * inside)

    start = projected(np.random.default_rng(len(found)).standard_normal((found.shape[1],)))
    _, rows = _arpack(deflated, start, k, tolerance, max(_NARROW, 4 * k))
    beside = np.stack([projected(rows[index]) for index in range(k)])
    unit: Floats = beside / np.linalg.norm(beside, axis=1, keepdims=True)
    return unit


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
    first = _dominant(product, start, tolerance, BASIS)[0]
    other = first + _dominant(lambda v: product(v) - first * v, start, tolerance, BASIS)[0]
    return min(first, other), max(first, other)


def _dominant(
    product: Callable[[Floats], Floats], start: Floats, tolerance: float, basis: int
) -> tuple[float, Floats]:
    """The eigenvalue of greatest magnitude and an eigenvector (n,)."""
    if not product(start).any():
        return 0.0, start  # ARPACK refuses the zero matrix
    values, rows = _arpack(product, start, 1, tolerance, basis)
    return float(values[0]), rows[0]


def _arpack(
    product: Callable[[Floats], Floats], start: Floats, k: int, tolerance: float, basis: int
) -> tuple[Floats, Floats]:
    """The k eigenvalues of greatest magnitude (k,), and unit eigenvectors (k, n)."""
    n = len(start)
    operator = LinearOperator((n, n), matvec=lambda v: product(v.reshape(-1)), dtype=np.float64)
    values, columns = eigsh(
        operator,
        k=k,
        which="LM",
        v0=start,
        ncv=min(n, basis),
        tol=tolerance,
        maxiter=_MOST_RESTARTS,
        rng=np.random.default_rng(0),
    )
    rows: Floats = columns.T
    return values, rows


def _signed(vector: Floats) -> Floats:
    """The vector or its opposite: the first entry of greatest magnitude is positive."""
    return vector if vector[np.argmax(np.abs(vector))] > 0 else -vector
