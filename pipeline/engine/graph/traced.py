"""Evaluation of a traced objective: each part of it as seldom as it has to be.

Shape legend: P = points, S = splits, B = samples of a block, M = monomials.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.engine.blocks import Block, Blocks, split_blocks
from pipeline.engine.cells import CELL_METRICS, Cells, recorded
from pipeline.engine.cells_together import CellTotals
from pipeline.engine.contract import EngineChoice, Floats, Values, load_origin
from pipeline.engine.graph.piece_nodes import with_pieces
from pipeline.engine.graph.points import restricted
from pipeline.engine.graph.program import Program, make_program
from pipeline.engine.graph.runners import Formed, PointRunner, Prepared, Runner
from pipeline.engine.graph.samples_last import SamplesLastRunner
from pipeline.engine.graph.tracing import TracedRisk, trace_risk
from pipeline.engine.totals import FAST_METRICS, Totals
from tasks.objective import EmpiricalRisk
from tasks.section import Section

RUNNERS: dict[str, Callable[[Program, EngineChoice], Runner]] = {
    "traced": PointRunner,
    "batched": SamplesLastRunner,
}


def module_on(
    objective: EmpiricalRisk, origin: Mapping[str, Tensor], choice: EngineChoice
) -> nn.Module:
    """A copy of the module in eval mode, on the choice's device, with the origin's parameters."""
    module = copy.deepcopy(objective.module).eval().requires_grad_(False)
    module = module.to(torch.device(choice.device), choice.torch_dtype)
    load_origin(module, origin)
    return module


def trace_block(
    objective: EmpiricalRisk,
    section: Section,
    block: Block,
    choice: EngineChoice,
    metrics: Sequence[str],
) -> TracedRisk:
    """The objective traced for a block of samples, for these metrics; raises Untraceable."""
    module = module_on(objective, section.origin, choice)
    parameters = {name: module.get_parameter(name).detach() for name in section.origin}
    # Tracing runs the module, which may write into its inputs.
    inputs = block.inputs.clone()
    if inputs.is_floating_point():
        inputs = inputs.to(choice.torch_dtype)
    risk = trace_risk(module, parameters, objective.loss, inputs, block.targets)
    wanted = [metric for metric in CELL_METRICS if metric in metrics]
    if not wanted:
        return risk
    axes = Cells(module, inputs, wanted[0]).axes
    return with_pieces(risk, recorded(module, inputs.clone()), axes)


def programs(
    objective: EmpiricalRisk,
    section: Section,
    blocks: Sequence[Blocks],
    metrics: Sequence[str],
    choice: EngineChoice,
) -> list[Program]:
    """For each split the program for its blocks, over the axes that are not outer."""
    inner = [d for axis, d in enumerate(section.directions) if axis not in choice.outer]
    directions = tuple(frozenset(direction) for direction in inner)
    traced: dict[int, Program] = {}
    for part in blocks:
        if part.size not in traced:
            risk = trace_block(objective, section, part[0], choice, metrics)
            traced[part.size] = make_program(
                risk, directions, choice.degree, with_outputs="accuracy" in metrics
            )
    return [traced[part.size] for part in blocks]


class TracedEvaluator:
    """Evaluates a traced objective, each part of it as seldom as it has to be.

    Points are grouped by their outer coordinates. For each group and each block of samples what
    does not depend on the point is prepared once, kept if there is room; then a runner evaluates
    every point of the group.
    """

    def __init__(
        self,
        objective: EmpiricalRisk,
        section: Section,
        splits: Sequence[str],
        metrics: Sequence[str],
        choice: EngineChoice,
    ) -> None:
        self._choice = choice
        self._metrics = tuple(metrics)
        self._fast = tuple(metric for metric in metrics if metric in FAST_METRICS)
        self._section = section
        self._samples = [len(objective.splits[split]) for split in splits]
        self._blocks = split_blocks(objective, splits, choice)
        made = programs(objective, section, self._blocks, metrics, choice)
        kind = RUNNERS[choice.name]
        runners: dict[int, Runner] = {id(p): kind(p, choice) for p in made}
        self._runners = [runners[id(program)] for program in made]
        self._kept: dict[tuple[int, int], Prepared] = {}

    def evaluate(self, points: Floats) -> Values:
        """Metrics at points (P, z): metric → (S, P)."""
        with torch.inference_mode():
            if self._choice.outer:
                return self._evaluate_groups(points)
            return self._evaluate_group(self._section, points)

    def _evaluate_groups(self, points: Floats) -> Values:
        outer = list(self._choice.outer)
        inner = [axis for axis in range(points.shape[1]) if axis not in outer]
        coordinates, group_of = np.unique(points[:, outer], axis=0, return_inverse=True)
        found: Values = {}
        for number, fixed in enumerate(coordinates):
            members = np.flatnonzero(group_of.reshape(-1) == number)
            section = restricted(self._section, fixed, outer)
            values = self._evaluate_group(section, points[members][:, inner])
            for metric, part in values.items():
                empty = np.empty((len(part), len(points)), dtype=part.dtype)
                found.setdefault(metric, empty)[:, members] = part
        return found

    def _evaluate_group(self, section: Section, points: Floats) -> Values:
        device = torch.device(self._choice.device)
        totals = Totals(self._fast, self._samples, len(points), device)
        cells = CellTotals(len(self._samples), len(points), device)
        formed: dict[int, Formed] = {}
        for row, runner in enumerate(self._runners):
            if id(runner) not in formed:
                formed[id(runner)] = runner.form(section, points)
            for prepared in self._prepared(row, section):
                origin = self._origin_pieces(row, prepared)
                for where, losses, hits, pieces in runner.run(prepared, formed[id(runner)]):
                    totals.add(row, where, prepared.before, losses, hits)
                    if "activation_cell" in self._metrics:
                        cells.add_hashes(row, where, prepared.before, pieces)
                    if origin is not None:
                        cells.add_changes(row, where, pieces, origin)
        found = totals.values() | cells.values()
        return {metric: found[metric] for metric in self._metrics}

    def _origin_pieces(self, row: int, prepared: Prepared) -> Sequence[Tensor] | None:
        """The pieces of a block at the section's origin, evaluated as at any other point.

        They are made again for each batch of points: kept, they would take the memory of a split.
        """
        if "activation_changes" not in self._metrics:
            return None
        runner, outer = self._runners[row], self._choice.outer
        section, inner = self._section, len(self._section.directions) - len(outer)
        if outer:
            section = restricted(section, np.zeros(len(outer)), outer)
            index = prepared.before // self._blocks[row].size
            prepared = runner.prepare(section, self._blocks[row][index])
        ((_, _, _, pieces),) = runner.run(prepared, runner.form(section, np.zeros((1, inner))))
        return pieces

    def _prepared(self, row: int, section: Section) -> Iterator[Prepared]:
        keep = self._choice.keep and not self._choice.outer
        for index in range(self._blocks[row].count):
            prepared = self._kept.get((row, index))
            if prepared is None:
                prepared = self._runners[row].prepare(section, self._blocks[row][index])
            if keep:
                self._kept[row, index] = prepared
            yield prepared
