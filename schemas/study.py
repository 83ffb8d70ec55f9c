"""Studies: scans, the claims they test, and the verdicts on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Literal, TypeAlias

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
class Claim:
    """A statement, the statistic that decides it, and what the theory expects of the check.

    A `control` breaks the hypothesis on purpose: there the check is expected to refute. A
    statistic of None or NaN, for lack of data, is inconclusive.
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

    def judge(self, scans: Mapping[str, Any]) -> Verdict:
        """The verdict on this claim, given the study's analysed scans."""
        value = self.statistic(scans)
        if value is None or math.isnan(value):
            outcome, value = Outcome.INCONCLUSIVE, None
        else:
            met = value <= self.threshold if self.sense == "at most" else value >= self.threshold
            outcome = Outcome.HOLDS if met else Outcome.REFUTED
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

    @property
    def as_expected(self) -> bool:
        """Whether the check says what the theory expects of it."""
        return self.verdict == self.expected

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {key: value for key, value in asdict(self).items() if key != "figure"}


@dataclass(frozen=True)
class Study:
    """Named scans and the claims about them. `figure` names the scan a claim is drawn from."""

    name: str
    summary: str
    scans: Mapping[str, ScanSpec]
    claims: tuple[Claim, ...]
