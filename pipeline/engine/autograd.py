"""Derivatives of the loss by automatic differentiation: any module, point by point.

Shape legend: P = points, S = splits, z = axes, B = samples of a block, *extra = a metric's own
dimensions.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from pipeline.engine.blocks import Block, Blocks, split_blocks
from pipeline.engine.cells import CELL_METRICS, Cells, PieceRecorder, recorded
from pipeline.engine.contract import (
    EngineChoice,
    Floats,
    Values,
    changes_inputs,
    load_origin,
    trainable_names,
)
from pipeline.engine.totals import Totals
from schemas.layout import METRICS
from tasks.kernels import open_kernels
from tasks.objective import EmpiricalRisk, accuracy, per_sample
from tasks.section import Section
from tasks.spectrum import TOLERANCE, extreme_eigenvalues

_Named: TypeAlias = Mapping[str, Tensor]

_OF_SAMPLES = ("loss", "accuracy", "loss_stderr")
_EIGENVALUES = ("hessian_eigenvalue_min", "hessian_eigenvalue_max")
_OF_AXES = frozenset({"section_gradient", "section_hessian"})
_OF_PARAMETERS = frozenset({"gradient_norm", *_EIGENVALUES})


@dataclass
class _Sums:
    """Sums over the samples of a split at one point.

    Attributes:
        gradient: of the loss, for each parameter that needs one, float64.
        curvature: second derivatives along the axes (z, z), float64.
        cell: hash of the activation cell.
        changes: pieces that are not those of the origin.
    """

    gradient: dict[str, Tensor]
    curvature: Tensor
    cell: int = 0
    changes: int = 0


class AutogradEvaluator:
    """Evaluates every metric of any module, setting its parameters to each point in turn.

    Parameters are formed in float64 and rounded once; sums over sample blocks are float64.
    Derivatives are exact up to rounding: second ones go through the graph of the gradient again
    (Pearlmutter 1994, Neural Computation 6(1), 147–160). Where the mean loss is not finite they
    are NaN. Those along the axes take in every parameter that a direction moves; `gradient_norm`
    and the eigenvalues are over the trainable parameters, which are those that require a gradient
    in the module given, or all where none does.

    Raises SpecError when activation cells are wanted of a module without piecewise-linear units.
    """

    def __init__(
        self,
        objective: EmpiricalRisk,
        section: Section,
        splits: Sequence[str],
        metrics: Sequence[str],
        choice: EngineChoice,
    ) -> None:
        self._device, self._dtype = torch.device(choice.device), choice.sum_dtype
        self._metrics = frozenset(metrics)
        self._section = section
        self._directions = [
            {name: tensor.to(self._device) for name, tensor in direction.items()}
            for direction in section.directions
        ]
        module = copy.deepcopy(objective.module).eval()
        self._trainable = trainable_names(module)
        self._module = module.requires_grad_(False).to(self._device, self._dtype)
        load_origin(self._module, section.origin)
        self._loss = objective.loss
        blocks = split_blocks(objective, splits, choice)
        self._splits: list[Sequence[Block] | Blocks] = [
            [*part] if choice.keep else part for part in blocks
        ]
        self._changes_inputs = changes_inputs(self._module, blocks[0][0].inputs)
        self._whole = [part.count == 1 for part in blocks]
        self._samples = [len(objective.splits[split]) for split in splits]
        wanted = [metric for metric in CELL_METRICS if metric in metrics]
        self._cells = None
        if wanted:
            with open_kernels(self._module):
                self._cells = Cells(self._module, self._splits[0][0].inputs, wanted[0])

    def evaluate(self, points: Floats) -> Values:
        """Metrics at points (P, z): metric → (S, *extra, P), float64 or the metric's integers."""
        with open_kernels(self._module):
            found = [self._at(point) for point in points]
        return {
            name: np.stack(
                [np.asarray(one[name], dtype=METRICS[name].dtype or np.float64) for one in found],
                axis=-1,
            )
            for name in self._metrics
        }

    def _at(self, point: Floats) -> dict[str, Any]:
        """Metrics at one point (z,): metric → (S, *extra)."""
        leaves = self._leaves(point)
        totals = Totals(_OF_SAMPLES, self._samples, 1, self._device)
        swept = [self._sweep(leaves, row, totals) for row in range(len(self._splits))]
        values: dict[str, Any] = {name: part[:, 0] for name, part in totals.values().items()}
        slow = [
            self._derived(leaves, row, sums, bool(np.isfinite(values["loss"][row])))
            for row, sums in enumerate(swept)
        ]
        return values | {name: [one[name] for one in slow] for name in slow[0]}

    def _leaves(self, point: Floats) -> dict[str, Tensor]:
        """The parameters at a point; those that need a gradient require it."""
        moved = self._section.parameters(torch.from_numpy(point[None]))
        leaves = {name: part[0].to(self._device, self._dtype) for name, part in moved.items()}
        learn: set[str] = set()
        if self._metrics & _OF_AXES:
            learn.update(self._section.touched)
        if self._metrics & _OF_PARAMETERS:
            learn.update(self._trainable)
        for name in sorted(learn - leaves.keys()):
            leaves[name] = self._module.get_parameter(name).detach()
        return {name: leaf.requires_grad_(name in learn) for name, leaf in leaves.items()}

    def _sweep(self, leaves: _Named, row: int, totals: Totals) -> _Sums:
        """One pass over a split, for everything but the eigenvalues."""
        z = len(self._directions)
        learn = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
        first_order = bool(self._metrics & {"gradient_norm", *_OF_AXES})
        sums = _Sums(
            {name: torch.zeros_like(leaf, dtype=torch.float64) for name, leaf in learn.items()},
            torch.zeros(z, z, dtype=torch.float64, device=self._device),
        )
        for block in self._splits[row]:
            with torch.set_grad_enabled(first_order):
                losses, outputs, pieces = self._forward(leaves, block)
            hits = None
            if "accuracy" in self._metrics:
                hits = accuracy(outputs, block.targets[: block.valid])[None]
            totals.add(row, slice(0, 1), block.before, losses.detach()[None], hits)
            if first_order:
                self._add_derivatives(sums, learn, losses.sum())
            if self._cells is not None:
                self._add_cells(self._cells, sums, block, pieces)
        return sums

    def _inputs(self, block: Block) -> Tensor:
        inputs = block.inputs[: block.valid]
        return inputs.clone() if self._changes_inputs else inputs

    def _forward(self, leaves: _Named, block: Block) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Losses (B,), outputs (B, …) and, if they are wanted, the pieces of the units."""
        recorder = PieceRecorder()
        with nullcontext() if self._cells is None else recorder:
            outputs = functional_call(self._module, dict(leaves), (self._inputs(block),))
        losses = per_sample(self._loss, outputs, block.targets[: block.valid])
        return losses, outputs, recorder.pieces

    def _add_derivatives(self, sums: _Sums, learn: _Named, loss: Tensor) -> None:
        twice = "section_hessian" in self._metrics
        slopes = _gradient(loss, learn, twice=twice, keep=twice)
        for name, slope in slopes.items():
            sums.gradient[name] += slope.detach()
        if not twice:
            return
        moved = {name: learn[name] for name in self._section.touched}
        for i, direction in enumerate(self._directions):
            bends = _gradient(_dot(slopes, direction), moved, keep=True)
            for j, other in enumerate(self._directions):
                sums.curvature[i, j] += _dot(bends, other)

    def _add_cells(self, cells: Cells, sums: _Sums, block: Block, pieces: list[Tensor]) -> None:
        if "activation_cell" in self._metrics:
            sums.cell = (sums.cell + cells.hash(pieces, block.valid, block.before)) % 2**64
        if "activation_changes" in self._metrics:
            # Made again for each point: kept, they would take the memory of a whole split.
            origin = recorded(self._module, self._inputs(block))
            sums.changes += cells.changes(pieces, origin, block.before)

    def _derived(self, leaves: _Named, row: int, sums: _Sums, finite: bool) -> dict[str, Any]:
        """The metrics of a split that are not in Totals, each (*extra,)."""
        values: dict[str, Any] = {"activation_cell": sums.cell, "activation_changes": sums.changes}
        count = self._samples[row]
        if "gradient_norm" in self._metrics:
            squares = [sums.gradient[name].square().sum() for name in self._trainable]
            values["gradient_norm"] = np.sqrt(float(torch.stack(squares).sum())) / count
        if "section_gradient" in self._metrics:
            along = [float(_dot(sums.gradient, direction)) for direction in self._directions]
            values["section_gradient"] = np.array(along) / count
        if "section_hessian" in self._metrics:
            curvature = (sums.curvature + sums.curvature.T).cpu().numpy() / 2
            values["section_hessian"] = curvature / count
        if self._metrics & {*_EIGENVALUES}:
            # Lanczos is long, and would be in vain.
            ends = self._eigenvalues(leaves, row) if finite else (np.nan, np.nan)
            values |= dict(zip(_EIGENVALUES, ends, strict=True))
        if finite:
            return values
        return {
            name: value if name in CELL_METRICS else np.full_like(value, np.nan)
            for name, value in values.items()
        }

    def _eigenvalues(self, leaves: _Named, row: int) -> tuple[float, float]:
        learn = {name: leaves[name] for name in self._trainable}
        sizes = [leaf.numel() for leaf in learn.values()]
        blocks = self._splits[row]
        # The graph of a single block serves all products.
        kept = self._slopes(leaves, learn, blocks[0]) if self._whole[row] else None

        def product(vector: Floats) -> Floats:
            parts = torch.from_numpy(vector).to(self._device)
            direction = {
                name: part.reshape(leaf.shape)
                for (name, leaf), part in zip(learn.items(), torch.split(parts, sizes), strict=True)
            }
            total = torch.zeros(sum(sizes), dtype=torch.float64, device=self._device)
            for block in blocks:
                slopes = kept or self._slopes(leaves, learn, block)
                bends = _gradient(_dot(slopes, direction), learn, keep=kept is not None)
                total += torch.cat([bend.reshape(-1) for bend in bends.values()])
            found: Floats = total.cpu().numpy() / self._samples[row]
            return found

        return extreme_eigenvalues(product, sum(sizes), TOLERANCE[self._dtype])

    def _slopes(self, leaves: _Named, learn: _Named, block: Block) -> dict[str, Tensor]:
        """The gradient of a block's summed loss, as a graph of its own."""
        outputs = functional_call(self._module, dict(leaves), (self._inputs(block),))
        losses = per_sample(self._loss, outputs, block.targets[: block.valid])
        return _gradient(losses.sum(), learn, twice=True, keep=True)


def _gradient(
    value: Tensor, by: _Named, *, twice: bool = False, keep: bool = False
) -> dict[str, Tensor]:
    """The gradient of a number by each of the leaves; zero where it does not depend on them."""
    if not value.requires_grad:
        return {name: torch.zeros_like(leaf) for name, leaf in by.items()}
    slopes = torch.autograd.grad(
        value, list(by.values()), create_graph=twice, retain_graph=keep, materialize_grads=True
    )
    return dict(zip(by, slopes, strict=True))


def _dot(tensors: _Named, direction: _Named) -> Tensor:
    """Σ of products over the entries that the direction has, in float64."""
    products = [(tensors[name].double() * part).sum() for name, part in direction.items()]
    return torch.stack(products).sum()
