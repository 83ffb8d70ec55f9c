"""The study `linear-resnet`: linear residual nets, of Hardt & Ma 2016, arXiv:1611.04231."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from schemas.scan import parse_spec
from schemas.study import Claim, Study
from tasks.linear import residual_claims as claims
from tasks.linear import residual_inequality as inequality
from tasks.linear.residual_figures import figures
from tasks.linear.residual_parameters import EXCESS, POPULATION

_ONE = {"kind": "identity"}
_RANDOM = {"kind": "random"}
_NEGATIVE = {"kind": "random", "determinant": "negative"}
_SLOPES = ["loss", "gradient_norm"]


@dataclass(frozen=True)
class Sizes:
    """How much of everything the study does.

    Attributes:
        depths: dimension and γ of R → depths of the explicit point.
        targets: R of each dimension, γ and depth.
        starts, starts_targets: of a multi-start scan with descents, and its R.
        points: random points of the ball.
        side: points along each axis about the boundary's critical point.
    """

    depths: dict[tuple[int, float], tuple[int, ...]]
    targets: int
    starts: int
    starts_targets: int
    points: int
    side: int


_FULL = Sizes(
    depths={
        (3, 0.6): (2, 4, 8, 16, 32, 64, 128, 256),
        (8, 2.0): (8, 16, 32, 64, 128, 256),
    },
    targets=22,
    starts=800,
    starts_targets=3,
    points=20_000,
    side=61,
)
_QUICK = Sizes(
    depths={(3, 0.6): (8, 256)}, targets=3, starts=150, starts_targets=1, points=2_000, side=21
)

_STARTS: dict[str, dict[str, Any]] = {
    "starts-two": {"layers": 2, "dimension": 2, "target": _RANDOM},
    "starts-three": {"layers": 3, "dimension": 2, "target": _RANDOM, "covariance": _RANDOM},
    "starts-wide": {"layers": 3, "dimension": 3, "target": _ONE, "covariance": _RANDOM},
}
_BALLS: dict[str, dict[str, Any]] = {
    "ball-line": {"layers": 2, "dimension": 1, "target": _ONE},
    "ball-scaled": {
        "layers": 3,
        "dimension": 1,
        "target": _ONE,
        "covariance": {"kind": "given", "rows": [[4]]},
    },
    "ball-two": {"layers": 2, "dimension": 2, "target": _RANDOM},
    "ball-three": {"layers": 3, "dimension": 2, "target": _RANDOM, "covariance": _RANDOM},
    "ball-wide": {"layers": 4, "dimension": 3, "target": _RANDOM, "covariance": _RANDOM},
}
_QUICK_ONLY = ("starts-two", "ball-scaled")
"""Of these, what the quick study has."""
_GROWING = (2, 4, 8)
"""Depths ℓ of the explicit points of R = e^ℓ I."""


def residual_study(quick: bool) -> Study:
    """The study at its full sizes or, if quick, at a few seconds' worth."""
    sizes = _QUICK if quick else _FULL
    starts, balls = (
        {name: raw for name, raw in every.items() if not quick or name in _QUICK_ONLY}
        for every in (_STARTS, _BALLS)
    )
    series = {
        f"d = {d}, γ = {gamma:g}": [f"depth-{d}-{layers}" for layers in depths]
        for (d, gamma), depths in sizes.depths.items()
    }
    scans = {
        **_depths(sizes),
        "too-shallow": _explicit(2, 1e4),
        **{f"growing-{layers}": _explicit(layers, math.exp(layers)) for layers in _GROWING},
        **{name: _starts(raw, sizes) for name, raw in starts.items()},
        "starts-negative": _starts({"layers": 3, "dimension": 2, "target": _NEGATIVE}, sizes),
        "boundary": _boundary(sizes),
        **_counterexamples(),
        **{name: _ball(raw, sizes) for name, raw in balls.items()},
        "ball-negative": _ball({"layers": 3, "dimension": 2, "target": _NEGATIVE}, sizes),
        "line": _line(),
    }
    specs = {name: parse_spec(raw, f"study linear-resnet, {name}") for name, raw in scans.items()}
    return Study(
        name="linear-resnet",
        summary="A linear residual net has a global minimum of small norm, and within the unit "
        "ball no other critical point. Its gradient inequality is false as printed; a corrected "
        "one holds and is tight.",
        scans=specs,
        claims=tuple(_claims(list(series.values()), list(starts), list(balls))),
        figures=figures(
            series,
            {_words(raw): name for name, raw in starts.items()},
            {"ℓ = 3, d = 2": "starts-negative"},
            {_words(raw): name for name, raw in balls.items()},
            "line",
        ),
        cover="boundary:relief",
    )


