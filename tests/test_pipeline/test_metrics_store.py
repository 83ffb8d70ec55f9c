"""Every metric on its way through a scan: into the store, back out, resumed, analysed, reported."""

from typing import get_args

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from torch import nn

from pipeline.analysing import analyse
from pipeline.analysis import rows
from pipeline.contents import scan_contents
from pipeline.engine.autograd import AutogradEvaluator
from pipeline.ledger import Ledger, ShardReport
from pipeline.manifest import read_stored
from pipeline.reading import open_scan, status
from pipeline.running import run_built
from pipeline.store import RegionFile, create
from schemas import SpecError, parse_spec
from schemas.layout import FORMAT_VERSION, METRICS, ShardStatus, Variable
from schemas.scan import MetricName
from tasks.given import given_landscape
from tests.report_trees import write

AXES = {"a": {"start": -1, "stop": 1, "num": 5}, "b": {"start": 0, "stop": 2, "num": 3}}
MEASURED = get_args(MetricName)
EXTRA = {"section_gradient": ("axis",), "section_hessian": ("axis", "axis_other")}


def make_spec(**changes):
    raw = {"task": "none", "axes": AXES, "chunks": {"a": 2, "b": 2}, "metrics": [*MEASURED]}
    return parse_spec({**raw, "compute": {"workers": 0, "dtype": "float64"}, **changes})


def landscapes(count=1):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    data = {
        s: (torch.randn(n, 3), torch.randint(0, 2, (n,))) for s, n in (("train", 9), ("test", 4))
    }
    return [
        given_landscape(
            model, data, loss="cross_entropy", directions="filter", origin=None, z=2, seed=seed
        )
        for seed in range(count)
    ]


def drawn(contents, size, random):
    """Values of every kind: NaN, infinities, and integers that no float64 holds."""
    values = {}
    for name in (*contents.metrics, *contents.fields):
        shape = (*contents.lead(name), size)
        dtype = np.dtype(contents.dtype_of(name))
        if dtype.kind == "f":
            part = random.choice([np.nan, np.inf, -np.inf, 0.1, -7.0], shape)
        else:
            low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
            part = random.integers(low, high, shape, dtype, endpoint=True)
            part[..., 0] = high
        values[name] = part
    return values


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize("replicates", [1, 3])
def test_what_is_written_is_read(tmp_path, replicates, sharded, dtype):
    spec = make_spec(
        replicates=replicates,
        shards={"a": 4, "b": 2} if sharded else None,
        compute={"workers": 0, "dtype": dtype},
    )
    contents = scan_contents(spec, {"target": Variable("a field", "1")})
    store = tmp_path / "scan.zarr"
    create(store, contents, {"cartograd_format": FORMAT_VERSION})
    regions, random = RegionFile(store, contents), np.random.default_rng(0)
    written = {}
    for shard in range(contents.n_shards):
        values = drawn(contents, contents.place(shard)[1].size, random)
        written[shard] = values, regions.write(shard, values)
    dataset = xr.open_zarr(store).load()
    for shard, (values, checksum) in written.items():
        read, again = RegionFile(store, contents).read(shard)
        assert again == checksum
        replicate, block = contents.place(shard)
        where = dict(zip(AXES, block.slices, strict=True))
        where |= {"replicate": replicate} if replicates > 1 else {}
        for name, part in values.items():
            expected = part.astype(contents.dtype_of(name)).reshape(*part.shape[:-1], *block.shape)
            np.testing.assert_array_equal(read[name], expected)
            np.testing.assert_array_equal(dataset[name].isel(where), expected)
            assert dataset[name].dtype == read[name].dtype == contents.dtype_of(name)
    assert int(dataset["activation_cell"].max()) == 2**64 - 1
    assert contents.n_bytes == sum(dataset[name].nbytes for name in dataset.data_vars)
    assert contents.numbers_per_point * contents.n_points == sum(
        dataset[name].size for name in dataset.data_vars
    )


def test_variables_explain_themselves(tmp_path):
    contents = scan_contents(make_spec(replicates=2), {})
    create(tmp_path / "scan.zarr", contents, {"cartograd_format": FORMAT_VERSION})
    dataset = xr.open_zarr(tmp_path / "scan.zarr")
    for name, metric in ((name, METRICS[name]) for name in MEASURED):
        assert dataset[name].dims == ("replicate", "split", *EXTRA.get(name, ()), "a", "b")
        assert dataset[name].attrs == {"long_name": metric.long_name, "units": metric.units}
    for dim in ("axis", "axis_other"):
        assert dataset[dim].values.tolist() == ["a", "b"]
    group = zarr.open_group(str(tmp_path / "scan.zarr"), mode="r")
    assert group["section_hessian"].chunks == (1, 1, 2, 2, 2, 2)
    assert group["activation_changes"].fill_value == 0
    assert np.isnan(group["section_gradient"].fill_value)


