"""Descents as metrics: of closed forms and of modules, block by block, and what they have found."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.engine.choice import check_forced, check_offer, choose_engine, make_evaluator
from pipeline.engine.contract import EngineChoice, Work
from pipeline.engine.descents.derivatives import hessians, value_and_gradient
from pipeline.engine.descents.ends import Ends
from pipeline.engine.descents.functions import Function, over_parameters, over_section
from pipeline.engine.descents.outcomes import outcomes
from pipeline.engine.descents.spectra import MOST_DENSE, end_eigenvalues
from pipeline.engine.footprint import footprint
from pipeline.engine.reference import evaluate_reference
from schemas.errors import SpecError
from schemas.layout import END_PARAMETERS, OF_DESCENT, DescentOutcome
from schemas.starts import Descent
from tasks.landscape import Landscape
from tasks.objective import ClosedForm, EmpiricalRisk, Split, cross_entropy, squared_error
from tasks.paths.charts import BezierChart
from tasks.section import directions_as_section, whole_section
from tests.models import CASES

CPU, DOUBLE = torch.device("cpu"), torch.float64
METRICS = ("loss", *OF_DESCENT, END_PARAMETERS)


def whole(name):
    landscape = CASES[name]().landscape
    return replace(landscape, section=whole_section(landscape.section.origin))


def choice_of(name, **changes):
    return EngineChoice(name, "cpu", "float64", 1, None, **changes)


def linear_net():
    """Two layers on noisy data: a module, and the same loss written out."""
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(20, 3, dtype=DOUBLE, generator=generator)
    targets = inputs @ torch.randn(3, 2, dtype=DOUBLE, generator=generator)
    targets = targets + 0.3 * torch.randn(20, 2, dtype=DOUBLE, generator=generator)
    module = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Linear(2, 2, bias=False)).double()
    section = whole_section({name: p.detach() for name, p in module.named_parameters()})
    fit = torch.linalg.lstsq(inputs, targets).solution
    least = (inputs @ fit - targets).square().mean().item()

    def apart(theta):
        first, second = theta[:, :6].reshape(-1, 2, 3), theta[:, 6:].reshape(-1, 2, 2)
        return (inputs @ (second @ first).transpose(1, 2) - targets).flatten(1) / 40**0.5

    closed = ClosedForm({"train": lambda theta: apart(theta).square().sum(dim=1)}, {"train": apart})
    risk = EmpiricalRisk(module, squared_error, {"train": Split(inputs, targets)})
    reference = {"global_minimum": least}
    flat = torch.cat([p.reshape(-1) for p in section.origin.values()])
    return (
        Landscape(risk, section, reference=reference),
        Landscape(closed, whole_section({"theta": flat}), reference=reference),
    )


@pytest.mark.parametrize("method", ["lbfgs", "lm", "newton"])
def test_a_module_descends_as_the_same_function_in_closed_form(method):
    module, closed = linear_net()
    points = np.random.default_rng(0).standard_normal((6, 10))
    descent = Descent(method=method, tolerance=1e-9)
    found = [
        make_evaluator(landscape, ("train",), METRICS, choice_of(name), descent).evaluate(points)
        for landscape, name in ((module, "loop"), (closed, "closed-form"))
    ]
    for name in METRICS:
        slack = 2 if name == "iterations" else 1e-6
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-6, atol=slack)
    assert found[0][END_PARAMETERS].shape == (1, 10, 6)
    if method != "newton":
        assert (found[0]["outcome"] == DescentOutcome.GLOBAL).all()
    assert found[0]["end_gradient_norm"].max() <= 1e-9


def test_residuals_are_those_of_the_loss_for_numbers_and_for_classes():
    for name in ("scalar_output", "classes_as_one_hot"):
        landscape = whole(name)
        for split in landscape.objective.splits:
            function = over_parameters(landscape, split, CPU, DOUBLE)
            theta = torch.randn(3, function.n, dtype=DOUBLE)
            torch.testing.assert_close(
                function.residuals(theta).square().sum(dim=1), function.value(theta)
            )
    assert over_parameters(whole("mlp_tanh"), "train", CPU, DOUBLE).residuals is None


@pytest.mark.parametrize("name", ["mlp_relu", "lstm", "frozen_first_layer"])
def test_metrics_at_the_end_are_those_of_the_plain_evaluator_there(name):
    landscape = whole(name)
    splits = tuple(landscape.objective.splits)
    points = 0.3 * np.random.default_rng(0).standard_normal((1, landscape.section.z))
    descent = Descent(max_iterations=4)
    found = make_evaluator(landscape, splits, METRICS, choice_of("loop"), descent).evaluate(points)
    plain = make_evaluator(landscape, splits, ("loss", "gradient_norm"), choice_of("autograd"))
    for row in range(len(splits)):
        there = plain.evaluate(np.ascontiguousarray(found[END_PARAMETERS][row].T))
        np.testing.assert_allclose(found["end_loss"][row], there["loss"][row], rtol=1e-9)
        np.testing.assert_allclose(
            found["end_gradient_norm"][row], there["gradient_norm"][row], rtol=1e-7
        )
    assert (found["end_loss"] < found["loss"]).all()
    assert (found["iterations"] == 4).all()


def test_what_needs_no_gradient_stays_where_it_starts():
    landscape = whole("frozen_first_layer")
    function = over_parameters(landscape, "train", CPU, DOUBLE)
    held = np.setdiff1d(np.arange(function.n), function.free.numpy())
    assert 0 < len(held) < function.n
    points = np.random.default_rng(0).standard_normal((2, function.n))
    descent = Descent(max_iterations=5)
    metrics = (*OF_DESCENT, END_PARAMETERS)
    found = make_evaluator(landscape, ("train",), metrics, choice_of("loop"), descent)
    ends = found.evaluate(points)[END_PARAMETERS][0].T
    assert np.array_equal(ends[:, held], points[:, held])
    assert (ends != points).any(axis=0).sum() > len(function.free) / 2


def test_from_a_grid_descents_begin_at_the_parameters_of_its_points():
    landscape = CASES["mlp_tanh"]().landscape
    section = landscape.section
    points = np.random.default_rng(0).standard_normal((3, section.z))
    descent = Descent(max_iterations=6)
    along = make_evaluator(landscape, ("train",), METRICS, choice_of("loop"), descent)
    moved = section.parameters(torch.from_numpy(points))
    named = [moved.get(n, o.expand(3, *o.shape)) for n, o in section.origin.items()]
    theta = torch.cat([part.reshape(3, -1) for part in named], dim=1)
    alone = make_evaluator(whole("mlp_tanh"), ("train",), METRICS, choice_of("loop"), descent)
    found, known = along.evaluate(points), alone.evaluate(theta.numpy())
    for name in METRICS:
        np.testing.assert_array_equal(found[name], known[name])


@pytest.mark.parametrize("name", ["mlp_tanh", "frozen_first_layer", "lstm"])
def test_along_a_section_the_gradient_is_that_of_the_scan(name):
    landscape = CASES[name]().landscape
    function = over_section(landscape, "train", CPU, DOUBLE)
    points = torch.randn(3, landscape.section.z, dtype=DOUBLE).requires_grad_()
    values = function.value(points)
    (slopes,) = torch.autograd.grad(values.sum(), points)
    metrics = ("loss", "section_gradient")
    known = make_evaluator(landscape, ("train",), metrics, choice_of("autograd"))
    found = known.evaluate(points.detach().numpy())
    np.testing.assert_allclose(values.detach(), found["loss"][0], rtol=1e-12)
    np.testing.assert_allclose(slopes.T, found["section_gradient"][0], rtol=1e-9, atol=1e-12)


def test_blocks_of_starts_are_counted_from_the_first():
    module, _ = linear_net()
    points = np.random.default_rng(0).standard_normal((11, 10))
    choice, descent = choice_of("loop", point_block=4), Descent(tolerance=1e-6)
    evaluator = make_evaluator(module, ("train",), METRICS, choice, descent)
    whole_batch = evaluator.evaluate(points)
    elsewhere = np.concatenate([[[0.0]], points.reshape(-1, 1)]).ravel()[1:].reshape(11, 10)
    parts = [evaluator.evaluate(part) for part in (elsewhere[:8], points[8:])]
    for name in METRICS:
        joined = np.concatenate([part[name] for part in parts], axis=-1)
        assert np.array_equal(whole_batch[name], joined)


@pytest.mark.parametrize("n", [5, MOST_DENSE + 8])
def test_end_eigenvalues(n):
    diagonal = torch.linspace(-3, 8, n, dtype=DOUBLE)
    closed = ClosedForm({"train": lambda t: (diagonal * t.square()).sum(dim=1) / 2 + t[:, 0] ** 4})
    landscape = Landscape(closed, whole_section({"theta": torch.zeros(n)}))
    function = over_parameters(landscape, "train", CPU, DOUBLE)
    theta = torch.zeros(2, n, dtype=DOUBLE)
    theta[1, 0] = 1.0  # there the first second derivative is 12 higher
    found = end_eigenvalues(function, theta)
    expected = torch.tensor([[-3.0, 8.0], [diagonal[1], 9.0]], dtype=DOUBLE)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)


def test_eigenvalues_are_of_what_is_free_and_nan_where_the_loss_is_not_finite():
    landscape = whole("frozen_first_layer")
    function = over_parameters(landscape, "train", CPU, DOUBLE)
    theta = torch.randn(2, function.n, dtype=DOUBLE)
    found = end_eigenvalues(function, theta)
    metrics = ("hessian_eigenvalue_min", "hessian_eigenvalue_max")
    plain = make_evaluator(landscape, ("train",), metrics, choice_of("autograd"))
    known = plain.evaluate(theta.numpy())
    np.testing.assert_allclose(found.T, [known[name][0] for name in metrics], rtol=1e-6, atol=1e-9)
    bowl = Function(3, lambda at: at[:, :2].square().sum(dim=1), free=torch.tensor([0, 1]))
    assert end_eigenvalues(bowl, torch.zeros(1, 3, dtype=DOUBLE)).tolist() == [[2.0, 2.0]]
    theta[1, :] = torch.nan
    found = end_eigenvalues(function, theta)
    assert found[0].isfinite().all()
    assert found[1].isnan().all()


def judged(
    loss, least, *, greatest=1.0, start=1.0, known=None, converged=True, low=False, tolerance=1e-7
):
    one = torch.ones(1, dtype=DOUBLE)
    reached = torch.tensor([converged]), torch.tensor([low])
    ends = Ends(one[None], loss * one, 0 * one, one.long(), *reached)
    eigenvalues = torch.tensor([[least, greatest]]).double()
    return outcomes(ends, eigenvalues, start * one, known, tolerance).item()


def test_outcomes_at_their_borders():
    assert judged(0.5, 0.0) == DescentOutcome.MINIMUM
    assert judged(0.5, -0.9e-6) == DescentOutcome.MINIMUM
    assert judged(0.5, -1.1e-6) == DescentOutcome.SADDLE
    assert judged(0.5, -1.1e-6, greatest=2.0) == DescentOutcome.MINIMUM
    assert judged(0.5, -2.1e-6, greatest=2.0) == DescentOutcome.SADDLE
    assert judged(0.5, -0.9e-6, greatest=1e-9) == DescentOutcome.MINIMUM
    assert judged(0.5, -1.1e-6, tolerance=1e-6) == DescentOutcome.MINIMUM
    assert judged(0.5, -1.1e-6, greatest=100.0, tolerance=1e-10) == DescentOutcome.SADDLE
    assert judged(0.5, -0.9e-9, tolerance=1e-12) == DescentOutcome.MINIMUM
    assert judged(0.5, -1.0, converged=False) == DescentOutcome.NOT_CONVERGED
    assert judged(0.0, 1.0, known=0.0, converged=False) == DescentOutcome.NOT_CONVERGED
    assert judged(0.5, -1.0, converged=False, low=True) == DescentOutcome.LOW_ENOUGH
    assert judged(0.0, 1.0, known=0.0, converged=False, low=True) == DescentOutcome.LOW_ENOUGH
    assert judged(0.0, 1.0, known=0.0, low=True) == DescentOutcome.GLOBAL
    assert judged(0.5, -1.0, low=True) == DescentOutcome.SADDLE
    assert judged(0.9e-6, 1.0, known=0.0) == DescentOutcome.GLOBAL
    assert judged(1.1e-6, 1.0, known=0.0) == DescentOutcome.SPURIOUS
    assert judged(9e-6, 1.0, known=0.0, start=10.0) == DescentOutcome.GLOBAL
    assert judged(-1e-9, 1.0, known=0.0) == DescentOutcome.GLOBAL
    assert judged(0.0, 1.0, known=0.0, start=0.0) == DescentOutcome.GLOBAL
    assert judged(-5 + 4.9e-6, 1.0, known=-5.0, start=-5.0) == DescentOutcome.GLOBAL
    assert judged(-5 + 5.1e-6, 1.0, known=-5.0, start=-5.0) == DescentOutcome.SPURIOUS
    assert judged(0.0, -1.0, known=0.0) == DescentOutcome.SADDLE
    assert judged(0.5, float("nan")) == DescentOutcome.MINIMUM


def test_the_global_minimum_is_that_of_the_first_split():
    closed = ClosedForm(
        {split: lambda theta: theta.square().sum(dim=1) + 1 for split in ("train", "test")}
    )
    section = whole_section({"theta": torch.zeros(2)})
    for known, first in ((1.0, DescentOutcome.GLOBAL), (0.5, DescentOutcome.SPURIOUS)):
        landscape = Landscape(closed, section, reference={"global_minimum": known})
        evaluator = make_evaluator(
            landscape, ("train", "test"), METRICS, choice_of("closed-form"), Descent()
        )
        found = evaluator.evaluate(np.ones((1, 2)))["outcome"]
        assert found.dtype == np.uint8
        assert found[:, 0].tolist() == [first, DescentOutcome.MINIMUM]


def test_in_float32_eigenvalues_are_float64():
    module, _ = linear_net()
    choice = replace(choice_of("loop", point_block=2), dtype="float32")
    points = np.random.default_rng(0).standard_normal((2, 10))
    evaluator = make_evaluator(module, ("train",), METRICS, choice, Descent(tolerance=1e-3))
    found = evaluator.evaluate(points)
    ends = found[END_PARAMETERS]
    assert np.array_equal(ends, ends.astype(np.float32))
    function = over_parameters(module, "train", CPU, DOUBLE)
    exact = end_eigenvalues(function, torch.from_numpy(np.ascontiguousarray(ends[0].T)))
    np.testing.assert_array_equal(found["end_hessian_eigenvalue_min"][0], exact[:, 0])


def test_the_engine_takes_as_many_descents_together_as_there_is_room_for():
    landscape, descent = whole("mlp_tanh"), Descent()
    points = np.zeros((8, landscape.section.z))

    def chosen(room):
        work = Work(("train",), METRICS, points, 10**6, room, descent)
        return choose_engine(landscape, "cpu", "float64", 1, work)

    small, large = chosen(2**23), chosen(2**30)
    assert 1 < small.point_block < large.point_block
    assert large.name == "loop"
    needed = footprint(landscape, ("train",), METRICS, small, descent)
    assert needed.block > footprint(landscape, ("train",), ("loss",), small).block
    wider = footprint(landscape, ("train",), METRICS, large, descent)
    assert wider.block > needed.block
    newton = descent.model_copy(update={"method": "newton"})
    matrices = footprint(landscape, ("train",), METRICS, small, newton).block - needed.block
    assert matrices > small.point_block * 8 * landscape.section.z**2


def test_memory_that_runs_out_does_not_part_a_block(monkeypatch):
    module, _ = linear_net()
    choice = choice_of("loop", point_block=4)
    evaluator = make_evaluator(module, ("train",), METRICS, choice, Descent())

    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr("pipeline.engine.descents.evaluator.descend", full)
    with pytest.raises(MemoryError):
        evaluator.evaluate(np.zeros((4, 10)))
    assert evaluator.choice.point_block == 4


def test_what_a_landscape_does_not_offer_is_refused():
    classes, module = whole("mlp_relu"), linear_net()[0]
    assert classes.objective.loss is cross_entropy
    lm = Descent(method="lm")
    with pytest.raises(SpecError, match=r"descent\.method: lm needs .* use lbfgs"):
        check_offer(classes, ("train",), METRICS, lm)
    check_offer(module, ("train",), METRICS, lm)
    with pytest.raises(SpecError, match="'section_gradient'; it is measured along axes"):
        check_offer(module, ("train",), ("section_gradient",))
    with pytest.raises(SpecError, match="'batched' evaluates along axes, and starts have none"):
        check_forced(module, ("loss",), choice_of("batched"))
    with pytest.raises(ValueError, match="there is none"):
        check_offer(module, ("train",), ("loss", "end_loss"))


def test_along_a_path_second_derivatives_have_the_part_of_its_bend():
    corners = [{"theta": torch.tensor(row).double()} for row in ([1.0, 0.0], [0.5, 2.0])]
    section = replace(
        directions_as_section({"theta": torch.zeros(2)}, corners), chart=BezierChart(2)
    )
    closed = ClosedForm({"train": lambda theta: (theta.sin() + theta**2).sum(dim=1)})
    landscape = Landscape(closed, section)
    points = torch.tensor([[0.2], [0.7]], dtype=DOUBLE)
    function = over_section(landscape, "train", CPU, DOUBLE)
    metrics = ("loss", "section_gradient", "section_hessian")
    known = evaluate_reference(landscape, points.numpy(), ("train",), metrics)
    values, slopes = value_and_gradient(function, points)
    np.testing.assert_allclose(values, known["loss"][0], rtol=1e-12)
    np.testing.assert_allclose(slopes.T, known["section_gradient"][0], rtol=1e-12)
    np.testing.assert_allclose(
        hessians(function, points)[:, 0, 0], known["section_hessian"][0, 0, 0], rtol=1e-12
    )
