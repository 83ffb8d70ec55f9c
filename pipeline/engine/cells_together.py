"""Cells at many points at once: the hashes of `Cells`, to the bit, from pieces with samples last.

Pieces of units that have two are 0 and 1 in float32 here: to turn a comparison's booleans into
numbers takes longer than a layer's matrix product.

Shape legend: P = points, S = splits, U = units of one operation, B = samples of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from pipeline.engine.cells import above_zero, mixed
from pipeline.engine.contract import Values

_EXACT_BITS = 24
"""Sums of integers below 2^24 are exact in float32, in any order."""
_MOST_PIECE = 2
_WORD = 64
_LEAST_BITS = 4


def _above_zero(x: Tensor) -> Tensor:
    """1 above 0 and 0 elsewhere, in float32."""
    return torch.gt(x, 0, out=torch.empty_like(x, dtype=torch.float32))


IN_FLOAT: Mapping[Callable[..., Tensor], Callable[..., Tensor]] = {above_zero: _above_zero}
"""Functions of `cells` whose pieces come faster in float32."""


class CellTotals:
    """Hashes of cells, and pieces that are not those of the origin, from blocks of samples."""

    def __init__(self, splits: int, points: int, device: torch.device) -> None:
        shape = (splits, points)
        self._hashes = torch.zeros(shape, dtype=torch.int64, device=device)
        self._changes = torch.zeros(shape, dtype=torch.int64, device=device)

    def add_hashes(self, split: int, points: slice, before: int, pieces: Sequence[Tensor]) -> None:
        """Add a block with the pieces (P, U, B) of each operation.

        `before` samples of the split have been added for these points already.
        """
        self._hashes[split, points] += _hashes(pieces, before)

    def add_changes(
        self, split: int, points: slice, pieces: Sequence[Tensor], origin: Sequence[Tensor]
    ) -> None:
        """Add a block's pieces (P, U, B) that differ from those of the origin (1, U, B)."""
        for part, other in zip(pieces, origin, strict=True):
            self._changes[split, points] += _changed(part, other)

    def values(self) -> Values:
        """Metric → (S, P)."""
        return {
            "activation_cell": self._hashes.cpu().numpy().view("uint64"),
            "activation_changes": self._changes.cpu().numpy(),
        }


def _changed(part: Tensor, origin: Tensor) -> Tensor:
    """How many pieces (P, U, B) differ from those of the origin (1, U, B): (P,)."""
    if part.dtype != torch.float32 or origin.numel() >= 2**_EXACT_BITS:
        return torch.count_nonzero(part != origin, dim=(1, 2))
    # Of zeros and ones a and b: Σ|a − b| = Σ a(1 − 2b) + Σ b.
    signs = (1 - 2 * origin).reshape(-1)
    return (part.reshape(len(part), -1) @ signs + origin.sum()).long()


def _hashes(pieces: Sequence[Tensor], before: int) -> Tensor:
    """What a block of samples adds to the hashes of points, (P,); see `Cells.hash`."""
    samples, device = pieces[0].shape[2], pieces[0].device
    own = _weighted(pieces).add_(_sample_terms(before, samples, device))
    total = mixed(own).sum(dim=1)
    if before == 0:
        total += mixed(torch.zeros(1, dtype=torch.int64, device=device))
    return total


def _weighted(pieces: Sequence[Tensor]) -> Tensor:
    """Σ weight·piece over all units modulo 2^64: pieces (P, U, B) of each operation to (P, B).

    Integers have no fast matrix product. Digits of the weights have one in float32, which is exact
    as long as their sums stay below 2^24.
    """
    units = sum(part.shape[1] for part in pieces)
    few = all(part.dtype in (torch.float32, torch.bool, torch.uint8) for part in pieces)
    if not few or _digit_bits(units) < _LEAST_BITS:
        weights = _weights(units, pieces[0].device)
        joined: Tensor = torch.cat([part.long() for part in pieces], dim=1)
        return (joined * weights[:, None]).sum(dim=1)
    factors, digits = _digits(tuple(part.shape[1] for part in pieces), pieces[0].device)
    points, _, samples = pieces[0].shape
    sums = pieces[0].new_zeros(points, len(factors), samples, dtype=torch.float32)
    for part, own in zip(pieces, digits, strict=True):
        sums.baddbmm_(own.expand(points, *own.shape), part.float())
    return sums.long().mul_(factors[:, None]).sum(dim=1)


def _digit_bits(units: int) -> int:
    """Bits of a digit, so that sums over so many units are exact."""
    return _EXACT_BITS - (units * _MOST_PIECE).bit_length()


def _weights(units: int, device: torch.device) -> Tensor:
    """Of so many units, int64 (U,)."""
    return mixed(torch.arange(units, device=device))


@lru_cache(maxsize=64)
def _digits(units: tuple[int, ...], device: torch.device) -> tuple[Tensor, list[Tensor]]:
    """What the digits of weights count for, int64 (D,), and those of each operation (D, U)."""
    bits = _digit_bits(sum(units))
    shifts = range(0, _WORD, bits)
    weights = _weights(sum(units), device)
    digits = torch.stack([(weights >> shift) & (2**bits - 1) for shift in shifts])
    one = torch.ones((), dtype=torch.int64, device=device)
    factors = torch.stack([one << shift for shift in shifts])
    return factors, list(torch.split(digits.float(), list(units), dim=1))


@lru_cache(maxsize=256)
def _sample_terms(before: int, samples: int, device: torch.device) -> Tensor:
    """What is added for the number of each sample, int64 (B,)."""
    return mixed(~torch.arange(before, before + samples, device=device))
