"""All subspaces on which a student equals its teacher, in one scan.

Şimşek et al. 2021, arXiv:2105.12221, section 3.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch

from schemas.errors import SpecError
from tasks.registry import BuildContext
from tasks.section import Section, axis_count_error
from tasks.symmetry.counts import subspaces_of_layers
from tasks.symmetry.critical_charts import NumberedChart
from tasks.symmetry.groupings import expansion
from tasks.symmetry.network import flattened
from tasks.symmetry.problem import Looked, Problem
from tasks.symmetry.subspaces import affine, sample

_POINTS = 7
"""Keeps the random numbers of the subspaces apart from others of the same seed."""
_AXES = 3
MOST_SUBSPACES = 1000


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
    ways, dimensions, parts = [], [], {"within": 0.0, "out": 0.0}
    for number, groupings in enumerate(product(*(expansion(r, m) for r, m in widths))):
        random = np.random.default_rng([context.seed, _POINTS, number])
        point = sample(groupings, teacher, random)
        # Of the last hidden layer, whose output weights must sum to the teacher's.
        point[-1][:, groupings[-1].labels.index(0)] += parameters.excess
        basis = affine(groupings, teacher).basis
        within = basis @ random.standard_normal(basis.shape[1])
        out = random.standard_normal(len(within))
        out -= basis @ (basis.T @ out)
        within /= np.linalg.norm(within)
        out /= np.linalg.norm(out)
        ways += [flattened(point), within, out]
        dimensions.append(basis.shape[1])
        for axis, way in (("within", within), ("out", out)):
            parts[axis] = max(parts[axis], float(np.linalg.norm(basis.T @ way)))
    zero = {name: torch.zeros_like(each) for name, each in problem.named(ways[0]).items()}
    directions = tuple(problem.named(way) for way in ways)
    facts = {
        "subspaces": len(dimensions),
        "dimensions": dimensions,
        "excess": parameters.excess,
        # The greatest part of a way, of length 1, that lies in its subspace.
        "parts_within": parts,
    }
    return Looked(Section(zero, directions, chart=NumberedChart(len(dimensions), _AXES)), facts)
