"""How faithfully the loss follows the target it was built to contain.

With d = loss − target_loss over the points where both are finite: sup|d|, √mean(d²), mean|d|,
the constant c = mean(d) that fits best in the mean square, and sup and rms of d − c. The a of
Theorem 1 (Czarnecki et al. 2019, arXiv 1912.07559) is the mean of loss − target.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.analysis.frame import Frame
from pipeline.analysis.sweep import Summary
from schemas.layout import TARGET, TARGET_LOSS


def fidelity(frame: Frame, summary: Summary) -> dict[str, npt.NDArray[np.generic]]:
    """The fidelity statistics of one replicate that apply, each (S,) or ()."""
    values: dict[str, npt.NDArray[np.generic]] = {}
    if TARGET_LOSS in frame.fields:
        d = [summary.sums.differences[TARGET_LOSS, split] for split in frame.splits]
        values = {
            "fidelity_sup": np.array([each.sup for each in d]),
            "fidelity_rmse": np.array([each.rms for each in d]),
            "fidelity_mae": np.array([each.mean_absolute for each in d]),
            "fidelity_constant": np.array([each.mean for each in d]),
            "fidelity_sup_after_constant": np.array([each.sup_about_mean for each in d]),
            "fidelity_rmse_after_constant": np.array([each.deviation for each in d]),
            "fidelity_points": np.array([each.count for each in d]),
            "target_range": np.array(summary.sums.spreads[TARGET_LOSS].range),
        }
    if TARGET in frame.fields:
        d = [summary.sums.differences[TARGET, split] for split in frame.splits]
        values["theorem_constant"] = np.array([each.mean for each in d])
    return values
