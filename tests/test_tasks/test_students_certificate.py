"""Proofs of local minima: against known ones, many digits, and points where there is none."""

import dataclasses
import math

import flint
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

from schemas.errors import SpecError
from tasks.students import balls, certificate
from tasks.students.certificate import certify, least_eigenvalue, refine, smoothness
from tasks.students.population import PopulationLoss


def spurious(k, own, others, delta, eta, zeta):
    """One neuron with the weight `own` on the first coordinate, the others near a teacher each."""
    weights = np.full((k, k), eta)
    np.fill_diagonal(weights, delta)
    weights[:, 0] = zeta
    weights[0] = others
    weights[0, 0] = own
    return weights


SIX = spurious(6, -0.6015, 0.2245, 0.9867, -0.0504, 0.3080)
SEVEN = spurious(7, -0.6327039049, 0.1859910463, 0.9969227988, -0.0350801559, 0.2616910758)


def hessian(weights, teacher):
    loss = PopulationLoss(torch.from_numpy(teacher))
    return loss.hessians(torch.from_numpy(weights.reshape(1, -1)))[0].numpy()


def quotient(one, other, teacher):
    change = hessian(one, teacher) - hessian(other, teacher)
    return np.linalg.norm(change, 2) / np.linalg.norm(one - other)


def published(weights, teacher, reach):
    """B of Safran & Shamir (2018)."""
    (n, k), sizes = (len(weights), len(teacher)), np.linalg.norm(weights, axis=1)
    most, least = sizes.max() + reach, sizes.min() - reach
    own = math.sqrt(2) * (n - 1) * (most + least)
    return n * (own + k * np.linalg.norm(teacher, axis=1).max()) / (math.pi * least**2)


@pytest.mark.parametrize(
    ("weights", "loss", "least"),
    [(SIX, 0.0250805810, 0.00470035), (SEVEN, 0.0232027149, 0.01405901)],
)
def test_known_spurious_minima_are_proved(weights, loss, least):
    teacher = np.eye(len(weights))
    point, converged = refine(weights, teacher)
    assert converged
    np.testing.assert_allclose(point, weights, atol=1e-4)
    found = certify(point, teacher)
    assert found.radius is not None
    assert found.radius < 1e-12
    assert found.loss == pytest.approx((loss, loss), abs=1e-10)
    assert found.loss[0] < found.loss[1]
    assert found.least_eigenvalue == pytest.approx(least, abs=1e-8)


@pytest.mark.parametrize("size", [1e-9, 1e-7, 1e-5])
def test_the_minimum_is_within_the_radius(size):
    # Along the flattest direction the distance is the gradient's norm over λ, the greatest.
    teacher = np.eye(7)
    minimum, _ = refine(SEVEN, teacher)
    flattest = np.linalg.eigh(hessian(minimum, teacher))[1][:, 0].reshape(7, 7)
    away = minimum + size * flattest
    found = certify(away, teacher)
    assert found.radius is not None
    assert size <= found.radius < 2.5 * size
    at_minimum = balls.enclose(minimum, teacher).loss
    assert found.loss[0] <= at_minimum[0]
    assert at_minimum[1] <= found.loss[1]


def test_what_is_no_minimum_is_not_proved():
    teacher = np.eye(6)
    wrong, _ = refine(SIX, teacher)
    wrong[2, 2] += 1e-3
    found = certify(wrong, teacher)
    assert found.least_eigenvalue > 0.004
    assert found.radius is None
    assert found.loss == pytest.approx((0.02508, 0.02508), abs=1e-5)
    assert certify(np.eye(6) + 1e-3, teacher).radius is None


def test_a_saddle_is_not_proved():
    # Both neurons between both teachers, where ∇F = w − (1/2π)(1 + 3π/4)(1, 1).
    point = np.full((2, 2), (1 + 0.75 * math.pi) / (2 * math.pi))
    found = certify(point, np.eye(2))
    assert found.gradient_norm < 1e-14
    assert found.least_eigenvalue < -0.1
    assert found.radius is None
    assert found.loss[0] > 0.08


def test_global_minima():
    found = certify(np.eye(5)[::-1].copy(), np.eye(5))
    assert found.radius is not None
    assert found.loss[0] <= 0 <= found.loss[1]
    assert found.loss[1] < 1e-30
    # A teacher in two halves: the loss is zero on a whole line, and λ is no more than 0.
    shared = np.array([[0.5, 0], [0.5, 0], [0, 1]])
    flat = certify(shared, np.eye(2))
    assert flat.least_eigenvalue <= 0
    assert flat.radius is None
    assert flat.loss[0] <= 0 <= flat.loss[1]


def test_newton_says_where_it_has_not_converged():
    weights = np.random.default_rng(3).standard_normal((3, 3)) * 5
    point, converged = refine(weights, np.eye(3))
    loss = PopulationLoss(torch.eye(3, dtype=torch.float64))
    slope = loss.slopes(torch.from_numpy(point.reshape(1, -1)))[1].norm()
    assert not converged
    assert slope > 1e-3


