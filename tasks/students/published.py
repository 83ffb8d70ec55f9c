"""The published percentages of runs that end in a spurious minimum.

Safran & Shamir 2018, "Spurious Local Minima are Common in Two-Layer ReLU Neural Networks",
arXiv:1712.08968, from the result files that its authors have published with their code.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import binomtest

RUNS = 1000
"""Of each cell."""
STEP = 0.1
STOP = 1e-9
"""A run stops where max_i ‖2π ∇_{w_i} F‖ is at most this."""
BAD = 1e-3
"""A loss from which on a minimum counts as not global."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Published:
    """What is published of k teachers and n students.

    Attributes:
        bad: of the 1000 runs, how many have ended at a loss of `BAD` or more.
        least_eigenvalue, loss: means over those runs, to four decimals; None where not published.
    """

    bad: int
    least_eigenvalue: float | None = None
    loss: float | None = None


PUBLISHED: dict[tuple[int, int], Published] = {
    (6, 6): Published(3, 0.0047, 0.0251),
    (7, 7): Published(55, 0.0141, 0.0232),
    (8, 8): Published(126, 0.0213, 0.0215),
    (9, 9): Published(218, 0.0268, 0.0204),
    (10, 10): Published(346, 0.0304, 0.0203),
    (11, 11): Published(455, 0.0335, 0.0201),
    (12, 12): Published(585, 0.0351, 0.0213),
    (13, 13): Published(730, 0.0368, 0.0217),
    (14, 14): Published(736, 0.0375, 0.0231),
    (15, 15): Published(803, 0.0381, 0.0244),
    (16, 16): Published(851, 0.0378, 0.0267),
    (17, 17): Published(897, 0.0386, 0.0275),
    (18, 18): Published(900, 0.0387, 0.0288),
    (19, 19): Published(934, 0.0383, 0.0307),
    (20, 20): Published(949, 0.0379, 0.0329),
    (8, 9): Published(1),
    (10, 11): Published(1),
    (11, 12): Published(1),
    (12, 13): Published(3),
    (13, 14): Published(15),
    (14, 15): Published(55),
    (15, 16): Published(102),
    (16, 17): Published(180),
    (17, 18): Published(233),
    (18, 19): Published(369),
    (19, 20): Published(491),
}
"""By (teachers k, students n)."""


def interval(bad: int, runs: int) -> tuple[float, float]:
    """The 95 % interval of a share of runs, exact (Clopper & Pearson 1934, Biometrika 26, 404)."""
    found = binomtest(bad, runs).proportion_ci(CONFIDENCE, method="exact")
    return float(found.low), float(found.high)
