"""What is said: the typed contracts of a scan, its store and its studies.

Nothing here knows torch, ray or zarr, so that every other part, and any program that only
wants to read or write a spec, can import it cheaply.
"""

from schemas.compute import Compute
from schemas.errors import (
    CartogradError,
    InputError,
    Interrupted,
    PlanError,
    ScanIncomplete,
    SpecError,
    StoreError,
    StoreMismatch,
    WorkError,
)
from schemas.files import load_spec
from schemas.grid import Block, Grid, LinearAxis, LogAxis, RisingAxis, ValuesAxis
from schemas.scan import ScanSpec, parse_spec
from schemas.study import Claim, Figure, Hypothesis, Outcome, Series, Study, Verdict

__all__ = [
    "Block",
    "CartogradError",
    "Claim",
    "Compute",
    "Figure",
    "Grid",
    "Hypothesis",
    "InputError",
    "Interrupted",
    "LinearAxis",
    "LogAxis",
    "Outcome",
    "PlanError",
    "RisingAxis",
    "ScanIncomplete",
    "ScanSpec",
    "Series",
    "SpecError",
    "StoreError",
    "StoreMismatch",
    "Study",
    "ValuesAxis",
    "Verdict",
    "WorkError",
    "load_spec",
    "parse_spec",
]
