"""Sums over examples, for many weights at once.

A point's bits depend on its own weights alone: matrix products, reductions over the first dimension
and `torch.sigmoid` round differently at the ends of an array, so none of them is used.
Shape legend: P = points, N = examples, n = parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor


def products(inputs: Tensor, theta: Tensor) -> Tensor:
    """Products w·x_t of inputs (N, n) and weights (P, n): (N, P), in the dtype of the weights."""
    rows = theta.t().contiguous()
    inputs = inputs.to(rows)
    total = inputs[:, :1] * rows[0]
    for axis in range(1, len(rows)):
        total = total + inputs[:, axis : axis + 1] * rows[axis]
    return total


def total(terms: Tensor) -> Tensor:
    """Sums (P,) of terms (N, P), in pairs, which also rounds least."""
    while len(terms) > 1:
        half = len(terms) // 2
        paired = terms[:half] + terms[half : 2 * half]
        terms = torch.cat([paired, terms[2 * half :]]) if len(terms) % 2 else paired
    return terms[0]
