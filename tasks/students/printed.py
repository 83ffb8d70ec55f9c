"""The loss of ReLU students by a formula as it is printed, which is not the expectation.

Wu, Luo & Lee 2018, "No Spurious Local Minima in a Two Hidden Unit ReLU Network", ICLR workshop,
eq. (4), has E relu(w·x) relu(u·x) = ‖w‖‖u‖ (sin θ − (π−θ) cos θ) / 2π, where the sign is +. Its
derivative, eq. (5), on which the theorem rests, is that of the right one.
Shape legend: P = points, n = students, m = other neurons, d = inputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.students.population import PopulationLoss


@dataclass(frozen=True)
class PrintedLoss:
    """The loss with every pair that a student is in as printed, of points (P, n·d).

    What the teachers add among themselves, which eq. (3) leaves out, is ½ E (Σ_j relu(v_j·x))².
    Where a student is parallel or opposite to another neuron the formula has a kink, and what is
    found for derivatives there says nothing.
    """

    population: PopulationLoss

    def __call__(self, theta: Tensor) -> Tensor:
        """Losses (P,), in the dtype of the points."""
        teachers = self.population.teacher.to(theta)
        students = theta.reshape(len(theta), -1, teachers.shape[1])
        among = _turned(students, students).flatten(1).sum(dim=1)
        learned = _turned(students, teachers[None]).flatten(1).sum(dim=1)
        return self.population(theta) - (among / 2 - learned) / math.pi


def _turned(students: Tensor, others: Tensor) -> Tensor:
    """(π−θ) w·u of students (P, n, d) with others (P or 1, m, d): (P, n, m).

    (π−θ)/2 is the arctangent of ‖a+b‖/‖a−b‖, where a and b are multiples of w and u of one length.
    """
    one, other = students[:, :, None], others[:, None]
    a = one * _norm(other)[..., None]
    b = other * _norm(one)[..., None]
    apart = _norm(a - b)
    opposite = torch.atan(_norm(a + b) / torch.where(apart > 0, apart, 1.0))
    supplement = torch.where(apart > 0, 2 * opposite, math.pi)
    return supplement * (one * other).sum(dim=3)


def _norm(vectors: Tensor) -> Tensor:
    """Norms (…) of vectors (…, d), whose derivatives are 0 at 0."""
    squared = vectors.square().sum(dim=-1)
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)
