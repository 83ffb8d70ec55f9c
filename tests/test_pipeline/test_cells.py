"""Activation cells against forward hooks that look at the units' inputs."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from pipeline.engine.autograd import AutogradEvaluator
from pipeline.engine.contract import EngineChoice
from schemas import SpecError
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split, squared_error
from tasks.section import Section, directions_as_section

METRICS = ("activation_cell", "activation_changes")
SAMPLES = 13
# Steps of every length: the first ones stay in a cell, the last ones do not.
POINTS = np.array([*np.linspace(0, 1e-4, 5), *np.linspace(1e-3, 0.2, 30), 3, 10, 30])[:, None]


class Call(nn.Module):
    """A function as a module, so that a hook can see what goes in."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def bins(*bounds):
    return lambda x: sum((x > bound).long() for bound in bounds)


def argmax_of_pool(x):
    return functional.max_pool2d(x, 2, return_indices=True)[1]


# The module in the middle of a model, and the pieces that its inputs are in.
UNITS = {
    "relu": (nn.ReLU(), bins(0)),
    "relu in place": (nn.ReLU(inplace=True), bins(0)),
    "leaky": (nn.LeakyReLU(0.1), bins(0)),
    "prelu": (nn.PReLU(), bins(0)),
    "rrelu": (nn.RReLU(), bins(0)),
    "relu6": (nn.ReLU6(), bins(0, 6)),
    "hardtanh": (nn.Hardtanh(-0.2, 0.3, inplace=True), bins(-0.2, 0.3)),
    "threshold": (nn.Threshold(0.1, 0.0), bins(0.1)),
    "hardsigmoid": (nn.Hardsigmoid(), bins(-3, 3)),
    "hardshrink": (nn.Hardshrink(0.2), bins(-0.2, 0.2)),
    "softshrink": (nn.Softshrink(0.2), bins(-0.2, 0.2)),
    "abs": (Call(torch.abs), bins(0)),
    "clamp": (Call(lambda x: x.clamp(-0.1, 0.2)), bins(-0.1, 0.2)),
    "clamp below": (Call(lambda x: x.clamp(min=0.1)), bins(0.1)),
    "clamp above": (Call(lambda x: torch.clamp_max(x, 0.1)), bins(0.1)),
    "clamp in place": (Call(lambda x: (x * 1).clamp_(max=0.1)), bins(0.1)),
    "maximum": (Call(lambda x: torch.maximum(x, 0.1 * x + 0.2)), lambda x: x > 0.1 * x + 0.2),
    "minimum": (Call(lambda x: torch.min(x, -x)), bins(0)),
    "maxout": (Call(lambda x: x.max(dim=2).values), lambda x: x.max(dim=2).indices),
    "global max": (Call(lambda x: x.amax(dim=(-1, 2))), lambda x: x.flatten(2).argmax(dim=2)),
    "global min": (Call(lambda x: x.amin(dim=(2, 3))), lambda x: x.flatten(2).argmin(dim=2)),
    "max pooling": (nn.MaxPool2d(2), argmax_of_pool),
}


class Pool1d(nn.Module):
    def __init__(self):
        super().__init__()
        self.unit = Call(lambda x: functional.max_pool1d(x, 3))
        self.mix = nn.Conv1d(3, 4, 1)

    def forward(self, x):
        return self.unit(self.mix(x.flatten(2)))


def convolution(unit):
    return nn.Sequential(nn.Conv2d(3, 4, 1), unit, nn.Flatten())


def images():
    return torch.randn(SAMPLES, 3, 4, 4)


def landscape(model, inputs):
    with torch.no_grad():
        outputs = model.eval()(inputs)
    origin = {name: p.detach() for name, p in model.named_parameters()}
    direction = {name: torch.randn_like(p) for name, p in origin.items()}
    splits = {"train": Split(inputs, torch.zeros_like(outputs))}
    return Landscape(
        EmpiricalRisk(model, squared_error, splits), directions_as_section(origin, [direction])
    )


