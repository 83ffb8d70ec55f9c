"""Tensor axes as terms, and the unification that finds which of them permute together.

An axis is a leaf (n units), a product of axes (flattened, the last varying fastest) or a sum of
axes (concatenated). Leaves that are not fixed are the groups of units that may be permuted. Every
operation here only removes freedom: leaves are split, identified or fixed, never set free. What
is found is therefore a subgroup of the symmetries as soon as each layer's constraints are stated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor

Pair: TypeAlias = "tuple[Axis, Axis]"


class Axis:
    """An axis of `size` units; `fixed` says why a leaf's units must stay where they are."""

    def __init__(self, size: int, fixed: str | None = None) -> None:
        self.size = size
        self.fixed = fixed
        self._form: Literal["leaf", "product", "sum"] = "leaf"
        self._parts: tuple[Axis, ...] = ()
        self._same: Axis | None = None

    @property
    def root(self) -> Axis:
        """The axis that stands for all those it was identified with."""
        axis = self
        while axis._same is not None:
            axis = axis._same
        return axis

    @property
    def form(self) -> Literal["leaf", "product", "sum"]:
        """What the axis consists of."""
        return self.root._form

    @property
    def parts(self) -> tuple[Axis, ...]:
        """The factors of a product or the terms of a sum, none of its own form."""
        flat: list[Axis] = []
        for part in self.root._parts:
            flat += part.parts if part.form == self.form else (part.root,)
        return tuple(flat)

    def become(self, form: Literal["product", "sum"], sizes: Sequence[int]) -> None:
        """Split a leaf into new leaves, fixed if it was."""
        root = self.root
        root._parts = tuple(Axis(size, root.fixed) for size in sizes)
        root._form = form

    def identify(self, other: Axis) -> None:
        """Let this leaf be the other axis."""
        root = self.root
        if root.fixed is not None:
            fix(other, root.fixed)
        root._same = other.root


def product(parts: Sequence[Axis]) -> Axis:
    """The axis that runs over all combinations, the last part fastest."""
    return _joined("product", [part for part in parts if part.size != 1]) or Axis(1)


def concatenation(parts: Sequence[Axis]) -> Axis:
    """The axis that runs over the parts one after the other."""
    return _joined("sum", [part for part in parts if part.size > 0]) or Axis(0)


def _joined(form: Literal["product", "sum"], parts: list[Axis]) -> Axis | None:
    if len(parts) <= 1:
        return parts[0] if parts else None
    total = 1 if form == "product" else 0
    for part in parts:
        total = total * part.size if form == "product" else total + part.size
    axis = Axis(total)
    axis._form, axis._parts = form, tuple(parts)
    return axis


def fix(axis: Axis, why: str) -> None:
    """Let no unit of the axis move; the first reason given is kept."""
    root = axis.root
    for part in root.parts:
        fix(part, why)
    if root.form == "leaf" and root.fixed is None:
        root.fixed = why


def unify(a: Axis, b: Axis) -> None:
    """Let two axes of the same size permute only together; what cannot be so is fixed."""
    a, b = a.root, b.root
    if a is b:
        return
    if a.size != b.size:
        raise ValueError(f"axes of sizes {a.size} and {b.size} cannot be one")
    if a.form == "leaf":
        a.identify(b)
    elif b.form == "leaf":
        b.identify(a)
    elif a.form != b.form or not _unify_parts(a, b, factor if a.form == "product" else cut):
        for axis in (a, b):
            fix(axis, "structures that do not fit each other")


def _unify_parts(a: Axis, b: Axis, split: Callable[[Axis, int], Pair | None]) -> bool:
    left, right = list(reversed(a.parts)), list(reversed(b.parts))
    while left and right:
        x, y = left.pop(), right.pop()
        if x.size != y.size:
            larger, size, rest = (x, y.size, left) if x.size > y.size else (y, x.size, right)
            pair = split(larger, size)
            if pair is None:
                return False
            x, y = (pair[0], y) if larger is x else (x, pair[0])
            rest.append(pair[1])
        unify(x, y)
    return True


