"""Statistics of trained networks, read off the scans at their checkpoints.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749, section 4. Shape legend: R = replicates,
C = checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from schemas.study import Hypothesis, Statistic
from tasks.facts import Trees, facts_of
from tasks.skips.measures import Floats, along

if TYPE_CHECKING:
    import xarray as xr

Facts: TypeAlias = Mapping[str, Any]

TRAIN, TEST = "train", "test"


def accuracies(tree: xr.DataTree, split: str) -> Floats:
    """At the checkpoints, (R, C)."""
    return along(tree, "accuracy", split)


def ends(tree: xr.DataTree, split: str) -> Floats:
    """Accuracies after the training, (R,)."""
    return accuracies(tree, split)[:, -1]


def epochs_kept(tree: xr.DataTree) -> Floats:
    """The epochs of the checkpoints, (C,), the same for all replicates."""
    return np.asarray(facts_of(tree)[0]["checkpoints"], dtype=np.float64)


def greatest_accuracy(scan: str) -> Statistic:
    """The greatest accuracy after the training, on either split, of any replicate."""
    return lambda scans: float(max(ends(scans[scan], split).max() for split in (TRAIN, TEST)))


def least_accuracy(scan: str, split: str) -> Statistic:
    """The least accuracy after the training of any replicate."""
    return lambda scans: float(ends(scans[scan], split).min())


def gain(scan: str, other: str) -> Statistic:
    """How much greater the test accuracy of one scan is, in the mean over replicates."""
    return lambda scans: float((ends(scans[scan], TEST) - ends(scans[other], TEST)).mean())


def epochs_to_zero_error(scan: str) -> Statistic:
    """The first checkpoint's epoch without a training error; infinite if there is none.

    The greatest over replicates.
    """

    def statistic(scans: Trees) -> float:
        tree = scans[scan]
        kept, samples = epochs_kept(tree), facts_of(tree)[0]["samples"]
        without = accuracies(tree, TRAIN) > 1 - 0.5 / samples
        first = [kept[row.argmax()] if row.any() else math.inf for row in without]
        return float(max(first))

    return statistic


def supposed(statement: str, scan: str, met: Callable[[Facts], bool]) -> Hypothesis:
    """Something the builder says of every replicate."""
    return Hypothesis(statement, lambda scans: all(met(facts) for facts in facts_of(scans[scan])))


def enough_units(facts: Facts) -> bool:
    """M ≥ N."""
    return bool(facts["skips"] >= facts["samples"])
