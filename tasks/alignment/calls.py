"""One traced operation, with the axes of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from tasks.alignment.axes import Axis, fix, unify

Axes: TypeAlias = tuple[Axis, ...]
"""The axes of a tensor, in order."""

POSITION = "a position in an image or a sequence"


class Unsupported(Exception):
    """The operation is used in a way whose symmetries are not known."""


@dataclass(frozen=True)
class Operand:
    """A tensor that takes part in an operation."""

    axes: Axes

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return tuple(axis.size for axis in self.axes)


@dataclass(frozen=True)
class Call:
    """An operation with its arguments by the names of its schema, defaults filled in.

    Attributes:
        target: the operation.
        given: arguments; tensors are Operands.
        shapes: of the results.
    """

    target: torch._ops.OpOverload
    given: Mapping[str, Any]
    shapes: Sequence[tuple[int, ...]]

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - an argument can be anything
        return self.given.get(name)

    @property
    def operands(self) -> list[Operand]:
        """Every tensor among the arguments, in their order."""
        found: list[Operand] = []
        for value in self.given.values():
            items = value if isinstance(value, (list, tuple)) else [value]
            found += [item for item in items if isinstance(item, Operand)]
        return found

    @property
    def first(self) -> Operand:
        """The first tensor among the arguments."""
        if not self.operands:
            raise Unsupported
        return self.operands[0]


Rule: TypeAlias = Callable[[Call], Sequence[Axes]]
"""Ties the axes of an operation's arguments; gives those of its results."""


def optional(call: Call, name: str) -> Axes:
    """The axes of an optional tensor; none if it was left out."""
    value = call[name]
    return value.axes if isinstance(value, Operand) else ()


def broadcast(operands: Sequence[Operand], shape: Sequence[int]) -> Axes:
    """Axes of an elementwise result: those of each operand, aligned from the right."""
    result: list[Axis | None] = [None] * len(shape)
    for operand in operands:
        for back, axis in enumerate(reversed(operand.axes), start=1):
            if axis.size != shape[-back]:
                continue
            known = result[-back]
            if known is None:
                result[-back] = axis
            else:
                unify(known, axis)
    return tuple(axis or Axis(size) for axis, size in zip(result, shape, strict=True))


def tie(first: Sequence[Axis], second: Sequence[Axis]) -> None:
    """Identify axes one by one."""
    if len(first) != len(second):
        raise Unsupported
    for a, b in zip(first, second, strict=True):
        if a.size != b.size:
            raise Unsupported
        unify(a, b)


def positions(old: Sequence[Axis], sizes: Sequence[int]) -> Axes:
    """Axes of fixed positions in place of the old ones, which become fixed as well."""
    for axis in old:
        fix(axis, POSITION)
    return tuple(Axis(size, POSITION) for size in sizes)