def measured(one, block=5, metrics=METRICS, points=POINTS, dtype="float64", threads=1):
    torch.set_num_threads(threads)
    choice = EngineChoice(
        name="autograd", device="cpu", dtype=dtype, threads=threads, sample_block=block
    )
    evaluator = AutogradEvaluator(one.objective, one.section, ("train",), metrics, choice)
    return evaluator.evaluate(points)


def hooked(one, unit, pieces):
    """The pieces at every point, by a hook on a module's inputs, or on its outputs."""
    found = []

    def look(_module, inputs, *_outputs):
        found.append(pieces(inputs[0]).numpy().copy())

    model = one.objective.module.double()
    origin = {name: p.detach().clone() for name, p in model.named_parameters()}
    handle = unit.register_forward_pre_hook(look)
    inputs = one.objective.splits["train"].inputs
    with torch.no_grad():
        for (alpha,) in POINTS:
            for name, parameter in model.named_parameters():
                parameter.copy_(origin[name] + alpha * one.section.directions[0][name])
            model(inputs.double() if inputs.is_floating_point() else inputs)
        for name, parameter in model.named_parameters():
            parameter.copy_(origin[name])
    handle.remove()
    return found


def assert_same_cells(found, pieces):
    """As many changes as the hooks saw, and equal hashes exactly where all pieces are equal."""
    hashes, changes = (found[name][0] for name in METRICS)
    assert hashes.dtype == np.uint64
    assert changes.dtype == np.int64
    np.testing.assert_array_equal(changes, [(here != pieces[0]).sum() for here in pieces])
    same = [[np.array_equal(a, b) for b in pieces] for a in pieces]
    np.testing.assert_array_equal(hashes[:, None] == hashes[None, :], same)
    assert 3 < len(set(hashes.tolist())) < len(POINTS)


@pytest.mark.parametrize("name", UNITS)
def test_every_kind_of_unit(name):
    torch.manual_seed(1)
    unit, pieces = UNITS[name]
    one = landscape(convolution(unit), images())
    assert_same_cells(measured(one), hooked(one, unit, pieces))


def test_several_units_count_together():
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Linear(8, 2),
    )  # fmt: skip
    one = landscape(model, images())
    kinds = {2: bins(0), 3: argmax_of_pool, 6: bins(0)}
    parts = [hooked(one, model[index], pieces) for index, pieces in kinds.items()]
    together = [np.concatenate([p.ravel() for p in here]) for here in zip(*parts, strict=True)]
    found = measured(one)
    assert_same_cells(found, together)
    turned = Section(one.section.origin, ({n: -d for n, d in one.section.directions[0].items()},))
    wrong = measured(dataclasses.replace(one, section=turned))
    assert (wrong["activation_changes"] != found["activation_changes"]).any()


def test_units_within_a_transformer_layer():
    torch.manual_seed(3)
    model = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    one = landscape(model, torch.randn(SAMPLES, 3, 4))
    # Its ReLU is a function, so the hook is on the dropout behind, which sees the outputs.
    assert_same_cells(measured(one), hooked(one, model.dropout, bins(0)))


def test_units_within_a_recurrent_network():
    torch.manual_seed(4)
    model = nn.Sequential(nn.RNN(3, 4, nonlinearity="relu", batch_first=True), Call(lambda x: x[0]))
    one = landscape(model, torch.randn(SAMPLES, 5, 3))
    assert_same_cells(measured(one), hooked(one, model[1], lambda outputs: outputs[0] > 0))


class TimeFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(3, 4)
        self.unit = nn.ReLU()

    def forward(self, x):
        return self.unit(self.mix(x.transpose(0, 1))).transpose(0, 1)


