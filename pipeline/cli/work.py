"""Commands that do the work: run, resume, analyse, report, submit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.options import (
    exit_on,
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
        click.echo(f"report: {conclusion.report.page}")
        for verdict in conclusion.verdicts:
            click.echo(_sentence(verdict))
    exit_on(conclusion.verdicts)


def _sentence(verdict: Verdict) -> str:
    value = "no value" if verdict.value is None else f"{verdict.value:.3g}"
    return f"{verdict.verdict.upper()}: {verdict.statement} ({value}; {verdict.threshold})"


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
