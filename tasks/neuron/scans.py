"""The scans of the study `single-neuron`, as plain specs.

Auer, Herbster & Warmuth 1995, NIPS 8; Tian 2017, arXiv:1703.00560.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tasks.neuron.relu_measures import POPULATION, SAMPLE

_RATIO = 20.0
_FIRST_WEIGHT = 0.1
# Beyond this weight of the last example φ saturates, and the error is flat to rounding.
_LAST_SUM = 10.0
_SERIAL = {"workers": 0, "dtype": "float64"}


@dataclass(frozen=True)
class Sizes:
    """How much of everything the study does.

    Attributes:
        growth: (inputs d, examples n) → points along each axis of the grid.
        ratios: of the control with five examples of one input.
        side: points along each axis of other planes.
        starts: of every multi-start scan.
        rays: replicates, each a ray.
        samples: sizes of the samples of a ReLU neuron's inputs.
        replicates: of each size.
    """

    growth: dict[tuple[int, int], int]
    ratios: tuple[int, ...]
    side: int
    starts: int
    rays: int
    samples: tuple[int, ...]
    replicates: int


def all_scans(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """Every scan by its name."""
    return {
        **{f"d{d}-n{n}": _minima(d, n, num) for (d, n), num in sizes.growth.items()},
        **{f"ratio-{ratio}": _minima(1, 5, 400, ratio) for ratio in sizes.ratios},
        **_other_minima(sizes.side),
        **_descents(sizes.starts),
        **_rays(sizes.rays),
        **_relu(sizes),
    }


def _geometric(n: int, ratio: float = _RATIO) -> dict[str, Any]:
    return {"kind": "geometric", "examples": n, "ratio": ratio}


def _log(n: int, num: int, ratio: float = _RATIO) -> dict[str, Any]:
    """An axis over all scales of n examples."""
    return {
        "scale": "log",
        "start": _FIRST_WEIGHT,
        "stop": _LAST_SUM * ratio ** (n - 1),
        "num": num,
    }


def _scan(parameters: dict[str, Any], **more: object) -> dict[str, Any]:
    return {
        "task": "single-neuron",
        "parameters": parameters,
        "splits": ["train"],
        "compute": _SERIAL,
        **more,
    }


def _minima(d: int, n: int, num: int, ratio: float = _RATIO) -> dict[str, Any]:
    """Auer's surface on a logarithmic grid; a large one in float32, on all workers."""
    large = num**d > 10**7
    return _scan(
        {"data": _geometric(n, ratio)},
        axes={f"w{axis + 1}": _log(n // d, num, ratio) for axis in range(d)},
        compute={"dtype": "float32", "workers": "auto" if large else 0},
    )


def _other_minima(side: int) -> dict[str, dict[str, Any]]:
    turned = {"data": _geometric(4), "rotated": True}
    wide = {"start": -36, "stop": 36, "num": 4 * side}
    near = {"start": -3, "stop": 5, "num": side}
    published = {"kind": "given", "examples": [[[10], 0.55], [[0.7], 0.25]]}
    return {
        "rotated": _scan(
            {**turned, "section": "rotated"},
            axes={"u1": _log(2, side), "u2": _log(2, side)},
            replicates=3,
        ),
        "rotated-weights": _scan(turned, axes={"w1": wide, "w2": wide}),
        "bias": _scan(
            {"data": _geometric(4), "bias": True},
            axes={"w": _log(2, 2 * side), "b": {"start": -2, "stop": 2, "num": side}},
        ),
        "published": _scan({"data": published}, axes={"w": {"start": -4, "stop": 2, "num": 1201}}),
        "linear-grid": _scan(
            {"data": _geometric(4)}, axes={"w": {"start": 0, "stop": 20_000, "num": 512}}
        ),
        "entropic": _scan(
            {"data": _geometric(4), "loss": "entropic"}, axes={"w1": near, "w2": near}
        ),
    }


def _descents(num: int) -> dict[str, dict[str, Any]]:
    descent = {"tolerance": 1e-9, "keep_parameters": True}
    return {
        "starts": _scan(
            {"data": _geometric(4), "dimensions": 2},
            starts={"num": num},
            descent={**descent, "method": "lm"},
        ),
        "starts-entropic": _scan(
            {"data": _geometric(4), "dimensions": 2, "loss": "entropic"},
            starts={"num": num},
            descent=descent,
        ),
    }


def _rays(replicates: int) -> dict[str, dict[str, Any]]:
    data = {"kind": "teacher", "examples": 20}
    along: dict[str, dict[str, Any]] = {
        "rays": {"data": data},
        "rays-noise": {"data": {**data, "noise": 1.0}},
        "rays-sine": {"data": data, "activation": "sine"},
    }
    return {
        name: _scan(
            {**parameters, "dimensions": 3, "section": "ray"},
            axes={"r": {"start": 0, "stop": 4, "num": 201}},
            replicates=replicates,
        )
        for name, parameters in along.items()
    }


def _relu(sizes: Sizes) -> dict[str, dict[str, Any]]:
    plane = {"section": "plane", "dimensions": 3}

    def scan(parameters: dict[str, Any], **more: object) -> dict[str, Any]:
        return {
            "task": "relu-neuron",
            "parameters": parameters,
            "splits": [POPULATION],
            "compute": _SERIAL,
            **more,
        }

    def square(reach: float, num: int) -> dict[str, Any]:
        axis = {"start": -reach, "stop": reach, "num": num}
        return {"along": axis, "across": axis}

    def sampled(size: int, **more: object) -> dict[str, Any]:
        return scan(
            {**plane, "teacher": [1, 0, 0], "samples": size, **more},
            axes=square(1.5, 9),
            splits=[POPULATION, SAMPLE],
            replicates=sizes.replicates,
        )

    descent = {"tolerance": 1e-8, "keep_parameters": True}
    return {
        "relu-plane": scan(
            {**plane, "samples": 200},
            axes=square(2.1, sizes.side),
            splits=[POPULATION, SAMPLE],
            metrics=["loss", "gradient_norm", "section_gradient"],
            replicates=sizes.replicates,
        ),
        "relu-zero": scan(plane, axes=square(1e-4, 33)),
        "relu-starts": scan({"dimensions": 10}, starts={"num": sizes.starts}, descent=descent),
        "relu-line": scan(
            {"dimensions": 1}, starts={"num": sizes.starts}, descent={**descent, "method": "gd"}
        ),
        **{f"relu-sample-{size}": sampled(size) for size in sizes.samples},
        **{f"relu-signs-{size}": sampled(size, inputs="signs") for size in sizes.samples},
    }
