"""Charts of sections through points that are numbered, and through copies of a unit.

Shape legend: P = points, z = axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.landscape import Floats


@dataclass(frozen=True)
class NumberedChart:
    """A number 0 … count−1, rounded, and lengths along the ways that the point of that number has.

    The first direction of a number is the point itself, from an origin of 0.
    """

    count: int
    axes: int

    @property
    def directions(self) -> int:
        """As many as axes for each number."""
        return self.count * self.axes

    def coordinates(self, points: Floats) -> Floats:
        """At points (P, z): (P, count·z)."""
        lengths = np.concatenate([np.ones((len(points), 1)), points[:, 1:]], axis=1)
        return self._of_number(points, lengths)

    def jacobian(self, points: Floats) -> Floats:
        """0 along the number, as it is rounded: (P, count·z, z)."""
        along = np.broadcast_to(
            np.diag([0.0, *[1.0] * (self.axes - 1)]), (len(points), *2 * (self.axes,))
        )
        return np.stack([self._of_number(points, column) for column in along.transpose(2, 0, 1)], 2)

    def hessian(self, points: Floats) -> Floats:
        """Zeros: (P, count·z, z, z)."""
        return np.zeros((len(points), self.directions, self.axes, self.axes))

    def _of_number(self, points: Floats, values: Floats) -> Floats:
        """Values (P, z) at the directions of each point's number: (P, count·z)."""
        number = np.clip(np.rint(points[:, 0]).astype(int), 0, self.count - 1)
        found = np.zeros((len(points), self.count, self.axes))
        found[np.arange(len(points)), number] = values
        return found.reshape(len(points), -1)


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
