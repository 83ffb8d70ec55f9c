"""Many points at once, samples last: matrix products and element-wise operations on (P, h, B).

With the samples last, a layer at many points is one batched matrix product whose long dimension is
contiguous, and a reduction over classes runs over whole vectors of samples.

Shape legend: P = points, B = samples of a block, h = features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, fx

from pipeline.engine.blocks import Block
from pipeline.engine.contract import EngineChoice, Floats
from pipeline.engine.graph.batched_body import batched_body, samples_last
from pipeline.engine.graph.points import PointParameters
from pipeline.engine.graph.program import Program
from pipeline.engine.graph.runners import (
    Formed,
    Prepared,
    Result,
    prepare_values,
    result,
    stacked,
)
from tasks.objective import accuracy
from tasks.section import Section


class SamplesLastRunner:
    """Runs a program whose body is MLP-like, a block of points at a time."""

    def __init__(self, program: Program, choice: EngineChoice) -> None:
        self._program = program
        self._choice = choice
        self._device = torch.device(choice.device)
        self._held = (*program.held, *program.fixed)
        self._body = batched_body(program, choice.point_block)
        self._transform = program.transform_module()
        values = [node.meta["val"] for node in program.frontier]
        self._forms = [
            ((choice.point_block, *value.shape[1:], value.shape[0]), value.dtype)
            for value in values
        ]

    def prepare(self, section: Section, block: Block) -> Prepared:
        """What is evaluated once for a block, samples last."""
        values = prepare_values(self._program, section, block, self._choice)
        program = self._program
        held = [
            self._as_held(node, values[node].to(node.meta["val"].dtype))  # type: ignore[union-attr]
            for node in self._held
        ]
        frontier = [
            stacked(values[node], node.meta["val"].shape, samples_last) for node in program.frontier
        ]
        return Prepared(block.valid, block.before, block.targets, tuple(held), tuple(frontier))

    def _as_held(self, node: fx.Node, value: Tensor) -> Tensor:
        if self._program.traits[node].data:
            return samples_last(value).contiguous()
        return value

    def form(self, section: Section, points: Floats) -> Formed:
        """Parameter-only nodes of each block of points; the last block is filled up."""
        size = self._choice.point_block
        names = self._program.moving_names
        form = PointParameters(section, names, self._device)
        padded = _filled_up(points, size)
        blocks = []
        for p in range(0, len(padded), size):
            values = self._transformed(form.at(padded[p : p + size], self._choice.sum_dtype))
            blocks.append(
                tuple(
                    value.to(node.meta["val"].dtype).contiguous()
                    for value, node in zip(values, self._program.transformed, strict=True)
                )
            )
        return Formed(padded, len(points), blocks, self._choice.sum_dtype, self._device, {})

    def _transformed(self, parameters: list[Tensor]) -> Sequence[Tensor]:
        if all(node.op == "placeholder" for node in self._program.transformed):
            return parameters
        at_points = [self._transform(*point) for point in zip(*parameters, strict=True)]
        return [torch.stack(values) for values in zip(*at_points, strict=True)]

    def run(self, prepared: Prepared, formed: Formed) -> Iterator[Result]:
        """Losses of the block, a block of points at a time."""
        size = self._choice.point_block
        # GraphModule.__call__ only adds hooks, which cost more than some of the operations.
        body = self._body.forward
        terms = [
            (torch.split(formed.monomials(exponents), size), coefficients, *form)
            for (exponents, coefficients), form in zip(prepared.frontier, self._forms, strict=True)
        ]
        for number, parameters in enumerate(formed.parameters):
            low = number * size
            expanded = [
                torch.mm(monomials[number], coefficients).view(shape).to(dtype)
                for monomials, coefficients, shape, dtype in terms
            ]
            values = body(*expanded, *prepared.held, *parameters)
            losses, outputs, pieces = self._program.sorted_results(values)
            where = slice(low, min(low + size, formed.valid))
            hits = None if outputs is None else _hits(outputs, prepared.targets)
            # Pieces of a vector of samples are those of one unit.
            rows = [part if part.dim() > 2 else part[:, None] for part in pieces]
            yield result(where, prepared, losses, hits, rows)


def _hits(outputs: Tensor, targets: Tensor) -> Tensor:
    """The accuracy (P, B) of outputs (P, …, B) against targets (B, …)."""
    points, samples = outputs.shape[0], outputs.shape[-1]
    repeated = targets.expand(points, *targets.shape).flatten(0, 1)
    return accuracy(outputs.movedim(-1, 1).flatten(0, 1), repeated).view(points, samples)


def _filled_up(points: Floats, size: int) -> Floats:
    return np.concatenate([points, np.repeat(points[-1:], -len(points) % size, axis=0)])
