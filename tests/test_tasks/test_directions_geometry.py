"""Norms, angles and projections on planted examples."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SpecError
from tasks.directions.geometry import cosines, gram, norms, project, require_independent


def named(vector):
    vector = torch.as_tensor(vector, dtype=torch.float64)
    return {"a": vector[:3].reshape(3, 1), "b": vector[3:]}


def test_norms_and_cosines_of_planted_directions():
    directions = [named([3.0, 0, 0, 4, 0]), named([0.0, 0, 2, 0, 0]), named([5.0, 0, 0, 0, 0])]
    assert norms(directions) == pytest.approx([5, 2, 5])
    expected = [[1, 0, 0.6], [0, 1, 0], [0.6, 0, 1]]
    assert cosines(directions) == pytest.approx(np.array(expected), abs=1e-15)
    assert (np.diag(cosines(directions)) == 1).all()


def test_a_parameter_left_out_counts_as_zero():
    full, partly = named([1.0, 2, 3, 4, 5]), {"b": torch.tensor([1.0, 1.0])}
    assert gram([full, partly]) == pytest.approx(np.array([[55.0, 9], [9, 2]]))
    assert gram([{"a": full["a"]}, partly])[0, 1] == 0


def test_a_direction_of_length_zero_has_no_angles():
    found = cosines([named([1.0, 0, 0, 0, 0]), named([0.0] * 5)])
    assert found[0, 0] == 1
    assert np.isnan(found[[0, 1, 1], [1, 0, 1]]).all()


def test_running_statistics_have_no_length():
    statistic = {"bn.running_var": torch.tensor([3.0])}
    direction = {"w": torch.tensor([1.0, 0.0]), **statistic}
    assert norms([direction])[0] == 1
    found = project({"w": torch.tensor([2.0, 0.0]), "bn.running_var": torch.zeros(1)}, [direction])
    assert found.coordinates == pytest.approx([2])
    assert found.residual == 0
    weights = {"w": torch.tensor([1.0, 0.0]), "bn.weight": torch.tensor([3.0])}
    assert norms([weights])[0] == pytest.approx(math.sqrt(10))


@given(
    st.lists(st.floats(-50, 50), min_size=2, max_size=2),
    st.floats(0.05, 3.1),
    st.floats(1e-3, 1e3),
    st.floats(0, 10),
    st.integers(0, 10**6),
)
def test_coordinates_and_residual_of_planted_points_are_found_again(
    coordinates, angle, length, off, seed
):
    """Two directions at any angle and of very different lengths, and a point beside their plane."""
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((5, 5)))[0]
    first, second = turn[0], length * (math.cos(angle) * turn[0] + math.sin(angle) * turn[1])
    displacement = coordinates[0] * first + coordinates[1] * second + off * turn[2]
    found = project(named(displacement), [named(first), named(second)])
    size = np.linalg.norm(displacement)
    assert found.coordinates == pytest.approx(
        coordinates, rel=1e-9, abs=1e-10 * (1 + size) * (1 + 1 / length) / math.sin(angle)
    )
    assert found.residual == pytest.approx(off, rel=1e-9, abs=1e-12 * (1 + size))
    if size > 0:
        assert found.explained == pytest.approx(1 - (off / size) ** 2, abs=1e-10)


def test_inner_products_alone_are_no_coordinates_of_slanted_directions():
    first, second = np.array([1.0, 0, 0, 0, 0]), np.array([1.0, 1, 0, 0, 0])
    displacement = 2 * first + 3 * second
    found = project(named(displacement), [named(first), named(second)])
    assert found.coordinates == pytest.approx([2, 3])
    naive = [displacement @ d / (d @ d) for d in (first, second)]
    assert np.abs(found.coordinates - naive).max() > 1


def test_a_displacement_of_length_zero_has_no_share():
    found = project(named([0.0] * 5), [named([1.0, 0, 0, 0, 0])])
    assert found.coordinates == [0]
    assert found.residual == 0
    assert math.isnan(found.explained)


@pytest.mark.parametrize("turn", [0.0, 1e-8])
def test_dependent_directions_have_no_coordinates(turn):
    plane = [named([1.0, 2, 0, 0, 0]), named([0, 1.0, 1, 0, 0])]
    directions = [*plane, named([1e3, 3e3, 1e3, turn, 0])]
    with pytest.raises(SpecError, match="axis 3 of 3 lies in the span of the axes before it; choo"):
        project(named([1.0] * 5), directions)
    require_independent(plane)


def test_directions_of_a_small_angle_are_still_two():
    directions = [named([1.0, 0, 0, 0, 0]), named([1.0, 1e-4, 0, 0, 0])]
    found = project(named([1.0, 1.0, 0, 0, 0]), directions)
    assert found.coordinates == pytest.approx([1 - 1e4, 1e4], rel=1e-9)
