"""Minima of surfaces that are known, counted, refined, classified and stored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from pipeline import refining
from pipeline.analysing import analyse
from pipeline.analysis import analysed
from pipeline.refining import NOT_REFINED, refined
from pipeline.running import run
from schemas import parse_spec
from schemas.statistics import MINIMA
from tasks.landscape import Landscape
from tasks.objective import ClosedForm, EmpiricalRisk, Split, squared_error
from tasks.section import coordinate_section, directions_as_section
from tests.surfaces import scan

# Of examples 20^-t, y = 0.75, along one axis: where a sigmoid's sum of squares has its minima.
ONE_NEURON = {
    1: [(1.098612, 0.0)],
    2: [(1.188117, 0.055566), (21.972245, 0.0625)],
    3: [(1.193222, 0.117694), (23.762345, 0.118066), (439.444899, 0.125)],
}


def neuron(d, n):
    """The loss of Auer et al. (1995), theorem 3.4: n/d examples along each of d axes."""
    rows = [[20.0**-t if k == axis else 0.0 for k in range(d)]
            for axis in range(d) for t in range(n // d)]  # fmt: skip
    inputs = torch.tensor(rows, dtype=torch.float64)
    return lambda w: (torch.sigmoid(w @ inputs.to(w.dtype).T) - 0.75).square().sum(dim=1)


def scanned(function, axes, dtype="float64", chunks=None):
    """The scan of a closed form, and its landscape."""
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))
    with torch.no_grad():
        loss = function(torch.from_numpy(mesh).to(getattr(torch, dtype))).numpy()
    shape = [along.size for along in axes]
    landscape = Landscape(ClosedForm({"train": function}), coordinate_section(len(axes)))
    return scan(loss.reshape(shape), axes, "affine", chunks), landscape


def found_by(function, axes, dtype="float64"):
    dataset, landscape = scanned(function, axes, dtype)
    return refined(analysed(dataset, {}).minima, [landscape], axes)


def kinds(table):
    return [str(kind) for kind in table.kind.values]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("d", "n", "num"), [(1, 1, 301), (1, 2, 301), (1, 3, 301), (2, 4, 81),
                                             (2, 6, 81), (3, 6, 41)])  # fmt: skip
def test_a_neuron_has_as_many_minima_as_the_theorem_says_and_where(d, n, num, dtype):
    axes = [np.geomspace(0.05, 5000, num)] * d
    table = found_by(neuron(d, n), axes, dtype)
    known = np.array(ONE_NEURON[n // d])
    assert table.sizes["minimum"] == len(known) ** d
    assert kinds(table) == ["minimum"] * len(known) ** d
    np.testing.assert_array_equal(table.same_as, np.arange(len(known) ** d))
    assert not table.at_edge.any()
    # The loss is a sum over axes, so minima are the product of those along each.
    cells = np.stack(np.meshgrid(*[range(len(known))] * d, indexing="ij"), -1).reshape(-1, d)
    order = np.lexsort(table.refined_coordinate.values.round(6).T[::-1])
    np.testing.assert_allclose(
        table.refined_coordinate.values[order], known[cells, 0], atol=6e-7, rtol=0
    )
    np.testing.assert_allclose(
        table.refined_loss.values[order], known[cells, 1].sum(1), atol=d * 6e-7
    )
    assert (table.refined_gradient_norm < 1e-15).all()
    assert (table.refined_eigenvalue_min > 0).all()
    assert (table.loss.values >= table.refined_loss.values - 1e-6).all()


def test_refined_coordinates_are_exact_to_rounding():
    """ln 3 / x alone, to the last digits, on an axis of ratios."""
    table = found_by(neuron(1, 1), [np.geomspace(0.05, 5000, 101)])
    assert table.refined_coordinate.item() == pytest.approx(np.log(3), rel=1e-12)


def quartic(w):
    return (w[:, 0] - 0.13).square() + (w[:, 1] + 0.21) ** 4


def valley(w):
    return (w[:, 0] - 0.13).square() + 0 * w[:, 1] + 1


def slope(w):
    return (w[:, 0] - 0.13).square() + w[:, 1].exp()


def mirrored(w):
    return slope(-w)


def sharp(w):
    """About |w₀ − 0.03|^1.5, of which a full step of Newton leads just as far to the other side."""
    return ((w[:, 0] - 0.03).square() + 1e-6) ** 0.75 + (w[:, 1] - 0.2).square()


def kink(w):
    return (w[:, 0] - 0.13).abs() + (w[:, 1] - 0.2).square()


def narrow(w):
    """A valley across the grid, so narrow that the grid has minima all along it."""
    return 1e4 * (w[:, 0] - 0.37 * w[:, 1] - 0.04).square() + (w[:, 1] - 0.11).square()


def test_what_descents_find_is_told_by_its_kind():
    axes = [np.linspace(-1, 1, 21), np.linspace(-1, 1, 23)]
    for function, kind in ((quartic, "degenerate"), (valley, "degenerate"), (slope, "edge"),
                           (mirrored, "edge"), (sharp, "minimum"),
                           (kink, "not converged")):  # fmt: skip
        assert kinds(found_by(function, axes)) == [kind], function
    flat = found_by(quartic, axes)
    np.testing.assert_allclose(flat.refined_coordinate, [[0.13, -0.21]], atol=1e-3)
    # A start right on a saddle stays there.
    saddle = lambda w: w[:, 0].square() - w[:, 1].square()  # noqa: E731
    dataset, landscape = scanned(saddle, axes)
    table = analysed(dataset, {}).minima.isel(minimum=[0])
    table["coordinate"][:] = 0.0
    found = refined(table, [landscape], axes)
    assert kinds(found) == ["saddle"]
    # In cells, which are as wide as a step of the grid: f'' times its square.
    assert found.refined_eigenvalue_min.item() == pytest.approx(-2 * (2 / 22) ** 2)
    assert found.refined_eigenvalue_max.item() == pytest.approx(2 * (2 / 20) ** 2)
    # Beside it a start goes down, whichever way the Hessian bends.
    table["coordinate"][:, 1] = 0.05
    assert kinds(refined(table, [landscape], axes)) == ["edge"]


def test_a_descent_keeps_to_the_well_that_it_begins_in():
    """Wells narrower than a cell: a step that is too long would lead up, and over to another."""
    rough = lambda w: (67 * w[:, 0]).sin() + 0.3 * (151 * w[:, 0]).sin() + w[:, 0] ** 2  # noqa: E731
    axes = [np.linspace(-1, 1, 21), np.array([0.5])]
    table = found_by(rough, axes)
    assert set(kinds(table)) == {"minimum"}
    assert (table.refined_loss <= table.loss).all()
    assert np.abs(table.refined_coordinate - table.coordinate).max() < 0.05


def test_minima_of_the_grid_alone_are_told_to_be_the_same():
    axes = [np.linspace(-1, 1, 41), np.linspace(-1, 1, 39)]
    table = found_by(narrow, axes)
    assert table.sizes["minimum"] > 5
    assert set(kinds(table)) == {"minimum"}
    assert (table.same_as == 0).all()
    np.testing.assert_allclose(
        table.refined_coordinate, [[0.37 * 0.11 + 0.04, 0.11]] * table.sizes["minimum"], rtol=1e-9
    )


def test_a_held_axis_stays_where_it_is_and_the_deepest_are_refined(monkeypatch):
    axes = [np.linspace(-2, 2, 61), np.array([0.5])]
    wells = lambda w: (w[:, 0] ** 2 - 1) ** 2 + 0.3 * w[:, 0] + (w[:, 1] - 3) ** 2  # noqa: E731
    table = found_by(wells, axes)
    roots = sorted(np.roots([4, 0, -4, 0.3]).real)
    np.testing.assert_allclose(
        table.refined_coordinate, [[roots[0], 0.5], [roots[2], 0.5]], rtol=1e-12
    )
    monkeypatch.setattr(refining, "MOST", 1)
    fewer = found_by(wells, axes)
    assert kinds(fewer) == ["minimum", NOT_REFINED]
    np.testing.assert_array_equal(np.isnan(fewer.refined_loss), [False, True])


def risk():
    """The mean squared error of a line of two weights: a quadratic along its two directions."""
    torch.manual_seed(0)
    module = nn.Linear(2, 1, bias=False)
    inputs = torch.randn(40, 2)
    targets = inputs @ torch.tensor([[0.3], [-0.2]])
    section = directions_as_section(
        {"weight": torch.zeros(1, 2)},
        [{"weight": torch.tensor([[1.0, 0.5]])}, {"weight": torch.tensor([[0.0, 2.0]])}],
    )
    return Landscape(
        EmpiricalRisk(module, squared_error, {"train": Split(inputs, targets)}), section
    )


def test_the_risk_of_a_module_is_refined_as_far_as_operations_go(monkeypatch):
    landscape = risk()
    inputs = landscape.objective.splits["train"].inputs.double().numpy()
    axes = [np.linspace(-1, 1, 15)] * 2
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    weights = mesh @ np.array([[1.0, 0.5], [0.0, 2.0]])
    loss = (((weights - [0.3, -0.2]) @ inputs.T) ** 2).mean(-1)
    table = analysed(scan(loss, axes), {}).minima
    found = refined(table, [landscape], axes)
    assert kinds(found) == ["minimum"]
    np.testing.assert_allclose(found.refined_coordinate, [[0.3, -0.175]], atol=1e-7)
    # 40 samples, 2 multiplications in a pass, 4 + 2 · 4 passes, 20 iterations
    monkeypatch.setattr(refining, "MOST_OPERATIONS", 40 * 2 * 12 * 20)
    assert refining.affordable(landscape, "train", 2) == 1
    monkeypatch.setattr(refining, "MOST_OPERATIONS", 40 * 2 * 12 * 20 - 1)
    assert kinds(refined(table, [landscape], axes)) == [NOT_REFINED]
    # A convolution's weights are used at each of 8 × 8 places.
    network = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1, bias=False), nn.ReLU())
    images = Split(torch.zeros(10, 1, 8, 8), torch.zeros(10, 3, 8, 8))
    convolved = Landscape(EmpiricalRisk(network, squared_error, {"train": images}), None)
    monkeypatch.setattr(refining, "MOST_OPERATIONS", 10 * 27 * 64 * 12 * 20 * 3)
    assert refining.affordable(convolved, "train", 2) == 3


class Once(torch.autograd.Function):
    """The identity, but for its second derivative, which nobody has written."""

    @staticmethod
    def forward(context, inputs):
        return inputs.clone()

    @staticmethod
    def backward(context, slopes):
        if torch.is_grad_enabled():
            raise NotImplementedError("derivative for backward is not implemented")
        return slopes


class WithOnce(nn.Linear):
    def forward(self, inputs):
        return Once.apply(super().forward(inputs))


def test_a_module_without_second_derivatives_is_not_refined():
    landscape = risk()
    module = WithOnce(2, 1, bias=False)
    objective = replace(landscape.objective, module=module)
    axes = [np.linspace(-1, 1, 5)] * 2
    table = analysed(scan(np.add.outer(axes[0] ** 2, axes[1] ** 2), axes), {}).minima
    found = refined(table, [replace(landscape, objective=objective)], axes)
    assert kinds(found) == [NOT_REFINED]


def test_the_store_holds_the_minima_with_their_basins(tmp_path):
    store = tmp_path / "quadratic.zarr"
    axes = {"a": {"start": -1, "stop": 1.1, "num": 31}, "b": {"start": -1, "stop": 1, "num": 20}}
    spec = {
        "task": "quadratic",
        "parameters": {"curvature": [1, 4], "centre": [0.25, -0.5], "offset": -1},
        "axes": axes,
        "compute": {"workers": 0, "dtype": "float64"},
        "replicates": 2,
        "store": str(store),
    }
    run(parse_spec(spec))
    found = analyse(store)
    stored = xr.open_zarr(store, group="minima").load()
    assert set(stored.data_vars) == {*MINIMA, "basin"}
    assert [str(split) for split in stored.of_split.values] == ["train", "train", "test", "test"]
    assert stored.of_replicate.values.tolist() == [0, 1, 0, 1]
    assert stored.coordinate.dims == ("minimum", "axis")
    np.testing.assert_allclose(stored.refined_coordinate, [[0.25, -0.5]] * 4, atol=1e-12)
    np.testing.assert_allclose(stored.refined_loss[:2], -1, atol=1e-12)
    assert kinds(stored) == ["minimum"] * 4
    assert stored.basin.dims == ("replicate", "split", "a", "b")
    assert (stored.basin.isel(replicate=1, split=0) == 1).all()
    assert (stored.basin_points == 31 * 20).all()
    assert (stored.depth == np.inf).all()
    for name, told in MINIMA.items():
        assert stored[name].attrs["long_name"] == told.long_name
    assert stored.attrs["merged"] == 0
    assert stored.attrs["refinement"].startswith("Newton")
    assert (found.shape_minima == 1).all()


def test_walls_are_in_no_basin_and_a_surface_of_walls_has_no_minima(tmp_path):
    loss = np.array([[[3.0, np.nan, 1.0, 2.0], [5, 4, np.inf, 6]], np.full((2, 4), np.nan)])
    table = analysed(scan(loss, [np.arange(2.0), np.arange(4.0)]), {}).minima
    assert table.sizes["minimum"] == 2
    assert table.loss.values.tolist() == [1, 3]
    table.to_zarr(tmp_path / "minima.zarr", consolidated=False)
    read = xr.open_zarr(tmp_path / "minima.zarr", consolidated=False).basin.values
    np.testing.assert_array_equal(
        read[0], [[1, np.nan, 0, 0], [1, 0, np.nan, 0]], err_msg="descents past a diagonal"
    )
    assert np.isnan(read[1]).all()
    none = analysed(scan(loss[1], [np.arange(2.0), np.arange(4.0)]), {}).minima
    assert none.sizes["minimum"] == 0
    none.to_zarr(tmp_path / "none.zarr", consolidated=False)
    assert xr.open_zarr(tmp_path / "none.zarr", consolidated=False).sizes["minimum"] == 0
