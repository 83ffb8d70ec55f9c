"""Sections through critical points that are made of copies of the units of a narrow network.

Fukumizu & Amari 2000, "Local minima and plateaus in hierarchical structures of multilayer
perceptrons", Neural Networks 13; Şimşek et al. 2021, arXiv:2105.12221. Shape legend:
P = points, z = axes, r = units of the narrow network, m = units, d = inputs, c = outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from schemas.errors import SpecError
from tasks.landscape import Floats
from tasks.registry import BuildContext
from tasks.section import Section, axis_count_error, whole_section
from tasks.symmetry.counts import copies
from tasks.symmetry.critical_charts import DuplicateChart, NumberedChart
from tasks.symmetry.critical_points import CriticalPoint, critical_point
from tasks.symmetry.critical_proof import is_provable, prove
from tasks.symmetry.curvature import Regression, copy_curvature, kind_of
from tasks.symmetry.embedding import assignments, embedded, shared_out
from tasks.symmetry.network import Weights, named
from tasks.symmetry.problem import Looked, Problem

_SHARES = 6
"""Keeps the random numbers apart from those of the data of the same seed."""
_AXES = 3
_MOST = 1000


def embedded_section(problem: Problem, context: BuildContext) -> Looked:
    """Every way to embed the narrow network's critical point: the first axis is its number.

    The second adds to the shares of the copies of each unit, to the sum of these as much as it
    says; the third moves a unit that has copies off them.

    Raises:
        SpecError: the axes do not fit, or there are too many ways.
    """
    if context.axes != _AXES:
        raise axis_count_error(context.axes, _AXES, "section: embedded")
    narrow, wide = problem.parameters.narrow, problem.parameters.units[0]
    if copies(narrow, wide) > _MOST:
        raise SpecError(
            f"units: {wide} units are copies of {narrow} in {copies(narrow, wide)} ways; expected "
            f"at most {_MOST}; give fewer units"
        )
    point, facts = _narrow(problem)
    random = np.random.default_rng([context.seed, _SHARES])
    ways = list(assignments(narrow, wide))
    shares = [shared_out(copied, random) for copied in ways]
    directions: list[dict[str, Tensor]] = []
    for copied, share in zip(ways, shares, strict=True):
        counts = np.bincount(copied)
        hidden, output = embedded(point.weights, copied, 1 / counts[list(copied)])
        moved = np.zeros_like(hidden)
        moved[copied.index(int(counts.argmax()))] = _unit(random, hidden.shape[1])
        of_one = [
            embedded(point.weights, copied, share),
            (np.zeros_like(hidden), output),
            (moved, np.zeros_like(output)),
        ]
        directions += [named(each) for each in of_one]
    origin = {name: tensor.new_zeros(tensor.shape) for name, tensor in directions[0].items()}
    facts |= {"copied": ways, "shares": [share.tolist() for share in shares]}
    return Looked(Section(origin, tuple(directions), NumberedChart(len(ways), _AXES)), facts)


def duplicate_section(problem: Problem, context: BuildContext) -> Looked:
    """Copies of one unit of the narrow network's critical point: one with the share μ, and others.

    The others have (1 − μ)/(m − r) each. The first axis is μ; on the further ones the first copy
    leaves the others along the eigenvectors of U, that of the greatest curvature first. Starts are
    about the point with the share that is given.

    Raises:
        SpecError: there are more axes than eigenvectors and one.
    """
    parameters = problem.parameters
    point, facts = _narrow(problem)
    bend = copy_curvature(point.weights, parameters.copied, _regression(problem))
    _, vectors = _spectrum(bend)
    if context.z is None:
        return Looked(whole_section(named(_duplicated(problem, point, parameters.share))), facts)
    if context.z > 1 + len(vectors):
        raise SpecError(
            f"axes: got {context.z}; section: duplicate has the share and {len(vectors)} "
            "eigenvectors; give at most as many as these"
        )
    origin, end = (_duplicated(problem, point, share) for share in (0.0, 1.0))
    directions = [named((np.zeros_like(origin[0]), end[1] - origin[1]))]
    for way in vectors[: context.z - 1]:
        for units in ([parameters.copied], _others(problem)):
            moved = np.zeros_like(origin[0])
            moved[units] = way
            directions.append(named((moved, np.zeros_like(origin[1]))))
    chart = DuplicateChart(context.z)
    return Looked(Section(named(origin), tuple(directions), chart), facts)


def _regression(problem: Problem) -> Regression:
    samples = problem.samples
    return Regression(samples.inputs, samples.targets, problem.parameters.activation)


def _narrow(problem: Problem) -> tuple[CriticalPoint, dict[str, Any]]:
    """The narrow network's critical point, and what is known of it and of all its units."""
    regression = _regression(problem)
    narrow = problem.parameters.narrow
    point = critical_point(regression, narrow)
    bends = [copy_curvature(point.weights, unit, regression) for unit in range(narrow)]
    return point, {
        "narrow": narrow,
        "critical": [matrix.tolist() for matrix in point.weights],
        "critical_loss": point.derivatives.loss,
        "critical_slope": point.derivatives.slope,
        "critical_least_eigenvalue": point.least_eigenvalue,
        "curvatures": [_spectrum(bend)[0].tolist() for bend in bends],
        "kinds": [kind_of(bend) for bend in bends],
        "unit": problem.parameters.copied,
        "share": problem.parameters.share,
        "proof": prove(regression, point).as_json() if is_provable(regression) else None,
    }


def _duplicated(problem: Problem, point: CriticalPoint, share: float) -> Weights:
    """Weights (m, d) and (c, m): the narrow units in their order, then further copies of one."""
    parameters = problem.parameters
    unit, others = parameters.copied, _others(problem)
    copied = [*range(parameters.narrow), *[unit for _ in others]]
    shares = np.ones(len(copied))
    shares[unit] = share
    shares[others] = (1 - share) / len(others)
    return embedded(point.weights, copied, shares)


def _others(problem: Problem) -> list[int]:
    """The further copies."""
    return list(range(problem.parameters.narrow, problem.parameters.units[0]))


def _spectrum(matrix: Floats) -> tuple[Floats, Floats]:
    """Eigenvalues (d,), and unit eigenvectors (d, d) as rows, of a symmetric matrix.

    The greatest in magnitude comes first; the greatest entry of each vector is positive.
    """
    values, columns = np.linalg.eigh(matrix)
    order = np.argsort(-np.abs(values))
    rows = columns.T[order]
    greatest = rows[np.arange(len(rows)), np.abs(rows).argmax(axis=1)]
    return values[order], rows * np.sign(greatest)[:, None]


def _unit(random: np.random.Generator, dimensions: int) -> Floats:
    drawn: Floats = random.standard_normal(dimensions)
    drawn /= np.linalg.norm(drawn)
    return drawn
