"""The scans of the study `piecewise-linear` about bad local minima, as plain specs.

Yun, Sra & Jadbabaie 2019, arXiv:1802.03487; He, Wang & Tao 2020, arXiv:2003.12236. Every scan has
data of its own, by its seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SMOOTH = ("sigmoid", "tanh", "arctan")
UNITS: Mapping[str, Any] = {
    "relu": "relu",
    "nearly-linear": {"slopes": [1.0, 1.01]},
    "leaky": {"slopes": [0.2, 1.0]},
    "slightly-leaky": {"slopes": [0.01, 1.0]},
    "hard-tanh": "hard-tanh",
    "abs": "abs",
}
"""Units of the networks, by name."""
WIDTHS: Mapping[str, tuple[tuple[int, ...], int]] = {
    "2": ((2,), 1),
    "3": ((3,), 1),
    "4-3-3": ((4, 3, 3), 2),
    "4-5-4-6": ((4, 5, 4, 6), 3),
}
"""Units of each hidden layer, and outputs."""
XOR: Mapping[str, Any] = {"xor-relu": "relu", "xor-leaky": {"slopes": [0.1, 1.0]}}
_QUICK = ("2-relu", "4-3-3-nearly-linear", "4-5-4-6-hard-tanh")
_SEEDS_APART = 100
_SEEDS = {
    name: 1802 + 10_000 * number
    for number, name in enumerate(("across", "around", "family", "probe", "plane", "controls"))
}


@dataclass(frozen=True)
class Sizes:
    """How much the study does.

    Attributes:
        networks: names of widths and units, joined.
        around: those of which random planes are scanned.
        tied: scans of XOR.
        smooth: activations.
        replicates: data sets of each network.
        line: steps from the minimum to the lower point.
        side, picture: points along each axis of a small plane, and of a large one.
    """

    networks: tuple[str, ...]
    around: tuple[str, ...]
    tied: tuple[str, ...]
    smooth: tuple[str, ...]
    replicates: int
    line: int
    side: int
    picture: int


def every_network() -> tuple[str, ...]:
    """All widths with all units."""
    return tuple(f"{widths}-{units}" for widths in WIDTHS for units in UNITS)


def sizes(quick: bool) -> Sizes:
    """The quick sizes, or the full ones."""
    if quick:
        return Sizes(_QUICK, _QUICK[-1:], ("xor-relu",), ("tanh",), 2, 100, 21, 61)
    every = every_network()
    return Sizes(every, every, tuple(XOR), SMOOTH, 4, 400, 41, 201)


def across(networks: Iterable[str]) -> list[str]:
    """The scans of lines from the minimum of networks to their lower points."""
    return [f"across-{name}" for name in networks]


def around(networks: Iterable[str]) -> list[str]:
    """The scans of random planes through the minimum of networks."""
    return [f"around-{name}" for name in networks]


def minimum_scans(size: Sizes) -> dict[str, dict[str, Any]]:
    """Every scan by its name."""
    found: dict[str, dict[str, Any]] = {}
    for name in size.networks:
        seed = _SEEDS_APART * every_network().index(name)
        found |= _of_network(name, size, seed)
    return found | _of_ties(size) | _pictures(size) | _families(size) | _smooth(size)


def _scan(
    parameters: Mapping[str, Any], seed: int, axes: Mapping[str, Any], replicates: int = 1
) -> dict[str, Any]:
    return {
        "task": "piecewise-net",
        "parameters": {"samples": 10, **parameters},
        "splits": ["train"],
        "seed": seed,
        "compute": {"workers": 0, "dtype": "float64"},
        "axes": axes,
        "replicates": replicates,
    }


def _network(name: str) -> dict[str, Any]:
    widths, units = next(
        (each, name.removeprefix(f"{each}-")) for each in WIDTHS if name.startswith(f"{each}-")
    )
    hidden, outputs = WIDTHS[widths]
    return {"widths": hidden, "outputs": outputs, "activation": UNITS[units]}


def _between(num: int) -> dict[str, Any]:
    """From before the minimum, at 0, to beyond the lower point, at 1."""
    return {"start": -0.25, "stop": 1.25, "num": num + num // 2 + 1}


def _within(num: int) -> dict[str, Any]:
    """Within the radius that is proved, in units of it, along both of two axes."""
    return {"start": -0.7, "stop": 0.7, "num": num}


def _of_network(name: str, size: Sizes, seed: int) -> dict[str, dict[str, Any]]:
    network = _network(name)
    small = _within(size.side)
    found = {
        f"across-{name}": _scan(
            {**network, "section": "across"},
            _SEEDS["across"] + seed,
            {"t": _between(size.line)},
            size.replicates,
        )
    }
    if name in size.around:
        found[f"around-{name}"] = _scan(
            network, _SEEDS["around"] + seed, {"first": small, "second": small}, size.replicates
        )
    return found


def _of_ties(size: Sizes) -> dict[str, dict[str, Any]]:
    xor = {"data": "xor", "samples": 4, "section": "across"}
    return {
        name: _scan({**xor, "activation": XOR[name]}, 0, {"t": _between(size.line)})
        for name in size.tied
    }


def _pictures(size: Sizes) -> dict[str, dict[str, Any]]:
    """Planes: through two minima and a lower point, and through one that is broken or not."""
    side, close = {"start": -0.25, "stop": 1.25, "num": size.picture}, _within(size.side)
    return {
        "plane": _scan({"section": "across"}, _SEEDS["plane"], {"lower": side, "other": side}),
        **{
            f"probe-{at}": _scan(
                {"section": "probe", "at": at}, _SEEDS["probe"], {"turn": close, "grow": close}
            )
            for at in ("minimum", "broken")
        },
        **{
            f"control-{name}": _scan(
                parameters, _SEEDS["controls"], {"first": close, "second": close}, size.replicates
            )
            for name, parameters in (
                ("fittable", {"data": "fittable"}),
                ("linear", {"activation": "linear"}),
            )
        },
    }


def _families(size: Sizes) -> dict[str, dict[str, Any]]:
    """All α; the second one leaves the piece of its units on the way."""
    logs = {"log10_alpha": {"start": -3.0, "stop": 3.0, "num": 61}}
    deep = {**_network("4-3-3-leaky"), "section": "family"}
    short = {**_network("3-hard-tanh"), "section": "family"}
    return {
        "family": _scan(deep, _SEEDS["family"], logs, size.replicates),
        "family-hard-tanh": _scan(short, _SEEDS["family"] + _SEEDS_APART, logs),
    }


def _smooth(size: Sizes) -> dict[str, dict[str, Any]]:
    """The example of smooth units."""
    # The risk rises a hundred times as fast along the second axis as it changes along the first.
    flat = _within(size.side)
    steep = {**flat, "start": -0.07, "stop": 0.07}
    found = {}
    for name in size.smooth:
        example = {"data": "three-points", "samples": 3, "widths": (2,), "activation": name}
        found[f"{name}-across"] = _scan(
            {**example, "section": "across"}, 0, {"t": _between(size.line)}
        )
        for at in ("minimum", "broken"):
            found[f"{name}-{at}"] = _scan(
                {**example, "section": "probe", "at": at}, 0, {"cancel": flat, "differ": steep}
            )
    return found
