"""What is measured at points, and where descents from them lead.

Shape legend: P = points, S = splits, z = axes, n = parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pipeline.engine.blocks import aligned
from pipeline.engine.contract import EngineChoice, Evaluator, Floats, Values
from pipeline.engine.descents.descend import descend
from pipeline.engine.descents.ends import Ends
from pipeline.engine.descents.functions import Function, all_parameters, over_parameters
from pipeline.engine.descents.outcomes import outcomes
from pipeline.engine.descents.spectra import end_eigenvalues
from schemas.layout import END_PARAMETERS, METRICS
from schemas.starts import Descent
from tasks.landscape import Landscape


class DescentEvaluator:
    """Descents over all parameters, on each split, beside what another evaluator measures.

    Those that begin at `point_block` points go on together, counted from the first point of each
    call; what becomes of one depends on that block alone. Losses are in the dtype of the
    evaluation, eigenvalues in float64.
    """

    def __init__(
        self,
        plain: Evaluator | None,
        landscape: Landscape,
        splits: Sequence[str],
        metrics: Sequence[str],
        descent: Descent,
        choice: EngineChoice,
    ) -> None:
        self._plain, self._section = plain, landscape.section
        self._metrics, self._descent = tuple(metrics), descent
        self._device, self._dtype = torch.device(choice.device), choice.sum_dtype
        self._block = choice.point_block
        known = landscape.reference.get("global_minimum")
        self._splits = [
            _Split(landscape, split, self._device, self._dtype, known if row == 0 else None)
            for row, split in enumerate(splits)
        ]

    def evaluate(self, points: Floats) -> Values:
        """Metrics at points (P, z): metric → (S, *extra, P)."""
        values = self._plain.evaluate(points) if self._plain else {}
        starts = all_parameters(self._section, torch.from_numpy(points))
        starts = starts.to(self._device, self._dtype)
        blocks = torch.split(starts, self._block)
        found = [
            [split.measured(block, self._descent) for block in blocks] for split in self._splits
        ]
        for name in self._metrics:
            if name not in values:
                rows = [torch.cat([one[name] for one in row], dim=-1) for row in found]
                kept = METRICS[name].dtype or np.float64
                values[name] = torch.stack(rows).cpu().numpy().astype(kept)
        return values


class _Split:
    """Descents on one split."""

    def __init__(
        self,
        landscape: Landscape,
        split: str,
        device: torch.device,
        dtype: torch.dtype,
        global_minimum: float | None,
    ) -> None:
        self._function: Function = over_parameters(landscape, split, device, dtype)
        self._double = self._function
        if dtype != torch.float64:
            self._double = over_parameters(landscape, split, device, torch.float64)
        self._global_minimum = global_minimum

    def measured(self, starts: Tensor, descent: Descent) -> dict[str, Tensor]:
        """What descents from a block of starts (P, n) have found: metric → (*extra, P)."""
        ends, began = self._descended(starts, descent)
        with torch.no_grad():
            before = self._function.value(aligned(began))
        eigenvalues = end_eigenvalues(self._double, ends.theta.double())
        return {
            "end_loss": ends.loss,
            "end_gradient_norm": ends.gradient_norm,
            "end_hessian_eigenvalue_min": eigenvalues[:, 0],
            "end_hessian_eigenvalue_max": eigenvalues[:, 1],
            "iterations": ends.iterations,
            "outcome": outcomes(ends, eigenvalues, before, self._global_minimum, descent.tolerance),
            END_PARAMETERS: ends.theta.T,
        }

    def _descended(self, starts: Tensor, descent: Descent) -> tuple[Ends, Tensor]:
        """Where the last stage ends, after the iterations of all, and where it began (P, n).

        Of a descent that its last stage no longer moves, where the one before began.
        """
        at, began = starts, starts
        taken = torch.zeros(len(starts), dtype=torch.int64, device=starts.device)
        for stage in descent.stages:
            ends = descend(
                self._function,
                at,
                stage.method,
                stage.tolerance,
                stage.max_iterations,
                step=stage.step,
                decay_every=stage.decay_every,
                target=stage.target,
            )
            began = torch.where(ends.iterations[:, None] > 0, at, began)
            at, taken = ends.theta, taken + ends.iterations
        return replace(ends, iterations=taken), began
