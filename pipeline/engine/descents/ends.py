"""Where descents end, and how their rows are kept while they last.

Shape legend: P = descents, n = variables.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Ends:
    """Where P descents have ended.

    Attributes:
        theta: (P, n).
        loss: (P,).
        gradient_norm: (P,), in the variables of the descent.
        iterations: (P,), int64.
        converged: (P,), whether the gradient norm is within the tolerance.
    """

    theta: Tensor
    loss: Tensor
    gradient_norm: Tensor
    iterations: Tensor
    converged: Tensor


class Collected:
    """The ends of a block of descents, filled in as its rows end."""

    def __init__(self, starts: Tensor) -> None:
        number = len(starts)
        self._theta = starts.clone()
        self._loss, self._norm = (starts.new_full((number,), torch.nan) for _ in range(2))
        self._iterations = torch.zeros(number, dtype=torch.int64, device=starts.device)
        self._converged = torch.zeros(number, dtype=torch.bool, device=starts.device)

    def put(
        self,
        rows: Tensor,
        theta: Tensor,
        loss: Tensor,
        norm: Tensor,
        iterations: Tensor,
        converged: Tensor,
    ) -> None:
        """Note the ends of some rows, given by number."""
        self._theta[rows] = theta
        self._loss[rows] = loss
        self._norm[rows] = norm
        self._iterations[rows] = iterations
        self._converged[rows] = converged

    def ends(self) -> Ends:
        """The ends of all rows."""
        return Ends(self._theta, self._loss, self._norm, self._iterations, self._converged)
