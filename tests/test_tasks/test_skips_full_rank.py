"""Ψ and its rank: known matrices, random parameters, and those that lemma 3.2 constructs."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from schemas.errors import SpecError
from tasks.skips import features as features_module
from tasks.skips.bounds import zero_error_below
from tasks.skips.features import features, rank
from tasks.skips.full_rank import full_rank
from tasks.skips.wrapper import with_skips

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "softplus": lambda: nn.Softplus(20, 40)}


def network(activation, *widths, inputs=6):
    torch.manual_seed(3)
    parts = []
    for units in widths:
        parts += [nn.Linear(inputs, units), ACTIVATIONS[activation]()]
        inputs = units
    return nn.Sequential(*parts, nn.Linear(inputs, 3))


def samples(number, kind="normal", inputs=6):
    random = torch.Generator().manual_seed(number)
    if kind == "one direction":
        lengths = torch.linspace(-1, 2, number, dtype=torch.float64)[:, None]
        return lengths * torch.randn(inputs, generator=random, dtype=torch.float64)
    return torch.randn(number, inputs, generator=random, dtype=torch.float64)


def random_parameters(model, seed):
    random = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(value.shape, generator=random, dtype=torch.float64)
        for name, value in model.named_parameters()
    }


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 12), st.floats(-6, 6))
def test_a_product_has_the_rank_of_its_factors(rows, columns, inner, exponent):
    random = torch.Generator().manual_seed(rows + 13 * columns)
    left = torch.randn(rows, max(inner, 1), generator=random, dtype=torch.float64)
    right = torch.randn(max(inner, 1), columns, generator=random, dtype=torch.float64)
    found = rank(10.0**exponent * left @ right * (inner > 0))
    assert found.rank == min(rows, columns, inner)
    assert (found.smallest > found.tolerance) == (found.rank == min(rows, columns))


def test_the_least_singular_value_and_the_tolerance():
    matrix = torch.diag(torch.tensor([4.0, 2.0, 1e-3, 1e-20], dtype=torch.float64))[:, :3]
    found = rank(matrix)
    assert (found.rank, found.smallest) == (3, 1e-3)
    assert found.tolerance == 4 * 2.0**-52 * 4
    assert rank(matrix, tolerance=0.01).rank == 2
    assert rank(torch.diag(torch.tensor([1.0, 1e-15]))).rank == 2
    assert rank(torch.diag(torch.tensor([1.0, 1e-16]))).rank == 1


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (torch.ones(3), r"^matrix: got shape \(3,\); expected \(N, M\)$"),
        (torch.tensor([[1.0, math.nan]]), "^matrix: holds NaN"),
    ],
)
def test_what_has_no_rank(matrix, message):
    with pytest.raises(SpecError, match=message):
        rank(matrix)


def test_features_are_taken_in_blocks_in_float64_and_at_other_parameters(monkeypatch):
    model = with_skips(network("sigmoid", 9, 5), torch.zeros(2, 6), units=11)
    x, other = samples(10), random_parameters(model, 1)
    double = with_skips(network("sigmoid", 9, 5), torch.zeros(2, 6), units=11).double()
    expected = double.features(x)
    other_outputs = functional_call(double, other, (x,))
    other_base = functional_call(double, other | {"skip": 0 * other["skip"]}, (x,))
    monkeypatch.setattr(features_module, "_BLOCK_BYTES", 3 * 16 * 14)
    found = features(model, x)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected.detach(), rtol=1e-14, atol=0)
    moved = features(model, x, other)
    torch.testing.assert_close(moved @ other["skip"], other_outputs - other_base)
    with pytest.raises(SpecError, match=r"^parameters: got '0.weight'; expected some of skip, net"):
        features(model, x, {"0.weight": torch.zeros(9, 6)})


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("widths", [(12,), (9, 12), (8, 7, 12), (9, 3, 4, 12)])
@pytest.mark.parametrize("kind", ["normal", "one direction"])
def test_the_constructed_parameters_have_full_rank(activation, widths, kind):
    x = samples(10, kind)
    top = str(2 * len(widths) - 1)
    found = full_rank(with_skips(network(activation, *widths), x[:2].float(), after=[top]), x)
    assert found.rank.rank == 10
    assert found.rank.smallest > 1e6 * found.rank.tolerance
    assert set(found.parameters) == {
        f"network.{name}" for name, _ in network(activation, *widths).named_parameters()
    }


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("seed", range(4))
def test_skip_units_may_be_in_several_layers(activation, seed):
    x = samples(20)
    made = with_skips(network(activation, 9, 9, 9, 9), x[:2].float(), units=24, seed=seed)
    assert full_rank(made, x).rank.rank == 20


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_psi_tends_to_a_triangle(activation):
    x = samples(40)
    model = with_skips(network(activation, 5, 40), x[:2].float(), after=["3"])
    found = full_rank(model, x, steepness=256.0)
    assert found.steepness == 256
    psi = features(model, x, found.parameters)
    # Of the first layer unit 0 carries; units are for the samples from its highest value down.
    weight, bias = (found.parameters[f"network.0.{name}"] for name in ("weight", "bias"))
    carried = ACTIVATIONS[activation]()(x @ weight.T + bias)[:, 0]
    triangle = psi[carried.argsort(descending=True)]
    assert float(triangle.tril(-1).abs().max()) < 1e-50
    expected = {"sigmoid": 1.0, "softplus": 128 / 20}[activation]
    torch.testing.assert_close(triangle.diagonal(), torch.full((40,), expected).double())


def test_the_projection_keeps_the_samples_apart():
    x = samples(40)
    found = full_rank(with_skips(network("sigmoid", 5, 40), x[:2].float(), after=["3"]), x)
    directions = [*samples(60), found.parameters["network.0.weight"][0]]
    values = torch.stack([x @ direction for direction in directions]).sort(dim=1).values
    least = values.diff(dim=1).amin(dim=1) / (values[:, -1] - values[:, 0])
    assert int((least[:-1] < least[-1]).sum()) > 50


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_layers_of_sigmoids_that_are_all_needed_carry_as_well(depth):
    x = samples(12)
    found = full_rank(with_skips(network("sigmoid", *[12 // depth] * depth), x[:2].float()), x)
    assert found.rank.rank == 12


@settings(deadline=None, max_examples=15)
@given(st.integers(2, 60), st.sampled_from(sorted(ACTIVATIONS)), st.integers(0, 99))
def test_any_number_of_samples_has_its_parameters(number, activation, seed):
    x = samples(number, inputs=6)
    model = with_skips(network(activation, 7, number + 4), x[:2].float(), after=["3"])
    assert full_rank(model, x, seed).rank.rank == number


def test_steeper_units_are_tried_until_the_rank_is_reached():
    x = samples(30)
    model = with_skips(network("softplus", 30), x[:2].float())
    found = full_rank(model, x, steepness=2.0**-10)
    assert found.rank.rank == 30
    assert 2.0**-10 < found.steepness < 8


def test_a_repeated_sample_keeps_psi_from_full_rank():
    x = samples(10)
    x[7] = x[2]
    model = with_skips(network("sigmoid", 20), x[:2].float())
    with pytest.raises(SpecError, match=r"^inputs: two of the 10 samples are equal, and Ψ has"):
        full_rank(model, x)
    ranks = [rank(features(model, x, random_parameters(model, seed))).rank for seed in range(20)]
    assert ranks == [9] * 20


@pytest.mark.parametrize(("activation", "units"), [("sigmoid", 10), ("softplus", 16)])
def test_random_parameters_have_full_rank(activation, units):
    # Sharp softplus units may be 1e-20 at every sample, which rounding takes for none: some spare.
    x = samples(10)
    model = with_skips(network(activation, 12, 8), x[:2].float(), units=units)
    ranks = [rank(features(model, x, random_parameters(model, seed))).rank for seed in range(50)]
    assert ranks == [10] * 50


class Branched(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.act = nn.Linear(6, 8), nn.Linear(6, 8), nn.Sigmoid()

    def forward(self, x):
        return self.act(self.one(x)) + self.act(self.two(x))


def relus():
    return nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3))


def default_softplus():
    return nn.Sequential(nn.Linear(6, 20), nn.Softplus(), nn.Linear(20, 3))


def without_bias():
    return nn.Sequential(nn.Linear(6, 20, bias=False), nn.Sigmoid(), nn.Linear(20, 3))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            lambda: network("sigmoid", 9),
            r"^model: 9 skip units have a path .*; expected 10, one for",
        ),
        (lambda: network("softplus", 9, 9), r"^model: 9 skip units have a path"),
        (Branched, r"^model: 'two' does not fit a chain of linear layers with biases, each"),
        (relus, r"^model: '1' does not fit a chain"),
        (without_bias, r"^model: '0' does not fit a chain"),
        (default_softplus, r"^model: '1' does"),
    ],
)
def test_what_the_construction_is_not_for(made, message):
    x = samples(10)
    with pytest.raises(SpecError, match=message) as caught:
        full_rank(with_skips(made(), x[:2].float()), x)
    assert "\n" not in str(caught.value)


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 8), st.integers(2, 5), st.floats(0, 30), st.integers(0, 10**6))
def test_with_a_sample_that_is_wrong_the_loss_is_above_the_bound(number, classes, scale, seed):
    random = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(number, classes, generator=random, dtype=torch.float64)
    targets = logits.argmax(dim=1)
    targets[0] = int(logits[0].argsort()[-2])
    assert float(cross_entropy(logits, targets)) >= zero_error_below(number) * (1 - 1e-12)


@pytest.mark.parametrize("number", [1, 2, 4, 64])
def test_the_bound_is_sharp(number):
    logits = torch.zeros(number, 2, dtype=torch.float64)
    logits[1:, 1] = 1e3
    targets = torch.ones(number, dtype=torch.int64)
    # The first sample's tie goes to class 0.
    assert not torch.equal(logits.argmax(dim=1), targets)
    np.testing.assert_allclose(
        float(cross_entropy(logits, targets)), zero_error_below(number), rtol=1e-15
    )
    with pytest.raises(SpecError, match=r"^samples: got 0; expected at least 1$"):
        zero_error_below(0)
