"""The process beside: the same results, and it ends with the one that started it."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import xarray as xr

from pipeline import concluding
from pipeline.beside import Beside
from pipeline.running import run
from schemas import parse_spec
from schemas.errors import StoreError

STARTS = """
import os, time
from pipeline.beside import Beside
with Beside() as beside:
    print(beside._pool.submit(os.getpid).result(), flush=True)
    beside._pool.submit(time.sleep, 60)
    time.sleep(60)
"""


def gone(number, seconds=10):
    end = time.monotonic() + seconds
    while psutil.pid_exists(number) and time.monotonic() < end:
        time.sleep(0.02)
    return not psutil.pid_exists(number)


def scanned(place):
    axes = {"a": {"start": -1, "stop": 1, "num": 9}}
    store = place / "scan.zarr"
    run(
        parse_spec(
            {"task": "quadratic", "axes": axes, "store": str(store), "compute": {"workers": 0}}
        )
    )
    return store


def test_what_it_makes_is_what_would_be_made_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
    here, there = (scanned((tmp_path / place).relative_to(tmp_path)) for place in ("here", "there"))
    mine = concluding.renewed(here)
    with Beside() as beside:
        lacking = beside.report(tmp_path / "none.zarr")
        other = beside.report(there).take()
        with pytest.raises(StoreError, match=r"none\.zarr: no scan is stored here"):
            lacking.take()
    assert other.page == there.parent / "scan.report" / "index.html"
    assert [shown.inline for shown in other.pictures] == [shown.inline for shown in mine.pictures]
    for name in ("analysis", "minima"):
        xr.testing.assert_identical(
            *(xr.open_zarr(store, group=name, chunks=None) for store in (here, there))
        )


def test_left_by_an_exception_it_ends_though_it_is_busy():
    began, numbers = time.monotonic(), []

    def interrupted():
        with Beside() as beside:
            numbers.append(beside._pool.submit(os.getpid).result())
            beside._pool.submit(time.sleep, 60)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert gone(*numbers)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_outlives_the_process_that_started_it_by_no_more_than_a_moment(end):
    with subprocess.Popen(
        [sys.executable, "-c", STARTS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        number = int(process.stdout.readline())
        os.kill(number, signal.SIGINT)  # Ctrl-C reaches both; it is for the first alone
        process.send_signal(end)
        process.wait(timeout=30)
    assert gone(number)


def test_what_a_process_that_died_was_to_make_is_made_here(tmp_path, monkeypatch):
    monkeypatch.setattr(concluding, "renewed", lambda store: f"report of {store.name}")
    with Beside() as beside:
        beside._pool.submit(os._exit, 1).exception()
        assert [beside.report(tmp_path / name).take() for name in ("a", "b")] == [
            "report of a",
            "report of b",
        ]
