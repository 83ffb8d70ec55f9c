"""Directions through parameter space: drawn, between checkpoints, of curvature, from files.

Everything is imported on first use, so that a spec's directions are validated without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.directions.random import filter_normalised, random_directions

__all__ = ["filter_normalised", "random_directions"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'tasks.directions' has no attribute {name!r}")
    return getattr(importlib.import_module("tasks.directions.random"), name)
