"""Studies: scans, the claims they test, and the verdicts on them."""

from __future__ import annotations

import math
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


Statistic: TypeAlias = Callable[[Mapping[str, Any]], float | None]
"""From the analysed scans of a study (name → xarray.DataTree) to the number that decides."""


@dataclass(frozen=True)
class Hypothesis:
    """What a theorem supposes, and the check of it on the study's scans."""

    statement: str
    met: Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Series:
    """One curve of a figure: `x` and `y` (n,) as lines, as points, or as a dashed bound."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    kind: Literal["line", "points", "bound"] = "line"


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
class Claim:
    """A statement, the statistic that decides it, and what the theory expects of the check.

    A `control` breaks the hypothesis on purpose: there the check is expected to refute, and the
    hypothesis to be found broken. A statistic of None or NaN, for lack of data, is inconclusive,
    and so is a claim whose hypothesis is not met, whatever was measured. `figure` names a figure of
    the study, or the scan whose own figure is shown.
    """

    name: str
    statement: str
    source: str
    statistic: Statistic
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
        value = None if found is None or math.isnan(found) else float(found)
        # Both may come from NumPy, whose False is not Python's.
        met = None if self.hypothesis is None else bool(self.hypothesis.met(scans))
        if value is None or (met is False and not self.control):
            outcome = Outcome.INCONCLUSIVE
        else:
            within = value <= self.threshold if self.sense == "at most" else value >= self.threshold
            outcome = Outcome.HOLDS if within else Outcome.REFUTED
        return Verdict(
            claim=self.name,
            statement=self.statement,
            source=self.source,
            value=value,
            threshold=f"{self.sense} {self.threshold:g}",
            verdict=outcome,
            expected=self.expected,
            control=self.control,
            figure=self.figure,
            hypothesis=None if self.hypothesis is None else self.hypothesis.statement,
            hypothesis_met=met,
        )


@dataclass(frozen=True)
class Verdict:
    """What became of a claim. `value` is None when it could not be measured."""

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

    Raises:
        ValueError: two claims share a name, or a claim's figure is neither a figure nor a scan.
    """

    name: str
    summary: str
    scans: Mapping[str, ScanSpec]
    claims: tuple[Claim, ...]
    figures: Mapping[str, Figure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [claim.name for claim in self.claims]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(
                f"study {self.name}: {listing(repeated)} names several claims; name each once"
            )
        for claim in self.claims:
            if claim.figure is not None and claim.figure not in {*self.figures, *self.scans}:
                raise ValueError(
                    f"study {self.name}, claim {claim.name}: no figure or scan {claim.figure!r}; "
                    f"expected one of {listing([*self.figures, *self.scans])}"
                )
