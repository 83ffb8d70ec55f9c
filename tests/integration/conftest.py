"""A cluster of two nodes on this machine, each started as a user would, behind a token."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
_START_SECONDS = 60
_NODE = [
    *("--block", "--num-cpus=1", "--num-gpus=0", "--object-store-memory=100000000"),
    *("--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"),
    "--disable-usage-stats",
]


class LocalCluster(NamedTuple):
    """Two Ray nodes of one CPU each. Use them from processes with `environment`."""

    address: str
    dashboard: str
    environment: dict[str, str]

    def start(self, *arguments, cwd=ROOT, **environment):
        """This Python on the arguments, in a process that knows the token; None unsets a name."""
        env = {name: value for name, value in (self.environment | environment).items() if value}
        return subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            env=env,
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def _started(log, environment, *options):
    """A Ray node in a process group of its own, once it says that it runs."""
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *_NODE, *options],
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    end = time.monotonic() + _START_SECONDS
    while "Ray runtime started" not in log.read_text():
        if process.poll() is not None or time.monotonic() > end:
            _stop(process)
            pytest.fail(f"a Ray node did not start:\n{log.read_text()}")
        time.sleep(0.2)
    return process


def _stop(*processes):
    """End the nodes; never by `ray stop`, which ends every Ray on the machine."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="session")
def two_node_cluster():
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # sockets need a short path
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "PYTHONPATH": str(ROOT),
        # A job runs the head's `python`.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    port = free_port()
    nodes = []
    try:
        head = (
            *("--head", "--port=0", f"--temp-dir={folder}", "--include-dashboard=true"),
            *("--dashboard-host=127.0.0.1", f"--dashboard-port={port}"),
            f"--ray-client-server-port={free_port()}",
        )
        nodes.append(_started(folder / "head.log", environment, *head))
        address = (folder / "ray_current_cluster").read_text().strip()
        nodes.append(_started(folder / "node.log", environment, f"--address={address}"))
        yield LocalCluster(address, f"http://127.0.0.1:{port}", environment)
    finally:
        _stop(*reversed(nodes))
        shutil.rmtree(folder, ignore_errors=True)
