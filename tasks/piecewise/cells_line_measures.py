"""Statistics of the walls of cells on a line: those that a grid sees, and the exact ones.

Shape legend: P = points of the grid, W = walls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from schemas.layout import REPLICATE, SPLIT
from schemas.study import Hypothesis, Statistic
from tasks.facts import Trees, facts_of, remembered
from tasks.landscape import Floats
from tasks.piecewise.cells_crossings import crossings
from tasks.piecewise.cells_network import network
from tasks.section import Section, unflattened

if TYPE_CHECKING:
    import xarray as xr

FEWEST = 20
"""Walls on a line without which nothing is said."""
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Line:
    """The cells on a line.

    Attributes:
        at: points of the grid, (P,).
        hashes: of their cells, (P,).
        walls: exact coordinates of walls between the ends of the grid, ascending, (W,).
    """

    at: Floats
    hashes: npt.NDArray[np.uint64]
    walls: Floats

    @property
    def changes(self) -> npt.NDArray[np.bool_]:
        """Whether the cell changes from each point to the next, (P − 1,)."""
        changed: npt.NDArray[np.bool_] = self.hashes[1:] != self.hashes[:-1]
        return changed

    def cells(self, step: int) -> int:
        """Cells that every step-th point of the grid meets, one after another."""
        met = self.hashes[::step]
        return int(np.count_nonzero(met[1:] != met[:-1])) + 1


@remembered
def lines_of(tree: xr.DataTree) -> list[Line]:
    """The lines of a scan, one for each replicate, with the walls computed from its facts."""
    hashes = tree["activation_cell"].sel({SPLIT: "train"})
    if REPLICATE not in hashes.dims:
        hashes = hashes.expand_dims(REPLICATE)
    at = np.asarray(tree["t"])
    return [
        Line(at, row, _walls(facts, at))
        for row, facts in zip(hashes.transpose(REPLICATE, "t").values, facts_of(tree), strict=True)
    ]


def _walls(facts: Mapping[str, Any], at: Floats) -> Floats:
    inputs = np.array(facts["inputs"])
    module = network(inputs.shape[1], facts["widths"], facts["slope"])
    like = dict(module.named_parameters())

    def named(numbers: Sequence[float]) -> dict[str, torch.Tensor]:
        rows = unflattened(torch.tensor([numbers], dtype=torch.float64), like)
        return {name: row[0] for name, row in rows.items()}

    (direction,) = facts["directions"]
    section = Section(named(facts["origin"]), (named(direction),))
    return crossings(module, section, inputs, float(at[0]), float(at[-1])).at


def changes_without_wall(*names: str, exchanged: bool = False) -> Statistic:
    """Steps of the grid on which the cell changes and no exact wall lies.

    With `exchanged` the walls are those of the next replicate's line, as a control.
    """

    def statistic(scans: Trees) -> float:
        wanting = 0
        for name in names:
            lines = lines_of(scans[name])
            for number, line in enumerate(lines):
                walls = lines[(number + exchanged) % len(lines)].walls
                first = np.searchsorted(walls, line.at[:-1] - _ROUNDING)
                last = np.searchsorted(walls, line.at[1:] + _ROUNDING, side="right")
                wanting += int(np.count_nonzero(line.changes & (last == first)))
        return float(wanting)

    return statistic


def of_this_line(*names: str, exchanged: bool = False) -> Hypothesis:
    """There are walls enough, and they are those of the line that is scanned."""

    def met(scans: Trees) -> bool:
        found = [line for name in names for line in lines_of(scans[name])]
        return not exchanged and all(len(line.walls) >= FEWEST for line in found)

    return Hypothesis(f"the walls are those of this line, {FEWEST} or more", met)


def share_seen(*names: str, steps: int | None = None) -> Statistic:
    """The share of the exact cells that the grid meets, or one of so many steps, at worst."""

    def statistic(scans: Trees) -> float:
        lines = [line for name in names for line in lines_of(scans[name])]
        return min(line.cells(_every(line, steps)) / (len(line.walls) + 1) for line in lines)

    return statistic


def _every(line: Line, steps: int | None) -> int:
    """Which points of a line are those of a grid of so many steps: each, every second one …."""
    return 1 if steps is None else len(line.changes) // steps


def steps_of(line: Line) -> list[int]:
    """Coarser and coarser grids: every point, every second one …, down to two steps."""
    return [2**power for power in range(int(np.log2(len(line.changes))))]


def least_gain(*names: str) -> Statistic:
    """By how many cells a grid meets more than one of half its steps, and the line than any grid.

    At the least: below 0 a finer grid meets fewer cells, or a grid more than there are.
    """

    def statistic(scans: Trees) -> float:
        gains = []
        for name in names:
            for line in lines_of(scans[name]):
                met = [len(line.walls) + 1, *(line.cells(step) for step in steps_of(line))]
                gains += [fine - coarse for fine, coarse in pairwise(met)]
        return float(min(gains))

    return statistic


def fine_enough(*names: str, steps: int | None = None) -> Hypothesis:
    """The grid has many more steps than the line has walls."""

    def met(scans: Trees) -> bool:
        lines = [line for name in names for line in lines_of(scans[name])]
        return all(FEWEST <= len(line.walls) <= (steps or len(line.changes)) / 10 for line in lines)

    return Hypothesis(
        f"the line has {FEWEST} walls or more, and the grid ten steps or more for each", met
    )
