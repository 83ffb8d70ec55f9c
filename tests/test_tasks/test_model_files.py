"""The task `model` with a user's own files: interrupted, changed, and sent to workers."""

import json
import sys

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
import zarr

from pipeline import run
from pipeline.ledger import Ledger, ShardReport
from pipeline.running import resume
from pipeline.store import consolidate
from schemas import StoreMismatch, load_spec
from schemas.layout import ShardStatus

USERS_FILE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Linear(5, width)
        self.outer = nn.Linear(width, 3)

    def forward(self, x):
        return scaled(self.outer(self.inner(x).tanh()))

def scaled(outputs):
    return 2 * outputs

def samples():
    torch.manual_seed(9)
    pair = torch.randn(40, 5), torch.randint(0, 3, (40,))
    return {"train": pair, "test": pair}

def margin(outputs, targets):
    return (1 - outputs.gather(1, targets[:, None])[:, 0]).clamp(min=0)
"""


@pytest.fixture
def users(tmp_path):
    """A folder with a user's own file, checkpoints of its model, and a spec."""
    (tmp_path / "mynets.py").write_text(USERS_FILE)
    state = {"inner.weight": (6, 5), "inner.bias": (6,), "outer.weight": (3, 6), "outer.bias": (3,)}
    torch.manual_seed(7)
    for epoch in range(4):
        tensors = {name: torch.randn(shape) for name, shape in state.items()}
        torch.save(tensors, tmp_path / f"epoch-{epoch}.pt")
    spec = {
        "task": "model",
        "parameters": {
            "model": "mynets.py:Net",
            "checkpoint": "epoch-3.pt",
            "data": {"factory": "mynets.py:samples"},
            "loss": "mynets.py:margin",
            "directions": [{"kind": "pca", "checkpoints": ["epoch-*.pt"]}, "hessian"],
            "trajectories": {"run": "epoch-*.pt"},
        },
        "axes": {"a": {"start": -1, "stop": 1, "num": 6}, "b": {"start": 0, "stop": 1, "num": 4}},
        "chunks": {"a": 2, "b": 2},
        "compute": {"workers": 0, "engine": {"name": "loop"}},
        "store": str(tmp_path / "scan.zarr"),
    }
    (tmp_path / "scan.yaml").write_text(yaml.safe_dump(spec))
    return tmp_path


@pytest.mark.parametrize("reached", ["nothing", "half", "all"])
def test_an_interrupted_scan_with_trajectories_is_continued_to_the_same_bits(users, reached):
    store = users / "scan.zarr"
    run(users / "scan.yaml")
    whole = xr.open_zarr(store).load()
    groups = {g: xr.open_zarr(store, group=g).load() for g in ("section", "trajectories")}
    group = zarr.open_group(store, mode="r+")
    lost = [0, 3, 5]
    ledger = Ledger(store)
    for shard in lost:
        ledger.record(ShardReport(shard, ShardStatus.PENDING, 0))
    ledger.flush()
    group["loss"][:, :2, :2] = np.nan
    # How much of the trajectories there is depends on when the run ended.
    if reached == "nothing":
        del group["trajectories"]
    elif reached == "half":
        group["trajectories"].attrs["complete"] = False
        group["trajectories/loss"][:] = 7
    consolidate(store)
    assert resume(store).counts.pending == 0
    xr.testing.assert_identical(xr.open_zarr(store).load(), whole)
    for name, before in groups.items():
        xr.testing.assert_identical(xr.open_zarr(store, group=name).load(), before)
    assert np.isfinite(whole["loss"]).all()


def test_a_changed_checkpoint_is_not_continued(users):
    run(users / "scan.yaml")
    before = xr.open_zarr(users / "scan.zarr").load()
    ledger = Ledger(users / "scan.zarr")
    ledger.record(ShardReport(0, ShardStatus.PENDING, 0))
    ledger.flush()
    tensors = torch.load(users / "epoch-3.pt", weights_only=True)
    torch.save({name: tensor + 1 for name, tensor in tensors.items()}, users / "epoch-3.pt")
    with pytest.raises(StoreMismatch, match=r"builds different parameters.*origin.*: a changed"):
        resume(users / "scan.zarr")
    xr.testing.assert_identical(xr.open_zarr(users / "scan.zarr").load(), before)


@pytest.mark.usefixtures("ray_here")
def test_a_users_own_classes_reach_the_workers(users):
    run(users / "scan.yaml")
    alone = xr.open_zarr(users / "scan.zarr").load()
    overrides = ("compute.workers=2", f"store={users / 'spread.zarr'}")
    run(load_spec(users / "scan.yaml", overrides), base=users)
    spread = xr.open_zarr(users / "spread.zarr").load()
    np.testing.assert_array_equal(spread["loss"], alone["loss"])
    assert "mynets" not in sys.modules
    workers = xr.open_zarr(users / "spread.zarr", group="ledger")["worker"].load()
    assert (workers >= 0).all()
    facts = json.loads(spread.attrs["facts"])[0]
    assert [axis["kind"] for axis in facts["directions"]["axes"]] == ["pca", "hessian"]
