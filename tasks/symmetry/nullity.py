"""How flat the loss is where a student equals its teacher, along the subspace and off it.

At a loss of zero the Hessian of the mean squared error is 2/(N c) JᵀJ, J being the Jacobian of the
outputs. It is zero along the subspace of a grouping, and elsewhere as well: turn the input weights
of two copies by δ_1 and δ_2 with a_1 δ_1 + a_2 δ_2 = 0, and no output changes to the first order.
Only the second order of the outputs tells, so that the loss grows as the fourth power there. Thus
the Hessian may have more zero eigenvalues than the subspace has dimensions. The subspaces are those
of Şimşek et al. 2021, arXiv:2105.12221; what is said here of the Hessian is derived from them.

Shape legend: N = samples, d = inputs, c = outputs, n = numbers of all weights, K = zero
eigenvalues.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tasks.landscape import Floats
from tasks.symmetry.groupings import Grouping
from tasks.symmetry.network import ACTIVATIONS, Weights, flattened, outputs_of, unflattened
from tasks.symmetry.subspaces import affine

SINGULAR = 1e-10
"""What counts as zero, of J's singular values relative to the greatest.

Rounding leaves 10⁻¹⁶; the least that is not zero was 10⁻⁶ in small trials.
"""
_STEP = 1e-3


@dataclass(frozen=True)
class Kernel:
    """Where the Hessian is zero.

    Attributes:
        basis: orthonormal columns (n, K).
        least: the least singular value of J that counts as nonzero, relative to the greatest.
        greatest: the greatest that counts as zero; 0 if none does.
    """

    basis: Floats
    least: float
    greatest: float

    @property
    def nullity(self) -> int:
        """K."""
        return int(self.basis.shape[1])


def kernel(weights: Weights, inputs: Floats, activation: str) -> Kernel:
    """The kernel of the Hessian at a loss of zero, for inputs (N, d) with N c ≥ n."""
    _, values, rows = np.linalg.svd(jacobian(weights, inputs, activation), full_matrices=False)
    relative = values / values[0]
    zero = relative <= SINGULAR
    greatest = float(relative[zero].max(initial=0.0))
    return Kernel(rows[zero].T, float(relative[~zero].min()), greatest)


def jacobian(weights: Weights, inputs: Floats, activation: str) -> Floats:
    """The derivatives (N c, n) of the outputs of a network of one hidden layer, inputs (N, d)."""
    hidden, output = weights
    sums = torch.from_numpy(inputs @ hidden.T).requires_grad_()
    values = ACTIVATIONS[activation]()(sums)
    slopes = torch.autograd.grad(values.sum(), sums)[0].numpy()
    entering = np.einsum("oi,ni,nk->noik", output, slopes, inputs)
    leaving = np.einsum("op,ni->nopi", np.eye(len(output)), values.detach().numpy())
    rows = len(inputs) * len(output)
    return np.hstack([entering.reshape(rows, -1), leaving.reshape(rows, -1)])


def nullity(grouping: Grouping, inputs: int, outputs: int) -> int:
    """How many zero eigenvalues the Hessian has at almost every point of the subspace.

    Of a group of b units, J has c independent columns for the output weights, and for the input
    weights d times as many as there are independent ones among the b vectors of output weights.
    These sum to the teacher's, or to zero. That is for one hidden layer, an activation whose
    derivatives are independent of it, and samples enough.
    """
    return sum(
        size * (outputs + inputs) - outputs - inputs * min(most, outputs)
        for size, most in _groups(grouping)
    )


def is_spanning(grouping: Grouping, outputs: int) -> bool:
    """Whether the Hessian is zero along the subspace only, at almost every point of it.

    That is where the output weights of copies can be independent, and those of a group without
    effect but for their sum: with no more copies of a unit than outputs, and no more than one above
    it in a group without effect.
    """
    return all(most <= outputs for _, most in _groups(grouping))


def growth(
    grouping: Grouping,
    teacher: Weights,
    weights: Weights,
    inputs: Floats,
    activation: str,
    random: np.random.Generator,
) -> float | None:
    """The power by which the loss grows at `weights`, off the subspace where the Hessian is zero.

    That is along a random direction in the kernel that is orthogonal to the subspace; None if there
    is none.
    """
    flat = kernel(weights, inputs, activation).basis
    along = affine([grouping], teacher).basis
    vectors, values, _ = np.linalg.svd(flat - along @ (along.T @ flat), full_matrices=False)
    off = vectors[:, values > 0.5]
    if not off.shape[1]:
        return None
    return power(weights, off @ random.standard_normal(off.shape[1]), teacher, inputs, activation)


def power(
    weights: Weights, way: Floats, teacher: Weights, inputs: Floats, activation: str
) -> float:
    """The power of t with which the loss grows from zero, at `weights` + t `way` (n,)."""
    sizes = [weights[0].shape[1], *(len(matrix) for matrix in weights)]
    step = _STEP * way / np.linalg.norm(way)
    points = [unflattened(flattened(weights) + t * step, sizes) for t in (1.0, 2.0)]
    near, far = (loss(point, teacher, inputs, activation) for point in points)
    return float(np.log2(far / near))


def loss(weights: Weights, teacher: Weights, inputs: Floats, activation: str) -> float:
    """The mean squared difference of the outputs from the teacher's."""
    found = outputs_of(weights, inputs, activation) - outputs_of(teacher, inputs, activation)
    return float(np.square(found).mean())


def _groups(grouping: Grouping) -> Sequence[tuple[int, int]]:
    """Of each group its size, and how many of its output weights can be independent at most."""
    return [
        (size, size if group < grouping.taught else size - 1)
        for group, size in enumerate(grouping.sizes)
    ]
