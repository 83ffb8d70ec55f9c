"""The expected loss of ReLU students against integrals over the plane, samples and Tian's formula.

In the plane the loss is an integral over the direction of x, a trigonometric polynomial between the
directions where some neuron changes its sign, so that Gauss's rule has no error there.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.students.population import PopulationLoss

NODES, WEIGHTS = np.polynomial.legendre.leggauss(12)
sizes = st.floats(0.1, 3.0)
angles = st.floats(-4.0, 4.0)
neurons = st.lists(st.tuples(sizes, angles), min_size=1, max_size=4)


def rows(polar):
    return np.array([[r * math.cos(t), r * math.sin(t)] for r, t in polar])


def integrated(w, v):
    """Loss and gradient (n, 2) of students w (n, 2) and teachers v (k, 2), by quadrature."""
    normals = np.concatenate([w, v])
    turns = np.arctan2(normals[:, 1], normals[:, 0])
    edges = np.sort(np.concatenate([turns + np.pi / 2, turns - np.pi / 2]) % (2 * np.pi))
    edges = np.append(edges, edges[0] + 2 * np.pi)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    at = (middle[:, None] + half[:, None] * NODES).ravel()
    share = (half[:, None] * WEIGHTS).ravel() / (2 * np.pi)
    units = np.stack([np.cos(at), np.sin(at)], axis=1)
    on = units @ w.T > 0
    away = np.maximum(units @ w.T, 0).sum(axis=1) - np.maximum(units @ v.T, 0).sum(axis=1)
    # E ‖x‖² = 2.
    return share @ away**2, 2 * np.einsum("q,q,qi,qa->ia", share, away, on, units)


def value_and_slopes(w, v):
    found, slopes = loss_of(v).slopes(theta_of(w))
    value = loss_of(v)(theta_of(w))
    torch.testing.assert_close(found, value, rtol=1e-13, atol=1e-14)
    return value.item(), slopes.reshape(w.shape).numpy()


def loss_of(v):
    return PopulationLoss(torch.as_tensor(np.asarray(v), dtype=torch.float64))


def theta_of(w):
    return torch.from_numpy(np.asarray(w, dtype=np.float64).reshape(1, -1))


def differentiated(function, theta):
    """Gradients (P, m) and Hessians (P, m, m) by automatic differentiation of the losses."""
    theta = theta.detach().requires_grad_()
    (slopes,) = torch.autograd.grad(function(theta).sum(), theta, create_graph=True)
    columns = range(theta.shape[1])
    turned = [torch.autograd.grad(slopes[:, i].sum(), theta, retain_graph=True) for i in columns]
    return slopes.detach(), torch.stack([row for (row,) in turned], dim=1)


@settings(max_examples=60, deadline=None)
@given(students=neurons, teachers=neurons)
@example([(1.0, 0.0), (1.0, 0.0)], [(1.0, 0.0), (2.0, math.pi)])
@example([(1.0, 1e-9), (0.5, math.pi + 1e-7)], [(2.0, 0.0), (1.0, 1e-4)])
@example([(1.0, math.pi / 4), (1.0, 5 * math.pi / 4)], [(1.0, 0.0), (1.0, math.pi / 2)])
def test_in_the_plane_it_is_the_integral(students, teachers):
    w, v = rows(students), rows(teachers)
    value, slopes = value_and_slopes(w, v)
    expected, gradient = integrated(w, v)
    assert value == pytest.approx(expected, abs=1e-11)
    np.testing.assert_allclose(slopes, gradient, atol=1e-11)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 4),
    k=st.integers(1, 4),
    d=st.integers(1, 5),
    factor=st.floats(0.1, 10.0),
    seed=st.integers(0, 10**6),
)
def test_what_leaves_it_as_it_is(n, k, d, factor, seed):
    """Permutations of students and of teachers, rotations of both; and it is homogeneous."""
    random = np.random.default_rng(seed)
    w, v = random.standard_normal((n, d)), random.standard_normal((k, d))
    value, slopes = value_and_slopes(w, v)
    hessian = loss_of(v).hessians(theta_of(w))[0].numpy()
    order = random.permutation(n)
    again, moved = value_and_slopes(w[order], v[random.permutation(k)])
    assert again == pytest.approx(value, rel=1e-11)
    np.testing.assert_allclose(moved, slopes[order], atol=1e-12)
    turn, _ = np.linalg.qr(random.standard_normal((d, d)))
    turned, along = value_and_slopes(w @ turn, v @ turn)
    assert turned == pytest.approx(value, rel=1e-11)
    np.testing.assert_allclose(along, slopes @ turn, atol=1e-12)
    spectrum = np.linalg.eigvalsh(loss_of(v @ turn).hessians(theta_of(w @ turn))[0].numpy())
    np.testing.assert_allclose(spectrum, np.linalg.eigvalsh(hessian), atol=1e-9)
    scaled, steeper = value_and_slopes(factor * w, factor * v)
    assert scaled == pytest.approx(factor**2 * value, rel=1e-11)
    np.testing.assert_allclose(steeper, factor * slopes, atol=1e-11)


@pytest.mark.parametrize(("n", "k", "d"), [(2, 3, 4), (5, 2, 7), (3, 3, 3)])
def test_in_any_dimension_it_is_the_mean_over_samples(n, k, d):
    random = np.random.default_rng(n)
    w, v = random.standard_normal((n, d)), random.standard_normal((k, d))
    x = random.standard_normal((100_000, d))
    away = np.maximum(x @ w.T, 0).sum(axis=1) - np.maximum(x @ v.T, 0).sum(axis=1)
    slopes_there = (away[:, None] * (x @ row > 0)[:, None] * x for row in w)
    terms = np.column_stack([away**2 / 2, *slopes_there])
    value, slopes = value_and_slopes(w, v)
    error = terms.std(axis=0) / math.sqrt(len(x))
    assert (np.abs(terms.mean(axis=0) - [value, *slopes.ravel()]) < 4.5 * error).all()


def at_every_angle():
    """Points (P, 4·3) with two pairs of neurons at angles of 0, π and near these."""
    random = np.random.default_rng(4)
    points = [random.standard_normal((4, 3)) for _ in range(4)]
    for gap in (0.0, 1e-14, 1e-9, 1e-5, 0.1):
        for sign in (1.0, -1.0):
            w = random.standard_normal((4, 3))
            w[1] = sign * 0.7 * w[0] + gap * random.standard_normal(3)
            w[2] = sign * 1.3 * TEACHER[0] + gap * random.standard_normal(3)
            points.append(w)
    return torch.from_numpy(np.stack(points).reshape(len(points), -1))


TEACHER = np.array([[0.6, -0.8, 0.3], [0.2, 0.5, -1.1]])


def test_slopes_and_hessians_are_derivatives_at_every_angle():
    function, theta = loss_of(TEACHER), at_every_angle()
    slopes, matrices = differentiated(function, theta)
    torch.testing.assert_close(function.slopes(theta)[1], slopes, rtol=0, atol=1e-13)
    torch.testing.assert_close(function.hessians(theta), matrices, rtol=0, atol=1e-11)


def test_slopes_and_hessians_are_limits_of_differences():
    function, theta, step = loss_of(TEACHER), at_every_angle(), 1e-6
    slopes, hessians = function.slopes(theta)[1], function.hessians(theta)
    for column in range(theta.shape[1]):
        aside = torch.zeros_like(theta)
        aside[:, column] = step
        rise = (function(theta + aside) - function(theta - aside)) / (2 * step)
        torch.testing.assert_close(slopes[:, column], rise, rtol=0, atol=1e-8)
        bend = (function.slopes(theta + aside)[1] - function.slopes(theta - aside)[1]) / (2 * step)
        # The sine of an angle of 0 or π has a kink, of the size of the step.
        torch.testing.assert_close(hessians[:, :, column], bend, rtol=0, atol=1e-5)


def test_one_student_of_one_teacher_has_tians_gradient():
    """½(w−v) + (θv − (‖v‖/‖w‖) sin θ w)/2π of Tian 2017, and ½I at w = v."""
    v = TEACHER[0]
    for w in np.random.default_rng(5).standard_normal((20, 3)):
        ratio = np.linalg.norm(v) / np.linalg.norm(w)
        theta = math.acos(w @ v * ratio / (v @ v))
        expected = (w - v) / 2 + (theta * v - ratio * math.sin(theta) * w) / (2 * math.pi)
        np.testing.assert_allclose(value_and_slopes(w[None], v[None])[1][0], expected, atol=1e-14)
    half = loss_of(v[None]).hessians(theta_of(v))[0]
    torch.testing.assert_close(half, torch.eye(3, dtype=torch.float64) / 2, rtol=0, atol=1e-15)


def test_it_vanishes_at_the_teachers_and_at_neurons_that_share_one():
    shared = np.concatenate([0.3 * TEACHER[1:], TEACHER[:1], 0.7 * TEACHER[1:], np.zeros((1, 3))])
    for w in (TEACHER, TEACHER[::-1], shared):
        value, slopes = value_and_slopes(w, TEACHER)
        assert abs(value) < 1e-15
        assert np.abs(slopes[: len(TEACHER)]).max() < 1e-15


def test_a_neuron_that_is_zero_adds_nothing_and_has_the_mean_of_its_slopes():
    w = np.random.default_rng(6).standard_normal((3, 3))
    value, slopes = value_and_slopes(np.insert(w, 1, 0.0, axis=0), TEACHER)
    alone, others = value_and_slopes(w, TEACHER)
    assert value == pytest.approx(alone, rel=1e-14)
    np.testing.assert_allclose(np.delete(slopes, 1, axis=0), others, atol=1e-14)
    aside = 1e-9 * np.random.default_rng(7).standard_normal(3)
    sides = [
        value_and_slopes(np.insert(w, 1, sign * aside, axis=0), TEACHER)[1][1]
        for sign in (1.0, -1.0)
    ]
    np.testing.assert_allclose(slopes[1], np.mean(sides, axis=0), atol=1e-8)


def test_what_was_evaluated_without_gradients_is_differentiable_after():
    loss = PopulationLoss(torch.eye(3, dtype=torch.float64))
    theta = torch.linspace(-1, 1, 12, dtype=torch.float64)[None]
    with torch.inference_mode():
        value = loss(theta)
    again = loss(theta.clone().requires_grad_())
    assert again.item() == value.item()
    again.sum().backward()
