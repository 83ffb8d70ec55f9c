"""The task `piecewise-cells`: the mean squared error of a network with activation cells.

He, Wang & Tao 2020, arXiv:2003.12236, section 5. Shape legend: N = samples, d = inputs of each,
n = numbers of all parameters, z = axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from schemas.errors import SpecError, listing, suggestion
from tasks.landscape import Floats, Landscape
from tasks.objective import EmpiricalRisk, Split, squared_error
from tasks.piecewise.cells import TwoLayer
from tasks.piecewise.cells_joining import JoiningChart, joining_directions, made_reversed
from tasks.piecewise.cells_minima import pair_across, pair_within
from tasks.piecewise.cells_network import draw_samples, network
from tasks.piecewise.cells_parameters import PiecewiseCellsParameters
from tasks.registry import BuildContext
from tasks.section import Chart, Section, axis_count_error, unflattened, whole_section

TRAIN = "train"
_DATA, _ORIGIN, _DIRECTIONS, _MINIMA = 1, 2, 3, 4
"""Keep the random numbers of one seed apart."""


@dataclass(frozen=True)
class NormalWeights:
    """A start: independent normal weights of standard deviation scale/√inputs.

    Attributes:
        shapes: of the layers' weights, in their order.
    """

    shapes: tuple[tuple[int, ...], ...]

    def __call__(self, random: np.random.Generator, scale: float) -> Floats:
        """Parameters (n,)."""
        parts = [random.standard_normal(shape).ravel() / np.sqrt(shape[1]) for shape in self.shapes]
        return scale * np.concatenate(parts)


def build_piecewise_cells(parameters: PiecewiseCellsParameters, context: BuildContext) -> Landscape:
    """The mean squared error on the split `train`.

    Raises:
        SpecError: there is another split, the axes do not fit the section, or its minima are not
            found.
    """
    for split in context.splits:
        if split != TRAIN:
            raise SpecError(
                f"splits: got {split!r}; expected {listing([TRAIN])}{suggestion(split, [TRAIN])}"
            )
    module = network(parameters.dimensions, parameters.widths, parameters.slope)
    draw = NormalWeights(tuple(tuple(tensor.shape) for tensor in module.parameters()))
    inputs, targets, ends = _samples(parameters, context)
    section, known = _section(parameters, context, module, draw, ends)
    train = Split(torch.from_numpy(inputs), torch.from_numpy(targets))
    facts: dict[str, Any] = {
        "widths": list(parameters.widths),
        "slope": parameters.slope,
        "section": parameters.section,
        "inputs": inputs.tolist(),
        "targets": targets.tolist(),
        **known,
    }
    return Landscape(
        EmpiricalRisk(module, squared_error, {TRAIN: train}), section, facts=facts, draw=draw
    )


def _samples(
    parameters: PiecewiseCellsParameters, context: BuildContext
) -> tuple[Floats, Floats, tuple[TwoLayer, TwoLayer] | None]:
    """Inputs (N, d), targets (N,), and the minima from and to which the section leads."""
    if parameters.section == "reversed":
        inputs, targets, one, other = made_reversed(parameters.slope)
        return inputs, targets, (one, other)
    random = np.random.default_rng([context.seed, _DATA])
    inputs, targets = draw_samples(parameters.samples, parameters.dimensions, random)
    pair = {"within": pair_within, "across": pair_across}.get(parameters.section)
    if pair is None or context.z is None:
        return inputs, targets, None
    random = np.random.default_rng([context.seed, _MINIMA])
    ends = pair(inputs, targets, parameters.widths[0], parameters.slope, random)
    return inputs, targets, ends


def _section(
    parameters: PiecewiseCellsParameters,
    context: BuildContext,
    module: nn.Sequential,
    draw: NormalWeights,
    ends: tuple[TwoLayer, TwoLayer] | None,
) -> tuple[Section, dict[str, Any]]:
    """The section, and what is known of it, as plain values."""

    def named(numbers: Floats) -> Mapping[str, Tensor]:
        rows = unflattened(torch.from_numpy(numbers)[None], dict(module.named_parameters()))
        return {name: rows[name][0] for name in rows}

    random = np.random.default_rng([context.seed, _DIRECTIONS])
    if context.z is None:
        origin = draw(np.random.default_rng([context.seed, _ORIGIN]), 1.0)
        return whole_section(named(origin)), {}
    chart: Chart | None = None
    if ends is None:
        origin = draw(np.random.default_rng([context.seed, _ORIGIN]), 1.0)
        moved = int(np.prod(draw.shapes[0])) if parameters.section == "first" else len(origin)
        axes = _orthonormal(random, len(origin), moved, context.z)
        known = {"origin": origin.tolist(), "directions": [axis.tolist() for axis in axes]}
    else:
        origin = ends[0].numbers
        axes = _between(parameters, ends, random, context.z)
        known = {"minima": [net.numbers.tolist() for net in ends]}
        marks = {"first": [0.0] * context.z, "second": np.eye(1, context.z)[0].tolist()}
        known["marks"] = marks
        if parameters.section == "within":
            chart = JoiningChart(ends[0].outputs, ends[1].outputs)
    return Section(named(origin), tuple(named(axis) for axis in axes), chart), known


def _between(
    parameters: PiecewiseCellsParameters,
    ends: tuple[TwoLayer, TwoLayer],
    random: np.random.Generator,
    z: int,
) -> list[Floats]:
    """Directions (n,) from one minimum to another."""
    if z != 1 and (parameters.section != "across" or z != 2):
        raise axis_count_error(z, 1, f"section: {parameters.section}")
    if parameters.section == "within":
        return joining_directions(*ends)
    way = ends[1].numbers - ends[0].numbers
    if z == 1:
        return [way]
    drawn = np.column_stack([way, random.standard_normal(len(way))])
    return [way, float(np.linalg.norm(way)) * np.linalg.qr(drawn)[0][:, 1]]


def _orthonormal(random: np.random.Generator, size: int, moved: int, count: int) -> list[Floats]:
    """Random orthonormal directions (size,) that move the first numbers alone.

    Raises:
        SpecError: there are fewer numbers than directions.
    """
    if count > moved:
        raise SpecError(f"axes: got {count} of {moved} parameters; give at most as many as these")
    found = np.zeros((size, count))
    found[:moved] = np.linalg.qr(random.standard_normal((moved, count)))[0]
    return list(found.T)
