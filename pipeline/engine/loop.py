"""The general path: any module, one point after another, sample block by sample block.

Shape legend: P = points, S = splits, N = samples.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.engine.blocks import Block, Blocks, split_blocks
from pipeline.engine.contract import (
    EngineChoice,
    Floats,
    Values,
    changes_inputs,
    load_origin,
)
from pipeline.engine.totals import Totals
from tasks.batchnorm import reestimate
from tasks.objective import EmpiricalRisk, accuracy, per_sample
from tasks.section import Section


class LoopEvaluator:
    """Evaluates any module by setting its parameters to each point in turn.

    The parameters of a batch of points are formed in float64 from absolute coordinates, so
    nothing drifts and a point's value does not depend on its batch. Sums over samples are
    accumulated in float64.
    """

    def __init__(
        self,
        objective: EmpiricalRisk,
        section: Section,
        splits: Sequence[str],
        metrics: Sequence[str],
        choice: EngineChoice,
    ) -> None:
        self._device = torch.device(choice.device)
        self._dtype = choice.torch_dtype
        self._sum_dtype = choice.sum_dtype
        module = copy.deepcopy(objective.module).eval().requires_grad_(False)
        self._module = module.to(self._device, choice.torch_dtype)
        load_origin(self._module, section.origin)
        self._section = section
        self._moving = {name: self._module.get_parameter(name) for name in section.touched}
        self._loss = objective.loss
        self._metrics = tuple(metrics)
        blocks = split_blocks(objective, splits, choice)
        first = blocks[0][0].inputs
        first = first.to(self._dtype) if first.is_floating_point() else first
        self._changes_inputs = changes_inputs(self._module, first)
        self._samples = [len(objective.splits[split]) for split in splits]
        again = objective.reestimation
        self._reestimated = [self._as_input(part) for part in again.batches] if again else None
        self._splits: list[Sequence[Block] | Blocks] = [
            [*part] if choice.keep else part for part in blocks
        ]

    def evaluate(self, points: Floats) -> Values:
        """Metrics at points (P, z): metric → (S, P), float64."""
        totals = Totals(self._metrics, self._samples, len(points), self._device)
        with torch.inference_mode():
            parameters = self._section.parameters(torch.from_numpy(points))
            for column in range(len(points)):
                for name, parameter in self._moving.items():
                    parameter.copy_(parameters[name][column])
                if self._reestimated is not None:
                    reestimate(self._module, self._reestimated)
                for row, blocks in enumerate(self._splits):
                    for block in blocks:
                        where = slice(column, column + 1)
                        totals.add(row, where, block.before, *self._measured(block))
        return totals.values()

    def _as_input(self, inputs: Tensor) -> Tensor:
        inputs = inputs.to(self._device)
        return inputs.to(self._dtype) if inputs.is_floating_point() else inputs

    def _measured(self, block: Block) -> tuple[Tensor, Tensor | None]:
        inputs, targets = block.inputs[: block.valid], block.targets[: block.valid]
        inputs = self._as_input(inputs)
        outputs = self._module(inputs.clone() if self._changes_inputs else inputs)
        outputs = outputs.to(self._sum_dtype) if outputs.is_floating_point() else outputs
        hits = accuracy(outputs, targets)[None] if "accuracy" in self._metrics else None
        return per_sample(self._loss, outputs, targets)[None], hits
