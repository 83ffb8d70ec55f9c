"""Points that are the same but for the order of neurons and of coordinates.

Where the teachers are the unit vectors the loss of Safran & Shamir 2018, arXiv:1712.08968, does not
change when rows or columns of the weights W (n, d) are permuted. Two points are compared by colour
refinement (Weisfeiler & Leman 1968): rows are told apart by their entries and the colours of the
columns, columns likewise, and what cannot be told apart is tried, one choice at a time.
Shape legend: R = points, n = students, d = inputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from schemas.errors import SpecError
from tasks.landscape import Floats

Order: TypeAlias = npt.NDArray[np.intp]
_Colours: TypeAlias = npt.NDArray[np.uint64]

TOLERANCE = 1e-6
"""How far weights of one family may be from the representative's, after permutations."""
_CHOICES = 100
"""Complete choices that are tried for a pair of points; refinement leaves hardly ever two."""
_NEAR = 0.5
"""Distance at which a neuron counts as near a teacher, which has norm 1."""
_DIGITS = 3
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)


@dataclass(frozen=True)
class Family:
    """Points that are the same but for permutations.

    Attributes:
        members: their numbers, in order; the first is the representative.
        weights: the representative's (n, d), its neurons and coordinates matched so that large
            weights are on the diagonal, the largest first.
        loss: the representative's.
    """

    members: tuple[int, ...]
    weights: Floats
    loss: float


def families(weights: Floats, losses: Floats, tolerance: float = TOLERANCE) -> list[Family]:
    """The points (R, n, d) with losses (R,) by family, the largest first.

    Each member P W Q, for permutations P and Q that were found, is the representative's weights to
    the tolerance in every entry. Points of two families are not, unless the search gave up.

    Raises:
        SpecError: weights that are not finite.
    """
    wrong = np.flatnonzero(~np.isfinite(weights).all(axis=(1, 2)))
    if wrong.size:
        raise SpecError(
            f"weights: point {wrong[0]} is not finite; expected numbers; leave out what diverged"
        )
    profiles = np.sort(weights.reshape(len(weights), weights[0].size if len(weights) else 0))
    members: dict[int, list[int]] = {}
    for point in range(len(weights)):
        # Permutations leave the sorted entries as they are: a cheap test, of no consequence.
        known = np.array(list(members), dtype=np.intp)
        alike = (np.abs(profiles[known] - profiles[point]) <= tolerance).all(axis=1)
        for first in known[alike].tolist():
            if alignment(weights[point], weights[first], tolerance) is not None:
                members[first].append(point)
                break
        else:
            members[point] = [point]
    found = [
        Family(tuple(points), _arranged(weights[first]), float(losses[first]))
        for first, points in members.items()
    ]
    return sorted(found, key=lambda family: -len(family.members))


def alignment(
    weights: Floats, other: Floats, tolerance: float = TOLERANCE
) -> tuple[Order, Order] | None:
    """Orders of the rows and columns of weights (n, d) in which they are the other's, if found.

    That is, all entries of weights[rows][:, columns] − other are at most the tolerance.
    """
    pair = _Pair(np.stack([weights, other]), tolerance)
    for rows, columns in islice(pair.matchings(*pair.blank()), _CHOICES):
        if np.abs(weights[rows][:, columns] - other).max() <= tolerance:
            return rows, columns
    return None


def described(family: Family) -> str:
    """A family in words: how many neurons are near a teacher, and how many are alike."""
    weights = family.weights
    teachers = np.eye(weights.shape[1])
    away = np.linalg.norm(weights[:, None] - teachers, axis=2).min(axis=1)
    near = int((away < _NEAR).sum())
    pair = _Pair(weights[None], TOLERANCE)
    alike = [_sizes(colours[0]) for colours in pair.refined(*pair.blank())]
    return (
        f"{near} of {len(weights)} neurons near a teacher; "
        f"alike: neurons {alike[0]}, coordinates {alike[1]}"
    )


