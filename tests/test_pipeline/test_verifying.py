"""`verify` finds every kind of damage, and continuing the scan mends it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from torch import nn

from pipeline import run, scan, verify
from pipeline.ledger import Ledger
from pipeline.manifest import read_stored
from pipeline.store import RegionFile
from pipeline.verifying import relative_difference
from schemas import StoreError, parse_spec
from schemas.layout import ShardStatus


@pytest.fixture
def arguments(tmp_path):
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    data = (torch.randn(20, 4), torch.randint(0, 3, (20,)))
    axes = {"a": (-1, 1, 40), "b": (-1, 1, 40)}
    store = tmp_path / "scan.zarr"
    return {"model": model, "data": data, "axes": axes, "store": store}


def chunk_files(store):
    return sorted(path for path in (store / "loss" / "c").rglob("*") if path.is_file())


@pytest.mark.parametrize("bit", [0, 3, 7])
@pytest.mark.parametrize("where", [0.1, 0.5, 0.95])
def test_one_flipped_bit_is_found_and_mended(arguments, bit, where):
    before = scan(**arguments).load()
    store = arguments["store"]
    victim = chunk_files(store)[3]
    content = bytearray(victim.read_bytes())
    content[int(where * len(content))] ^= 1 << bit
    victim.write_bytes(content)
    found = verify(store)
    assert not found.ok
    assert len(found.damaged) == 1
    scan(**arguments)
    assert verify(store).ok
    assert scan(**arguments).load().equals(before)


def test_a_lost_chunk_is_found(arguments):
    scan(**arguments)
    chunk_files(arguments["store"])[0].unlink()
    assert verify(arguments["store"]).damaged == (0,)


def test_a_value_written_by_another_hand_is_found(arguments):
    scan(**arguments)
    array = zarr.open_group(str(arguments["store"]), mode="r+")["loss"]
    array[0, 0, 0] = 7.0
    assert verify(arguments["store"]).damaged == (0,)


def test_a_sound_store_is_left_as_it_was(arguments):
    scan(**arguments)
    found = verify(arguments["store"])
    assert found.ok
    assert found.checked == len(Ledger(arguments["store"], writable=False))
    assert json.loads(json.dumps(found.as_json()))["damaged"] == []


@pytest.mark.parametrize("factor", [1.0, 1.001])
def test_wrong_values_with_right_checksums_fail_the_spot_checks(tmp_path, factor):
    axes = {"a": {"start": -1, "stop": 1, "num": 9}}
    raw = {"task": "quadratic", "axes": axes, "chunks": {"a": 3}, "compute": {"workers": 0}}
    store = run(parse_spec({**raw, "store": str(tmp_path / "scan.zarr")})).store
    regions = RegionFile(store, read_stored(store).contents)
    ledger = Ledger(store)
    for written in list(ledger.reports(ShardStatus.DONE)):
        values = {name: part * factor for name, part in regions.read(written.shard)[0].items()}
        flat = {name: part.reshape(2, -1) for name, part in values.items()}
        ledger.record(replace(written, checksum=regions.write(written.shard, flat)))
    ledger.flush()
    found = verify(store)
    assert found.damaged == ()
    assert found.spot_checks == 32
    assert found.ok is (factor == 1.0)


def test_no_store_and_a_damaged_manifest(tmp_path, arguments):
    with pytest.raises(StoreError, match="no scan is stored here"):
        verify(tmp_path / "nowhere.zarr")
    scan(**arguments)
    Path(arguments["store"] / "zarr.json").write_text("{")
    with pytest.raises(StoreError, match="not a Zarr store"):
        verify(arguments["store"])


def test_relative_difference_treats_non_finite_values_as_values():
    expected = np.array([1.0, np.nan, np.inf, 0.0])
    assert relative_difference(expected.copy(), expected) == 0.0
    assert relative_difference(np.array([1.0, np.nan, -np.inf, 0.0]), expected) == np.inf
    assert relative_difference(np.array([1.0, 2.0, np.inf, 0.0]), expected) == np.inf
    assert relative_difference(np.array([1.1, np.nan, np.inf, 0.0]), expected) > 0.09
    assert relative_difference(np.array([1.0, np.nan, np.inf, 1e-3]), expected) == 1e-3
