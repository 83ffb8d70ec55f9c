"""ScanSpec: what is accepted, what identifies a scan, and how overrides are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import SpecError, load_spec, parse_spec

MINIMAL = {"task": "quadratic", "axes": {"a": {"start": -1, "stop": 1, "num": 5}}}


def spec(**changes):
    return parse_spec({**MINIMAL, **changes})


def test_defaults():
    parsed = spec()
    assert parsed.splits == ("train", "test")
    assert parsed.metrics == ("loss",)
    assert parsed.compute.dtype == "float32"
    assert parsed.grid().chunks == (5,)


def test_numbers_that_yaml_reads_as_text_are_numbers(tmp_path):
    path = tmp_path / "scan.yaml"
    path.write_text("task: quadratic\naxes:\n  a: {scale: log, start: 1e-3, stop: 1, num: 4}\n")
    assert load_spec(path).axes["a"].start == 1e-3


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"replicates": 2},
        {"splits": ["train"]},
        {"metrics": ["loss", "accuracy"]},
        {"axes": {"a": {"start": -1, "stop": 1, "num": 6}}},
        {"axes": {"b": {"start": -1, "stop": 1, "num": 5}}},
        {"parameters": {"curvature": 2}},
        {"compute": {"dtype": "float64"}},
        {"chunks": {"a": 2}},
    ],
)
def test_what_changes_a_number_changes_the_fingerprint(change):
    assert spec(**change).fingerprint() != spec().fingerprint()


@given(
    workers=st.integers(0, 64),
    memory=st.integers(2**20, 2**40),
    store=st.text("abc", min_size=1),
    retries=st.integers(0, 9),
)
def test_what_changes_no_number_keeps_the_fingerprint(workers, memory, store, retries):
    compute = {"workers": workers, "memory_per_worker": memory, "retries": retries}
    assert spec(compute=compute, store=store).fingerprint() == spec().fingerprint()


def test_the_order_of_axes_is_part_of_the_identity():
    axis = {"start": 0, "stop": 1, "num": 3}
    one = spec(axes={"a": axis, "b": axis})
    other = spec(axes={"b": axis, "a": axis})
    assert one.fingerprint() != other.fingerprint()


def test_a_spec_survives_the_way_through_json():
    parsed = spec(chunks={"a": 2}, shards={"a": 4}, compute={"gpus_per_worker": 0.5})
    assert parse_spec(parsed.model_dump(mode="json")) == parsed


def test_overrides_reach_into_the_spec(tmp_path):
    path = tmp_path / "scan.yaml"
    path.write_text("task: quadratic\naxes:\n  a: {start: 0, stop: 1, num: 4}\n")
    changed = load_spec(path, ("compute.workers=3", "axes.a.num=7", "splits=[train]"))
    assert changed.compute.workers == 3
    assert changed.axes["a"].num == 7
    assert changed.splits == ("train",)
    assert changed.store == "scan.zarr"


def test_a_repeated_key_is_refused(tmp_path):
    path = tmp_path / "scan.yaml"
    path.write_text("task: quadratic\ntask: other\naxes:\n  a: {start: 0, stop: 1, num: 4}\n")
    with pytest.raises(SpecError, match="'task' is given twice"):
        load_spec(path)
