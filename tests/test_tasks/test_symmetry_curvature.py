"""Derivatives in closed form, the curvature that copies add, and what is proved of it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import SpecError
from tasks.symmetry import critical_points
from tasks.symmetry.critical_points import CRITICAL, critical_point, polished
from tasks.symmetry.critical_proof import prove
from tasks.symmetry.curvature import (
    Kind,
    Nature,
    Regression,
    copy_curvature,
    derivatives,
    kind_of,
    nature,
    output_slopes,
    residuals,
)
from tasks.symmetry.data import PUBLISHED, grid_inputs, random_teacher
from tasks.symmetry.embedding import embedded
from tasks.symmetry.network import ACTIVATIONS, flattened, outputs_of, unflattened
from tasks.threads import one_thread


@pytest.fixture(autouse=True, scope="module")
def _single_thread():
    """Small products are slower on several threads."""
    with one_thread():
        yield


def published():
    inputs = grid_inputs()
    return Regression(inputs, outputs_of(PUBLISHED, inputs, "sigmoid"), "sigmoid")


def small(seed=0, activation="tanh", outputs=1):
    """Four units teach on 40 samples of three inputs."""
    random = np.random.default_rng(seed)
    inputs = random.standard_normal((40, 3))
    teacher = random_teacher([3, 4, outputs], random)
    return Regression(inputs, outputs_of(teacher, inputs, activation), activation)


def signs(hessian, resolved=1e-9):
    """How many eigenvalues are negative, zero and positive."""
    values = np.linalg.eigvalsh(hessian)
    zero = np.abs(values) < resolved * values.max()
    return int((values[~zero] < 0).sum()), int(zero.sum()), int((values[~zero] > 0).sum())


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 99), st.sampled_from(sorted(ACTIVATIONS)), st.integers(1, 3))
def test_derivatives_are_those_of_torch(seed, activation, outputs):
    data, random = small(seed, activation, outputs), np.random.default_rng(seed)
    sizes = 3, 2, outputs
    point = random.standard_normal(6 + 2 * outputs)
    inputs, targets = torch.from_numpy(data.inputs), torch.from_numpy(data.targets)

    def loss(numbers):
        hidden, output = numbers[:6].reshape(2, 3), numbers[6:].reshape(outputs, 2)
        values = ACTIVATIONS[activation]()(inputs @ hidden.T) @ output.T
        return (values - targets).square().mean()

    at = torch.from_numpy(point)
    found = derivatives(unflattened(point, sizes), data)
    hessian = torch.autograd.functional.hessian(loss, at)
    scale = 1 + float(hessian.abs().max())
    assert found.loss == pytest.approx(loss(at).item(), rel=1e-12)
    for mine, theirs in (
        (found.gradient, torch.autograd.functional.jacobian(loss, at)),
        (found.hessian, hessian),
    ):
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=0, atol=1e-12 * scale)
    away = residuals(unflattened(point, sizes), data)
    slopes = output_slopes(unflattened(point, sizes), data)
    np.testing.assert_allclose(
        2 * np.einsum("nc,ncp->p", away, slopes) / away.size, found.gradient, atol=1e-12 * scale
    )


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from([(0, 1, 1), (1, 2, 1), (2, 2, 2)]),
    st.floats(-1, 2),
    st.lists(st.floats(-1, 1), min_size=3, max_size=3),
    st.data(),
)
def test_copies_that_part_have_the_curvature_of_u(case, share, way, data):
    seed, narrow, outputs = case
    problem = small(seed, outputs=outputs)
    point = critical_point(problem, narrow)
    unit = data.draw(st.integers(0, narrow - 1))
    shares = np.ones(narrow + 1)
    shares[[unit, narrow]] = share, 1 - share
    pair = embedded(point.weights, [*range(narrow), unit], shares)
    move = np.zeros_like(pair[0])
    move[[unit, narrow]] = np.outer([1 - share, -share], way)
    along = flattened([move, np.zeros_like(pair[1])])
    curvature = copy_curvature(point.weights, unit, problem)
    expected = share * (1 - share) * np.array(way) @ curvature @ way
    measured = along @ derivatives(pair, problem).hessian @ along
    assert measured == pytest.approx(expected, rel=1e-10, abs=1e-10 * np.abs(curvature).max())


def test_narrow_networks_of_the_published_teacher():
    one, two = (critical_point(published(), units) for units in (1, 2))
    assert one.derivatives.loss == pytest.approx(0.01493288, abs=5e-9)
    assert two.derivatives.loss == pytest.approx(0.005670639, abs=5e-10)
    assert max(one.derivatives.slope, two.derivatives.slope) <= 1e-14
    only = copy_curvature(one.weights, 0, published())
    np.testing.assert_allclose(np.linalg.eigvalsh(only), [-0.0796, 0.148], atol=5e-5)
    pair = embedded(one.weights, [0, 0], np.array([0.5, 0.5]))
    least = np.linalg.eigvalsh(derivatives(pair, published()).hessian)[0]
    assert least == pytest.approx(-0.0398, abs=5e-5)
    kinds = [kind_of(copy_curvature(two.weights, unit, published())) for unit in (0, 1)]
    assert kinds == [Kind.POSITIVE, Kind.INDEFINITE]


def test_a_plateau_has_no_more_flat_directions_than_shares():
    point = critical_point(published(), 2)
    for shares, unit, expected in (
        ([0.5, 0.5], 0, (0, 1, 8)),
        ([0.2, 0.3, 0.5], 0, (0, 2, 10)),
        ([1.5, -0.5], 0, (2, 1, 6)),
        ([0.5, 0.5], 1, (1, 1, 7)),
        ([1.5, -0.5], 1, (1, 1, 7)),
    ):
        copied = [1 - unit, *[unit] * len(shares)]
        wide = embedded(point.weights, copied, np.array([1.0, *shares]))
        assert signs(derivatives(wide, published()).hessian) == expected


SHARES = st.lists(
    st.floats(-2, 2).filter(lambda share: abs(share) > 0.05), min_size=2, max_size=4
).filter(lambda shares: abs(sum(shares)) > 0.1)


@given(SHARES, st.sampled_from([(1, 2), (-1, -3), (-1, 2)]))
def test_the_nature_of_copies_is_that_of_the_form(drawn, curvature):
    shares = np.array(drawn) / sum(drawn)
    # A basis of the s with Σ β_i s_i = 0, on which the form is Σ β_i s_i² U.
    basis = np.linalg.svd(shares[None])[2][1:]
    form = np.kron(basis @ np.diag(shares) @ basis.T, np.diag(curvature))
    expected = Nature.MINIMUM if np.linalg.eigvalsh(form)[0] > 0 else Nature.SADDLE
    assert nature(kind_of(np.diag(curvature)), shares) is expected


def test_where_nothing_is_said_of_copies():
    for shares in ([1.0], [1.0, 0.0], [0.5, 0.5, 0.0]):
        assert nature(Kind.POSITIVE, np.array(shares)) is None
    assert nature(Kind.SINGULAR, np.array([0.5, 0.5])) is None
    assert kind_of(np.diag([1.0, 1e-12])) is Kind.SINGULAR
    assert kind_of(np.zeros((2, 2))) is Kind.SINGULAR


def test_the_plateau_is_proved_and_the_saddle_is_not():
    point = critical_point(published(), 2)
    proof = prove(published(), point)
    exact = derivatives(point.weights, published())
    assert proof.minimum
    assert proof.slope >= exact.slope / 2
    assert 0.999 * point.least_eigenvalue < proof.least_eigenvalue <= point.least_eigenvalue
    assert 0.999 * exact.loss < proof.loss_lower <= exact.loss
    assert proof.kinds == (Kind.POSITIVE, Kind.INDEFINITE)
    # Farther off than the box there is no proof, nor at a saddle.
    hidden, output = point.weights
    sizes = 2, 2, 1
    moved = flattened([hidden + 1e-6, output])
    away = type(point)(unflattened(moved, sizes), derivatives((hidden + 1e-6, output), published()))
    assert not prove(published(), away).minimum
    saddle = embedded(critical_point(published(), 1).weights, [0, 0], np.array([0.5, 0.5]))
    at = polished(published(), flattened(saddle), 2)
    assert at.derivatives.slope < CRITICAL
    assert not prove(published(), at).minimum


def test_the_third_unit_of_three_is_the_reverse():
    point = critical_point(published(), 3)
    assert prove(published(), point).kinds[2] is Kind.NEGATIVE
    for share, falling in ((0.5, True), (1.5, False), (-0.5, False)):
        pair = embedded(point.weights, [0, 1, 2, 2], np.array([1, 1, share, 1 - share]))
        assert (signs(derivatives(pair, published()).hessian, 1e-11)[0] > 0) is falling


def test_what_cannot_be_found_or_proved_is_said(monkeypatch):
    with pytest.raises(ValueError, match="expected 1 output"):
        prove(small(outputs=2), critical_point(small(), 1))
    monkeypatch.setattr(critical_points, "_FAR", 0.0)
    with pytest.raises(SpecError, match="none of 12 descents of 1 units"):
        critical_point(small(9), 1)
