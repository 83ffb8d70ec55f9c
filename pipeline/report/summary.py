"""The words and numbers of the page: headlines, tables, work done, provenance."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
import yaml

from pipeline.report.starts import StartsView
from pipeline.report.style import listed, number
from pipeline.report.view import View
from schemas.layout import ANALYSIS_GROUP, DESCENT_GROUP, LEDGER_GROUP, REPLICATE, ShardStatus
from schemas.statistics import ANALYSIS, DESCENT, ENDS, SURFACE

Row: TypeAlias = Sequence[str | float]
Pairs: TypeAlias = list[tuple[str, str]]

HEADLINES = {
    "minimum": "Least loss",
    "fidelity_rmse_after_constant": "Deviation from the target",
    "proximity_distance": "Offset of the minimum",
    "transfer_pearson": "Correlation with the reference",
    "transfer_rms_after_constant": "Change of shape",
    "transfer_regret": "Regret of the transferred minimum",
    "gap_to_global_minimum": "Above the global minimum",
    "gap_to_section_floor": "Above the floor of the section",
    "shape_convexity": "Convex part of the surface",
    "shape_minima": "Local minima",
    "shape_bad_valleys": "Points in bad valleys",
    "basin_fraction": "Basin of the origin",
    "barrier": "Barrier along the path",
    "ends_global_fraction": "End at the global minimum",
    "ends_loss_min": "Least end",
    "ends_losses": "Different ends",
    "ends_saddle": "Saddles",
    "ends_low_enough": "At their target",
    "ends_not_converged": "Not converged",
}


@dataclass(frozen=True)
class Card:
    """A headline number, for each split it is known of."""

    title: str
    entries: Pairs
    note: str


@dataclass(frozen=True)
class Line:
    """One quantity of a table, a cell for each split."""

    name: str
    words: str
    cells: list[str]


@dataclass(frozen=True)
class Table:
    """The quantities of one group; `head` says what its lines are."""

    name: str
    columns: list[str]
    lines: list[Line]
    head: str = "quantity"


def cards(scan: xr.DataTree, reference: str) -> list[Card]:
    """The headlines, as far as the analysis knows them."""
    if ANALYSIS_GROUP not in scan.children:
        return []
    analysis = scan[ANALYSIS_GROUP].to_dataset()
    shown = [name for name in HEADLINES if name in analysis]
    return [
        Card(HEADLINES[name], entries, _card_note(name, analysis))
        for name in shown
        if (entries := _entries(analysis[name], reference))
    ]


def _entries(values: xr.DataArray, reference: str) -> Pairs:
    mean = values.mean(REPLICATE) if REPLICATE in values.dims else values
    labels = [str(label) for label in mean[mean.dims[0]].values] if mean.dims else [reference]
    numbers = np.atleast_1d(mean.values)
    return [
        (label, number(float(value)))
        for label, value in zip(labels, numbers, strict=True)
        if np.isfinite(value)
    ]


def _card_note(name: str, analysis: xr.Dataset) -> str:
    words = {**ANALYSIS, **SURFACE, **ENDS}[name].long_name
    count = analysis.sizes[REPLICATE] if REPLICATE in analysis[name].dims else 1
    return f"{words}, mean of {count} replicates" if count > 1 else words


def tables(rows: Iterable[Row]) -> list[Table]:
    """The rows (group, name, split, value, long name), a table a group, a column a split."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(str(row[0]), []).append(row)
    return [_table(group, members) for group, members in groups.items()]


def _table(group: str, rows: list[Row]) -> Table:
    columns = list(dict.fromkeys(str(row[2]) for row in rows))
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for _, name, split, value, words in rows:
        text = value if isinstance(value, str) else number(float(value))
        cells = lines.setdefault((str(name), str(words)), {})
        before = cells.get(str(split))
        cells[str(split)] = text if before is None else f"{before}; {text}"
    return Table(
        name=group,
        columns=[column or "value" for column in columns],
        lines=[
            Line(name, words, [cells.get(column, "") for column in columns])
            for (name, words), cells in lines.items()
        ],
    )


def descent(scan: xr.DataTree) -> list[Table]:
    """Where training on from the minimum leads, as a table."""
    if DESCENT_GROUP not in scan.children:
        return []
    found = scan[DESCENT_GROUP].to_dataset()
    lines = [
        Line(name, variable.long_name, [with_spread(found[name])])
        for name, variable in DESCENT.items()
        if name in found
    ]
    return [Table("training on from the minimum", ["value"], lines)] if lines else []


