"""A spurious minimum of k ReLU students of k orthonormal teachers, known up to five numbers.

Descents end at it from k = 6 on (Safran & Shamir 2018, arXiv:1712.08968). With e_s the last unit
vector, w_s = α e_s + β Σ_{j≠s} e_j, and w_i = δ e_i + η Σ_{j≠i,s} e_j + ζ e_s for every other i:
one neuron is turned away from a teacher, which all the others stand in for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import root

from tasks.landscape import Floats
from tasks.students.parameters import FEWEST_BETWEEN, MOST_BETWEEN
from tasks.students.population import PopulationLoss

_FEWEST_MINIMUM = 6
_KNOWN = 7
_START = (-0.6327, 0.1860, 0.2617, 0.9969, -0.0351)
"""The five numbers of 7 neurons, nearly."""
_STEPS = 3


@dataclass(frozen=True)
class FamilyPoint:
    """A critical point of the family.

    Attributes:
        alpha, beta, zeta, delta, eta: the five numbers.
        weights: W, (k, k), one row a neuron, the one turned away last.
        loss: F(W).
        least_eigenvalue: of the Hessian over all k² weights.
    """

    alpha: float
    beta: float
    zeta: float
    delta: float
    eta: float
    weights: Floats
    loss: float
    least_eigenvalue: float


def spurious_minimum(k: int) -> FamilyPoint:
    """The family's minimum of k neurons.

    Raises:
        ValueError: k is less than 6, where its critical point is a saddle, or more than 30.
    """
    if k < _FEWEST_MINIMUM:
        raise ValueError(f"got {k} neurons; with fewer than {_FEWEST_MINIMUM} it is a saddle")
    return family_point(k)


def family_point(k: int) -> FamilyPoint:
    """The family's critical point of k neurons; with 4 or 5 it is a saddle, from 6 on a minimum.

    ∇F has the form of the family where W has, so that five equations are left. Their root is
    followed from k = 7, a neuron more or fewer at a time, and made exact by Newton's method.

    Raises:
        ValueError: k is less than 4 or more than 30.
    """
    if not FEWEST_BETWEEN <= k <= MOST_BETWEEN:
        raise ValueError(f"got {k} neurons; expected {FEWEST_BETWEEN} to {MOST_BETWEEN}")
    numbers = np.array(_START)
    for count in range(_KNOWN, k, 1 if k > _KNOWN else -1):
        numbers = _root(numbers, count)
    return _exact(_root(numbers, k), k)


def _root(numbers: Floats, k: int) -> Floats:
    """The five numbers at which the equations hold, nearly, from those of about as many neurons."""
    population, forms = _population(k), _forms(k)

    def equations(numbers: Floats) -> Floats:
        _, slopes = population.slopes(_theta(numbers, forms))
        left: Floats = forms @ slopes[0].numpy()
        return left

    found: Floats = root(equations, numbers, tol=1e-9).x
    return found


def _exact(numbers: Floats, k: int) -> FamilyPoint:
    population, forms = _population(k), _forms(k)
    for _ in range(_STEPS):
        theta = _theta(numbers, forms)
        _, slopes = population.slopes(theta)
        curvature = forms @ population.hessians(theta)[0].numpy() @ forms.T
        numbers = numbers - np.linalg.solve(curvature, forms @ slopes[0].numpy())
    theta = _theta(numbers, forms)
    alpha, beta, zeta, delta, eta = (float(number) for number in numbers)
    return FamilyPoint(
        alpha=alpha,
        beta=beta,
        zeta=zeta,
        delta=delta,
        eta=eta,
        weights=theta.numpy().reshape(k, k),
        loss=float(population.slopes(theta)[0]),
        least_eigenvalue=float(torch.linalg.eigvalsh(population.hessians(theta)[0])[0]),
    )


def _population(k: int) -> PopulationLoss:
    return PopulationLoss(torch.eye(k, dtype=torch.float64))


def _theta(numbers: Floats, forms: Floats) -> torch.Tensor:
    """The point (1, k²) of five numbers."""
    return torch.from_numpy((numbers @ forms)[None])


def _forms(k: int) -> Floats:
    """Where each of α, β, ζ, δ, η stands among the weights, (5, k²): ones there, else zeros."""
    which = np.full((k, k), 4)
    np.fill_diagonal(which, 3)
    which[:, -1], which[-1, :], which[-1, -1] = 2, 1, 0
    forms: Floats = (which.ravel() == np.arange(5)[:, None]).astype(np.float64)
    return forms
