"""What decides the claims on dimensions of subspaces and on where the Hessian is zero.

Şimşek et al. 2021, arXiv:2105.12221; what is said of the Hessian is derived in `nullity`. Points
are drawn at random from each subspace; no scan is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np

from schemas.study import CaseStatistic, Hypothesis
from tasks.facts import Trees
from tasks.landscape import Floats
from tasks.symmetry.count_measures import Measured
from tasks.symmetry.data import random_teacher
from tasks.symmetry.groupings import Grouping, expansion
from tasks.symmetry.network import Weights, flattened, unflattened
from tasks.symmetry.nullity import growth, is_spanning, kernel, nullity, power
from tasks.symmetry.subspaces import NONZERO, affine, affine_meeting, projected, sample

ACTIVATION = "asymmetric"
INPUTS = 2
_SAMPLES = 60
_SPREAD = 2.0
_TEACHER, _BATCH, _POINTS, _WAYS = range(4)


@dataclass(frozen=True)
class Case:
    """A random teacher of r units and students of m: of all subspaces, with this many outputs."""

    r: int
    m: int
    outputs: int

    @property
    def words(self) -> str:
        """What a table says of it."""
        return f"{self.outputs} output{'s' if self.outputs > 1 else ''}, r = {self.r}, m = {self.m}"

    def random(self, purpose: int, number: int = 0) -> np.random.Generator:
        """A generator of its own for each purpose and number."""
        return np.random.default_rng([purpose, self.r, self.m, self.outputs, number])


CASES = (Case(2, 3, 1), Case(2, 4, 1), Case(2, 4, 2))
_MET = CASES[0]
"""Where subspaces of this one meet is looked at."""


@dataclass(frozen=True)
class Flatness:
    """What was measured at a random point of a subspace.

    Attributes:
        rank: of points of the subspace, the dimensions that they span.
        nullity: zero eigenvalues of the Hessian.
        least: the least singular value that counts as nonzero, relative to the greatest.
        flat: the power by which the loss grows off the subspace where the Hessian is zero; None if
            it is zero nowhere else.
        steep: the same along a random direction.
    """

    case: Case
    grouping: Grouping
    rank: int
    nullity: int
    least: float
    flat: float | None
    steep: float

    @property
    def dimensions(self) -> int:
        """(m − r − j) c + j d."""
        return self.grouping.dimensions(INPUTS, self.case.outputs)

    @property
    def derived(self) -> int:
        """How many zero eigenvalues there must be."""
        return nullity(self.grouping, INPUTS, self.case.outputs)

    @property
    def spanning(self) -> bool:
        """Whether no group is too large for the number of outputs."""
        return is_spanning(self.grouping, self.case.outputs)


@cache
def flatness(case: Case) -> tuple[Flatness, ...]:
    """Of each subspace, at one random point."""
    teacher, inputs = _teacher(case), _inputs(case)
    return tuple(
        _measured(case, grouping, number, teacher, inputs)
        for number, grouping in enumerate(expansion(case.r, case.m))
    )


def dimensions_missed(dimensions: Callable[[Flatness], int]) -> Measured:
    """How far the dimensions that points span are from those expected: greatest difference."""
    return lambda _: float(max(abs(each.rank - dimensions(each)) for each in _all()))


def of_copies(each: Flatness) -> int:
    """(m − r) c, the dimensions without groups that have no effect."""
    return (each.case.m - each.case.r) * each.case.outputs


def least_spare() -> Measured:
    """The least D − (m − r) of all subspaces."""
    return lambda _: float(min(each.rank - (each.case.m - each.case.r) for each in _all()))


def least_spare_of_meetings() -> Measured:
    """The least D − (m − r) of where two subspaces meet."""
    spare = _MET.m - _MET.r
    return lambda _: float(min(each.dimensions - spare for each in _meetings(_MET)))


def nullity_missed() -> Measured:
    """How far the zero eigenvalues are from those derived: greatest difference."""
    return lambda _: float(
        max(
            abs(each.nullity - nullity(each.grouping, INPUTS, each.case.outputs)) for each in _all()
        )
    )


def nullity_missed_at_meetings() -> Measured:
    """The same where two subspaces meet, for either of them."""
    return lambda _: float(
        max(
            abs(each.nullity - nullity(grouping, INPUTS, _MET.outputs))
            for each in _meetings(_MET)
            for grouping in each.groupings
        )
    )


def excess_by_shape() -> CaseStatistic:
    """Of each kind of grouping the greatest number of zero eigenvalues beyond D."""

    def found(_: Trees) -> dict[str, float]:
        worst: dict[str, float] = {}
        for each in _all():
            copied, idle = shape(each.grouping)
            name = f"{each.case.words}, copies {copied}, without effect {idle or 'none'}"
            worst[name] = max(worst.get(name, 0.0), float(each.nullity - each.dimensions))
        return worst

    return found


def greatest_excess(spanning: bool) -> Measured:
    """The most zero eigenvalues beyond D, where groups are small enough or where they are not."""
    return lambda _: float(
        max(each.nullity - each.dimensions for each in _all() if each.spanning == spanning)
    )


def growth_missed(expected: float, *, flat: bool) -> Measured:
    """How far the power of growth is from one, along a way where the Hessian is zero or any."""

    def found(_: Trees) -> float:
        powers = [each.flat if flat else each.steep for each in _all()]
        return max(abs(each - expected) for each in powers if each is not None)

    return found


def small_groups(spanning: bool) -> Hypothesis:
    """Whether no group is too large for the number of outputs."""
    return Hypothesis(
        "c copies of a unit at most, and c + 1 units of a group without effect",
        lambda _: all(each.spanning for each in _all() if each.spanning == spanning),
    )


def shape(grouping: Grouping) -> tuple[str, str]:
    """The sizes of groups of copies, and of those without effect, as `2 + 1`; empty if none is."""
    own, others = grouping.sizes[: grouping.taught], grouping.sizes[grouping.taught :]
    copied, idle = (" + ".join(map(str, sorted(each, reverse=True))) for each in (own, others))
    return copied, idle


def _all() -> list[Flatness]:
    return [each for case in CASES for each in flatness(case)]


def _teacher(case: Case) -> Weights:
    return random_teacher((INPUTS, case.r, case.outputs), case.random(_TEACHER))


def _inputs(case: Case) -> Floats:
    return _SPREAD * case.random(_BATCH).standard_normal((_SAMPLES, INPUTS))


def _measured(
    case: Case, grouping: Grouping, number: int, teacher: Weights, inputs: Floats
) -> Flatness:
    points = case.random(_POINTS, number)
    weights = sample([grouping], teacher, points)
    found = kernel(weights, inputs, ACTIVATION)
    ways = case.random(_WAYS, number)
    flat = growth(grouping, teacher, weights, inputs, ACTIVATION, ways)
    n = len(flattened(weights))
    steep = power(weights, ways.standard_normal(n), teacher, inputs, ACTIVATION)
    others = projected(points.standard_normal((n, n)), [grouping], teacher)
    apart = np.linalg.svd(others - flattened(weights), compute_uv=False)
    rank = int((apart > NONZERO).sum())
    return Flatness(case, grouping, rank, found.nullity, found.least, flat, steep)


@dataclass(frozen=True)
class _Met:
    """Where the subspaces of two groupings meet, and zero eigenvalues at a random point of it."""

    groupings: tuple[Grouping, Grouping]
    dimensions: int
    nullity: int


@cache
def _meetings(case: Case) -> tuple[_Met, ...]:
    teacher, inputs = _teacher(case), _inputs(case)
    sizes = (INPUTS, case.m, case.outputs)
    spaces = [(grouping, affine([grouping], teacher)) for grouping in expansion(case.r, case.m)]
    found = []
    for number, ((one, first), (other, second)) in enumerate(combinations(spaces, 2)):
        met = affine_meeting(first, second)
        if met is not None:
            way = case.random(_POINTS, number).standard_normal(met.dimensions)
            weights = unflattened(met.origin + met.basis @ way, sizes)
            zeros = kernel(weights, inputs, ACTIVATION).nullity
            found.append(_Met((one, other), met.dimensions, zeros))
    return tuple(found)
