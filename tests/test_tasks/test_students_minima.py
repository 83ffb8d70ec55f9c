"""The family's critical points by independent derivatives, and the ways to global minima."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from schemas.errors import SpecError
from tasks import TASKS, BuildContext
from tasks.students.minima import family_point, spurious_minimum
from tasks.students.population import PopulationLoss
from tasks.students.sections import nearest_permutations
from tests.test_tasks.test_students_population import differentiated


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def loss_of(k):
    return PopulationLoss(torch.eye(k, dtype=torch.float64))


def theta_of(weights):
    return torch.from_numpy(weights.reshape(1, -1))


def numbers(point):
    return [point.alpha, point.beta, point.zeta, point.delta, point.eta]


KNOWN = {
    6: ([-0.6015, 0.2245, 0.3080, 0.9867, -0.0504], 5e-5, 0.0250805810, 0.00470035),
    7: (
        [-0.6327039049, 0.1859910463, 0.2616910758, 0.9969227988, -0.0350801559],
        5.1e-11,
        0.0232027149,
        0.01405901,
    ),
}


@pytest.mark.parametrize("k", KNOWN)
def test_the_known_minima(k):
    expected, digits, loss, least = KNOWN[k]
    found = spurious_minimum(k)
    np.testing.assert_allclose(numbers(found), expected, rtol=0, atol=digits)
    assert found.loss == pytest.approx(loss, abs=5.1e-11)
    assert found.least_eigenvalue == pytest.approx(least, abs=5.1e-9)
    alpha, beta, zeta, delta, eta = numbers(found)
    w = found.weights
    assert w[-1, -1] == alpha
    assert set(w[-1, :-1]) == {beta}
    assert set(w[:-1, -1]) == {zeta}
    assert set(np.diag(w)[:-1]) == {delta}
    assert w[0, 1] == w[2, 1] == eta


@pytest.mark.parametrize("k", [4, 5, 6, 7, 13, 30])
def test_it_is_critical_to_rounding(k):
    point = family_point(k)
    loss, slopes = loss_of(k).slopes(theta_of(point.weights))
    assert slopes.norm() < 2e-14
    assert point.loss == pytest.approx(loss.item(), rel=1e-12)
    assert point.loss > 1e-3


@pytest.mark.parametrize(("k", "negative"), [(4, 2), (5, 3), (6, 0), (8, 0)])
def test_it_is_a_minimum_from_six_neurons_on_and_a_saddle_before(k, negative):
    point = family_point(k)
    _, hessians = differentiated(loss_of(k), theta_of(point.weights))
    spectrum = torch.linalg.eigvalsh(hessians[0])
    assert point.least_eigenvalue == pytest.approx(spectrum[0].item(), abs=1e-11)
    assert int((spectrum < 0).sum()) == negative
    assert spectrum.abs().min() > 1e-3


@pytest.mark.parametrize(("k", "returns"), [(5, False), (6, True)])
def test_descents_from_near_by_come_back_to_a_minimum_alone(k, returns):
    point = family_point(k)

    def both(x):
        loss, slopes = loss_of(k).slopes(theta_of(x))
        return loss.item(), slopes[0].numpy()

    aside = np.random.default_rng(0).standard_normal(k * k)
    start = point.weights.ravel() + 1e-3 * aside / np.linalg.norm(aside)
    end = minimize(both, start, jac=True, method="BFGS", options={"gtol": 1e-9})
    assert (abs(end.fun - point.loss) < 1e-12) == returns
    assert end.fun < both(start)[0]


def test_what_is_no_minimum_or_not_followed_is_refused():
    with pytest.raises(ValueError, match="got 5 neurons; with fewer than 6 it is a saddle"):
        spurious_minimum(5)
    with pytest.raises(ValueError, match="got 31 neurons; expected 4 to 30"):
        spurious_minimum(31)
    with pytest.raises(ValueError, match="got 3 neurons"):
        family_point(3)


def build(k, z, **parameters):
    task = TASKS["teacher-student"]
    given = {"students": k, "teachers": k, "section": "between", "samples": 10, **parameters}
    context = BuildContext(z=z, seed=0, splits=("population",))
    return task.builder()(task.parse(given), context)


@pytest.mark.parametrize(("k", "z"), [(4, 2), (6, 1), (6, 2), (9, 2)])
def test_between_marks_are_where_the_minima_are(k, z):
    landscape = build(k, z)
    marks, point = landscape.facts["marks"], family_point(k)
    places = np.array([marks["spurious"], *marks["global"]])
    assert places.shape == (1 + z, z)
    assert places[1].tolist() == [1.0, 0.0][:z]
    theta = landscape.section.parameters(torch.from_numpy(places))["theta"]
    losses, slopes = landscape.objective.slopes["population"](theta)
    assert losses[0].item() == pytest.approx(point.loss, rel=1e-12)
    assert losses[1:].abs().max() < 1e-14
    assert slopes.abs().max() < 1e-14
    ends = theta[1:].reshape(z, k, k).numpy()
    np.testing.assert_allclose(np.sort(ends, axis=2)[..., :-1], 0.0, atol=1e-15)
    np.testing.assert_allclose(ends.sum(axis=1), 1.0, rtol=1e-15)
    away = [np.linalg.norm(end - point.weights) for end in ends]
    np.testing.assert_allclose(landscape.facts["distances"], away, rtol=1e-14)
    axes = np.stack([direction["theta"] for direction in landscape.section.directions])
    np.testing.assert_allclose(axes @ axes.T, away[0] ** 2 * np.eye(z), atol=1e-13)
    np.testing.assert_allclose(landscape.facts["lengths"], [away[0]] * z, rtol=1e-14)
    if z == 2:
        assert np.abs(ends[0] - ends[1]).max() > 0.5
    assert landscape.facts["alpha"] == point.alpha
    assert landscape.facts["spurious_least_eigenvalue"] == point.least_eigenvalue


@settings(max_examples=40, deadline=None)
@given(k=st.integers(2, 5), seed=st.integers(0, 10**6), negative=st.booleans())
def test_the_nearest_permutations_are_those_of_all(k, seed, negative):
    weights = np.random.default_rng(seed).standard_normal((k, k))
    weights = -np.abs(weights) if negative else weights
    every = [np.eye(k)[list(order)] for order in itertools.permutations(range(k))]
    distances = sorted(np.linalg.norm(weights - other) for other in every)
    found = nearest_permutations(weights)
    away = [np.linalg.norm(weights - other) for other in found]
    np.testing.assert_allclose(away, distances[:2], rtol=1e-12)
    assert any((found[1] == other).all() for other in every)
    assert (found[0] != found[1]).any()


def test_the_nearest_minimum_of_six_is_that_of_all_720():
    weights = spurious_minimum(6).weights
    every = np.stack([np.eye(6)[list(order)] for order in itertools.permutations(range(6))])
    away = np.sort(np.linalg.norm(every - weights, axis=(1, 2)))
    np.testing.assert_allclose(build(6, 2).facts["distances"], away[:2], rtol=1e-13)


@pytest.mark.parametrize("k", [5, 7])
def test_the_softest_way_bends_least_and_is_as_long_as_the_straight_one(k):
    landscape, straight = build(k, 1, section="softest"), build(k, 1)
    point, facts = family_point(k), landscape.facts
    way = landscape.section.directions[0]["theta"]
    hessian = landscape.objective.hessians["population"](landscape.section.origin["theta"][None])
    np.testing.assert_allclose(hessian[0] @ way, point.least_eigenvalue * way, atol=1e-12)
    assert way.norm().item() == pytest.approx(straight.facts["distances"][0], rel=1e-12)
    assert float(way @ straight.section.directions[0]["theta"]) > 0.3
    assert facts["marks"] == {"spurious": [0.0]}
    assert facts["spurious_loss"] == point.loss


BAD = [
    (6, 2, {"section": "softest"}, "axes: got 2; section: softest needs 1"),
    (3, 1, {}, "known of 4 to 30 students, got 3"),
    (31, 1, {}, "known of 4 to 30 students, got 31"),
    (6, 1, {"students": 7}, "as many students as teachers and dimensions, got 7, 6 and 6"),
    (6, 1, {"dimensions": 7}, "got 6, 6 and 7"),
    (6, 1, {"teacher": np.eye(6).tolist()}, "no rows of teacher"),
    (6, 3, {}, "axes: got 3; section: between has 1, or 2"),
    (6, None, {}, "starts: section: between is scanned along axes"),
]


@pytest.mark.parametrize(("k", "z", "parameters", "message"), BAD)
def test_between_is_refused_in_one_line(k, z, parameters, message):
    with pytest.raises(SpecError, match=message) as caught:
        build(k, z, **parameters)
    assert "\n" not in str(caught.value)
