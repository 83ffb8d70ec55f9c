"""Studies: scans, the claims they test, and the verdicts on them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from schemas.errors import listing
from schemas.exhibits import Cell as Cell
from schemas.exhibits import Column as Column
from schemas.exhibits import Figure as Figure
from schemas.exhibits import Series as Series
from schemas.exhibits import Surfaces as Surfaces
from schemas.exhibits import Table as Table
from schemas.exhibits import repeated_in
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

    @property
    def said(self) -> str:
        """The verdict as the gallery says it, with a mark if it is not as expected."""
        if not self.as_expected:
            return f"{self.verdict} (unexpected)"
        refuted_claim = self.verdict == Outcome.REFUTED and not self.control
        return "refuted as printed" if refuted_claim else str(self.verdict)

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON, which has no infinity: an infinite value is None there."""
        plain = {key: value for key, value in asdict(self).items() if key != "figure"}
        if self.value is not None and not math.isfinite(self.value):
            plain["value"] = None
        return {**plain, "as_expected": self.as_expected}


@dataclass(frozen=True)
class Study:
    """Named scans, the claims about them, and figures of its own beside those of the scans.

    The name of a table is also that of its file, and no figure or scan may have it. `cover` names
    the picture that stands for the study among others, as a claim names its figure; by default it
    is the first one of its page.

    Raises:
        ValueError: two claims share a name; a claim's figure is neither a figure nor a table nor a
            scan; a table's name cannot be a file's, or is a figure's or a scan's as well; surfaces
            are of no scan of the study; the cover is no figure and of no scan.
    """

    name: str
    summary: str
    scans: Mapping[str, ScanSpec]
    claims: tuple[Claim, ...]
    figures: Mapping[str, Figure] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    surfaces: Mapping[str, Surfaces] = field(default_factory=dict)
    cover: str | None = None

    def __post_init__(self) -> None:
        repeated = repeated_in([claim.name for claim in self.claims])
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
        pictures = [*self.figures, *self.surfaces, *self.scans]
        self._check_shown("cover", self.cover, "figure or scan", pictures)
        for claim in self.claims:
            everything = [*self.figures, *self.surfaces, *self.tables, *self.scans]
            self._check_shown(
                f"claim {claim.name}", claim.figure, "figure, table or scan", everything
            )

    def _check_shown(self, what: str, name: str | None, kinds: str, known: Sequence[str]) -> None:
        if name is None or name in known or name.partition(":")[0] in self.scans:
            return
        raise ValueError(
            f"study {self.name}, {what}: no {kinds} {name!r}; expected one of {listing(known)}"
        )


def _number(value: Number) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


_FILE_NAME = re.compile("[a-z0-9][a-z0-9_-]*")
