"""Linear residual nets: the risk, its gradient, the construction and the draws."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import SpecError
from tasks import BuildContext
from tasks.linear.residual import build_residual, product_of
from tasks.linear.residual_construction import (
    conference_bound,
    later_bound,
    rotation_planes,
    small_norm_minimum,
)
from tasks.linear.residual_matrices import make_matrices, spectral_norms
from tasks.linear.residual_parameters import ResidualParameters


def parameters(**raw):
    return ResidualParameters.model_validate(raw)


def build(z=None, seed=0, splits=("population", "excess"), **raw):
    return build_residual(parameters(**raw), BuildContext(z=z, seed=seed, splits=splits))


def product(layers):
    """(I + A_ℓ) … (I + A_1), one after another."""
    found = np.eye(layers.shape[-1])
    for layer in layers:
        found = (np.eye(len(layer)) + layer) @ found
    return found


def gradients(layers, target, covariance):
    """∂f/∂A_i as Hardt & Ma print it: 2(I+A_ℓᵀ)…(I+A_{i+1}ᵀ) E Σ (I+A_{i−1}ᵀ)…(I+A_1ᵀ)."""
    error = product(layers) - target
    found = []
    for i in range(len(layers)):
        after, before = product(layers[i + 1 :]), product(layers[:i])
        found.append(2 * after.T @ error @ covariance @ before.T)
    return np.array(found)


RANDOM = {"target": {"kind": "random", "gamma": 0.7}, "covariance": {"kind": "random"}}


@pytest.mark.parametrize(("layers", "d"), [(1, 3), (2, 1), (3, 2), (4, 3), (7, 2)])
def test_the_risk_and_its_gradient_are_those_of_the_paper(layers, d):
    landscape = build(layers=layers, dimension=d, seed=3, **RANDOM)
    matrices = make_matrices(parameters(layers=layers, dimension=d, **RANDOM), 3)
    theta = np.random.default_rng(0).normal(size=(5, layers * d * d))
    leaf = torch.from_numpy(theta).requires_grad_()
    losses = landscape.objective.functions["population"](leaf)
    (slopes,) = torch.autograd.grad(losses.sum(), leaf)
    for row, loss, slope in zip(theta, losses, slopes, strict=True):
        each = row.reshape(layers, d, d)
        error = product(each) - matrices.target
        expected = np.trace(error @ matrices.covariance @ error.T) + d
        assert loss.item() == pytest.approx(expected, rel=1e-12)
        formula = gradients(each, matrices.target, matrices.covariance).reshape(-1)
        np.testing.assert_allclose(slope, formula, rtol=1e-11, atol=1e-11)


def test_the_risk_is_that_of_samples():
    landscape = build(seed=1, **RANDOM)
    made = make_matrices(parameters(**RANDOM), 1)
    random = np.random.default_rng(0)
    layers = 0.4 * random.normal(size=(3, 2, 2))
    inputs = random.normal(size=(400_000, 2)) @ made.root
    targets = inputs @ made.target.T + random.normal(size=inputs.shape)
    each = np.square(targets - inputs @ product(layers).T).sum(axis=1)
    risk = landscape.objective.functions["population"](torch.from_numpy(layers.reshape(1, -1)))
    assert abs(each.mean() - risk.item()) < 4 * each.std() / np.sqrt(len(each))


def test_the_splits_differ_by_the_constant_and_residuals_square_to_the_excess():
    landscape = build(dimension=3, layers=5, **RANDOM)
    theta = torch.randn(6, 45, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    functions, residuals = landscape.objective.functions, landscape.objective.residuals
    population, excess = functions["population"](theta), functions["excess"](theta)
    torch.testing.assert_close(population - excess, torch.full((6,), 3.0, dtype=torch.float64))
    for split in functions:
        torch.testing.assert_close(residuals[split](theta).square().sum(dim=1), excess)
    single = functions["excess"](theta.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), excess, rtol=1e-4, atol=1e-4)
    assert landscape.reference == {"global_minimum": 3.0}
    assert build(splits=("excess",)).reference == {"global_minimum": 0.0}


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5, 8, 13])
def test_a_product_of_neighbours_keeps_the_order(layers):
    matrices = torch.randn(4, layers, 3, 3, dtype=torch.float64)
    eye = np.eye(3)
    expected = [product(each.numpy() - eye) for each in matrices]
    np.testing.assert_allclose(product_of(matrices), expected, rtol=1e-12, atol=1e-12)


def test_a_value_does_not_depend_on_its_neighbours():
    function = build(layers=6, dimension=3, **RANDOM).objective.functions["population"]
    theta = torch.randn(33, 54, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    whole = function(theta)
    assert all(torch.equal(function(theta[k : k + 1])[0], whole[k]) for k in range(33))


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    d=st.integers(1, 6),
    gamma=st.floats(0, 4),
    extra=st.integers(0, 40),
)
def test_the_construction_is_global_and_meets_both_bounds(seed, d, gamma, extra):
    layers = max(1, int(np.ceil(3 * gamma))) + extra
    raw = {"dimension": d, "layers": layers, "target": {"kind": "random", "gamma": gamma}}
    matrices = make_matrices(parameters(**raw), seed)
    assert matrices.determinant > 0
    assert matrices.gamma == pytest.approx(gamma, abs=1e-12)
    found = small_norm_minimum(matrices.target, layers)
    assert found.shape == (layers, d, d)
    assert np.abs(product(found) - matrices.target).max() < 1e-12 * np.exp(gamma)
    largest = np.linalg.norm(found, 2, axis=(1, 2)).max()
    assert largest <= conference_bound(gamma, layers) + 1e-12
    assert largest <= later_bound(gamma, layers) + 1e-12


def test_the_bounds_are_those_of_both_texts():
    assert conference_bound(0.0, 2) == pytest.approx(math.pi)
    assert conference_bound(math.pi / 3, 4) == pytest.approx(2 * math.pi)
    assert later_bound(0.0, 8) == pytest.approx(math.pi / 2)
    assert later_bound(2.0, 3) - later_bound(0.0, 3) == pytest.approx(2.0)


@pytest.mark.parametrize(
    "eigenvalues", [[-1, -1], [-1, -1, 1], [1, -1, 1, -1, -1, -1], [1, 1, 1], [-1] * 8]
)
@pytest.mark.parametrize("turned", [False, True])
def test_turns_by_pi_are_paired(eigenvalues, turned):
    basis = np.linalg.qr(np.random.default_rng(2).normal(size=[len(eigenvalues)] * 2))[0]
    rotation = np.diag(np.array(eigenvalues, dtype=float))
    if turned:
        rotation = basis @ rotation @ basis.T
    angles = sorted(abs(angle) for _, _, angle in rotation_planes(rotation)[1])
    assert angles[-(eigenvalues.count(-1) // 2) :] == pytest.approx(
        [np.pi] * (eigenvalues.count(-1) // 2) or angles, abs=1e-7
    )
    for layers in (1, 2, 3, 16):
        found = small_norm_minimum(rotation, layers)
        np.testing.assert_allclose(product(found), rotation, atol=1e-13)
    norm = np.linalg.norm(found, 2, axis=(1, 2)).max()
    expected = 2 * np.sin(np.pi / 32) if -1 in eigenvalues else 0.0
    assert norm == pytest.approx(expected, abs=1e-12)


def test_pure_stretches_and_pure_rotations_leave_no_layer_idle():
    stretch = small_norm_minimum(np.diag([4.0, 0.25]), 4)
    np.testing.assert_allclose(stretch, [np.diag([4**0.25 - 1, 4**-0.25 - 1])] * 4, atol=1e-14)
    angle = 0.8
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    norms = np.linalg.norm(small_norm_minimum(turn, 4), 2, axis=(1, 2))
    np.testing.assert_allclose(norms, 2 * np.sin(angle / 8), atol=1e-14)


@pytest.mark.parametrize("rows", [[[1, 0], [0, -1]], [[1, 2], [2, 4]]])
def test_without_a_positive_determinant_there_is_no_construction(rows):
    with pytest.raises(SpecError, match=r"parameters.origin: construction needs .* positive"):
        build(z=1, origin="construction", target={"kind": "given", "rows": rows})


def test_origins_and_directions():
    raw = {"dimension": 2, "layers": 3}
    zero = torch.zeros(1, 1, dtype=torch.float64)

    def at(value=0.0, **more):
        return build(z=1, **raw, **more).section.parameters(zero + value)["theta"].reshape(3, 2, 2)

    eye = torch.eye(2, dtype=torch.float64).expand(3, 2, 2)
    assert torch.equal(at(origin="boundary"), -eye)
    given_layer = [[0.5, 1.0], [0.0, -2.0]]
    assert at(origin="given", layer=given_layer)[2].tolist() == given_layer
    assert torch.equal(at(-0.25, directions="identity"), -0.25 * eye)
    built = build(z=4, **raw).section
    directions = torch.stack([each["theta"] for each in built.directions])
    torch.testing.assert_close(directions @ directions.T, torch.eye(4, dtype=torch.float64))
    theta = build(z=1, origin="construction", **raw, target={"kind": "rotation"})
    there = theta.section.parameters(zero)["theta"]
    assert theta.objective.functions["excess"](there).item() < 1e-28


def test_the_largest_norm_is_stored_for_axes_and_for_starts():
    line = build(z=1, layers=2, directions="identity", origin="boundary")
    field = line.fields["largest_norm"].function
    np.testing.assert_allclose(field(np.array([[0.0], [0.75], [3.0]])), [1, 0.25, 2])
    starts = build(layers=2)
    theta = np.array([[3.0, 0, 0, 4, 0, -7, 0, 0], [0.0] * 7 + [1e-3]])
    np.testing.assert_allclose(starts.fields["largest_norm"].function(theta), [7, 1e-3])


@pytest.mark.parametrize(("layers", "d"), [(1, 1), (3, 2), (5, 4)])
def test_starts_lie_in_the_ball_and_fill_it(layers, d):
    draw = build(layers=layers, dimension=d).draw
    random = np.random.default_rng(4)
    starts = np.array([draw(random, 0.8) for _ in range(400)])
    norms = spectral_norms(starts, d)
    assert norms.max() < 0.8
    # Uniform in the norm: mean 0.4, standard error 0.23 / √(400 ℓ).
    assert norms.mean() == pytest.approx(0.4, abs=0.05)
    assert norms.max() > 0.75
    assert abs(starts.mean()) < 0.05


def test_the_matrices_follow_from_the_seed_and_their_own_parameters_alone():
    one = make_matrices(parameters(layers=2, dimension=4, **RANDOM), 9)
    deeper = make_matrices(parameters(layers=50, dimension=4, **RANDOM), 9)
    np.testing.assert_array_equal(one.target, deeper.target)
    plain = make_matrices(parameters(dimension=4, target=RANDOM["target"]), 9)
    np.testing.assert_array_equal(one.target, plain.target)
    other = make_matrices(parameters(dimension=4, **RANDOM), 10)
    assert np.abs(one.target - other.target).max() > 0.1
    assert np.linalg.eigvalsh(one.covariance)[[0, -1]] == pytest.approx([0.25, 1.0])
    np.testing.assert_allclose(one.root @ one.root, one.covariance, atol=1e-14)
    negative = {"kind": "random", "gamma": 0.7, "determinant": "negative"}
    assert make_matrices(parameters(dimension=4, target=negative), 9).determinant < 0


def test_nothing_across_the_singular_matrices_is_nearer_than_they_are():
    raw = {
        "target": {"kind": "random", "determinant": "negative"},
        "covariance": {"kind": "random"},
    }
    matrices = make_matrices(parameters(dimension=3, **raw), 5)
    random = np.random.default_rng(0)
    # The nearest singular matrix, and random ones of positive determinant about it.
    u, s, v = np.linalg.svd(matrices.target @ matrices.root)
    nearest = (u * np.array([*s[:-1], 0])) @ v @ np.linalg.inv(matrices.root)

    def excess(matrix):
        return np.square((matrix - matrices.target) @ matrices.root).sum()

    assert excess(nearest) == pytest.approx(matrices.least_excess_beyond)
    near = [nearest + 0.05 * random.normal(size=(3, 3)) for _ in range(500)]
    positive = [excess(matrix) for matrix in near if np.linalg.det(matrix) > 0]
    assert len(positive) > 50
    assert min(positive) >= matrices.least_excess_beyond


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"target": {"kind": "given", "rows": [[1, 2]]}}, "target.rows: got 1 rows of"),
        ({"covariance": {"kind": "given", "rows": [[1, 2], [0, 1]]}}, "is not symmetric"),
        ({"covariance": {"kind": "given", "rows": [[1, 2], [2, 1]]}}, "eigenvalue is -1"),
        ({"layer": [[1, 0], [0, 1]]}, "layer: goes with origin: given, got origin: zero"),
        ({"origin": "given"}, "layer: goes with origin: given, got origin: given; add it"),
        ({"origin": "given", "layer": [[1]]}, "layer: got 1 rows"),
    ],
)
def test_matrices_that_do_not_fit_are_refused(raw, message):
    with pytest.raises(ValueError, match=message):
        parameters(dimension=2, **raw)


def test_axes_that_do_not_fit_are_refused():
    with pytest.raises(SpecError, match="axes: got 13; 3 layers of dimension 2 have 12"):
        build(z=13)
    with pytest.raises(SpecError, match="axes: got 2; directions: identity needs 1"):
        build(z=2, directions="identity")
