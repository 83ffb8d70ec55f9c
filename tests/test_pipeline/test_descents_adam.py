"""Adam against torch's own, row by row, and descents that follow one another."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.calibrating import seconds_per_point
from pipeline.engine.choice import check_offer
from pipeline.engine.contract import EngineChoice
from pipeline.engine.descents.descend import descend
from pipeline.engine.descents.evaluator import DescentEvaluator
from pipeline.engine.descents.functions import Function
from pipeline.engine.descents.memory import descent_bytes
from schemas.errors import SpecError
from schemas.layout import OF_DESCENT, DescentOutcome
from schemas.starts import Descent
from tasks.landscape import Landscape
from tasks.objective import ClosedForm
from tasks.section import whole_section

DOUBLE = torch.float64


def bent(theta):
    return torch.cat([1 - theta[:, :-1], 10 * (theta[:, 1:] - theta[:, :-1] ** 2)], dim=1)


def valley(theta):
    return bent(theta).square().sum(dim=1)


ROSENBROCK = Function(2, valley, bent)


def starts(number, n=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(number, n, dtype=DOUBLE, generator=generator)


def by_torch(start, step, decay_every, steps):
    """Where torch's Adam comes from one start."""
    theta = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([theta], lr=step)
    for taken in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = step / (1 + (taken // decay_every if decay_every else 0))
        optimiser.zero_grad()
        valley(theta[None]).sum().backward()
        optimiser.step()
    return theta.detach()


@settings(max_examples=6, deadline=None)
@given(
    step=st.sampled_from([1e-3, 0.05, 0.7]),
    decay_every=st.sampled_from([None, 1, 7]),
    steps=st.integers(1, 20),
    seed=st.integers(0, 2**32 - 1),
)
def test_each_row_goes_as_torchs_adam(step, decay_every, steps, seed):
    begin = starts(3, seed=seed)
    ends = descend(ROSENBROCK, begin, "adam", 1e-30, steps, step=step, decay_every=decay_every)
    for row, start in enumerate(begin):
        known = by_torch(start, step, decay_every, steps)
        torch.testing.assert_close(ends.theta[row], known, rtol=1e-12, atol=1e-12)
    assert ends.iterations.eq(steps).all()
    assert not ends.converged.any()
    torch.testing.assert_close(ends.loss, valley(ends.theta), rtol=1e-13, atol=0)


def test_a_descent_goes_on_alike_when_others_have_ended():
    """Rows end one after another, at the tolerance; the means of the others are theirs."""
    begin = torch.tensor([[1.0, 1.0], [0.9, 0.8], [0.7, 0.6], [1.0, 1.1]], dtype=DOUBLE)
    whole = descend(ROSENBROCK, begin, "adam", 1e-2, 3000, step=0.05)
    assert whole.converged.all()
    assert whole.iterations[0] == 0
    assert len(set(whole.iterations.tolist())) == 4
    for row, start in enumerate(begin):
        known = by_torch(start, 0.05, None, int(whole.iterations[row]))
        torch.testing.assert_close(whole.theta[row], known, rtol=1e-12, atol=1e-12)


def walled(theta):
    """Steep, infinite left of zero, and not a number right of 5."""
    value = 3 * theta[:, 0] + theta[:, 0] ** 2
    value = torch.where(theta[:, 0] < 0, -torch.inf, value)
    return torch.where(theta[:, 0] > 5, torch.nan, value)


def test_where_a_step_leads_nowhere_a_descent_ends_before_it():
    begin = torch.tensor([[6.0], [0.25], [3.0], [torch.inf]], dtype=DOUBLE)
    ends = descend(Function(1, walled), begin, "adam", 1e-9, 12, step=0.1)
    assert ends.iterations.tolist() == [0, 3, 12, 0]
    assert not ends.converged.any()
    assert torch.equal(ends.theta[[0, 3]], begin[[0, 3]])
    assert 0 < ends.theta[1] < 0.1
    # Adam's first steps, of a gradient that hardly changes, are its learning rate.
    torch.testing.assert_close(ends.theta[1], begin[1] - 0.2, rtol=0, atol=5e-3)
    torch.testing.assert_close(ends.loss[1:3], walled(ends.theta[1:3]), rtol=1e-14, atol=0)
    assert ends.gradient_norm[1:3].isfinite().all()


def test_it_ends_at_its_target_and_goes_in_scaled_variables():
    begin, scale = starts(4), torch.tensor([[1e-3, 1.0]], dtype=DOUBLE).expand(4, 2)
    stretched = Function(2, lambda t: valley(t / scale[:1]))
    ends = descend(stretched, begin * scale, "adam", 1e-9, 200, scale, step=0.05, target=2.0)
    known = descend(ROSENBROCK, begin, "adam", 1e-9, 200, step=0.05, target=2.0)
    assert ends.low.tolist() == known.low.tolist() == [True, False, True, True]
    assert ends.loss[ends.low].max() <= 2.0
    assert torch.equal(ends.iterations, known.iterations)
    torch.testing.assert_close(ends.theta, known.theta * scale, rtol=1e-9, atol=0)


def test_without_a_step_there_is_no_adam():
    with pytest.raises(ValueError, match="no method 'adam' without a step"):
        descend(ROSENBROCK, starts(1), "adam", 1e-3, 5)


def landscape(*, squares=True, value=valley, terms=bent):
    closed = ClosedForm({"train": value}, residuals={"train": terms} if squares else {})
    return Landscape(
        closed, whole_section({"theta": torch.zeros(2)}), reference={"global_minimum": 0.0}
    )


def measured(descent, points, block=16, of=None):
    choice = EngineChoice("closed-form", "cpu", "float64", 1, None, block)
    evaluator = DescentEvaluator(None, of or landscape(), ["train"], OF_DESCENT, descent, choice)
    return {name: values[0] for name, values in evaluator.evaluate(points).items()}


TWO = {"method": "adam", "step": 0.01, "max_iterations": 30, "then": {"method": "lm"}}


def test_the_second_descent_begins_where_the_first_ends():
    points = np.concatenate([starts(6).numpy(), [[1.0, 1.0]]])
    found = measured(Descent(**TWO), points)
    first = descend(ROSENBROCK, torch.from_numpy(points), "adam", 1e-8, 30, step=0.01)
    second = descend(ROSENBROCK, first.theta, "lm", 1e-8, 1000)
    np.testing.assert_array_equal(found["iterations"], first.iterations + second.iterations)
    np.testing.assert_array_equal(found["end_loss"], second.loss)
    assert found["iterations"][-1] == 0
    assert (found["iterations"][:-1] > 30).all()
    # Of Adam alone none converges: what counts is the end of the second.
    assert first.converged.sum() == 1
    assert (found["outcome"] == DescentOutcome.GLOBAL).all()
    cut = {**TWO, "then": {"method": "lm", "max_iterations": 2}}
    short = measured(Descent(**cut), points)
    assert (short["iterations"][:-1] == 32).all()
    assert (short["outcome"][:-1] == DescentOutcome.NOT_CONVERGED).all()
    apart = measured(Descent(**TWO), points, block=3)
    np.testing.assert_allclose(apart["end_loss"], found["end_loss"], rtol=1e-9, atol=1e-25)


def test_an_end_is_global_by_where_its_last_stage_began():
    """From far away a first stage alone would take a low minimum for zero."""

    def terms(theta):
        return torch.cat([theta, torch.full_like(theta[:, :1], 3e-3)], dim=1)

    low = landscape(value=lambda theta: terms(theta).square().sum(dim=1), terms=terms)
    far = np.array([[10.0, 0.0]])
    alone = measured(Descent(method="lm"), far, of=low)["outcome"]
    near = {"method": "adam", "step": 0.5, "decay_every": 10, "max_iterations": 400}
    then = measured(Descent(**near, then={"method": "lm"}), far, of=low)["outcome"]
    assert [alone[0], then[0]] == [DescentOutcome.GLOBAL, DescentOutcome.SPURIOUS]
    # Adam has converged, and the second stage takes no step.
    bowl = landscape(value=lambda theta: theta.square().sum(dim=1), terms=lambda theta: theta)
    kept = {**near, "step": 0.1, "tolerance": 1e-3, "then": {"method": "lm"}}
    found = measured(Descent(**kept), np.array([[1.0, 0.0]]), of=bowl)
    assert 0 < found["iterations"][0] < 400
    assert found["end_loss"][0] > 1e-12
    assert found["outcome"][0] == DescentOutcome.GLOBAL


def test_both_share_tolerance_and_target():
    descent = Descent(**TWO, tolerance=1e-3, target=0.05)
    first, second = descent.stages
    assert (first.method, first.then, first.step) == ("adam", None, 0.01)
    assert (second.method, second.max_iterations, second.step) == ("lm", 1000, None)
    for stage in (first, second):
        assert (stage.tolerance, stage.target) == (1e-3, 0.05)
    assert Descent(method="gd").stages == (Descent(method="gd"),)


def test_the_second_stage_is_planned_for_as_well():
    adam = {key: value for key, value in TWO.items() if key != "then"}
    one, two, lm = Descent(**adam), Descent(**TWO), Descent(method="lm")
    sizes = [descent_bytes(landscape(), ["train"], each) for each in (one, two, lm)]
    assert sizes[0] < sizes[1] == sizes[2]
    check_offer(landscape(squares=False), ["train"], ["loss"], one)
    with pytest.raises(SpecError, match=r"descent\.method: lm needs a loss that is a sum of sq"):
        check_offer(landscape(squares=False), ["train"], ["loss"], two)


def test_the_time_of_both_stages_is_foreseen(monkeypatch):
    asked = []

    def timed(_landscape, _points, _contents, _choice, stage):
        asked.append(stage.method)
        return 2.0

    class Asked:
        descent = Descent(**TWO)

    monkeypatch.setattr("pipeline.calibrating._of_descents", timed)
    assert seconds_per_point(landscape(), np.zeros((1, 2)), Asked(), None) == 4.0
    assert asked == ["adam", "lm"]
