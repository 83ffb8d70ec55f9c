"""The numbers that decide the claims on patterns, read from analysed scans.

A statistic is a function of the scans (name → xarray.DataTree) that gives a number, or None
where the scan, its analysis or a split is missing. Of replicates the worst one speaks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from schemas.layout import ANALYSIS_GROUP, COMPARED, SPLIT
from schemas.study import Statistic

Values: TypeAlias = npt.NDArray[np.float64]
Scans: TypeAlias = Mapping[str, Any]

TRAIN = "train"


def sup_after_constant(scan: str) -> Statistic:
    """Greatest |L − target_loss − a| on the train split for the best a, over the target's range."""
    return _relative(scan, "fidelity_sup_after_constant")


def rms_after_constant(scan: str) -> Statistic:
    """Root mean square of L − target_loss − a on the train split, over the target's range."""
    return _relative(scan, "fidelity_rmse_after_constant")


def mean_error(scan: str) -> Statistic:
    """Mean |L − target_loss| on the train split, no constant allowed, over the target's range."""
    return _relative(scan, "fidelity_mae")


def prediction_error(scan: str, split: str) -> Statistic:
    """Greatest |L_split − L_train − predicted difference|."""
    return _greatest(lambda scans: _compared(scans, scan, "transfer_prediction_error", split))


def transfer_sup(scan: str, split: str) -> Statistic:
    """Greatest |L_split − L_train|: plain transfer, with no correction."""
    return _greatest(lambda scans: _compared(scans, scan, "transfer_sup", split))


def transfer_rms(scan: str, split: str) -> Statistic:
    """Root mean square of L_split − L_train, less its mean, over the target's range."""
    return _greatest(
        lambda scans: (
            _compared(scans, scan, "transfer_rms_after_constant", split)
            / _analysis(scans, scan, "target_range")
        )
    )


def above_floor(scan: str) -> Statistic:
    """Least L_train minus the floor of a section that is blind to its inputs."""
    return _least(lambda scans: _analysis(scans, scan, "gap_to_section_floor"))


def above_floor_of(scan: str, blind: str) -> Statistic:
    """Least L_train of one scan minus the floor of another one, whose section is blind."""

    def values(scans: Scans) -> Values:
        floor = _of_train(scans, blind, "minimum") - _analysis(scans, blind, "gap_to_section_floor")
        return np.asarray(_of_train(scans, scan, "minimum") - floor)

    return _least(values)


def gap_to_global_minimum(scan: str) -> Statistic:
    """Least L_train minus the least loss that any parameters reach."""
    return _greatest(lambda scans: _analysis(scans, scan, "gap_to_global_minimum"))


def miss_of_minimiser(scan: str) -> Statistic:
    """Distance from the argmin of L_train to the nearest minimiser of the target."""
    return _greatest(lambda scans: _of_train(scans, scan, "proximity_distance"))


def _relative(scan: str, name: str) -> Statistic:
    return _greatest(
        lambda scans: _of_train(scans, scan, name) / _analysis(scans, scan, "target_range")
    )


def _greatest(values: Callable[[Scans], Values]) -> Statistic:
    return _reduced(values, np.max)


def _least(values: Callable[[Scans], Values]) -> Statistic:
    return _reduced(values, np.min)


def _reduced(values: Callable[[Scans], Values], worst: Callable[[Values], Any]) -> Statistic:
    def statistic(scans: Scans) -> float | None:
        try:
            found = values(scans)
        except KeyError:
            return None
        number = float(worst(found))  # a NaN among the replicates makes this NaN
        return None if math.isnan(number) else number

    return statistic


def _analysis(scans: Scans, scan: str, name: str) -> Values:
    return np.asarray(scans[scan][ANALYSIS_GROUP][name].values, dtype=np.float64)


def _of_train(scans: Scans, scan: str, name: str) -> Values:
    chosen = scans[scan][ANALYSIS_GROUP][name].sel({SPLIT: TRAIN})
    return np.asarray(chosen.values, dtype=np.float64)


def _compared(scans: Scans, scan: str, name: str, split: str) -> Values:
    chosen = scans[scan][ANALYSIS_GROUP][name].sel({COMPARED: split})
    return np.asarray(chosen.values, dtype=np.float64)
