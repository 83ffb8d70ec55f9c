"""Workers that die, hang or raise: real processes, counted misbehaviours."""

import numpy as np
import pytest
import xarray as xr

from pipeline.executors import RayExecutor
from pipeline.ledger import Ledger
from pipeline.planning import make_plan
from pipeline.reading import status
from pipeline.running import run_built
from pipeline.shipping import pack
from pipeline.worker import Assignment
from schemas import ScanIncomplete, parse_spec
from schemas.errors import WorkError
from schemas.layout import ShardStatus
from tests.landscapes import faulty

AT = 0.5


def make_spec(**compute):
    return parse_spec(
        {
            "task": "faulty",
            "axes": {"a": {"start": 0, "stop": 1, "num": 41}},
            "chunks": {"a": 2},
            "splits": ["train"],
            "compute": {"dtype": "float64", **compute},
        }
    )


def assert_complete(store):
    assert status(store).state == "complete"
    dataset = xr.open_zarr(store).load()
    np.testing.assert_array_equal(dataset["loss"].values[0], np.square(dataset["a"].values))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_dies_is_replaced_and_its_shard_retried(tmp_path, ray_here, workers):
    counter = tmp_path / "deaths"
    store = tmp_path / "scan.zarr"
    run_built(make_spec(workers=workers), store, lambda: [faulty("die", AT, 2, counter)])
    assert counter.stat().st_size == 2
    assert_complete(store)
    attempts = {report.shard: report.attempts for report in Ledger(store).reports(ShardStatus.DONE)}
    # The first death is nobody's: neighbours may have died with it. The second is the shard's own.
    assert attempts.pop(10) == 2
    assert set(attempts.values()) == {1}


def test_a_shard_that_keeps_killing_is_recorded_and_the_scan_goes_on(tmp_path, ray_here):
    store = tmp_path / "scan.zarr"
    counter = tmp_path / "deaths"
    with pytest.raises(
        ScanIncomplete, match=r"1 of 21 shards failed \(10\).*cartograd resume"
    ) as e:
        run_built(make_spec(workers=2, retries=1), store, lambda: [faulty("die", AT, 99, counter)])
    assert e.value.failed == (10,)
    assert e.value.exit_code == 1
    found = status(store)
    assert found.state == "failed"
    assert (found.counts.done, found.counts.failed) == (20, 1)
    (report,) = Ledger(store).reports(ShardStatus.FAILED)
    assert report.attempts == 2
    assert "died" in report.error
    run_built(make_spec(workers=1), store, lambda: [faulty("die", AT, 0, counter)])
    assert_complete(store)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_exception_is_recorded_and_mended_by_continuing(tmp_path, ray_here, workers):
    store = tmp_path / "scan.zarr"
    counter = tmp_path / "errors"
    with pytest.raises(ScanIncomplete, match="RuntimeError: the model cannot be evaluated here"):
        run_built(make_spec(workers=workers), store, lambda: [faulty("raise", AT, 9, counter)])
    # An exception would be the same again, so it is not retried.
    assert counter.stat().st_size == 1
    assert np.isnan(xr.open_zarr(store)["loss"].sel(a=AT).values).all()
    run_built(make_spec(workers=workers), store, lambda: [faulty("raise", AT, 0, counter)])
    assert_complete(store)


def test_a_silent_worker_is_replaced(tmp_path, ray_here):
    store = tmp_path / "scan.zarr"
    counter = tmp_path / "hangs"
    landscape = faulty("hang", AT, 1, counter)
    run_built(make_spec(workers=1, shard_timeout=1.0), store, lambda: [landscape])
    assert counter.stat().st_size == 1
    assert_complete(store)


def _refuse():
    raise RuntimeError("cannot be put together")


def test_workers_that_never_start_end_the_scan_with_the_reason(tmp_path, ray_here):
    landscape = faulty("raise", AT, 0, tmp_path / "errors")
    plan = make_plan(make_spec(workers=1), landscape, workers=1, device="cpu")
    executor = RayExecutor(
        Assignment(plan, tmp_path / "nowhere.zarr"),
        [pack(landscape)],
        resources={"num_cpus": 1},
        retries=0,
        shard_timeout=60.0,
    )
    with pytest.raises(WorkError, match=r"die before they are ready: .*nowhere.zarr"):
        list(executor.run(range(3)))
