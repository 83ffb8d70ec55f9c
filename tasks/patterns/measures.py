"""Statistics that decide the pattern theorems' claims.

Each reads a study's analysed scans: name → DataTree with the groups `analysis` and `descent`, whose
variables are those of `schemas.layout`. Over replicates the worst one counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from schemas.layout import SPLIT
from schemas.statistics import COMPARED
from schemas.study import Statistic
from tasks.facts import Trees

if TYPE_CHECKING:
    import xarray as xr


def relative_sup(scan: str) -> Statistic:
    """Sup |loss − target_loss − constant| on the train split, over the range of T."""
    return _on_train(scan, "fidelity_sup_after_constant")


def relative_rms(scan: str) -> Statistic:
    """Root mean square of loss − target_loss − constant on train, over the range of T."""
    return _on_train(scan, "fidelity_rmse_after_constant")


def mean_error(scan: str) -> Statistic:
    """Mean |loss − target_loss| on train, without any constant, over the range of T."""
    return _on_train(scan, "fidelity_mae")


def _on_train(scan: str, variable: str) -> Statistic:
    def statistic(scans: Trees) -> float:
        found = _statistics(scans, scan)
        return _worst(found[variable].sel({SPLIT: "train"}) / found["target_range"])

    return statistic


def prediction_error(scan: str, split: str) -> Statistic:
    """Sup |loss(split) − loss(train) − what the label marginals predict|; None if unpredicted."""

    def statistic(scans: Trees) -> float | None:
        found = _statistics(scans, scan)
        if "transfer_prediction_error" not in found:
            return None
        return _worst(found["transfer_prediction_error"].sel({COMPARED: split}))

    return statistic


def plain_difference(scan: str, split: str) -> Statistic:
    """Sup |loss(split) − loss(train)|."""
    return lambda scans: _worst(_statistics(scans, scan)["transfer_sup"].sel({COMPARED: split}))


def relative_difference(scan: str, split: str) -> Statistic:
    """Root mean square of loss(split) − loss(train), over the range of T; the least replicate."""

    def statistic(scans: Trees) -> float:
        found = _statistics(scans, scan)
        rms = found["transfer_rms"].sel({COMPARED: split})
        return float(np.asarray(rms / found["target_range"]).min())

    return statistic


def below_floor(scan: str) -> Statistic:
    """How far the least loss lies below the section's floor; negative when it is above."""
    return lambda scans: _worst(-_statistics(scans, scan)["gap_to_section_floor"])


def above_global_minimum(scan: str) -> Statistic:
    """The least loss on train minus the global minimum, over the range of T."""

    def statistic(scans: Trees) -> float:
        found = _statistics(scans, scan)
        return _worst(found["gap_to_global_minimum"] / found["target_range"])

    return statistic


def gained_by_descent(scan: str) -> Statistic:
    """What training every parameter on from the scan's minimum gains, over the range of T."""

    def statistic(scans: Trees) -> float | None:
        if "descent" not in scans[scan].children:
            return None
        descent = scans[scan]["descent"].to_dataset()
        gained = descent["descent_loss_start"] - descent["descent_loss_end"]
        return _worst(gained / _statistics(scans, scan)["target_range"])

    return statistic


def _statistics(scans: Trees, scan: str) -> xr.Dataset:
    return scans[scan]["analysis"].to_dataset()


def _worst(values: xr.DataArray) -> float:
    return float(np.asarray(values).max())
