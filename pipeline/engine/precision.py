"""What reduced precision costs: the loss in bfloat16 against float32 on a few points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.engine.choice import make_evaluator
from pipeline.engine.contract import EngineChoice
from schemas.grid import Grid
from tasks.landscape import Landscape

_POINTS = 8


def measured_error(
    landscape: Landscape, grid: Grid, splits: Sequence[str], choice: EngineChoice, seed: int
) -> float:
    """Greatest relative error of the loss against float32 on random points of the grid."""
    random = np.random.default_rng(seed)
    shards = random.integers(grid.n_shards, size=_POINTS)
    blocks = [grid.shard(int(shard)) for shard in shards]
    at = [int(random.integers(block.size)) for block in blocks]
    points = np.concatenate([grid.points(b, i, i + 1) for b, i in zip(blocks, at, strict=True)])
    wide = replace(choice, dtype="float32")
    found, exact = (
        make_evaluator(landscape, splits, ("loss",), one).evaluate(points)["loss"]
        for one in (choice, wide)
    )
    finite = np.isfinite(exact) & (exact != 0)
    if not finite.any():
        return float("nan")
    return float((np.abs(found[finite] - exact[finite]) / np.abs(exact[finite])).max())
