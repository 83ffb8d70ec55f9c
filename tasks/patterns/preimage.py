"""σ and its inverse: from a loss to the outputs that have it.

With outputs that do not depend on the sample the loss is σ(p), which knows the labels through
their marginal π alone. σ is inverted along a line p = base + s·v, v = ±1 by turns, where it grows
from its floor without bound; s ≥ 0 is the maximal element of the preimage (Czarnecki et al. 2019,
arXiv:1912.07559, Theorem 1 and Observation 2).

Shape legend: P = points, C = classes, N = samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_NEWTON_STEPS = 8


def alternating(classes: int) -> Tensor:
    """v: +1, −1 by turns, float64 (C,)."""
    signs = torch.ones(classes, dtype=torch.float64)
    signs[1::2] = -1.0
    return signs


@dataclass(frozen=True)
class CrossEntropyMarginal:
    """σ(p) = log Σ exp p − ⟨π, p⟩ ≥ H(π), for a label marginal π (C,), float64."""

    marginal: Tensor

    @property
    def floor(self) -> float:
        """H(π), the least value of σ, in nats."""
        return float(torch.special.entr(self.marginal).sum())

    def sigma(self, outputs: Tensor) -> Tensor:
        """Loss (P,) of outputs (P, C)."""
        return torch.logsumexp(outputs, dim=1) - outputs @ self.marginal

    def preimage(self, excess: Tensor) -> Tensor:
        """Outputs (P, C) whose loss is floor + excess, excess (P,) ≥ 0."""
        signs = alternating(len(self.marginal))
        up = float(self.marginal[signs > 0].sum())

        down = 1.0 - up
        # log(up·e^s + down·e^{−s}) − s(up − down) = excess is convex and rises for s > 0, so
        # Newton's steps converge from any start; this start is exact for up = down.
        s = torch.acosh(torch.exp(excess.clamp(min=0.0))) / math.sqrt(4 * up * down)
        for _ in range(_NEWTON_STEPS):
            share = up / (up + down * torch.exp(-2 * s))
            rise = s - torch.log(share / up) - s * (up - down)
            slope = 2 * (share - up)
            step = torch.where(slope > 0, (rise - excess) / slope, torch.zeros_like(s))
            s = (s - step).clamp(min=0.0)
        tiny = torch.finfo(torch.float64).tiny
        return self.marginal.clamp(min=tiny).log() + s[:, None] * signs


@dataclass(frozen=True)
class SquaredErrorMarginal:
    """σ(p) = mean over classes of (p−π)² + π(1−π), against one-hot labels of marginal π (C,)."""

    marginal: Tensor

    @property
    def floor(self) -> float:
        """The mean variance of a one-hot label, the least value of σ."""
        return float((self.marginal * (1 - self.marginal)).mean())

    def sigma(self, outputs: Tensor) -> Tensor:
        """Loss (P,) of outputs (P, C)."""
        return (outputs - self.marginal).square().mean(dim=1) + self.floor

    def preimage(self, excess: Tensor) -> Tensor:
        """Outputs (P, C) whose loss is floor + excess: p = π + √excess·v."""
        return self.marginal + excess.clamp(min=0).sqrt()[:, None] * alternating(len(self.marginal))


Marginal = CrossEntropyMarginal | SquaredErrorMarginal


def marginal_of(loss: str, labels: Tensor, classes: int) -> Marginal:
    """σ for a loss and the labels (N,) of a split."""
    counts = torch.bincount(labels, minlength=classes).double()
    pi = counts / counts.sum()
    return CrossEntropyMarginal(pi) if loss == "cross_entropy" else SquaredErrorMarginal(pi)


def sample_preimage(loss: str, level: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Outputs (N, C) that give each sample the loss `level` (N,): ℓ_i^{-1} of Theorem 2.

    Cross-entropy: a margin ln((C−1)e^{−T}/(1−e^{−T})) on the true class. Squared error: the
    positive branch, every output √T above its one-hot label.
    """
    truth = functional.one_hot(labels, classes).to(level.dtype)
    if loss == "cross_entropy":
        margin = math.log(classes - 1) - level - torch.log(-torch.expm1(-level))
        return margin[:, None] * truth
    return truth + level.sqrt()[:, None]
