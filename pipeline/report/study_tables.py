"""The tables a study makes from its scans: as the page shows them, and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.report.style import number
from schemas.study import Cell, Column, Table

FOLDER = "tables"
MISSING = "–"
# From here on decimals are noise: a double has sixteen digits.
MOST_WITH_DECIMALS = 1e15


@dataclass(frozen=True)
class Heading:
    """The head of a column; what stands below a number is aligned as it is."""

    name: str
    unit: str
    numeric: bool


@dataclass(frozen=True)
class ShownTable:
    """A table as the page holds it; `csv` is its file, relative to the page."""

    title: str
    caption: str
    columns: list[Heading]
    rows: list[list[str]]
    csv: str


def csv_path(report: Path, name: str) -> Path:
    """Where the CSV of the table of that name is, beside the page in the folder `report`."""
    return report / FOLDER / f"{name}.csv"


def make(name: str, table: Table, scans: Mapping[str, Any], out: Path) -> ShownTable:
    """Write a table of a study as CSV; return it as the page in `out` holds it.

    `scans` are the analysed ones, name → xarray.DataTree. The CSV has numbers in full precision,
    and nothing where a cell is missing.

    Raises:
        ValueError: a row has not one cell for every column, or a cell is neither text nor a number.
    """
    rows = [_cells(name, table, place, row) for place, row in enumerate(table.rows(scans), start=1)]
    path = csv_path(out, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.heading for column in table.columns])
        writer.writerows([_exact(cell) for cell in row] for row in rows)
    return ShownTable(
        title=table.title,
        caption=table.caption,
        columns=[
            Heading(column.name, column.unit, any(_is_number(row[place]) for row in rows))
            for place, column in enumerate(table.columns)
        ],
        rows=[
            [shown(cell, column) for cell, column in zip(row, table.columns, strict=True)]
            for row in rows
        ],
        csv=path.relative_to(out).as_posix(),
    )


def shown(cell: Cell, column: Column) -> str:
    """A cell as one reads it: yes or no, a dash where it is missing or, as in any number, NaN."""
    if cell is None:
        return MISSING
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if column.decimals is not None and abs(cell) < MOST_WITH_DECIMALS:
        # z: what rounds to zero has no sign.
        return f"{cell:z,.{column.decimals}f}".replace("-", "−")
    return f"{cell:,}".replace("-", "−") if isinstance(cell, int) else number(cell)


def _cells(name: str, table: Table, place: int, row: Sequence[Cell]) -> list[Cell]:
    """A row as plain Python has it: NumPy's scalars are of its own types."""
    if len(row) != len(table.columns):
        raise ValueError(
            f"table {name}, row {place}: {len(row)} cells for {len(table.columns)} columns; "
            "give one for each column"
        )
    cells = [cell.item() if isinstance(cell, np.generic) else cell for cell in row]
    for cell, column in zip(cells, table.columns, strict=True):
        if not isinstance(cell, str | int | float | None):
            raise ValueError(
                f"table {name}, row {place}, {column.name}: a cell is {type(cell).__name__}; "
                "give text, a number, a bool or None"
            )
    return cells


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _exact(cell: Cell) -> str | int | float | None:
    return str(cell).lower() if isinstance(cell, bool) else cell
