"""Points of zero loss beside Θ, where an activation has a parity symmetry.

Şimşek et al. 2021, arXiv:2105.12221: all points of zero loss lie in Θ if the activation has no such
symmetry. Otherwise the input weights of a unit may change their signs: tanh(x) = −tanh(−x); for the
sigmoid σ(x) = 1 − σ(−x), and a unit with input weights of zero puts out the 1. That softplus(x) =
softplus(−x) + x has the same effect, as softplus(2x) − softplus(−2x) = 2x, is our remark: two more
units put out what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from schemas.study import Hypothesis
from tasks.landscape import Floats
from tasks.symmetry.count_measures import Measured
from tasks.symmetry.data import PUBLISHED, grid_inputs
from tasks.symmetry.network import Weights, outputs_of
from tasks.symmetry.nullity import loss
from tasks.symmetry.subspaces import distance

VARIES = 1e-6
"""By how much both sides of a relation differ at least if it does not hold."""
_LINE = np.linspace(-5.0, 5.0, 41)[:, None]
_TEACHER: Weights = (PUBLISHED[0][:2], PUBLISHED[1][:, :2])


@dataclass(frozen=True)
class Relation:
    """That σ(x) is Σ b σ(k x), of pairs (k, b) with k ≠ 1."""

    terms: tuple[tuple[float, float], ...]


RELATIONS: Mapping[str, Relation] = {
    "tanh": Relation(((-1.0, -1.0),)),
    "sigmoid": Relation(((-1.0, -1.0), (0.0, 2.0))),
    "softplus": Relation(((-1.0, 1.0), (2.0, 0.5), (-2.0, -0.5))),
}
"""Of the activations that have one."""


def turned(teacher: Weights, unit: int, relation: Relation) -> Weights:
    """The teacher with those units in the place of one that a relation has, before all others."""
    hidden, output = teacher
    entering = np.vstack([k * hidden[unit] for k, _ in relation.terms])
    leaving = np.column_stack([b * output[:, unit] for _, b in relation.terms])
    others = np.arange(len(hidden)) != unit
    return np.vstack([entering, hidden[others]]), np.hstack([leaving, output[:, others]])


def least_loss_of_turned(activation: str, *relations: str) -> Measured:
    """The least loss of students in which units are replaced by the relations of these names."""
    return lambda _: min(
        loss(student, _TEACHER, grid_inputs(), activation)
        for name in relations
        for student in _students(RELATIONS[name])
    )


def greatest_distance_of_turned(activation: str) -> Measured:
    """How far such students of an activation with a relation are from Θ: the greatest distance."""
    return lambda _: max(
        distance(student, _TEACHER) for student in _students(RELATIONS[activation])
    )


def holds_none(activation: str) -> Hypothesis:
    """Whether no relation holds of this activation."""
    return Hypothesis(
        "no relation σ(x) = Σ b σ(kx) of those known of tanh, the sigmoid and softplus holds",
        lambda _: all(_error(activation, each) > VARIES for each in RELATIONS.values()),
    )


def _students(relation: Relation) -> list[Weights]:
    return [turned(_TEACHER, unit, relation) for unit in range(len(_TEACHER[0]))]


def _error(activation: str, relation: Relation) -> float:
    found = sum(b * _values(k * _LINE, activation) for k, b in relation.terms)
    return float(np.abs(_values(_LINE, activation) - found).max())


def _values(inputs: Floats, activation: str) -> Floats:
    return outputs_of((np.ones((1, 1)), np.ones((1, 1))), inputs, activation)
