"""Exports as tables, the choice of what is exported and where to, and the command."""

import csv
import json
import math
import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import xarray as xr

from pipeline.cli import main
from pipeline.exporting import export, table
from pipeline.exporting.selection import select
from pipeline.exporting.table import bands
from schemas.errors import InputError, SpecError, StoreError
from tests.exports import AXES, known, lose, scan, with_every_metric


def read(path):
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def command(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(["export", *map(str, arguments)])
    printed = capsys.readouterr()
    return end.value.code, printed.out, printed.err.strip()


@pytest.mark.parametrize("z", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_table_has_a_row_for_each_point_in_the_order_of_the_grid(tmp_path, z, dtype):
    store = scan(tmp_path, z, dtype=dtype)
    header, rows = read(export(store, format="csv").files[0])
    assert header == [*list(AXES)[:z], "loss_train", "loss_test"]
    values = np.array(rows, dtype=np.float64)
    stored = xr.open_zarr(store).load()
    mesh = np.meshgrid(*(stored[name].values for name in header[:z]), indexing="ij")
    np.testing.assert_array_equal(values[:, :z], np.stack([m.ravel() for m in mesh], axis=1))
    np.testing.assert_allclose(values[:, z + 1], known("test", *values[:, :z].T), rtol=1e-5)
    for column, split in ((z, "train"), (z + 1, "test")):
        bits = values[:, column].astype(dtype)
        np.testing.assert_array_equal(bits, stored["loss"].sel(split=split).values.ravel())


def test_what_is_not_finite_is_spelled_out_and_what_is_missing_is_empty(tmp_path):
    store = scan(tmp_path, 1, parameters={"nan_above": 0.9, "infinite_below": -0.9})
    lose(store, 1)  # the third and the fourth point
    done = export(store, format="csv")
    _, rows = read(done.files[0])
    assert [row[1] for row in rows] == ["inf", repr(known("train", -0.5).item()), "", "", "nan"]
    assert (done.missing, done.shards) == (1, 3)


def test_every_variable_has_columns_and_large_integers_stay_exact(tmp_path):
    store = with_every_metric(tmp_path)
    header, rows = read(export(store, format="csv").files[0])
    assert header[:2] == ["a", "b"]
    stored = xr.open_zarr(store).load()
    cells = {name: [row[i] for row in rows] for i, name in enumerate(header)}
    integers = stored["activation_cell"].sel(split="test").values.ravel().tolist()
    assert list(map(int, cells["activation_cell_test"])) == integers
    entry = stored["section_hessian"].sel(split="train", axis="a", axis_other="b").values.ravel()
    np.testing.assert_array_equal(np.array(cells["section_hessian_train_a_b"], float), entry)
    gradient = stored["section_gradient"].sel(split="test", axis="b").values.ravel()
    np.testing.assert_array_equal(np.array(cells["section_gradient_test_b"], float), gradient)
    np.testing.assert_array_equal(np.array(cells["target"], float), stored["target"].values.ravel())
    assert len(header) == 2 + 2 * (1 + 2 + 4 + 1) + 1


def test_a_table_holds_every_replicate_or_the_one_asked_for(tmp_path):
    store = scan(tmp_path, 1, replicates=2)
    header, rows = read(export(store, format="csv").files[0])
    assert header[:2] == ["replicate", "a"]
    assert [row[0] for row in rows] == ["0"] * 5 + ["1"] * 5
    lose(store, 3)  # the first shard of the second replicate
    _, every = read(export(store, format="csv").files[0])
    assert [row[2] == "" for row in every] == [False] * 5 + [True] * 2 + [False] * 3
    _, second = read(export(store, format="csv", replicate=1).files[0])
    assert second == every[5:]


def test_a_held_axis_is_held_at_the_nearest_coordinate(tmp_path):
    store = scan(tmp_path, 3)
    lose(store, 7)  # a in its first two, b in its last one, c in its last one
    done = export(store, format="csv", at={"c": 6.0})
    _, rows = read(done.files[0])
    assert done.held == {"c": 7.0}
    assert len(rows) == 35
    assert {row[2] for row in rows} == {"7.0"}
    empty = [(float(row[0]), float(row[1])) for row in rows if row[3] == ""]
    assert empty == [(-1.0, -2.5), (-0.5, -2.5)]


@pytest.mark.parametrize("shape", [[7], [3, 5], [4, 3, 5], [1, 6, 1], [2, 2, 2, 3]])
@pytest.mark.parametrize("most", [1, 4, 10, 1000])
def test_bands_follow_each_other_in_c_order(shape, most):
    grid = np.arange(math.prod(shape)).reshape(shape)
    parts = [grid[band].ravel() for band in bands(shape, most)]
    np.testing.assert_array_equal(np.concatenate(parts), grid.ravel())
    assert max(map(len, parts)) <= most


def test_the_table_never_holds_the_whole_grid(tmp_path, monkeypatch):
    axes = {"a": {"start": 0, "stop": 1, "num": 150}, "b": {"start": 0, "stop": 1, "num": 100}}
    store = scan(tmp_path, 2, axes, chunks={"a": 50, "b": 50})

    def peak(most):
        monkeypatch.setattr(table, "MOST_POINTS", most)
        tracemalloc.start()
        try:
            path = export(store, format="csv").files[0]
            return tracemalloc.get_traced_memory()[1], path.read_bytes()
        finally:
            tracemalloc.stop()

    peak(2_000)  # what is imported on first use
    thin, first = peak(2_000)
    whole, second = peak(10**6)
    assert first == second
    assert first.count(b"\n") == 15_001
    assert thin < whole / 2


def test_columns_of_one_name_are_refused(tmp_path):
    axes = {"loss_test": AXES["a"]}
    with pytest.raises(SpecError, match=r"two would be called 'loss_test'; rename"):
        export(scan(tmp_path, 1, axes), format="csv")


def test_where_files_go(tmp_path):
    store = scan(tmp_path, 1)
    assert export(store, tmp_path / "t.csv").files == (tmp_path / "t.csv",)
    assert export(store, tmp_path / "new" / "dir", format="csv").files == (
        tmp_path / "new" / "dir" / "scan.csv",
    )
    assert export(store, tmp_path / "new", format=("csv", "csv")).files == (
        tmp_path / "new" / "scan.csv",
    )
    (tmp_path / "t.csv").write_text("old")
    export(store, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text().startswith("a,loss_train")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["dir", "scan.csv"]


@pytest.mark.parametrize(
    ("out", "asked", "pattern"),
    [
        ("t.vti", "csv", r"t\.vti for csv; expected a folder, or a file that ends in \.csv"),
        ("t.csv", ["csv", "html"], r"t\.csv for csv; expected a folder$"),
        ("t.png", None, r"t\.png for png; expected a folder$"),
        ("scan.zarr", "csv", r"scan\.zarr is within the store"),
        ("scan.zarr/loss/t.csv", None, r"is within the store"),
    ],
)
def test_places_that_cannot_be_meant(tmp_path, out, asked, pattern):
    store = scan(tmp_path, 1)
    with pytest.raises(SpecError, match=pattern):
        export(store, tmp_path / out, format=asked)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scan.cache", "scan.zarr"]


def test_what_fails_leaves_the_old_file(tmp_path, monkeypatch):
    store = scan(tmp_path, 1)
    (path,) = export(store, format="csv").files
    before = path.read_bytes()
    monkeypatch.setattr(table, "_cells", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(store, format="csv")
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".export-*"))


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    store = scan(tmp_path, 1)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written \(.*choose another path for out"):
        export(store, tmp_path / "file" / "t.csv")


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        (["--format", "vtx"], r"format: got 'vtx'; expected one of vti, .*did you mean 'vt"),
        (["--at", "a"], r"at: got 'a'; expected AXIS=VALUE"),
        (["--at", "a=nan"], r"at: got 'a=nan'; expected AXIS=VALUE"),
        (["--at", "e=1"], r"at: got the axis 'e'; expected one of a, b"),
        (["--at", "b=1"], r"at: got b=1; expected a coordinate of the grid, -2\.5 … 0\.5"),
        (["--replicate", "1"], r"replicate: got 1; the scan has 1 of them; expected one of 0"),
        (["--replicate", "-1"], r"-1 is not in the range"),
        (["--format", "html", "--at", "a=0", "--at", "b=0"], r"single point.*use format csv"),
    ],
)
def test_bad_options_are_one_line(tmp_path, options, pattern, capsys):
    code, out, err = command([scan(tmp_path, 2), *options], capsys)
    assert (code, out) == (2, "")
    assert "\n" not in err
    assert re.search(pattern, err), err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scan.cache", "scan.zarr"]


def test_a_store_that_is_none(tmp_path):
    with pytest.raises(StoreError, match="no scan is stored here"):
        export(tmp_path / "nowhere.zarr", format="csv")


def test_the_command_says_what_it_wrote_and_what_is_missing(tmp_path, capsys):
    store = scan(tmp_path, 2)
    code, out, err = command([store, "--format", "csv", "--at", "b=0.4"], capsys)
    assert (code, err) == (0, "")
    assert out.splitlines() == ["held:   b = 0.5", f"export: {tmp_path / 'scan.csv'}"]
    lose(store, 0, 5)
    code, out, err = command([store, "--out", tmp_path / "t.csv", "--json"], capsys)
    assert code == 0
    assert json.loads(out) == {
        "files": [str(tmp_path / "t.csv")],
        "held": {},
        "shards": {"missing": 2, "all": 12},
    }
    assert "2 of 12 shards are missing" in err
    assert "\n" not in err


def test_the_selection_knows_what_is_computed(tmp_path):
    store = scan(tmp_path, 2, replicates=2, shards={"a": 4, "b": 2})
    lose(store, 0, 7, 8 + 1)
    selection = select(store)
    assert selection.shards == (4, 2)
    there = selection.computed(0, {})
    assert there.shape == (5, 7)
    expected = np.ones((5, 7), bool)
    expected[:4, :2] = expected[4:, 6:] = False
    np.testing.assert_array_equal(there, expected)
    ranges = {"a": slice(3, 5), "b": slice(5, 7)}
    np.testing.assert_array_equal(
        selection.computed(1, ranges), select(store, replicate=1).computed(0, ranges)
    )
    assert not select(store, replicate=1, at={"a": -1}).computed(0, {})[0, 2:4].any()


def test_exports_import_neither_torch_nor_ray():
    modules = ["", ".paraview", ".surfaces", ".table", ".pictures"]
    code = "".join(f"import pipeline.exporting{name}\n" for name in modules) + (
        "import sys\nprint({'torch', 'ray', 'pyvista'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
