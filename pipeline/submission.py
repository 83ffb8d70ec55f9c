"""A scan as a Ray job: the working directory is shipped, the head runs it, its log is followed."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

from pipeline.cluster import HOW_TO_AUTHENTICATE, one_line
from schemas.errors import InputError, Interrupted, WorkError
from schemas.files import load_spec

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

_ANSWER_SECONDS = 8.0
_STATUS_SECONDS = 0.5


class Submission(NamedTuple):
    """A submitted job, and the exit code it stands for: 1 when it failed or was stopped."""

    job: str
    exit_code: int


def submit(
    spec: Path,
    *,
    address: str,
    working_dir: Path,
    overrides: tuple[str, ...] = (),
    follow: bool = True,
    echo: Callable[[str], None],
) -> Submission:
    """Run a spec on the cluster behind a dashboard; with `follow`, until its end.

    Args:
        spec: YAML file inside the working directory.
        address: of the head's dashboard, such as http://127.0.0.1:8265.
        working_dir: directory to ship, without what its .gitignore names; it holds the product
            and whatever the spec refers to.
        overrides: `key.path=value` texts, as for `load_spec`.
        follow: echo the job's log and wait for its end.
        echo: is given the log, line by line.

    Raises:
        InputError: the spec, the address or the token is wrong; nothing was submitted.
        WorkError: the connection was lost; the job goes on.
        Interrupted: SIGINT ended the following; the job goes on.
    """
    entrypoint = _entrypoint(spec, working_dir, overrides)
    address = address.rstrip("/")
    client = _client(address)
    job = _submitted(client, entrypoint, working_dir)
    again = f"ray job logs --follow --address {address} {job}"
    echo(f"job {job} submitted; stop it with `ray job stop --address {address} {job}`")
    if not follow:
        echo(f"follow it with `{again}`")
        return Submission(job, 0)
    from aiohttp import ClientError

    try:
        return Submission(job, _followed(client, job, echo))
    except KeyboardInterrupt:
        raise Interrupted(f"job {job} goes on; follow it with `{again}`", signal.SIGINT) from None
    except (OSError, RuntimeError, ClientError) as error:
        raise WorkError(
            f"the connection to job {job} was lost; follow it with `{again}`"
        ) from error


def _entrypoint(spec: Path, working_dir: Path, overrides: tuple[str, ...]) -> str:
    """The shell command of the job; InputError when it could only fail on the head."""
    folder = working_dir.resolve()
    if not spec.resolve().is_relative_to(folder):
        raise InputError(
            f"{spec}: is outside the working directory {folder}, which is all that is shipped; "
            "move the spec into it, or submit from a directory that holds both"
        )
    store = load_spec(spec, overrides).store
    if store is None or not Path(store).is_absolute():
        raise InputError(
            f"store: got {store!r}; a job's directory is a copy that goes when the job ends; give "
            "an absolute path that every node sees, such as --set store=/shared/scan.zarr"
        )
    inside = spec.resolve().relative_to(folder).as_posix()
    # As a module: the shipped packages come before any that the head has installed.
    command = ["python", "-m", "pipeline.cli", "run", inside, "--address", "auto"]
    for text in overrides:
        command += ["--set", text]
    return shlex.join(command)


def _client(address: str) -> JobSubmissionClient:
    """A client that has spoken with the head; InputError when it cannot."""
    if not re.match(r"https?://[^/]", address):
        raise InputError(
            f"{address}: not the address of a dashboard; expected http://HOST:8265 "
            "(`cartograd run --address` takes the others)"
        )
    try:
        urlopen(f"{address}/api/version", timeout=_ANSWER_SECONDS).close()  # noqa: S310
    except HTTPError as error:
        error.close()  # it answers; what is wrong with the answer is for the client to say
    except (OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise InputError(
            f"{address}: no dashboard answers ({reason}); check the address and the tunnel"
        ) from error
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    try:
        with _quiet(), _without("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
            return JobSubmissionClient(address)
    except AuthenticationError as error:
        raise InputError(
            f"{address}: the cluster refuses the token or it is missing; {HOW_TO_AUTHENTICATE}"
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{address}: what answers is not a Ray dashboard; check the address"
        ) from error


def _submitted(client: JobSubmissionClient, entrypoint: str, working_dir: Path) -> str:
    environment = {
        "working_dir": str(working_dir.resolve()),
        "env_vars": {"PYTHONUNBUFFERED": "1"},  # else the log comes in blocks of 8 KiB
    }
    try:
        with _quiet():
            return client.submit_job(entrypoint=entrypoint, runtime_env=environment)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{working_dir}: could not be submitted: {one_line(error)}; large files can be left "
            "out with a .gitignore or .rayignore"
        ) from error


def _followed(client: JobSubmissionClient, job: str, echo: Callable[[str], None]) -> int:
    """Echo the log until the job's end; 0 when it succeeded."""

    async def follow() -> None:
        rest = ""
        async for text in client.tail_job_logs(job):
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                echo(line)
        if rest:
            echo(rest)

    with _quiet():
        asyncio.run(follow())
    while not (status := client.get_job_status(job)).is_terminal():
        time.sleep(_STATUS_SECONDS)
    echo(f"job {job} {status.value.lower()}")
    return 0 if status.value == "SUCCEEDED" else 1


@contextmanager
def _without(*names: str) -> Iterator[None]:
    """The environment without some variables: to the client they outweigh its argument."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray's client without its notes on uploads and connections."""
    loggers = [
        logging.getLogger(f"ray.{name}")
        for name in (
            "dashboard.modules.dashboard_sdk",
            "dashboard.modules.job.sdk",
            "_private.runtime_env.packaging",
        )
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
