"""The span of an axis, found by how far the loss rises along it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from pipeline.devices import local_device
from pipeline.engine.choice import choose_engine, make_evaluator
from pipeline.engine.contract import Evaluator
from schemas.errors import Interrupted, SpecError
from schemas.scan import ScanSpec
from tasks.landscape import Landscape
from tasks.registry import Progress, silent

STEP = "measuring spans"
_FIRST = 2.0**-10
_LAST = 2.0**20
_BISECTIONS = 10
_DIGITS = 3


def with_spans(spec: ScanSpec, landscape: Landscape, display: Progress = silent) -> ScanSpec:
    """The spec with the span of each rising axis measured on its first split.

    Along each side the coordinate is doubled from 2⁻¹⁰ until the loss has risen enough, or is no
    longer finite, then bisected to a thousandth; the greater of the two sides counts, to three
    digits.

    Raises:
        SpecError: the loss at the origin is 0 or not finite, or the loss never rises that far.
    """
    axes = list(spec.axes)
    reaches: dict[str, float] = {}
    if spec.rising:
        probe = _Probe(spec, landscape)
    for number, (name, axis) in enumerate(spec.rising.items()):
        display(STEP, number, len(spec.rising))
        sides = [probe.reach(axes.index(name), sign, axis.rise) for sign in (1.0, -1.0)]
        found = [side for side in sides if side is not None]
        if not found:
            raise SpecError(
                f"axes.{name}: the loss stays below {axis.rise:g} times that of the origin up to "
                f"±{_LAST:g}; give start, stop and num instead"
            )
        reaches[name] = float(f"{max(found):.{_DIGITS}g}")
        display(STEP, number + 1, len(spec.rising))
    return spec.spanning(reaches)


class _Probe:
    """The loss of the first split at single points on the axes."""

    def __init__(self, spec: ScanSpec, landscape: Landscape) -> None:
        compute, split = spec.compute, spec.splits[0]
        dtype = "float32" if compute.dtype == "bfloat16" else compute.dtype
        choice = choose_engine(landscape, local_device(compute), dtype, compute.cpus_per_worker)
        self._evaluator: Evaluator = make_evaluator(
            landscape, (split,), ("loss",), replace(choice, keep=False)
        )
        self._axes = list(spec.axes)
        self._origin = self._loss(0, 0.0)
        if not math.isfinite(self._origin) or self._origin == 0:
            raise SpecError(
                f"axes: the loss at the origin is {self._origin:g} on {split!r}, so no rise of it "
                "can be measured; give start, stop and num instead of rise"
            )

    def reach(self, axis: int, sign: float, rise: float) -> float | None:
        """The distance at which the loss has risen so far; None where it does not."""
        wanted = self._origin + (rise - 1) * abs(self._origin)
        far = _FIRST
        while self._loss(axis, sign * far) < wanted:
            far *= 2
            if far > _LAST:
                return None
        near = far / 2
        for _ in range(_BISECTIONS):
            middle = (near + far) / 2
            if self._loss(axis, sign * middle) < wanted:
                near = middle
            else:
                far = middle
        return far

    def _loss(self, axis: int, coordinate: float) -> float:
        point = np.zeros((1, len(self._axes)))
        point[0, axis] = coordinate
        try:
            return float(self._evaluator.evaluate(point)["loss"][0, 0])
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - a user's model may raise anything
            told = (str(error).splitlines() or [""])[0]
            raise SpecError(
                f"axes: the model raised {type(error).__name__}: {told} at {coordinate:g} on "
                f"{self._axes[axis]}, so no span can be measured; give start, stop and num instead "
                "of rise"
            ) from None
