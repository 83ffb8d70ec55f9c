"""The scans of the study `wide-layer` about Yu & Chen's claim, as plain specs.

Yu & Chen 1995, IEEE Transactions on Neural Networks 6. Every scan has data of its own, by its seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DIMENSIONS: Mapping[int, int] = {4: 1, 10: 2, 30: 4, 100: 10}
"""Inputs of each sample, by the number of samples, with which random features are independent."""
MIDDLE = 10
"""The width of controls and pictures."""
SCALES = (0.01, 0.0001)
"""Of perturbations: output weights of 1 stay positive."""
_SEEDS_APART = 1000
_SEEDS = {
    name: 10 * number
    for number, name in enumerate(("flat", "across", "plane", "ends", "features", "random", "near"))
}


@dataclass(frozen=True)
class Sizes:
    """How much the study does about equal units.

    Attributes:
        widths: numbers of units, and of samples, some of those of `DIMENSIONS`; 10 is one of them.
        perturbations: of each scale.
        descents: from near each point.
        features: random ones of each width.
        line: steps from the local minimum to the global one.
        side: points along each axis of a plane.
    """

    widths: tuple[int, ...]
    perturbations: int
    descents: int
    features: int
    line: int
    side: int


FULL = Sizes((4, 10, 30, 100), 10_000, 50, 1000, 400, 101)
QUICK = Sizes((10,), 1000, 40, 200, 200, 31)


def near(data: str, width: int) -> list[str]:
    """The scans of perturbations of equal units."""
    return [f"{data}-{width}-near-{scale:.0e}" for scale in SCALES]


def yu_chen_scans(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """Every scan by its name."""
    found: dict[str, dict[str, Any]] = {}
    for width in sizes.widths:
        found |= _of_trap(width, sizes)
    return found | _of_saddle(sizes) | _controls(sizes) | _pictures(sizes)


def _scan(
    what: str, width: int, parameters: Mapping[str, Any], seed: int = 0, **more: object
) -> dict[str, Any]:
    return {
        "task": "wide-layer",
        "parameters": {
            "samples": width,
            "dimensions": DIMENSIONS[width],
            "widths": [width],
            "bias": False,
            **parameters,
        },
        "splits": ["train"],
        "seed": _SEEDS_APART * width + _SEEDS[what] + seed,
        "compute": {"workers": 0, "dtype": "float64"},
        **more,
    }


def _line(what: str, width: int, data: str, section: str, seed: int = 0) -> dict[str, Any]:
    """Points along an axis, with their derivatives."""
    return _scan(
        what,
        width,
        {"data": data, "section": section},
        seed,
        axes={"t": {"start": -0.5, "stop": 0.5, "num": 5}},
        metrics=["loss", "gradient_norm", "hessian_eigenvalue_min"],
    )


def _around(width: int, data: str, sizes: Sizes, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Perturbations of equal units, and descents from such."""

    def starts(num: int, scale: float) -> dict[str, Any]:
        return {"num": num, "distribution": "normal", "scale": scale}

    found = {
        name: _scan(
            "near",
            width,
            {"data": data},
            seed + 10 * SCALES.index(scale),
            starts=starts(sizes.perturbations, scale),
        )
        for name, scale in zip(near(data, width), SCALES, strict=True)
    }
    found[f"{data}-{width}-ends"] = _scan(
        "ends",
        width,
        {"data": data},
        seed,
        starts=starts(sizes.descents, 0.01),
        descent={"method": "lbfgs", "max_iterations": 500},
    )
    return found


def _of_trap(width: int, sizes: Sizes) -> dict[str, dict[str, Any]]:
    return {
        f"trap-{width}": _line("flat", width, "trap", "flat"),
        **_around(width, "trap", sizes),
        f"features-{width}": _features(width, {"data": "trap"}, sizes),
        f"across-{width}": _scan(
            "across",
            width,
            {"data": "trap", "section": "across"},
            axes={"t": {"start": 0.0, "stop": 1.0, "num": sizes.line + 1}},
        ),
    }


def _features(
    width: int, parameters: Mapping[str, Any], sizes: Sizes, seed: int = 0
) -> dict[str, Any]:
    return _scan(
        "features",
        width,
        {"draw": "solved", **parameters},
        seed,
        starts={"num": sizes.features, "scale": 4.0},
    )


def _of_saddle(sizes: Sizes) -> dict[str, dict[str, Any]]:
    saddles = {
        f"saddle-{width}": _line("flat", width, "saddle", "flat", 1) for width in sizes.widths
    }
    return saddles | _around(MIDDLE, "saddle", sizes, 1)


def _controls(sizes: Sizes) -> dict[str, dict[str, Any]]:
    narrow = {"data": "trap", "widths": [MIDDLE - 1]}
    return {
        "random": _line("random", MIDDLE, "trap", "random"),
        "features-narrow": _features(MIDDLE, narrow, sizes, 1),
        "features-repeated": _features(MIDDLE, {"data": "repeated"}, sizes, 2),
    }


def _pictures(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """A plane through the local minimum; its directions are of unit norm."""
    axis = {"start": -1.0, "stop": 1.0, "num": sizes.side}
    parameters = {"data": "trap", "section": "random"}
    return {"plane": _scan("plane", MIDDLE, parameters, axes={"first": axis, "second": axis})}
