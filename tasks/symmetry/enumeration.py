"""The subspaces of zero loss counted by the definition, as distinct sets of points.

Şimşek et al. 2021, arXiv:2105.12221: Γ_s has k_1, …, k_r copies of the teacher's units one after
another, and then groups without effect of b_1, …, b_j units. All permutations of units are applied
to all Γ_s. Two images are one set where the same point of them is nearest to a random point.

Shape legend: r = units of the teacher, m = those of the student, P = permutations, n = numbers of
all weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise, permutations

import numpy as np
import numpy.typing as npt

from tasks.landscape import Floats
from tasks.symmetry.groupings import Grouping
from tasks.symmetry.network import Weights
from tasks.symmetry.subspaces import projected

_SEED = 20
_DIGITS = 7


def distinct_images(teacher: Weights, m: int, groups: bool = True) -> int:
    """How many distinct sets the images of Γ_s are under m! permutations, with j = 0 or any j.

    With groups without effect that is T(r, m) if the teacher, of one hidden layer, is irreducible,
    and G(r, m) without.
    """
    hidden, output = teacher
    random = np.random.default_rng([_SEED, len(hidden), m])
    units = random.standard_normal((m, hidden.shape[1] + len(output)))
    orders = np.array(list(permutations(range(m))))
    images = [
        _images(units, orders, sizes, teacher)
        for sizes in _compositions(m)
        if len(sizes) == len(hidden) or (groups and len(sizes) > len(hidden))
    ]
    return len(np.unique(np.round(np.concatenate(images), _DIGITS), axis=0)) if images else 0


def _images(
    units: Floats, orders: npt.NDArray[np.int_], sizes: tuple[int, ...], teacher: Weights
) -> Floats:
    """The points nearest to one, of the images of Γ_s under each permutation: (P, n)."""
    inputs = teacher[0].shape[1]
    labels = tuple(np.repeat(np.arange(len(sizes)), sizes).tolist())
    permuted = units[orders]
    parts = permuted[..., :inputs], permuted[..., inputs:].swapaxes(1, 2)
    points = np.hstack([part.reshape(len(orders), -1) for part in parts])
    near = projected(points, [Grouping(labels, len(teacher[0]))], teacher)
    entering, leaving = np.split(near, [len(units) * inputs], axis=1)
    back = np.argsort(orders, axis=1)[..., None]
    entering = entering.reshape(len(orders), len(units), -1)
    leaving = leaving.reshape(len(orders), -1, len(units)).swapaxes(1, 2)
    found = np.take_along_axis(np.concatenate([entering, leaving], axis=2), back, axis=1)
    return found.reshape(len(orders), -1)


def _compositions(m: int) -> Iterator[tuple[int, ...]]:
    """All ways to write m as a sum of positive numbers, in order."""
    for parts in range(1, m + 1):
        for cuts in combinations(range(1, m), parts - 1):
            yield tuple(high - low for low, high in pairwise((0, *cuts, m)))
