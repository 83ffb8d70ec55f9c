"""The scans of the study `symmetry` about critical points made of copies of units.

Fukumizu & Amari 2000, Neural Networks 13; Şimşek et al. 2021, arXiv:2105.12221.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from tasks.symmetry.counts import copies


class Copied(NamedTuple):
    """A unit of a narrow network, of which copies are made: its number, from 0."""

    narrow: int
    unit: int

    @property
    def words(self) -> str:
        """As it stands in titles."""
        return "the only unit" if self.narrow == 1 else f"unit {self.unit + 1} of {self.narrow}"

    @property
    def curve(self) -> str:
        """The scan over the share of a copy, with second derivatives."""
        return f"copies-{self.narrow}-{self.unit + 1}"

    @property
    def plane(self) -> str:
        """The scan over the share and a way on which the copies part."""
        return f"plane-{self.narrow}-{self.unit + 1}"

    def near(self, place: str) -> str:
        """The scan of starts about the point with the share of that place."""
        return f"near-{self.narrow}-{self.unit + 1}-{place}"


PLATEAU, SADDLE = Copied(2, 0), Copied(2, 1)
"""With U positive definite, and indefinite, at the same critical point of two units."""
ONE, REVERSED = Copied(1, 0), Copied(3, 2)
"""Of one unit, indefinite; of three, with U negative definite."""
UNITS = (ONE, PLATEAU, SADDLE, Copied(3, 0), Copied(3, 1), REVERSED)

SHARES = {"between": 0.5, "beyond": 1.5}
"""Of the copy of which starts are made: within (0, 1), or not."""
WIDE = 5
"""Units of the networks of starts: one more than teach, so that some student has no loss."""
LOWER = {2: 1e-3, 3: 1e-6}
"""Losses at which descents may end, by the units of the narrow network: far below its own."""
OFF = 0.5
"""How far off critical points derivatives are measured as well."""
_SEED = 40_000


@dataclass(frozen=True)
class Sizes:
    """How much the study does about critical points.

    Attributes:
        units: those whose copies are looked at.
        embedded: units of networks, narrow and wide, all of whose embeddings are looked at.
        replicates: shares of each of these.
        shares: steps from −1 to 2, a multiple of 6.
        side: points along each axis of the planes; 0 for none.
        starts: about each point.
    """

    units: tuple[Copied, ...]
    embedded: tuple[tuple[int, int], ...]
    replicates: int
    shares: int
    side: int
    starts: int


FULL = Sizes(UNITS, ((1, 4), (2, 3), (2, 4), (3, 4)), 3, 60, 81, 200)
QUICK = Sizes((PLATEAU, SADDLE), ((2, 3),), 1, 12, 0, 10)


def embedded_name(narrow: int, wide: int) -> str:
    """The scan of all embeddings."""
    return f"embedded-{narrow}-{wide}"


def critical_scans(quick: bool) -> dict[str, dict[str, Any]]:
    """Every scan by its name."""
    sizes = QUICK if quick else FULL
    found: dict[str, dict[str, Any]] = {}
    for pair in sizes.embedded:
        found[embedded_name(*pair)] = _embedded(*pair, sizes)
    for copied in sizes.units:
        found[copied.curve] = _curve(copied, sizes)
    for copied in (PLATEAU, SADDLE) if sizes.side else ():
        found[copied.plane] = _plane(copied, sizes)
    for number, (copied, place) in enumerate(near_points(quick)):
        found[copied.near(place)] = _near(copied, place, number, sizes)
    return found


def near_points(quick: bool) -> list[tuple[Copied, str]]:
    """The points about which there are starts, by the place of their share."""
    if quick:
        return [(PLATEAU, "between"), (SADDLE, "between")]
    return [(copied, place) for copied in (PLATEAU, SADDLE, REVERSED) for place in SHARES]


def _scan(parameters: dict[str, Any], seed: int, **more: object) -> dict[str, Any]:
    return {
        "task": "symmetry-net",
        "parameters": parameters,
        "splits": ["train"],
        "seed": _SEED + seed,
        "compute": {"workers": 0, "dtype": "float64"},
        **more,
    }


def _embedded(narrow: int, wide: int, sizes: Sizes) -> dict[str, Any]:
    ways = copies(narrow, wide)
    numbers = {"values": list(range(ways))}
    off = {"values": [0.0, OFF]}
    return _scan(
        {"section": "embedded", "narrow": narrow, "units": [wide]},
        100 * narrow + wide,
        axes={"embedding": numbers, "excess": off, "away": off},
        metrics=["loss", "gradient_norm"],
        replicates=sizes.replicates,
    )


def _duplicate(
    copied: Copied, units: int, seed: int, share: float = 0.5, **more: object
) -> dict[str, Any]:
    parameters = {
        "section": "duplicate",
        "narrow": copied.narrow,
        "copied": copied.unit,
        "units": [units],
        "share": share,
    }
    return _scan(parameters, 1000 * seed + 10 * copied.narrow + copied.unit, **more)


def _curve(copied: Copied, sizes: Sizes) -> dict[str, Any]:
    share = {"start": -1.0, "stop": 2.0, "num": sizes.shares + 1}
    off = {"values": [0.0, OFF]}
    return _duplicate(
        copied,
        copied.narrow + 1,
        1,
        axes={"share": share, "first": off, "second": off},
        metrics=["loss", "gradient_norm", "section_hessian", "hessian_eigenvalue_min"],
    )


def _plane(copied: Copied, sizes: Sizes) -> dict[str, Any]:
    share = {"start": -0.15, "stop": 1.15, "num": sizes.side}
    way = {"start": -0.4, "stop": 0.4, "num": sizes.side}
    return _duplicate(copied, copied.narrow + 1, 2, axes={"share": share, "apart": way})


def _near(copied: Copied, place: str, number: int, sizes: Sizes) -> dict[str, Any]:
    return _duplicate(
        copied,
        WIDE,
        3 + number,
        SHARES[place],
        starts={"num": sizes.starts, "distribution": "normal", "scale": 0.001},
        descent={"method": "lbfgs", "max_iterations": 5000, "target": LOWER[copied.narrow]},
    )
