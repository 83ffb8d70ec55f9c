"""The figures of the study `piecewise-linear` about bad local minima."""

from __future__ import annotations

from collections.abc import Callable

from schemas.study import Figure, Series, Surfaces
from tasks.facts import Trees
from tasks.piecewise import minimum_measures as measures
from tasks.piecewise.minimum_claims import BENDS, FAMILY, LINES, PROBES
from tasks.piecewise.minimum_scans import Sizes
from tasks.piecewise.minimum_tables import words

_SHOWN = ("2-relu", "4-3-3-nearly-linear", "4-5-4-6-hard-tanh")


def minimum_figures() -> dict[str, Figure]:
    """The lines to lower points, and those along α."""
    return {
        LINES: Figure(
            "From a bad local minimum straight to a lower point",
            "0 is a local minimum, proved to be one, with the risk of least squares, and 1 the "
            "lower point that is constructed. The first data set of each network.",
            "t",
            "risk, relative to that of least squares",
            lambda scans: [_line(f"across-{name}", name)(scans) for name in _SHOWN],
        ),
        FAMILY: Figure(
            "A family of local minima of one risk",
            "α multiplies the first layer, and the last one is divided by it. Hard-tanh units "
            "leave their piece where α is too large.",
            "α",
            "risk, relative to that of least squares",
            lambda scans: [
                _family("family", "4, 3 and 3 leaky units")(scans),
                _family("family-hard-tanh", "3 hard-tanh units")(scans),
            ],
            x_scale="log",
        ),
    }


def minimum_surfaces(size: Sizes) -> dict[str, Surfaces]:
    """The minimum beside the same point with its proof broken."""
    found = {
        PROBES: Surfaces(
            "A unit that is not needed, away from its kink and at it",
            "The unit turns to where the samples can be split, and its weight in the next layer "
            "grows, in units of the radius that is proved. At its kink that lowers the loss.",
            {"all units in one piece": "probe-minimum", "a unit at its kink": "probe-broken"},
        )
    }
    for name in size.smooth[:1]:
        found[BENDS] = Surfaces(
            f"Two {name} units that tell two samples apart",
            "Along the first axis their outputs cancel to first order, along the second one they "
            "add up; in units of the radius that is proved.",
            {"the minimum": f"{name}-minimum", "other signs: a saddle": f"{name}-broken"},
        )
    return found


def _line(scan: str, network: str) -> Callable[[Trees], Series]:
    def series(scans: Trees) -> Series:
        at = measures.coordinate(scans[scan], "t")
        return Series(words(network), at.tolist(), (1 + measures.rises(scans[scan])[0]).tolist())

    return series


def _family(scan: str, label: str) -> Callable[[Trees], Series]:
    def series(scans: Trees) -> Series:
        at = measures.scales(scans[scan])
        return Series(label, at.tolist(), (1 + measures.rises(scans[scan])[0]).tolist())

    return series
