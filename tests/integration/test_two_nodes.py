"""Joining a cluster of two nodes, and submitting jobs to it, as a user's process does."""

import signal

import pytest
import xarray as xr

JOIN = """
import sys
from pipeline.cluster import ray_session
from schemas.errors import CartogradError

try:
    with ray_session(address=sys.argv[1], cpus=1, gpus=None, object_store_bytes=0):
        import ray

        @ray.remote(num_cpus=1)
        class Where:
            def node(self):
                return ray.get_runtime_context().get_node_id()

        actors = [Where.remote() for _ in range(2)]
        print(len(set(ray.get([actor.node.remote() for actor in actors]))), "nodes")
    print("initialised" if ray.is_initialized() else "left")
except CartogradError as error:
    print(type(error).__name__, error)
    sys.exit(error.exit_code)
"""

SUBMIT = """
import signal
import sys
from pathlib import Path

# Started from a background job, as by some runners, a process ignores interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

from pipeline.submission import submit
from schemas.errors import CartogradError

try:
    done = submit(
        Path("spec.yaml"), address=sys.argv[1], working_dir=Path(), overrides=tuple(sys.argv[2:]),
        follow=True, echo=lambda line: print(line, flush=True),
    )
except CartogradError as error:
    print(type(error).__name__, error)
    sys.exit(error.exit_code)
sys.exit(done.exit_code)
"""

STUB = """
import os, sys, time
print(sys.argv[1:], sorted(os.listdir(".")))
while "seed=9" in sys.argv:
    time.sleep(0.2)
sys.exit(2 if "seed=2" in sys.argv else 0)
"""


@pytest.fixture
def project(tmp_path):
    """A working directory whose `pipeline.cli` tells what it was given."""
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").touch()
    (tmp_path / "pipeline" / "cli.py").write_text(STUB)
    (tmp_path / ".gitignore").write_text("scans/\n")
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "large").write_text("x")
    (tmp_path / "spec.yaml").write_text(
        "task: pattern\naxes: {x: {start: 0, stop: 1, num: 3}}\nstore: /shared/scan.zarr\n"
    )
    return tmp_path


def start_submit(cluster, project, *overrides, **environment):
    # Not by -c, which would find the stub's `pipeline` first.
    script = project.with_name("submit.py")
    script.write_text(SUBMIT)
    return cluster.start(script, cluster.dashboard, *overrides, cwd=project, **environment)


def outcome(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_sessions_join_both_nodes_without_noise_and_leave_them_running(two_node_cluster):
    address = two_node_cluster.address
    first = two_node_cluster.start("-W", "error", "-c", JOIN, address)
    assert outcome(first) == (0, "2 nodes\nleft\n", "")
    second = two_node_cluster.start("-c", JOIN, "auto", RAY_ADDRESS=address)
    assert outcome(second) == (0, "2 nodes\nleft\n", "")


@pytest.mark.parametrize(
    "environment",
    [{"RAY_AUTH_TOKEN": "f" * 64}, {"RAY_AUTH_TOKEN": None}, {"RAY_AUTH_MODE": None}],
    ids=["wrong", "missing", "off"],
)
def test_a_refused_token_is_one_line(two_node_cluster, project, tmp_path_factory, environment):
    home = str(tmp_path_factory.mktemp("home"))  # without a token file
    environment |= {"HOME": home}
    joining = two_node_cluster.start("-c", JOIN, two_node_cluster.address, **environment)
    submitting = start_submit(two_node_cluster, project, **environment)
    for code, out, err in (outcome(joining), outcome(submitting)):
        assert (code, err) == (2, "")
        assert out.startswith("InputError ")
        assert "RAY_AUTH_MODE=token" in out
        assert out.count("\n") == 1


def test_jobs_get_the_working_directory_and_pass_on_their_fate(two_node_cluster, project):
    overrides = ("seed=1", "parameters.name=a b")
    # Ray's own client would go to RAY_ADDRESS instead.
    good = start_submit(two_node_cluster, project, *overrides, RAY_ADDRESS="10.0.0.1:6379")
    bad = start_submit(two_node_cluster, project, "seed=2")
    code, out, err = outcome(good)
    arguments = ["run", "spec.yaml", "--address", "auto"]
    arguments += ["--set", "seed=1", "--set", "parameters.name=a b"]
    assert f"{arguments} ['.gitignore', 'pipeline', 'spec.yaml']\n" in out
    assert out.splitlines()[-1].endswith(" succeeded")
    assert (code, err) == (0, "")
    code, out, err = outcome(bad)
    assert out.splitlines()[-1].endswith(" failed")
    assert (code, err) == (1, "")


def test_an_interrupt_ends_the_following_and_not_the_job(two_node_cluster, project):
    process = start_submit(two_node_cluster, project, "seed=9")
    lines = iter(process.stdout.readline, "")
    job = next(lines).split()[1]
    next(line for line in lines if line.startswith("['run'"))
    process.send_signal(signal.SIGINT)
    code, out, err = outcome(process)
    assert (code, err) == (130, "")
    assert out.startswith(f"Interrupted job {job} goes on; follow it with `ray job logs --follow")
    stop = ("-m", "ray.scripts.scripts", "job", "stop", "--address", two_node_cluster.dashboard)
    code, out, err = outcome(two_node_cluster.start(*stop, job))
    assert "was stopped" in out + err  # so it ran until then


SCAN = """
task: pattern-theorem1
parameters:
  target: {function: two-well}
  training: {steps: 0}
axes:
  x: {start: 0, stop: 1, num: 60}
  y: {start: 0, stop: 1, num: 50}
chunks: {x: 6, y: 5}
compute: {workers: 2, engine: {name: batched, sample_block: 128, point_block: 8, degree: 1}}
"""
# Forced: an evaluator found by timing may differ from store to store, and with it the last digit.

RUN = """
import sys
from pathlib import Path
from pipeline.running import run
from schemas import load_spec

spec = load_spec(Path(sys.argv[1]), (f"store={sys.argv[2]}", f"compute.workers={sys.argv[3]}"))
run(spec, address=sys.argv[4] if len(sys.argv) > 4 else None)
"""


def test_a_scan_runs_over_both_nodes_and_says_the_same(two_node_cluster, tmp_path):
    from pipeline.ledger import Ledger
    from pipeline.verifying import verify
    from schemas.layout import ShardStatus

    spec, both, alone = (tmp_path / name for name in ("scan.yaml", "both.zarr", "alone.zarr"))
    spec.write_text(SCAN)
    for store, rest in ((both, (2, two_node_cluster.address)), (alone, (0,))):
        code, _, err = outcome(two_node_cluster.start("-c", RUN, spec, store, *rest))
        assert code == 0, err
    # Each node has one CPU, so two workers are one on each.
    workers = {report.worker for report in Ledger(both).reports(ShardStatus.DONE)}
    assert workers == {0, 1}
    assert verify(both, points=8).ok
    xr.testing.assert_equal(*(xr.open_zarr(store).load() for store in (both, alone)))
