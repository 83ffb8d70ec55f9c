"""What reduced precision costs: the loss in bfloat16 against float32 on a few points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.engine.choice import make_evaluator
from pipeline.engine.contract import EngineChoice, Floats
from tasks.landscape import Landscape


def measured_error(
    landscape: Landscape, points: Floats, splits: Sequence[str], choice: EngineChoice
) -> float:
    """Greatest relative error of the loss against float32 at points (P, z)."""
    wide = replace(choice, dtype="float32")
    found, exact = (
        make_evaluator(landscape, splits, ("loss",), one).evaluate(points)["loss"]
        for one in (choice, wide)
    )
    finite = np.isfinite(exact) & (exact != 0)
    if not finite.any():
        return float("nan")
    return float((np.abs(found[finite] - exact[finite]) / np.abs(exact[finite])).max())
