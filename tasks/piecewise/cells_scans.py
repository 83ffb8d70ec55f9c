"""The scans of the study `piecewise-linear` about activation cells, as plain specs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RELU, LEAKY, LINEAR = "cells-relu", "cells-leaky", "cells-linear"
STOPPED = "cells-stopped"
LINE = "cells-line"
WITHIN, ACROSS, REVERSED = "cells-within", "cells-across", "cells-reversed"
MAP = "cells-map"
_SEEDS = {
    name: 40 + number
    for number, name in enumerate(
        (RELU, LEAKY, LINEAR, STOPPED, LINE, WITHIN, ACROSS, REVERSED, MAP)
    )
}
_DEEP = {"samples": 10, "widths": [6, 5], "slope": 0.2}
_LEAKY = {"widths": [2], "slope": 0.3}
STOP_AFTER = 4
"""Iterations of descents that are ended too early."""


@dataclass(frozen=True)
class _Sizes:
    """How much is done.

    Attributes:
        starts: descents on each data set.
        replicates: data sets.
        line: steps of a line, a power of two.
    """

    starts: int
    replicates: int
    line: int


_FULL = _Sizes(400, 4, 2**15)
_QUICK = _Sizes(40, 2, 2**11)
_SIDE = 1024
"""Points along each axis of the map."""
# Those that have not converged by then are in a corner where walls meet.
_LM = {"method": "lm", "max_iterations": 100, "keep_parameters": True}


def cell_scans(quick: bool) -> dict[str, dict[str, Any]]:
    """Every scan about cells by its name."""
    sizes = _QUICK if quick else _FULL
    return {
        RELU: _starts(RELU, sizes, {"widths": [3], "slope": 0.0}, _LM),
        LEAKY: _starts(LEAKY, sizes, _LEAKY, _LM),
        LINEAR: _starts(LINEAR, sizes, {"widths": [2], "slope": 1.0}, _LM),
        STOPPED: _starts(
            STOPPED, sizes, {"widths": [3], "slope": 0.0}, {**_LM, "max_iterations": STOP_AFTER}
        ),
        LINE: _line(LINE, {**_DEEP, "section": "random"}, sizes.line),
        WITHIN: _way(WITHIN, {**_LEAKY, "section": "within"}),
        ACROSS: _way(ACROSS, {**_LEAKY, "section": "across"}),
        REVERSED: _way(
            REVERSED,
            {"samples": 6, "widths": [2], "slope": 0.5, "section": "reversed"},
        ),
        # Most of a small map's time is for its pictures.
        **({} if quick else {MAP: _map()}),
    }


def _scan(name: str, parameters: Mapping[str, Any], **more: object) -> dict[str, Any]:
    return {
        "task": "piecewise-cells",
        "parameters": dict(parameters),
        "splits": ["train"],
        "seed": _SEEDS[name],
        "compute": {"workers": 0, "dtype": "float64"},
        **more,
    }


def _starts(
    name: str, sizes: _Sizes, parameters: Mapping[str, Any], descent: Mapping[str, Any]
) -> dict[str, Any]:
    """Descents from random starts, and the cells of the starts."""
    return _scan(
        name,
        parameters,
        starts={"num": sizes.starts, "scale": 2.0},
        metrics=["loss", "activation_cell"],
        replicates=sizes.replicates,
        descent=dict(descent),
    )


def _line(name: str, parameters: Mapping[str, Any], steps: int) -> dict[str, Any]:
    return _scan(
        name,
        parameters,
        axes={"t": {"start": -8.0, "stop": 8.0, "num": steps + 1}},
        metrics=["loss", "activation_cell"],
        replicates=2,
    )


def _way(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """From one minimum to another."""
    return _scan(
        name,
        parameters,
        axes={"t": {"start": 0.0, "stop": 1.0, "num": 101}},
        metrics=["loss", "activation_cell", "gradient_norm"],
    )


def _map() -> dict[str, Any]:
    """The plane of two minima and a random direction."""
    return _scan(
        MAP,
        {**_LEAKY, "section": "across"},
        axes={
            "t": {"start": -0.5, "stop": 1.5, "num": _SIDE},
            "across": {"start": -1.0, "stop": 1.0, "num": _SIDE},
        },
        metrics=["loss", "activation_cell"],
    )
