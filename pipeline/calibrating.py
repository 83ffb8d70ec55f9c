"""The time of a point, measured before a scan begins.

Shape legend: P = points, z = axes.
"""

from __future__ import annotations

import logging
import time

from pipeline.contents import Contents
from pipeline.engine.choice import make_evaluator
from pipeline.engine.contract import EngineChoice, Floats
from schemas.errors import CartogradError
from schemas.starts import Descent
from tasks.landscape import Landscape

LOG = logging.getLogger("cartograd")
_SECONDS = 0.2


def seconds_per_point(
    landscape: Landscape, points: Floats, contents: Contents, choice: EngineChoice
) -> float | None:
    """Time of one point, measured on the first points (P, z) for a fraction of a second.

    Of descents it is an upper bound: descents that have not converged by then are taken to go on
    to the greatest number of iterations, and those that follow others are timed from the starts.
    None where the model fails at the points: that is for the shard to say.
    """
    try:
        if contents.descent is None:
            return _measured(landscape, points, contents, choice)
        stages = contents.descent.stages
        return sum(_of_descents(landscape, points, contents, choice, stage) for stage in stages)
    except CartogradError:
        raise
    except Exception as error:  # noqa: BLE001 - a user's model may raise anything
        LOG.warning("a point cannot be timed: the model raises %s", type(error).__name__)
        return None


def _measured(
    landscape: Landscape, points: Floats, contents: Contents, choice: EngineChoice
) -> float:
    evaluator = make_evaluator(landscape, contents.splits, contents.metrics, choice)
    evaluator.evaluate(points[:1])
    count, taken = 1, 0.0
    while True:
        start = time.perf_counter()
        evaluator.evaluate(points[:count])
        taken = time.perf_counter() - start
        if taken > _SECONDS / 4 or count >= len(points):
            return taken / count
        count = min(len(points), count * 4)


def _of_descents(
    landscape: Landscape,
    points: Floats,
    contents: Contents,
    choice: EngineChoice,
    descent: Descent,
) -> float:
    """By descents of ever more iterations, on one block of points."""
    block = points[: choice.point_block]
    previous, before, limit = 0, 0.0, 1
    while True:
        shorter = descent.model_copy(update={"max_iterations": limit})
        evaluator = make_evaluator(landscape, contents.splits, contents.metrics, choice, shorter)
        start = time.perf_counter()
        iterations = evaluator.evaluate(block)["iterations"]
        taken = time.perf_counter() - start
        under_way = float((iterations >= limit).mean())
        if taken > _SECONDS or limit == descent.max_iterations or not under_way:
            break
        previous, before, limit = limit, taken, min(4 * limit, descent.max_iterations)
    # Eigenvalues, and whatever else does not grow with the iterations, cancel in the difference.
    each = max(taken - before, 0.0) / (limit - previous) * under_way
    return (taken + each * (descent.max_iterations - limit)) / len(block)