def exact(weights, teacher):
    """F, ∇F and ∇²F with 60 digits, term by term as in Safran & Shamir (2018), section 4.1."""
    students, teachers = ([mp.matrix(row.tolist()) for row in x] for x in (weights, teacher))
    everyone = [(1, w) for w in students] + [(-1, v) for v in teachers]
    n, d = weights.shape
    eye = mp.eye(d)

    def parts(w, v):
        a, b = mp.norm(w), mp.norm(v)
        c = (w.T * v)[0] / (a * b)
        theta = mp.acos(c)
        normal = v / b - c * w / a
        return a, b, w / a, v / b, theta, normal / mp.norm(normal), c

    loss, gradient, curved = mp.mpf(0), mp.zeros(n, d), mp.zeros(n * d, n * d)
    for p, (s, u) in enumerate(everyone):
        for q, (t, v) in enumerate(everyone):
            if p == q:
                loss += (u.T * u)[0] / 4
                continue
            a, b, _, _, theta, _, c = parts(u, v)
            loss += s * t * a * b * (mp.sin(theta) + (mp.pi - theta) * c) / (4 * mp.pi)
    for i, w in enumerate(students):
        rows = slice(i * d, i * d + d)
        gradient[i, :], curved[rows, rows] = w.T / 2, eye / 2
        for j, (sign, v) in enumerate(everyone):
            if i == j:
                continue
            a, b, unit, other, theta, normal, c = parts(w, v)
            slope = (b * mp.sin(theta) * unit + (mp.pi - theta) * v) / (2 * mp.pi)
            gradient[i, :] += sign * slope.T
            bent = mp.sin(theta) * b / (2 * mp.pi * a) * (eye - unit * unit.T + normal * normal.T)
            curved[rows, rows] += sign * bent
            if j < n:
                opposite = parts(v, w)[5]
                turned = opposite * other.T + normal * unit.T
                block = ((mp.pi - theta) * eye + turned) / (2 * mp.pi)
                curved[rows, slice(j * d, j * d + d)] = block
    return loss, gradient, curved


@pytest.mark.parametrize(("n", "k", "d"), [(3, 2, 3), (2, 3, 4), (1, 2, 2)])
@pytest.mark.parametrize("angle", [None, 1e-9, -1e-9])
@pytest.mark.parametrize("precision", [128, 24])
def test_the_enclosure_holds_what_many_digits_give(n, k, d, angle, precision, monkeypatch):
    monkeypatch.setattr(balls, "PRECISION", precision)
    rng = np.random.default_rng(n)
    neurons = rng.standard_normal((n + k, d))
    if angle is not None:
        # Parallel or opposite, but for less than few digits show.
        neurons[1] = math.copysign(1.5, angle) * neurons[0] + angle * neurons[1]
    weights, teacher = neurons[:n], neurons[n:]
    found = balls.enclose(weights, teacher)
    with mp.workdps(60):
        loss, gradient, curved = exact(weights, teacher)
        assert found.loss[0] <= loss <= found.loss[1]
        assert mp.norm(gradient) <= found.slope
        away = np.array((curved - mp.matrix(found.hessian.tolist())).tolist(), dtype=float)
    assert 0 < np.linalg.norm(away, 2) <= found.away
    if precision == 128:
        assert found.loss[1] - found.loss[0] < 1e-14 * found.loss[1]
        assert found.slope <= mp.norm(gradient) * (1 + mp.mpf(1e-15))
        assert found.away < 1e-13


@pytest.mark.parametrize(("along", "across"), [(2, 0), (-0.5, 0), (2, 1e-14), (-1, 1e-12)])
def test_parallel_and_opposite_neurons(along, across):
    unit = np.array([0.6, -0.7, 0.3])
    weights = np.array([unit, along * unit + [across, 0, 0], [0.3, 0.4, -0.5]])
    teacher = 3 * unit[None]
    found = balls.enclose(weights, teacher)
    np.testing.assert_allclose(found.hessian, hessian(weights, teacher), atol=1e-13)
    assert found.away < 1e-13


def test_the_norm_of_what_may_be_zero():
    found = balls.norms_of(np.array([[flint.arb(0, 0.5), flint.arb(0.25, 0.5)]]))[0]
    assert found.contains(0)
    assert found.contains(math.hypot(0.5, 0.75))


@pytest.mark.parametrize(("factor", "proved"), [(0.9999, True), (1.0001, False)])
def test_the_gradient_may_be_so_large(factor, proved, monkeypatch):
    point = balls.enclose(np.eye(3), np.eye(3))
    bound = certify(np.eye(3), np.eye(3))
    slope = factor * 9 * bound.least_eigenvalue**2 / (25 * bound.smoothness)
    steep = dataclasses.replace(point, slope=slope)
    monkeypatch.setattr(certificate, "enclose", lambda *_: steep)
    assert (certify(np.eye(3), np.eye(3)).radius is not None) == proved


