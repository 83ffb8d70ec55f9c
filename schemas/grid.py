"""Axes and grids: the points of a scan, in chunk-aligned blocks, never all at once.

Shape legend: P = points in a block, z = axes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    Tag,
    field_validator,
    model_validator,
)

from schemas.starts import StartAxis

Floats: TypeAlias = npt.NDArray[np.float64]
KnownAxis: TypeAlias = "LinearAxis | LogAxis | ValuesAxis | StartAxis"

# A shard should take seconds, not minutes, and a chunk should be worth a file of its own.
_MOST_CHUNK_POINTS = 65_536
_LEAST_CHUNK_POINTS = 64
_CHUNKS_WANTED = 64


class _AxisModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LinearAxis(_AxisModel):
    """`num` equally spaced coordinates from `start` to `stop`, both included."""

    scale: Literal["linear"] = "linear"
    start: FiniteFloat
    stop: FiniteFloat
    num: int = Field(ge=1, strict=True)

    @field_validator("scale", mode="before")
    @classmethod
    def _known_scale(cls, scale: object) -> object:
        if scale != "linear":
            raise ValueError(f"got {scale!r}; expected one of linear, log")
        return scale

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if self.num > 1 and self.start == self.stop:
            raise ValueError(
                f"start and stop are both {self.start}: {self.num} points would coincide; "
                "set num: 1 or a different stop"
            )
        return self

    def coordinates(self, lo: int, hi: int) -> Floats:
        """Coordinates lo … hi−1, shape (hi−lo,).

        Each is computed from its own index, so nothing drifts: the ends are exact, and so is
        the centre of an axis that is symmetric about zero.
        """
        return _spaced(self.start, self.stop, self.num, lo, hi)


class LogAxis(_AxisModel):
    """`num` coordinates in equal ratios from `start` to `stop`, both included and of one sign."""

    scale: Literal["log"]
    start: FiniteFloat
    stop: FiniteFloat
    num: int = Field(ge=1, strict=True)

    @model_validator(mode="after")
    def _one_sign(self) -> Self:
        if self.start * self.stop <= 0:
            raise ValueError(
                f"a log axis needs start and stop of one sign and not zero, got {self.start} and "
                f"{self.stop}; use scale: linear to cross zero"
            )
        if self.num > 1 and self.start == self.stop:
            raise ValueError(f"start and stop are both {self.start}; set num: 1 or another stop")
        return self

    def coordinates(self, lo: int, hi: int) -> Floats:
        """Coordinates lo … hi−1, shape (hi−lo,)."""
        sign = math.copysign(1.0, self.start)
        logs = _spaced(math.log(abs(self.start)), math.log(abs(self.stop)), self.num, lo, hi)
        values = sign * np.exp(logs)
        index = np.arange(lo, hi)
        values[index == self.num - 1] = self.stop
        values[index == 0] = self.start
        return values


class ValuesAxis(_AxisModel):
    """Coordinates given one by one, strictly increasing or strictly decreasing."""

    values: tuple[FiniteFloat, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _monotonic(self) -> Self:
        steps = np.diff(np.asarray(self.values))
        if not (np.all(steps > 0) or np.all(steps < 0)):
            raise ValueError("values must be strictly increasing or strictly decreasing")
        return self

    @property
    def num(self) -> int:
        """Number of coordinates."""
        return len(self.values)

    def coordinates(self, lo: int, hi: int) -> Floats:
        """Coordinates lo … hi−1, shape (hi−lo,)."""
        return np.asarray(self.values[lo:hi], dtype=np.float64)


class RisingAxis(_AxisModel):
    """`num` equally spaced coordinates about 0, out to where the loss has risen `rise`-fold.

    The span is measured when the scan begins: the loss L of the first split rises along the axis,
    on one side or the other, from L(0) to L(0) + (rise − 1)·|L(0)|; the greater of the two
    distances is taken, so that 0 stays in the middle.
    """

    rise: FiniteFloat = Field(gt=1)
    num: int = Field(ge=2, strict=True)

    def spanning(self, reach: float) -> LinearAxis:
        """The axis from −reach to reach."""
        return LinearAxis(start=-reach, stop=reach, num=self.num)


def _axis_kind(raw: object) -> str:
    if isinstance(raw, RisingAxis) or (isinstance(raw, Mapping) and "rise" in raw):
        return "rising"
    if isinstance(raw, ValuesAxis) or (isinstance(raw, Mapping) and "values" in raw):
        return "values"
    scale = raw.get("scale") if isinstance(raw, Mapping) else getattr(raw, "scale", None)
    return "log" if scale == "log" else "linear"


Axis: TypeAlias = Annotated[
    Annotated[LinearAxis, Tag("linear")]
    | Annotated[LogAxis, Tag("log")]
    | Annotated[ValuesAxis, Tag("values")]
    | Annotated[RisingAxis, Tag("rising")],
    Discriminator(_axis_kind),
]


def _spaced(start: float, stop: float, num: int, lo: int, hi: int) -> Floats:
    index = np.arange(lo, hi, dtype=np.int64)
    if num == 1:
        return np.full(index.shape, start, dtype=np.float64)
    last = num - 1
    fraction = index / last
    # The two halves are measured from their own end: both ends are exact, and a symmetric
    # axis is symmetric to the last bit.
    values = np.where(
        2 * index <= last,
        start + fraction * (stop - start),
        stop - ((last - index) / last) * (stop - start),
    )
    return np.where(2 * index == last, start / 2 + stop / 2, values)


@dataclass(frozen=True)
class Block:
    """A box of grid indices: for each axis a half-open range (start, stop)."""

    ranges: tuple[tuple[int, int], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each axis."""
        return tuple(stop - start for start, stop in self.ranges)

    @property
    def size(self) -> int:
        """Number of points."""
        return math.prod(self.shape)

    @property
    def slices(self) -> tuple[slice, ...]:
        """The block as an index into an array over the grid."""
        return tuple(slice(start, stop) for start, stop in self.ranges)


