"""Running statistics away from the trained parameters: stored, moved, or measured anew."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from pipeline.engine import EngineChoice, choose_engine, make_evaluator
from pipeline.engine.contract import Work
from pipeline.engine.reference import evaluate_reference
from schemas import SpecError
from tasks.batchnorm import Reestimation, batch_norms, reestimate, statistics_as_parameters
from tasks.curvature import mean_loss_gradient
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split, cross_entropy
from tasks.section import directions_as_section

POINTS = np.array([[0.0], [0.3], [1.0]])


def network(seed):
    torch.manual_seed(seed)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(),
        nn.Linear(4 * 4 * 4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3),
    )  # fmt: skip
    with torch.no_grad():
        for _, layer in batch_norms(module):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    return module.eval()


def data(n=30):
    torch.manual_seed(9)
    return Split(torch.randn(n, 1, 6, 6) + 2, torch.randint(0, 3, (n,)))


def landscape(module, reestimation=None, direction=None):
    origin = dict(module.named_parameters())
    torch.manual_seed(3)
    direction = direction or {name: 0.3 * torch.randn_like(t) for name, t in origin.items()}
    objective = EmpiricalRisk(module, cross_entropy, {"train": data()}, reestimation)
    return Landscape(objective, directions_as_section(origin, [direction]))


def losses(scanned, dtype="float64"):
    choice = EngineChoice("loop", "cpu", dtype, 1, 7)
    return make_evaluator(scanned, ("train",), ("loss",), choice).evaluate(POINTS)["loss"]


def test_reestimation_is_that_of_torch():
    module, inputs = network(0).double(), data().inputs.double()
    ours, theirs = copy.deepcopy(module), copy.deepcopy(module).train()
    theirs[3].p = 0.0  # dropout stays off in ours
    batches = Reestimation(inputs, 10).batches
    reestimate(ours, batches)
    update_bn(batches, theirs)
    for (name, mine), (_, other) in zip(batch_norms(ours), batch_norms(theirs), strict=True):
        assert torch.allclose(mine.running_mean, other.running_mean, rtol=1e-12), name
        assert torch.allclose(mine.running_var, other.running_var, rtol=1e-12), name
        assert mine.momentum == 0.1
        assert not mine.training


def test_each_point_has_statistics_of_its_own():
    scanned = landscape(network(0), Reestimation(data().inputs, 15))
    found = losses(scanned)
    section = scanned.section
    for column, (point,) in enumerate(POINTS):
        module = copy.deepcopy(scanned.objective.module).double()
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.copy_(section.origin[name] + point * section.directions[0][name])
            reestimate(module, [b.double() for b in scanned.objective.reestimation.batches])
            expected = cross_entropy(module(data().inputs.double()), data().targets).mean()
        assert found[0, column] == pytest.approx(expected.item(), rel=1e-12)
    reference = evaluate_reference(scanned, POINTS, ("train",), ("loss",))["loss"]
    np.testing.assert_allclose(found, reference, rtol=1e-12)
    assert np.abs(found - losses(landscape(network(0)))).min() > 1e-2  # not the stored ones


def test_a_point_does_not_depend_on_the_points_before_it():
    scanned = landscape(network(0), Reestimation(data().inputs, 15))
    choice = EngineChoice("loop", "cpu", "float64", 1, None)
    alone = make_evaluator(scanned, ("train",), ("loss",), choice).evaluate(POINTS[2:])["loss"]
    assert losses(scanned)[0, 2] == pytest.approx(alone[0, 0], rel=1e-12)


def test_the_module_keeps_its_own_statistics():
    module = network(0)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    losses(landscape(module, Reestimation(data().inputs, 15)))
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_statistics_that_are_parameters_move_in_a_straight_line():
    here, there = network(0), network(1)
    for module in (here, there):
        names = statistics_as_parameters(module)
        assert names == ["1.running_mean", "1.running_var", "6.running_mean", "6.running_var"]
    origin = {name: tensor.detach() for name, tensor in here.named_parameters()}
    end = dict(there.named_parameters())
    direction = {
        name: end[name].detach().double() - tensor.detach() for name, tensor in origin.items()
    }
    scanned = landscape(here, direction=direction)
    expected = [
        cross_entropy(module.double()(data().inputs.double()), data().targets).mean().item()
        for module in (network(0), network(1))
    ]
    for name in ("loop", "traced"):
        choice = EngineChoice(name, "cpu", "float64", 1, None, degree=1)
        evaluator = make_evaluator(scanned, ("train",), ("loss",), choice)
        found = evaluator.evaluate(POINTS)["loss"]
        np.testing.assert_allclose(found[0, [0, 2]], expected, rtol=1e-10)
        np.testing.assert_allclose(found, losses(scanned), rtol=1e-10)


def test_reestimation_is_left_to_the_plain_loop():
    scanned = landscape(network(0), Reestimation(data().inputs, 15))
    work = Work(("train",), ("loss",), np.zeros((4, 1)), 10**6, 2**30)
    assert choose_engine(scanned, "cpu", "float32", 1, work).name == "loop"
    choice = EngineChoice("loop", "cpu", "float64", 1, 1)
    with pytest.raises(SpecError, match=r"gradient_norm.*batchnorm: reestimated"):
        make_evaluator(scanned, ("train",), ("loss", "gradient_norm"), choice)


@pytest.mark.parametrize("batch", [1, 31])
def test_a_batch_must_have_statistics(batch):
    with pytest.raises(SpecError, match=f"batchnorm.batch: got {batch}; expected 2 to 30"):
        Reestimation(data().inputs, batch)


def test_statistics_that_move_have_no_derivative():
    here = network(0)
    statistics_as_parameters(here)
    origin = {name: tensor.detach().double() for name, tensor in here.named_parameters()}
    scanned = landscape(here, direction={name: torch.ones_like(t) for name, t in origin.items()})
    choice = EngineChoice("autograd", "cpu", "float64", 1, 30)
    with pytest.raises(SpecError, match=r"section_gradient.*which have no derivative"):
        make_evaluator(scanned, ("train",), ("loss", "section_gradient"), choice)
    found = make_evaluator(scanned, ("train",), ("loss", "gradient_norm"), choice).evaluate(POINTS)
    weights = {n: t for n, t in origin.items() if not n.endswith(("_mean", "_var"))}
    slope = mean_loss_gradient(scanned.objective, "train", origin, list(weights))
    norm = np.sqrt(sum(float(part.square().sum()) for part in slope.values()))
    assert found["gradient_norm"][0, 0] == pytest.approx(norm, rel=1e-9)