def test_a_wide_ball_of_the_hessian_proves_nothing(monkeypatch):
    wide = dataclasses.replace(balls.enclose(np.eye(3), np.eye(3)), away=0.2)
    monkeypatch.setattr(certificate, "enclose", lambda *_: wide)
    found = certify(np.eye(3), np.eye(3))
    assert -0.2 < found.least_eigenvalue < 0
    assert found.radius is None


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_no_eigenvalue_is_below_its_bound(seed, size):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((size, rng.integers(1, size + 1)))
    matrix = root @ root.T * 10.0 ** rng.integers(-8, 8) - rng.integers(0, 3) * np.eye(size)
    matrix = np.tril(matrix) + np.tril(matrix, -1).T
    with mp.workdps(40):
        least = min(mp.eigsy(mp.matrix(matrix.tolist()), eigvals_only=True))
        found = least_eigenvalue(matrix)
        assert least - 1e-12 * (1 + np.abs(matrix).max()) <= found < least


def test_the_bound_of_an_eigenvalue_of_a_large_matrix():
    # 1 everywhere and δ more on the diagonal: δ is the least eigenvalue, 2⁻³⁰ is exact.
    delta = 2.0**-30
    found = least_eigenvalue(np.ones((400, 400)) + delta * np.eye(400))
    assert 0.9 * delta < found < delta
    assert least_eigenvalue(np.full((2, 2), np.inf)) == -math.inf


@pytest.mark.parametrize("wrong", [0.1, 3.0, -0.1])
def test_an_eigenvalue_that_is_not_one_is_not_believed(wrong, monkeypatch):
    monkeypatch.setattr(np.linalg, "eigvalsh", lambda _: np.array([1 + wrong]))
    assert least_eigenvalue(np.diag([2.0, 1.0, 3.0])) < 1


def test_the_smoothness_is_attained_where_the_published_one_is_exceeded():
    # The third derivative is greatest at π/3 from the teacher, along ½ŵ and √¾ across.
    unit, across = np.array([1.0, 0]), np.array([0, 1.0])
    teacher = np.array([unit / 2 + across * math.sqrt(3) / 2])
    step = 1e-4 * (unit / 2 + across * math.sqrt(3) / 2) / 2
    found = quotient((unit - step)[None], (unit + step)[None], teacher)
    weights, reach = unit[None], np.linalg.norm(step)
    assert 0.999 < found / smoothness(weights, teacher, reach) <= 1
    assert found > 1.29 * published(weights, teacher, reach)


def test_the_smoothness_of_two_students_that_part():
    weights, teacher = np.array([[1.0, 0], [1, 0]]), np.array([[1e-6, 0]])
    step = 1e-4 * np.array([[0, 1.0], [0, -1]])
    found = quotient(weights, weights + step, teacher)
    assert 0.8 < found / smoothness(weights, teacher, np.linalg.norm(step)) <= 1


def test_the_smoothness_is_that_of_the_whole_ball():
    teacher = np.array([[math.cos(math.pi / 3), math.sin(math.pi / 3)]])
    weights = np.array([[1.0, 0]])
    near, nearer = np.array([[0.5, 0]]), np.array([[0.505, 0.01]])
    found = quotient(near, nearer, teacher)
    assert smoothness(weights, teacher, 0.0) < found <= smoothness(weights, teacher, 0.5)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 5),
    k=st.integers(1, 3),
    log_step=st.floats(-6, -0.1),
    beside=st.sampled_from([0.0, 1e-8, 1e-3, 1.0]),
)
@settings(max_examples=150, deadline=None)
def test_no_pair_of_points_exceeds_the_smoothness(seed, n, k, log_step, beside):
    rng = np.random.default_rng(seed)
    line = rng.standard_normal(3)
    neurons = beside * rng.standard_normal((n + k, 3)) + rng.choice([-1, 1], (n + k, 1)) * line
    neurons *= 10 ** rng.uniform(-1, 0, (n + k, 1))
    weights, teacher = neurons[:n], neurons[n:]
    reach = 10**log_step * np.linalg.norm(weights, axis=1).min()
    one, other = rng.standard_normal((2, n, 3))
    one *= reach / np.linalg.norm(one)
    other *= reach * rng.uniform(0, 1) / np.linalg.norm(other)
    found = quotient(weights + one, weights + other, teacher)
    bound = smoothness(weights, teacher, reach)
    assert found <= bound + 1e-13 * bound / reach
    if n > 1:
        assert bound <= published(weights, teacher, reach)


@pytest.mark.parametrize(
    ("weights", "teacher", "message"),
    [
        (np.zeros((1, 2)), np.eye(2), "weights: neuron 0 has the greatest entry 0.0"),
        (np.eye(2), np.diag([1.0, 0.0]), "teacher: neuron 1 has the greatest entry 0.0"),
        (np.diag([1.0, math.nan]), np.eye(2), "weights: neuron 1 has the greatest entry nan"),
        (np.eye(2), np.eye(3), r"got shape \(2, 2\) for a teacher of shape \(3, 3\)"),
    ],
)
def test_what_cannot_be_judged_is_named(weights, teacher, message):
    for judged in (certify, refine):
        with pytest.raises(SpecError, match=message):
            judged(weights, teacher)
