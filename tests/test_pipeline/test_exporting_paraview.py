"""VTK files, read back by pyvista: every value at its place, axes not exchanged."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from pipeline.exporting import export
from pipeline.exporting.paraview import is_uniform
from pipeline.exporting.selection import Selection
from pipeline.exporting.surfaces import check
from schemas.errors import InputError, SpecError
from tests.exports import AXES, OWN, PLACES, known, lose, scan, with_every_metric, with_trajectories

pyvista = pytest.importorskip("pyvista")

EVEN = {**AXES, "c": {"start": -3, "stop": 7, "num": 3}}


def assert_known(mesh, z, **held):
    """Every point of a mesh holds the loss of its own coordinates."""
    points = [mesh.points[:, i] for i in range(z)]
    for split in ("train", "test"):
        np.testing.assert_allclose(mesh[f"loss_{split}"], known(split, *points), rtol=1e-6)
    assert np.ptp(mesh["loss_train"]) > 1


@pytest.mark.parametrize("z", [1, 2, 3])
def test_an_image_holds_each_value_at_its_own_point(tmp_path, z):
    (path,) = export(scan(tmp_path, z, EVEN), format="vti").files
    mesh = pyvista.read(path)
    assert path == tmp_path / "scan.vti"
    assert isinstance(mesh, pyvista.ImageData)
    assert mesh.dimensions == (5, 7, 3)[:z] + (1,) * (3 - z)
    assert mesh.bounds[:4] == (-1, 1, *((-2.5, 0.5) if z > 1 else (0, 0)))
    assert_known(mesh, z)
    assert list(mesh.field_data["axes"]) == ["a", "b", "c"][:z]
    # negative control: with the axes exchanged the values would not be those of the points
    if z > 1:
        exchanged = known("train", mesh.points[:, 1], mesh.points[:, 0], mesh.points[:, 2])
        assert not np.allclose(mesh["loss_train"], exchanged)


@pytest.mark.parametrize("z", [2, 3])
def test_a_rectilinear_grid_takes_any_spacing(tmp_path, z):
    axes = {**AXES, "b": {"scale": "log", "start": 1e-2, "stop": 10, "num": 4}}
    (path,) = export(scan(tmp_path, z, axes), tmp_path / "new" / "grid.vtr").files
    mesh = pyvista.read(path)
    assert path == tmp_path / "new" / "grid.vtr"
    assert mesh.dimensions == (5, 4, 3)[:z] + (1,) * (3 - z)
    np.testing.assert_allclose(mesh.y, [0.01, 0.1, 1, 10])
    assert_known(mesh, z)


def test_an_image_of_uneven_axes_is_refused(tmp_path):
    with pytest.raises(SpecError, match=r"equally spaced axes and c is not; use format vtr"):
        export(scan(tmp_path, 3), format="vti")
    assert not (tmp_path / "scan.vti").exists()
    assert is_uniform(np.linspace(-0.1, 0.7, 1001))
    assert not is_uniform(np.array([0, 1, 2 + 1e-6]))


def test_more_than_three_axes_are_sliced(tmp_path):
    store = scan(tmp_path, 4)
    with pytest.raises(SpecError, match=r"4 axes, a, b, c, d, .*at most 3; .*--at d=0\.5"):
        export(store, format="vtr")
    done = export(store, format="vtr", at={"b": -0.9, "d": 1})
    mesh = pyvista.read(done.files[0])
    assert done.held == {"b": -1.0, "d": 1.0}
    assert list(mesh.field_data["held"]) == ["b = -1.0", "d = 1.0"]
    assert mesh.dimensions == (5, 3, 1)
    a, c = mesh.points[:, 0], mesh.points[:, 1]
    np.testing.assert_allclose(mesh["loss_test"], known("test", a, -1.0, c, 1.0))


def test_every_metric_is_there_with_named_components(tmp_path):
    store = with_every_metric(tmp_path)
    mesh = pyvista.read(export(store, format="vti").files[0])
    stored = xr.open_zarr(store).load()
    place = {"a": ("p", mesh.points[:, 0]), "b": ("p", mesh.points[:, 1])}
    at = stored.sel({k: xr.DataArray(v[1], dims="p") for k, v in place.items()}, method="nearest")
    for split in ("train", "test"):
        of = at.sel(split=split)
        np.testing.assert_array_equal(mesh[f"loss_{split}"], of["loss"])
        np.testing.assert_array_equal(mesh[f"activation_cell_{split}"], of["activation_cell"])
        for i in ("a", "b"):
            gradient = of["section_gradient"].sel(axis=i)
            np.testing.assert_array_equal(mesh[f"section_gradient_{split}_{i}"], gradient)
            for j in ("a", "b"):
                entry = of["section_hessian"].sel(axis=i, axis_other=j)
                np.testing.assert_array_equal(mesh[f"section_hessian_{split}_{i}_{j}"], entry)
    np.testing.assert_array_equal(mesh["target"], at["target"])
    assert mesh["activation_cell_train"].dtype == np.uint64
    assert len(mesh.point_data) == 2 * (1 + 2 + 4 + 1) + 1


def test_a_surface_is_raised_by_the_loss_and_keeps_its_true_values(tmp_path):
    store = scan(tmp_path, 2)
    files = export(store, format="vtp").files
    assert [path.name for path in files] == ["scan-train.vtp", "scan-test.vtp"]
    train, test = map(pyvista.read, files)
    assert (train.n_points, train.n_cells) == (35, 24)
    assert_known(train, 2)
    losses = np.concatenate([train["loss_train"], train["loss_test"]])
    for mesh, split in ((train, "train"), (test, "test")):
        share = (mesh[f"loss_{split}"] - losses.min()) / np.ptp(losses)
        np.testing.assert_allclose(mesh.points[:, 2], 3.0 * share, atol=1e-6)
    area = sum(abs(cell_area(cell)) for cell in train.cell)
    assert area == pytest.approx(2 * 3)


def cell_area(cell):
    """The area of a quadrilateral seen from above."""
    x, y = cell.points[:, 0], cell.points[:, 1]
    return 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))


def test_points_that_are_not_finite_are_left_out_of_a_surface(tmp_path):
    store = scan(tmp_path, 2, parameters={"nan_above": 0.6, "infinite_below": -0.6})
    mesh = pyvista.read(export(store, format="vtp").files[0])
    assert (mesh.n_points, mesh.n_cells) == (21, 12)
    assert np.isfinite(mesh.points).all()
    assert (mesh.bounds[0], mesh.bounds[1]) == (-0.5, 0.5)


def test_a_surface_without_a_finite_value_is_empty(tmp_path):
    store = scan(tmp_path, 2, parameters={"nan_above": -2})
    mesh = pyvista.read(export(store, format="vtp").files[0])
    assert (mesh.n_points, mesh.n_cells) == (0, 0)


def test_splits_that_would_share_a_file_are_refused(tmp_path):
    root = xr.Dataset(
        {"loss": (("split", "a", "b"), np.zeros((2, 3, 4)))},
        coords={"split": ["a/b", "a_b"], "a": np.arange(3.0), "b": np.arange(4.0)},
    )
    done = np.ones((1, 1, 1), bool)
    selection = Selection(xr.DataTree(root), ("a", "b"), (3, 4), {}, done)
    with pytest.raises(SpecError, match=r"two of a/b, a_b would share one"):
        check(selection)
    check(replace(selection, tree=xr.DataTree(root.assign_coords(split=["a/b", "c"]))))


def test_trajectories_are_lines_at_the_checkpoints_own_losses(tmp_path):
    store = with_trajectories(scan(tmp_path, 2))
    files = {path.name: pyvista.read(path) for path in export(store, format="vtp").files}
    lines = files["scan-train-trajectories.vtp"]
    assert (lines.n_lines, lines.n_verts) == (1, 1)
    assert lines.lines.tolist() == [3, 0, 1, 2]
    np.testing.assert_allclose(lines.points[:, :2], PLACES, atol=1e-7)
    np.testing.assert_array_equal(lines["loss_train"], OWN["train"])
    np.testing.assert_array_equal(lines["run"], [0, 0, 0, 1])
    np.testing.assert_array_equal(lines["explained"], [1, 0.9, 0.8, 0.7])
    assert list(lines.field_data["runs"]) == [r"L\xe4ufer", "one"]
    surface = files["scan-train.vtp"]
    slope = np.polyfit(surface["loss_train"], surface.points[:, 2], 1)
    np.testing.assert_allclose(lines.points[:, 2], np.polyval(slope, OWN["train"]), rtol=1e-5)
    # a checkpoint whose loss is not finite has no height
    assert files["scan-test-trajectories.vtp"].lines.tolist() == [2, 0, 1]


@pytest.mark.parametrize(("z", "pattern"), [(1, "has 1; use"), (3, "at most 2; .*--at c=0.1")])
def test_a_surface_needs_two_axes(tmp_path, z, pattern):
    store = scan(tmp_path, z)
    with pytest.raises(SpecError, match=pattern):
        export(store, format="vtp")


def test_points_that_are_missing_are_marked(tmp_path):
    store = scan(tmp_path, 2)
    assert "computed" not in pyvista.read(export(store, format="vti").files[0]).point_data
    lose(store, 1)  # the first two of a, the second two of b
    done = export(store, format="vti")
    mesh = pyvista.read(done.files[0])
    assert (done.missing, done.shards) == (1, 12)
    missing = (mesh.points[:, 0] < -0.4) & (np.abs(mesh.points[:, 1] + 0.75) < 0.3)
    assert missing.sum() == 4
    np.testing.assert_array_equal(mesh["computed"] == 0, missing)


def test_replicates_are_exported_one_at_a_time(tmp_path):
    store = scan(tmp_path, 2, replicates=2)
    stored = xr.open_zarr(store)["loss"]
    lose(store, 12)
    for number in (0, 1):
        mesh = pyvista.read(export(store, format="vti", replicate=number).files[0])
        expected = stored.isel(replicate=number).sel(split="train").sortby("b")
        np.testing.assert_array_equal(mesh["loss_train"], expected.values.ravel(order="F"))
        assert (mesh["computed"] == 0).sum() == 4 * number


def test_without_pyvista_one_line_says_what_to_install(tmp_path, monkeypatch):
    store = scan(tmp_path, 2)
    monkeypatch.setitem(sys.modules, "pyvista", None)
    for name in ("vti", "vtr", "vtp"):
        with pytest.raises(InputError, match=r"pip install 'cartograd\[paraview\]'") as error:
            export(store, format=["csv", name])
        assert error.value.exit_code == 2
    assert not (tmp_path / "scan.csv").exists()
