"""All subspaces on which a student equals its teacher, in one scan.

Şimşek et al. 2021, arXiv:2105.12221, section 3. Shape legend: S = subspaces, P = points.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import torch

from schemas.errors import SpecError
from tasks.landscape import Floats
from tasks.registry import BuildContext
from tasks.section import Section, axis_count_error
from tasks.symmetry.counts import subspaces_of_layers
from tasks.symmetry.groupings import expansion
from tasks.symmetry.network import flattened
from tasks.symmetry.problem import Looked, Problem
from tasks.symmetry.subspaces import affine, sample

_POINTS = 7
"""Keeps the random numbers of the subspaces apart from others of the same seed."""
_AXES = 3
MOST_SUBSPACES = 1000


@dataclass(frozen=True)
class SubspaceChart:
    """The number s of a subspace, a way within it and one out: 1·point_s + u·within_s + v·out_s.

    The directions are those three of each subspace, one subspace after another.
    """

    subspaces: int

    @property
    def axes(self) -> int:
        """Three."""
        return _AXES

    @property
    def directions(self) -> int:
        """3 S."""
        return _AXES * self.subspaces

    def coordinates(self, points: Floats) -> Floats:
        """Weights at points (P, 3), of which three are not 0: (P, 3 S).

        Raises:
            SpecError: the number of a subspace is none of 0, 1, …, S − 1.
        """
        found = np.zeros((len(points), self.directions))
        ones = np.column_stack([np.ones(len(points)), points[:, 1:]])
        np.put_along_axis(found, self._places(points), ones, axis=1)
        return found

    def jacobian(self, points: Floats) -> Floats:
        """1 for the two ways, and 0 along the numbers: (P, 3 S, 3)."""
        found = np.zeros((len(points), self.directions, _AXES))
        places = self._places(points)
        for axis in (1, 2):
            found[np.arange(len(points)), places[:, axis], axis] = 1.0
        return found

    def hessian(self, points: Floats) -> Floats:
        """Zeros: (P, 3 S, 3, 3)."""
        return np.zeros((len(points), self.directions, _AXES, _AXES))

    def _places(self, points: Floats) -> npt.NDArray[np.intp]:
        """The directions of the subspace of each point: (P, 3)."""
        numbers = points[:, 0]
        known = (numbers == np.rint(numbers)) & (numbers >= 0) & (numbers < self.subspaces)
        if not known.all():
            raise SpecError(
                f"axes: got subspace {numbers[~known][0]:g}; expected one of 0, 1, …, "
                f"{self.subspaces - 1}; the first axis has their numbers"
            )
        return _AXES * numbers.astype(np.intp)[:, None] + np.arange(_AXES)


def subspace_section(problem: Problem, context: BuildContext) -> Looked:
    """Three axes: the number of a subspace, and from a random point of it a way within and one out.

    Both ways are random and of length 1; the second one is orthogonal to the subspace.

    Raises:
        SpecError: there is another number of axes, or there are too many subspaces.
    """
    if context.axes != _AXES:
        raise axis_count_error(context.axes, _AXES, "section: subspace")
    parameters, teacher = problem.parameters, problem.teacher
    widths = list(zip(parameters.teacher_units, parameters.units, strict=True))
    known = subspaces_of_layers(parameters.teacher_units, parameters.units)
    if known > MOST_SUBSPACES:
        raise SpecError(
            f"section: subspace: {list(parameters.units)} units have {known} subspaces on "
            f"{list(parameters.teacher_units)}; expected at most {MOST_SUBSPACES}; give fewer units"
        )
    ways, dimensions = [], []
    for number, groupings in enumerate(product(*(expansion(r, m) for r, m in widths))):
        random = np.random.default_rng([context.seed, _POINTS, number])
        point = sample(groupings, teacher, random)
        # Of the last hidden layer, whose output weights must sum to the teacher's.
        point[-1][:, groupings[-1].labels.index(0)] += parameters.excess
        basis = affine(groupings, teacher).basis
        within = basis @ random.standard_normal(basis.shape[1])
        out = random.standard_normal(len(within))
        out -= basis @ (basis.T @ out)
        ways += [flattened(point), within / np.linalg.norm(within), out / np.linalg.norm(out)]
        dimensions.append(basis.shape[1])
    zero = {name: torch.zeros_like(each) for name, each in problem.named(ways[0]).items()}
    directions = tuple(problem.named(way) for way in ways)
    facts = {
        "subspaces": len(dimensions),
        "dimensions": dimensions,
        "excess": parameters.excess,
    }
    return Looked(Section(zero, directions, chart=SubspaceChart(len(dimensions))), facts)
