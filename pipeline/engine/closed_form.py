"""Evaluation of a closed form, a batch of points at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from pipeline.engine.contract import EngineChoice, Floats, Values
from tasks.objective import ClosedForm
from tasks.section import Section


class ClosedFormEvaluator:
    """Evaluates a ClosedForm over a section. Parameters are formed in float64, then rounded."""

    def __init__(
        self, objective: ClosedForm, section: Section, splits: Sequence[str], choice: EngineChoice
    ) -> None:
        self._functions = [objective.functions[split] for split in splits]
        self._section = section
        self._choice = choice

    def evaluate(self, points: Floats) -> Values:
        """Loss at points (P, z): {"loss": (S, P)}, float64."""
        with torch.inference_mode():
            theta = self._section.parameters(torch.from_numpy(points))["theta"]
            theta = theta.to(self._choice.device, self._choice.torch_dtype)
            losses = [function(theta).double().cpu().numpy() for function in self._functions]
        return {"loss": np.stack(losses)}
