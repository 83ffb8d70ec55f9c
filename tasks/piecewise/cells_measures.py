"""Statistics of activation cells and of the minima inside them.

He, Wang & Tao 2020, arXiv:2003.12236, section 5. Shape legend: R = ends, N = samples,
d = inputs of each, h = units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from schemas.layout import END_PARAMETERS, NUMBER, REPLICATE, SPLIT, START
from schemas.study import Hypothesis, Statistic
from tasks.facts import Trees, facts_of, remembered
from tasks.landscape import Floats
from tasks.piecewise.cells import TwoLayer, cell_keys, cell_optimum, same_cell, two_layer
from tasks.piecewise.cells_minima import FLAT, MARGIN, is_differentiable_minimum

if TYPE_CHECKING:
    import xarray as xr

_SAME_LOSS = 1e-10
FEWEST = 10
"""Minima without which nothing is said."""


@dataclass(frozen=True)
class Ends:
    """Where the descents of a scan have ended, inside open cells: those on walls are left out.

    Attributes:
        losses: (R,).
        gradients: their norms, (R,).
        optima: the least loss over all products in the cell of each, (R,).
        other_optima: the same in the cell of the next end of another cell on the same data, (R,).
        data: number of the data set, (R,).
        cells: the slopes of the units, in an order of their own.
        descents: how many there were.
    """

    losses: Floats
    gradients: Floats
    optima: Floats
    other_optima: Floats
    data: Floats
    cells: tuple[tuple[bytes, ...], ...]
    descents: int

    @property
    def minima(self) -> npt.NDArray[np.bool_]:
        """Which ends are critical points, and so minima, (R,)."""
        return self.gradients <= FLAT


@remembered
def ends_of(tree: xr.DataTree) -> Ends:
    """The ends of a scan whose descents keep parameters; those that are not finite are left out."""
    data = tree.to_dataset()[[END_PARAMETERS]].sel({SPLIT: "train"})
    if REPLICATE not in data.dims:
        data = data.expand_dims(REPLICATE)
    points = data.transpose(REPLICATE, START, NUMBER)[END_PARAMETERS].values
    parts = [
        _of_replicate(part, facts, number)
        for number, (part, facts) in enumerate(zip(points, facts_of(tree), strict=True))
    ]
    return Ends(
        np.concatenate([part.losses for part in parts]),
        np.concatenate([part.gradients for part in parts]),
        np.concatenate([part.optima for part in parts]),
        np.concatenate([part.other_optima for part in parts]),
        np.concatenate([part.data for part in parts]),
        tuple(cell for part in parts for cell in part.cells),
        sum(part.descents for part in parts),
    )


def samples_of(facts: Mapping[str, Any]) -> tuple[Floats, Floats]:
    """Inputs (N, d) and targets (N,)."""
    return np.array(facts["inputs"]), np.array(facts["targets"])


def _of_replicate(points: Floats, facts: Mapping[str, Any], number: int) -> Ends:
    inputs, targets = samples_of(facts)
    (units,), slope = facts["widths"], facts["slope"]
    nets = [two_layer(row, units, slope) for row in points if np.isfinite(row).all()]
    # A linear network has no walls.
    inside = [net for net in nets if slope == 1.0 or net.margin(inputs) > MARGIN]
    optima = [cell_optimum(net.slopes(inputs), inputs, targets).loss for net in inside]
    cells = tuple(cell_keys(net.slopes(inputs)) for net in inside)
    return Ends(
        np.array([net.loss(inputs, targets) for net in inside]),
        np.array([np.linalg.norm(net.gradient(inputs, targets)) for net in inside]),
        np.array(optima),
        np.array([_next_other(optima, cells, at) for at in range(len(inside))]),
        np.full(len(inside), float(number)),
        cells,
        len(points),
    )


def _next_other(optima: list[float], cells: tuple[tuple[bytes, ...], ...], at: int) -> float:
    """The optimum of the next end in another cell; NaN if there is none."""
    later = [*range(at + 1, len(cells)), *range(at)]
    return next((optima[other] for other in later if cells[other] != cells[at]), np.nan)


def away_from_optimum(*names: str, critical: bool = True, other: bool = False) -> Statistic:
    """How far ends are from the optimum of their cell, at most, relative to the targets' squares.

    Of those that are critical, or of all; or from the optimum of another cell, as a control.
    """

    def statistic(scans: Trees) -> float | None:
        found = []
        for name in names:
            ends = ends_of(scans[name])
            chosen = ends.minima if critical else np.ones(len(ends.losses), dtype=bool)
            optima = ends.other_optima if other else ends.optima
            found.append(np.abs(ends.losses - optima)[chosen])
        away = np.concatenate(found)
        return float(np.nanmax(away)) if np.isfinite(away).any() else None

    return statistic


def critical_inside(*names: str, all_ends: bool = False, other: bool = False) -> Hypothesis:
    """There are enough minima in open cells, each beside the optimum of its own.

    With `all_ends` every end is looked at, critical or not; with `other` the cells are exchanged.
    """

    def met(scans: Trees) -> bool:
        ends = [ends_of(scans[name]) for name in names]
        enough = all(np.count_nonzero(each.minima) >= FEWEST for each in ends)
        critical = not all_ends or all(bool(each.minima.all()) for each in ends)
        return enough and critical and not other

    return Hypothesis(
        f"gradients are at most {FLAT:g} and no unit's weights are at right angles to an input: "
        f"|cos| above {MARGIN:g}; there are {FEWEST} such ends or more, each beside the optimum of "
        "its own cell",
        met,
    )


def losses_apart(*names: str) -> Statistic:
    """The greatest minimum above the least of the same data, at the data where it is least."""

    def statistic(scans: Trees) -> float | None:
        found = []
        for name in names:
            ends = ends_of(scans[name])
            for number in np.unique(ends.data):
                losses = ends.losses[ends.minima & (ends.data == number)]
                if len(losses):
                    found.append(float(np.ptp(losses)))
        return min(found) if found else None

    return statistic


def several_cells(*names: str) -> Hypothesis:
    """There are enough minima, and the networks are not linear."""

    def met(scans: Trees) -> bool:
        ends = [ends_of(scans[name]) for name in names]
        counts = [np.count_nonzero(each.minima) for each in ends]
        linear = any(facts["slope"] == 1.0 for name in names for facts in facts_of(scans[name]))
        return bool(min(counts) >= FEWEST) and not linear

    return Hypothesis(
        f"the units have different slopes on both sides of 0, and there are {FEWEST} "
        "differentiable minima or more",
        met,
    )


def above_least_squares(name: str) -> Statistic:
    """The loss of critical points above that of the best linear map, at most."""

    def statistic(scans: Trees) -> float | None:
        ends, tree = ends_of(scans[name]), scans[name]
        least = []
        for facts in facts_of(tree):
            inputs, targets = samples_of(facts)
            away = targets - inputs @ np.linalg.lstsq(inputs, targets)[0]
            least.append(float(np.square(away).mean()))
        away = ends.losses - np.array(least)[ends.data.astype(int)]
        chosen = away[ends.minima]
        return float(np.abs(chosen).max()) if len(chosen) else None

    return statistic


def cells_met(*names: str) -> Statistic:
    """How many cells the points of a scan are in, of the replicate that meets most."""

    def statistic(scans: Trees) -> float:
        return float(max(len(np.unique(row)) for name in names for row in _hashes(scans[name])))

    return statistic


def is_linear(name: str) -> Hypothesis:
    """The units have one slope."""
    return Hypothesis(
        "the units have the same slope on both sides of 0",
        lambda scans: all(facts["slope"] == 1.0 for facts in facts_of(scans[name])),
    )


def _hashes(tree: xr.DataTree) -> npt.NDArray[np.uint64]:
    """Hashes of the cells, one row a replicate."""
    found = tree["activation_cell"].sel({SPLIT: "train"})
    if REPLICATE not in found.dims:
        found = found.expand_dims(REPLICATE)
    return np.asarray(found.transpose(REPLICATE, ...).values).reshape(found.sizes[REPLICATE], -1)


def greatest_change(name: str) -> Statistic:
    """How far the loss on the way is from that at its start, relative to it, at most."""

    def statistic(scans: Trees) -> float:
        losses = scans[name].to_dataset()["loss"].sel({SPLIT: "train"}).values
        return float(np.abs(losses - losses[0]).max() / losses[0])

    return statistic


def minima_of(tree: xr.DataTree) -> tuple[TwoLayer, TwoLayer]:
    """The minima from and to which a section leads."""
    facts = facts_of(tree)[0]
    one, other = (
        two_layer(np.array(numbers), facts["widths"][0], facts["slope"])
        for numbers in facts["minima"]
    )
    return one, other


def in_one_cell(name: str) -> Hypothesis:
    """The minima are of one cell, whose output weights have the same signs."""

    def met(scans: Trees) -> bool:
        inputs, _ = samples_of(facts_of(scans[name])[0])
        one, other = minima_of(scans[name])
        signs = np.array_equal(one.outputs > 0, other.outputs > 0)
        return signs and same_cell(one, other, inputs)

    return Hypothesis(
        "both are differentiable minima of one cell, with output weights of the same signs", met
    )


def minima_of_one_cell(*names: str) -> Hypothesis:
    """Each scan's two minima are of one cell and one loss."""

    def met(scans: Trees) -> bool:
        return all(_of_one_cell(scans[name]) for name in names)

    return Hypothesis("both are differentiable minima of one cell, of one loss", met)