def _sizes(colours: _Colours) -> str:
    """How many have the same colour, such as 17 + 2."""
    sizes = sorted(Counter(colours.tolist()).values(), reverse=True)
    return " + ".join(str(size) for size in sizes if size > 1) or "none"


class _Pair:
    """Matrices (2, n, d) whose rows and columns are to be matched; colours are hashes."""

    def __init__(self, matrices: Floats, tolerance: float) -> None:
        """Entries that differ by at most the tolerance get the same number, others as they may."""
        self._shape = matrices.shape
        order = np.argsort(matrices, axis=None)
        apart = np.diff(matrices.ravel()[order]) > tolerance
        numbers = np.empty(matrices.size, dtype=np.uint64)
        numbers[order] = np.concatenate([[0], np.cumsum(apart)])
        self._entries = _mixed(numbers + np.uint64(1)).reshape(matrices.shape)

    def blank(self) -> tuple[_Colours, _Colours]:
        """One colour for all rows and one for all columns."""
        count, n, d = self._shape
        return np.zeros((count, n), np.uint64), np.zeros((count, d), np.uint64)

    def refined(self, rows: _Colours, columns: _Colours) -> tuple[_Colours, _Colours]:
        """The colours, refined until no more of the last matrix are told apart."""
        known = 0
        while (found := _distinct(rows[-1]) + _distinct(columns[-1])) > known:
            known = found
            seen = _mixed(self._entries ^ columns[:, None, :]).sum(axis=2)
            rows = _mixed(rows + seen)
            seen = _mixed(self._entries ^ rows[:, :, None]).sum(axis=1)
            columns = _mixed(columns + seen)
        return rows, columns

    def matchings(self, rows: _Colours, columns: _Colours) -> Iterator[tuple[Order, Order]]:
        """Orders of the first matrix's rows and columns in which they have the second's colours."""
        rows, columns = self.refined(rows, columns)
        ranks = [np.argsort(colours, axis=1) for colours in (rows, columns)]
        for colours, rank in zip((rows, columns), ranks, strict=True):
            if (colours[0][rank[0]] != colours[1][rank[1]]).any():
                return
        for which, colours in enumerate((rows, columns)):
            repeated = colours[1][ranks[which][1]]
            same = np.flatnonzero(repeated[1:] == repeated[:-1])
            if same.size:
                colour = repeated[same[0]]
                fixed = np.flatnonzero(colours[1] == colour)[0]
                for choice in np.flatnonzero(colours[0] == colour):
                    chosen = colours.copy()
                    chosen[0, choice] = chosen[1, fixed] = ~colour
                    yield from self.matchings(
                        *((chosen, columns) if which == 0 else (rows, chosen))
                    )
                return
        yield _carried(ranks[0]), _carried(ranks[1])


def _mixed(numbers: _Colours) -> _Colours:
    """Numbers scattered over all 64 bits, so that sums of them tell multisets apart."""
    scattered = numbers * _MULTIPLIER
    scattered ^= scattered >> _SHIFT
    scattered *= _MULTIPLIER
    return scattered ^ (scattered >> _SHIFT)


def _distinct(colours: _Colours) -> int:
    return len(set(colours.tolist()))


def _carried(ranks: Order) -> Order:
    """Where in the first matrix what is at each place of the second is found."""
    first, second = ranks
    order: Order = first[np.argsort(second)]
    return order


def _arranged(weights: Floats) -> Floats:
    """Rows and columns (n, d) so ordered that large weights are on the diagonal, largest first."""
    rows, columns = linear_sum_assignment(np.abs(weights), maximize=True)
    profiles = np.round(np.sort(weights[rows], axis=1), _DIGITS)
    order = np.lexsort([*profiles.T, np.round(weights[rows, columns], _DIGITS)])[::-1]
    spare_rows = np.setdiff1d(np.arange(weights.shape[0]), rows)
    spare_columns = np.setdiff1d(np.arange(weights.shape[1]), columns)
    rows = np.concatenate([rows[order], spare_rows])
    arranged: Floats = weights[rows][:, np.concatenate([columns[order], spare_columns])]
    return arranged
