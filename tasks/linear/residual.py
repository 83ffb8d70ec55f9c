"""Linear residual nets h ↦ (I + A_ℓ) … (I + A_1) h with their population risk in closed form.

Hardt & Ma 2016, arXiv:1611.04231. With targets y = Rx + ξ, inputs of covariance Σ and noise
ξ ~ N(0, I_d) the risk is f(A) = ‖E Σ^½‖²_F + C, where E = (I + A_ℓ) … (I + A_1) − R and C = d.
Shape legend: P = points, z = axes, ℓ = layers, d = inputs and outputs, n = ℓd² parameters, which
are the entries of A_1, row by row, then those of A_2, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from schemas.errors import SpecError
from tasks.landscape import FieldVariable, Floats, Landscape
from tasks.linear.residual_construction import conference_bound, later_bound, small_norm_minimum
from tasks.linear.residual_matrices import Matrices, make_matrices, spectral_norms
from tasks.linear.residual_parameters import (
    EXCESS,
    LARGEST_NORM,
    POPULATION,
    ResidualParameters,
)
from tasks.objective import ClosedForm
from tasks.registry import BuildContext
from tasks.section import Section, axis_count_error, whole_section

_DIRECTIONS = 2
"""What a generator is for, beside those of the matrices."""


@dataclass(frozen=True)
class ResidualLoss:
    """‖(Π(I + A_i) − R) Σ^½‖²_F + constant of parameters (P, n), (P,) in their dtype.

    `target` is R and `root` is Σ^½, (d, d) each, float64.
    """

    target: Tensor
    root: Tensor
    constant: float

    def __call__(self, theta: Tensor) -> Tensor:
        """Losses (P,)."""
        return self.residuals(theta).square().sum(dim=1) + self.constant

    def residuals(self, theta: Tensor) -> Tensor:
        """The entries of E Σ^½, (P, d²)."""
        target, root = self.target.to(theta), self.root.to(theta)
        d = len(target)
        layers = theta.reshape(len(theta), -1, d, d) + torch.eye(d).to(theta)
        return ((product_of(layers) - target) @ root).flatten(1)


def product_of(layers: Tensor) -> Tensor:
    """B_ℓ … B_1 of matrices (P, ℓ, d, d): (P, d, d), neighbours first."""
    while layers.shape[1] > 1:
        paired = layers[:, 1::2] @ layers[:, : layers.shape[1] - 1 : 2]
        alone = layers[:, layers.shape[1] // 2 * 2 :]
        layers = torch.cat([paired, alone], dim=1) if alone.shape[1] else paired
    return layers[:, 0]


@dataclass(frozen=True)
class LargestNorm:
    """Max ‖A_i‖ at coordinates (P, z) of a section: (P,)."""

    section: Section
    dimension: int

    def __call__(self, points: Floats) -> Floats:
        """Values (P,)."""
        theta = self.section.parameters(torch.from_numpy(points))["theta"]
        largest: Floats = spectral_norms(theta.numpy(), self.dimension).max(axis=1)
        return largest


@dataclass(frozen=True)
class DrawInBall:
    """Starts in the ball max ‖A_i‖ < scale.

    Each A_i has a Gaussian direction and a spectral norm that is uniform from 0 to the scale.
    """

    layers: int
    dimension: int

    def __call__(self, random: np.random.Generator, scale: float) -> Floats:
        """Parameters (n,)."""
        matrices = random.standard_normal((self.layers, self.dimension, self.dimension))
        norms = np.linalg.norm(matrices, ord=2, axis=(1, 2))
        wanted = scale * random.uniform(0.0, 1.0, self.layers)
        flat: Floats = (matrices * (wanted / norms)[:, None, None]).reshape(-1)
        return flat


def build_residual(parameters: ResidualParameters, context: BuildContext) -> Landscape:
    """The risk of a linear residual net on the splits `population` and `excess`.

    The reference `global_minimum` is that of the first split: C, or 0 of the excess, since any R
    is a product of layers I + A_i.

    Raises:
        SpecError: the construction does not exist, or the axes do not fit the directions.
    """
    d, layers = parameters.dimension, parameters.layers
    matrices = make_matrices(parameters, context.seed)
    target, root = torch.from_numpy(matrices.target), torch.from_numpy(matrices.root)
    losses = {
        POPULATION: ResidualLoss(target, root, float(d)),
        EXCESS: ResidualLoss(target, root, 0.0),
    }
    section = _section(parameters, matrices, context)
    first = losses[EXCESS if context.splits[0] == EXCESS else POPULATION]
    return Landscape(
        ClosedForm(losses, {split: loss.residuals for split, loss in losses.items()}),
        section,
        fields={
            LARGEST_NORM: FieldVariable(
                LargestNorm(section, d), "greatest spectral norm of the layers' A"
            )
        },
        reference={"global_minimum": first.constant},
        facts=_facts(parameters, matrices),
        draw=DrawInBall(layers, d),
    )


def _section(parameters: ResidualParameters, matrices: Matrices, context: BuildContext) -> Section:
    d, layers = parameters.dimension, parameters.layers
    origin = {"theta": torch.from_numpy(_origin(parameters, matrices).reshape(-1))}
    if context.z is None:
        return whole_section(origin)
    n = layers * d * d
    if parameters.directions == "identity":
        if context.z != 1:
            raise axis_count_error(context.z, 1, "directions: identity")
        rows = np.tile(np.eye(d).reshape(-1), layers)[None]
    elif context.z > n:
        raise SpecError(
            f"axes: got {context.z}; {layers} layers of dimension {d} have {n} parameters, so give "
            "no more axes than these"
        )
    else:
        random = np.random.default_rng([context.seed, _DIRECTIONS])
        rows = np.linalg.qr(random.standard_normal((n, context.z)))[0].T
    return Section(origin, tuple({"theta": torch.from_numpy(row.copy())} for row in rows))


def _origin(parameters: ResidualParameters, matrices: Matrices) -> Floats:
    """Every A at the section's origin, (ℓ, d, d)."""
    d, layers = parameters.dimension, parameters.layers
    match parameters.origin:
        case "construction":
            return small_norm_minimum(matrices.target, layers)
        case "boundary":
            layer = -np.eye(d)
        case "given":
            layer = np.array(parameters.layer, dtype=np.float64)
        case "zero":
            layer = np.zeros((d, d))
    return np.broadcast_to(layer, (layers, d, d)).copy()


def _facts(parameters: ResidualParameters, matrices: Matrices) -> dict[str, Any]:
    gamma, layers = matrices.gamma, parameters.layers
    facts: dict[str, Any] = {
        "dimension": parameters.dimension,
        "layers": layers,
        "constant": float(parameters.dimension),
        "determinant": matrices.determinant,
        "gamma": gamma,
        "covariance_eigenvalue_min": float(matrices.spectrum[0]),
        "least_excess_beyond": matrices.least_excess_beyond,
    }
    if gamma is not None:
        facts["bound_conference"] = conference_bound(gamma, layers)
        facts["bound_later"] = later_bound(gamma, layers)
    return facts
