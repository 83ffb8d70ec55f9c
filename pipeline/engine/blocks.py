"""A split on a device, cut into blocks of samples.

Shape legend: N = samples, B = samples of a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.engine.contract import EngineChoice
from tasks.objective import EmpiricalRisk, Split


@dataclass(frozen=True)
class Block:
    """Samples of a split.

    Attributes:
        inputs, targets: (B, …).
        valid: the first so many count.
        before: samples of the split in earlier blocks.
    """

    inputs: Tensor
    targets: Tensor
    valid: int
    before: int


class Blocks:
    """A split in blocks of equal size; the last is filled up by repeating its last sample.

    A block is converted to the device and dtype when it is asked for, so a split larger than
    memory, mapped from a file or from shared memory, is never held as a whole.
    """

    def __init__(
        self,
        split: Split,
        size: int | None,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._split = split
        self.count = -(-len(split) // min(size or len(split), len(split)))
        self.size = -(-len(split) // self.count)
        self.count = -(-len(split) // self.size)
        self._device = device
        self._dtype = dtype

    def __iter__(self) -> Iterator[Block]:
        return (self[index] for index in range(self.count))

    def __getitem__(self, index: int) -> Block:
        low = index * self.size
        high = min(low + self.size, len(self._split))
        inputs = self._part(self._split.inputs, low, high)
        targets = self._part(self._split.targets, low, high)
        return Block(inputs, targets, high - low, low)

    def _part(self, tensor: Tensor, low: int, high: int) -> Tensor:
        part = tensor[low:high]
        missing = self.size - len(part)
        if missing:
            part = torch.cat([part, part[-1:].expand(missing, *part.shape[1:])])
        wanted = self._dtype if part.is_floating_point() else part.dtype
        pinned = self._device.type == "cuda" and part.device.type == "cpu"
        if pinned:
            part = part.contiguous().pin_memory()
        return aligned(part.to(self._device, wanted, non_blocking=pinned))


def split_blocks(
    objective: EmpiricalRisk, splits: Sequence[str], choice: EngineChoice
) -> list[Blocks]:
    """The splits in blocks of the choice's size, dtype and device."""
    return [
        Blocks(
            objective.splits[split],
            choice.sample_block,
            torch.device(choice.device),
            choice.sum_dtype,
        )
        for split in splits
    ]


def aligned(tensor: Tensor, boundary: int = 64) -> Tensor:
    """The tensor, copied if its memory does not begin at a boundary.

    Kernels may sum in another order at another alignment; bits must not depend on where the data
    came from.
    """
    return tensor if tensor.data_ptr() % boundary == 0 else tensor.clone()
