"""Replicates whose networks are trained at once: the same bits, and the same ends."""

import contextlib
import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import cloudpickle
import psutil
import pytest
import ray
import torch
import xarray as xr

from pipeline.building import _arrived, build_landscapes, builds_at_once
from pipeline.devices import session
from pipeline.running import run
from pipeline.shipping import landscape_hash, pack
from schemas import Interrupted, SpecError, parse_spec
from schemas.compute import Compute
from schemas.errors import WorkError
from tasks import TASKS
from tasks.landscape import Landscape
from tasks.objective import ClosedForm
from tasks.registry import Task
from tasks.section import coordinate_section

# Workers do not see the test folder.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SECONDS = 60.0


@dataclass(frozen=True)
class Bowl:
    centre: torch.Tensor

    def __call__(self, theta):
        return (theta - self.centre.to(theta.dtype)).square().sum(dim=1)


def build_bowl(parameters, context):
    """A bowl about a seeded place; files in the base folder tell it to misbehave, it tells of pids.

    With the file `last` the first of three waits for the others, with `alone` it is an error if two
    are at it.
    """
    base = context.base
    (base / f"pid-{os.getpid()}").touch()
    if (base / "wrong").exists():
        raise SpecError("parameters.bowl: got 'wrong'; expected a bowl")
    with contextlib.suppress(FileNotFoundError):
        (base / "deadly").unlink()  # by one process alone
        os.kill(os.getpid(), signal.SIGKILL)
    if (base / "driver").exists():
        os.kill(int((base / "driver").read_text()), signal.SIGTERM)
        time.sleep(SECONDS)
    at_work = base / f"at-work-{context.seed}"
    at_work.touch()
    (base / f"came-{context.seed}").touch()
    if (base / "last").exists() and context.seed == 0:
        end = time.monotonic() + SECONDS
        while len(list(base.glob("came-*"))) < 3:
            assert time.monotonic() < end, "no other replicate is built"
            time.sleep(0.01)
    if (base / "alone").exists():
        assert len(list(base.glob("at-work-*"))) == 1
    at_work.unlink()
    if context.cache is not None:
        assert base.is_absolute()
        (context.cache / f"{context.seed}.kept").touch()
    draw = torch.Generator().manual_seed(context.seed)
    bowl = Bowl(torch.randn(2, generator=draw, dtype=torch.float64))
    return Landscape(ClosedForm({"train": bowl}), coordinate_section(2), facts={"s": context.seed})


@pytest.fixture
def bowls(monkeypatch):
    task = Task("bowl", "", "", "tasks.registry:Parameters", f"{__name__}:build_bowl", trains=True)
    monkeypatch.setitem(TASKS, "bowl", task)


def spec_of(axes=("a", "b"), replicates=3, **given):
    return parse_spec(
        {
            "task": "bowl",
            "axes": {name: {"start": -1, "stop": 1, "num": 5} for name in axes},
            "splits": ["train"],
            "replicates": replicates,
            "compute": {"workers": 2, "dtype": "float64"},
            **given,
        }
    )


def force(workers):
    """On the tests' own Ray, which runs on; its processes serve one test after another."""
    with session(Compute(workers=workers), None, None, dashboard=False) as workforce:
        return workforce


def pids(folder):
    return {int(path.name.partition("-")[2]) for path in folder.glob("pid-*")}


def test_replicates_are_built_at_once_elsewhere_and_are_the_same(tmp_path, bowls, ray_here):
    here = build_landscapes(spec_of(), tmp_path)
    assert pids(tmp_path) == {os.getpid()}
    (tmp_path / f"pid-{os.getpid()}").unlink()
    told = []
    for workers, kind in ((2, "last"), (1, "alone")):
        (tmp_path / kind).touch()
        for path in tmp_path.glob("came-*"):
            path.unlink()
        there = build_landscapes(
            spec_of(), tmp_path, workforce=force(workers), display=lambda *step: told.append(step)
        )
        (tmp_path / kind).unlink()
        assert [landscape_hash(part) for part in there] == [landscape_hash(part) for part in here]
        assert [part.facts for part in there] == [part.facts for part in here]
    assert os.getpid() not in pids(tmp_path)
    assert told == [("building replicates", done, 3) for done in (0, 1, 2, 3)] * 2


