"""What is made of a multi-start scan: statistics, figures, a page, tables."""

import csv

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from pipeline.analysis import rows, statistics
from pipeline.analysis.starts import different
from pipeline.cli import main
from pipeline.report import figures_starts
from pipeline.report.starts import MOST_DRAWN, look_at_starts
from schemas.layout import DescentOutcome
from schemas.statistics import ENDS, ENDS_DIMS

GLOBAL, SPURIOUS, SADDLE = (
    DescentOutcome.GLOBAL,
    DescentOutcome.SPURIOUS,
    DescentOutcome.SADDLE,
)
FAILED, MINIMUM = DescentOutcome.NOT_CONVERGED, DescentOutcome.MINIMUM
LOW = DescentOutcome.LOW_ENOUGH


def made(outcome, end, loss=None, iterations=None):
    """A scan of as many starts, on one split."""
    n = len(outcome)
    columns = {
        "loss": np.full(n, 4.0) if loss is None else loss,
        "end_loss": end,
        "outcome": np.array(outcome, dtype=np.uint8),
        "iterations": np.arange(n, dtype=np.int32) if iterations is None else iterations,
    }
    return xr.Dataset(
        {name: (("split", "start"), np.asarray(values)[None]) for name, values in columns.items()},
        coords={"split": ["train"], "start": np.arange(n)},
        attrs={"section": "starts"},
    )


def test_statistics_count_what_the_descents_found():
    outcome = [GLOBAL, GLOBAL, SPURIOUS, SADDLE, FAILED, FAILED]
    end = [1.0, 1.0 + 1e-9, 2.0, 3.0, 9.0, np.nan]
    loss = [4.0, 5.0, 6.0, 7.0, 8.0, np.nan]
    found = statistics(made(outcome, end, loss), {"global_minimum": 1.0})
    one = {name: found[name].values.item() for name in found}
    assert set(one) == set(ENDS) - {"ends_low_enough"}
    assert (one["starts_finite"], one["starts_loss_min"], one["starts_loss_max"]) == (5, 4, 8)
    assert one["starts_loss_median"] == 6
    assert (one["ends_global"], one["ends_spurious"], one["ends_minimum"]) == (2, 1, 3)
    assert one["ends_global_fraction"] == 2 / 5
    # The start without a loss has no descent.
    assert (one["ends_saddle"], one["ends_not_converged"]) == (1, 1)
    assert (one["ends_loss_min"], one["ends_loss_max"], one["ends_losses"]) == (1, 3, 3)
    assert (one["ends_iterations_median"], one["ends_iterations_max"]) == (2, 4)
    for name in found:
        assert found[name].dims == ENDS_DIMS[name]
        assert found[name].attrs["long_name"] == ENDS[name].long_name
    assert ("descents", "ends_losses", "train", "3") in [row[:4] for row in rows(found)]


def test_ends_at_their_target_have_not_been_given_up():
    scanned = made([LOW, LOW, GLOBAL, FAILED], [0.01, 0.02, 1.0, 9.0])
    scanned["outcome"].attrs["target"] = 0.02
    found = statistics(scanned, {"global_minimum": 0.0})
    assert found["ends_low_enough"].item() == 2
    assert found["ends_not_converged"].item() == 1
    assert found["ends_global_fraction"].item() == 1 / 4
    assert (found["ends_loss_min"].item(), found["ends_loss_max"].item()) == (0.01, 1.0)
    # Where below its target a descent ends is chance.
    assert found["ends_losses"].item() == 1


def test_what_is_not_known_is_not_claimed():
    found = statistics(made([FAILED] * 3, [np.nan] * 3), {})
    assert not {"ends_global", "ends_global_fraction", "ends_spurious"} & set(found)
    assert np.isnan(found["ends_loss_min"]).all()
    assert found["ends_losses"].item() == 0
    plain = statistics(made([FAILED] * 3, [np.nan] * 3)[["loss"]], {})
    assert {name.split("_")[0] for name in plain} == {"starts"}


def test_replicates_are_told_apart():
    both = xr.concat(
        [made([GLOBAL, GLOBAL], [0.0, 0.0]), made([GLOBAL, SPURIOUS], [0.0, 1.0])],
        "replicate",
    ).assign_coords(replicate=[0, 1])
    found = statistics(both, {"global_minimum": 0.0})
    np.testing.assert_array_equal(found["ends_global"], [2, 1])
    np.testing.assert_array_equal(found["ends_losses"].sel(split="train"), [1, 2])
    assert "ends_global_fraction" in {row.name for row in rows(found)}


@pytest.mark.parametrize(
    ("ends", "starts", "count"),
    [
        ([], [1.0], 0),
        ([0.0, 1e-20, 3e-18, 1e-9], [1.0, 2.0], 1),
        ([0.0, 1e-3], [1.0, 2.0], 2),
        ([5.0, 5.0 + 1e-6, 5.0 + 2e-6], [5.1], 1),
        ([-2.0, -2.0 + 1e-4, 3.0], [4.0], 3),
        ([3.0, 1.0, 1.0, 2.0, 3.0], [9.0], 3),
    ],
)
def test_losses_that_differ_by_rounding_are_one(ends, starts, count):
    assert different(np.array(ends), np.array(starts)) == count


SPEC = """
task: quadratic
parameters: {curvature: [1, 3], centre: [0.5, 0], test_offset: 1}
starts: {num: 24}
descent: {tolerance: 1e-9, keep_parameters: true}
chunks: {start: 10}
metrics: [loss, gradient_norm]
compute: {dtype: float64, workers: 0}
"""


