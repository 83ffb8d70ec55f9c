"""What `cartograd study --all` prints: one table of all claims, the tally, the time, the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline.cli.options import print_table

if TYPE_CHECKING:
    from pipeline.gallery import GalleryResult
    from pipeline.report import GalleryStudy


def print_gallery(result: GalleryResult) -> None:
    """The claims of all studies as one table, and below it what they come to."""
    from pipeline.report.gallery import duration, tally, total

    rows: list[list[str]] = []
    ends = set()
    for study in result.studies:
        rows += _rows(study)
        ends.add(len(rows) - 1)
    print_table("Gallery", ("claim", "source", "figure", "verdict"), rows, ends)
    everything = tally(result.verdicts)
    click.echo(". ".join(filter(None, (everything.words(), everything.control_words()))) + ".")
    for study in result.studies:
        if study.error is not None:
            click.echo(f"could not be finished: {study.name}: {study.error}")
    times = total(result.studies, result.seconds)
    click.echo(f"time: {duration(times.command)}; over all runs {duration(times.all_runs)}")
    click.echo(f"page: {result.page}")


def _rows(study: GalleryStudy) -> list[list[str]]:
    """A study's name and time, its claims, and a line for its controls."""
    from pipeline.report.gallery import duration, listed, tally

    times = study.times
    took = duration(times.command)
    if times.runs > 1:
        took += f"; {duration(times.all_runs)} in {times.runs} runs"
    rows = [[f"{study.name.upper()} ({took})", "", "", "" if study.error is None else "unfinished"]]
    for verdict in listed(study.verdicts):
        place = study.place(verdict)
        shown = f"{place[0]} {place[1]}" if place else ""
        kind = "control: " if verdict.control else ""
        rows.append([kind + verdict.statement, verdict.source, shown, verdict.said])
    controls = tally(study.verdicts).control_words()
    return [*rows, [controls, "", "", ""]] if controls else rows
