"""What the evaluators promise beside agreement: bits, reuse, precision, the data left alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.engine import EngineChoice, make_evaluator
from pipeline.engine.choice import _evaluator
from pipeline.engine.contract import Work
from pipeline.engine.graph import polynomial as polynomial_module
from pipeline.engine.graph.candidates import traced_candidates
from pipeline.engine.graph.program import Program
from pipeline.engine.reference import evaluate_reference
from pipeline.shipping import pack, unpack
from pipeline.verifying import relative_difference
from tasks.given import given_landscape
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split, squared_error
from tasks.section import directions_as_section
from tests.models import CASES

PLAIN = EngineChoice("loop", "cpu", "float32", 1, 64)
FORMS = [
    ("mlp_relu", EngineChoice("batched", "cpu", "float32", 1, 16, 4, 1)),
    ("batchnorm_after_linear", EngineChoice("batched", "cpu", "float32", 1, 16, 4, 1)),
    ("residual_network", EngineChoice("traced", "cpu", "float32", 1, 16, 1, 1)),
    ("lstm", EngineChoice("traced", "cpu", "float32", 1, 16, 1, 0)),
    ("deep_linear", EngineChoice("polynomial", "cpu", "float32", 1, 16, 1, 12)),
]


def points_of(landscape, count=9):
    return np.random.default_rng(0).uniform(-1, 1, (count, landscape.section.z))


def losses(landscape, choice, points, splits=("train", "test")):
    return make_evaluator(landscape, splits, ("loss",), choice).evaluate(points)["loss"]


@pytest.mark.parametrize(("name", "choice"), FORMS)
def test_a_points_bits_do_not_depend_on_its_company(name, choice):
    landscape = CASES[name]().landscape
    points = points_of(landscape)
    whole = losses(landscape, choice, points)
    alone = np.concatenate([losses(landscape, choice, point[None]) for point in points], axis=1)
    np.testing.assert_array_equal(whole, alone)
    np.testing.assert_array_equal(whole, losses(landscape, choice, points[::-1].copy())[:, ::-1])
    np.testing.assert_array_equal(whole, losses(landscape, replace(choice, keep=False), points))


def far_zero(depth=3):
    """A deep linear net whose loss is 0 at α = (1, 0), far from the section's origin."""
    torch.manual_seed(0)
    layers = [nn.Linear(4, 4, bias=False, dtype=torch.float64) for _ in range(depth)]
    module = nn.Sequential(*layers)
    inputs = torch.randn(20, 4, dtype=torch.float64)
    targets = module(inputs).detach()
    end = {name: tensor.detach() for name, tensor in module.named_parameters()}
    origin = {name: tensor + torch.randn_like(tensor) for name, tensor in end.items()}
    towards = {name: end[name] - origin[name] for name in end}
    sideways = {name: torch.randn_like(tensor) for name, tensor in end.items()}
    section = directions_as_section(origin, [towards, sideways])
    return Landscape(
        EmpiricalRisk(module, squared_error, {"train": Split(inputs, targets)}), section
    )


NEAR_ZERO = np.array([[1 + 1e-6, 0.0], [1 - 1e-5, 1e-6], [1.0, 1e-4], [0.3, 0.2]])


def test_a_polynomial_loses_no_digits_where_its_terms_cancel():
    landscape = far_zero()
    expected = evaluate_reference(landscape, NEAR_ZERO, ("train",), ("loss",))["loss"]
    assert expected.min() < 1e-10
    choice = EngineChoice("polynomial", "cpu", "float64", 1, 8, 2, 12)
    found = losses(landscape, choice, NEAR_ZERO, ("train",))
    # Both are left with what rounding of the parameters allows so near to a zero.
    assert relative_difference(found, expected) < 1e-8
    assert relative_difference(found[:, -1], expected[:, -1]) < 1e-12


def test_a_polynomial_that_is_forced_in_bfloat16_is_evaluated_in_float64():
    landscape = CASES["deep_linear"]().landscape
    points = points_of(landscape)
    choice = EngineChoice("polynomial", "cpu", "bfloat16", 1, 16, 1, 12)
    expected = evaluate_reference(landscape, points, ("train",), ("loss",))["loss"]
    assert relative_difference(losses(landscape, choice, points, ("train",)), expected) < 1e-12


