"""The ends of the Hessian's spectrum at many points.

Shape legend: P = points, n = variables, k = those that are free.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.engine.blocks import aligned
from pipeline.engine.contract import Floats
from pipeline.engine.descents.derivatives import hessians
from pipeline.engine.descents.functions import Function
from tasks.spectrum import TOLERANCE, extreme_eigenvalues

MOST_DENSE = 512
"""Up to this many variables the Hessian is formed."""
BLOCK_BYTES = 64 * 2**20
"""Of the Hessians that are held at a time."""
COPIES, CLOSED_COPIES = 4, 8
"""Arrays of the Hessians' size while they are formed: by differentiation, in closed form."""


def end_eigenvalues(function: Function, theta: Tensor) -> Tensor:
    """The least and the greatest eigenvalue (P, 2) of Hessians at points (P, n), float64.

    Of the free variables. NaN where the Hessian is not finite. Above `MOST_DENSE` variables, by
    Lanczos from products with vectors, and those by differentiation of the value.

    Raises:
        WorkError: Lanczos does not converge.
    """
    if function.n > MOST_DENSE:
        return torch.stack([_by_products(function, point) for point in theta])
    copies = COPIES if function.hessians is None else CLOSED_COPIES
    size = max(1, BLOCK_BYTES // (copies * 8 * function.n**2))
    return torch.cat([_dense(function, aligned(part)) for part in torch.split(theta, size)])


def _dense(function: Function, theta: Tensor) -> Tensor:
    matrices = hessians(function, theta)
    if function.free is not None:
        matrices = matrices[:, function.free][:, :, function.free]
    finite = matrices.isfinite().all(dim=2).all(dim=1)
    spectra = torch.linalg.eigvalsh(torch.where(finite[:, None, None], matrices, 0.0))
    return torch.where(finite[:, None], spectra[:, [0, -1]], torch.nan)


def _by_products(function: Function, point: Tensor) -> Tensor:
    """The same at a point (n,), as (2,)."""
    theta = point[None].detach().requires_grad_()
    value = function.value(theta).sum()
    (slope,) = torch.autograd.grad(value, theta, create_graph=True)
    free = slice(None) if function.free is None else function.free

    def product(vector: Floats) -> Floats:
        along = slope[0, free] @ torch.from_numpy(vector).to(slope.device)
        (image,) = torch.autograd.grad(along, theta, retain_graph=True)
        found: Floats = image[0, free].cpu().numpy()
        return found

    number = function.n if function.free is None else len(function.free)
    if not slope.requires_grad or not bool(value.isfinite()):
        return torch.full((2,), 0.0 if bool(value.isfinite()) else torch.nan, dtype=torch.float64)
    ends = extreme_eigenvalues(product, number, TOLERANCE[torch.float64])
    return torch.tensor(ends, dtype=torch.float64)
