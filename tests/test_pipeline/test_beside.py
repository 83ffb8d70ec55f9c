"""The process beside: the same results, and it ends with the one that started it."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import psutil
import pytest
import xarray as xr

from pipeline import concluding
from pipeline.beside import Beside
from schemas import parse_spec
from schemas.errors import Interrupted, ScanIncomplete, SpecError

# A process may inherit that Ctrl-C is ignored, as one that a shell has put in the background.
STARTS = """
import os, signal, time
from pipeline.beside import Beside
signal.signal(signal.SIGINT, signal.default_int_handler)
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


def scan(place, **more):
    axes = {"a": {"start": -1, "stop": 1, "num": 9}}
    asked = {"task": "quadratic", "axes": axes, "store": f"{place}/scan.zarr", **more}
    return parse_spec({**asked, "compute": {"workers": 0}})


def test_what_it_makes_is_what_would_be_made_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = concluding.finished(scan("here"))
    with Beside() as beside:
        wrong = beside.finish(scan("wrong", parameters={"curvature": [1, 2]}))
        other = beside.finish(scan("there")).result()
        with pytest.raises(SpecError, match=r"^parameters\.curvature: "):
            wrong.result()
    assert other.page == Path("there/scan.report/index.html")
    assert [shown.inline for shown in other.pictures] == [shown.inline for shown in mine.pictures]
    assert ">there/scan.zarr<" in other.page.read_text()
    one, two = (xr.open_zarr(f"{place}/scan.zarr", chunks=None) for place in ("here", "there"))
    xr.testing.assert_equal(one, two)
    for name in ("analysis", "minima"):
        xr.testing.assert_identical(
            *(
                xr.open_zarr(f"{place}/scan.zarr", group=name, chunks=None)
                for place in ("here", "there")
            )
        )


def test_left_by_an_exception_it_ends_though_it_is_busy():
    began, numbers = time.monotonic(), []

    def interrupted():
        with Beside() as beside:
            numbers.append(beside._pool.submit(os.getpid).result())
            usual = beside._pool.submit(multiprocessing.get_start_method).result()
            assert usual == multiprocessing.get_start_method()  # else its locks are left behind
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


def test_a_process_that_has_died_says_so():
    with Beside() as beside:
        beside._pool.submit(os._exit, 1).exception()
        for _ in range(2):
            with pytest.raises(BrokenProcessPool):
                beside.finish(scan("none")).result()


@pytest.mark.parametrize("error", [ScanIncomplete("lacks", (1, 2)), Interrupted("ended", 15)])
def test_errors_come_back_as_they_are(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
