"""Functions of the coordinates that are known beside the loss: the target's, and σ of the outputs.

Shape legend: P = points, z = axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tasks.landscape import Floats
from tasks.patterns.network import PatternNetwork
from tasks.patterns.preimage import Marginal
from tasks.patterns.targets import Target


@dataclass(frozen=True)
class Scaling:
    """target_loss = offset + scale·T: how T was made to fit the objective's range, and why."""

    scale: float
    offset: float
    reason: str

    def __call__(self, values: Floats) -> Floats:
        """The loss that stands for values of T, any shape."""
        return self.offset + self.scale * values


@dataclass(frozen=True)
class TargetLoss:
    """target_loss at points (P, z), (P,)."""

    target: Target
    scaling: Scaling

    def __call__(self, points: Floats) -> Floats:
        """Values at points; NaN outside the cube."""
        return self.scaling(self.target(points))


@dataclass(frozen=True)
class LossOfCoordinates:
    """σ(q(h)) at points (P, z), from the sub-network and the label marginal alone, float64."""

    network: PatternNetwork
    marginal: Marginal

    def __call__(self, points: Floats) -> Floats:
        """Values (P,)."""
        with torch.no_grad():
            outputs = self.network.of_coordinates(torch.from_numpy(points))
            return np.asarray(self.marginal.sigma(outputs).numpy())


@dataclass(frozen=True)
class PredictedDifference:
    """σ_split(q(h)) − σ_train(q(h)) at points (P, z), float64."""

    network: PatternNetwork
    marginal: Marginal
    train_marginal: Marginal

    def __call__(self, points: Floats) -> Floats:
        """Values (P,)."""
        there = LossOfCoordinates(self.network, self.marginal)(points)
        return there - LossOfCoordinates(self.network, self.train_marginal)(points)
