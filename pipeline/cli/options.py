"""Options that several commands share, and how answers are printed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from schemas.scan import ScanSpec
    from schemas.study import Verdict

Command = TypeVar("Command", bound=Callable[..., Any])

spec_argument = click.argument("spec", type=click.Path(path_type=Path))
store_argument = click.argument("store", type=click.Path(path_type=Path))
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a field of the spec, such as compute.workers=4; may be repeated.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else on stdout."
)


def ray_options(command: Command) -> Command:
    """`--address` and `--dashboard`."""
    address = click.option(
        "--address", help="Ray cluster to join, such as auto or HOST:6379; else Ray starts here."
    )
    dashboard = click.option("--dashboard", is_flag=True, help="Start Ray's dashboard as well.")
    return address(dashboard(command))


def read_spec(path: Path, overrides: tuple[str, ...]) -> ScanSpec:
    """The spec in a file, with its overrides."""
    from schemas.files import load_spec

    return load_spec(path, overrides)


def print_json(document: object) -> None:
    """One JSON document on stdout; numbers JSON does not know become null."""
    click.echo(json.dumps(_plain(document), indent=2, allow_nan=False))


def exit_on(verdicts: Sequence[Verdict]) -> None:
    """End with exit code 1 unless every verdict is what the theory expects."""
    if not all(verdict.as_expected for verdict in verdicts):
        raise click.exceptions.Exit(1)


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def print_table(
    title: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    ends: Container[int] = (),
) -> None:
    """A table on stdout, as wide as the terminal or 120 characters; a line after rows in `ends`."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in header:
        table.add_column(column, overflow="fold")
    for number, row in enumerate(rows):
        table.add_row(*(Text(cell) for cell in row), end_section=number in ends)
    if not console.is_terminal:
        console.width = 120
    console.print(table)
