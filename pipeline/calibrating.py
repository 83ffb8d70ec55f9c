"""The time of a point, measured before a scan begins."""

from __future__ import annotations

import logging
import time

from pipeline.contents import Contents
from pipeline.engine.choice import make_evaluator
from pipeline.engine.contract import EngineChoice, Floats
from schemas.errors import CartogradError
from tasks.landscape import Landscape

LOG = logging.getLogger("cartograd")
_SECONDS = 0.2


def seconds_per_point(
    landscape: Landscape, points: Floats, contents: Contents, choice: EngineChoice
) -> float | None:
    """Time of one point, measured on the first points (P, z) for a fraction of a second.

    None where the model fails at them: that is for the shard to say.
    """
    try:
        return _measured(landscape, points, contents, choice)
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
