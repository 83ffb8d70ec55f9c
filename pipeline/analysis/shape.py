"""What the shape of a surface says block by block: convexity, rises about the origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.analysis.curvature import convexity
from pipeline.analysis.frame import Floats
from pipeline.analysis.halo import inner, pieces, widened
from pipeline.analysis.origin import Origin
from pipeline.analysis.sharpness import Rises, rises


@dataclass(frozen=True)
class Shape:
    """The shape of part of a grid.

    Counts (S,) of points: `judged` for convexity, and `convex` of them.
    """

    judged: npt.NDArray[np.int64]
    convex: npt.NDArray[np.int64]
    rises: Rises

    @classmethod
    def merge(cls, parts: Sequence[Shape]) -> Shape:
        """The shape of the union of parts, at least one."""
        return cls(
            np.sum([part.judged for part in parts], axis=0),
            np.sum([part.convex for part in parts], axis=0),
            Rises.merge([part.rises for part in parts]),
        )

    def values(self) -> dict[str, npt.NDArray[Any]]:
        """The statistics (S,) of a whole grid; NaN where there is nothing to judge."""
        with np.errstate(invalid="ignore"):
            return {
                "shape_convexity": self.convex / self.judged,
                "shape_convexity_points": self.judged,
            }


def shape_of(
    loss: npt.NDArray[Any],
    at_origin: Floats,
    *coordinates: Floats,
    origin: Origin | None,
    radii: Sequence[float],
) -> Shape:
    """The shape of a block: losses (S, m₁+2, …) and coordinates (m_k+2,), NaN beyond the grid.

    `at_origin` (S,) are the losses at the origin, above which they rise within the radii.
    """
    eps = float(np.finfo(loss.dtype).eps)
    found = []
    for cut in pieces([along.size - 2 for along in coordinates]):
        around = tuple(widened(part) for part in cut)
        along = [each[part] for each, part in zip(coordinates, around, strict=True)]
        losses = [each[around].astype(np.float64) for each in loss]
        judged = np.array([convexity(each, along, eps) for each in losses])
        here = np.stack([inner(each) for each in losses])
        within = Rises.none(len(loss), len(radii))
        if origin is not None:
            within = rises(here, at_origin, [inner(each) for each in along], origin, radii)
        found.append(Shape(judged[:, 0], judged[:, 1], within))
    return Shape.merge(found)
