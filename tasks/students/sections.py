"""Where the loss of ReLU students is looked at: their weights, their angles, between minima.

Shape legend: P = points, n = students, k = teachers, d = inputs, z = axes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from schemas.errors import SpecError
from tasks.landscape import Floats, StartDraw
from tasks.section import Section, axis_count_error, coordinate_section, whole_section
from tasks.students.minima import family_point
from tasks.students.parameters import TeacherStudentParameters
from tasks.students.population import PopulationLoss

_ALIKE = 1e-6
"""Eigenvalues that differ by less are one, with several vectors."""


@dataclass(frozen=True)
class UnitStudents:
    """A function of weights (P, n·d), at students w_i = (cos θ_i, sin θ_i, 0, …).

    Called with angles (P, n), in whose dtype its values are.
    """

    function: Callable[[Tensor], Tensor]
    dimensions: int

    def __call__(self, angles: Tensor) -> Tensor:
        """What the function gives."""
        rest = angles.new_zeros((*angles.shape, self.dimensions - 2))
        plane = torch.stack([angles.cos(), angles.sin()], dim=2)
        return self.function(torch.cat([plane, rest], dim=2).flatten(1))


@dataclass(frozen=True)
class NormalWeights:
    """Starts as in Safran & Shamir's experiments: normal, of standard deviation scale/√d."""

    students: int
    dimensions: int

    def __call__(self, random: np.random.Generator, scale: float) -> Floats:
        """Weights (n·d,)."""
        drawn: Floats = random.standard_normal(self.students * self.dimensions)
        drawn *= scale / np.sqrt(self.dimensions)
        return drawn


@dataclass(frozen=True)
class UniformAngles:
    """Starts all around: angles uniform from −π to π, times the scale."""

    students: int

    def __call__(self, random: np.random.Generator, scale: float) -> Floats:
        """Angles (n,)."""
        return scale * random.uniform(-np.pi, np.pi, self.students)


def draw_of(parameters: TeacherStudentParameters) -> StartDraw:
    """How a start is drawn."""
    if parameters.section == "angles":
        return UniformAngles(parameters.students)
    return NormalWeights(parameters.students, parameters.inputs)


def section_of(
    parameters: TeacherStudentParameters, z: int | None
) -> tuple[Section, Mapping[str, Any]]:
    """The section, and what is known of it, as plain values.

    Raises:
        SpecError: the axes, or starts, do not fit.
    """
    if parameters.section in ("between", "softest"):
        return _from_spurious(parameters.students, parameters.section, z)
    count = parameters.students
    if parameters.section == "weights":
        count *= parameters.inputs
    if z is None:
        return whole_section({"theta": torch.zeros(count, dtype=torch.float64)}), {}
    if z != count:
        raise axis_count_error(z, count, f"section: {parameters.section}")
    return coordinate_section(count), {}


def _from_spurious(k: int, section: str, z: int | None) -> tuple[Section, Mapping[str, Any]]:
    """From the spurious minimum, at 0, to the nearest global one, at 1, and towards another.

    With 4 or 5 students the point at 0 is a saddle.

    The global minima are the permutations of the teachers. The second axis goes to the nearest one
    but one, as far as that is orthogonal to the first axis, whose length it is given. The softest
    way is that to the nearest one within the eigenvectors of the least eigenvalue, made as long.
    """
    if z is None:
        raise SpecError(
            f"starts: section: {section} is scanned along axes; give axes, or use section: weights"
        )
    if section == "softest" and z > 1:
        raise axis_count_error(z, 1, "section: softest")
    if z > 2:
        raise SpecError(f"axes: got {z}; section: between has 1, or 2 for the plane; give these")
    spurious = family_point(k)
    ways = np.stack(nearest_permutations(spurious.weights)) - spurious.weights
    ways = ways.reshape(2, -1)
    axes, coordinates = _orthogonal(ways)
    marks: dict[str, Any] = {"spurious": [0.0] * z}
    if section == "softest":
        axes = _softest(spurious.weights, ways[0])[None]
    else:
        marks["global"] = coordinates[:z, :z].tolist()
    facts = {
        "alpha": spurious.alpha,
        "beta": spurious.beta,
        "zeta": spurious.zeta,
        "delta": spurious.delta,
        "eta": spurious.eta,
        "spurious_loss": spurious.loss,
        "spurious_least_eigenvalue": spurious.least_eigenvalue,
        "marks": marks,
        "distances": np.linalg.norm(ways, axis=1)[:z].tolist(),
        "lengths": np.linalg.norm(axes, axis=1)[:z].tolist(),
    }
    origin = {"theta": torch.from_numpy(spurious.weights.ravel())}
    return Section(origin, tuple({"theta": torch.from_numpy(axis)} for axis in axes[:z])), facts


def _softest(weights: Floats, way: Floats) -> Floats:
    """The part of a way (k²,) within the least curvature at W (k, k), made as long as the way."""
    loss = PopulationLoss(torch.eye(len(weights), dtype=torch.float64))
    hessian = loss.hessians(torch.from_numpy(weights.reshape(1, -1)))[0].numpy()
    eigenvalues, vectors = np.linalg.eigh(hessian)
    least = vectors[:, eigenvalues - eigenvalues[0] < _ALIKE]
    part: Floats = least @ (least.T @ way)
    part *= np.linalg.norm(way) / np.linalg.norm(part)
    return part


def nearest_permutations(weights: Floats) -> tuple[Floats, Floats]:
    """The two permutation matrices nearest to W (k, k), k ≥ 2, nearest first.

    Of all of one norm, the nearest has the greatest product with W. The second one lacks some
    entry of the first: it is the best of those that are nearest without one of them.
    """
    found = _matched(weights)
    others = []
    for row, column in np.argwhere(found):
        without = weights.copy()
        without[row, column] = -2 * len(weights) * np.abs(weights).max()
        others.append(_matched(without))
    return found, max(others, key=lambda other: float((other * weights).sum()))


def _matched(gains: Floats) -> Floats:
    rows, columns = linear_sum_assignment(gains, maximize=True)
    matrix = np.zeros_like(gains)
    matrix[rows, columns] = 1.0
    return matrix


def _orthogonal(ways: Floats) -> tuple[Floats, Floats]:
    """Orthogonal axes of one length in the plane of two ways, the first being one of them, and the
    coordinates of both ends along them: (2, m) and (2, 2).
    """
    first, second = ways
    along = second @ first / (first @ first)
    across = second - along * first
    share = np.linalg.norm(across) / np.linalg.norm(first)
    axes: Floats = np.stack([first, across / share])
    return axes, np.array([[1.0, 0.0], [along, share]])
