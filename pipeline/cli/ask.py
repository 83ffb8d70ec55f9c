"""Commands that answer a question: plan, status, verify, tasks, schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipeline.cli.options import (
    json_option,
    print_json,
    print_table,
    read_spec,
    set_option,
    spec_argument,
    store_argument,
)
from pipeline.cli.parameters import print_sections, sections_of


@click.command()
@spec_argument
@set_option
@json_option
def plan(spec: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print what a scan would do and cost; runs nothing."""
    from pipeline.planning import plan as make

    made = make(read_spec(spec, overrides), base=spec.resolve().parent).as_json()
    if as_json:
        print_json(made)
        return
    print_table(f"Plan of {spec}", ("what", "how much"), _plan_rows(made))


def _plan_rows(made: dict[str, Any]) -> list[tuple[str, str]]:
    from pipeline.planning import size

    return [
        _points_row(made),
        ("points", f"{made['points']:,} in {made['replicates']} replicate(s)"),
        ("splits", ", ".join(made["splits"])),
        ("metrics", ", ".join(made["metrics"])),
        ("chunk", " x ".join(map(str, made["chunks"].values()))),
        ("shards", f"{made['shards']:,} of {' x '.join(map(str, made['shard'].values()))}"),
        ("stored", f"{size(made['bytes'])} before compression"),
        ("engine", _engine_words(made)),
        ("cost of the metrics", f"{made['cost_factor']:,.3g} evaluations of the loss a point"),
        ("workers", f"{made['workers']} on {made['device']} in {made['dtype']}"),
        ("batch", f"{made['batch']:,} points"),
        (
            "memory per worker",
            f"{size(made['memory_per_worker'])} of {size(made['memory_limit'])}",
        ),
        *_time_rows(made),
        ("fingerprint", made["fingerprint"]),
    ]


def _points_row(made: dict[str, Any]) -> tuple[str, str]:
    starts = made["starts"]
    if starts is None:
        return ("axes", ", ".join(f"{name} {n:,}" for name, n in made["axes"].items()))
    drawn = f"distribution {starts['distribution']}, scale {starts['scale']:g}"
    return ("starts", f"{starts['num']:,}, {drawn}")


def _time_rows(made: dict[str, Any]) -> list[tuple[str, str]]:
    point, scan = made["seconds_per_point"], made["projected_seconds"]
    if point is None or scan is None:
        return [("time per point", "not known: the model fails at the first points")]
    most = "" if made["descent"] is None else "at most "
    return [
        ("time per point", f"{most}{1e3 * point:.3g} ms, measured here"),
        ("projected time", f"{most}{scan:,.0f} s of evaluation"),
    ]


def _engine_words(made: dict[str, Any]) -> str:
    from pipeline.engine.contract import EngineChoice

    words = str(EngineChoice(**made["engine"]))
    if made["bfloat16_error"] is not None:
        words += f"; relative error against float32 {made['bfloat16_error']:.1g} on 8 points"
    return words


@click.command()
@store_argument
@json_option
def status(store: Path, as_json: bool) -> None:
    """Print how far the scan in a store has come."""
    from pipeline.reading import status as read

    found = read(store)
    if as_json:
        print_json(found.as_json())
        return
    counts = found.counts
    click.echo(
        f"{store}: {found.state}; {found.points:,} points; shards: {counts.done:,} done, "
        f"{counts.failed:,} failed, {counts.pending:,} pending"
    )
    if counts.nonfinite:
        click.echo(f"{counts.nonfinite:,} losses are NaN or infinite")
    if found.state != "complete" and found.state != "running":
        click.echo(f"continue with: cartograd resume {store}")


@click.command()
@store_argument
@click.option(
    "--points", default=32, show_default=True, type=click.IntRange(1), help="Random spot checks."
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of their choice."
)
@json_option
def verify(store: Path, points: int, seed: int, as_json: bool) -> None:
    """Check every checksum of a store, and random points against the reference evaluation."""
    from pipeline.progress import TerminalDisplay
    from pipeline.verifying import verify as check

    with TerminalDisplay() as display:
        found = check(store, points=points, seed=seed, display=display)
    if as_json:
        print_json(found.as_json())
    else:
        click.echo(f"{store}: {found.checked:,} shards checked, {len(found.damaged):,} damaged")
        if found.spot_checks:
            click.echo(
                f"{found.spot_checks} spot checks: greatest relative difference "
                f"{found.worst_difference:.2g} (allowed {found.tolerance:g})"
            )
        if found.damaged:
            shown = ", ".join(map(str, found.damaged[:12]))
            click.echo(f"damaged: {shown}; compute them again with: cartograd resume {store}")
    if not found.ok:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("name", required=False)
@json_option
def tasks(name: str | None, as_json: bool) -> None:
    """List what can be scanned, or describe one task and its parameters."""
    from tasks import TASKS, find_task

    if name is None:
        if as_json:
            print_json({task.name: task.summary for task in TASKS.values()})
            return
        rows = [(task.name, task.summary, task.source) for task in TASKS.values()]
        print_table("Tasks", ("name", "what it scans", "source"), rows)
        return
    task = find_task(TASKS, name)
    fields = task.parameter_model().model_json_schema()
    if as_json:
        print_json({"name": task.name, "summary": task.summary, "parameters": fields})
        return
    click.echo(f"{task.name}: {task.summary}\nSource: {task.source}")
    print_sections(sections_of(fields))


@click.command()
def schema() -> None:
    """Print the JSON Schema of a spec, for editors to check and complete it."""
    from tasks import TASKS, spec_schema

    print_json(spec_schema(TASKS))