class OfParameters(nn.Module):
    """Seven units of the samples, and 15 of the weights alone."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 3))
        self.shift = nn.Parameter(torch.randn(5))
        self.unit = nn.ReLU()

    def forward(self, x):
        return torch.tanh(x @ self.unit(self.weight).T + self.shift)


def test_samples_along_another_axis():
    torch.manual_seed(5)
    model = TimeFirst()
    one = landscape(model, torch.randn(SAMPLES, 5, 3))
    assert_same_cells(measured(one), hooked(one, model.unit, bins(0)))


def test_units_of_parameters_alone_count_once():
    torch.manual_seed(6)
    model = OfParameters()
    one = landscape(model, torch.randn(SAMPLES, 3))
    # Blocks of five samples, as long as the weight: its rows are no samples.
    assert_same_cells(measured(one, block=5), hooked(one, model.unit, bins(0)))


@pytest.mark.parametrize("block", [1, 2, 5, 13, 100, None])
@pytest.mark.parametrize(
    "model", [OfParameters(), TimeFirst(), convolution(nn.ReLU()), Pool1d()], ids=repr
)
def test_the_hash_does_not_depend_on_the_sample_block(model, block):
    shapes = {"OfParameters": (3,), "TimeFirst": (5, 3)}
    torch.manual_seed(7)
    inputs = torch.randn(SAMPLES, *shapes.get(type(model).__name__, (3, 4, 4)))
    one = landscape(model, inputs)
    points = POINTS[::10]
    expected, found = measured(one, 4, points=points), measured(one, block, points=points)
    for name in METRICS:
        np.testing.assert_array_equal(found[name], expected[name])


def test_units_that_trade_places_are_another_cell():
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 1), nn.ReLU())
    origin = {"0.weight": torch.ones(1, 1), "2.weight": torch.zeros(1, 1), "2.bias": -torch.ones(1)}
    moves = {"0.weight": -2 * torch.ones(1, 1), "2.bias": 2 * torch.ones(1)}
    data = {"train": Split(torch.ones(SAMPLES, 1), torch.ones(SAMPLES, 1))}
    one = Landscape(
        EmpiricalRisk(model, squared_error, data), directions_as_section(origin, [moves])
    )
    # On and off, then off and on.
    found = measured(one, points=np.array([[0.0], [1.0]]))
    assert found["activation_changes"][0].tolist() == [0, 2 * SAMPLES]
    assert len(set(found["activation_cell"][0].tolist())) == 2


def test_the_hash_does_not_depend_on_threads():
    torch.manual_seed(7)
    one = landscape(convolution(nn.ReLU()), torch.randn(SAMPLES, 3, 64, 64))
    found = [measured(one, points=POINTS[-3:], threads=n)["activation_cell"] for n in (1, 2)]
    torch.set_num_threads(1)
    np.testing.assert_array_equal(*found)


def test_the_hash_depends_on_which_sample_is_where():
    torch.manual_seed(8)
    one = landscape(convolution(nn.ReLU()), images())
    split = one.objective.splits["train"]
    turned = Split(split.inputs.flip(0), split.targets)
    other = dataclasses.replace(
        one, objective=dataclasses.replace(one.objective, splits={"train": turned})
    )
    here, there = measured(one), measured(other)
    np.testing.assert_array_equal(here["activation_changes"], there["activation_changes"])
    assert (here["activation_cell"] != there["activation_cell"]).all()


@pytest.mark.parametrize("metrics", [(name,) for name in METRICS])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cells_beside_derivatives_are_the_same_cells(metrics, dtype):
    torch.manual_seed(9)
    one = landscape(convolution(nn.ReLU(inplace=True)), images())
    alone = measured(one, metrics=metrics, dtype=dtype)
    both = measured(one, metrics=(*METRICS, "loss", "section_hessian"), dtype=dtype)
    np.testing.assert_array_equal(alone[metrics[0]], both[metrics[0]])
    assert set(alone) == {*metrics}


def test_an_origin_has_no_changes_and_infinite_activations_are_no_error():
    torch.manual_seed(10)
    one = landscape(convolution(nn.ReLU()), images())
    found = measured(one, points=np.array([[0.0], [1e300], [np.nan]]))
    assert found["activation_changes"][0, 0] == 0
    assert (found["activation_changes"][0, 1:] > 0).all()


@pytest.mark.parametrize("metric", METRICS)
def test_a_smooth_model_is_refused(metric):
    one = landscape(nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Hardswish()), torch.randn(9, 3))
    with pytest.raises(SpecError, match=f"metrics: got '{metric}'.*piecewise-linear") as error:
        measured(one, metrics=("loss", metric))
    assert "\n" not in str(error.value)
