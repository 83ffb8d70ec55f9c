"""Where Ray runs: a private Ray for one scan, a cluster that is joined, a job that is submitted.

Ray's address says which: none starts a private Ray, `HOST:6379` or `auto` joins from a node of
the cluster, and `http://HOST:8265` submits from anywhere that reaches the head's dashboard.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from schemas.errors import InputError, WorkError

_CONNECT_SECONDS = 4.0
_PROBE_SECONDS = 10.0
HOW_TO_AUTHENTICATE = (
    "set RAY_AUTH_MODE=token and give the cluster's token in ~/.ray/auth_token or RAY_AUTH_TOKEN"
)


@contextmanager
def ray_session(
    *,
    address: str | None,
    cpus: int,
    gpus: float | None,
    object_store_bytes: int,
    dashboard: bool = False,
) -> Iterator[None]:
    """Ray, initialised inside the block and shut down after it, whatever ends the block.

    A Ray that is already initialised in this process is used and left running, whatever the
    arguments say: it is the caller's.

    Args:
        address: the cluster to join, as HOST:PORT or auto; None starts a private Ray here.
        cpus: CPUs of a private Ray.
        gpus: GPUs of a private Ray; None takes those it finds.
        object_store_bytes: shared memory of a private Ray.
        dashboard: start a private Ray's dashboard too.

    Raises:
        InputError: no cluster answers at the address, or it refuses the token.
        WorkError: a private Ray could not be started.
    """
    with _loopback() if address is None else nullcontext():
        import ray

        if ray.is_initialized():
            yield
            return
        try:
            if address is None:
                _start(cpus, gpus, object_store_bytes, dashboard)
            else:
                _join(address)
            yield
        finally:
            ray.shutdown()


@contextmanager
def _loopback() -> Iterator[None]:
    """A first import of Ray inside the block makes it listen on the loopback interface alone.

    The variable's name says Windows and OSX because there that is the default. Ray reads it on
    import only: what a notebook imported before listens on all interfaces, behind the token.
    """
    name = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
    ours = name not in os.environ
    os.environ.setdefault(name, "0")
    try:
        yield
    finally:
        if ours:
            os.environ.pop(name, None)


def _start(cpus: int, gpus: float | None, object_store_bytes: int, dashboard: bool) -> None:
    import ray

    if not _token_is_configured():
        if dashboard:
            raise InputError(
                "dashboard: it asks for a token and there is none; make one with "
                "`ray get-auth-token --generate && chmod 600 ~/.ray/auth_token`"
            )
        # Ray would write one that other users can read. It stays for the life of this process:
        # Ray caches it, and a second session must agree with the first.
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    try:
        ray.init(
            address="local",  # None would follow RAY_ADDRESS
            num_cpus=cpus,
            num_gpus=None if gpus is None else math.ceil(gpus),
            object_store_memory=object_store_bytes,
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise WorkError(
            f"Ray could not be started: {one_line(error)}; "
            "set compute.workers to 0 to do without it"
        ) from error


def _token_is_configured() -> bool:
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or (Path.home() / ".ray" / "auth_token").is_file()


def _join(address: str) -> None:
    import ray

    if address != "auto":
        _require_listener(address)
    _require_cluster(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except ray.exceptions.AuthenticationError as error:
        raise InputError(
            f"{address}: the cluster refuses the token; {HOW_TO_AUTHENTICATE}"
        ) from error
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise InputError(
            f"{address}: {one_line(error)}; join from a node of the cluster, or use "
            "`cartograd submit` from outside"
        ) from error


def _require_listener(address: str) -> None:
    """InputError unless something listens at HOST:PORT: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise InputError(
            f"{address}: not the address of a Ray cluster; expected auto or HOST:PORT, such as "
            "10.0.0.1:6379 (http:// addresses are for `cartograd submit`)"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        raise _nobody(address, str(error.strerror or error)) from error


def _require_cluster(address: str) -> None:
    """InputError unless a Ray cluster answers at the address and takes our token.

    Asked from a process of its own: in this one Ray would retry for a minute, complain on stderr,
    and, with token authentication on and no token to be found, abort.
    """
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check"]
    environment = dict(os.environ)
    if address != "auto":
        command += ["--address", address]
    elif _token_is_configured():
        environment.setdefault("RAY_AUTH_MODE", "token")  # as Ray does for auto
    try:
        answer = subprocess.run(  # noqa: S603
            command, env=environment, capture_output=True, text=True, timeout=_PROBE_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise _nobody(address, f"no answer in {_PROBE_SECONDS:g} s") from error
    if answer.returncode == 0:
        return
    if "InvalidAuthToken" in answer.stderr or "authentication token" in answer.stderr:
        raise InputError(
            f"{address}: the cluster refuses the token or it is missing; {HOW_TO_AUTHENTICATE}"
        )
    lines = answer.stderr.strip().splitlines() or [f"exit status {answer.returncode}"]
    raise _nobody(address, lines[-1].rpartition("Error: ")[2])


def _nobody(address: str, reason: str) -> InputError:
    return InputError(
        f"{address}: no Ray cluster to join ({one_line(reason)}); start it, or correct --address"
    )


def one_line(text: object) -> str:
    """The first line of a message, without its full stop."""
    lines = str(text).strip().splitlines()
    return lines[0].rstrip(". ") if lines else type(text).__name__
