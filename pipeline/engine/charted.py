"""Sections with a chart: evaluated in the coordinates of their directions, told in the scan's.

Shape legend: P = points, S = splits, z = axes, m = directions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.engine.contract import Evaluator, Floats, Values, Work
from tasks.landscape import Landscape
from tasks.section import Chart


def flat(landscape: Landscape) -> Landscape:
    """The landscape over the coordinates of its section's directions."""
    if landscape.section.chart is None:
        return landscape
    return replace(landscape, section=landscape.section.flat)


def flat_work(work: Work, chart: Chart | None) -> Work:
    """The same work in the coordinates of the directions, with what a chain rule needs."""
    if chart is None:
        return work
    metrics = evaluated_metrics(work.metrics, chart)
    return replace(work, points=chart.coordinates(work.points), metrics=metrics)


def evaluated_metrics(metrics: tuple[str, ...], chart: Chart | None) -> tuple[str, ...]:
    """What must be measured along the directions for these metrics along the axes.

    A second derivative along a curve has a part of the first one: the curve bends.
    """
    missing = "section_hessian" in metrics and "section_gradient" not in metrics
    return (*metrics, "section_gradient") if chart is not None and missing else metrics


class ChartedEvaluator:
    """An evaluator in the coordinates of the directions, as one in the scan's coordinates."""

    def __init__(self, evaluator: Evaluator, chart: Chart, metrics: tuple[str, ...]) -> None:
        self._evaluator = evaluator
        self._chart = chart
        self._metrics = metrics

    def evaluate(self, points: Floats) -> Values:
        """Metrics at points (P, z): metric → (S, *extra, P)."""
        values = self._evaluator.evaluate(self._chart.coordinates(points))
        return {name: charted(values, name, self._chart, points) for name in self._metrics}


def charted(values: Values, name: str, chart: Chart | None, points: Floats) -> npt.NDArray[Any]:
    """A metric along the axes, from metrics along the directions, by the chain rule.

    gradient: Jᵀg. Hessian: JᵀHJ + Σⱼ gⱼ·∇²cⱼ.
    """
    if chart is None or name not in ("section_gradient", "section_hessian"):
        return values[name]
    slope = chart.jacobian(points)
    gradient = values["section_gradient"]
    if name == "section_gradient":
        along: Floats = np.einsum("pji,sjp->sip", slope, gradient)
        return along
    bent = np.einsum("pjik,sjp->sikp", chart.hessian(points), gradient)
    turned: Floats = np.einsum("pji,sjlp,plk->sikp", slope, values["section_hessian"], slope)
    turned += bent
    return turned
