"""How far the landscape of one split is that of another.

Each compared split against the reference split, the first. With d = loss − reference loss over
the points where both are finite: sup|d|, √mean(d²) and the same about the mean of d; Pearson
correlation and the least-squares line loss ≈ intercept + slope · reference loss; where each has
its least value, and the regret of trusting the reference: loss(argmin reference) − min loss.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pipeline.analysis.frame import Frame
from pipeline.analysis.proximity import cell_of, gap, place_of
from pipeline.analysis.sweep import PREDICTED, REFERENCE, Summary


def transfer(frame: Frame, summary: Summary) -> dict[str, npt.NDArray[np.generic]]:
    """The transfer statistics of one replicate save those of ranks; C = compared splits.

    Each (C,), the shifts of the argmin (C, z); nothing at all when there is but one split. The
    error of the predicted difference is NaN for a split that has none.
    """
    reference, *compared = frame.splits
    if not compared:
        return {}
    d = [summary.sums.differences[REFERENCE, split] for split in compared]
    pairs = [summary.sums.pairs[split] for split in compared]
    minima = [summary.minima[split] for split in compared]
    best = summary.minima[reference]
    values: dict[str, npt.NDArray[np.generic]] = {
        "transfer_sup": np.array([each.sup for each in d]),
        "transfer_rms": np.array([each.rms for each in d]),
        "transfer_rms_after_constant": np.array([each.deviation for each in d]),
        "transfer_pearson": np.array([pair.correlation for pair in pairs]),
        "transfer_slope": np.array([pair.slope for pair in pairs]),
        "transfer_intercept": np.array([pair.intercept for pair in pairs]),
        "transfer_points": np.array([each.count for each in d]),
        "transfer_argmin_shift": np.array(
            [place_of(frame, each) - place_of(frame, best) for each in minima]
        ),
        "transfer_argmin_cells": np.array(
            [cell_of(frame, each) - cell_of(frame, best) for each in minima]
        ),
        "transfer_regret": np.array(
            [
                math.nan if best is None or each is None else gap(best.losses[s], each.value)
                for s, each in enumerate(minima, start=1)
            ]
        ),
    }
    predictions = [summary.sums.differences.get((PREDICTED, split)) for split in compared]
    if any(each is not None for each in predictions):
        values["transfer_prediction_error"] = np.array(
            [math.nan if each is None else each.sup for each in predictions]
        )
    return values
