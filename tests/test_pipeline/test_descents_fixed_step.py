"""Descents of a fixed step against a plain loop, targets, and derivatives given in closed form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.descents import spectra
from pipeline.engine.descents.derivatives import gradient_and_hessian, hessians, value_and_gradient
from pipeline.engine.descents.descend import descend
from pipeline.engine.descents.functions import Function, over_parameters, over_section
from pipeline.engine.descents.memory import descent_bytes, spectrum_bytes
from pipeline.engine.descents.spectra import end_eigenvalues
from schemas.starts import FAR, Descent
from tasks.landscape import Landscape
from tasks.objective import ClosedForm
from tasks.section import coordinate_section, whole_section
from tasks.students.population import PopulationLoss

DOUBLE = torch.float64
EVERY = [("gd", 0.1), ("gd", None), ("lbfgs", None), ("lm", None), ("newton", None)]


def plain(slopes, start, step, tolerance, most):
    """One descent as one would write it: where it ends, and how many steps it has taken."""
    loss, first = slopes(start)
    theta, gradient, taken = start, first, 0
    while taken < most and not np.linalg.norm(gradient) <= tolerance:
        theta, taken = theta - step * gradient, taken + 1
        loss, gradient = slopes(theta)
        finite = np.isfinite(loss) and np.isfinite(gradient).all()
        if not (finite and np.linalg.norm(theta) <= FAR):
            theta, gradient, step = start, first, step / 2
    return theta, taken


def compared(function, slopes, starts, step, tolerance, most=10_000):
    ends = descend(function, torch.from_numpy(starts), "gd", tolerance, most, step=step)
    for row, start in enumerate(starts):
        theta, taken = plain(slopes, start, step, tolerance, most)
        assert ends.iterations[row] == taken
        np.testing.assert_allclose(ends.theta[row], theta, rtol=1e-10, atol=1e-10)
    return ends


@settings(max_examples=20, deadline=None)
@given(
    # No step of these, however often halved, is next to 2 over one of these.
    curvature=st.lists(st.sampled_from([0.3, 0.7, 1.1, 3.0]), min_size=1, max_size=4),
    number=st.integers(1, 6),
    step=st.sampled_from([0.05, 0.5, 1.7, 40.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_on_a_quadratic_it_is_the_plain_loop_beyond_stability_as_well(
    curvature, number, step, seed
):
    """Steps beyond 2/λ_max diverge, and are halved until they do not."""
    bend = np.array(curvature)
    starts = np.random.default_rng(seed).normal(size=(number, len(bend)))
    given = Function(len(bend), lambda t: (torch.from_numpy(bend) * t.square()).sum(dim=1) / 2)
    ends = compared(given, lambda t: ((bend * t * t).sum() / 2, bend * t), starts, step, 1e-7)
    assert ends.converged.all()
    assert ends.theta.abs().max() < 1e-6


def test_on_students_of_a_teacher_it_is_the_plain_loop():
    teacher = np.eye(3)

    def slopes(theta):
        """By the angles alone, as Safran & Shamir 2018, arXiv:1712.08968."""
        w = theta.reshape(3, 3)
        everyone, signs = np.concatenate([w, teacher]), np.repeat([1.0, -1.0], 3)
        size = np.linalg.norm(everyone, axis=1)
        unit = everyone / size[:, None]
        apart, about = unit[:3, None] - unit, unit[:3, None] + unit
        angle = 2 * np.arctan2(np.linalg.norm(apart, axis=2), np.linalg.norm(about, axis=2))
        own = (signs * size * np.sin(angle)).sum(axis=1)[:, None] * unit[:3]
        return 0.0, ((own + (signs * (np.pi - angle)) @ everyone) / (2 * np.pi)).ravel()

    loss = PopulationLoss(torch.from_numpy(teacher))
    starts = np.random.default_rng(3).normal(size=(3, 9)) / np.sqrt(3)
    for function in (Function(9, loss, slopes=loss.slopes), Function(9, loss)):
        ends = compared(function, slopes, starts, 0.1, 1e-3)
        assert ends.converged.all()
        assert len(set(ends.iterations.tolist())) > 1


def steep(theta):
    """Σ θ² + θ⁴ and nothing right of 5: from further out only smaller steps come down."""
    value = (theta**2 + theta**4).sum(dim=1)
    return torch.where(theta[:, 0] > 5, torch.nan, value)


def test_each_descent_that_diverges_halves_its_own_step():
    begin = torch.tensor([[0.3], [-1.4], [-2.9], [4.9], [-8.0]], dtype=DOUBLE)

    def slopes(theta):
        return (np.nan if theta[0] > 5 else 0.0), 2 * theta + 4 * theta**3

    function = Function(1, steep)
    ends = compared(function, slopes, begin.numpy(), 0.5, 1e-3)
    assert ends.converged.all()
    alone = [descend(function, one, "gd", 1e-3, 10_000, step=0.5) for one in begin.split(1)]
    assert torch.equal(ends.theta, torch.cat([each.theta for each in alone]))
    assert torch.equal(ends.iterations, torch.cat([each.iterations for each in alone]))
    # Some have just begun again when the iterations are used up.
    cut = descend(function, begin, "gd", 1e-3, 5, step=0.5)
    assert cut.iterations[1:].eq(5).all()
    assert cut.theta.isfinite().all()
    assert cut.loss.isfinite().all()


def test_a_start_that_is_not_finite_or_too_far_is_its_end():
    begin = torch.tensor([[6.0, 0.0], [1.0, torch.inf], [-FAR, 1.0], [0.5, 0.5]], dtype=DOUBLE)
    ends = descend(Function(2, steep), begin, "gd", 1e-3, 5000, step=0.1)
    assert ends.converged.tolist() == [False, False, False, True]
    assert ends.iterations[:3].eq(0).all()
    assert torch.equal(ends.theta[:3], begin[:3])


def apart(theta):
    return torch.stack([theta[:, 0] - 1, 2 * theta[:, 1]], dim=1)


RAISED = Function(2, lambda t: apart(t).square().sum(dim=1) + 7, apart)


@pytest.mark.parametrize(("method", "step"), EVERY)
def test_a_descent_ends_at_its_target(method, step):
    begin = torch.tensor([[30.0, -20.0], [1.0, 0.0], [1.0, 1e-3]], dtype=DOUBLE)
    whole = descend(RAISED, begin, method, 1e-9, 2000, step=step)
    assert whole.converged.all()
    assert not whole.low.any()
    ends = descend(RAISED, begin, method, 1e-9, 2000, step=step, target=7.01)
    assert ends.converged.tolist() == [False, True, False]
    assert ends.low.all()
    assert (ends.loss <= 7.01).all()
    torch.testing.assert_close(ends.loss, RAISED.value(ends.theta), rtol=1e-14, atol=0)
    assert ends.iterations[1:].eq(0).all()
    assert 0 < ends.iterations[0] <= whole.iterations[0]
    if method in ("gd", "lbfgs"):
        before = descend(RAISED, begin, method, 1e-9, int(ends.iterations[0]) - 1, step=step)
        assert before.loss[0] > 7.01
        assert ends.iterations[0] < whole.iterations[0]
    beyond = descend(RAISED, begin, method, 1e-9, 2000, step=step, target=6.9)
    assert torch.equal(beyond.iterations, whole.iterations)
    assert not beyond.low.any()


@pytest.mark.parametrize(("method", "step"), EVERY[:3])
def test_a_loss_that_is_not_finite_is_at_no_target(method, step):
    bottomless = Function(1, lambda t: torch.where(t[:, 0] < 1, -torch.inf, t[:, 0] ** 2))
    begin = torch.tensor([[0.5], [2.0]], dtype=DOUBLE)
    ends = descend(bottomless, begin, method, 1e-9, 50, step=step, target=0.0)
    assert not ends.low.any()
    assert not ends.converged.any()


class Counted:
    """½ Σ c θ² with derivatives as many times too large as `factor` says, counted."""

    def __init__(self, factor=1.0):
        self.factor, self.calls = factor, {"value": 0, "slopes": 0, "hessians": 0}

    def value(self, theta):
        self.calls["value"] += 1
        return (torch.tensor([1.0, 2.0, 3.0], dtype=theta.dtype) * theta.square()).sum(dim=1) / 2

    def slopes(self, theta):
        self.calls["slopes"] += 1
        curvature = torch.tensor([1.0, 2.0, 3.0], dtype=theta.dtype)
        losses = (curvature * theta.square()).sum(dim=1) / 2
        return losses, self.factor * curvature * theta

    def hessians(self, theta):
        self.calls["hessians"] += 1
        bend = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=theta.dtype))
        return self.factor * bend.expand(len(theta), 3, 3)

    def landscape(self, section=None, *, slopes=True, hessians=True):
        closed = ClosedForm(
            {"train": self.value},
            slopes={"train": self.slopes} if slopes else {},
            hessians={"train": self.hessians} if hessians else {},
        )
        return Landscape(closed, section or whole_section({"theta": torch.zeros(3)}))


def whole(counted, **given):
    return over_parameters(counted.landscape(**given), "train", torch.device("cpu"), DOUBLE)


def test_derivatives_in_closed_form_are_used_and_none_other():
    at = torch.tensor([[1.0, -1.0, 0.5], [0.2, 0.0, 2.0]], dtype=DOUBLE)
    counted = Counted(factor=10.0)
    function = whole(counted)
    _, slopes = value_and_gradient(function, at)
    assert counted.calls == {"value": 0, "slopes": 1, "hessians": 0}
    # Ten times too large in everything: nothing comes from the value itself.
    torch.testing.assert_close(slopes, 10 * at * torch.tensor([1.0, 2.0, 3.0]).double())
    gradients, matrices = gradient_and_hessian(function, at)
    assert torch.equal(gradients, slopes)
    bend = torch.diag(torch.tensor([10.0, 20.0, 30.0]).double())
    assert torch.equal(matrices, bend.expand(2, 3, 3))
    assert counted.calls["hessians"] == 1
    assert end_eigenvalues(function, at).tolist() == [[10.0, 30.0]] * 2
    assert counted.calls["hessians"] == 2
    ends = descend(function, at, "gd", 1e-6, 1, step=0.01)
    torch.testing.assert_close(ends.theta, at - 0.01 * slopes)
    assert counted.calls["slopes"] == 4


def test_what_is_not_given_is_differentiated():
    at = torch.tensor([[1.0, -1.0, 0.5]], dtype=DOUBLE)
    curvature = torch.tensor([1.0, 2.0, 3.0]).double()
    wrong = Counted(factor=10.0)
    gradients, matrices = gradient_and_hessian(whole(wrong, hessians=False), at)
    torch.testing.assert_close(gradients, 10 * curvature * at)
    torch.testing.assert_close(matrices[0], torch.diag(curvature))
    gradients, matrices = gradient_and_hessian(whole(wrong, slopes=False), at)
    torch.testing.assert_close(gradients, curvature * at)
    torch.testing.assert_close(matrices[0], 10 * torch.diag(curvature))
    # Coordinates of a section other than the whole are not what the closed form is in.
    along = wrong.landscape(coordinate_section(3))
    function = over_section(along, "train", torch.device("cpu"), DOUBLE)
    torch.testing.assert_close(value_and_gradient(function, at)[1], curvature * at)
    everywhere = over_section(wrong.landscape(), "train", torch.device("cpu"), DOUBLE)
    torch.testing.assert_close(value_and_gradient(everywhere, at)[1], 10 * curvature * at)


def test_given_derivatives_are_nan_where_the_loss_is_not_finite():
    lost = Function(
        2,
        lambda t: torch.full((len(t),), torch.inf, dtype=t.dtype),
        slopes=lambda t: (torch.full((len(t),), torch.inf, dtype=t.dtype), torch.ones_like(t)),
        hessians=lambda t: torch.eye(2, dtype=t.dtype).expand(len(t), 2, 2),
    )
    at = torch.zeros(2, 2, dtype=DOUBLE)
    assert value_and_gradient(lost, at)[1].isnan().all()
    assert hessians(lost, at).isnan().all()
    assert not descend(lost, at, "gd", 1e-6, 5, step=0.1).iterations.any()


@pytest.mark.parametrize("method", ["gd", "lbfgs", "newton"])
def test_students_descend_alike_by_either_derivatives(method):
    loss = PopulationLoss(torch.eye(3, dtype=DOUBLE))
    begin = torch.from_numpy(np.random.default_rng(1).normal(size=(5, 9)))
    given = Function(9, loss, slopes=loss.slopes, hessians=loss.hessians)
    step = 0.1 if method == "gd" else None
    one, other = (
        descend(function, begin, method, 1e-6, 40, step=step)
        for function in (given, Function(9, loss))
    )
    torch.testing.assert_close(one.theta, other.theta, rtol=1e-6, atol=1e-6)
    found, known = (end_eigenvalues(function, one.theta) for function in (given, Function(9, loss)))
    torch.testing.assert_close(found, known, rtol=1e-9, atol=1e-9)


def test_the_estimate_of_memory_knows_what_is_given(monkeypatch):
    loss = PopulationLoss(torch.eye(6, dtype=DOUBLE))
    section = whole_section({"theta": torch.zeros(36)})
    written = ClosedForm({"train": loss}, {}, {"train": loss.slopes}, {"train": loss.hessians})
    given, plain_one = Landscape(written, section), Landscape(ClosedForm({"train": loss}), section)
    splits = ("train",)
    for method in ("gd", "newton"):
        descent = Descent(method=method)
        assert descent_bytes(given, splits, descent) < descent_bytes(plain_one, splits, descent)
    one = 8 * 36**2
    assert spectrum_bytes(plain_one, 3) == 3 * spectra.COPIES * one
    assert spectrum_bytes(given, 3) == 3 * spectra.CLOSED_COPIES * one
    sizes = []
    monkeypatch.setattr(spectra, "BLOCK_BYTES", 4 * spectra.CLOSED_COPIES * one)

    def counted(theta):
        sizes.append(len(theta))
        return loss.hessians(theta)

    function = Function(36, loss, slopes=loss.slopes, hessians=counted)
    at = torch.randn(10, 36, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    end_eigenvalues(function, at)
    assert sizes == [4, 4, 2]
