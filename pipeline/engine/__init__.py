"""Coordinates → metrics, on one device.

`reference` is slow, float64 and obviously right; every other path is judged by it.
"""

from pipeline.engine.evaluator import EngineChoice, Evaluator, choose_engine, make_evaluator

__all__ = ["EngineChoice", "Evaluator", "choose_engine", "make_evaluator"]
