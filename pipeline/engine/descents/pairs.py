"""What limited-memory BFGS keeps of its last steps, for many descents at once.

Shape legend: P = descents under way, n = variables.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Pairs:
    """The last pairs (s, y) of steps and differences of gradients.

    All descents keep a pair or none does, so that one order serves all; where a step was not
    accepted its 1/sᵀy is zero, and so the pair is without effect.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._pairs: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, accepted: Tensor, step: Tensor, bend: Tensor) -> Tensor:
        """Keep a pair (P, n); sᵀy/yᵀy (P,) where it was accepted and is curved upwards, else 0."""
        product, square = dots(step, bend), dots(bend, bend)
        least = torch.finfo(step.dtype).eps * step.norm(dim=1) * square.sqrt()
        used = accepted & (product > least) & product.reciprocal().isfinite()
        if self._size and bool(used.any()):
            rows = used[:, None]
            pair = (
                torch.where(rows, step, 0.0),
                torch.where(rows, bend, 0.0),
                torch.where(used, 1 / product, 0.0),
            )
            self._pairs = [pair, *self._pairs[: self._size - 1]]
        return torch.where(used, product / square, 0.0)

    def direction(self, gradient: Tensor, gamma: Tensor) -> Tensor:
        """Minus the inverse Hessian's estimate times the gradients (P, n): the two-loop recursion.

        Nocedal & Wright 2006, algorithm 7.4.
        """
        vector, weights = -gradient, []
        for step, bend, inverse in self._pairs:
            weight = inverse * dots(step, vector)
            weights.append(weight)
            vector = torch.addcmul(vector, weight[:, None], bend, value=-1)
        vector = gamma[:, None] * vector
        for (step, bend, inverse), weight in zip(self._pairs[::-1], weights[::-1], strict=True):
            rest = weight - inverse * dots(bend, vector)
            vector = torch.addcmul(vector, rest[:, None], step)
        return vector

    def forget(self, rows: Tensor) -> None:
        """Make the pairs of these rows (P,) without effect."""
        if bool(rows.any()):
            self._pairs = [(s, y, torch.where(rows, 0.0, rho)) for s, y, rho in self._pairs]

    def keep(self, kept: Tensor) -> None:
        """Leave only the rows kept (P,)."""
        self._pairs = [(s[kept], y[kept], rho[kept]) for s, y, rho in self._pairs]


def dots(left: Tensor, right: Tensor) -> Tensor:
    """Scalar products of rows, (P,)."""
    return (left * right).sum(dim=1)
