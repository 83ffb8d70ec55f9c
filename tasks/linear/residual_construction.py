"""The explicit global minimum of small norm of a linear residual net.

Hardt & Ma 2016, arXiv:1611.04231, Theorem 2.1: if det R > 0 and the depth ℓ is at least 3γ with
γ = max(|ln σ_max(R)|, |ln σ_min(R)|), there is a global minimum at which every ‖A_i‖ is of order
(1 + γ) / ℓ. Shape legend: d = inputs and outputs, ℓ = layers.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.linalg

from schemas.errors import SpecError
from tasks.linear.residual_matrices import Floats

_ROUNDING = 1e-14
"""Angles and logarithms below this are those of the identity."""


def conference_bound(gamma: float, layers: int) -> float:
    """2(√π + √(3γ))² / ℓ, the bound on max ‖A_i‖ in the conference text."""
    return 2 * (math.sqrt(math.pi) + math.sqrt(3 * gamma)) ** 2 / layers


def later_bound(gamma: float, layers: int) -> float:
    """(4π + 3γ) / ℓ, the bound on max ‖A_i‖ in the paper's later version."""
    return (4 * math.pi + 3 * gamma) / layers


def small_norm_minimum(target: Floats, layers: int) -> Floats:
    """Layers A (ℓ, d, d) with (I + A_ℓ) … (I + A_1) = R; the first one is applied first.

    With the polar decomposition R = O·P the last layers are equal factors exp(log O / ℓ₁) of the
    rotation and the first are P^{1/ℓ₂}; ℓ₁ + ℓ₂ = ℓ are those of the least greatest norm.

    Raises:
        SpecError: det R is not positive.
    """
    determinant = float(np.linalg.det(target))
    if determinant <= 0:
        raise SpecError(
            f"parameters.origin: construction needs a target of positive determinant, got "
            f"{determinant:.6g}; use another target or another origin"
        )
    left, singular, right = np.linalg.svd(target)
    logs = np.log(singular)
    basis, planes = rotation_planes(left @ right)
    if layers == 1:
        return (target - np.eye(len(target)))[None]
    rotating = _share(logs, [angle for _, _, angle in planes], layers)
    stretching = layers - rotating
    parts = []
    if stretching:
        parts += [(right.T * np.expm1(logs / stretching)) @ right] * stretching
    if rotating:
        parts += [_turn_less_identity(basis, planes, 1 / rotating)] * rotating
    return np.stack(parts)


def rotation_planes(rotation: Floats) -> tuple[Floats, list[tuple[int, int, float]]]:
    """An orthonormal basis, as columns, in which a rotation turns planes (i, j) by angles ≤ π.

    Eigenvalues −1, whose number is even, are paired into turns by π. By the real Schur form.
    """
    form, basis = scipy.linalg.schur(rotation, output="real")
    planes, reversed_axes, i = [], [], 0
    while i < len(form):
        if i + 1 < len(form) and form[i + 1, i] != 0:
            sine = (form[i + 1, i] - form[i, i + 1]) / 2
            cosine = (form[i, i] + form[i + 1, i + 1]) / 2
            planes.append((i, i + 1, math.atan2(sine, cosine)))
            i += 2
        else:
            if form[i, i] < 0:
                reversed_axes.append(i)
            i += 1
    pairs = zip(reversed_axes[::2], reversed_axes[1::2], strict=True)
    planes += [(i, j, math.pi) for i, j in pairs]
    return basis, planes


def _share(logs: Floats, angles: list[float], layers: int) -> int:
    """ℓ₁, how many of two or more layers turn: the one of the least greatest norm."""
    angle = max((abs(each) for each in angles), default=0.0)
    turns, stretches = angle > _ROUNDING, float(np.abs(logs).max()) > _ROUNDING

    def greatest(rotating: int) -> float:
        turn = 2 * math.sin(angle / (2 * rotating)) if rotating else 0.0
        rest = layers - rotating
        return max(turn, float(np.abs(np.expm1(logs / rest)).max()) if rest else 0.0)

    return min(range(int(turns), layers + 1 - int(stretches)), key=greatest)


def _turn_less_identity(basis: Floats, planes: list[tuple[int, int, float]], part: float) -> Floats:
    """Exp(part · log O) − I."""
    turn = np.zeros_like(basis)
    for i, j, angle in planes:
        # 1 − cos without cancellation: the layers of deep nets turn by little.
        turn[i, i] = turn[j, j] = -2 * math.sin(part * angle / 2) ** 2
        turn[j, i], turn[i, j] = math.sin(part * angle), -math.sin(part * angle)
    changed: Floats = basis @ turn @ basis.T
    return changed
