"""Every way to make copies of units, the shares they have, and charts of sections through them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import SpecError
from tasks.symmetry.counts import copies
from tasks.symmetry.critical_charts import DuplicateChart, NumberedChart
from tasks.symmetry.embedding import add_up, assignments, embedded, shared_out
from tasks.symmetry.network import outputs_of


@pytest.mark.parametrize(("narrow", "wide"), [(1, 4), (2, 4), (3, 5), (3, 3)])
def test_every_way_to_make_copies(narrow, wide):
    ways = list(assignments(narrow, wide))
    assert len(set(ways)) == len(ways) == copies(narrow, wide)
    assert ways == sorted(ways)
    assert all(set(way) == set(range(narrow)) for way in ways)


def test_copies_need_as_many_units():
    for narrow, wide in ((3, 2), (0, 2)):
        with pytest.raises(SpecError, match="expected 1 or more to be copied"):
            assignments(narrow, wide)


@settings(max_examples=30)
@given(st.integers(0, 50), st.integers(1, 3), st.integers(0, 3))
def test_shares_that_sum_to_one_change_no_output(seed, narrow, more):
    random = np.random.default_rng(seed)
    unit = random.standard_normal((narrow, 2)), random.standard_normal((2, narrow))
    copied = random.permutation([*range(narrow), *random.integers(0, narrow, more)]).tolist()
    shares, inputs = shared_out(copied, random), random.standard_normal((9, 2))
    assert add_up(copied, shares)
    np.testing.assert_allclose(
        outputs_of(embedded(unit, copied, shares), inputs, "tanh"),
        outputs_of(unit, inputs, "tanh"),
        atol=1e-10 * (1 + np.abs(shares).max()),
    )
    shares[random.integers(len(shares))] += 0.1
    assert not add_up(copied, shares)


@pytest.mark.parametrize("chart", [DuplicateChart(3), DuplicateChart(1), NumberedChart(4, 3)])
def test_charts_have_the_derivatives_of_their_coordinates(chart):
    random = np.random.default_rng(0)
    points = random.uniform(0.1, 0.4, (5, chart.axes))
    slopes, bends = chart.jacobian(points), chart.hessian(points)
    assert slopes.shape == (5, chart.directions, chart.axes)
    step = 1e-4
    for axis in range(chart.axes):
        off = step * np.eye(chart.axes)[axis]
        # Polynomials of degree 2 in all: central differences are exact.
        measured = chart.coordinates(points + off) - chart.coordinates(points - off)
        np.testing.assert_allclose(slopes[:, :, axis], measured / (2 * step), atol=1e-10)
        measured = chart.jacobian(points + off) - chart.jacobian(points - off)
        np.testing.assert_allclose(bends[:, :, :, axis], measured / (2 * step), atol=1e-10)


def test_numbers_outside_are_refused():
    for number in (-1.0, 4.0):
        with pytest.raises(SpecError, match="expected 0 to 3"):
            NumberedChart(4, 3).coordinates(np.array([[number, 0, 0]]))
    found = NumberedChart(4, 3).coordinates(np.array([[1.4, 5, 7]]))
    assert found.tolist() == [[0, 0, 0, 1, 5, 7, 0, 0, 0, 0, 0, 0]]
