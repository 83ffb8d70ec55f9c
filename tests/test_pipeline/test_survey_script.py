"""The script `examples/survey.py` runs as it stands and finds what is known of such networks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "examples" / "survey.py"


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survey")
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], cwd=folder, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, folder / "survey"


def figure_of(text, words):
    (line,) = [line for line in text.splitlines() if line.startswith(words)]
    return float(re.search(r"-?\d+\.?\d*(e-?\d+)?", line[len(words) :])[0])


def test_what_it_prints_is_what_its_stores_hold(survey):
    text, folder = survey
    origin = xr.open_zarr(folder / "plane.zarr", group="analysis")["origin_loss"]
    shown = figure_of(text, "loss at the network")
    assert shown == pytest.approx(float(origin.sel(split="train")), abs=1e-4)
    for name in ("as-trained", "aligned"):
        barrier = xr.open_zarr(folder / f"{name}.zarr", group="analysis")["barrier"]
        shown = figure_of(text, f"barrier on the line, {name.replace('-', ' ')}")
        assert shown == pytest.approx(float(barrier.sel(split="test")), abs=1e-3)


def test_alignment_lowers_the_barrier_and_curvatures_are_in_order(survey):
    text, _ = survey
    apart = figure_of(text, "barrier on the line, as trained")
    assert 0 <= figure_of(text, "barrier on the line, aligned") < 0.5 * apart
    steepest = figure_of(text, "curvature, steepest")
    assert steepest > 10 * abs(figure_of(text, "curvature, flattest"))


def test_a_run_lies_nearer_to_its_own_plane_than_another_run(survey):
    text, _ = survey
    assert 0 < figure_of(text, "start of this run") < figure_of(text, "start of the other")


def test_picture_and_page_are_written(survey):
    _, folder = survey
    with Image.open(folder / "survey.png") as picture:
        assert len(set(picture.convert("L").resize((64, 32)).tobytes())) > 20
    assert (folder / "plane.html").stat().st_size > 100_000


def test_its_cells_are_marked_for_editors():
    cells = re.findall(r"^# %% (.+)$", SCRIPT.read_text(), re.MULTILINE)
    assert len(cells) == 6
