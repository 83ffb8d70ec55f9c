"""The study `deep-linear`: what descents find in the loss of deep linear networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from schemas.scan import parse_spec
from schemas.study import Claim, Study
from tasks.linear import deep_claims as claims
from tasks.linear.deep_figures import figures
from tasks.linear.deep_measures import AXIS_NAME

_DATA = {"samples": 12}
"""Few samples leave much that no map explains."""
_ENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "two-layers": ("3-3-3", {"widths": [3, 3, 3], **_DATA}),
    "three-layers": ("4-5-4-3", {"widths": [4, 5, 4, 3]}),
    "four-layers": ("4-4-4-4-4", {"widths": [4, 4, 4, 4, 4]}),
    "deficient-inputs": ("X of rank 2", {"widths": [5, 5, 5, 4], "input_rank": 2}),
    "deficient-map": ("map of rank 2", {"widths": [4, 4, 4, 4], "map_rank": 2, "noise": 0.0}),
    "narrow": ("5-2-5", {"widths": [5, 2, 5]}),
    "narrow-three": ("5-4-2-5", {"widths": [5, 4, 2, 5]}),
    "relu": ("3-3-3 with a ReLU", {"widths": [3, 3, 3], **_DATA, "relu_after": 1}),
}
_CRITICAL: dict[str, tuple[str, list[int]]] = {
    "critical-two": ("3-3-3", [3, 3, 3]),
    "critical-three": ("4-3-3-3", [4, 3, 3, 3]),
    "critical-narrow": ("4-2-4, a bottleneck", [4, 2, 4]),
}
_LINES: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"zero-{h}": (f"{h} layers", {"widths": [4] * h + [3]}) for h in (2, 3, 4, 5)},
    "through-minimum": ("through a minimum", {"widths": [6, 5, 5, 3], "origin": "minimum"}),
    "through-point": ("through a random point", {"widths": [6, 5, 5, 3], "origin": "seeded"}),
}
_DISTANCES = (-5.0, 0.0, 41)
"""Decades of the distances on a line, from and to, and how many there are."""
_NOT_QUICK = frozenset(
    {"three-layers", "four-layers", "deficient-map", "narrow-three", "critical-three"}
    | {"zero-4", "zero-5", "through-point"}
)


def deep_linear_study(quick: bool) -> Study:
    """The study with 800 descents for each case or, if quick, with 100 for half of the cases."""
    raw = {
        **{name: _descents(given, quick) for name, (_, given) in _ENDS.items()},
        **{name: _critical(widths, quick) for name, (_, widths) in _CRITICAL.items()},
        **{name: _line(given, quick) for name, (_, given) in _LINES.items()},
    }
    kept = {name: given for name, given in raw.items() if not (quick and name in _NOT_QUICK)}
    groups = (_ENDS, _LINES, _CRITICAL)
    labels = [{n: label for n, (label, _) in group.items() if n in kept} for group in groups]
    return Study(
        name="deep-linear",
        summary="Deep linear networks have no spurious minima, yet bad saddles: all descents end "
        "at the global minimum, though the loss is the flatter at zero weights the more layers "
        "there are.",
        scans={name: parse_spec(one, f"study deep-linear, {name}") for name, one in kept.items()},
        claims=tuple(_claims(frozenset(kept))),
        figures=figures(*labels),
        cover="flatness",
    )


def _scan(parameters: dict[str, Any], small: bool, **given: object) -> dict[str, Any]:
    """A raw spec; what is small is not worth starting workers for."""
    compute = {"dtype": "float64", **({"workers": 0} if small else {})}
    return {"task": "deep-linear", "parameters": parameters, "compute": compute, **given}


def _descents(parameters: dict[str, Any], quick: bool) -> dict[str, Any]:
    return _scan(
        parameters,
        quick,
        splits=["train"],
        replicates=1 if quick else 2,
        starts={"num": 100 if quick else 400},
        descent={"method": "lm", "tolerance": 1e-8, "max_iterations": 300},
    )


def _critical(widths: list[int], quick: bool) -> dict[str, Any]:
    return _scan(
        {"widths": widths},
        quick,
        splits=["train"],
        replicates=1 if quick else 2,
        # Newton's method goes to the critical points near by: from far out all kinds are found.
        starts={"num": 100 if quick else 400, "scale": 3.0},
        descent={
            "method": "newton",
            "tolerance": 1e-9,
            "max_iterations": 300,
            "keep_parameters": True,
        },
    )


def _line(parameters: dict[str, Any], quick: bool) -> dict[str, Any]:
    distances = np.logspace(*_DISTANCES[:2], int(_DISTANCES[2]))
    metrics = ["loss", "gradient_norm", "hessian_eigenvalue_min", "hessian_eigenvalue_max"]
    return _scan(
        parameters,
        True,
        splits=["train", "rise"],
        metrics=metrics,
        replicates=2 if quick else 5,
        axes={AXIS_NAME: {"values": [0.0, *(float(t) for t in distances)]}},
    )


def _claims(kept: frozenset[str]) -> list[Claim]:
    """The claims on the scans that are kept, their controls after them."""

    def among(*names: str) -> tuple[str, ...]:
        return tuple(name for name in names if name in kept)

    full = among("two-layers", "three-layers", "four-layers")
    deficient = among("deficient-inputs", "deficient-map")
    generic = among("zero-2", "zero-3", "zero-4", "zero-5")
    deep = generic[1:]
    elsewhere = among("through-minimum", "through-point")
    wide = among("critical-two", "critical-three")
    return [
        claims.no_spurious_minima("full-rank-global", "on data of full rank", *full),
        claims.no_spurious_minima(
            "deficient-global", "on rank-deficient data", *deficient, deficient=True
        ),
        claims.bottleneck_reaches_its_own(*among("narrow", "narrow-three")),
        claims.vanishes_at_zero("bad-saddle", "three layers or more", *deep),
        claims.falls_from_zero("zero-no-minimum", "zero weights", *generic),
        claims.strict_saddle_at_zero("strict-saddle", "two layers", "zero-2"),
        claims.flat_to_depth("flat-to-depth", "zero weights", *generic),
        claims.global_where_map_is_critical("map-critical", "without a bottleneck", *wide),
        claims.critical_values("critical-values", "linear layers", *wide, "critical-narrow"),
        claims.others_are_saddles(
            "other-saddles", "two linear layers", "critical-two", "critical-narrow"
        ),
        *_controls(elsewhere),
    ]


def _controls(elsewhere: tuple[str, ...]) -> list[Claim]:
    """The claims where their hypotheses are broken; `elsewhere` are lines not through zero."""
    return [
        claims.relu_has_spurious_minima("relu"),
        claims.bottleneck_reaches_regression("narrow"),
        claims.vanishes_at_zero("bad-saddle-two-layers", "two layers", "zero-2", control=True),
        claims.falls_from_zero(
            "minimum-no-minimum", "a global minimum", "through-minimum", control=True
        ),
        claims.strict_saddle_at_zero(
            "strict-saddle-three-layers", "three layers", "zero-3", control=True
        ),
        claims.flat_to_depth("flat-elsewhere", "other points", *elsewhere, control=True),
        claims.global_where_map_is_critical(
            "map-critical-narrow", "with a bottleneck", "critical-narrow", control=True
        ),
        claims.critical_values(
            "critical-values-relu", "linear layers and a ReLU", "relu", control=True
        ),
        claims.others_are_saddles(
            "other-saddles-relu", "two layers and a ReLU", "relu", control=True
        ),
    ]
