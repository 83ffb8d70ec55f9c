"""Which units of a wider layer copy which unit of a teacher's, and which have no effect.

Şimşek et al. 2021, arXiv:2105.12221. Units of one group get the same as input. What goes out from
all copies of a unit sums to what goes out from it, and what goes out from a group without effect
sums to zero. Each grouping stands for an affine subspace of weights, see `subspaces`.

Shape legend: r = units of a teacher's layer, m = those of the student's, j = groups without effect,
d = inputs, c = outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from schemas.errors import SpecError


@dataclass(frozen=True, order=True)
class Grouping:
    """Which group each of m units is in: 0, …, r−1 copy that unit, and r, r+1, … have no effect.

    Groups without effect are numbered as they come first, so that equal ones have equal labels.

    Raises:
        SpecError: a unit has no copy, or groups without effect are not numbered like this.
    """

    labels: tuple[int, ...]
    taught: int

    def __post_init__(self) -> None:
        missing = sorted(set(range(self.taught)) - set(self.labels))
        if missing or self.taught < 1:
            raise SpecError(
                f"grouping {self.labels}: no copy of unit {missing[0] if missing else 0}; give "
                f"each of {self.taught} units one"
            )
        new = dict.fromkeys(label for label in self.labels if label not in range(self.taught))
        if list(new) != list(range(self.taught, self.taught + len(new))):
            raise SpecError(
                f"grouping {self.labels}: got the groups without effect {list(new)}; number them "
                f"{self.taught}, {self.taught + 1}, … in the order in which they come"
            )

    @property
    def units(self) -> int:
        """How many units are grouped: m."""
        return len(self.labels)

    @property
    def groups(self) -> int:
        """How many groups there are: r + j."""
        return max(self.labels) + 1

    @property
    def without_effect(self) -> int:
        """How many groups are without effect: j."""
        return self.groups - self.taught

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of each group: k_1, …, k_r, b_1, …, b_j."""
        return tuple(self.labels.count(group) for group in range(self.groups))

    def dimensions(self, inputs: int, outputs: int) -> int:
        """D = (m − r − j) c + j d of the subspace, for one hidden layer."""
        j = self.without_effect
        return (self.units - self.taught - j) * outputs + j * inputs


def expansion(r: int, m: int) -> Iterator[Grouping]:
    """Every grouping of m units on r, in the order of the labels: T(r, m) of them.

    Raises:
        SpecError: r is below 1, or m below r.
    """
    if not 1 <= r <= m:
        raise SpecError(f"r, m: got {r}, {m}; expected 1 ≤ r ≤ m; give a wider student")
    return (Grouping(labels, r) for labels in _labelled((), r, m))


def _labelled(labels: tuple[int, ...], r: int, m: int) -> Iterator[tuple[int, ...]]:
    missing = set(range(r)) - set(labels)
    if len(labels) == m:
        yield labels
        return
    new = max((r - 1, *labels)) + 1
    for label in range(new + 1):
        if len(missing - {label}) <= m - len(labels) - 1:
            yield from _labelled((*labels, label), r, m)


def random_grouping(r: int, m: int, random: np.random.Generator) -> Grouping:
    """A grouping of m units on r; every one has a positive probability, though not the same.

    Raises:
        SpecError: r is below 1, or m below r.
    """
    if not 1 <= r <= m:
        raise SpecError(f"r, m: got {r}, {m}; expected 1 ≤ r ≤ m; give a wider student")
    drawn = list(range(r))
    for _ in range(m - r):
        drawn.append(int(random.integers(max(drawn) + 2)))
    return _numbered([drawn[place] for place in random.permutation(m)], r)


def _numbered(labels: Sequence[int], r: int) -> Grouping:
    new = dict.fromkeys(label for label in labels if label >= r)
    names = {**{t: t for t in range(r)}, **{label: r + at for at, label in enumerate(new)}}
    return Grouping(tuple(names[label] for label in labels), r)


@dataclass(frozen=True)
class Meeting:
    """Where two subspaces of one hidden layer meet: the dimensions are links·c + free·d.

    Attributes:
        links: output weights of each output that may still be chosen.
        free: units, or groups of them, whose input weights may still be chosen.
    """

    links: int
    free: int

    def dimensions(self, inputs: int, outputs: int) -> int:
        """For these numbers of inputs and outputs."""
        return self.links * outputs + self.free * inputs


def meeting(first: Grouping, second: Grouping) -> Meeting | None:
    """Where the subspaces of two groupings of the same units meet, if they do.

    The groups of both are the vertices of a graph, and each unit is an edge between its two groups.
    All units of a component have the same input weights; thus it must not hold two units of the
    teacher. Nor may a unit of the teacher be in it by one grouping only: then its output weights
    had to sum to a ≠ 0 by one and to 0 by the other. Otherwise they can be chosen, but for one
    condition for each vertex less one, as both groupings give them the same sum.

    Raises:
        SpecError: they are not of the same units.
    """
    if (first.units, first.taught) != (second.units, second.taught):
        raise SpecError(
            f"groupings: got {first.units} units on {first.taught} and {second.units} on "
            f"{second.taught}; expected the same; compare subspaces of one expansion"
        )
    links = free = 0
    for one, other, units in _components(first, second):
        taught = {label for label in one | other if label < first.taught}
        if len(taught) > 1 or any(label not in one & other for label in taught):
            return None
        links += units - len(one) - len(other) + 1
        free += not taught
    return Meeting(links, free)


def _components(first: Grouping, second: Grouping) -> list[tuple[set[int], set[int], int]]:
    """Of each component the groups of both, and the number of units."""
    found: list[tuple[set[int], set[int], int]] = []
    for one, other in zip(first.labels, second.labels, strict=True):
        joined = ({one}, {other}, 1)
        apart = []
        for part in found:
            if one in part[0] or other in part[1]:
                joined = (joined[0] | part[0], joined[1] | part[1], joined[2] + part[2])
            else:
                apart.append(part)
        found = [*apart, joined]
    return found