def factor(axis: Axis, head: int) -> Pair | None:
    """The axis as a product of one of size `head` and the rest; None if it is none."""
    if head in (1, axis.size):
        return (axis, Axis(1)) if head == axis.size else (Axis(1), axis)
    if head == 0 or axis.size % head:
        return None
    if axis.form == "leaf":
        axis.become("product", (head, axis.size // head))
    if axis.form == "sum":
        return None
    first: list[Axis] = []
    rest = list(axis.parts)
    while head > 1:
        if head % rest[0].size:
            pair = factor(rest[0], head)
            if pair is None:
                return None
            rest[:1] = pair
        first.append(rest.pop(0))
        head //= first[-1].size
    return product(first), product(rest)


def cut(axis: Axis, head: int) -> Pair | None:
    """The first `head` units of the axis and the others; None if its structure forbids that."""
    if head in (0, axis.size):
        return (Axis(0), axis) if head == 0 else (axis, Axis(0))
    if axis.form == "leaf":
        axis.become("sum", (head, axis.size - head))
    if axis.form == "product":
        return _cut_product(axis, head)
    first: list[Axis] = []
    rest = list(axis.parts)
    while head > 0:
        if rest[0].size > head:
            pair = cut(rest[0], head)
            if pair is None:
                return None
            rest[:1] = pair
        first.append(rest.pop(0))
        head -= first[-1].size
    return concatenation(first), concatenation(rest)


def _cut_product(axis: Axis, head: int) -> Pair | None:
    slowest, *others = axis.parts
    stride = axis.size // slowest.size
    if head % stride:
        return None
    why = slowest.fixed or "cut across"
    fix(slowest, why)
    sizes = (head // stride, slowest.size - head // stride)
    return product([Axis(sizes[0], why), *others]), product([Axis(sizes[1], why), *others])


def regroup(axes: Sequence[Axis], sizes: Sequence[int]) -> list[Axis] | None:
    """The axes of a row-major reshape to these sizes; None if an axis falls between two."""
    rest: Axis = product(axes)
    result = []
    for size in sizes:
        pair = factor(rest, size)
        if pair is None:
            return None
        result.append(pair[0])
        rest = pair[1]
    return result if rest.size == 1 else None


def arrangement(axis: Axis, orders: Mapping[Axis, Tensor]) -> Tensor:
    """Which unit stands at each place, (size,), when leaves are in these orders."""
    if axis.form == "leaf":
        return orders.get(axis.root, torch.arange(axis.size))
    places = torch.zeros(1 if axis.form == "product" else 0, dtype=torch.int64)
    for part in axis.parts:
        inner = arrangement(part, orders)
        if axis.form == "product":
            places = (places[:, None] * part.size + inner).flatten()
        else:
            places = torch.cat([places, len(places) + inner])
    return places


def leaves(axis: Axis) -> Iterator[Axis]:
    """The leaves of an axis, each as often as it occurs."""
    if axis.form == "leaf":
        yield axis.root
    for part in axis.parts:
        yield from leaves(part)


def occurrences(axis: Axis) -> Iterator[tuple[Axis, Tensor]]:
    """Each leaf with its places on the axis, (n, m): in row i all places that belong to unit i."""
    if axis.form == "leaf":
        yield axis.root, torch.arange(axis.size)[:, None]
    before = 1 if axis.form == "product" else 0
    for part in axis.parts:
        for leaf, places in occurrences(part):
            if axis.form == "sum":
                yield leaf, before + places
            else:
                after = axis.size // (before * part.size)
                outer = torch.arange(before)[None, :, None, None] * (part.size * after)
                inner = places[:, None, :, None] * after + torch.arange(after)
                yield leaf, (outer + inner).flatten(1)
        before = before * part.size if axis.form == "product" else before + part.size
