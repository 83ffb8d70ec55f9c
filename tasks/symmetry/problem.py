"""What the sections of the task `symmetry-net` are built from, and what they give.

Shape legend: n_l = units of layer l, n = numbers of all weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor, nn

from tasks.landscape import Floats
from tasks.registry import BuildContext
from tasks.section import Section
from tasks.symmetry.data import Samples
from tasks.symmetry.network import Weights, named, unflattened
from tasks.symmetry.parameters import SymmetryNetParameters


@dataclass(frozen=True)
class Problem:
    """A student, and the samples it learns.

    Attributes:
        sizes: n_0 inputs, n_l units of each hidden layer, and the outputs.
    """

    parameters: SymmetryNetParameters
    module: nn.Sequential
    sizes: tuple[int, ...]
    samples: Samples

    @property
    def teacher(self) -> Weights:
        """The teacher's weights.

        Raises:
            ValueError: there is no teacher.
        """
        if self.samples.teacher is None:
            raise ValueError("the targets are those of no teacher")
        return self.samples.teacher

    def named(self, numbers: Floats) -> dict[str, Tensor]:
        """Numbers (n,) as the student's parameters by name."""
        return named(unflattened(numbers, self.sizes))


@dataclass(frozen=True)
class Looked:
    """A section, and what is known of it as plain JSON values."""

    section: Section
    facts: Mapping[str, Any] = field(default_factory=dict)


Builder: TypeAlias = Callable[[Problem, BuildContext], Looked]
"""What builds the section of a name."""


@dataclass(frozen=True)
class GlorotUniform:
    """A start: weights uniform in ±scale·√(6/(inputs + outputs)) of their layer.

    Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural
    networks", equation (16).
    """

    sizes: tuple[int, ...]

    def __call__(self, random: np.random.Generator, scale: float) -> Floats:
        """Parameters (n,)."""
        drawn = []
        for inputs, units in zip(self.sizes, self.sizes[1:], strict=False):
            reach = scale * np.sqrt(6 / (inputs + units))
            drawn.append(random.uniform(-reach, reach, units * inputs))
        return np.concatenate(drawn)
