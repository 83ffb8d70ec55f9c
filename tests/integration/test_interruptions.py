"""A real scan through the command line: killed and continued, it holds the same bits."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import xarray as xr
import yaml

from pipeline.ledger import Ledger
from pipeline.running import run
from pipeline.verifying import verify

SPEC = {
    "task": "pattern-theorem1",
    "parameters": {
        "target": {"function": "two-well"},
        "network": {"hidden": [32, 48, 48]},
        "training": {"steps": 60, "refinement": 0},
    },
    "axes": {name: {"start": 0, "stop": 1, "num": 80} for name in ("h1", "h2")},
    "chunks": {"h1": 10, "h2": 8},
    "metrics": ["loss", "accuracy"],
}
# Chosen by timing, the evaluator could differ from one new store to the next, and with it the bits.
# The blocks are small so that there is time to interrupt.
ENGINE = {"name": "batched", "sample_block": 128, "point_block": 2, "degree": 1}
SHARDS = 80
RUN = "from pipeline.running import run; import sys; run(sys.argv[1])"


def write_spec(folder, workers):
    compute = {"workers": workers, "engine": ENGINE}
    spec = {**SPEC, "compute": compute, "store": str(folder / "scan.zarr")}
    path = folder / "scan.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process):
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def wait_for(store, done, process):
    """Until the ledger holds that many shards, or the process has ended."""
    while process.poll() is None:
        try:
            if Ledger(store, writable=False).counts().done >= done:
                return
        except (FileNotFoundError, KeyError):
            pass
        time.sleep(0.05)
    pytest.fail(f"the run ended too early: {finish(process)}")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The scan with two workers, never disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    code, _, err = finish(start("-c", RUN, write_spec(folder, 2)))
    assert code == 0, err
    return xr.open_zarr(folder / "scan.zarr").load()


def assert_same_bits(store, expected):
    found = xr.open_zarr(store).load()
    for name in expected.variables:
        assert found[name].values.tobytes() == expected[name].values.tobytes(), name
    assert set(found.variables) == set(expected.variables)
    assert verify(store, points=8).ok


@pytest.mark.parametrize("workers", [0, 1])
def test_the_number_of_workers_changes_no_bit(tmp_path, undisturbed, workers):
    code, _, err = finish(start("-c", RUN, write_spec(tmp_path, workers)))
    assert code == 0, err
    assert_same_bits(tmp_path / "scan.zarr", undisturbed)


def test_a_killed_driver_is_continued(tmp_path, undisturbed):
    spec, store = write_spec(tmp_path, 2), tmp_path / "scan.zarr"
    process = start("-c", RUN, spec)
    wait_for(store, SHARDS // 4, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert Ledger(store, writable=False).counts().pending > 0
    # The killed driver's workers may still be writing.
    code, out, err = finish(start("-m", "pipeline.cli", "resume", store))
    # The scan is finished; so short a training does not bring the pattern in.
    assert code == 1, err
    assert "REFUTED: the pattern two-well is contained" in out
    assert_same_bits(store, undisturbed)


def test_a_killed_worker_is_replaced(tmp_path, undisturbed):
    spec, store = write_spec(tmp_path, 2), tmp_path / "scan.zarr"
    process = start("-c", RUN, spec)
    wait_for(store, 1, process)
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if child.name().startswith("ray::ActorWorker") or "ActorWorker" in " ".join(child.cmdline())
    ]
    assert workers
    workers[0].kill()
    code, _, err = finish(process)
    assert code == 0, err
    assert_same_bits(store, undisturbed)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_cleanly_and_says_how_to_go_on(tmp_path, undisturbed, number, code):
    spec, store = write_spec(tmp_path, 1), tmp_path / "scan.zarr"
    process = start("-m", "pipeline.cli", "run", spec)
    wait_for(store, 2, process)
    if number is signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal's Ctrl-C does
    else:
        process.send_signal(number)
    ended, out, err = finish(process)
    assert ended == code, err
    last = err.strip().splitlines()[-1]
    assert f"continue with: cartograd resume {store}" in last
    assert "Traceback" not in err
    assert out == ""
    kept = Ledger(store, writable=False).counts()
    assert 0 < kept.done < SHARDS
    assert finish(start("-c", RUN, spec))[0] == 0
    assert_same_bits(store, undisturbed)


def test_status_and_json_of_a_run(tmp_path):
    spec, store = write_spec(tmp_path, 0), tmp_path / "scan.zarr"
    code, out, err = finish(start("-m", "pipeline.cli", "run", spec, "--json"))
    document = json.loads(out)
    assert code == 1, err
    assert document["state"] == "complete"
    assert {verdict["verdict"] for verdict in document["verdicts"]} == {"holds", "refuted"}
    code, out, _ = finish(start("-m", "pipeline.cli", "status", store, "--json"))
    shards = {"done": SHARDS, "failed": 0, "pending": 0}
    assert json.loads(out) == {
        "state": "complete",
        "points": 80 * 80,
        "shards": shards,
        "nonfinite": 0,
    }
    code, out, err = finish(start("-m", "pipeline.cli", "run", spec))
    assert "complete, nothing left to scan" in err


STARTS = """
task: model
parameters: {{model: "{models}:exclusive_or", data: {{factory: "{models}:truth_table"}}, loss: mse}}
starts: {{num: 96}}
descent: {{tolerance: 1.0e-6, max_iterations: 50, keep_parameters: true}}
splits: [train]
chunks: {{start: 8}}
compute: {{workers: 0, dtype: float64, engine: {{name: loop, point_block: 8}}}}
store: {store}
"""


def test_killed_descents_are_continued(tmp_path):
    models = Path(__file__).parents[2] / "examples" / "models.py"
    stores = {name: tmp_path / f"{name}.zarr" for name in ("undisturbed", "killed")}
    for name, store in stores.items():
        (tmp_path / f"{name}.yaml").write_text(STARTS.format(models=models, store=store))
    process = start("-c", RUN, tmp_path / "killed.yaml")
    wait_for(stores["killed"], 2, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert Ledger(stores["killed"], writable=False).counts().pending > 0
    code, out, err = finish(start("-m", "pipeline.cli", "resume", stores["killed"]))
    assert code == 0, err
    assert "ends_not_converged" in out
    run(tmp_path / "undisturbed.yaml")
    assert_same_bits(stores["killed"], xr.open_zarr(stores["undisturbed"]).load())
