"""Samples that can be counted and picked before they are read.

Shape legend: N = samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from schemas.errors import SpecError
from tasks.data import stratified_positions
from tasks.objective import Split
from tasks.sources.convert import check_counts, split_of


@dataclass(frozen=True)
class Rows:
    """Samples of one split, not read yet.

    Attributes:
        count: how many there are.
        take: reads those at the positions (n,), or all of them for None.
        targets: all targets, (N, …), without reading inputs where that can be.
    """

    count: int
    take: Callable[[Tensor | None], Split]
    targets: Callable[[], Tensor]

    def at(self, positions: Tensor) -> Rows:
        """Only the samples at these positions, (n,)."""

        def take(index: Tensor | None) -> Split:
            return self.take(positions if index is None else positions[index])

        return Rows(len(positions), take, lambda: self.targets()[positions])


def tensor_rows(inputs: Tensor, targets: Tensor | None, what: str) -> Rows:
    """Inputs (N, …) and targets (N, …) that are at hand; they may be mapped from a file.

    Raises:
        SpecError: there are no samples, or another number of targets.
    """

    def take(index: Tensor | None) -> Split:
        if index is None:
            return split_of(inputs, targets, what)
        return split_of(inputs[index], None if targets is None else targets[index], what)

    check_counts(inputs, targets, what)
    return Rows(len(inputs), take, lambda: inputs if targets is None else targets)


def halves(rows: Rows, test_fraction: float, seed: int, what: str) -> dict[str, Rows]:
    """`train` and `test`; stratified when the targets are classes, one a sample.

    Raises:
        SpecError: one of the two would be empty.
    """
    targets = rows.targets()
    classes = targets.dim() == 1 and not targets.is_floating_point()
    labels = targets if classes else torch.zeros(rows.count, dtype=torch.int64)
    train, test = stratified_positions(labels, test_fraction, seed)
    if not len(train) or not len(test):
        empty = "test" if len(train) else "train"
        raise SpecError(
            f"{what}: {test_fraction} of {rows.count} samples leaves {empty} without any; "
            "choose another fraction"
        )
    return {"train": rows.at(train), "test": rows.at(test)}


def drawn(rows: Rows, number: int, seed: int, what: str) -> Rows:
    """So many of the samples, without replacement, in their own order.

    Raises:
        SpecError: there are fewer.
    """
    if number > rows.count:
        raise SpecError(
            f"{what}: got {number}; there are {rows.count}; ask for as many or fewer, with a "
            "mapping such as {test: 100} for this split alone"
        )
    generator = torch.Generator().manual_seed(seed)
    positions = torch.randperm(rows.count, generator=generator)[:number]
    # In order, a file that is mapped into memory is read from front to back.
    return rows.at(positions.sort().values)


@dataclass(frozen=True)
class Offer:
    """What a source holds: splits by name, each opened on demand, or one whole without a name."""

    splits: Mapping[str, Callable[[], Rows]] = field(default_factory=dict)
    whole: Callable[[], Rows] | None = None
