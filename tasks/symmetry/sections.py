"""Where the loss of the task `symmetry-net` is looked at, by the name of the section.

Shape legend: n = numbers of all weights, z = axes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from schemas.errors import SpecError
from tasks.registry import BuildContext
from tasks.section import Section
from tasks.symmetry.duplicates import duplicate_section, embedded_section
from tasks.symmetry.problem import Builder, GlorotUniform, Looked, Problem
from tasks.symmetry.subspace_section import subspace_section
from tasks.symmetry.swap import swap_section

_ORIGIN, _DIRECTIONS = 4, 5
"""Keep the random numbers of the section apart from those of the data of the same seed."""


def random_plane(problem: Problem, context: BuildContext) -> Looked:
    """Random orthonormal directions through a start.

    Raises:
        SpecError: there are more axes than parameters.
    """
    start = GlorotUniform(problem.sizes)(np.random.default_rng([context.seed, _ORIGIN]), 1.0)
    if context.axes > len(start):
        raise SpecError(
            f"axes: got {context.axes} of {len(start)} parameters; give at most as many as these"
        )
    random = np.random.default_rng([context.seed, _DIRECTIONS])
    ways = np.linalg.qr(random.standard_normal((len(start), context.axes)))[0].T
    return Looked(Section(problem.named(start), tuple(problem.named(way) for way in ways)))


SECTIONS: Mapping[str, Builder] = {
    "random": random_plane,
    "subspace": subspace_section,
    "swap": swap_section,
    "embedded": embedded_section,
    "duplicate": duplicate_section,
}