def _of_one_cell(tree: xr.DataTree) -> bool:
    inputs, targets = samples_of(facts_of(tree)[0])
    ends = minima_of(tree)
    first, second = (net.loss(inputs, targets) for net in ends)
    critical = all(is_differentiable_minimum(net, inputs, targets) for net in ends)
    return critical and same_cell(*ends, inputs) and abs(first - second) <= _SAME_LOSS * first


def kept_apart(cases: Mapping[str, str]) -> Callable[[Trees], dict[str, float]]:
    """By case: how far from 0 a product stays, at every optimum of the cell, whose sign must turn.

    An output weight of different signs at two minima is 0 somewhere on any path between them, and
    so is the unit's product there. Inside the closed cell, a path of constant loss goes through
    optima of the cell alone, so it cannot exist where the product is 0 at none of them.
    """

    def statistic(scans: Trees) -> dict[str, float]:
        return {case: _kept_apart(scans[name]) for case, name in cases.items()}

    return statistic


def _kept_apart(tree: xr.DataTree) -> float:
    inputs, targets = samples_of(facts_of(tree)[0])
    one, other = minima_of(tree)
    optimum = cell_optimum(one.slopes(inputs), inputs, targets)
    turned = np.flatnonzero(one.outputs * other.outputs <= 0)
    return max((float(np.linalg.norm(optimum.fixed(int(unit)))) for unit in turned), default=0.0)