def test_dimensions_of_a_metric_are_there_only_with_it(tmp_path):
    for metric in ("accuracy", *EXTRA):
        dims = set(EXTRA.get(metric, ()))
        contents = scan_contents(make_spec(metrics=["loss", metric]), {})
        store = tmp_path / f"{metric}.zarr"
        create(store, contents, {"cartograd_format": FORMAT_VERSION})
        assert set(xr.open_zarr(store).coords) == {"a", "b", "split"} | dims


@pytest.mark.parametrize("name", [*METRICS, "axis", "axis_other"])
def test_no_axis_may_bear_the_name_of_a_variable(name):
    with pytest.raises(SpecError, match=f"axis name '{name}' is reserved"):
        make_spec(axes={name: AXES["a"]}, chunks="auto")


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    store = tmp_path_factory.mktemp("metrics") / "scan.zarr"
    spec = make_spec(replicates=2)
    run_built(spec, store, lambda: landscapes(2))
    return spec, store


def test_a_scan_stores_what_the_evaluator_measures(scanned):
    spec, store = scanned
    dataset = xr.open_zarr(store).load()
    choice = read_stored(store).engine
    mesh = np.meshgrid(dataset["a"].values, dataset["b"].values, indexing="ij")
    points = np.stack([axis.ravel() for axis in mesh], axis=-1)
    for replicate, landscape in enumerate(landscapes(2)):
        evaluator = AutogradEvaluator(
            landscape.objective, landscape.section, spec.splits, spec.metrics, choice
        )
        for name, part in evaluator.evaluate(points).items():
            stored = dataset[name].sel(replicate=replicate).values
            np.testing.assert_array_equal(stored, part.reshape(stored.shape))
    assert (dataset["activation_cell"].values > 2**53).any()
    origin = dataset["activation_changes"].sel(a=0, b=0)
    assert (origin == 0).all()
    assert origin.dtype == np.int64
    hessian = dataset["section_hessian"]
    swapped = hessian.rename(axis="axis_other", axis_other="axis").transpose(*hessian.dims)
    np.testing.assert_array_equal(hessian, swapped)


def test_lost_shards_are_filled_again(scanned):
    spec, store = scanned
    whole = xr.open_zarr(store).load()
    contents, ledger = read_stored(store).contents, Ledger(store)
    regions, random = RegionFile(store, contents), np.random.default_rng(1)
    for shard in (0, 5, len(ledger) - 1):
        regions.write(shard, drawn(contents, contents.place(shard)[1].size, random))
        ledger.record(ShardReport(shard, ShardStatus.DAMAGED, 1))
    ledger.flush()
    assert not xr.open_zarr(store).load().equals(whole)
    run_built(spec, store, lambda: landscapes(2))
    assert status(store).state == "complete"
    xr.testing.assert_identical(xr.open_zarr(store).load(), whole)


def test_analysis_and_report_take_the_other_metrics_in_their_stride(scanned, tmp_path, coarse):
    _, store = scanned
    found = analyse(store)
    tree = open_scan(store)
    assert found["argmin"].dims == ("replicate", "split", "axis")
    assert tree["analysis"]["axis"].values.tolist() == tree["axis"].values.tolist()
    html = write(tree, tmp_path, rows(found))
    assert "transfer" in html


def test_a_store_of_the_loss_alone_gives_the_same_analysis(scanned, tmp_path):
    _, store = scanned
    spec = make_spec(replicates=2, metrics=["loss"], compute={
        "workers": 0, "dtype": "float64", "engine": {"name": "autograd"},
    })  # fmt: skip
    run_built(spec, tmp_path / "loss.zarr", lambda: landscapes(2))
    alone = analyse(tmp_path / "loss.zarr")
    found = analyse(store)
    measured = {"origin_curvature_measured", "origin_curvature_error", "cells_met"}
    assert set(found.data_vars) - set(alone.data_vars) == measured
    xr.testing.assert_allclose(found.drop_vars(measured), alone, rtol=1e-12)
