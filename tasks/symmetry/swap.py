"""Paths of zero loss between a student and the same one with its units permuted.

Şimşek et al. 2021, arXiv:2105.12221, the proof that Θ_{r→m} is connected where m > r. With one
spare unit e in a layer, whose leaving weights are zero, units i and j change places in seven
straight steps, along none of which what the network puts out changes: (1) what enters e becomes
what enters i; (2) what leaves i is shifted to e; (3) what enters i becomes what enters j; (4) what
leaves j is shifted to i; (5) what enters j becomes what entered i; (6) what leaves e is shifted to
j; (7) what enters e becomes what it was. Of each layer it takes one spare unit, for any order.

Shape legend: n_l = units of layer l (n_0 inputs), r_l = units of the teacher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from tasks.landscape import Floats
from tasks.paths.charts import PolygonChart
from tasks.registry import BuildContext
from tasks.section import Section, axis_count_error
from tasks.symmetry.network import Weights, flattened
from tasks.symmetry.problem import Looked, Problem

STEPS = 7
"""Of one exchange of two units."""
_SPARE = 6
"""Keeps the random numbers of spare units apart from others of the same seed."""


@dataclass
class Walk:
    """A student that is changed one straight step after another.

    Attributes:
        weights: the matrices (n_l, n_{l−1}) as they are.
        points: those at the beginning, and after each step.
    """

    weights: list[Floats]
    points: list[Weights]

    @classmethod
    def beginning(cls, weights: Sequence[Floats]) -> Walk:
        """Before the first step."""
        return cls([matrix.copy() for matrix in weights], [tuple(weights)])

    def enter(self, layer: int, unit: int, row: Floats) -> None:
        """The step in which what enters a unit becomes that row (n_{l−1},)."""
        self.weights[layer][unit] = row
        self._done()

    def shift(self, layer: int, source: int, target: int) -> None:
        """The step in which what leaves a unit is shifted to another one, without leaving it."""
        leaving = self.weights[layer + 1]
        leaving[:, target] += leaving[:, source]
        leaving[:, source] = 0.0
        self._done()

    def leave(self, layer: int, one: int, other: int) -> None:
        """The step in which what leaves two units is exchanged."""
        leaving = self.weights[layer + 1]
        leaving[:, [one, other]] = leaving[:, [other, one]]
        self._done()

    def _done(self) -> None:
        self.points.append(tuple(matrix.copy() for matrix in self.weights))


Exchange: TypeAlias = Callable[[Walk, int, int, int], None]
"""Steps in which two units of a hidden layer change places: (walk, layer, one, other)."""


def swap(walk: Walk, layer: int, one: int, other: int, spare: int) -> None:
    """The seven steps in which two units of a hidden layer, 0 … L−1, change places.

    Raises:
        ValueError: something leaves the spare unit.
    """
    if walk.weights[layer + 1][:, spare].any():
        raise ValueError(f"unit {spare} of hidden layer {layer} is not spare: something leaves it")
    first, second, third = (walk.weights[layer][unit].copy() for unit in (one, other, spare))
    walk.enter(layer, spare, first)
    walk.shift(layer, one, spare)
    walk.enter(layer, one, second)
    walk.shift(layer, other, one)
    walk.enter(layer, other, first)
    walk.shift(layer, spare, other)
    walk.enter(layer, spare, third)


def bare_swap(walk: Walk, layer: int, one: int, other: int) -> None:
    """The same without a spare unit, in three steps, and not at one loss."""
    first, second = (walk.weights[layer][unit].copy() for unit in (one, other))
    walk.enter(layer, one, second)
    walk.leave(layer, one, other)
    walk.enter(layer, other, first)


def exchanges(order: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pairs of places to exchange, one after another, so that unit k comes to place order[k]."""
    sitting = list(range(len(order)))
    wanted = {place: unit for unit, place in enumerate(order)}
    for place in range(len(order)):
        found = sitting.index(wanted[place])
        if found != place:
            sitting[place], sitting[found] = sitting[found], sitting[place]
            yield place, found


def with_spare_units(
    teacher: Sequence[Floats], units: Sequence[int], random: np.random.Generator
) -> Weights:
    """The teacher, in the first places of each layer, beside units that nothing leaves.

    What enters these, from the places of the teacher, is normal. Of widths `units` (n_l,).
    """
    sizes = [teacher[0].shape[1], *units, len(teacher[-1])]
    found = []
    for matrix, (inputs, outputs) in zip(teacher, pairwise(sizes), strict=True):
        rows, columns = matrix.shape
        wide = np.zeros((outputs, inputs))
        wide[:rows, :columns] = matrix
        wide[rows:, :columns] = random.standard_normal((outputs - rows, columns))
        found.append(wide)
    return tuple(found)


def permuting_path(
    student: Sequence[Floats], orders: Sequence[Sequence[int]], exchange: Exchange
) -> list[Weights]:
    """Corners of a path on which unit k of each layer l comes to place orders[l][k], k < r_l.

    Args:
        student: of widths n_l ≥ r_l.
        orders: permutations of 0 … r_l − 1.
        exchange: the steps in which two units of a layer change places.
    """
    walk = Walk.beginning(student)
    for layer, order in enumerate(orders):
        for one, other in exchanges(order):
            exchange(walk, layer, one, other)
    return walk.points


def swap_section(problem: Problem, context: BuildContext) -> Looked:
    """One axis from the teacher beside spare units, at 0, to the same one permuted, at 1.

    Raises:
        SpecError: there is another number of axes.
    """
    if context.axes != 1:
        raise axis_count_error(context.axes, 1, "section: swap")
    parameters = problem.parameters
    random = np.random.default_rng([context.seed, _SPARE])
    student = with_spare_units(problem.teacher, parameters.units, random)

    def through_spare(walk: Walk, layer: int, one: int, other: int) -> None:
        swap(walk, layer, one, other, spare=parameters.teacher_units[layer])

    # Straight from end to end: then the steps between do not matter.
    exchange = through_spare if parameters.route == "swap" else bare_swap
    corners = permuting_path(student, parameters.orders, exchange)
    if parameters.route == "line":
        corners = [corners[0], corners[-1]]
    start, *others = (flattened(corner) for corner in corners)
    ways = tuple(problem.named(corner - start) for corner in others)
    facts = {
        "route": parameters.route,
        "orders": [list(order) for order in parameters.orders],
        "segments": len(ways),
    }
    return Looked(Section(problem.named(start), ways, chart=PolygonChart(len(ways))), facts)