def _claims(series: list[list[str]], starts: list[str], balls: list[str]) -> list[Claim]:
    negative = ["starts-negative"], ["ball-negative"]
    return [
        *claims.construction(series),
        claims.minimum_in_ball(starts, "ends"),
        claims.determinant_margin(negative[1], "ball-negative"),
        claims.critical_in_ball(starts, "ends"),
        *claims.boundary("boundary"),
        *inequality.printed(),
        *inequality.corrected(balls, "line"),
        claims.too_shallow("too-shallow"),
        claims.growing_targets([f"growing-{layers}" for layers in _GROWING]),
        claims.minimum_in_ball(negative[0], "ends-negative").as_control(
            "minimum-in-ball-of-negative-determinant", "with det R < 0"
        ),
        claims.determinant_margin(balls, balls[0]).as_control(
            "margin-of-positive-determinant", "with det R > 0"
        ),
        claims.critical_outside(starts),
    ]


def _words(raw: dict[str, Any]) -> str:
    target, covariance = raw["target"], raw.get("covariance", _ONE)
    return ", ".join(
        [
            f"ℓ = {raw['layers']}",
            f"d = {raw['dimension']}",
            *(_matrix(name, kind) for name, kind in (("R", target), ("Σ", covariance))),
        ]
    )


def _matrix(name: str, kind: dict[str, Any]) -> str:
    match kind["kind"]:
        case "identity":
            return f"{name} = I"
        case "given":
            return f"{name} = {kind['rows'][0][0]}"
        case _:
            return f"{name} random"


def _scan(parameters: dict[str, Any], **more: object) -> dict[str, Any]:
    return {
        "task": "linear-residual",
        "parameters": parameters,
        "splits": [EXCESS],
        "metrics": _SLOPES,
        "compute": {"dtype": "float64", "workers": 0},
        **more,
    }


def _depths(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """A line through the explicit point, of every depth; R is the same at each of them."""
    return {
        f"depth-{d}-{layers}": _scan(
            {
                "dimension": d,
                "layers": layers,
                "target": {**_RANDOM, "gamma": gamma},
                "origin": "construction",
            },
            axes={"t": {"start": -0.5, "stop": 0.5, "num": 21}},
            splits=[POPULATION, EXCESS],
            replicates=sizes.targets,
        )
        for (d, gamma), depths in sizes.depths.items()
        for layers in depths
    }


def _explicit(layers: int, factor: float) -> dict[str, Any]:
    """A line through the explicit point of two inputs and R = factor·I."""
    target = {"kind": "given", "rows": [[factor, 0.0], [0.0, factor]]}
    return _scan(
        {"dimension": 2, "layers": layers, "target": target, "origin": "construction"},
        axes={"t": {"start": -0.5, "stop": 0.5, "num": 21}},
    )


def _starts(parameters: dict[str, Any], sizes: Sizes) -> dict[str, Any]:
    return _scan(
        parameters,
        starts={"num": sizes.starts, "scale": 0.9},
        descent={
            "method": "newton",
            "tolerance": 1e-10,
            "max_iterations": 500,
            "keep_parameters": True,
        },
        metrics=["loss"],
        replicates=sizes.starts_targets,
        seed=1,
    )


def _boundary(sizes: Sizes) -> dict[str, Any]:
    axis = {"start": -1.5, "stop": 1.5, "num": sizes.side}
    return _scan(
        {"dimension": 2, "layers": 2, "target": _ONE, "origin": "boundary"},
        axes={"alpha": axis, "beta": axis},
    )


def _counterexamples() -> dict[str, dict[str, Any]]:
    axes = {"t": {"start": -0.25, "stop": 0.25, "num": 41}}
    deep = {
        "dimension": 1,
        "layers": 3,
        "target": _ONE,
        "origin": "given",
        "layer": [[-0.5]],
    }
    shallow = {
        "dimension": 1,
        "layers": 1,
        "target": {"kind": "given", "rows": [[2]]},
        "covariance": {"kind": "given", "rows": [[4]]},
    }
    return {"printed-deep": _scan(deep, axes=axes), "printed-shallow": _scan(shallow, axes=axes)}


def _ball(parameters: dict[str, Any], sizes: Sizes) -> dict[str, Any]:
    return _scan(parameters, starts={"num": sizes.points})


def _line() -> dict[str, Any]:
    return _scan(
        {"dimension": 2, "layers": 3, "target": _ONE, "directions": "identity"},
        axes={"alpha": {"start": -1, "stop": 0, "num": 201}},
    )