@dataclass(frozen=True)
class Grid:
    """The product of named axes, cut into chunks, and into shards of whole chunks.

    Shards are numbered in C order and computed on request: a grid of 10^12 points holds no more
    than its axes.
    """

    names: tuple[str, ...]
    axes: tuple[KnownAxis, ...]
    chunks: tuple[int, ...]
    shards: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each axis."""
        return tuple(axis.num for axis in self.axes)

    @property
    def named(self) -> dict[str, KnownAxis]:
        """The axes by their names."""
        return dict(zip(self.names, self.axes, strict=True))

    @property
    def n_points(self) -> int:
        """Number of points in the grid."""
        return math.prod(self.shape)

    @property
    def shard_counts(self) -> tuple[int, ...]:
        """Shards along each axis."""
        return tuple(-(-n // s) for n, s in zip(self.shape, self.shards, strict=True))

    @property
    def n_shards(self) -> int:
        """Number of shards."""
        return math.prod(self.shard_counts)

    def shard(self, index: int) -> Block:
        """The block of shard `index`; IndexError outside 0 … n_shards−1."""
        if not 0 <= index < self.n_shards:
            raise IndexError(f"shard {index} of {self.n_shards}")
        ranges: list[tuple[int, int]] = []
        for count, size, n in zip(
            reversed(self.shard_counts), reversed(self.shards), reversed(self.shape), strict=True
        ):
            index, along = divmod(index, count)
            ranges.append((along * size, min((along + 1) * size, n)))
        return Block(tuple(reversed(ranges)))

    def points(self, block: Block, lo: int = 0, hi: int | None = None) -> Floats:
        """Coordinates of points lo … hi−1 of a block, in C order, shape (P, z).

        Of starts it is their numbers, shape (P, 1).
        """
        flat = np.arange(lo, block.size if hi is None else hi)
        index = np.unravel_index(flat, block.shape)
        columns: list[npt.NDArray[np.float64 | np.int64]] = [
            axis.coordinates(start, stop)[along]
            for axis, (start, stop), along in zip(self.axes, block.ranges, index, strict=True)
        ]
        return np.stack(columns, axis=-1).astype(np.float64)

    def batches(self, block: Block, size: int) -> Iterator[tuple[int, int]]:
        """The ranges (lo, hi) of points that split a block into batches of at most `size`."""
        for lo in range(0, block.size, size):
            yield lo, min(lo + size, block.size)


def auto_chunks(shape: tuple[int, ...], least: int = _LEAST_CHUNK_POINTS) -> tuple[int, ...]:
    """Chunk lengths for a grid: nearly cubic, about 64 chunks, `least` to 65,536 points each.

    They follow from the shape alone, never from the machine, so the same spec is the same store
    everywhere.
    """
    wanted = max(least, min(_MOST_CHUNK_POINTS, math.prod(shape) // _CHUNKS_WANTED))
    chunks = list(shape)
    while math.prod(chunks) > wanted:
        longest = max(range(len(chunks)), key=chunks.__getitem__)
        chunks[longest] = -(-chunks[longest] // 2)
    return tuple(chunks)
