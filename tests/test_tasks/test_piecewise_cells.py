"""Activation cells of small networks: their least losses, minima joined or not, walls on lines."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from schemas.errors import SpecError
from tasks import TASKS, BuildContext
from tasks.piecewise import cells_minima
from tasks.piecewise.cells import TwoLayer, cell_optimum, features, same_cell
from tasks.piecewise.cells_crossings import crossings, layers_of, pieces_at
from tasks.piecewise.cells_joining import JoiningChart, made_reversed
from tasks.piecewise.cells_minima import is_differentiable_minimum, minima, minimum_of_cell
from tasks.piecewise.cells_network import draw_samples
from tasks.section import Section


def build(z=1, seed=3, **parameters):
    task = TASKS["piecewise-cells"]
    return task.builder()(task.parse(parameters), BuildContext(z=z, seed=seed, splits=("train",)))


def losses(landscape, points):
    """Mean losses at coordinates (P, z), by the module."""
    risk, split = landscape.objective, landscape.objective.splits["train"]
    moved = landscape.section.parameters(torch.from_numpy(points))
    found = []
    for row in range(len(points)):
        named = {name: value[row] for name, value in moved.items()}
        outputs = torch.func.functional_call(risk.module, named, (split.inputs,))
        found.append(float(risk.loss(outputs, split.targets).mean()))
    return np.array(found)


@pytest.mark.parametrize(("slope", "units"), [(0.0, 3), (0.3, 2), (1.0, 2)])
def test_minima_that_descents_find_are_least_in_their_cells(slope, units):
    random = np.random.default_rng(1)
    inputs, targets = draw_samples(12, 3, random)
    for _, net in zip(range(3), minima(inputs, targets, units, slope, random), strict=False):
        columns = features(net.slopes(inputs), inputs)
        best = np.square(targets - columns @ np.linalg.lstsq(columns, targets)[0]).mean()
        optimum = cell_optimum(net.slopes(inputs), inputs, targets)
        assert optimum.loss == pytest.approx(best, rel=1e-12)
        assert net.loss(inputs, targets) == pytest.approx(best, rel=1e-9)
        np.testing.assert_allclose(columns @ optimum.free.T, 0, atol=1e-12)
        # Its cell is found to have a minimum, and that one is as low.
        again = minimum_of_cell(net.slopes(inputs), inputs, targets, slope)
        assert again.loss(inputs, targets) == pytest.approx(best, rel=1e-9)


def test_a_cell_has_a_minimum_exactly_where_its_optima_meet_its_cone():
    random = np.random.default_rng(2)
    inputs, targets = draw_samples(8, 2, random)
    having = 0
    for _ in range(40):
        start = TwoLayer(random.standard_normal((2, 2)), np.ones(2), 0.2)
        found = minimum_of_cell(start.slopes(inputs), inputs, targets, 0.2)
        optimum = cell_optimum(start.slopes(inputs), inputs, targets)
        if found is not None:
            having += 1
            assert same_cell(found, start, inputs)
            assert is_differentiable_minimum(found, inputs, targets)
            continue
        # No optimum near the one of least norm is in the cone, whatever the signs of outputs.
        sides = np.where(start.slopes(inputs) == 1.0, 1, -1)
        for _ in range(50):
            moved = random.standard_normal(len(optimum.free)) @ optimum.free
            before = inputs @ (optimum.products + moved.reshape(2, 2)).T
            assert (np.abs(np.sign(before * sides).sum(axis=0)) < 8).any()
    assert 0 < having < 40


def test_two_minima_of_a_cell_are_joined_at_constant_loss():
    landscape = build(widths=[3], section="within")
    inputs = np.array(landscape.facts["inputs"])
    t = np.linspace(0, 1, 31)[:, None]
    found = losses(landscape, t)
    np.testing.assert_allclose(found, found[0], rtol=1e-13)
    assert found[0] > 0.01
    moved = landscape.section.parameters(torch.from_numpy(t))["layer1.weight"].numpy()
    slopes = [inputs @ weights.T > 0 for weights in moved]
    assert all(np.array_equal(each, slopes[0]) for each in slopes)
    ends = [np.array(numbers) for numbers in landscape.facts["minima"]]
    np.testing.assert_allclose(moved[-1].ravel(), ends[1][:9], rtol=1e-12)
    assert np.abs(ends[0] - ends[1]).max() > 0.1


def test_two_minima_of_two_cells_are_not():
    landscape = build(z=2, widths=[3], section="across")
    found = losses(landscape, np.column_stack([np.linspace(0, 1, 21), np.zeros(21)]))
    assert np.ptp(found) > 1e-3
    assert found[-1] < found[0] - 1e-3
    first, second = landscape.section.directions
    numbers = [np.concatenate([d[n].numpy().ravel() for n in d]) for d in (first, second)]
    assert numbers[0] @ numbers[1] == pytest.approx(0, abs=1e-12)
    assert np.linalg.norm(numbers[0]) == pytest.approx(np.linalg.norm(numbers[1]))


def test_the_charts_derivatives_are_those_of_its_coordinates():
    chart = JoiningChart(np.array([0.5, -2.0]), np.array([1.5, -0.7]))
    at, step = np.array([[0.3]]), 1e-4
    near = [chart.coordinates(at + k * step)[0] for k in (-1, 0, 1)]
    slope, bend = (near[2] - near[0]) / (2 * step), (near[2] - 2 * near[1] + near[0]) / step**2
    np.testing.assert_allclose(chart.jacobian(at)[0, :, 0], slope, rtol=1e-6)
    np.testing.assert_allclose(chart.hessian(at)[0, :, 0, 0], bend, rtol=1e-5)
    with pytest.raises(ValueError, match="same signs"):
        JoiningChart(np.array([1.0]), np.array([-1.0]))


@pytest.mark.parametrize("slope", [0.1, 0.5, 0.9])
def test_minima_of_one_cell_with_an_output_of_the_other_sign_are_kept_apart(slope):
    inputs, targets, one, other = made_reversed(slope)
    assert same_cell(one, other, inputs)
    assert is_differentiable_minimum(one, inputs, targets)
    assert is_differentiable_minimum(other, inputs, targets)
    assert one.loss(inputs, targets) == pytest.approx(other.loss(inputs, targets), rel=1e-12)
    assert (one.outputs * other.outputs).tolist() == [-1, 1]
    optimum = cell_optimum(one.slopes(inputs), inputs, targets)
    assert optimum.loss == pytest.approx(one.loss(inputs, targets), rel=1e-12)
    np.testing.assert_allclose(optimum.fixed(0), [0.3, 0, 0], atol=1e-12)
    # A single input fixes nothing.
    few = cell_optimum(one.slopes(inputs)[:1], inputs[:1], targets[:1])
    assert np.linalg.norm(few.fixed(0)) < 1e-12


def test_minima_that_are_not_found_are_no_guess(monkeypatch):
    monkeypatch.setattr(cells_minima, "_TRIES", 1)
    with pytest.raises(SpecError, match="1 descents have not found two minima of one cell"):
        build(section="within")


MODULES = {
    "first layer": nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1)),
    "two layers": nn.Sequential(
        nn.Linear(3, 4, bias=False), nn.LeakyReLU(0.2), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1)
    ),
    "hard tanh": nn.Sequential(
        nn.Linear(3, 3), nn.Hardtanh(-0.5, 1), nn.Linear(3, 3), nn.Hardtanh(), nn.Linear(3, 1)
    ),
    "dying": nn.Sequential(
        nn.Linear(3, 2, bias=False), nn.ReLU(), nn.Linear(2, 3, bias=False), nn.ReLU(),
        nn.Linear(3, 1),
    ),
}  # fmt: skip


def line(module, seed):
    torch.manual_seed(seed)
    origin = {name: torch.randn_like(p).double() for name, p in module.named_parameters()}
    return Section(origin, ({name: torch.randn_like(p) for name, p in origin.items()},))


@pytest.mark.parametrize("name", MODULES)
def test_walls_are_where_the_pieces_change(name):
    module, section = MODULES[name].double(), line(MODULES[name], 4)
    inputs = np.random.default_rng(4).standard_normal((4, 3))
    found = crossings(module, section, inputs, -1.0, 1.0)
    assert (np.diff(found.at) >= 0).all()
    assert len(found.at) > 4
    layers = layers_of(module, section)
    for number, sample in enumerate(inputs):
        own = found.at[found.samples == number]
        # Between two walls the pieces are those of the middle; beyond one they are others.
        cells, walls = [], [-1.0, *own, 1.0]
        for low, high in pairwise(walls):
            inside = [low + part * (high - low) for part in (0.01, 0.5, 0.99)]
            found_there = [np.concatenate(pieces_at(layers, sample, t)) for t in inside]
            assert all((each == found_there[0]).all() for each in found_there)
            cells.append(found_there[0])
        assert all((here != there).any() for here, there in pairwise(cells))


def test_walls_of_the_first_layer_are_roots_of_lines():
    module = MODULES["first layer"].double()
    origin, direction = (line(module, seed) for seed in (5, 6))
    section = Section(origin.origin, ({"0.weight": direction.origin["0.weight"]},))
    inputs = np.random.default_rng(5).standard_normal((6, 3))
    before = inputs @ origin.origin["0.weight"].numpy().T + origin.origin["0.bias"].numpy()
    roots = -before / (inputs @ direction.origin["0.weight"].numpy().T)
    expected = np.sort(roots[np.abs(roots) < 2])
    np.testing.assert_allclose(crossings(module, section, inputs, -2, 2).at, expected, atol=1e-12)


def test_what_cannot_be_followed_is_named():
    module = nn.Sequential(nn.Linear(3, 2), nn.GELU(), nn.Linear(2, 1)).double()
    with pytest.raises(SpecError, match="got GELU after a linear layer; expected ReLU"):
        crossings(module, line(module, 1), np.ones((1, 3)), 0.0, 1.0)
    section = line(module, 1)
    plane = Section(section.origin, section.directions * 2)
    with pytest.raises(SpecError, match="give one axis"):
        crossings(module, plane, np.ones((1, 3)), 0.0, 1.0)


@pytest.mark.parametrize(
    ("parameters", "z", "message"),
    [
        ({"section": "within", "widths": [3, 2]}, 1, "is of one hidden layer, got widths"),
        ({"section": "across", "slope": 1.0}, 1, "needs several cells"),
        ({"section": "reversed", "slope": 0.0}, 1, "with a slope above 0 on 6 samples"),
        ({"section": "within", "slope": 1.0}, 2, "axes: got 2; section: within needs 1"),
        ({"section": "first", "widths": [1]}, 4, "got 4 of 3 parameters"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(parameters, z, message):
    with pytest.raises(SpecError, match=message) as error:
        build(z, **parameters)
    assert "\n" not in str(error.value)