def with_spread(values: xr.DataArray) -> str:
    """A value, or the mean of several with their least and greatest."""
    numbers = np.asarray(values.values, dtype=np.float64).ravel()
    known = numbers[np.isfinite(numbers)]
    if known.size == 0:
        return number(np.nan)
    if known.size == 1:
        return number(float(known[0]))
    mean, least, greatest = (
        number(float(value)) for value in (known.mean(), known.min(), known.max())
    )
    return f"{mean} ({least} … {greatest})"


def lead(view: View) -> str:
    """One line that says what was scanned."""
    shape = " × ".join(f"{view.full.sizes[axis]:,}" for axis in view.axes) or "1"
    over = f" over {listed(view.axes)}" if view.axes else ""
    held = ", ".join(f"{axis} = {number(value)}" for axis, value in view.held.items())
    every = view.every_replicate
    count = "" if every is None else f", {every.sizes[REPLICATE]} replicates"
    return f"{shape} points{over}, measured on {listed(view.splits)}{count}" + (
        f"; {held} held." if held else "."
    )


def lead_of_starts(view: StartsView) -> str:
    """One line that says what was scanned, of a multi-start scan."""
    count = f", {view.replicates} replicates" if view.replicates > 1 else ""
    descents = f", and descents from each ({view.method})" if view.method else ""
    splits = listed([split.name for split in view.splits])
    return f"{view.starts:,} seeded random starts{descents}, measured on {splits}{count}."


def missing(scan: xr.DataTree) -> list[str]:
    """What the reader must know of shards that are not there."""
    counts = _shard_counts(scan)
    lacking = {name: count for name, count in counts.items() if name != "done" and count}
    if not lacking:
        return []
    words = listed([f"{count:,} {name}" for name, count in lacking.items()])
    return [
        f"This scan is not complete: of {sum(counts.values()):,} shards {words}. "
        "What they would hold is grey, or a gap."
    ]


def reductions(view: View) -> list[str]:
    """What the reader must know of points that are left out."""
    if not view.reduced or len(view.axes) > 2:
        return []
    drawn = " × ".join(f"{view.thin.sizes[axis]:,}" for axis in view.axes)
    return [
        f"Figures are reduced to {drawn} points by taking every so many; the ends and the "
        "minima are kept. The tables are of the whole grid."
    ]


def ledger(scan: xr.DataTree) -> Pairs:
    """What the ledger says of the work."""
    counts = _shard_counts(scan)
    if not counts:
        return []
    found = scan[LEDGER_GROUP].to_dataset()
    told = [("shards", ", ".join(f"{count:,} {name}" for name, count in counts.items() if count))]
    if "seconds" in found:
        told.append(
            (
                "time of evaluation and writing, all workers",
                f"{number(float(found['seconds'].sum()))} s",
            )
        )
    if "attempts" in found:
        told.append(("attempts", f"{int(found['attempts'].sum()):,}"))
    return told


def _shard_counts(scan: xr.DataTree) -> dict[str, int]:
    if LEDGER_GROUP not in scan.children:
        return {}
    status = scan[LEDGER_GROUP]["status"].values
    return {each.name.lower(): int(np.count_nonzero(status == each)) for each in ShardStatus}


def identity(attrs: Mapping[Hashable, Any]) -> Pairs:
    """Fingerprint, seed and date."""
    return [
        (name, str(attrs[name])) for name in ("fingerprint", "seed", "created") if name in attrs
    ]


def parsed(attrs: Mapping[Hashable, Any], name: str) -> Pairs:
    """A JSON attribute of the manifest as names and values; a list holds one set a replicate."""
    content = json.loads(attrs.get(name) or "{}")
    sets = content if isinstance(content, list) else [content]
    keys = dict.fromkeys(key for each in sets for key in each)
    return [
        (key, "; ".join(dict.fromkeys(told(each[key]) for each in sets if key in each)))
        for key in keys
    ]


def spec_yaml(attrs: Mapping[Hashable, Any]) -> str:
    """The spec as the YAML one would write."""
    content = json.loads(attrs.get("spec") or "{}")
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True) if content else ""


def snippet(split: str, store: str) -> str:
    """Five lines that open the store."""
    return "\n".join(
        [
            "import xarray as xr",
            f"scan = xr.open_zarr({store!r})",
            f"loss = scan['loss'].sel(split={split!r})  # lazy",
            f"analysis = xr.open_zarr({store!r}, group={ANALYSIS_GROUP!r})",
            "print(scan, loss.min().compute(), analysis)",
        ]
    )


def told(value: object) -> str:
    """A value of an attribute as one reads it."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return number(float(value)) if isinstance(value, float) else str(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
