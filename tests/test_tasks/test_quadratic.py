"""The task `quadratic` against its formula in numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SpecError
from tasks import TASKS, BuildContext

numbers = st.floats(-4, 4, allow_nan=False)


def build(z, **parameters):
    task = TASKS["quadratic"]
    context = BuildContext(z=z, seed=0, splits=("train", "test"))
    return task.builder()(task.parse(parameters), context)


def values(landscape, points, split="train"):
    theta = landscape.section.parameters(torch.from_numpy(points))["theta"]
    return landscape.objective.functions[split](theta).numpy()


@given(data=st.data(), z=st.integers(1, 5))
def test_every_value_is_that_of_the_formula_to_the_bit(data, z):
    curvature, centre = (data.draw(st.tuples(*[numbers] * z)) for _ in range(2))
    points = np.random.default_rng(z).uniform(-3, 3, (20, z))
    landscape = build(z, curvature=curvature, centre=centre, offset=-7.5, test_offset=0.25)
    for split, offset in (("train", -7.5), ("test", -7.25)):
        expected = np.full(20, offset)
        for axis in range(z):
            expected = expected + curvature[axis] * np.square(points[:, axis] - centre[axis])
        np.testing.assert_array_equal(values(landscape, points, split), expected)


def test_half_spaces_are_nan_and_infinite():
    landscape = build(2, nan_above=0.5, infinite_below=-0.5)
    points = np.array([[-0.6, 0.0], [-0.5, 0.0], [0.5, 0.0], [0.6, 0.0]])
    got = values(landscape, points)
    np.testing.assert_array_equal(got, [np.inf, 0.25, 0.25, np.nan])


def test_the_global_minimum_is_named_only_where_there_is_one():
    assert build(3, offset=-2).reference == {"global_minimum": -2.0}
    assert build(2, curvature=[1, -1]).reference == {}


def test_values_keep_the_precision_they_are_given():
    landscape = build(1)
    theta = torch.zeros(3, 1, dtype=torch.float32)
    assert landscape.objective.functions["train"](theta).dtype == torch.float32


@pytest.mark.parametrize("field", ["curvature", "centre"])
def test_a_wrong_number_of_numbers_is_refused(field):
    with pytest.raises(SpecError, match=f"parameters.{field}: got 2 numbers for 3 axes"):
        build(3, **{field: [1, 2]})


def test_a_minimum_in_a_region_without_values_is_not_named():
    from tasks import BuildContext
    from tasks.quadratic import build_quadratic
    from tasks.quadratic_parameters import QuadraticParameters

    context = BuildContext(z=2, seed=0, splits=("train",))
    for hidden in ({"nan_above": -0.5}, {"infinite_below": 0.5}):
        built = build_quadratic(QuadraticParameters(offset=2, **hidden), context)
        assert "global_minimum" not in built.reference
    built = build_quadratic(QuadraticParameters(offset=2, nan_above=0.5), context)
    assert built.reference["global_minimum"] == 2
