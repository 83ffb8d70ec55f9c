"""Charts of paths: their values against definitions, their derivatives against differences."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import SpecError
from tasks.paths.charts import BezierChart, PolygonChart, path_chart, path_length

CHARTS = (BezierChart, PolygonChart)
EPS = 1e-6

directions = st.integers(1, 7)
inside = st.floats(0, 1)
anywhere = st.floats(-2, 3)


def column(*ts):
    return np.array(ts, dtype=np.float64)[:, None]


def weights(chart, t):
    """All m + 1 barycentric weights at one t."""
    rest = chart.coordinates(column(t))[0]
    return np.concatenate([[1 - rest.sum()], rest])


def de_casteljau(control, t):
    while len(control) > 1:
        control = (1 - t) * control[:-1] + t * control[1:]
    return control[0]


@pytest.mark.parametrize("kind", CHARTS)
@settings(max_examples=40, deadline=None)
@given(m=directions)
def test_a_path_is_exactly_at_its_ends_at_0_and_1(kind, m):
    found = kind(m).coordinates(column(0.0, 1.0))
    assert np.array_equal(found, np.stack([np.zeros(m), np.eye(m)[-1]]))


@settings(max_examples=40, deadline=None)
@given(m=directions)
def test_a_polygon_is_exactly_at_a_control_point_at_its_knot(m):
    knots = np.arange(m + 1) / m
    assert np.array_equal(PolygonChart(m).coordinates(knots[:, None]), np.eye(m + 1)[:, 1:])


def test_a_bezier_curve_does_not_pass_through_its_inner_control_points():
    assert weights(BezierChart(2), 0.5) == pytest.approx([0.25, 0.5, 0.25])


@pytest.mark.parametrize("kind", CHARTS)
@settings(max_examples=40, deadline=None)
@given(m=directions, t=inside)
def test_weights_are_a_convex_combination_inside(kind, m, t):
    found = weights(kind(m), t)
    assert (found >= -1e-15).all()
    assert found[1:].sum() <= 1 + 1e-15


@pytest.mark.parametrize("kind", CHARTS)
def test_weights_are_none_outside(kind):
    assert weights(kind(2), 1.5).min() < 0


@pytest.mark.parametrize("kind", CHARTS)
@settings(max_examples=40, deadline=None)
@given(m=directions, t=anywhere)
def test_control_points_along_a_line_give_that_line(kind, m, t):
    assert weights(kind(m), t) @ np.arange(m + 1) / m == pytest.approx(t, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(m=directions, t=anywhere, seed=st.integers(0, 99))
def test_the_bezier_chart_agrees_with_de_casteljau(m, t, seed):
    control = np.random.default_rng(seed).normal(size=(m + 1, 3))
    assert weights(BezierChart(m), t) @ control == pytest.approx(de_casteljau(control, t), abs=1e-8)


@settings(max_examples=40, deadline=None)
@given(m=directions, t=inside)
def test_bezier_weights_are_the_binomial_ones(m, t):
    wanted = [math.comb(m, j) * t**j * (1 - t) ** (m - j) for j in range(1, m + 1)]
    assert BezierChart(m).coordinates(column(t))[0] == pytest.approx(wanted, abs=1e-14)


@settings(max_examples=40, deadline=None)
@given(m=directions, t=anywhere)
def test_the_polygon_chart_interpolates_linearly(m, t):
    at = np.clip(t, 0, 1)
    wanted = [np.interp(at, np.arange(m + 1) / m, row) for row in np.eye(m + 1)]
    beyond = t - at
    wanted[0] -= m * min(beyond, 0)
    wanted[1] += m * min(beyond, 0)
    wanted[-2] -= m * max(beyond, 0)
    wanted[-1] += m * max(beyond, 0)
    assert weights(PolygonChart(m), t) == pytest.approx(np.array(wanted), abs=1e-12)


@pytest.mark.parametrize("kind", CHARTS)
@settings(max_examples=40, deadline=None)
@given(t=anywhere)
def test_two_control_points_make_a_straight_line(kind, t):
    chart = kind(1)
    assert chart.coordinates(column(t)) == column(t)
    assert chart.jacobian(column(t)) == 1
    assert chart.hessian(column(t)) == 0


def test_three_control_points_do_not_make_a_straight_line():
    assert BezierChart(2).hessian(column(0.3))[0, :, 0, 0].tolist() == [-4, 2]


@pytest.mark.parametrize("kind", CHARTS)
@settings(max_examples=40, deadline=None)
@given(m=directions, t=st.floats(-0.5, 1.5))
def test_derivatives_agree_with_differences(kind, m, t):
    knots = np.arange(m + 1) / m
    if kind is PolygonChart and np.abs(knots - t).min() < 2 * EPS:
        return
    chart = kind(m)
    ahead, behind = column(t + EPS), column(t - EPS)
    slope = (chart.coordinates(ahead) - chart.coordinates(behind)) / (2 * EPS)
    curvature = (chart.jacobian(ahead) - chart.jacobian(behind)) / (2 * EPS)
    assert chart.jacobian(column(t))[:, :, 0] == pytest.approx(slope, rel=1e-6, abs=1e-5)
    found = chart.hessian(column(t))[:, :, :, 0]
    assert found == pytest.approx(curvature, rel=1e-5, abs=1e-4)


def test_at_a_kink_the_derivative_is_that_to_the_right():
    chart = PolygonChart(3)
    for knot in (0.0, 1 / 3, 2 / 3):
        at, right = chart.jacobian(column(knot, knot + EPS))
        assert np.array_equal(at, right)
    at, left = chart.jacobian(column(1 / 3, 1 / 3 - EPS))
    assert not np.array_equal(at, left)


@pytest.mark.parametrize("kind", CHARTS)
@settings(max_examples=40, deadline=None)
@given(m=directions, seed=st.integers(0, 99), size=st.integers(1, 40))
def test_a_row_depends_on_its_own_point_alone(kind, m, seed, size):
    chart, points = kind(m), np.random.default_rng(seed).uniform(-0.2, 1.2, (size, 1))
    for compute in (chart.coordinates, chart.jacobian, chart.hessian):
        whole = compute(points)
        assert whole.dtype == np.float64
        assert np.array_equal(whole, np.concatenate([compute(row[None]) for row in points]))


@pytest.mark.parametrize("kind", CHARTS)
def test_shapes_name_points_directions_and_axes(kind):
    chart, points = kind(3), column(0.1, 0.2)
    assert (chart.axes, chart.directions) == (1, 3)
    assert chart.coordinates(points).shape == (2, 3)
    assert chart.jacobian(points).shape == (2, 3, 1)
    assert chart.hessian(points).shape == (2, 3, 1, 1)
    assert kind(1).hessian(column()).shape == (0, 1, 1, 1)


@pytest.mark.parametrize("kind", CHARTS)
def test_a_chart_survives_pickling(kind):
    assert pickle.loads(pickle.dumps(kind(3))) == kind(3)
    assert kind(3) != kind(4)


@pytest.mark.parametrize("kind", CHARTS)
def test_what_no_path_can_have_is_refused_in_one_line(kind):
    with pytest.raises(SpecError, match=r"^path: got 0 directions; expected 1 or more.*bends"):
        kind(0)
    for compute in (kind(2).coordinates, kind(2).jacobian, kind(2).hessian):
        with pytest.raises(SpecError, match=r"^axes: got points of shape \(4, 2\).*one axis$"):
            compute(np.zeros((4, 2)))


def test_the_kind_of_a_path_chooses_its_chart():
    assert path_chart("bezier", 2) == BezierChart(3)
    assert path_chart("polygon", 2) == PolygonChart(3)
    assert path_chart("linear", 2).directions == 1
    with pytest.raises(SpecError, match=r"^path.kind: got 'bezer'.*did you mean 'bezier'\?$"):
        path_chart("bezer", 1)


def gram_of(control):
    arms = control[1:] - control[0]
    return arms @ arms.T


def test_the_length_of_a_polygon_is_that_of_its_segments():
    control = np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 5.0], [0.0, 5.0]])
    assert path_length(PolygonChart(3), gram_of(control)) == pytest.approx(9.0, rel=1e-13)


def test_the_length_of_a_parabola_is_the_known_one():
    # θ(t) = (2t, 4t(1 − t)): ∫ √(4 + 16(1 − 2t)²) dt = √5 + asinh(2)/2.
    control = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 0.0]])
    wanted = math.sqrt(5) + math.asinh(2) / 2
    assert path_length(BezierChart(2), gram_of(control)) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("kind", CHARTS)
def test_a_straight_path_is_as_long_as_the_distance_and_a_bent_one_longer(kind):
    straight = np.linspace([0.0, 0.0], [3.0, 4.0], 4)
    bent = straight + np.array([[0, 0], [0, 1], [0, 0], [0, 0]])
    assert path_length(kind(3), gram_of(straight)) == pytest.approx(5.0, rel=1e-12)
    assert path_length(kind(3), gram_of(bent)) > 5.03
    assert path_length(kind(3), np.zeros((3, 3))) == 0
