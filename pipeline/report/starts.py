"""What is drawn of a multi-start scan: its starts and where descents from them end, in memory.

Shape legend: P = starts of all replicates.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from schemas.layout import REPLICATE, SPLIT, STARTS, DescentOutcome
from schemas.starts import RELATIVE

Floats: TypeAlias = npt.NDArray[np.float64]

MOST_DRAWN = 20_000
_READ = (
    "loss",
    "gradient_norm",
    "end_loss",
    "end_gradient_norm",
    "end_hessian_eigenvalue_min",
    "end_hessian_eigenvalue_max",
    "iterations",
    "outcome",
)


@dataclass(frozen=True)
class Split:
    """One split of a multi-start scan.

    Attributes:
        values: metric → (P,) of the starts at which the loss is finite, float64.
        least: the known global minimum, or else the least loss at an end that has converged or come
            to its target, or at any end if there is none; NaN if no loss is finite.
        known: whether it is known.
    """

    name: str
    values: Mapping[str, Floats]
    least: float
    known: bool

    @property
    def outcomes(self) -> list[DescentOutcome]:
        """What the descents have found, each once; those that failed come last."""
        found = {DescentOutcome(int(code)) for code in np.unique(self.values["outcome"])}
        return sorted(found, key=lambda outcome: (not outcome, outcome))

    def ended(self, outcome: DescentOutcome) -> npt.NDArray[np.bool_]:
        """Which descents (P,) have found this."""
        there: npt.NDArray[np.bool_] = self.values["outcome"] == outcome
        return there

    @property
    def excess(self) -> Floats:
        """How far the end of each descent lies above the least loss (P,)."""
        return self.values["end_loss"] - self.least

    @property
    def rounding(self) -> float:
        """The excess up to which an end counts as the least one: a share of the median descent."""
        loss = self.values["loss"]
        depth = float(np.median(loss)) - self.least if loss.size else 0.0
        return RELATIVE * max(abs(self.least), depth, np.finfo(float).tiny)


@dataclass(frozen=True)
class StartsView:
    """A multi-start scan as it is drawn.

    Attributes:
        splits: in the store's order.
        starts: of each replicate.
        replicates: drawn together.
        drawn: starts that are drawn, at most MOST_DRAWN.
        tolerance: of the descents; None without any.
        method: theirs.
    """

    splits: tuple[Split, ...]
    starts: int
    replicates: int
    drawn: int
    tolerance: float | None
    method: str

    @property
    def total(self) -> int:
        """Starts of all replicates."""
        return self.starts * self.replicates

    @property
    def thinned_words(self) -> str:
        """The sentence that says not all starts are drawn, if so."""
        if self.drawn == self.total:
            return ""
        return f"Drawn are {self.drawn:,} of the {self.total:,} starts, every so many."


def is_multi_start(scan: xr.DataTree) -> bool:
    """Whether the points of a scan are starts."""
    return scan.attrs.get("section") == STARTS


def look_at_starts(scan: xr.DataTree) -> StartsView:
    """The view of a multi-start scan; loads no more than it draws."""
    root = scan.to_dataset()
    every = root[[name for name in _READ if name in root]]
    if REPLICATE not in every.dims:
        every = every.expand_dims(REPLICATE)
    replicates, starts = every.sizes[REPLICATE], every.sizes["start"]
    stride = -(-replicates * starts // MOST_DRAWN)
    thin = every.isel(start=slice(None, None, stride)).load()
    told: Mapping[str, Any] = root["outcome"].attrs if "outcome" in root else {}
    known = json.loads(scan.attrs.get("reference") or "{}").get("global_minimum")
    names = [str(name) for name in root[SPLIT].values]
    splits = tuple(
        _split(name, thin.isel({SPLIT: row}), known if row == 0 else None)
        for row, name in enumerate(names)
    )
    tolerance = float(told["tolerance"]) if "tolerance" in told else None
    drawn = replicates * thin.sizes["start"]
    return StartsView(splits, starts, replicates, drawn, tolerance, str(told.get("method", "")))


def _split(name: str, thin: xr.Dataset, known: float | None) -> Split:
    values = {
        str(metric): each.transpose(REPLICATE, "start").values.reshape(-1).astype(np.float64)
        for metric, each in thin.items()
    }
    there = np.isfinite(values["loss"])
    values = {
        metric: np.where(np.isfinite(each), each, np.nan)[there] for metric, each in values.items()
    }
    least = np.nan if known is None else known
    if known is None and "outcome" in values:
        ends, ended = values["end_loss"], values["outcome"] != DescentOutcome.NOT_CONVERGED
        ends = ends[ended] if ended.any() else ends
        least = float(np.nanmin(ends)) if np.isfinite(ends).any() else np.nan
    return Split(name, values, least, known is not None)
