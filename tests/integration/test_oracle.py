"""The whole journey against an oracle: every stored value is known, corners and centre included."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.ledger import Ledger, ShardReport
from pipeline.manifest import read_stored
from pipeline.reading import status
from pipeline.running import run_built
from pipeline.store import RegionFile
from pipeline.verifying import TOLERANCE
from schemas import parse_spec
from schemas.layout import ShardStatus
from tests.landscapes import oracle, oracle_value

GRIDS = {
    1: {"a": {"start": -1, "stop": 1, "num": 23}},
    2: {"a": {"start": -1, "stop": 1, "num": 17}, "b": {"start": 0.5, "stop": -2, "num": 6}},
    3: {
        "a": {"start": -1, "stop": 1, "num": 9},
        "b": {"start": 3, "stop": 3, "num": 1},
        "c": {"scale": "log", "start": 1e-2, "stop": 10, "num": 7},
    },
    4: {
        "a": {"start": -1, "stop": 1, "num": 5},
        "b": {"values": [-3, 0.1, 7]},
        "c": {"start": 0, "stop": 1, "num": 4},
        "d": {"start": -1, "stop": 1, "num": 2},
    },
}
CHUNKS = {1: {"a": 5}, 2: {"a": 4, "b": 5}, 3: {"a": 4, "c": 3}, 4: {"a": 2, "b": 2, "c": 3}}


def make_spec(z, **changes):
    raw = {
        "task": "oracle",
        "axes": GRIDS[z],
        "chunks": CHUNKS[z],
        "compute": {"workers": 0, "dtype": "float64"},
    }
    return parse_spec({**raw, **changes})


def assert_every_value(path, spec):
    dataset = xr.open_zarr(path).load()
    assert dataset["loss"].dims == ("split", *spec.axes)
    mesh = np.meshgrid(*(dataset[name].values for name in spec.axes), indexing="ij")
    points = np.stack([axis.ravel() for axis in mesh], axis=-1)
    for split in spec.splits:
        stored = dataset["loss"].sel(split=split).values
        expected = oracle_value(points, split).reshape(stored.shape)
        np.testing.assert_allclose(stored, expected, rtol=TOLERANCE[spec.compute.dtype])
        assert np.isnan(expected).any()
        assert np.isinf(expected).any()
        assert (expected < 0).any()
    expected = mesh[0].astype(spec.compute.dtype)
    np.testing.assert_array_equal(dataset["target"].values, expected)


@pytest.mark.parametrize("z", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_stored_value_is_right(tmp_path, z, dtype):
    spec = make_spec(z, compute={"workers": 0, "dtype": dtype, "batch": 3})
    run_built(spec, tmp_path / "scan.zarr", lambda: [oracle(z)])
    assert_every_value(tmp_path / "scan.zarr", spec)


@pytest.mark.parametrize("z", [2, 3])
def test_sharded_stores_hold_the_same_values(tmp_path, z):
    shards = {name: 2 * length for name, length in CHUNKS[z].items()}
    spec = make_spec(z, shards=shards)
    run_built(spec, tmp_path / "scan.zarr", lambda: [oracle(z)])
    assert_every_value(tmp_path / "scan.zarr", spec)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_grid_and_any_interruption(tmp_path_factory, data):
    """Shards are lost in any pattern between two runs; the second one fills exactly those."""
    z = data.draw(st.integers(1, 3))
    axes = {
        f"a{k}": {"start": -1, "stop": 1 + k, "num": data.draw(st.integers(1 if k else 3, 9))}
        for k in range(z)
    }
    chunks = {name: data.draw(st.integers(1, axis["num"])) for name, axis in axes.items()}
    spec = make_spec(2, axes=axes, chunks=chunks)
    store = tmp_path_factory.mktemp("any") / "scan.zarr"
    run_built(spec, store, lambda: [oracle(z)])
    whole = xr.open_zarr(store).load()
    ledger = Ledger(store)
    lost = data.draw(st.sets(st.integers(0, len(ledger) - 1)))
    regions = RegionFile(store, read_stored(store).contents)
    for shard in lost:
        held, _ = regions.read(shard)
        size = held["target"].size
        regions.write(shard, {"loss": np.full((2, size), 77.0), "target": np.full(size, 77.0)})
        ledger.record(ShardReport(shard, ShardStatus.DAMAGED, 1))
    ledger.flush()
    assert status(store).counts.pending == len(lost)
    run_built(spec, store, lambda: [oracle(z)])
    assert status(store).state == "complete"
    xr.testing.assert_identical(xr.open_zarr(store).load(), whole)


def test_replicates_are_a_dimension(tmp_path):
    spec = make_spec(2, replicates=3)
    run_built(spec, tmp_path / "scan.zarr", lambda: [oracle(2)] * 3)
    dataset = xr.open_zarr(tmp_path / "scan.zarr").load()
    assert dataset["loss"].dims == ("replicate", "split", "a", "b")
    assert dataset["target"].dims == ("replicate", "a", "b")
    for replicate in (1, 2):
        xr.testing.assert_equal(
            dataset["loss"].sel(replicate=0, drop=True),
            dataset["loss"].sel(replicate=replicate, drop=True),
        )


@pytest.mark.parametrize("workers", [1, 2])
def test_ray_workers_write_the_same_bits(tmp_path, ray_here, workers):
    spec = make_spec(3)
    run_built(spec, tmp_path / "serial.zarr", lambda: [oracle(3)])
    spread = make_spec(3, compute={"workers": workers, "dtype": "float64"})
    run_built(spread, tmp_path / "ray.zarr", lambda: [oracle(3)])
    assert_every_value(tmp_path / "ray.zarr", spread)
    serial, ray = (xr.open_zarr(tmp_path / f"{name}.zarr").load() for name in ("serial", "ray"))
    xr.testing.assert_equal(serial, ray)


def test_the_store_explains_itself_to_xarray_alone(tmp_path):
    spec = make_spec(2, compute={"workers": 0, "dtype": "float64"}, seed=7)
    run_built(spec, tmp_path / "scan.zarr", lambda: [oracle(2)])
    dataset = xr.open_zarr(tmp_path / "scan.zarr")
    assert dataset["split"].values.tolist() == ["train", "test"]
    for variable in dataset.variables.values():
        assert variable.attrs["long_name"]
    assert dataset["loss"].attrs["units"] == "1"
    assert dataset.attrs["seed"] == 7
    assert '"task": "oracle"' in dataset.attrs["spec"]
    assert "zarr" in dataset.attrs["versions"]