def test_without_the_guard_it_would(monkeypatch):
    monkeypatch.setitem(polynomial_module._MOST_CANCELLATION, torch.float64, np.inf)
    landscape = far_zero()
    expected = evaluate_reference(landscape, NEAR_ZERO, ("train",), ("loss",))["loss"]
    choice = EngineChoice("polynomial", "cpu", "float64", 1, 8, 2, 12)
    found = losses(landscape, choice, NEAR_ZERO, ("train",))
    assert relative_difference(found, expected) > 1e-4


def late_axis():
    """A deep net whose second axis moves its last layer only."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(12, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 3)
    )
    everything = {name: torch.randn_like(p) for name, p in module.named_parameters()}
    last = {name: everything[name] for name in ("4.weight", "4.bias")}
    data = {"train": (torch.randn(50, 12), torch.randint(0, 3, (50,)))}
    return given_landscape(
        module, data, loss="cross_entropy", directions=[last, everything], origin=None, z=2, seed=0
    )


def grid(rows, columns):
    mesh = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    return np.stack(mesh, axis=-1).reshape(-1, 2)


def test_an_axis_of_a_late_layer_is_walked_fastest():
    landscape, points = late_axis(), grid(7, 5)
    work = Work(("train",), ("loss",), points, 10_000, 2**30)
    first = next(iter(traced_candidates(landscape, "train", work, PLAIN)))
    assert first.outer == (1,)
    assert first.degree >= 1


def test_what_the_late_axis_does_not_change_is_evaluated_once(monkeypatch):
    landscape, points = late_axis(), grid(7, 5)
    prepared = []
    prepare = Program.prepare

    def counting(self, *args):
        prepared.append(1)
        return prepare(self, *args)

    monkeypatch.setattr(Program, "prepare", counting)
    choice = EngineChoice("batched", "cpu", "float64", 1, 25, 4, 1, outer=(1,))
    found = losses(landscape, choice, points, ("train",))
    assert len(prepared) == 5 * 2  # for each coordinate of the outer axis, each block of samples
    expected = evaluate_reference(landscape, points, ("train",), ("loss",))["loss"]
    assert relative_difference(found, expected) < 1e-12


@pytest.mark.parametrize("name", ["mlp_relu", "residual_network", "transformer"])
def test_bfloat16_is_near_and_losses_are_summed_wide(name):
    landscape = CASES[name]().landscape
    points = points_of(landscape)
    expected = evaluate_reference(landscape, points, ("train",), ("loss",))["loss"]
    for engine in ("loop", "traced"):
        choice = EngineChoice(engine, "cpu", "bfloat16", 1, 16, 1, 1)
        difference = relative_difference(losses(landscape, choice, points, ("train",)), expected)
        assert 1e-6 < difference < 5e-2


class Centring(nn.Module):
    """Writes into its inputs, as `x -= 0.5` does."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        x -= 0.5
        return self.linear(x)


@pytest.mark.parametrize("engine", ["loop", "traced", "batched", "autograd"])
def test_a_module_that_writes_into_its_inputs_spoils_nothing(engine):
    torch.manual_seed(0)
    inputs, targets = torch.randn(20, 4, dtype=torch.float64), torch.randint(0, 3, (20,))
    before = inputs.clone()
    landscape = given_landscape(
        Centring(), {"train": (inputs, targets)}, loss="cross_entropy", directions="random",
        origin=None, z=1, seed=0,
    )  # fmt: skip
    points = np.array([[0.0], [0.0], [0.5]])
    expected = evaluate_reference(landscape, points, ("train",), ("loss",))["loss"]
    assert expected[0, 0] == expected[0, 1]
    choice = EngineChoice(engine, "cpu", "float64", 1, 8, 2 if engine == "batched" else 1, 1)
    evaluator = _evaluator(landscape, ("train",), ("loss",), choice)
    for _ in range(2):
        found = evaluator.evaluate(points)["loss"]
        assert relative_difference(found, expected) < 1e-12
    assert torch.equal(inputs, before)


@pytest.mark.parametrize("name", ["weight_normalised", "transformer", "tied_embedding"])
def test_modules_of_the_zoo_survive_shipping(name):
    landscape = CASES[name]().landscape
    again = unpack(pack(landscape))
    points = points_of(landscape, 2)
    np.testing.assert_array_equal(losses(landscape, PLAIN, points), losses(again, PLAIN, points))
