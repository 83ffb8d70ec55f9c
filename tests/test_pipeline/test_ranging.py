"""Axes whose span is measured: where the loss has risen as often as was asked for."""

import json

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from torch import nn

from pipeline import plan, run, scan
from pipeline.ranging import with_spans
from pipeline.running import resume
from schemas import SpecError, StoreMismatch, parse_spec
from tasks.landscape import Landscape
from tasks.objective import ClosedForm
from tasks.section import coordinate_section


class Bowl:
    """1 + 3α₀² on one side and 1 + 12α₀² on the other, with a ledge; α₁ changes nothing."""

    def __call__(self, theta):
        x = theta[:, 0]
        return 1 + torch.where(x > 0, 12.0, 3.0) * x.square()


def spec(**axes):
    return parse_spec({"task": "quadratic", "axes": axes, "splits": ["train"]})


BOWL = Landscape(ClosedForm({"train": Bowl()}), coordinate_section(2))


def test_the_span_is_where_the_loss_has_risen():
    found = with_spans(spec(x={"rise": 4, "num": 5}, y={"start": 0, "stop": 1, "num": 2}), BOWL)
    assert found.axes["x"].stop == pytest.approx(1.0, rel=2e-3)  # 1 + 3·1² = 4, the wider side
    assert found.axes["x"].start == -found.axes["x"].stop
    assert found.axes["y"].stop == 1


@pytest.mark.parametrize("rise", [1.5, 3, 100])
def test_a_greater_rise_is_a_greater_span(rise):
    found = with_spans(spec(x={"rise": rise, "num": 5}, y={"values": [0]}), BOWL)
    assert 1 + 3 * found.axes["x"].stop ** 2 == pytest.approx(rise, rel=1e-2)


def test_a_loss_that_does_not_rise_is_refused():
    with pytest.raises(SpecError, match=r"axes\.y: the loss stays below 4 times"):
        with_spans(spec(x={"values": [0]}, y={"rise": 4, "num": 5}), BOWL)


def test_a_loss_of_zero_has_no_rise():
    flat = Landscape(ClosedForm({"train": lambda theta: theta[:, 0] ** 2}), coordinate_section(1))
    with pytest.raises(SpecError, match="the loss at the origin is 0"):
        with_spans(spec(x={"rise": 4, "num": 5}), flat)


@pytest.mark.parametrize(
    ("axis", "complaint"),
    [
        ({"rise": 1, "num": 5}, "axes.x.rise: got 1"),
        ({"rise": 2, "num": 1}, "axes.x.num: got 1"),
        ({"rise": 2, "num": 5, "start": 0}, "axes.x.start: unknown field"),
    ],
)
def test_a_rising_axis_is_checked(axis, complaint):
    with pytest.raises(SpecError, match=complaint):
        spec(x=axis)


RISING = {
    "task": "quadratic",
    "parameters": {"offset": 1, "curvature": [1, 4]},
    "axes": {"x": {"rise": 5, "num": 9}, "y": {"rise": 5, "num": 11}},
    "compute": {"workers": 0},
}


def test_a_store_keeps_the_spans_it_was_begun_with(tmp_path):
    asked = parse_spec(RISING | {"store": str(tmp_path / "scan.zarr")})
    assert plan(asked).contents.grid.shape == (9, 11)
    run(asked)
    stored = xr.open_zarr(tmp_path / "scan.zarr").load()
    assert stored["x"].values[-1] == pytest.approx(2, rel=2e-3)
    assert stored["y"].values[-1] == pytest.approx(1, rel=2e-3)
    assert stored["loss"].sel(split="train", x=0, y=0).item() == 1
    spans = json.loads(stored.attrs["spans"])
    assert spans == {"x": stored["x"].values[-1], "y": stored["y"].values[-1]}
    assert run(asked).plan is None
    assert resume(tmp_path / "scan.zarr").plan is None
    other = asked.model_copy(update={"axes": {**asked.axes, "x": asked.axes["y"]}})
    with pytest.raises(StoreMismatch, match=r"axes\.x\.num"):
        run(other)


def test_a_store_continued_does_not_measure_again(tmp_path):
    asked = parse_spec(RISING | {"store": str(tmp_path / "scan.zarr")})
    run(asked)
    group = zarr.open_group(tmp_path / "scan.zarr", mode="r+")
    group["ledger/status"][:] = 0
    whole = xr.open_zarr(tmp_path / "scan.zarr").load()
    group["loss"][:] = np.nan
    run(asked)
    xr.testing.assert_equal(xr.open_zarr(tmp_path / "scan.zarr").load(), whole)


def test_the_section_is_stored_with_the_scan(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    data = (torch.randn(8, 3), torch.randint(0, 2, (8,)))
    one = {"0.weight": torch.ones(4, 3)}
    two = {"0.weight": torch.ones(4, 3), "2.bias": torch.full((2,), 2.0)}
    scan(
        model, data, directions=[one, two], axes={"a": (0, 1, 2), "b": (0, 1, 2)},
        store=tmp_path / "scan.zarr",
    )  # fmt: skip
    section = xr.open_zarr(tmp_path / "scan.zarr", group="section").load()
    assert section["axis"].values.tolist() == ["a", "b"]
    np.testing.assert_allclose(section["norm"], [np.sqrt(12), np.sqrt(20)])
    assert section["cosine"].sel(axis="a", axis_other="b").item() == pytest.approx(12 / 240**0.5)
    assert section["parameter"].values.tolist() == ["0.weight", "2.bias"]
    assert section["first"].values.tolist() == [0, 12]
    assert json.loads(section["shape"].values[0]) == [4, 3]
    np.testing.assert_array_equal(section["direction"].sel(axis="b"), [1] * 12 + [2] * 2)
    np.testing.assert_array_equal(
        section["origin"][:12], model[0].weight.detach().double().flatten()
    )
    root = xr.open_zarr(tmp_path / "scan.zarr")
    assert root.attrs["section"] == "affine"
    hashes = json.loads(root.attrs["hashes"])[0]
    assert set(hashes) == {"origin", "directions", "buffers", "splits"}
    assert len(set(hashes["directions"])) == 2
