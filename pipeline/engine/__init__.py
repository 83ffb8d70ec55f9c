"""Coordinates → metrics, on one device.

`reference` is slow, float64 and obviously right; every other path is judged by it.
"""

from pipeline.engine.choice import choose_engine, make_evaluator
from pipeline.engine.contract import EngineChoice, Evaluator

__all__ = ["EngineChoice", "Evaluator", "choose_engine", "make_evaluator"]
