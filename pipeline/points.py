"""The points of a scan: those of its grid, or starts drawn in the space of all parameters.

Shape legend: P = points, z = axes, n = numbers of all parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from pipeline.building import replicate_seed
from pipeline.engine.contract import Floats, trainable_names
from schemas.errors import SpecError
from schemas.grid import Block, Grid
from schemas.scan import ScanSpec
from schemas.starts import Starts, start_generator
from tasks.landscape import Landscape, StartDraw
from tasks.objective import ClosedForm


@dataclass(frozen=True)
class Points:
    """Where the points of a scan lie.

    Attributes:
        grid: the axes, or the numbers of the starts.
        starts: how starts are drawn; None where the grid's coordinates are the points.
        seed: the scan's.
    """

    grid: Grid
    starts: Starts | None
    seed: int

    def of(
        self, landscape: Landscape, replicate: int, block: Block, lo: int = 0, hi: int | None = None
    ) -> Floats:
        """Points lo … hi−1 of a block: (P, z), or of starts all their parameters (P, n), float64.

        A point depends on its place in the grid, or on its number and the seed of its replicate,
        alone. Of a module, parameters that need no gradient stay at the origin.
        """
        where = self.grid.points(block, lo, hi)
        if self.starts is None:
            return where
        draw, scale = _draw(landscape, self.starts), self.starts.scale
        seed = replicate_seed(self.seed, replicate)
        drawn = np.empty((len(where), landscape.section.z))
        for row, number in enumerate(where[:, 0].astype(np.int64)):
            drawn[row] = draw(start_generator(seed, int(number)), scale)
        held = _held(landscape)
        drawn[:, held] = _origin(landscape)[held]
        return drawn

    def check(self, landscape: Landscape) -> None:
        """Try the distribution of the starts.

        Raises:
            SpecError: a module's own initialisation makes the same start every time.
        """
        if self.starts is None or self.starts.num == 1:
            return
        draw, seed = _draw(landscape, self.starts), replicate_seed(self.seed, 0)
        one, two = (draw(start_generator(seed, number), self.starts.scale) for number in (0, 1))
        if np.array_equal(one, two):
            raise SpecError(
                f"starts.distribution: {self.starts.distribution} makes the same start every time, "
                "as nothing in the module's initialisation is random; use normal or uniform"
            )

    def first(self, landscape: Landscape, most: int, most_bytes: int) -> Floats:
        """The first points of the first replicate, no more than fit into so many bytes."""
        block = self.grid.shard(0)
        fitting = max(1, most_bytes // (8 * landscape.section.z))
        return self.of(landscape, 0, block, 0, min(block.size, most, fitting))

    def some(self, landscape: Landscape, number: int) -> Floats:
        """So many points of the first replicate, taken at random by the scan's seed."""
        random = np.random.default_rng(self.seed)
        shards = random.integers(self.grid.n_shards, size=number)
        blocks = [self.grid.shard(int(shard)) for shard in shards]
        at = [int(random.integers(block.size)) for block in blocks]
        return np.concatenate(
            [self.of(landscape, 0, b, i, i + 1) for b, i in zip(blocks, at, strict=True)]
        )


def scan_points(spec: ScanSpec) -> Points:
    """The points of a spec's scan."""
    return Points(spec.grid(), spec.starts, spec.seed)


def _draw(landscape: Landscape, starts: Starts) -> StartDraw:
    """How one start is drawn."""
    if starts.distribution == "auto" and landscape.draw is not None:
        return landscape.draw
    origin = _origin(landscape)
    if starts.distribution == "uniform":
        return lambda random, scale: origin + random.uniform(-scale, scale, len(origin))
    return lambda random, scale: origin + scale * random.standard_normal(len(origin))


def _origin(landscape: Landscape) -> Floats:
    parts = [tensor.reshape(-1) for tensor in landscape.section.origin.values()]
    numbers: Floats = torch.cat(parts).numpy()
    return numbers


def _held(landscape: Landscape) -> npt.NDArray[np.bool_]:
    """Which numbers (n,) stay at the origin: parameters that need no gradient, if others do."""
    objective, origin = landscape.objective, landscape.section.origin
    if isinstance(objective, ClosedForm):
        return np.zeros(landscape.section.z, dtype=np.bool_)
    moves = set(trainable_names(objective.module))
    return np.concatenate([np.full(t.numel(), name not in moves) for name, t in origin.items()])
