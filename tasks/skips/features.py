"""What the skip units make of the samples, Ψ, and its rank.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749, equation (2) and lemma 3.2. Shape legend: N =
samples, M = skip units.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call

from schemas.errors import SpecError, listing
from tasks.skips.wrapper import SkipToOutput

_BLOCK_BYTES = 64 * 2**20
_MATRIX = 2
OWN = "network."
"""What the names of the wrapped network's parameters begin with."""


@dataclass(frozen=True)
class Rank:
    """The numerical rank of a matrix (N, M).

    Attributes:
        rank: number of singular values above the tolerance.
        smallest: the least of its min(N, M) singular values.
        tolerance: what counts as zero.
    """

    rank: int
    smallest: float
    tolerance: float


def features(
    model: SkipToOutput, inputs: Tensor, parameters: Mapping[str, Tensor] | None = None
) -> Tensor:
    """Ψ (N, M) of inputs (N, …) in float64, in eval mode, at the model's own parameters or others.

    Samples are taken in blocks, such that the tapped layers' outputs of one take at most 64 MiB.

    Args:
        model: is not changed.
        inputs: floating ones are taken in float64.
        parameters: by name, as the model's; those left out are the model's.

    Raises:
        SpecError: a parameter that the model has not.
    """
    double = copy.deepcopy(model).eval().double()
    known = dict(double.named_parameters())
    unknown = sorted(set(parameters or {}) - set(known))
    if unknown:
        raise SpecError(
            f"parameters: got {unknown[0]!r}; expected some of {listing(known)}; name them as the "
            "wrapped network does"
        )
    own = {
        name.removeprefix(OWN): value.detach().double()
        for name, value in {**known, **(parameters or {})}.items()
        if name.startswith(OWN)
    }
    numbers = sum(tap.total for tap in model.taps)
    block = max(1, _BLOCK_BYTES // (2 * 8 * numbers))
    found = torch.empty(len(inputs), len(model.skip), dtype=torch.float64)
    with torch.no_grad():
        for low in range(0, len(inputs), block):
            part = inputs[low : low + block]
            part = part.double() if part.is_floating_point() else part
            _, *values = functional_call(double.network, own, (part,))
            found[low : low + block] = double.chosen(values)
    return found


def rank(matrix: Tensor, tolerance: float | None = None) -> Rank:
    """The rank of a matrix (N, M) by its singular values, in float64.

    Values up to max(N, M)·ε·σ_max, ε = 2⁻⁵², are zero, as in numpy's `matrix_rank`: about as far as
    rounding moves them.

    Raises:
        SpecError: it is no matrix, or holds NaN or infinite values.
    """
    if matrix.dim() != _MATRIX or not matrix.numel():
        raise SpecError(f"matrix: got shape {tuple(matrix.shape)}; expected (N, M)")
    if not bool(matrix.isfinite().all()):
        raise SpecError("matrix: holds NaN or infinite values; look at the parameters' size")
    values = torch.linalg.svdvals(matrix.double())
    zero = max(matrix.shape) * torch.finfo(torch.float64).eps * float(values[0])
    zero = zero if tolerance is None else tolerance
    return Rank(int((values > zero).sum()), float(values[-1]), zero)
