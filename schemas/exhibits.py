"""What a study shows of its scans: figures, surfaces, tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from schemas.errors import listing


@dataclass(frozen=True)
class Series:
    """One curve of a figure: `x` and `y` (n,) as lines, as points, or as a dashed bound.

    Lines and points may have intervals, from `low` to `high`, (n,) each.

    Raises:
        ValueError: only one of `low` and `high` is given, a bound has them, they are not as long as
            `y`, or an interval ends below its start.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    kind: Literal["line", "points", "bound"] = "line"
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if self.low is None and self.high is None:
            return
        if self.low is None or self.high is None:
            given = "high" if self.low is None else "low"
            raise ValueError(
                f"{self.label}: only {given} is given; give both ends of the intervals"
            )
        if self.kind == "bound":
            raise ValueError(
                f"{self.label}: a bound has no intervals; give them to lines or points"
            )
        lengths = len(self.y), len(self.low), len(self.high)
        if len(set(lengths)) > 1:
            raise ValueError(
                f"{self.label}: y has length {lengths[0]}, low {lengths[1]} and high {lengths[2]}; "
                "give rows of one length"
            )
        if any(low > high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"{self.label}: an interval ends below its start; give low <= high")


@dataclass(frozen=True)
class Figure:
    """A figure of a study's own, drawn from its scans."""

    title: str
    caption: str
    x_label: str
    y_label: str
    series: Callable[[Mapping[str, Any]], Sequence[Series]]
    x_scale: Literal["linear", "log"] = "linear"
    y_scale: Literal["linear", "log"] = "linear"


@dataclass(frozen=True)
class Surfaces:
    """Losses of several scans over two axes, side by side with one colour scale.

    `panels` maps the title of each to the scan it shows.
    """

    title: str
    caption: str
    panels: Mapping[str, str]


Cell: TypeAlias = str | int | float | bool | None
"""What one place of a table holds; None where something is missing."""


@dataclass(frozen=True)
class Column:
    """A column of a table; its numbers are shown with `decimals`, or to four significant digits.

    Raises:
        ValueError: `decimals` is negative.
    """

    name: str
    unit: str = ""
    decimals: int | None = None

    def __post_init__(self) -> None:
        if self.decimals is not None and self.decimals < 0:
            raise ValueError(f"column {self.name}: decimals is {self.decimals}; give 0 or more")

    @property
    def heading(self) -> str:
        """The name, with the unit in brackets if there is one."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


@dataclass(frozen=True)
class Table:
    """A table of a study: `rows` makes them from its scans, each with one cell for every column.

    Raises:
        ValueError: there is no column, or two of them have one heading.
    """

    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: Callable[[Mapping[str, Any]], Sequence[Sequence[Cell]]]

    def __post_init__(self) -> None:
        headings = [column.heading for column in self.columns]
        if not headings:
            raise ValueError(f"table {self.title!r} has no column; give at least one")
        repeated = repeated_in(headings)
        if repeated:
            raise ValueError(
                f"table {self.title!r}: {listing(repeated)} heads several columns; name each once"
            )


def repeated_in(names: Sequence[str]) -> list[str]:
    """The names that are there more than once, sorted."""
    return sorted({name for name in names if names.count(name) > 1})
