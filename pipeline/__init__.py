"""How it is done: plans, workers, stores, analyses and reports.

The public door. Everything is imported on first use, so that `import pipeline` stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.analysing import analyse
    from pipeline.exporting import export
    from pipeline.planning import plan
    from pipeline.reading import open_scan
    from pipeline.running import run
    from pipeline.scanning import scan
    from pipeline.verifying import verify

__all__ = ["analyse", "export", "open_scan", "plan", "run", "scan", "verify"]

_HOMES = {
    "analyse": "pipeline.analysing",
    "export": "pipeline.exporting",
    "open_scan": "pipeline.reading",
    "plan": "pipeline.planning",
    "run": "pipeline.running",
    "scan": "pipeline.scanning",
    "verify": "pipeline.verifying",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
