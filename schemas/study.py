"""Studies: scans, the claims they test, and the verdicts on them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from schemas.errors import listing
from schemas.scan import ScanSpec


class Outcome(StrEnum):
    """What a check says of a claim."""

    HOLDS = "holds"
    REFUTED = "refuted"
    CONDITIONAL = "conditional"
    INCONCLUSIVE = "inconclusive"


Number: TypeAlias = float | None
"""What decides a claim; None where it could not be measured."""
Statistic: TypeAlias = Callable[[Mapping[str, Any]], Number]
"""From the analysed scans of a study (name → xarray.DataTree) to the number that decides."""
CaseStatistic: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Number]]
"""The same of a claim about several cases: to the number of each, by the case's name."""


@dataclass(frozen=True)
class Hypothesis:
    """What a theorem supposes, and the check of it on the study's scans."""

    statement: str
    met: Callable[[Mapping[str, Any]], bool]


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
        repeated = _repeated(headings)
        if repeated:
            raise ValueError(
                f"table {self.title!r}: {listing(repeated)} heads several columns; name each once"
            )


@dataclass(frozen=True)
class Claim:
    """A statement, the statistic that decides it, and what the theory expects of the check.

    A `control` breaks the hypothesis on purpose: there the check is expected to refute, and the
    hypothesis to be found broken. A statistic of None or NaN, for lack of data, is inconclusive,
    and so is a claim whose hypothesis is not met, whatever was measured. A claim about several
    cases is conditional if it holds in some of them and not in others. `figure` names a figure or
    a table of the study, or the scan whose own figure is shown: its first one, or, as
    `scan:picture`, that of its report with this name.
    """

    name: str
    statement: str
    source: str
    statistic: Statistic | CaseStatistic
    threshold: float
    sense: Literal["at most", "at least"]
    expected: Outcome = Outcome.HOLDS
    control: bool = False
    figure: str | None = None
    hypothesis: Hypothesis | None = None

    def as_control(self, name: str | None = None, where: str = "") -> Claim:
        """The same claim where its hypothesis is broken on purpose, said to be `where`."""
        statement = f"{where}, {self.statement}" if where else self.statement
        return replace(
            self,
            name=name or self.name,
            statement=statement,
            control=True,
            expected=Outcome.REFUTED,
        )

    def judge(self, scans: Mapping[str, Any]) -> Verdict:
        """The verdict on this claim, given the study's analysed scans."""
        found = self.statistic(scans)
        cases = found if isinstance(found, Mapping) else {self.name: found}
        known = [n for n in map(_number, cases.values()) if n is not None]
        # Both may come from NumPy, whose False is not Python's.
        met = None if self.hypothesis is None else bool(self.hypothesis.met(scans))
        judged = {name: self._outcome(_number(value)) for name, value in cases.items()}
        outcomes = set(judged.values())
        if not outcomes or Outcome.INCONCLUSIVE in outcomes or (met is False and not self.control):
            outcome = Outcome.INCONCLUSIVE
        else:
            outcome = outcomes.pop() if len(outcomes) == 1 else Outcome.CONDITIONAL
        worst = max if self.sense == "at most" else min
        return Verdict(
            claim=self.name,
            statement=self.statement,
            source=self.source,
            value=worst(known) if known and len(known) == len(cases) else None,
            threshold=f"{self.sense} {self.threshold:g}",
            verdict=outcome,
            expected=self.expected,
            control=self.control,
            figure=self.figure,
            hypothesis=None if self.hypothesis is None else self.hypothesis.statement,
            hypothesis_met=met,
            cases=judged if isinstance(found, Mapping) else None,
        )

    def _outcome(self, value: float | None) -> Outcome:
        if value is None:
            return Outcome.INCONCLUSIVE
        within = value <= self.threshold if self.sense == "at most" else value >= self.threshold
        return Outcome.HOLDS if within else Outcome.REFUTED


@dataclass(frozen=True)
class Verdict:
    """What became of a claim. `value` is None when it could not be measured.

    Of a claim about several cases, `value` is the worst of them, and `cases` says what became of
    each.
    """

    claim: str
    statement: str
    source: str
    value: float | None
    threshold: str
    verdict: Outcome
    expected: Outcome
    control: bool
    figure: str | None = None
    hypothesis: str | None = None
    hypothesis_met: bool | None = None
    cases: Mapping[str, Outcome] | None = None

    @property
    def as_expected(self) -> bool:
        """Whether the check says what the theory expects of it, of the hypothesis as well."""
        return self.verdict == self.expected and self.hypothesis_met in (None, not self.control)

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON, which has no infinity: an infinite value is None there."""
        plain = {key: value for key, value in asdict(self).items() if key != "figure"}
        if self.value is not None and not math.isfinite(self.value):
            plain["value"] = None
        return {**plain, "as_expected": self.as_expected}


@dataclass(frozen=True)
class Study:
    """Named scans, the claims about them, and figures of its own beside those of the scans.

    The name of a table is also that of its file, and no figure or scan may have it.

    Raises:
        ValueError: two claims share a name; a claim's figure is neither a figure nor a table nor a
            scan; a table's name cannot be a file's, or is a figure's or a scan's as well; surfaces
            are of no scan of the study.
    """

    name: str
    summary: str
    scans: Mapping[str, ScanSpec]
    claims: tuple[Claim, ...]
    figures: Mapping[str, Figure] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    surfaces: Mapping[str, Surfaces] = field(default_factory=dict)

    def __post_init__(self) -> None:
        repeated = _repeated([claim.name for claim in self.claims])
        if repeated:
            raise ValueError(
                f"study {self.name}: {listing(repeated)} names several claims; name each once"
            )
        for name in self.tables:
            if not _FILE_NAME.fullmatch(name):
                raise ValueError(
                    f"study {self.name}, table {name!r}: the name is also its file's; "
                    "use small letters, digits, - and _"
                )
            if name in {*self.figures, *self.surfaces, *self.scans}:
                raise ValueError(
                    f"study {self.name}, table {name}: a figure or a scan has this name; "
                    "give the table another"
                )
        for name, surfaces in self.surfaces.items():
            unknown = [scan for scan in surfaces.panels.values() if scan not in self.scans]
            if unknown or not surfaces.panels:
                raise ValueError(
                    f"study {self.name}, surfaces {name}: no scan {listing(unknown) or 'named'}; "
                    f"expected some of {listing(self.scans)}"
                )
        shown = [*self.figures, *self.surfaces, *self.tables, *self.scans]
        for claim in self.claims:
            if claim.figure is None or claim.figure.partition(":")[0] in self.scans:
                continue
            if claim.figure not in shown:
                raise ValueError(
                    f"study {self.name}, claim {claim.name}: no figure, table or scan "
                    f"{claim.figure!r}; expected one of {listing(shown)}"
                )


def _number(value: Number) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


_FILE_NAME = re.compile("[a-z0-9][a-z0-9_-]*")


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
