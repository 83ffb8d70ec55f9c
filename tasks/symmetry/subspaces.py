"""The affine subspaces of weights on which a network equals a smaller one, its teacher.

Şimşek et al. 2021, arXiv:2105.12221. There is one for each choice of a grouping in each hidden
layer; their union is the expansion manifold Θ. In the paper the layers of a deeper network are
expanded one by one. Here units of one group may differ in what they get from each of several
copies, as only the sum matters: the paper's subspaces lie in these.

Shape legend: n = numbers of all weights, P = points, D = a subspace's dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from schemas.errors import SpecError
from tasks.landscape import Floats
from tasks.symmetry.groupings import Grouping, expansion, random_grouping
from tasks.symmetry.network import Weights, flattened, unflattened

NONZERO = 1e-9
"""What counts as more than rounding, of singular values and distances of weights near 1."""


def projected(points: Floats, groupings: Sequence[Grouping], teacher: Weights) -> Floats:
    """The nearest points (P, n) to `points` (P, n) of the subspace of these groupings.

    There is one grouping for each hidden layer of the teacher, whose outputs and inputs the
    student shares.
    """
    sizes = _sizes(groupings, teacher)
    found, first = np.array(points, order="C"), 0
    outputs = len(teacher[-1])
    each_its_own = Grouping(tuple(range(outputs)), outputs)
    columns = np.eye(sizes[0])
    for (entering, leaving), grouping, taught in zip(
        pairwise(sizes), (*groupings, each_its_own), teacher, strict=True
    ):
        last = first + leaving * entering
        block = found[:, first:last].reshape(len(found), leaving, entering)
        found[:, first:last] += _change(block, grouping, columns, taught).reshape(len(found), -1)
        first, columns = last, np.eye(grouping.groups)[list(grouping.labels)]
    return found


def _change(block: Floats, rows: Grouping, columns: Floats, taught: Floats) -> Floats:
    """What to add to a layer's weights (P, m_l, m_{l−1}), with `columns` (m_{l−1}, groups) 0 or 1.

    It is the same for all weights of a unit that lead to one group, and thus the least that gives
    their sums the values they must have.
    """
    sums = block @ columns
    wanted = np.empty_like(sums)
    labels = np.array(rows.labels)
    for group in range(rows.groups):
        members = labels == group
        if group < rows.taught:
            known = taught[group]
            wanted[:, members] = np.pad(known, (0, sums.shape[-1] - len(known)))
        else:
            wanted[:, members] = sums[:, members].mean(axis=1, keepdims=True)
    change: Floats = ((wanted - sums) / columns.sum(axis=0)) @ columns.T
    return change


def _sizes(groupings: Sequence[Grouping], teacher: Weights) -> list[int]:
    taught = [len(matrix) for matrix in teacher[:-1]]
    if [grouping.taught for grouping in groupings] != taught:
        raise SpecError(
            f"groupings: got some on {[grouping.taught for grouping in groupings]} units; "
            f"expected one on each of the teacher's {taught}; group each of its layers"
        )
    return [
        teacher[0].shape[1],
        *(grouping.units for grouping in groupings),
        len(teacher[-1]),
    ]


def _numbers(sizes: Sequence[int]) -> int:
    return sum(entering * leaving for entering, leaving in pairwise(sizes))


@dataclass(frozen=True)
class Affine:
    """The points origin (n,) + basis (n, D) y, the basis being orthonormal."""

    origin: Floats
    basis: Floats

    @property
    def dimensions(self) -> int:
        """D."""
        return int(self.basis.shape[1])


def affine(groupings: Sequence[Grouping], teacher: Weights) -> Affine:
    """The subspace of these groupings, its origin being what of it is nearest to zero."""
    sizes = _sizes(groupings, teacher)
    n = _numbers(sizes)
    origin = projected(np.zeros((1, n)), groupings, teacher)[0]
    projection = projected(np.eye(n), groupings, teacher) - origin
    vectors, values, _ = np.linalg.svd(projection)
    return Affine(origin, vectors[:, values > 0.5])


def sample(
    groupings: Sequence[Grouping],
    teacher: Weights,
    random: np.random.Generator,
    scale: float = 1.0,
) -> Weights:
    """A random point of the subspace: its distances from the origin are normal, times `scale`."""
    sizes = _sizes(groupings, teacher)
    n = _numbers(sizes)
    point = projected(scale * random.standard_normal((1, n)), groupings, teacher)
    return unflattened(point[0], sizes)


def expand(
    teacher: Weights, widths: Sequence[int], random: np.random.Generator, scale: float = 1.0
) -> Weights:
    """Random weights of hidden layers of these widths, that put out what the teacher does.

    Raises:
        SpecError: there are not as many layers as the teacher's, or one is narrower than its.
    """
    taught = [len(matrix) for matrix in teacher[:-1]]
    if len(widths) != len(taught):
        raise SpecError(
            f"widths: got {len(widths)} layers; expected {len(taught)}, as the teacher has; give "
            "each a width"
        )
    pairs = zip(taught, widths, strict=True)
    return sample([random_grouping(r, m, random) for r, m in pairs], teacher, random, scale)


def distance(weights: Weights, teacher: Weights) -> float:
    """How far a student of one hidden layer is from Θ: from the nearest of its T(r, m) subspaces.

    Raises:
        SpecError: there are several hidden layers, or fewer units than the teacher's.
    """
    if len(weights) != 2:
        raise SpecError(
            f"weights: got {len(weights) - 1} hidden layers; expected 1; give a student of one"
        )
    point = flattened(weights)[None]
    nearest = (
        projected(point, [grouping], teacher) - point
        for grouping in expansion(len(teacher[0]), len(weights[0]))
    )
    return min(float(np.linalg.norm(each)) for each in nearest)


def affine_meeting(first: Affine, second: Affine) -> Affine | None:
    """Where two affine subspaces meet, of their weights alone; None if nowhere.

    Singular values and distances of at most `NONZERO` count as zero.
    """
    joined = np.hstack([first.basis, -second.basis])
    between = second.origin - first.origin
    left, values, right = np.linalg.svd(joined)
    rank = int((values > NONZERO).sum())
    steps = left[:, :rank].T @ between
    if np.linalg.norm(between - left[:, :rank] @ steps) > NONZERO:
        return None
    ways = np.vstack([(right[:rank].T @ (steps / values[:rank])), right[rank:]])
    places = ways[:, : first.dimensions] @ first.basis.T
    # The null vectors of both bases are as long within the one as within the other.
    return Affine(first.origin + places[0], np.sqrt(2) * places[1:].T)
