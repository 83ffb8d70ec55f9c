"""The times of a folder: every run counts, whatever becomes of it."""

import time

import pytest

from pipeline import timing
from pipeline.timing import TIMES, runs, timed
from schemas.errors import Interrupted, StoreError


def test_a_folder_has_no_runs_before_its_first(tmp_path):
    assert runs(tmp_path / "none") == ()


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (None, "finished"),
        (ValueError("no"), "failed"),
        (KeyboardInterrupt(), "interrupted"),
        (Interrupted("ended", 15), "interrupted"),
    ],
)
def test_a_run_is_noted_with_its_end_which_goes_on(tmp_path, error, end):
    def work():
        with timed(tmp_path / "deep" / "folder"):
            time.sleep(0.01)
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(type(error)):
            work()
    (run,) = runs(tmp_path / "deep" / "folder")
    assert run.end == end
    assert 0.01 <= run.seconds < 5
    assert [path.name for path in (tmp_path / "deep" / "folder").iterdir()] == [TIMES]


def test_a_run_is_noted_while_it_is_under_way(tmp_path, monkeypatch):
    monkeypatch.setattr(timing, "_EVERY", 0.01)
    with timed(tmp_path):
        end = time.monotonic() + 20
        while runs(tmp_path)[0].seconds < 0.05 and time.monotonic() < end:
            time.sleep(0.01)
        (run,) = runs(tmp_path)
        assert run.end is None
        assert run.seconds >= 0.05


def test_runs_beside_each_other_are_both_kept(tmp_path):
    with timed(tmp_path):
        with timed(tmp_path):
            pass
        inner = runs(tmp_path)[1]
    outer, after = runs(tmp_path)
    assert (outer.end, after) == ("finished", inner)


@pytest.mark.parametrize("text", ["", "[]", '{"runs": [{}]}', '{"runs": 3}'])
def test_times_that_cannot_be_read_are_named(tmp_path, text):
    (tmp_path / TIMES).write_text(text)
    told = pytest.raises(StoreError, match=r"times\.json: does not hold the times.*; remove it")
    with told, timed(tmp_path):
        pytest.fail("not reached")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    told = pytest.raises(StoreError, match=r"file/in: cannot be written \(Not a directory\)")
    with told, timed(tmp_path / "file" / "in"):
        pytest.fail("not reached")
