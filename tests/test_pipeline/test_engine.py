"""Every evaluator against the reference: float64, one point at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pipeline.engine import choose_engine, make_evaluator
from pipeline.engine.contract import EngineChoice
from pipeline.engine.reference import evaluate_reference
from pipeline.shipping import landscape_hash, pack, part_hashes, unpack
from pipeline.verifying import TOLERANCE, relative_difference
from schemas import SpecError
from tasks import BuildContext
from tasks.given import given_landscape
from tasks.quadratic import build_quadratic
from tasks.quadratic_parameters import QuadraticParameters


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU())
        self.head = nn.Linear(3, 4)
        self.register_buffer("shift", torch.tensor(0.5))

    def forward(self, x):
        return self.head((x + self.inner(x) + self.shift).mean(dim=(2, 3)))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6)
        self.second.weight = self.first.weight
        self.norm = nn.LayerNorm(6)

    def forward(self, x):
        return self.norm(self.second(torch.tanh(self.first(x))))[:, :4]


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, dropout=0.3)
        self.cell = nn.GRU(8, 5, batch_first=True)
        self.head = nn.Linear(5, 4)

    def forward(self, x):
        x = self.embedding(x)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head(self.cell(x)[0][:, -1])


def images(n):
    return torch.randn(n, 3, 5, 5)


def vectors(n):
    return torch.randn(n, 6)


def tokens(n):
    return torch.randint(0, 11, (n, 7))


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 4)), vectors),
    "dropout": (lambda: nn.Sequential(nn.Linear(6, 9), nn.Dropout(0.5), nn.Linear(9, 4)), vectors),
    "residual": (Residual, images),
    "tied": (Tied, vectors),
    "tokens": (Tokens, tokens),
}


def make_landscape(name, z, loss="cross_entropy", directions="random", samples=23):
    torch.manual_seed(len(name))
    model, inputs = MODELS[name]
    data = {
        "train": (inputs(samples), torch.randint(0, 4, (samples,))),
        "test": (inputs(7), torch.randint(0, 4, (7,))),
    }
    return given_landscape(
        model().eval(), data, loss=loss, directions=directions, origin=None, z=z, seed=3
    )


def assert_agrees(landscape, points, choice, metrics=("loss", "accuracy")):
    splits = ("train", "test")
    found = make_evaluator(landscape, splits, metrics, choice).evaluate(points)
    expected = evaluate_reference(landscape, points, splits, metrics)
    assert relative_difference(found["loss"], expected["loss"]) <= TOLERANCE[choice.dtype]
    if choice.dtype == "float64" and "accuracy" in metrics:
        np.testing.assert_array_equal(found["accuracy"], expected["accuracy"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_the_loop_agrees_with_the_reference(name, dtype, loss):
    landscape = make_landscape(name, 2, loss)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (5, 2))
    assert_agrees(landscape, points, choose_engine(landscape, "cpu", dtype, 1))


@settings(max_examples=25, deadline=None)
@given(
    z=st.integers(1, 4),
    block=st.integers(1, 30),
    seed=st.integers(0, 99),
    directions=st.sampled_from(["random", "filter"]),
)
def test_sample_blocks_and_sections_agree_with_the_reference(z, block, seed, directions):
    landscape = make_landscape("mlp", z, directions=directions)
    points = np.random.default_rng(seed).normal(size=(3, z))
    assert_agrees(landscape, points, EngineChoice("loop", "cpu", "float64", 1, block))


def test_a_broken_evaluator_would_be_noticed():
    landscape = make_landscape("mlp", 2)
    points = np.array([[0.3, -0.2]])
    expected = evaluate_reference(landscape, points, ("train",), ("loss",))["loss"]
    transposed = evaluate_reference(landscape, points[:, ::-1], ("train",), ("loss",))["loss"]
    assert relative_difference(transposed, expected) > 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_a_point_does_not_depend_on_its_batch(name):
    landscape = make_landscape(name, 2)
    evaluator = make_evaluator(
        landscape, ("train",), ("loss",), choose_engine(landscape, "cpu", "float32", 1)
    )
    points = np.random.default_rng(0).normal(size=(6, 2))
    whole = evaluator.evaluate(points)["loss"]
    alone = np.concatenate([evaluator.evaluate(p[None])["loss"] for p in points], axis=-1)
    np.testing.assert_array_equal(whole, alone)
    backwards = evaluator.evaluate(points[::-1].copy())["loss"][:, ::-1]
    np.testing.assert_array_equal(whole, backwards)


def test_the_origin_is_the_models_own_loss_and_the_model_is_left_alone():
    torch.manual_seed(0)
    model = Residual()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    inputs, targets = images(16), torch.randint(0, 4, (16,))
    landscape = given_landscape(
        model, {"train": (inputs, targets)}, loss="cross_entropy", directions="random",
        origin=None, z=2, seed=0,
    )  # fmt: skip
    choice = choose_engine(landscape, "cpu", "float64", 1)
    evaluator = make_evaluator(landscape, ("train",), ("loss",), choice)
    evaluator.evaluate(np.array([[0.4, 0.4]]))
    found = evaluator.evaluate(np.zeros((1, 2)))["loss"].item()
    assert model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    expected = nn.functional.cross_entropy(model.eval()(inputs), targets).item()
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_a_landscape_survives_shipping(name):
    landscape = make_landscape(name, 2)
    packed = pack(landscape)
    again = unpack(packed)
    assert landscape_hash(again) == landscape_hash(landscape)
    points = np.array([[0.1, 0.2]])
    choice = choose_engine(landscape, "cpu", "float32", 1)
    values = [
        make_evaluator(one, ("train",), ("loss",), choice).evaluate(points)["loss"]
        for one in (landscape, again)
    ]
    np.testing.assert_array_equal(*values)
    # Large tensors travel beside the pickle, not in it.
    assert sum(buffer.nbytes for buffer in packed.buffers) > 2000


def test_tied_parameters_stay_tied_when_shipped():
    module = unpack(pack(make_landscape("tied", 1))).objective.module
    assert module.first.weight is module.second.weight


def test_the_hash_notices_data_parameters_and_directions():
    hashes = {landscape_hash(make_landscape("mlp", 2))}
    hashes.add(landscape_hash(make_landscape("mlp", 1)))
    hashes.add(landscape_hash(make_landscape("mlp", 2, samples=24)))
    hashes.add(landscape_hash(make_landscape("mlp", 2, directions="filter")))
    assert len(hashes) == 4


def test_unknown_splits_and_metrics_are_refused():
    landscape = make_landscape("mlp", 1)
    choice = choose_engine(landscape, "cpu", "float32", 1)
    with pytest.raises(SpecError, match="did you mean 'train'"):
        make_evaluator(landscape, ("trian",), ("loss",), choice)


@pytest.mark.parametrize(
    ("parameters", "other"),
    [
        ({"curvature": 1.0}, {"curvature": 2.0}),
        ({"test_offset": 0.1}, {"test_offset": 0.2}),
        ({"nan_above": None}, {"nan_above": 1.0}),
    ],
)
def test_the_hash_notices_what_a_closed_form_holds(parameters, other):
    built = [
        part_hashes(build_quadratic(QuadraticParameters(**each), BuildContext(2, 0, ("train",))))
        for each in (parameters, parameters, other)
    ]
    assert built[0] == built[1] != built[2]
