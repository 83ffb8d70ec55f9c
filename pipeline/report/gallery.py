"""The page of all studies: what each is about, what became of its claims, what it has taken."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from pipeline.report.page import Shown, asset, inline, render, verdict_line, write_page
from pipeline.report.study_page import Place, StudyPage, counted
from schemas.study import Outcome, Verdict

WIDEST = 960
"""Pixels of a cover, twice its width on a wide screen."""


@dataclass(frozen=True)
class Times:
    """Seconds a study has taken: in this command, in all its runs, and in evaluating its points.

    `runs` counts the runs. The last one is summed over workers; None if the study has no result.
    """

    command: float
    all_runs: float
    runs: int
    evaluations: float | None


@dataclass(frozen=True)
class GalleryStudy:
    """A study of the gallery. One that could not be finished has an `error` and no page."""

    name: str
    summary: str
    times: Times
    verdicts: tuple[Verdict, ...] = ()
    page: StudyPage | None = None
    error: str | None = None

    def place(self, verdict: Verdict) -> Place | None:
        """Where on the study's page the figure or table of a verdict is."""
        return None if self.page is None else self.page.places.get(verdict.figure or "")


@dataclass(frozen=True)
class Tally:
    """How many claims came to what; those that are not as expected count as such alone."""

    claims: int
    holds: int
    conditional: int
    refuted_as_printed: int
    inconclusive: int
    unexpected: int
    controls: int
    controls_as_expected: int

    def words(self) -> str:
        """`24 claims: 20 hold, 1 conditional, 3 refuted as printed`."""
        parts = {
            "holds" if self.holds == 1 else "hold": self.holds,
            "conditional": self.conditional,
            "refuted as printed": self.refuted_as_printed,
            "inconclusive": self.inconclusive,
            "not as expected": self.unexpected,
        }
        said = ", ".join(f"{count:,} {word}" for word, count in parts.items() if count)
        return f"{counted(self.claims, 'claim')}: {said or 'none'}"

    def control_words(self) -> str:
        """`3 of 3 controls refuted, as they must be`; empty if there is none."""
        if not self.controls:
            return ""
        count = f"{self.controls_as_expected:,} of {counted(self.controls, 'control')}"
        if self.controls_as_expected < self.controls:
            return f"only {count} as expected"
        return f"{count} refuted, as they must be"


def tally(verdicts: Sequence[Verdict]) -> Tally:
    """The counts of some verdicts."""
    controls = [verdict for verdict in verdicts if verdict.control]
    claims = [verdict for verdict in verdicts if not verdict.control]
    met = [verdict.verdict for verdict in claims if verdict.as_expected]
    return Tally(
        claims=len(claims),
        holds=met.count(Outcome.HOLDS),
        conditional=met.count(Outcome.CONDITIONAL),
        refuted_as_printed=met.count(Outcome.REFUTED),
        inconclusive=met.count(Outcome.INCONCLUSIVE),
        unexpected=len(claims) - len(met),
        controls=len(controls),
        controls_as_expected=sum(verdict.as_expected for verdict in controls),
    )


def total(studies: Sequence[GalleryStudy], command: float) -> Times:
    """The times of all studies; that of the command is more than the sum."""
    return Times(
        command=round(command, 3),
        all_runs=round(sum(study.times.all_runs for study in studies), 3),
        runs=sum(study.times.runs for study in studies),
        evaluations=round(sum(study.times.evaluations or 0.0 for study in studies), 3),
    )


def listed(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The claims, and after them the controls that are not as expected."""
    claims = [verdict for verdict in verdicts if not verdict.control]
    return claims + [each for each in verdicts if each.control and not each.as_expected]


def duration(seconds: float) -> str:
    """`0.4 s`, `41 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, left = divmod(round(whole / 60), 60)
    return f"{hours:,} h {left} min"


def write_gallery(
    studies: Sequence[GalleryStudy], out: Path, *, quick: bool, seconds: float, command: str
) -> Path:
    """Write `out/index.html`, one file that links to the pages of the studies; return its path.

    `seconds` is what the command has taken in all, and `command` what runs the gallery again.
    """
    out.mkdir(parents=True, exist_ok=True)
    cards = [_card(study, out) for study in studies]
    everything = tally([verdict for study in studies for verdict in study.verdicts])
    page = render(
        "gallery.html",
        title="Theorems on loss landscapes",
        quick=quick,
        tally=everything,
        cards=cards,
        unfinished=[study.name for study in studies if study.error is not None],
        unexpected=[
            (card, line) for card in cards for line in card.lines if not line["as_expected"]
        ],
        notable=[
            (card, line)
            for card in cards
            for line in card.lines
            if line["as_expected"] and line["verdict"] in (Outcome.REFUTED, Outcome.CONDITIONAL)
        ],
        kinds=sorted({str(line["said"]) for card in cards for line in card.lines}),
        total=_words(total(studies, seconds)),
        command=command,
        script=asset("gallery.js"),
    )
    return write_page(page, out)


@dataclass(frozen=True)
class _Cover:
    """A picture as small as the page needs it."""

    inline: str
    alt: str
    width: int
    height: int
    href: str


@dataclass(frozen=True)
class _Card:
    """A study as the page holds it."""

    study: GalleryStudy
    title: str
    href: str | None
    cover: _Cover | None
    tally: Tally
    lines: list[dict[str, object]]
    times: dict[str, str]


def _card(study: GalleryStudy, out: Path) -> _Card:
    href = None
    if study.page is not None:
        href = quote(Path(os.path.relpath(study.page.path, out)).as_posix())
    return _Card(
        study=study,
        title=study.name.replace("-", " ").capitalize(),
        href=href,
        cover=_cover(study.page, href) if study.page and href else None,
        tally=tally(study.verdicts),
        lines=[_line(study, verdict, href) for verdict in listed(study.verdicts)],
        times=_words(study.times),
    )


def _words(times: Times) -> dict[str, str]:
    return {
        "command": duration(times.command),
        "all_runs": duration(times.all_runs),
        "evaluations": "–" if times.evaluations is None else duration(times.evaluations),
    }


def _line(study: GalleryStudy, verdict: Verdict, href: str | None) -> dict[str, object]:
    place = study.place(verdict)
    return {
        **verdict_line(verdict),
        "said": verdict.said,
        "link": f"{href}#claim-{quote(verdict.claim)}",
        "shown": f"{place[0]} {place[1]}" if place else None,
        "shown_link": f"{href}#{place[0]}-{place[1]}" if place else None,
    }


def _cover(page: StudyPage, href: str) -> _Cover | None:
    if page.cover is None or page.cover_place is None:
        return None
    kind, number = page.cover_place
    picture, size = _small(page.cover)
    return _Cover(picture, page.cover.alt, *size, href=f"{href}#{kind}-{number}")


def _small(shown: Shown) -> tuple[str, tuple[int, int]]:
    """A picture in few colours and at most `WIDEST` pixels wide, as the page holds it."""
    image = Image.open(io.BytesIO(base64.b64decode(shown.inline))).convert("RGB")
    image.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.quantize(256).save(buffer, format="png", optimize=True)
    return inline(buffer.getvalue()), image.size
