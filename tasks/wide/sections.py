"""Where the loss of a network with a wide layer is looked at, and from where descents start.

Shape legend: P = points, N = samples, n = numbers of all parameters, z = axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import linalg
from torch import Tensor, nn

from schemas.errors import SpecError
from tasks.landscape import Floats, StartDraw
from tasks.section import Section, axis_count_error, unflattened, whole_section
from tasks.wide.data import Samples
from tasks.wide.network import features
from tasks.wide.parameters import WideLayerParameters

_ORIGIN, _DIRECTIONS, _MINIMUM = 2, 3, 4
"""Keep the random numbers of the section apart from those of the data of the same seed."""
_MINIMA = 128
"""Global minima of which the nearest is the end of the way across."""
_MINIMA_SCALE = 8.0


@dataclass(frozen=True)
class NormalWeights:
    """A start: independent normal weights and biases, of standard deviation scale/√inputs.

    Attributes:
        shapes: of the parameters, by name, in their order.
        inputs: of the units of each parameter.
    """

    shapes: Mapping[str, tuple[int, ...]]
    inputs: Mapping[str, int]

    def __call__(self, random: np.random.Generator, scale: float) -> Floats:
        """Parameters (n,)."""
        drawn = [
            random.standard_normal(shape).ravel() / np.sqrt(self.inputs[name])
            for name, shape in self.shapes.items()
        ]
        return scale * np.concatenate(drawn)


@dataclass(frozen=True)
class SolvedOutputs:
    """A start of normal weights but for those of the output, which are of least squares."""

    module: nn.Sequential
    samples: Samples
    normal: NormalWeights

    def __call__(self, random: np.random.Generator, scale: float) -> Floats:
        """Parameters (n,)."""
        return self.solved(self.normal(random, scale))[0]

    def solved(self, start: Floats) -> tuple[Floats, int]:
        """A start (n,) with output weights of least squares, and the features' rank in float64."""
        last = features(self.module, self.named(start), torch.from_numpy(self.samples.inputs))[-1]
        columns = last.numpy()
        if self.module[-1].bias is not None:
            columns = np.column_stack([columns, np.ones(len(columns))])
        # The output's parameters are the last ones, its weights and then its bias.
        # By QR with pivoting, which is several times as fast as a singular value decomposition.
        found, _, rank, _ = linalg.lstsq(columns, self.samples.targets, lapack_driver="gelsy")
        return np.concatenate([start[: -len(found)], found]), int(rank)

    def named(self, numbers: Floats) -> dict[str, Tensor]:
        """Numbers (n,) as tensors by name."""
        like = dict(self.module.named_parameters())
        rows = unflattened(torch.from_numpy(numbers)[None], like)
        return {name: tensor[0] for name, tensor in rows.items()}


def draws_of(
    parameters: WideLayerParameters, module: nn.Sequential, samples: Samples
) -> tuple[StartDraw, SolvedOutputs]:
    """How a start is drawn, and how one whose output weights are solved for."""
    shapes = {name: tuple(tensor.shape) for name, tensor in module.named_parameters()}
    sizes = [parameters.dimensions, *parameters.widths]
    inputs = {name: sizes[int(name.partition(".")[0].removeprefix("layer")) - 1] for name in shapes}
    normal = NormalWeights(shapes, inputs)
    solved = SolvedOutputs(module, samples, normal)
    return (normal if parameters.draw == "normal" else solved), solved


def origin_of(samples: Samples, draw: StartDraw, seed: int) -> Floats:
    """Parameters (n,): equal units where the samples were made for these, else a start."""
    if samples.unit is None or samples.outputs is None:
        return draw(np.random.default_rng([seed, _ORIGIN]), 1.0)
    hidden = np.tile(samples.unit, len(samples.outputs))
    return np.concatenate([hidden, samples.outputs])


def section_of(
    parameters: WideLayerParameters,
    origin: Floats,
    solved: SolvedOutputs,
    z: int | None,
    seed: int,
) -> tuple[Section, dict[str, Any]]:
    """The section through the origin (n,), and what is known of it, as plain values.

    Raises:
        SpecError: the axes do not fit.
    """
    if z is None:
        return whole_section(solved.named(origin)), {}
    random = np.random.default_rng([seed, _DIRECTIONS])
    known: dict[str, Any] = {}
    if parameters.section == "flat":
        if z != 1:
            raise axis_count_error(z, 1, "section: flat")
        exchange = np.zeros_like(origin)
        exchange[-parameters.widths[-1] :][:2] = 1.0, -1.0
        axes = [exchange]
    elif parameters.section == "across":
        if z > 2:
            raise SpecError(f"axes: got {z}; section: across has 1, or 2 for the plane; give these")
        way = _nearest_minimum(parameters, origin, solved, seed) - origin
        axes = [way, *_orthonormal(random, len(origin), z - 1, way)]
        axes[1:] = [float(np.linalg.norm(way)) * axis for axis in axes[1:]]
        ends = np.eye(1, z)[0].tolist()
        known = {"distance": float(np.linalg.norm(way))}
        known["marks"] = {"origin": [0.0] * z, "global": ends}
    else:
        if z > len(origin):
            raise SpecError(
                f"axes: got {z} of {len(origin)} parameters; give at most as many as these"
            )
        axes = _orthonormal(random, len(origin), z)
    return Section(solved.named(origin), tuple(solved.named(axis) for axis in axes)), known


def _nearest_minimum(
    parameters: WideLayerParameters, origin: Floats, solved: SolvedOutputs, seed: int
) -> Floats:
    """Of some global minima (n,), at random features, the nearest to the origin.

    Raises:
        SpecError: none of the random features is of full rank in float64.
    """
    random = np.random.default_rng([seed, _MINIMUM])
    found = [solved.solved(solved.normal(random, _MINIMA_SCALE)) for _ in range(_MINIMA)]
    minima = [there for there, rank in found if rank == parameters.distinct]
    if not minima:
        raise SpecError(
            f"section: across leads to a global minimum, but none of {_MINIMA} random features of "
            f"{parameters.samples} samples in {parameters.dimensions} dimensions is of full rank "
            "in float64; give more dimensions, more units or fewer samples"
        )
    return min(minima, key=lambda there: float(np.linalg.norm(there - origin)))


def _orthonormal(
    random: np.random.Generator, size: int, count: int, across: Floats | None = None
) -> list[Floats]:
    """Random orthonormal directions (size,), at right angles to what is given."""
    drawn = random.standard_normal((size, count))
    if across is None:
        return list(np.linalg.qr(drawn)[0].T)
    return list(np.linalg.qr(np.column_stack([across, drawn]))[0].T[1:])
