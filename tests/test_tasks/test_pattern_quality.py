"""How well the default training brings patterns in: minutes, so apart from the other tests."""

from pathlib import Path

import numpy as np
import pytest

from schemas.grid import LinearAxis
from tasks import BuildContext
from tasks.patterns.build import build_theorem1
from tasks.patterns.claims import IMAGE_RMS, SMOOTH_SUP
from tasks.patterns.fields import LossOfCoordinates
from tasks.patterns.parameters import PatternParameters
from tasks.patterns.preimage import marginal_of
from tasks.patterns.splits import CLASSES

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = {"hidden": [32, 64, 64]}
TWO_WELL = {"function": "two-well"}


def error_on_the_grid(num, z=2, **parameters):
    """loss − target_loss − constant on a regular grid, over the range of T."""
    loss = parameters.get("loss", "cross_entropy")
    context = BuildContext(z=z, seed=0, splits=("train",), base=EXAMPLES)
    landscape = build_theorem1(PatternParameters.model_validate(parameters), context)
    axis = LinearAxis(start=0, stop=1, num=num).coordinates(0, num)
    points = np.stack(np.meshgrid(*[axis] * z, indexing="ij"), axis=-1).reshape(-1, z)
    labels = landscape.objective.splits["train"].targets
    network = landscape.objective.module.double()
    found = LossOfCoordinates(network, marginal_of(loss, labels, CLASSES))(points)
    wanted = landscape.fields["target_loss"].function(points)
    error = found - wanted
    return (error - error.mean()) / np.ptp(wanted)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_two_wells_are_met_everywhere_on_256_by_256(loss):
    error = error_on_the_grid(256, target=TWO_WELL, network=SMALL, loss=loss)
    assert np.abs(error).max() <= SMOOTH_SUP


@pytest.mark.slow
def test_a_binary_image_is_met_on_average_on_256_by_256():
    error = error_on_the_grid(256, target={"image": "cartograd.png"}, network=SMALL)
    assert np.sqrt(np.square(error).mean()) <= IMAGE_RMS


@pytest.mark.slow
@pytest.mark.parametrize(("z", "num"), [(1, 4096), (3, 32), (4, 12)])
def test_wells_in_other_dimensions_are_met_on_average(z, num):
    network = {"hidden": [32, 128, 64]}
    error = error_on_the_grid(num, z, target=TWO_WELL, network=network)
    assert np.sqrt(np.square(error).mean()) <= SMOOTH_SUP
