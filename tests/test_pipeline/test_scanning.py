"""`scan`: one call from a module and its data to a dataset."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from pipeline import open_scan, scan, verify
from schemas import SpecError, StoreMismatch


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))


@pytest.fixture
def data():
    torch.manual_seed(1)
    return {
        "train": (torch.randn(40, 5), torch.randint(0, 3, (40,))),
        "held_out": (torch.randn(10, 5), torch.randint(0, 3, (10,))),
    }


def test_the_result_is_named_and_right(model, data):
    found = scan(model, data, axes={"a": (-1, 1, 5), "b": (0, 2, 3)}, dtype="float64")
    assert found["loss"].dims == ("split", "a", "b")
    assert found["loss"].dtype == np.float64
    assert found["split"].values.tolist() == ["train", "held_out"]
    assert found["a"].values.tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    inputs, targets = data["held_out"]
    expected = nn.functional.cross_entropy(model(inputs), targets).item()
    assert found["loss"].sel(split="held_out", a=0, b=0).item() == pytest.approx(expected)


def test_given_directions_and_origin(model, data):
    zero = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    direction = {"2.bias": torch.tensor([1.0, 0.0, 0.0])}
    found = scan(model, data["train"], directions=[direction], axes={"t": np.array([0.0, 2.0])},
                 origin=zero, dtype="float64")  # fmt: skip
    targets = data["train"][1]
    logits = torch.zeros(40, 3, dtype=torch.float64)
    assert found["loss"].sel(split="train", t=0).item() == pytest.approx(np.log(3))
    logits[:, 0] = 2.0
    expected = nn.functional.cross_entropy(logits, targets).item()
    assert found["loss"].sel(split="train", t=2).item() == pytest.approx(expected, rel=1e-12)


def test_a_loss_of_the_users_own(model, data):
    def hinge(outputs, targets):
        chosen = outputs.gather(1, targets[:, None])
        return (1 + outputs - chosen).clamp(min=0).sum(dim=1)

    found = scan(model, data, loss=hinge, axes={"a": (0, 1, 2)})
    inputs, targets = data["train"]
    expected = hinge(model(inputs), targets).mean().item()
    assert found["loss"].sel(split="train", a=0).item() == pytest.approx(expected, rel=1e-5)


def test_a_seed_decides_the_directions(model, data):
    one, same, other = (scan(model, data, axes={"a": (-1, 1, 3)}, seed=s) for s in (1, 1, 2))
    xr.testing.assert_equal(one, same)
    assert not np.allclose(one["loss"], other["loss"])


SMALL = """
import sys, torch
from pipeline import scan
data = (torch.randn(8, 5), torch.randint(0, 3, (8,)))
scan(torch.nn.Linear(5, 3), data, axes={"a": (-1, 1, 3)})
print("ray" in sys.modules)
"""


def test_a_small_scan_starts_no_ray_and_writes_nothing(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", SMALL], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout == "False\n", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_kept_and_continued(model, data, tmp_path):
    store = tmp_path / "mine.zarr"
    axes = {"a": (-1, 1, 7), "b": (-1, 1, 5)}
    first = scan(model, data, axes=axes, store=store).load()
    xr.testing.assert_equal(scan(model, data, axes=axes, store=store).load(), first)
    xr.testing.assert_equal(scan(model, data, axes=axes), first)
    assert verify(store).ok
    assert set(open_scan(store).children) == {"ledger", "section"}
    with torch.no_grad():
        model[0].weight += 1
    with pytest.raises(StoreMismatch, match="holds a different scan"):
        scan(model, data, axes=axes, store=store)


def test_workers_give_the_same_numbers(model, data, ray_here):
    axes = {"a": (-1, 1, 7)}
    xr.testing.assert_equal(scan(model, data, axes=axes, workers=2), scan(model, data, axes=axes))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"loss": "crossentropy"}, "did you mean 'cross_entropy'"),
        ({"directions": "filtre"}, "did you mean 'filter'"),
        ({"directions": [{"0.weights": torch.zeros(8, 5)}]}, "did you mean '0.weight'"),
        ({"directions": [{"0.weight": torch.zeros(5, 8)}]}, r"shape \(5, 8\); expected .*\(8, 5\)"),
        ({"directions": [{"0.weight": torch.zeros(8, 5)}]}, "is zero everywhere"),
        ({"directions": []}, "directions: got"),
        ({"axes": {"a": (0, 1, 2.5)}}, "with a whole number"),
        ({"axes": {"a": np.zeros((2, 2))}}, "expected one dimension"),
        ({"axes": {}}, "expected axes or starts, and neither is"),
        ({"device": "gpu"}, "expected one of auto, cpu, cuda"),
        ({"dtype": "half"}, "float32"),
        ({"origin": {"9.bias": torch.zeros(3)}}, "no parameter '9.bias'"),
    ],
)
def test_wrong_arguments_get_one_clear_line(model, data, changes, complaint):
    arguments = {"axes": {"a": (0, 1, 2)}, **changes}
    with pytest.raises(SpecError, match=complaint) as error:
        scan(model, data, **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("pair", "complaint"),
    [
        ((torch.zeros(3, 5), torch.zeros(2, dtype=torch.long)), "3 inputs and targets of shape"),
        ((torch.zeros(0, 5), torch.zeros(0, dtype=torch.long)), "at least one"),
        ("mnist", "expected a pair"),
    ],
)
def test_wrong_data_gets_one_clear_line(model, pair, complaint):
    with pytest.raises(SpecError, match=complaint):
        scan(model, pair, axes={"a": (0, 1, 2)})


def test_nothing_to_scan(data):
    with pytest.raises(SpecError, match="has no parameters"):
        scan(nn.ReLU(), data)


def test_a_layer_whose_filters_are_all_zero_is_handled(data):
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        model[0].weight[3] = 0
        model[0].bias.zero_()
    found = scan(model, data, directions="filter", axes={"a": (-1, 1, 3), "b": (-1, 1, 3)})
    assert np.isfinite(found["loss"]).all()
