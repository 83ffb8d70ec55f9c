"""Rank correlation and overlap of sub-level sets of two splits, exactly, field by field.

Both are taken over the n points where both losses are finite. Spearman's correlation is Pearson's
of the average ranks (ties share their mean rank); it is NaN where a loss is constant. The
sub-level set at quantile q of a loss is {loss ≤ v}, v being its ⌈q n⌉-th least value: an observed
value, so the set is never empty and takes in every point that ties with v. The overlap of two
sets is |A ∩ B| / |A ∪ B|.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from pipeline.analysis.frame import Frame, computed
from pipeline.analysis.moments import Comoments
from pipeline.analysis.sweep import SLAB
from schemas.statistics import IOU_QUANTILES

EXACT_POINTS = 2**22
"""Greatest number of points whose fields are held in memory and sorted."""


@dataclass(frozen=True)
class Ranking:
    """Rank statistics of a compared split against the reference, and bounds of their errors."""

    spearman: float
    iou: tuple[float, ...]
    spearman_bound: float = 0.0
    iou_bound: float = 0.0


def exact_rankings(frame: Frame) -> list[list[Ranking]]:
    """The ranking of every compared split of every replicate, exactly.

    As many replicates are in memory at a time as make up EXACT_POINTS, at least one.
    """
    together = max(1, EXACT_POINTS // (frame.n_points * len(frame.splits)))
    found: list[list[Ranking]] = []
    for lo in range(0, frame.n_replicates, together):
        (losses,) = computed(frame.loss[lo : lo + together])
        for loss in losses:
            reference, *compared = loss.reshape(len(frame.splits), -1)
            found.append([rank(reference, other) for other in compared])
    return found


def rank(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Ranking:
    """The exact ranking of two fields of equal length in memory."""
    both = np.isfinite(x) & np.isfinite(y)
    if not both.all():
        x, y = x[both], y[both]
    if not x.size:
        return Ranking(math.nan, (math.nan,) * len(IOU_QUANTILES))
    thresholds = zip(_quantiles(x), _quantiles(y), strict=True)
    iou = tuple(overlap(x <= at_x, y <= at_y) for at_x, at_y in thresholds)
    ranks_x, ranks_y = stats.rankdata(x), stats.rankdata(y)
    parts = [
        Comoments.of(ranks_x[lo : lo + SLAB], ranks_y[lo : lo + SLAB])
        for lo in range(0, x.size, SLAB)
    ]
    return Ranking(Comoments.merge(parts).correlation, iou)


def nth_least(q: float, n: int) -> int:
    """⌈q n⌉, at least 1, with q n taken to a millionth: 0.1 · 30 is 3."""
    return max(1, math.ceil(round(q * n, 6)))


def overlap(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    """|A ∩ B| / |A ∪ B| of two sets that are not both empty."""
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


def _quantiles(values: npt.NDArray[Any]) -> Sequence[Any]:
    places = [nth_least(q, values.size) - 1 for q in IOU_QUANTILES]
    parted = np.partition(values, sorted(set(places)))
    return [parted[place] for place in places]
