"""Batched descents against known minima, other optimisers and each other."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares
from torch.autograd.functional import hessian

from pipeline.engine.descents.descend import descend, hessians
from pipeline.engine.descents.functions import Function
from schemas.errors import SpecError

METHODS = ("gd", "lbfgs", "lm", "newton")
CURVATURE = torch.tensor([1.0, 4.0, 0.3], dtype=torch.float64)
CENTRE = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


def residuals(theta):
    return (theta - CENTRE) * CURVATURE.sqrt()


QUADRATIC = Function(3, lambda theta: residuals(theta).square().sum(dim=1) + 7, residuals)


def bent(theta):
    return torch.cat([1 - theta[:, :-1], 10 * (theta[:, 1:] - theta[:, :-1] ** 2)], dim=1)


def rosenbrock(n):
    return Function(n, lambda theta: bent(theta).square().sum(dim=1), bent)


SADDLE = Function(2, lambda t: t[:, 0] ** 2 - t[:, 1] ** 2 + t[:, 1] ** 4)


def starts(number, n, scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(number, n, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_minimum_of_a_quadratic(method):
    ends = descend(QUADRATIC, starts(20, 3, 5.0), method, 1e-10, 300)
    assert ends.converged.all()
    assert ends.gradient_norm.max() <= 1e-10
    torch.testing.assert_close(ends.theta, CENTRE.expand(20, 3), rtol=0, atol=1e-9)
    torch.testing.assert_close(ends.loss, torch.full((20,), 7.0).double(), rtol=1e-15, atol=0)
    exact = torch.autograd.functional.jacobian(lambda t: QUADRATIC.value(t).sum(), ends.theta).norm(
        dim=1
    )
    torch.testing.assert_close(ends.gradient_norm, exact, rtol=1e-3, atol=1e-14)


@pytest.mark.parametrize("method", ["lbfgs", "lm"])
@pytest.mark.parametrize("n", [2, 10])
def test_rosenbrocks_valley(method, n):
    ends = descend(rosenbrock(n), starts(30, n), method, 1e-10, 1000)
    assert ends.converged.all()
    # In ten dimensions there is a second minimum.
    lowest = ends.loss < 1
    assert lowest.float().mean() > 0.5
    torch.testing.assert_close(
        ends.theta[lowest], torch.ones(int(lowest.sum()), n).double(), rtol=0, atol=1e-8
    )
    assert 5 < ends.iterations.double().mean() < 200


@pytest.mark.parametrize("method", ["gd", "lbfgs", "newton"])
def test_a_flat_quartic_is_followed_down_to_the_tolerance(method):
    quartic = Function(3, lambda theta: (theta**4).sum(dim=1))
    ends = descend(quartic, starts(20, 3), method, 1e-10, 200)
    assert ends.converged.all()
    assert ends.loss.max() < 1e-13


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e4])
def test_rounding_of_the_loss_does_not_end_a_descent(offset):
    """The loss stands still in its last digits long before the gradient is small enough."""
    raised = Function(3, lambda theta: QUADRATIC.value(theta) + offset + (theta**4).sum(dim=1))
    ends = descend(raised, starts(50, 3), "lbfgs", 1e-10, 200)
    assert ends.converged.all()


def test_newton_stops_at_a_saddle_that_lbfgs_leaves():
    near = starts(20, 2, 0.05)
    ends = descend(SADDLE, near, "newton", 1e-10, 100)
    assert ends.converged.all()
    assert ends.theta.abs().max() < 1e-9
    assert ends.iterations.max() < 15
    ends = descend(SADDLE, near, "lbfgs", 1e-10, 100)
    assert ends.converged.all()
    torch.testing.assert_close(ends.loss, torch.full((20,), -0.25).double())


def test_newton_ends_unconverged_where_the_gradient_is_shortest():
    # f' = x² + 1 is least, and not zero, at 0.
    cubic = Function(1, lambda t: t[:, 0] ** 3 / 3 + t[:, 0])
    ends = descend(cubic, torch.tensor([[1.0], [-2.0]]).double(), "newton", 1e-8, 10_000)
    assert not ends.converged.any()
    assert ends.iterations.max() < 100
    torch.testing.assert_close(ends.gradient_norm, torch.ones(2).double())


def test_one_that_goes_down_for_ever_is_given_up():
    slope = Function(2, lambda t: t.sum(dim=1))
    ends = descend(slope, starts(3, 2), "lbfgs", 1e-8, 40)
    assert not ends.converged.any()


def walled(theta):
    """Not a number right of 5, infinite left of −5; between them a quadratic."""
    value = (theta - 1).square().sum(dim=1)
    value = torch.where(theta[:, 0] > 5, torch.nan, value)
    return torch.where(theta[:, 0] < -5, torch.inf, value)


@pytest.mark.parametrize("method", ["gd", "lbfgs", "newton"])
def test_losses_that_are_not_finite_end_their_own_descent_alone(method):
    function = Function(3, walled)
    good = starts(12, 3)
    mixed = good.clone()
    mixed[3], mixed[8] = torch.tensor([6.0, 0, 0]), torch.tensor([-6.0, 0, 0])
    alone = descend(function, good, method, 1e-10, 200)
    beside = descend(function, mixed, method, 1e-10, 200)
    assert alone.converged.all()
    rows = [row for row in range(12) if row not in (3, 8)]
    for name in ("theta", "loss", "gradient_norm", "iterations", "converged"):
        assert torch.equal(getattr(beside, name)[rows], getattr(alone, name)[rows])
    assert not beside.converged[[3, 8]].any()
    assert beside.iterations[[3, 8]].eq(0).all()
    assert not beside.loss[[3, 8]].isfinite().any()
    assert torch.equal(beside.theta[[3, 8]], mixed[[3, 8]])


def test_a_wall_met_on_the_way_is_stepped_back_from():
    far = torch.tensor([[4.9, 40.0, -40.0]]).double()
    ends = descend(Function(3, walled), far, "lbfgs", 1e-10, 200)
    assert ends.converged.all()


def test_a_start_that_is_critical_is_an_end():
    ends = descend(QUADRATIC, CENTRE[None].clone(), "lbfgs", 1e-10, 50)
    assert ends.converged.all()
    assert ends.iterations.item() == 0


def test_iterations_are_bounded():
    ends = descend(rosenbrock(10), starts(5, 10), "lbfgs", 1e-10, 3)
    assert ends.iterations.eq(3).all()
    assert not ends.converged.any()


@pytest.mark.parametrize("method", ["lbfgs", "lm", "newton"])
def test_scaled_variables_mend_bad_conditioning(method):
    stretch = torch.tensor([1e-4, 1.0, 1e4]).double()
    stretched = Function(
        3,
        lambda t: bent(t / stretch).square().sum(dim=1) + (t / stretch - 1).square().sum(dim=1),
        lambda t: torch.cat([bent(t / stretch), t / stretch - 1], dim=1),
    )
    even = Function(
        3,
        lambda t: bent(t).square().sum(dim=1) + (t - 1).square().sum(dim=1),
        lambda t: torch.cat([bent(t), t - 1], dim=1),
    )
    at = 1 + starts(10, 3, 0.2)
    scale = stretch.expand(10, 3)
    ends = descend(stretched, at * stretch, method, 1e-8, 500, scale)
    known = descend(even, at, method, 1e-8, 500)
    assert ends.converged.all()
    torch.testing.assert_close(ends.theta, scale, rtol=1e-8, atol=0)
    # The same descents but for rounding: norms are those of the scaled variables.
    assert (ends.iterations - known.iterations).double().mean().abs() < 5


@pytest.mark.parametrize("method", METHODS)
def test_each_descent_keeps_its_own_scale_when_others_have_ended(method):
    at = torch.ones(4, 3, dtype=torch.float64)
    at[1::2] += starts(2, 3, 0.5)  # the others begin where they end
    scale = torch.tensor([[1e-2], [1.0], [1e2], [4.0]]).double().expand(4, 3)
    ends = descend(rosenbrock(3), at, method, 1e-9, 3, scale)
    assert ends.converged.tolist() == [True, False, True, False]
    theta = ends.theta.requires_grad_()
    (slopes,) = torch.autograd.grad(rosenbrock(3).value(theta).sum(), theta)
    torch.testing.assert_close(ends.gradient_norm, (slopes * scale).norm(dim=1))
    torch.testing.assert_close(ends.loss, rosenbrock(3).value(ends.theta))


@pytest.mark.parametrize("method", ["gd", "lbfgs"])
def test_an_iteration_is_a_step_that_is_taken(method):
    """In a bowl so steep that the first length tried leads far out on its other side."""
    steep = Function(1, lambda t: 1e6 * t[:, 0].square())
    ends = descend(steep, torch.full((1, 1), 1e-3, dtype=torch.float64), method, 1e-30, 1)
    assert ends.iterations.item() == 1
    assert ends.loss.item() < 1


def curve(theta, at):
    return theta[:, :1] * torch.exp(-theta[:, 1:2] * at) + theta[:, 2:]


def test_levenberg_marquardt_fits_a_curve_as_scipy_does():
    at = torch.linspace(0, 4, 25).double()
    noise = torch.from_numpy(np.random.default_rng(1).normal(0, 0.05, 25))
    seen = curve(torch.tensor([[2.0, 1.3, 0.5]]).double(), at)[0] + noise

    def differences(theta):
        return curve(theta, at) - seen

    fit = Function(3, lambda theta: differences(theta).square().sum(dim=1), differences)
    begin = torch.tensor([[1.0, 1.0, 0.0], [3.0, 0.5, 1.0], [1.0, 2.0, 0.2]]).double()
    ends = descend(fit, begin, "lm", 1e-9, 200)
    assert ends.converged.all()
    for row, start in enumerate(begin):
        known = least_squares(
            lambda x: differences(torch.from_numpy(x)[None])[0].numpy(),
            start.numpy(), method="lm", xtol=1e-15, ftol=1e-15, gtol=1e-15,
        )  # fmt: skip
        np.testing.assert_allclose(ends.theta[row], known.x, rtol=1e-7)
        np.testing.assert_allclose(ends.loss[row], 2 * known.cost, rtol=1e-12)


def test_levenberg_marquardt_needs_a_sum_of_squares():
    with pytest.raises(SpecError, match=r"descent\.method: lm needs .* use lbfgs"):
        descend(SADDLE, starts(2, 2), "lm", 1e-8, 10)


@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 15))
@settings(max_examples=5, deadline=None)
def test_but_for_rounding_a_descent_does_not_depend_on_those_beside_it(seed, cut):
    begin = starts(16, 2, seed=seed)
    whole = descend(rosenbrock(2), begin, "lm", 1e-9, 500)
    parts = [descend(rosenbrock(2), part, "lm", 1e-9, 500) for part in (begin[:cut], begin[cut:])]
    apart = torch.cat([part.theta for part in parts])
    torch.testing.assert_close(whole.theta, apart, rtol=0, atol=1e-8)
    iterations = torch.cat([part.iterations for part in parts])
    assert (whole.iterations - iterations).abs().max() <= 2


def test_hessians_are_those_of_torch():
    theta = starts(7, 4)
    found = hessians(rosenbrock(4), theta)
    known = torch.stack([hessian(lambda t: rosenbrock(4).value(t[None])[0], row) for row in theta])
    torch.testing.assert_close(found, known, rtol=1e-13, atol=1e-11)
    assert torch.equal(found, found.transpose(1, 2))


def test_a_line_search_that_begins_on_a_plateau_comes_to_an_end():
    inputs = torch.tensor([[1.0, 0.0], [0.05, 0.0], [0.0, 1.0], [0.0, 0.05]], dtype=torch.float64)

    def neuron(theta):
        return (torch.sigmoid(theta @ inputs.T) - 0.75).square().sum(dim=1)

    start = torch.tensor([[68.503, 98.125]], dtype=torch.float64)
    ends = descend(Function(2, neuron), start, "lbfgs", 1e-9, 100)
    assert ends.converged.all()
    known = torch.tensor([1.188117, 21.972245], dtype=torch.float64)
    assert ((ends.theta[0, :, None] - known).abs().min(dim=1).values < 1e-6).all()
