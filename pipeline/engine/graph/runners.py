"""How the points of a program are run: one after another here, together in `samples_last`.

Shape legend: P = points, B = samples of a block, M = monomials.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor, fx

from pipeline.engine.blocks import Block
from pipeline.engine.contract import EngineChoice, Floats
from pipeline.engine.graph.points import PointParameters
from pipeline.engine.graph.polynomials import Exponents, Polynomial, monomial_values
from pipeline.engine.graph.program import Program
from tasks.objective import accuracy
from tasks.section import Section

Result: TypeAlias = tuple[slice, Tensor, Tensor | None, Sequence[Tensor]]
"""Where among the points, losses (P, B), hits (P, B) if the accuracy is wanted, and the pieces
(P, U, B) of each operation if activation cells are."""


@dataclass(frozen=True)
class Prepared:
    """What is evaluated once for a block of samples.

    Attributes:
        valid: samples that count.
        before: samples of the split in earlier blocks.
        targets: of the block.
        held: values of the program's held and fixed nodes.
        frontier: for each frontier node its monomials and their coefficients (M, numbers).
    """

    valid: int
    before: int
    targets: Tensor
    held: tuple[Tensor, ...]
    frontier: tuple[tuple[tuple[Exponents, ...], Tensor], ...]


@dataclass(frozen=True)
class Formed:
    """What is needed of points, whatever the block.

    Attributes:
        points: (P, z); in a runner of blocks of points filled up to whole blocks.
        valid: points that count.
        parameters: values of the parameter-only nodes, for each point or block of points.
    """

    points: Floats
    valid: int
    parameters: list[tuple[Tensor, ...]]
    sum_dtype: torch.dtype
    device: torch.device
    known: dict[tuple[Exponents, ...], Tensor]

    def monomials(self, exponents: tuple[Exponents, ...]) -> Tensor:
        """Values of monomials at the points, (P, M)."""
        if exponents not in self.known:
            values = torch.from_numpy(monomial_values(self.points, exponents))
            self.known[exponents] = values.to(self.device, self.sum_dtype)
        return self.known[exponents]


def result(
    where: slice,
    prepared: Prepared,
    losses: Tensor,
    hits: Tensor | None,
    pieces: Sequence[Tensor],
) -> Result:
    """The same without the samples and points that fill up their blocks."""
    wanted = (where.stop - where.start, prepared.valid)
    if losses.shape != wanted:
        losses = losses[: wanted[0], : wanted[1]]
        hits = None if hits is None else hits[: wanted[0], : wanted[1]]
        pieces = [part[: wanted[0], :, : wanted[1]] for part in pieces]
    return where, losses, hits, pieces


class Runner(Protocol):
    """Runs the points of one program."""

    def prepare(self, section: Section, block: Block) -> Prepared:
        """What is evaluated once for a block."""
        ...

    def form(self, section: Section, points: Floats) -> Formed:
        """What is needed of points (P, z)."""
        ...

    def run(self, prepared: Prepared, formed: Formed) -> Iterator[Result]:
        """Losses of the block at every point."""
        ...


class PointRunner:
    """Runs a program point by point; anything that can be traced can be run so."""

    def __init__(self, program: Program, choice: EngineChoice) -> None:
        self._program = program
        self._choice = choice
        self._device = torch.device(choice.device)
        given = (*program.frontier, *program.held, *program.fixed, *program.transformed)
        self._body = program.module(given, program.body, program.results)
        self._transform = program.transform_module()

    def prepare(self, section: Section, block: Block) -> Prepared:
        """What is evaluated once for a block: convolutions find their channels last."""
        values = prepare_values(self._program, section, block, self._choice)
        program = self._program
        held = tuple(
            channels_last(values[node].to(node.meta["val"].dtype))  # type: ignore[union-attr]
            for node in (*program.held, *program.fixed)
        )
        frontier = tuple(
            stacked(values[node], node.meta["val"].shape, _images_as_stored)
            for node in program.frontier
        )
        return Prepared(block.valid, block.before, block.targets, held, frontier)

    def form(self, section: Section, points: Floats) -> Formed:
        """What is needed of points: the parameter-only nodes of each."""
        names = self._program.moving_names
        form = PointParameters(section, names, self._device)
        parameters = [
            self._transformed([part[0] for part in form.at(points[p : p + 1], self._sum_dtype)])
            for p in range(len(points))
        ]
        return Formed(points, len(points), parameters, self._sum_dtype, self._device, {})

    @property
    def _sum_dtype(self) -> torch.dtype:
        return self._choice.sum_dtype

    def _transformed(self, parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
        values = self._transform(*parameters)
        return tuple(
            channels_last(value.to(node.meta["val"].dtype))
            for value, node in zip(values, self._program.transformed, strict=True)
        )

    def run(self, prepared: Prepared, formed: Formed) -> Iterator[Result]:
        """Losses of the block, point by point."""
        for p in range(len(formed.points)):
            expanded = [
                self._combined(node, formed.monomials(exponents)[p : p + 1], coefficients)
                for node, (exponents, coefficients) in zip(
                    self._program.frontier, prepared.frontier, strict=True
                )
            ]
            values = self._body(*expanded, *prepared.held, *formed.parameters[p])
            losses, outputs, pieces = self._program.sorted_results(values)
            hits = None if outputs is None else accuracy(outputs, prepared.targets)[None]
            axes = self._program.risk.piece_axes
            rows = [
                part.movedim(axis, -1).reshape(1, -1, part.shape[axis])
                for part, axis in zip(pieces, axes, strict=True)
            ]
            yield result(slice(p, p + 1), prepared, losses[None], hits, rows)

    @staticmethod
    def _combined(node: fx.Node, monomials: Tensor, coefficients: Tensor) -> Tensor:
        shape = node.meta["val"].shape
        flat = torch.mm(monomials, coefficients).to(node.meta["val"].dtype)
        if len(shape) == _IMAGES:
            samples, channels, rows, columns = shape
            return flat.view(samples, rows, columns, channels).permute(0, 3, 1, 2)
        return flat.view(shape)


_IMAGES = 4


def channels_last(value: Tensor) -> Tensor:
    """Images and their filters with the channels last in memory, as convolutions like them."""
    if value.dim() != _IMAGES:
        return value
    return value.contiguous(memory_format=torch.channels_last)


def prepare_values(
    program: Program, section: Section, block: Block, choice: EngineChoice
) -> dict[fx.Node, Tensor | Polynomial]:
    """`Program.prepare` in the dtype of sums, on the choice's device."""
    device, dtype = torch.device(choice.device), choice.sum_dtype
    names = program.prefix_names
    origin = {name: section.origin[name].to(device, dtype) for name in names}
    directions = tuple(
        {name: d[name].to(device, dtype) for name in names if name in d} for d in section.directions
    )
    inputs = block.inputs.to(dtype) if block.inputs.is_floating_point() else block.inputs
    return program.prepare(origin, directions, inputs, block.targets)


def stacked(
    polynomial: Tensor | Polynomial, shape: Sequence[int], arrange: Callable[[Tensor], Tensor]
) -> tuple[tuple[Exponents, ...], Tensor]:
    """A polynomial's monomials and its coefficients as rows (M, numbers), arranged in memory."""
    if not isinstance(polynomial, Polynomial):
        raise TypeError(f"expected a polynomial, got {type(polynomial).__name__}")
    exponents = tuple(sorted(polynomial))
    rows = [arrange(polynomial[one].expand(*shape)).reshape(-1) for one in exponents]
    return exponents, torch.stack(rows)


def _images_as_stored(value: Tensor) -> Tensor:
    return value.permute(0, 2, 3, 1) if value.dim() == _IMAGES else value
