"""The general path: any module, one point after another, sample block by sample block.

Shape legend: P = points, S = splits, N = samples.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.engine.contract import EngineChoice, Floats, Values, as_module_input, load_origin
from tasks.objective import EmpiricalRisk, Split, accuracy
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
        module = copy.deepcopy(objective.module).eval().requires_grad_(False)
        self._module = module.to(self._device, choice.torch_dtype)
        load_origin(self._module, section.origin)
        self._section = section
        self._moving = {name: self._module.get_parameter(name) for name in section.touched}
        self._loss = objective.loss
        self._metrics = tuple(metrics)
        self._splits = [self._blocks(objective.splits[split], choice) for split in splits]
        self._samples = [len(objective.splits[split]) for split in splits]

    def _blocks(self, split: Split, choice: EngineChoice) -> list[tuple[Tensor, Tensor]]:
        """The split on the device, cut into sample blocks; aligned, so that bits do not depend
        on where the data came from.
        """
        inputs = _aligned(as_module_input(self._module, split.inputs))
        targets = split.targets
        dtype = choice.torch_dtype if targets.is_floating_point() else targets.dtype
        targets = targets.to(self._device, dtype)
        size = choice.sample_block or len(inputs)
        return list(zip(torch.split(inputs, size), torch.split(targets, size), strict=True))

    def evaluate(self, points: Floats) -> Values:
        """Metrics at points (P, z): metric → (S, P), float64."""
        shape = (len(self._metrics), len(self._splits), len(points))
        sums = torch.zeros(shape, dtype=torch.float64, device=self._device)
        with torch.inference_mode():
            parameters = self._section.parameters(torch.from_numpy(points))
            moved = {
                name: value.to(self._device, self._moving[name].dtype)
                for name, value in parameters.items()
            }
            for column in range(len(points)):
                for name, parameter in self._moving.items():
                    parameter.copy_(moved[name][column])
                for row, blocks in enumerate(self._splits):
                    for inputs, targets in blocks:
                        self._add(sums[:, row, column], self._module(inputs), targets)
        counts = torch.tensor(self._samples, dtype=torch.float64, device=self._device)
        means = (sums / counts[:, None]).cpu().numpy()
        return dict(zip(self._metrics, means, strict=True))

    def _add(self, sums: Tensor, outputs: Tensor, targets: Tensor) -> None:
        for index, metric in enumerate(self._metrics):
            values = self._loss if metric == "loss" else accuracy
            sums[index] += values(outputs, targets).sum(dtype=torch.float64)


def _aligned(tensor: Tensor, boundary: int = 64) -> Tensor:
    return tensor if tensor.data_ptr() % boundary == 0 else tensor.clone()
