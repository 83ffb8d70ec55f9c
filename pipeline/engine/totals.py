"""Sums over the samples of a split, block by block, in float64.

Shape legend: S = splits, P = points, B = samples of a block.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.engine.contract import Floats, Values

FAST_METRICS = frozenset({"loss", "accuracy", "loss_stderr"})
"""Metrics that follow from the losses and outputs of each sample."""


class Totals:
    """Mean loss, its standard error and the accuracy of points, from blocks of samples.

    Deviations are merged as by Chan, Golub & LeVeque (1983), so that no digits cancel.
    """

    def __init__(
        self, metrics: Sequence[str], samples: Sequence[int], points: int, device: torch.device
    ) -> None:
        shape = (len(samples), points)
        self._metrics = tuple(metrics)
        self._samples = tuple(samples)
        self._losses = torch.zeros(shape, dtype=torch.float64, device=device)
        self._squares = torch.zeros(shape, dtype=torch.float64, device=device)
        self._hits = torch.zeros(shape, dtype=torch.float64, device=device)

    def add(
        self, split: int, points: slice, before: int, losses: Tensor, hits: Tensor | None
    ) -> None:
        """Add a block: losses (P, B), and hits (P, B) where the accuracy is wanted.

        `before` samples of the split have been added for these points already.
        """
        total = losses.sum(1, dtype=torch.float64)
        if "loss_stderr" in self._metrics:
            number = losses.shape[1]
            own = losses.double()
            self._squares[split, points] += (own - total[:, None] / number).square().sum(1)
            if before:
                weight = before * number / (before + number)
                shift = total / number - self._losses[split, points] / before
                self._squares[split, points] += weight * shift.square()
        self._losses[split, points].add_(total)
        if hits is not None:
            self._hits[split, points].add_(hits.sum(1, dtype=torch.float64))

    def values(self) -> Values:
        """Metric → (S, P), float64."""
        counts = np.array(self._samples, dtype=np.float64)[:, None]
        found: dict[str, Floats] = {"loss": self._losses.cpu().numpy() / counts}
        found["accuracy"] = self._hits.cpu().numpy() / counts
        # The standard error of a single sample is not defined.
        degrees = np.where(counts > 1, counts - 1, np.nan)
        found["loss_stderr"] = np.sqrt(self._squares.cpu().numpy() / degrees / counts)
        return {metric: found[metric] for metric in self._metrics}