def code_of(arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("starts")
    (folder / "scan.yaml").write_text(f"{SPEC}store: {folder / 'scan.zarr'}\n")
    assert code_of(["run", str(folder / "scan.yaml")]) == 0
    return folder


def test_the_page_of_a_multi_start_scan(scanned, capsys):
    assert code_of(["report", str(scanned / "scan.zarr")]) == 0
    page = (scanned / "scan.report" / "index.html").read_text()
    assert "24 seeded random starts, and descents from each (lbfgs)" in page
    assert "End at the global minimum" in page
    assert "train: 24 global minimum. test: 24 minimum." in page
    names = {path.stem for path in (scanned / "scan.report").glob("*.png")}
    assert names == {"ends", "gradients", "eigenvalues", "iterations"}
    assert page.count("data:image/png;base64") == len(names)


def test_the_command_line_speaks_of_starts(scanned, capsys):
    store = str(scanned / "scan.zarr")
    assert code_of(["plan", str(scanned / "scan.yaml")]) == 0
    said = capsys.readouterr().out
    assert "24, distribution auto, scale 1" in said
    assert "at most" in said
    assert code_of(["status", store]) == 0
    assert "complete; 24 points" in capsys.readouterr().out
    assert code_of(["resume", store]) == 0
    assert "ends_global_fraction" in capsys.readouterr().out
    assert code_of(["verify", store]) == 0
    assert code_of(["schema"]) == 0
    schema = capsys.readouterr().out
    assert '"starts"' in schema
    assert '"descent"' in schema


def test_exports_of_starts(scanned, capsys, tmp_path):
    store = str(scanned / "scan.zarr")
    assert code_of(["export", store, "--format", "csv", "--out", str(tmp_path)]) == 0
    with (tmp_path / "scan.csv").open() as file:
        table = list(csv.DictReader(file))
    found = xr.open_zarr(store).load()
    assert [int(row["start"]) for row in table] == list(range(24))
    ends = [[float(row[f"end_parameters_train_{k}"]) for k in (0, 1)] for row in table]
    np.testing.assert_array_equal(np.array(ends).T, found["end_parameters"].sel(split="train"))
    assert code_of(["export", store, "--format", "png", "--out", str(tmp_path / "png")]) == 0
    assert len(list((tmp_path / "png").glob("*.png"))) == 4
    capsys.readouterr()
    for name in ("html", "vtr", "vti", "vtp"):
        assert code_of(["export", store, "--format", name, "--out", str(tmp_path)]) == 2
        said = capsys.readouterr().err
        assert f"format: {name} shows a grid, and the scan is of starts; expected csv" in said


def tree_of(dataset):
    ends = dataset.assign(
        end_gradient_norm=abs(dataset["end_loss"]) * 1e-9,
        end_hessian_eigenvalue_min=dataset["end_loss"] - 1,
        end_hessian_eigenvalue_max=dataset["end_loss"] + 1,
    )
    ends["outcome"].attrs.update(tolerance=1e-8, method="gd", max_iterations=10)
    return xr.DataTree(ends)


@pytest.mark.parametrize(
    "kind", ["mixed", "all failed", "one failed", "overflown", "all equal", "one", "many"]
)
def test_every_figure_is_drawn_of_whatever_was_found(kind):
    outcome, end = {
        "mixed": (
            [GLOBAL, SPURIOUS, SADDLE, FAILED, MINIMUM, LOW],
            [0.0, 1.0, 1e-5, 2.0, 1e-12, 1e-3],
        ),
        "all failed": ([FAILED] * 3, [np.nan] * 3),
        "one failed": ([FAILED], [2.0]),
        "overflown": ([FAILED] * 2, [-np.inf, np.inf]),
        "all equal": ([MINIMUM] * 3, [1.0] * 3),
        "one": ([GLOBAL], [0.0]),
        "many": ([GLOBAL] * (2 * MOST_DRAWN + 1), np.linspace(0, 1, 2 * MOST_DRAWN + 1)),
    }[kind]
    view = look_at_starts(tree_of(made(outcome, end)))
    assert view.total == len(outcome)
    assert view.drawn <= MOST_DRAWN
    drawn = figures_starts.figures(view)
    assert [picture.name for picture in drawn] == ["ends", "gradients", "eigenvalues", "iterations"]
    for picture in drawn:
        assert isinstance(picture.figure, Figure)
        picture.figure.canvas.draw()
    points = drawn[0].figure.axes[0].collections
    assert len(points) == len(set(outcome))
    shown = sum(len(each.get_offsets()) for each in points)
    assert shown == view.drawn
    assert bool(view.thinned_words) == (kind == "many")


def test_starts_without_a_finite_loss_have_no_figures():
    lost = made([FAILED] * 2, [np.nan] * 2, [np.nan] * 2)
    assert figures_starts.figures(look_at_starts(tree_of(lost))) == []
    half = made([FAILED, GLOBAL], [np.nan, 1.0], [np.nan, 2.0])
    both = xr.concat([lost, half], "split").assign_coords(split=["train", "test"])
    drawn = figures_starts.figures(look_at_starts(tree_of(both)))
    assert "train: no loss is finite. test: 1 global minimum." in drawn[0].caption
    for picture in drawn:
        picture.figure.canvas.draw()
