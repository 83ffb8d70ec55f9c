"""The command export: a stored scan in the formats of others."""

from __future__ import annotations

import math
from pathlib import Path

import click

from pipeline.cli.options import json_option, print_json, store_argument


@click.command()
@store_argument
@click.option(
    "--format",
    "formats",
    multiple=True,
    metavar="FORMAT",
    help="vti, vtr or vtp (ParaView), csv, html, png, or safetensors (the directions); may be "
    "repeated. By default that of --out, "
    "else html.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File, or folder, to write; what is there is replaced. By default beside the store.",
)
@click.option("--replicate", type=click.IntRange(0), help="Which one; by default the first.")
@click.option(
    "--at",
    "held",
    multiple=True,
    metavar="AXIS=VALUE",
    help="Hold an axis at the grid's coordinate nearest to a value; may be repeated.",
)
@json_option
def export(
    store: Path,
    formats: tuple[str, ...],
    out: Path | None,
    replicate: int | None,
    held: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write the scan in STORE as VTK, CSV, PNG or one interactive page."""
    from pipeline.exporting import export as write

    at = dict(_axis_and_value(text) for text in held)
    done = write(store, out, format=formats, replicate=replicate, at=at)
    if done.missing:
        click.echo(
            f"{store}: {done.missing:,} of {done.shards:,} shards are missing; what is there is "
            f"exported; continue with: cartograd resume {store}",
            err=True,
        )
    if as_json:
        print_json(done.as_json())
        return
    for axis, value in done.held.items():
        click.echo(f"held:   {axis} = {value!r}")
    for file in done.files:
        click.echo(f"export: {file}")


def _axis_and_value(text: str) -> tuple[str, float]:
    from schemas.errors import SpecError

    axis, equals, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not equals or not math.isfinite(value):
        raise SpecError(f"at: got {text!r}; expected AXIS=VALUE, such as --at alpha=0.5")
    return axis, value
