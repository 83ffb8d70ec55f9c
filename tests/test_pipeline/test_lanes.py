"""Scans in two lanes: each finished once, whatever the other lane does, and errors that name it."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from pipeline import lanes
from schemas.errors import StoreError


def spec(name, workers):
    return SimpleNamespace(store=name, compute=SimpleNamespace(workers=workers))


class Other:
    """The process beside as a thread; it keeps what it was given and makes it by `make`."""

    def __init__(self, make, started=False):
        self.pool = ThreadPoolExecutor(1)
        self.make = make
        self.started = started
        self.given = []

    def finish(self, spec):
        self.started = True
        self.given.append(spec.store)
        return self.pool.submit(self.make, spec.store)


@pytest.fixture
def here(monkeypatch):
    """What this process runs and finishes, of scans that are new."""
    done = {"run": [], "finished": []}
    monkeypatch.setattr(lanes, "_complete", lambda spec: False)
    monkeypatch.setattr(lanes, "shared_ray", lambda computes: nullcontext())
    monkeypatch.setattr(lanes, "run", lambda spec, display: done["run"].append(spec.store))

    def finished(spec, display):
        done["finished"].append(spec.store)
        return f"{spec.store} here"

    monkeypatch.setattr(lanes, "finished", finished)
    return done


def reports(workers, other):
    specs = {f"s{number}": spec(f"s{number}", each) for number, each in enumerate(workers)}
    found = lanes._Lanes("tiny", specs, lambda *_: None, other).reports()
    assert set(found) == set(specs)
    return found


@pytest.mark.parametrize("count", range(3, 30, 4))
def test_every_scan_is_finished_once_from_both_ends(here, count):
    other = Other(lambda name: f"{name} there")
    found = reports([0] * count, other)
    names = [f"s{number}" for number in range(count)]
    there = [name for name in names if found[name].endswith("there")]
    assert here["finished"] == names[: count - len(there)]
    assert other.given == names[::-1][: len(there)] == there[::-1]
    assert there


def test_the_other_lane_is_busy_to_the_end(here):
    """This lane's first scan lasts until the other has finished all others."""
    last = threading.Event()
    first = lanes.finished

    def slow(spec, display):
        assert last.wait(10)
        return first(spec, display)

    def make(name):
        if name == "s1":
            last.set()
        return f"{name} there"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "finished", slow)
        reports([0] * 6, Other(make))
    assert here["finished"] == ["s0"]


def test_scans_on_workers_are_run_here_and_analysed_beside(here):
    other = Other(lambda name: f"{name} there")
    found = reports([2, 2, 0, "auto"], other)
    assert here["run"] == ["s0", "s1", "s3"]
    assert here["finished"] == ["s2"]
    assert [found[name] for name in ("s0", "s1", "s2", "s3")] == [
        *("s0 there", "s1 there", "s2 here", "s3 there")
    ]


@pytest.mark.parametrize(("count", "started", "used"), [(2, False, 0), (2, True, 1), (3, False, 1)])
def test_few_scans_do_not_start_it(here, count, started, used):
    other = Other(lambda name: "there", started)
    reports([0] * count, other)
    assert (len(other.given) >= used) is True
    assert bool(other.given) is bool(used)


def test_without_it_all_is_done_here(here):
    reports([0, 2, 0, 0], None)
    assert here == {"run": [], "finished": ["s0", "s1", "s2", "s3"]}


def test_what_a_process_that_died_was_to_finish_is_finished_here(here):
    class Dead(Other):
        def finish(self, spec):
            self.given.append(spec.store)
            future = Future()
            future.set_exception(BrokenProcessPool("it has died"))
            return future

    other = Dead(None)
    found = reports([2, 0, 0, 0], other)
    assert set(found.values()) == {f"s{number} here" for number in range(4)}
    assert other.given == ["s3", "s0"]


def test_an_error_beside_names_its_scan_and_nothing_more_is_given(here):
    failed = threading.Event()

    def make(name):
        failed.set()
        raise StoreError("no space left")

    def finished(spec, display):
        assert failed.wait(10)
        return here["finished"].append(spec.store)

    other = Other(make)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lanes, "finished", finished)
        with pytest.raises(StoreError, match=r"^study tiny, scan s4: no space left$"):
            reports([0] * 5, other)
    assert other.given == ["s4"]
    other.pool.shutdown()
    assert here["finished"][0] == "s0"


def test_an_error_here_leaves_nothing_for_the_other(here, monkeypatch):
    began, go = threading.Event(), threading.Event()

    def make(name):
        began.set()
        assert go.wait(10)
        return name

    def finished(spec, display):
        assert began.wait(10)
        raise StoreError("no space left")

    monkeypatch.setattr(lanes, "finished", finished)
    other = Other(make)
    with pytest.raises(StoreError, match=r"^study tiny, scan s0: no space left$"):
        reports([0] * 5, other)
    go.set()
    other.pool.shutdown()
    assert other.given == ["s4"]
