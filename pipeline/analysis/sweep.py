"""The one pass over a scan that every statistic but ranks is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.analysis.frame import Frame, computed, over_blocks
from pipeline.analysis.moments import Comoments, Difference, Spread
from schemas.layout import PREDICTED_PREFIX, TARGET, TARGET_LOSS

Key: TypeAlias = tuple[str, str]
"""(the field subtracted, the split): `("target_loss", "train")` is loss of train − target_loss."""

REFERENCE = "reference"
"""The field subtracted is the reference split's loss."""
PREDICTED = "reference and predicted difference"
"""The field subtracted is the reference split's loss plus the predicted difference."""

# Points taken at a time, so that the float64 temporaries stay in the cache, and a chunk of any
# size needs no more of them.
SLAB = 65_536


@dataclass(frozen=True)
class Minimum:
    """The least value of a field, NaN passed over: −inf is the least there can be.

    `index` is the flat grid index in C order, the first where values tie; `losses` are those of
    all splits there.
    """

    value: float
    index: int
    losses: tuple[float, ...]


@dataclass(frozen=True)
class Sums:
    """Moments of part of a grid: `spreads` of each split's loss and, by name, of target_loss;
    `differences` as their keys say; `pairs` (reference loss, loss) of each compared split.
    """

    spreads: Mapping[str, Spread]
    differences: Mapping[Key, Difference]
    pairs: Mapping[str, Comoments]

    @classmethod
    def merge(cls, parts: Sequence[Sums]) -> Sums:
        """The moments of the union of parts, at least one."""
        first = parts[0]
        return cls(
            {key: Spread.merge([part.spreads[key] for part in parts]) for key in first.spreads},
            {
                key: Difference.merge([part.differences[key] for part in parts])
                for key in first.differences
            },
            {key: Comoments.merge([part.pairs[key] for part in parts]) for key in first.pairs},
        )


@dataclass(frozen=True)
class Summary:
    """What the pass tells of a block, or of the whole grid of one replicate.

    `minima` are those of the splits and, by name, of target_loss; None where all is NaN.
    `sample` (S, k) holds every so many-th point's losses.
    """

    sums: Sums
    minima: Mapping[str, Minimum | None]
    sample: npt.NDArray[Any]


@dataclass(frozen=True)
class Sweep:
    """The summary of one replicate, and the least target_loss of each block (NaN if none)."""

    summary: Summary
    target_lows: tuple[float, ...]


def sweep(frame: Frame, sample_step: int | None) -> list[Sweep]:
    """The summary of every replicate, in one pass over all the data.

    `sample_step` is how many points of a block there are to one that is sampled; None for none.
    """
    lazy = over_blocks(
        summarise,
        frame.loss,
        tuple(frame.fields.values()),
        splits=frame.splits,
        names=tuple(frame.fields),
        sample_step=sample_step,
    )
    (blocks,) = computed(lazy)
    return [_whole(list(replicate.flat), frame) for replicate in blocks]


def summarise(
    loss: npt.NDArray[Any],
    *fields: npt.NDArray[Any],
    splits: tuple[str, ...],
    names: tuple[str, ...],
    sample_step: int | None,
) -> Summary:
    """The summary of a block: loss (S, …), fields (…) of these names; indices are the block's."""
    losses = loss.reshape(len(splits), -1)
    flat = {name: field.reshape(-1) for name, field in zip(names, fields, strict=True)}
    parts = []
    for lo in range(0, losses.shape[1], SLAB):
        slab = slice(lo, lo + SLAB)
        parts.append(
            _sums(
                dict(zip(splits, losses[:, slab].astype(np.float64), strict=True)),
                {name: field[slab].astype(np.float64) for name, field in flat.items()},
            )
        )
    minima = {split: _minimum(losses[s], losses) for s, split in enumerate(splits)}
    if TARGET_LOSS in flat:
        minima[TARGET_LOSS] = _minimum(flat[TARGET_LOSS], losses)
    sample = losses[:, ::sample_step] if sample_step else losses[:, :0]
    return Summary(Sums.merge(parts), minima, sample.copy())


def _sums(
    losses: Mapping[str, npt.NDArray[np.float64]], fields: Mapping[str, npt.NDArray[np.float64]]
) -> Sums:
    spreads = {split: Spread.of(loss) for split, loss in losses.items()}
    differences: dict[Key, Difference] = {}
    for name in (TARGET, TARGET_LOSS):
        if name in fields:
            for split, loss in losses.items():
                differences[name, split] = Difference.of(fields[name], loss)
    if TARGET_LOSS in fields:
        spreads[TARGET_LOSS] = Spread.of(fields[TARGET_LOSS])
    (_, reference), *compared = losses.items()
    for split, loss in compared:
        differences[REFERENCE, split] = Difference.of(reference, loss)
        predicted = fields.get(PREDICTED_PREFIX + split)
        if predicted is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                expected = reference + predicted
            differences[PREDICTED, split] = Difference.of(expected, loss)
    pairs = {split: Comoments.of(reference, loss) for split, loss in compared}
    return Sums(spreads, differences, pairs)


def _minimum(values: npt.NDArray[Any], losses: npt.NDArray[Any]) -> Minimum | None:
    index = int(values.argmin())
    if np.isnan(values[index]):  # argmin stops at the first NaN
        held = np.flatnonzero(~np.isnan(values))
        if not held.size:
            return None
        index = int(held[values[held].argmin()])
    return Minimum(float(values[index]), index, tuple(losses[:, index].astype(float).tolist()))


def _whole(blocks: Sequence[Summary], frame: Frame) -> Sweep:
    """The summary of a replicate's grid from those of its blocks in C order."""
    placed = [
        {name: _in_grid(low, origin, shape, frame.grid_shape) for name, low in block.minima.items()}
        for block, origin, shape in zip(
            blocks, frame.block_origins(), frame.block_shapes(), strict=True
        )
    ]
    minima = {name: _least([block[name] for block in placed]) for name in placed[0]}
    lows = [block.get(TARGET_LOSS) for block in placed]
    return Sweep(
        Summary(
            Sums.merge([block.sums for block in blocks]),
            minima,
            np.concatenate([block.sample for block in blocks], axis=1),
        ),
        tuple(np.nan if low is None else low.value for low in lows),
    )


def _in_grid(
    minimum: Minimum | None,
    origin: tuple[int, ...],
    shape: tuple[int, ...],
    grid_shape: tuple[int, ...],
) -> Minimum | None:
    """The same minimum with its index in the grid instead of the block."""
    if minimum is None:
        return None
    within = np.unravel_index(minimum.index, shape)
    cell = tuple(int(first + along) for first, along in zip(origin, within, strict=True))
    return Minimum(minimum.value, int(np.ravel_multi_index(cell, grid_shape)), minimum.losses)


def _least(minima: Sequence[Minimum | None]) -> Minimum | None:
    held = [minimum for minimum in minima if minimum is not None]
    return min(held, key=lambda minimum: (minimum.value, minimum.index), default=None)