def test_trained_networks_come_back_as_they_are(ray_here):
    spec = parse_spec(
        {
            "task": "pattern-theorem1",
            "parameters": {
                "target": {"function": "two-well"},
                "network": {"hidden": [4, 6]},
                "training": {"steps": 3, "refinement": 0},
            },
            "axes": {name: {"start": 0, "stop": 1, "num": 3} for name in ("a", "b")},
            "replicates": 2,
        }
    )
    here = build_landscapes(spec, Path())
    there = build_landscapes(spec, Path(), workforce=force(2))
    assert [landscape_hash(part) for part in there] == [landscape_hash(part) for part in here]
    assert landscape_hash(here[0]) != landscape_hash(here[1])


def test_an_error_of_a_build_is_the_line_it_is(tmp_path, bowls, ray_here):
    (tmp_path / "wrong").touch()
    with pytest.raises(SpecError, match=r"^parameters.bowl: got 'wrong'; expected a bowl$") as end:
        build_landscapes(spec_of(), tmp_path, workforce=force(2))
    assert type(end.value) is SpecError
    (tmp_path / "wrong").unlink()
    with pytest.raises(SpecError, match="task bowl"):
        build_landscapes(spec_of(axes=("a",)), tmp_path, workforce=force(1))


def test_a_scan_of_such_replicates_is_that_of_a_single_process(
    tmp_path, bowls, ray_here, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deadly").touch()  # the first process; another one builds its replicate
    stores = {}
    for workers in (2, 0):
        compute = {"workers": workers, "dtype": "float64"}
        stores[workers] = tmp_path / f"{workers}.zarr"
        run(spec_of(compute=compute, store=f"{workers}.zarr"))
        assert len(list((tmp_path / f"{workers}.cache").glob("*.kept"))) == 3
    assert not (tmp_path / "deadly").exists()
    spread, single = (xr.open_zarr(stores[workers]).load() for workers in (2, 0))
    xr.testing.assert_identical(spread["loss"], single["loss"])


def test_what_comes_back_does_not_lie_in_rays_memory(monkeypatch):
    packed = pack(Landscape(ClosedForm({"train": Bowl(torch.ones(2))}), coordinate_section(2)))
    monkeypatch.setattr(ray, "get", lambda reference: packed)
    centre = _arrived(None, 0, attempt=1, retries=0).objective.functions["train"].centre
    assert centre.tolist() == [1, 1]
    assert centre.data_ptr() not in [buffer.ctypes.data for buffer in packed.buffers]


def test_a_process_that_keeps_dying_is_one_line(monkeypatch):
    def get(reference):
        raise ray.exceptions.WorkerCrashedError

    monkeypatch.setattr(ray, "get", get)
    assert _arrived(None, 3, attempt=2, retries=2) is None
    with pytest.raises(WorkError, match=r"^replicate 3: the worker .* died 3 times: ") as end:
        _arrived(None, 3, attempt=3, retries=2)
    assert "\n" not in str(end.value)


def test_a_signal_ends_the_builds(tmp_path, bowls, ray_here, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "driver").write_text(str(os.getpid()))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="ended by SIGTERM: 0 of 3 replicates were built") as end:
        run(spec_of(store="scan.zarr"))
    assert end.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    builders = [psutil.Process(pid) for pid in pids(tmp_path) if psutil.pid_exists(pid)]
    _, alive = psutil.wait_procs(builders, timeout=20)
    assert not alive


def test_only_training_on_workers_is_done_at_once(bowls, monkeypatch):
    assert builds_at_once(spec_of())
    assert not builds_at_once(spec_of(replicates=1))
    assert not builds_at_once(spec_of(compute={"workers": 0}))
    monkeypatch.setitem(TASKS, "bowl", replace(TASKS["bowl"], trains=False))
    assert not builds_at_once(spec_of())
