"""Commands that do the work: run, resume, analyse, report, study, submit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import (
    json_option,
    print_json,
    print_table,
    ray_options,
    read_spec,
    set_option,
    spec_argument,
    store_argument,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.running import ScanResult
    from schemas.study import Verdict


@click.command()
@spec_argument
@set_option
@ray_options
@json_option
def run(
    spec: Path, overrides: tuple[str, ...], address: str | None, dashboard: bool, as_json: bool
) -> None:
    """Run the scan of SPEC, analyse it and write its report; continues what was begun."""
    from pipeline.progress import TerminalDisplay
    from pipeline.running import run as scan

    parsed = read_spec(spec, overrides)
    with TerminalDisplay() as display:
        base = spec.resolve().parent
        result = scan(parsed, base=base, address=address, dashboard=dashboard, display=display)
    _conclude(result, as_json)


@click.command()
@store_argument
@ray_options
@json_option
def resume(store: Path, address: str | None, dashboard: bool, as_json: bool) -> None:
    """Continue the scan in STORE, analyse it and write its report."""
    from pipeline.progress import TerminalDisplay
    from pipeline.running import resume as go_on

    with TerminalDisplay() as display:
        result = go_on(store, address=address, dashboard=dashboard, display=display)
    _conclude(result, as_json)


def _conclude(result: ScanResult, as_json: bool) -> None:
    """Analyse, judge and report a complete scan, and say where everything is."""
    from pipeline.concluding import conclude
    from pipeline.progress import TerminalDisplay

    if result.plan is None:
        click.echo(f"{result.store}: complete, nothing left to scan", err=True)
    if result.counts.nonfinite:
        click.echo(
            f"{result.store}: {result.counts.nonfinite:,} losses are NaN or infinite", err=True
        )
    with TerminalDisplay() as display:
        conclusion = conclude(result.store, display=display)
    if as_json:
        print_json(conclusion.as_json())
    else:
        print_table(
            "Statistics",
            ("statistic", "of", "value", "meaning"),
            (row[1:] for row in conclusion.rows),
        )
        click.echo(f"store:  {conclusion.store}")
        click.echo(f"report: {conclusion.report}")
        for verdict in conclusion.verdicts:
            click.echo(_sentence(verdict))
    _exit_on(conclusion.verdicts)


def _sentence(verdict: Verdict) -> str:
    value = "no value" if verdict.value is None else f"{verdict.value:.3g}"
    return f"{verdict.verdict.upper()}: {verdict.statement} ({value}; {verdict.threshold})"


def _exit_on(verdicts: Sequence[Verdict]) -> None:
    if not all(verdict.as_expected for verdict in verdicts):
        raise click.exceptions.Exit(1)


@click.command()
@store_argument
@json_option
def analyse(store: Path, as_json: bool) -> None:
    """Compute the statistics of the scan in STORE and store them in it."""
    from pipeline.analysing import analyse as compute
    from pipeline.analysis import rows
    from pipeline.progress import TerminalDisplay

    with TerminalDisplay() as display:
        result = compute(store, display=display)
    if as_json:
        print_json({name: result[name].to_dict()["data"] for name in result.data_vars})
        return
    print_table(
        "Statistics", ("statistic", "of", "value", "meaning"), (row[1:] for row in rows(result))
    )


@click.command()
@store_argument
@json_option
def report(store: Path, as_json: bool) -> None:
    """Write the report of the scan in STORE: a page and its figures."""
    from pipeline.concluding import write_scan_report

    page = write_scan_report(store)
    if as_json:
        print_json({"report": str(page)})
    else:
        click.echo(f"report: {page}")


@click.command()
@click.argument("name", required=False)
@click.option("--all", "every", is_flag=True, help="Run every study.")
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
    """Run a study: its scans, its analyses, and the verdicts on its claims."""
    from pipeline.progress import TerminalDisplay
    from pipeline.studies import run_study
    from tasks import STUDIES, find_study

    if every and name:
        raise click.UsageError(f"--all and {name!r} exclude each other; give one of them")
    if not every and name is None:
        rows = [(entry.name, entry.summary) for entry in STUDIES.values()]
        if as_json:
            print_json(dict(rows))
        else:
            print_table("Studies", ("name", "what it tests"), rows)
        return
    chosen = list(STUDIES.values()) if name is None else [find_study(STUDIES, name)]
    results = []
    with TerminalDisplay() as display:
        for entry in chosen:
            results.append(run_study(entry.build(quick), folder, quick=quick, display=display))
    if as_json:
        documents = [result.as_json() for result in results]
        print_json(documents if every else documents[0])
    else:
        for result in results:
            _print_study(result.name, result.verdicts, result.report)
    _exit_on([verdict for result in results for verdict in result.verdicts])


def _print_study(name: str, verdicts: Sequence[Verdict], page: Path) -> None:
    rows: list[tuple[Any, ...]] = []
    for verdict in verdicts:
        value = "none" if verdict.value is None else f"{verdict.value:.3g}"
        said = verdict.verdict.value + ("" if verdict.as_expected else " (unexpected)")
        kind = "control: " if verdict.control else ""
        rows.append((kind + verdict.statement, value, verdict.threshold, verdict.source, said))
    print_table(f"Study {name}", ("claim", "figure", "threshold", "source", "verdict"), rows)
    click.echo(f"report: {page}")


@click.command()
@spec_argument
@set_option
@click.option("--address", required=True, help="Ray's job server, such as http://HEAD:8265.")
@click.option("--no-wait", is_flag=True, help="Return once submitted instead of following the log.")
def submit(spec: Path, overrides: tuple[str, ...], address: str, no_wait: bool) -> None:
    """Run SPEC as a job on a Ray cluster, with the current directory shipped, following its log."""
    from pipeline.submission import submit as send

    read_spec(spec, overrides)
    sent = send(
        spec,
        address=address,
        working_dir=Path.cwd(),
        overrides=overrides,
        follow=not no_wait,
        echo=click.echo,
    )
    raise click.exceptions.Exit(sent.exit_code)
