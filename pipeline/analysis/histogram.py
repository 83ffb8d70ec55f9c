"""Rank statistics of fields too large to sort, from histograms, with bounds of their errors.

A value's rank is taken to be the mean rank of its bin. Bins follow a sample of the field, so that
each holds about as many points. Two passes: the counts, then the products of ranks and the
overlaps.

Bound of Spearman's correlation. Write the true ranks as r = u + e, u being the bins' mean ranks.
e has mean zero within each bin, so it is orthogonal to u, and Σe² ≤ Σ(c³ − c)/12 over bins of
c points. The angle between r and u is then at most θ = arctan √(Σe² / Σ(u − ū)²), correlations
are cosines of angles, and |cos a − cos b| ≤ |a − b|: the error is at most θ_x + θ_y.

Bound of the overlap. A sub-level set is enlarged to whole bins: by at most c_x − 1 and c_y − 1
points. Each point more moves the overlap by at most 1/|A ∪ B| ≤ 1/⌈q n⌉.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from dask.delayed import delayed

from pipeline.analysis.frame import Floats, Frame, computed, over_blocks
from pipeline.analysis.moments import Spread, sum_of
from pipeline.analysis.ranks import Ranking, nth_least
from pipeline.analysis.sweep import SLAB, Summary
from schemas.statistics import IOU_QUANTILES

BINS = 2**16
SAMPLE_POINTS = 2**20
_RUNS = 16
_COARSE = 2**14

Counts: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bins:
    """Monotone bins of finite values: equal coarse cells, each cut into equal parts of its own.

    A value's key k is its place among all floats: cells are equal steps of the value where it
    spans less than an octave, and of its logarithm where it spans many. Key k lies in cell
    j = ⌊t⌋, t = (k − low) · scale, and in bin first_j + ⌊(t − j) parts_j⌋.
    """

    low: int
    scale: float
    first: npt.NDArray[np.int32]
    parts: npt.NDArray[np.float64]

    @classmethod
    def of(cls, sample: npt.NDArray[Any], spread: Spread) -> Bins:
        """At most BINS bins over the spread, in number following the sample's density."""
        low, high = (int(key) for key in _keys(np.array([spread.low, spread.high])))
        scale = _COARSE / max(1, high - low)
        t = _above(sample[np.isfinite(sample)], low) * scale
        density = np.bincount(t.astype(np.int64), minlength=_COARSE + 1)
        share = density / max(1, density.sum())
        parts = 1 + np.floor(share * (BINS - _COARSE - 1))
        first = np.concatenate([[0], np.cumsum(parts)[:-1]]).astype(np.int32)
        return cls(low, scale, first, parts)

    def __call__(self, values: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """The bin of each value, all of them finite and within the spread."""
        t = _above(values, self.low)
        t *= self.scale
        cell = t.astype(np.int32)
        t -= cell
        t *= self.parts[cell]
        bins: npt.NDArray[np.int32] = self.first[cell] + t.astype(np.int32)
        return bins


def _keys(values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Integers in the order of the values: IEEE 754 bits, those of negative numbers reversed."""
    # Adding zero makes −0 and 0 one value.
    bits: npt.NDArray[np.int64] = np.add(values, 0.0, dtype=np.float64).view(np.int64)
    bits ^= (bits >> 63) & np.iinfo(np.int64).max
    return bits


def _above(values: npt.NDArray[Any], low: int) -> Floats:
    """How far the keys of values lie above the key `low`."""
    keys = _keys(values)
    keys -= low
    # From the most negative float to the greatest is more than int64 holds, less than uint64.
    return keys.view(np.uint64).astype(np.float64)


@dataclass(frozen=True)
class Levels:
    """Counts of a field's bins, turned into ranks.

    `ranks` are the bins' mean ranks less (n + 1)/2, the mean of all; `last` the bin that completes
    the sub-level set of each quantile.
    """

    ranks: Floats
    last: tuple[int, ...]
    angle: float
    squares: float
    surplus: tuple[float, ...]

    @classmethod
    def of(cls, counts: Counts) -> Levels:
        """The levels of a field of at least one point, with the bounds' ingredients."""
        n = int(counts.sum())
        below = np.cumsum(counts)
        ranks = below - counts + (counts + 1) / 2 - (n + 1) / 2
        c = counts.astype(np.float64)
        squares = float((c * ranks**2).sum())
        within = float((c**3 - c).sum()) / 12
        places = [nth_least(q, n) for q in IOU_QUANTILES]
        last = tuple(int(np.searchsorted(below, place)) for place in places)
        surplus = tuple((c[k] - 1) / place for k, place in zip(last, places, strict=True))
        return cls(ranks, last, math.atan2(math.sqrt(within), math.sqrt(squares)), squares, surplus)


Pair: TypeAlias = tuple[Bins, Bins]


def histogram_rankings(frame: Frame, summaries: Sequence[Summary]) -> list[list[Ranking]]:
    """The ranking of every compared split of every replicate, in two passes over the loss."""
    pairs = [_pairs(frame, summary) for summary in summaries]
    counts = computed(*(_lazy_counts(frame, r, each) for r, each in enumerate(pairs)))
    levels = [
        [None if not x.any() else (Levels.of(x), Levels.of(y)) for x, y in replicate]
        for replicate in counts
    ]
    products = computed(
        *(
            over_blocks(_products, frame.loss[r : r + 1], pairs=pairs[r], levels=levels[r])
            for r in range(frame.n_replicates)
        )
    )
    return [
        [_ranking(level, [block[c] for block in blocks.flat]) for c, level in enumerate(replicate)]
        for replicate, blocks in zip(levels, products, strict=True)
    ]


def _pairs(frame: Frame, summary: Summary) -> list[Pair | None]:
    """The bins of (reference, compared) for each compared split; None where one is never finite."""
    bins = [
        Bins.of(sample, summary.sums.spreads[split]) if summary.sums.spreads[split].count else None
        for split, sample in zip(frame.splits, summary.sample, strict=True)
    ]
    reference, *compared = bins
    return [
        None if reference is None or other is None else (reference, other) for other in compared
    ]


def _lazy_counts(frame: Frame, replicate: int, pairs: Sequence[Pair | None]) -> object:
    """Lazy counts of the bins, (C, 2, BINS).

    Blocks are counted in a few runs, each adding to what it has: counts are as large as blocks,
    and held for each block they would make up the whole field again.
    """
    blocks = frame.loss[replicate].to_delayed().reshape(-1)
    count, shared = delayed(_counts), delayed(list(pairs), traverse=False)
    runs = []
    for run in np.array_split(blocks, min(_RUNS, blocks.size)):
        so_far = None
        for block in run:
            so_far = count(block, shared, so_far)
        runs.append(so_far)
    return delayed(sum)(runs)


def _counts(loss: npt.NDArray[Any], pairs: Sequence[Pair | None], so_far: Counts | None) -> Counts:
    """Counts (C, 2, BINS) of a block (S, …), added to those so far."""
    counts = np.zeros((len(pairs), 2, BINS), dtype=np.int64) if so_far is None else so_far.copy()
    for c, slab in np.ndindex(len(pairs), -(-loss[0].size // SLAB)):
        pair = pairs[c]
        if pair is not None:
            fields = _both_finite(loss, c, slab)
            for side in range(2):
                counts[c, side] += np.bincount(pair[side](fields[side]), minlength=BINS)
    return counts


def _both_finite(
    loss: npt.NDArray[Any], compared: int, slab: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Reference and compared loss of a slab of a block (S, …), where both are finite."""
    points = slice(slab * SLAB, (slab + 1) * SLAB)
    x, y = (loss[s].reshape(-1)[points] for s in (0, compared + 1))
    both = np.isfinite(x) & np.isfinite(y)
    return (x, y) if both.all() else (x[both], y[both])


@dataclass(frozen=True)
class Products:
    """Of a block: the sum of products of ranks; |A ∩ B| and |A ∪ B| at each quantile (Q,)."""

    ranks: float
    shared: Counts
    united: Counts


def _products(
    loss: npt.NDArray[Any],
    pairs: Sequence[Pair | None],
    levels: Sequence[tuple[Levels, Levels] | None],
) -> list[Products]:
    """The products of a block (S, …) for each compared split."""
    found = []
    for c, (pair, level) in enumerate(zip(pairs, levels, strict=True)):
        ranks: list[float] = []
        sets = np.zeros((2, len(IOU_QUANTILES)), dtype=np.int64)
        if pair is not None and level is not None:
            for slab in range(-(-loss[0].size // SLAB)):
                x, y = _both_finite(loss, c, slab)
                bins_x, bins_y = pair[0](x), pair[1](y)
                ranks.append(float((level[0].ranks[bins_x] * level[1].ranks[bins_y]).sum()))
                for q, (k_x, k_y) in enumerate(zip(level[0].last, level[1].last, strict=True)):
                    a, b = bins_x <= k_x, bins_y <= k_y
                    sets[:, q] += np.count_nonzero(a & b), np.count_nonzero(a | b)
        found.append(Products(sum_of(ranks), sets[0], sets[1]))
    return found


def _ranking(level: tuple[Levels, Levels] | None, blocks: Sequence[Products]) -> Ranking:
    """The ranking of one compared split from the products of all blocks, in C order."""
    if level is None:
        return Ranking(math.nan, (math.nan,) * len(IOU_QUANTILES))
    x, y = level
    shared = np.sum([block.shared for block in blocks], axis=0)
    united = np.sum([block.united for block in blocks], axis=0)
    norm = math.sqrt(x.squares) * math.sqrt(y.squares)
    product = sum_of([block.ranks for block in blocks])
    return Ranking(
        product / norm if norm else math.nan,
        tuple(float(value) for value in shared / united),
        x.angle + y.angle,
        max(a + b for a, b in zip(x.surplus, y.surplus, strict=True)),
    )
