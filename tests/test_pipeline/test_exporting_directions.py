"""Directions that outlive their scan: written out, read again, they give the same surface."""

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from safetensors.torch import load_file, save_file
from torch import nn

from pipeline import export, run, scan
from schemas import SpecError, load_spec

AXES = {"alpha": (-1, 1, 5), "beta": (-1, 1, 3)}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 10)).eval()


def test_exported_directions_make_the_same_scan(model, tmp_path):
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 10)).eval()\n"
    )
    spec = {
        "task": "model",
        "parameters": {
            "model": "net.py:net",
            "checkpoint": "model.safetensors",
            "data": {"name": "digits", "samples": 50},
            "directions": "filter",
        },
        "axes": {name: dict(zip(("start", "stop", "num"), axis, strict=True))
                 for name, axis in AXES.items()},
        "compute": {"workers": 0, "dtype": "float64"},
        "store": str(tmp_path / "first.zarr"),
    }  # fmt: skip
    (tmp_path / "first.yaml").write_text(yaml.safe_dump(spec))
    run(tmp_path / "first.yaml")
    (written,) = export(tmp_path / "first.zarr", format="safetensors").files
    assert written == tmp_path / "first.safetensors"
    spec["parameters"]["directions"] = [
        {"kind": "file", "file": {"file": "first.safetensors", "key": axis}} for axis in AXES
    ]
    spec["seed"] = 1  # it has no part in them
    (tmp_path / "second.yaml").write_text(
        yaml.safe_dump(spec | {"store": str(tmp_path / "second.zarr")})
    )
    run(load_spec(tmp_path / "second.yaml"), base=tmp_path)
    first, second = (xr.open_zarr(tmp_path / f"{name}.zarr") for name in ("first", "second"))
    np.testing.assert_array_equal(first["loss"], second["loss"])


def test_each_tensor_has_its_shape_and_its_numbers(model, tmp_path):
    data = (torch.randn(8, 64), torch.randint(0, 10, (8,)))
    one = {"0.weight": torch.randn(6, 64), "2.bias": torch.randn(10)}
    two = {"2.weight": torch.randn(10, 6)}
    scan(model, data, directions=[one, two], axes=AXES, store=tmp_path / "scan.zarr")
    export(tmp_path / "scan.zarr", tmp_path / "kept.safetensors")
    kept = load_file(tmp_path / "kept.safetensors")
    directions = {f"alpha.{name}": tensor for name, tensor in one.items()}
    directions |= {f"beta.{name}": tensor for name, tensor in two.items()}
    moved = {f"origin.{name}" for name in (*one, *two)}
    assert set(kept) == set(directions) | moved
    for name, tensor in directions.items():
        assert torch.equal(kept[name], tensor.double())
    assert torch.equal(kept["origin.0.weight"], model[0].weight.detach().double())


def test_a_closed_form_has_no_directions(tmp_path):
    spec = {
        "task": "quadratic", "axes": {"x": {"start": 0, "stop": 1, "num": 3}},
        "compute": {"workers": 0}, "store": str(tmp_path / "scan.zarr"),
    }  # fmt: skip
    (tmp_path / "scan.yaml").write_text(yaml.safe_dump(spec))
    run(tmp_path / "scan.yaml")
    with pytest.raises(SpecError, match="no directions in parameter space"):
        export(tmp_path / "scan.zarr", format="safetensors")
