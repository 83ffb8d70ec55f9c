"""Principal components of a training trajectory, one checkpoint in memory at a time.

Shape legend: K = checkpoints, n = numbers in a checkpoint, k = components.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from schemas.errors import SpecError

Floats: TypeAlias = npt.NDArray[np.float64]

_COLUMN_BYTES = 64 * 2**20
# Smaller shares of the variance are rounding errors of the Gram matrix.
_RANK = 1e-13


@dataclass(frozen=True)
class Components:
    """Principal components of displacements.

    Attributes:
        vectors: orthonormal, (k, n), each with its entry of greatest magnitude positive.
        explained: share of the variance along each one, (k,).
    """

    vectors: Floats
    explained: Floats


def principal_components(
    displacements: Iterable[Floats], checkpoints: int, size: int, count: int, *, centred: bool
) -> Components:
    """The first `count` principal components of K displacements (n,), each taken once.

    Li et al. 2018, arXiv:1712.09913, section 7.2: the displacements from the final point are not
    centred, so that the components lie through it. The displacements are written to a temporary
    file; their Gram matrix (K, K) and the components are made of it by blocks of columns.

    Raises:
        SpecError: no room for the file, or the displacements span fewer than `count` dimensions.
    """
    with tempfile.TemporaryDirectory(prefix="cartograd-") as folder:
        needed, free = 8 * checkpoints * size, shutil.disk_usage(folder).free
        if needed > free:
            raise SpecError(
                f"directions: {checkpoints} checkpoints take {needed / 2**30:.1f} GiB in "
                f"{Path(folder).parent} and {free / 2**30:.1f} GiB are free; set TMPDIR to a "
                "larger disk, or give fewer checkpoints"
            )
        rows = _Rows(Path(folder) / "displacements", checkpoints, size)
        with rows.path.open("wb") as file:
            for _, displacement in zip(range(checkpoints), displacements, strict=True):
                displacement.tofile(file)
        weights, explained = _weights(_gram(rows), count, centred)
        vectors = np.empty((count, size))
        for columns, block in rows.blocks():
            vectors[:, columns] = weights @ block
    return Components(_orthonormal(vectors), explained)


@dataclass(frozen=True)
class _Rows:
    """A matrix (K, n) in a file, read by blocks of columns.

    Not mapped into memory: a job's limit would count what is mapped as held.
    """

    path: Path
    count: int
    size: int

    def blocks(self) -> Iterator[tuple[slice, Floats]]:
        """Columns, and their entries (K, columns)."""
        width = max(1, _COLUMN_BYTES // (8 * self.count))
        with self.path.open("rb") as file:
            for low in range(0, self.size, width):
                block = np.empty((self.count, min(width, self.size - low)))
                for row, entries in enumerate(block):
                    file.seek(8 * (row * self.size + low))
                    entries[:] = np.fromfile(file, count=len(entries))
                yield slice(low, low + width), block


def _gram(rows: _Rows) -> Floats:
    products = np.zeros((rows.count, rows.count))
    for _, block in rows.blocks():
        products += block @ block.T
    return products


def _weights(products: Floats, count: int, centred: bool) -> tuple[Floats, Floats]:
    """Weights (k, K) of the displacements in each unit component, and shares (k,) of variance."""
    k = len(products)
    if centred:
        centring = np.eye(k) - 1.0 / k
        products = centring @ products @ centring
    values, columns = np.linalg.eigh(products)
    values, columns = values[::-1], columns[:, ::-1]
    rank = int((values > _RANK * values[0]).sum()) if values[0] > 0 else 0
    if rank < count:
        raise SpecError(
            f"directions: {count} principal components of {k} checkpoints which, seen from the "
            f"origin, span {rank} dimensions; give more checkpoints, or fewer axes"
        )
    weights = (columns[:, :count] / np.sqrt(values[:count])).T
    if centred:
        weights = weights - weights.mean(axis=1, keepdims=True)
    return weights, values[:count] / values.clip(min=0.0).sum()


def _orthonormal(vectors: Floats) -> Floats:
    """Gram–Schmidt: a component of small variance is orthogonal only up to its rounding errors."""
    for index, vector in enumerate(vectors):
        for _ in range(2):
            vector -= (vectors[:index] @ vector) @ vectors[:index]
        vector /= np.linalg.norm(vector)
        if vector[np.argmax(np.abs(vector))] < 0:
            vector *= -1.0
    return vectors
