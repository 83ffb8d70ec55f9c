"""The scans of the study `wide-layer` for Nguyen & Hein's condition, as plain specs.

Nguyen & Hein 2017, arXiv:1704.08045.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SAMPLES = 5
"""N. Layers of N − 1 = 4 units are as wide as the theorem asks for."""
_TOLERANCE = 1e-10
"""Gradient norm of a critical point."""
_SPREAD = {"lm": 2.0, "newton": 1.5}
"""Of the starts, by method: units that are neither linear nor saturated."""
_ITERATIONS = {"lm": 500, "newton": 100}
"""Newton's method comes to a critical point within these, or only as a power of time."""
_FIRST_SEED = 1704


@dataclass(frozen=True)
class Net:
    """A network whose critical points are looked for.

    Attributes:
        minima_only: whether not those of any kind: where no loss is known to be the least, all that
            Newton's method finds may lie above it.
    """

    name: str
    words: str
    widths: tuple[int, ...]
    activation: str = "sigmoid"
    minima_only: bool = False


NARROW = Net("narrow", "2 units", (2,), minima_only=True)
EXACT = Net("exact", "N − 1 units", (4,))
WIDER = Net("wider", "N + 2 units", (7,))
LOWER = Net("lower", "N − 1 units, then 2", (4, 2))
UPPER = Net("upper", "3 units, then N − 1", (3, 4))
TANH = Net("exact-tanh", "N − 1 units, tanh", (4,), "tanh")
SOFTPLUS = Net("exact-softplus", "N − 1 units, softplus", (4,), "softplus")
NETS = (NARROW, EXACT, WIDER, LOWER, UPPER, TANH, SOFTPLUS)


@dataclass(frozen=True)
class Starts:
    """How many descents there are of each network, by each method.

    Attributes:
        replicates: data sets.
        starts: on each of them.
    """

    replicates: int
    starts: int


def of(net: Net) -> tuple[str, ...]:
    """Names of a network's scans: descents to minima, and to critical points of any kind."""
    minima = f"{net.name}-minima"
    return (minima,) if net.minima_only else (minima, f"{net.name}-points")


def condition_scans(sizes: Starts) -> dict[str, dict[str, Any]]:
    """The scans of each network."""
    found = {}
    for number, net in enumerate(NETS):
        for method, name in zip(_ITERATIONS, of(net), strict=False):
            seed = _FIRST_SEED + 2 * number + (method == "newton")
            found[name] = _descents(net, method, seed, sizes)
    return found


def _descents(net: Net, method: str, seed: int, sizes: Starts) -> dict[str, Any]:
    return {
        "task": "wide-layer",
        "parameters": {
            "samples": SAMPLES,
            "dimensions": 2,
            "widths": list(net.widths),
            "activation": net.activation,
        },
        "splits": ["train"],
        "starts": {"num": sizes.starts, "scale": _SPREAD[method]},
        "descent": {
            "method": method,
            "tolerance": _TOLERANCE,
            "max_iterations": _ITERATIONS[method],
            "keep_parameters": True,
        },
        "replicates": sizes.replicates,
        "seed": seed,
        "compute": {"workers": 0, "dtype": "float64"},
    }
