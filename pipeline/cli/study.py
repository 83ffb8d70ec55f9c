"""The command `study`: the studies there are, or one of them run, with its verdicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.gallery import print_gallery
from pipeline.cli.options import exit_on, json_option, print_json, print_table

if TYPE_CHECKING:
    from pipeline.studies import StudyResult
    from schemas.study import Verdict
    from tasks.registry import StudyEntry


@click.command()
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Run every study, and end with one page.")
@click.option("--quick", is_flag=True, help="Smaller sizes: seconds instead of minutes.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("studies"),
    show_default=True,
    help="Where the studies keep their stores and reports.",
)
@json_option
def study(name: str | None, every: bool, quick: bool, folder: Path, as_json: bool) -> None:
    """Run a study, or continue it: its scans, its analyses, and the verdicts on its claims.

    Without NAME, list the studies. With --all, run all of them and write one page about them. The
    exit code is 1 when a check does not come out as the theory expects, and 2 when a study cannot
    be finished.
    """
    from tasks import STUDIES, find_study

    if every and name:
        raise click.UsageError(f"--all and {name!r} exclude each other; give one of them")
    if every:
        _all(folder, quick, as_json)
    elif name is not None:
        _one(find_study(STUDIES, name), folder, quick, as_json)
    else:
        rows = [(entry.name, entry.summary) for entry in STUDIES.values()]
        if as_json:
            print_json(dict(rows))
        else:
            print_table("Studies", ("name", "what it tests"), rows)


def _one(entry: StudyEntry, folder: Path, quick: bool, as_json: bool) -> None:
    from pipeline.beside import Beside
    from pipeline.progress import TerminalDisplay
    from pipeline.studies import run_study

    made = entry.build(quick)
    with TerminalDisplay() as display, Beside() as beside:
        result = run_study(made, folder, quick=quick, display=display, beside=beside)
    if as_json:
        print_json(result.as_json())
    else:
        _print_study(result)
    exit_on(result.verdicts)


def _all(folder: Path, quick: bool, as_json: bool) -> None:
    from pipeline.beside import Beside
    from pipeline.gallery import run_gallery
    from pipeline.progress import TerminalDisplay
    from tasks import STUDIES

    with TerminalDisplay() as display, Beside() as beside:
        result = run_gallery(STUDIES.values(), folder, quick=quick, display=display, beside=beside)
    if as_json:
        print_json(result.as_json())
    else:
        print_gallery(result)
    if result.exit_code:
        raise click.exceptions.Exit(result.exit_code)


def _print_study(result: StudyResult) -> None:
    """The verdicts as a table, claims first; the hypotheses in a column if any is stated."""
    ordered = sorted(result.verdicts, key=lambda verdict: verdict.control)
    with_hypotheses = any(verdict.hypothesis for verdict in ordered)
    header = ["claim", "value", "threshold", "source", "verdict"]
    if with_hypotheses:
        header.insert(3, "hypothesis")
    rows = []
    for verdict in ordered:
        row = _cells(verdict)
        if with_hypotheses:
            row.insert(3, _hypothesis(verdict))
        rows.append(row)
    print_table(f"Study {result.name}", header, rows)
    click.echo(f"report: {result.report}")


def _cells(verdict: Verdict) -> list[str]:
    value = "none" if verdict.value is None else f"{verdict.value:.3g}"
    said = verdict.verdict.value + ("" if verdict.as_expected else " (unexpected)")
    kind = "control: " if verdict.control else ""
    return [kind + verdict.statement, value, verdict.threshold, verdict.source, said]


def _hypothesis(verdict: Verdict) -> str:
    if verdict.hypothesis_met is None:
        return ""
    return "met" if verdict.hypothesis_met else "broken"
