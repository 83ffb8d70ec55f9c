"""Weight matching: the permutations that bring one set of weights nearest to another.

Ainsworth, Hayase & Srinivasa 2022, arXiv:2209.04836, section 3.2, Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from tasks.alignment.axes import Axis, arrangement, leaves, occurrences
from tasks.alignment.calls import Axes

Orders: TypeAlias = dict[Axis, Tensor]
"""For each group, which unit stands at each place."""

_GAIN = 1e-12
"""A smaller gain, relative to the size of the weights, is rounding."""


def permuted(tensor: Tensor, axes: Axes, orders: Mapping[Axis, Tensor]) -> Tensor:
    """The tensor with the units of every axis in these orders; exact copies of its values."""
    for dim, axis in enumerate(axes):
        if any(leaf in orders for leaf in leaves(axis)):
            tensor = tensor.index_select(dim, arrangement(axis, orders))
    return tensor


@dataclass(frozen=True)
class _Place:
    """Where a group stands: on axis `dim` of a tensor, unit i at positions[i] (n, m)."""

    name: str
    dim: int
    positions: Tensor


class WeightMatching:
    """Two sets of float64 parameters whose axes are known, and the steps of Algorithm 1."""

    def __init__(
        self,
        axes: Mapping[str, Axes],
        groups: tuple[Axis, ...],
        reference: Mapping[str, Tensor],
        other: Mapping[str, Tensor],
    ) -> None:
        self._axes, self._groups = axes, groups
        self._reference, self._other = reference, other
        self._places: dict[Axis, list[_Place]] = {group: [] for group in groups}
        for name in reference:
            for dim, axis in enumerate(axes[name]):
                for leaf, positions in occurrences(axis):
                    if leaf in self._places:
                        self._places[leaf].append(_Place(name, dim, positions))

    def distance(self, orders: Orders) -> float:
        """‖θ_ref − π(θ_other)‖, over all parameters."""
        squares = [
            (self._reference[name] - permuted(self._other[name], self._axes[name], orders))
            .square()
            .sum()
            for name in self._reference
        ]
        return float(torch.stack(squares).sum().sqrt())

    def descend(self, orders: Orders, generator: torch.Generator) -> tuple[Orders, int]:
        """Match one group after the other, in random order, until a round brings nothing.

        Returns the orders and the number of rounds. No step increases the distance.
        """
        orders, rounds, progress = dict(orders), 0, True
        while progress:
            progress, rounds = False, rounds + 1
            for index in torch.randperm(len(self._groups), generator=generator).tolist():
                better = self._step(self._groups[index], orders)
                if better is not None:
                    orders[self._groups[index]], progress = better, True
        return orders, rounds

    def _step(self, group: Axis, orders: Orders) -> Tensor | None:
        """A better order of one group, the others as they are; None if none was found."""
        names = dict.fromkeys(place.name for place in self._places[group])
        now = {name: permuted(self._other[name], self._axes[name], orders) for name in names}
        back = torch.argsort(orders[group])
        similarity = torch.zeros(group.size, group.size, dtype=torch.float64)
        for place in self._places[group]:
            mine = _rows(self._reference[place.name], place)
            similarity += mine @ _rows(now[place.name], place)[back].T
        _, chosen = linear_sum_assignment(similarity.numpy(), maximize=True)
        order = torch.from_numpy(chosen)
        # Where a weight has the group on two axes the step is linear in each, not in both.
        then = {
            name: permuted(self._other[name], self._axes[name], {**orders, group: order})
            for name in names
        }
        gain = sum(float((self._reference[n] * (then[n] - now[n])).sum()) for n in names)
        scale = sum(float(self._reference[n].norm() * self._other[n].norm()) for n in names)
        return order if gain > _GAIN * scale else None


def _rows(tensor: Tensor, place: _Place) -> Tensor:
    """All weights of each unit, (n, …)."""
    return tensor.movedim(place.dim, 0)[place.positions].flatten(1)
