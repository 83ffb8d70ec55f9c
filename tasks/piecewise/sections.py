"""Where the loss of a piecewise-linear network is looked at, and from where descents start.

Shape legend: P = points, n = numbers of all parameters, z = axes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from schemas.errors import SpecError
from tasks.piecewise.case import Case
from tasks.piecewise.network import Layer, as_parameters, minus
from tasks.piecewise.pieces import Floats
from tasks.registry import BuildContext
from tasks.section import Section, axis_count_error, unflattened

_DIRECTIONS = 3
"""Keeps the random numbers of the directions apart from those of the data of the same seed."""
_TEN = math.log(10.0)


@dataclass(frozen=True)
class NormalWeights:
    """A start: independent normal weights and biases, of standard deviation scale/√inputs.

    Attributes:
        module: the network.
    """

    module: nn.Module

    def __call__(self, random: np.random.Generator, scale: float) -> Floats:
        """Parameters (n,)."""
        drawn = []
        inputs = 1
        for tensor in self.module.parameters():
            # A bias has as many inputs as the weights before it.
            inputs = tensor.shape[1] if tensor.dim() > 1 else inputs
            drawn.append(random.standard_normal(tensor.numel()) / np.sqrt(inputs))
        numbers: Floats = scale * np.concatenate(drawn)
        return numbers

    def named(self, numbers: Floats) -> dict[str, Tensor]:
        """Numbers (n,) as tensors by name."""
        like = dict(self.module.named_parameters())
        rows = unflattened(torch.from_numpy(numbers)[None], like)
        return {name: tensor[0] for name, tensor in rows.items()}


@dataclass(frozen=True)
class ScaleChart:
    """Parameters that are multiplied by α = 10^t, and others that are divided by it."""

    axes: int = 1
    directions: int = 2

    def coordinates(self, points: Floats) -> Floats:
        """(α, 1/α) at points t (P, 1): (P, 2)."""
        return np.column_stack([10.0 ** points[:, 0], 10.0 ** -points[:, 0]])

    def jacobian(self, points: Floats) -> Floats:
        """(P, 2, 1)."""
        found: Floats = self.coordinates(points) * (_TEN * np.array([1.0, -1.0]))
        return found[:, :, None]

    def hessian(self, points: Floats) -> Floats:
        """(P, 2, 1, 1)."""
        found: Floats = self.coordinates(points) * _TEN**2
        return found[:, :, None, None]


def random_section(
    origin: Mapping[str, Tensor], draw: NormalWeights, z: int, radius: float, seed: Sequence[int]
) -> Section:
    """Random orthonormal directions, as long as the radius.

    Raises:
        SpecError: there are more axes than parameters.
    """
    size = sum(tensor.numel() for tensor in origin.values())
    if z > size:
        raise SpecError(f"axes: got {z} of {size} parameters; give at most as many as these")
    drawn = np.random.default_rng(seed).standard_normal((size, z))
    axes = np.linalg.qr(drawn)[0].T
    return Section(origin, tuple(draw.named(radius * axis) for axis in axes))


def along(origin: Sequence[Layer], directions: Sequence[Sequence[Layer]]) -> Section:
    """From the origin along directions, all of them layers."""
    named = tuple(as_parameters(each) for each in directions)
    return Section(as_parameters(origin), named)


def section_of(
    asked: str, case: Case, origin: Mapping[str, Tensor], draw: NormalWeights, context: BuildContext
) -> Section:
    """The section of that name.

    Raises:
        SpecError: the axes do not fit, or there is no lower point to go to.
    """
    z = context.axes
    if asked == "random":
        return random_section(origin, draw, z, case.radius, [context.seed, _DIRECTIONS])
    if asked == "family":
        if z != 1 or case.family is None:
            raise axis_count_error(z, 1, "section: family")
        fixed, factor, divided = case.family
        return replace(along(fixed, [factor, divided]), chart=ScaleChart())
    if asked == "probe":
        if z != 2:
            raise axis_count_error(z, 2, "section: probe")
        directions = [as_parameters(each) for each in case.probes]
        return Section(origin, tuple(_times(case.radius, each) for each in directions))
    ends = [end for end in (case.lower, case.other) if end is not None]
    if case.lower is None:
        raise SpecError(
            f"section: across leads to a lower point, and there is none: {case.missing}; use "
            "section: random, or other data"
        )
    if z > len(ends):
        raise axis_count_error(z, len(ends), "section: across")
    return along(case.minimum, [minus(end, case.minimum) for end in ends[:z]])


def _times(factor: float, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: factor * tensor for name, tensor in tensors.items()}
