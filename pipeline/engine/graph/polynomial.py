"""A loss that is itself a polynomial in α, as that of a deep linear net under squared error.

Its coefficients are summed over the samples once; a point then costs as many multiplications as
there are monomials, whatever the net and the data.

Shape legend: P = points, S = splits, M = monomials.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import torch

from pipeline.engine.blocks import Blocks, split_blocks
from pipeline.engine.contract import EngineChoice, Evaluator, Floats, Values
from pipeline.engine.graph.polynomials import Exponents, Polynomial, monomial_values
from pipeline.engine.graph.program import Program
from pipeline.engine.graph.runners import prepare_values
from pipeline.engine.graph.traced import programs
from pipeline.engine.graph.tracing import Untraceable
from tasks.objective import EmpiricalRisk
from tasks.section import Section

# Sum of the terms' absolute values over the value: digits that cancel. Beyond this, a point is
# evaluated directly, so that no stored digit is lost.
_MOST_CANCELLATION = {torch.float32: 1e5, torch.float64: 1e2}


class PolynomialEvaluator:
    """Evaluates a loss that is a polynomial in α, in float64.

    Where its terms nearly cancel, as at a zero of the loss far from the origin, `direct` is asked
    instead.
    """

    def __init__(
        self,
        objective: EmpiricalRisk,
        section: Section,
        splits: Sequence[str],
        choice: EngineChoice,
        direct: Callable[[], Evaluator],
    ) -> None:
        exact = replace(choice, dtype="float64", outer=())
        blocks = split_blocks(objective, splits, exact)
        made = programs(objective, section, blocks, ("loss",), exact)
        if not all(program.is_polynomial for program in made):
            raise Untraceable("the loss is no polynomial in the coordinates")
        self._most = _MOST_CANCELLATION[choice.sum_dtype]
        self._make_direct = direct
        self._direct: Evaluator | None = None
        with torch.inference_mode():
            self._splits = [
                _coefficients(program, section, part, len(objective.splits[split]), exact)
                for program, part, split in zip(made, blocks, splits, strict=True)
            ]

    def evaluate(self, points: Floats) -> Values:
        """Loss at points (P, z): {"loss": (S, P)}, float64."""
        loss = np.empty((len(self._splits), len(points)))
        doubtful = np.zeros(len(points), dtype=bool)
        for row, (exponents, coefficients) in enumerate(self._splits):
            values = monomial_values(points, exponents)
            # Row by row: a matrix product would round by the number of points.
            terms = values * coefficients
            loss[row] = terms.sum(axis=1)
            size = np.abs(terms).sum(axis=1)
            doubtful |= ~(size <= self._most * np.abs(loss[row]))
        if doubtful.any():
            self._direct = self._direct or self._make_direct()
            loss[:, doubtful] = self._direct.evaluate(points[doubtful])["loss"]
        return {"loss": loss}


def _coefficients(
    program: Program, section: Section, blocks: Blocks, samples: int, choice: EngineChoice
) -> tuple[tuple[Exponents, ...], Floats]:
    """Monomials and coefficients (M,) of the mean loss of a split."""
    sums: dict[Exponents, float] = {}
    for block in blocks:
        losses = prepare_values(program, section, block, choice)[program.risk.losses]
        for exponents, values in cast("Polynomial", losses).items():
            own = float(values.expand(program.risk.samples)[: block.valid].sum())
            sums[exponents] = sums.get(exponents, 0.0) + own
    ordered = tuple(sorted(sums))
    return ordered, np.array([sums[one] for one in ordered]) / samples
