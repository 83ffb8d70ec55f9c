"""The command `cartograd`: its group, its exit codes, and one line for every error.

Only click is imported here and in the command modules; the rest comes when a command runs.
"""

from __future__ import annotations

import sys

import click

from pipeline.cli.ask import plan, schema, status, tasks, verify
from pipeline.cli.export import export
from pipeline.cli.study import study
from pipeline.cli.work import analyse, report, resume, run, submit


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="cartograd", message="%(version)s")
def cartograd() -> None:
    """Survey the loss landscapes of neural networks.

    Exit codes: 0 done, 1 the work or a verdict failed, 2 the input was wrong.
    """


for command in (
    *(run, resume, plan, status, verify, analyse, report, export),
    *(tasks, study, schema, submit),
):
    cartograd.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with its code."""
    try:
        code = cartograd.main(arguments, prog_name="cartograd", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as shown:
        click.echo(shown.ctx.get_help())
        code = 2
    except click.ClickException as error:
        _complain(error.format_message())
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted")
        code = 130
    except BrokenPipeError:
        # The reader of our output has gone, as with `cartograd tasks | head -1`.
        sys.stderr.close()
        code = 1
    except Exception as error:  # noqa: BLE001 - what is not ours is raised again
        code = _exit_code(error)
        _complain(str(error))
    sys.exit(code or 0)


def _exit_code(error: Exception) -> int:
    from schemas.errors import CartogradError

    if not isinstance(error, CartogradError):
        raise error
    return error.exit_code


def _complain(message: str) -> None:
    click.echo(f"cartograd: {' '.join(message.split())}", err=True)
