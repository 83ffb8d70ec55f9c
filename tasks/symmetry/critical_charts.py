"""Charts of sections through points that are numbered, and through copies of a unit.

Shape legend: P = points, z = axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.errors import SpecError
from tasks.landscape import Floats


@dataclass(frozen=True)
class NumberedChart:
    """The number of a point, and how far to go along ways of its own: 1·point + Σ t_k·way_k.

    Between whole numbers the point is that of the nearest one.
    The directions are the point of each number and its ways, one number after another; the
    section's origin is 0.
    """

    count: int
    axes: int

    @property
    def directions(self) -> int:
        """As many as axes for each number."""
        return self.count * self.axes

    def coordinates(self, points: Floats) -> Floats:
        """Weights at points (P, z), of which z are not 0: (P, count·z).

        Raises:
            SpecError: the whole number nearest to one is none of 0, 1, …, count − 1.
        """
        found = np.zeros((len(points), self.directions))
        ones = np.column_stack([np.ones(len(points)), points[:, 1:]])
        np.put_along_axis(found, self._places(points), ones, axis=1)
        return found

    def jacobian(self, points: Floats) -> Floats:
        """1 for each way, and 0 along the numbers: (P, count·z, z)."""
        found = np.zeros((len(points), self.directions, self.axes))
        places = self._places(points)
        for axis in range(1, self.axes):
            found[np.arange(len(points)), places[:, axis], axis] = 1.0
        return found

    def hessian(self, points: Floats) -> Floats:
        """Zeros: (P, count·z, z, z)."""
        return np.zeros((len(points), self.directions, self.axes, self.axes))

    def _places(self, points: Floats) -> npt.NDArray[np.intp]:
        """The directions of the number of each point: (P, z)."""
        numbers = np.rint(points[:, 0])
        known = (numbers >= 0) & (numbers < self.count)
        if not known.all():
            raise SpecError(
                f"axes: got the number {numbers[~known][0]:g}; expected 0 to {self.count - 1}, one "
                "for each point of the section; give these"
            )
        places: npt.NDArray[np.intp] = self.axes * numbers.astype(np.intp)[:, None] + np.arange(
            self.axes
        )
        return places


@dataclass(frozen=True)
class DuplicateChart:
    """The share μ of a copy, and lengths t_k of ways v_k on which it leaves the other copies.

    The directions are the change of the share, and two for each way: that of the copy, which moves
    by (1 − μ) t_k v_k, and that of the others, which move by −μ t_k v_k.
    """

    axes: int

    @property
    def directions(self) -> int:
        """One, and two for each way."""
        return 2 * self.axes - 1

    def coordinates(self, points: Floats) -> Floats:
        """At points (P, z): (P, 2z − 1)."""
        share = points[:, :1]
        columns = [share]
        for way in range(1, self.axes):
            length = points[:, way : way + 1]
            columns += [(1.0 - share) * length, -share * length]
        return np.concatenate(columns, axis=1)

    def jacobian(self, points: Floats) -> Floats:
        """∂/∂μ and ∂/∂t_k at points (P, z): (P, 2z − 1, z)."""
        found = np.zeros((len(points), self.directions, self.axes))
        found[:, 0, 0] = 1.0
        for way in range(1, self.axes):
            found[:, 2 * way - 1, 0] = found[:, 2 * way, 0] = -points[:, way]
            found[:, 2 * way - 1, way] = 1.0 - points[:, 0]
            found[:, 2 * way, way] = -points[:, 0]
        return found

    def hessian(self, points: Floats) -> Floats:
        """−1 for μ with each t_k: (P, 2z − 1, z, z)."""
        found = np.zeros((len(points), self.directions, self.axes, self.axes))
        for way in range(1, self.axes):
            for direction in (2 * way - 1, 2 * way):
                found[:, direction, 0, way] = found[:, direction, way, 0] = -1.0
        return found
