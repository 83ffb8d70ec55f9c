"""Landscapes whose values are known, and ones that misbehave on purpose."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import torch

from tasks.landscape import FieldVariable, Landscape
from tasks.objective import ClosedForm
from tasks.section import coordinate_section, whole_section

OFFSETS = {"train": -40.0, "test": -20.5}


def oracle_value(points, split):
    """A tilted quadratic with negative values, NaN where α₁ > 0.8 and +inf where α₁ < −0.8."""
    points = np.asarray(points, dtype=np.float64)
    total = np.full(len(points), OFFSETS[split])
    for axis in range(points.shape[1]):
        total = total + (axis + 1.0) * np.square(points[:, axis] - 0.25)
    total = np.where(points[:, 0] > 0.8, np.nan, total)
    return np.where(points[:, 0] < -0.8, np.inf, total)


class OracleFunction:
    """`oracle_value` for one split, in torch."""

    def __init__(self, split):
        self.split = split

    def __call__(self, theta):
        total = torch.full((len(theta),), OFFSETS[self.split], dtype=theta.dtype)
        for axis in range(theta.shape[1]):
            total = total + (axis + 1.0) * torch.square(theta[:, axis] - 0.25)
        total = torch.where(theta[:, 0] > 0.8, torch.nan, total)
        return torch.where(theta[:, 0] < -0.8, torch.inf, total)


def first_coordinate(points):
    return points[:, 0]


def oracle(z):
    functions = {split: OracleFunction(split) for split in OFFSETS}
    fields = {"target": FieldVariable(first_coordinate, "the first coordinate")}
    return Landscape(ClosedForm(functions), coordinate_section(z), fields)


class Faulty:
    """A closed form that misbehaves at one coordinate, until a counter file says otherwise.

    Each misbehaviour appends a byte to the file, so invocations are counted across processes.
    """

    def __init__(self, how, at, times, counter):
        self.how, self.at, self.times, self.counter = how, at, times, Path(counter)

    def __call__(self, theta):
        if bool((theta[:, 0] == self.at).any()) and self._due():
            if self.how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "hang":
                time.sleep(3600)
            raise RuntimeError("the model cannot be evaluated here")
        return theta.square().sum(dim=1)

    def _due(self):
        done = self.counter.stat().st_size if self.counter.exists() else 0
        if done >= self.times:
            return False
        with self.counter.open("ab") as file:
            file.write(b".")
        return True


def faulty(how, at, times, counter):
    return Landscape(ClosedForm({"train": Faulty(how, at, times, counter)}), coordinate_section(1))


TILT = 0.3
# The lower of the two minima of (x² − 1)² + tilt·x, and its value.
LOWEST = min(np.roots([4, 0, -4, TILT]).real, key=lambda x: (x**2 - 1) ** 2 + TILT * x)
DEEPEST = (LOWEST**2 - 1) ** 2 + TILT * LOWEST


class Wells:
    """Σ (θᵢ² − 1)² + 0.3 θᵢ: one global minimum, and others where a θᵢ is positive."""

    def __init__(self, victim=None, times=0, counter=""):
        self.faulty = None if victim is None else Faulty("die", victim, times, counter)

    def __call__(self, theta):
        if self.faulty is not None:
            self.faulty(theta)
        return ((theta.square() - 1).square() + TILT * theta).sum(dim=1)


def largest(points):
    return np.abs(points).max(axis=1)


def wells(n=3, **fault):
    """Wells over all of n parameters about 0, with the largest of a start as a field."""
    section = whole_section({"theta": torch.zeros(n)})
    fields = {"largest": FieldVariable(largest, "greatest parameter")}
    return Landscape(
        ClosedForm({"train": Wells(**fault)}), section, fields, {"global_minimum": n * DEEPEST}
    )
