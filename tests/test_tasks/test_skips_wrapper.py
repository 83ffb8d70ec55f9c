"""Networks wrapped with skip connections: the same function, the units meant, every engine."""

from itertools import pairwise

import cloudpickle
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, vmap

import pipeline
from pipeline.engine import EngineChoice, make_evaluator
from pipeline.shipping import pack, unpack
from schemas.errors import SpecError
from tasks.given import given_landscape
from tasks.skips.wrapper import with_skips


def dense(*widths, activation=nn.Sigmoid, outputs=3):
    parts = []
    for inputs, units in pairwise(widths):
        parts += [nn.Linear(inputs, units), activation()]
    return nn.Sequential(nn.Flatten(), *parts, nn.Linear(widths[-1], outputs))


class Shared(nn.Module):
    """A small convolutional network that calls one activation module twice."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Sigmoid(), nn.AvgPool2d(2))
        self.hidden = nn.Linear(12, 5)
        self.act = nn.Softplus()
        self.last = nn.Linear(5, 3)

    def forward(self, x):
        x = self.act(self.features(x))
        return self.last(self.act(self.hidden(x.flatten(1))))


def in_place():
    parts = [nn.Linear(36, 7), nn.Sigmoid(), nn.ReLU(inplace=True), nn.Linear(7, 3)]
    return nn.Sequential(nn.Flatten(), *parts)


NETWORKS = {"dense": lambda: dense(36, 8, 6), "convolutional": Shared, "in place": in_place}
IMAGES = torch.rand(9, 1, 6, 6, generator=torch.Generator().manual_seed(5))


def made(name, **choice):
    torch.manual_seed(2)
    network = NETWORKS[name]()
    return network, with_skips(network, IMAGES[:2], **choice)


def with_drawn_skips(model, seed=0):
    with torch.no_grad():
        model.skip.normal_(generator=torch.Generator().manual_seed(seed))
    return model


def hidden_values(network, x):
    """Every activation's outputs in the order of the calls, by hooks on the network itself."""
    found, handles = [], []
    for module in network.modules():
        if isinstance(module, (nn.Sigmoid, nn.Softplus, nn.ReLU)):
            keep = lambda _, __, value: found.append(value.detach().clone())  # noqa: E731
            handles.append(module.register_forward_hook(keep))
    network(x)
    for handle in handles:
        handle.remove()
    return torch.cat([value.flatten(1) for value in found], dim=1)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("units", [None, 4])
def test_the_function_is_the_network_s_until_v_moves(name, units):
    network, model = made(name, units=units)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert torch.equal(model(IMAGES), network(IMAGES))
    names = [key for key, _ in model.named_parameters()]
    assert names == ["skip", *(f"network.{key}" for key, _ in network.named_parameters())]
    assert list(model.state_dict()) == names
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@settings(deadline=None, max_examples=12)
@given(name=st.sampled_from(sorted(NETWORKS)), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_outputs_are_the_network_s_and_psi_v(name, share, seed):
    network = made(name)[0]
    every = hidden_values(network, IMAGES)
    units = 1 + int(share * (every.shape[1] - 1))
    model = with_drawn_skips(made(name, units=units, seed=seed)[1], seed)
    taps = made(name)[1].taps
    starts = np.cumsum([0, *(tap.total for tap in taps)])[:-1]
    rows = {(tap.node, tap.call): int(row) for tap, row in zip(taps, starts, strict=True)}
    columns = torch.cat([tap.units + rows[tap.node, tap.call] for tap in model.taps])
    assert len(columns) == units
    assert bool((columns.diff() > 0).all())
    outputs, psi = model.outputs_and_features(IMAGES)
    assert torch.equal(psi, model.features(IMAGES))
    torch.testing.assert_close(psi, every[:, columns])
    torch.testing.assert_close(outputs, network(IMAGES) + every[:, columns] @ model.skip)
    torch.testing.assert_close(model(IMAGES), outputs)


def test_units_are_drawn_from_all_layers_alike():
    network = dense(36, 30, 10)
    taken = torch.zeros(40)
    for seed in range(50):
        taken[with_skips(network, IMAGES[:2], units=16, seed=seed).positions] += 1
    # Each unit is expected 20 times, with a standard deviation of 3.5.
    assert 5 < float(taken.min()) < float(taken.max()) < 35
    chosen = [with_skips(network, IMAGES[:2], units=16, seed=7).positions for _ in range(2)]
    assert torch.equal(*chosen)


def test_layers_are_those_named():
    network, model = made("convolutional", after=["features", "act"])
    assert [(tap.node, tap.call, tap.total) for tap in model.taps] == [
        ("features", 0, 12),
        ("act", 0, 12),
        ("act", 1, 5),
    ]
    torch.testing.assert_close(model.features(IMAGES)[:, :12], network.features(IMAGES).flatten(1))


def test_an_activation_of_the_outputs_has_no_skip_units():
    model = with_skips(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2), nn.Sigmoid()),
                       torch.zeros(2, 4))  # fmt: skip
    assert [tap.node for tap in model.taps] == ["1"]


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_a_module_like_others(name):
    network, model = made(name, units=5)
    model = with_drawn_skips(model).double()
    x = IMAGES.double()
    expected = model(x)
    assert expected.dtype == torch.float64
    assert torch.equal(cloudpickle.loads(cloudpickle.dumps(model))(x), expected)
    stacked = {key: torch.stack([value, 2 * value]) for key, value in model.named_parameters()}
    both = vmap(lambda parameters: functional_call(model, parameters, (x,)))(stacked)
    twice = functional_call(model, {k: 2 * v for k, v in model.named_parameters()}, (x,))
    torch.testing.assert_close(both, torch.stack([expected, twice]))
    expected.sum().backward()
    psi = model.features(x).detach()
    torch.testing.assert_close(model.skip.grad, psi.T @ torch.ones_like(expected))
    assert model.training == network.training


@pytest.mark.parametrize("name", ["dense", "convolutional"])
@pytest.mark.parametrize("units", [None, 6])
def test_every_engine_gives_the_loss(name, units):
    model = with_drawn_skips(made(name, units=units)[1]).double()
    targets = torch.arange(len(IMAGES)) % 3
    data = {"train": (IMAGES.double(), targets)}
    landscape = given_landscape(
        model, data, loss="cross_entropy", directions="random", origin=None, z=2, seed=0
    )
    landscape = unpack(pack(landscape))
    points = np.array([[0.0, 0.0], [0.4, -0.3], [-1.0, 0.2]])
    expected = [_loss(model, landscape.section, point, targets) for point in points]
    engines = ["loop", "traced", "autograd"] + ["batched"] * (name == "dense")
    for engine in engines:
        choice = EngineChoice(engine, "cpu", "float64", 1, 4, point_block=2)
        found = make_evaluator(landscape, ("train",), ("loss",), choice).evaluate(points)
        np.testing.assert_allclose(found["loss"][0], expected, rtol=1e-12, err_msg=engine)


def _loss(model, section, point, targets):
    at = {
        key: value + sum(a * d[key] for a, d in zip(point, section.directions, strict=True))
        for key, value in section.origin.items()
    }
    outputs = functional_call(model, at, (IMAGES.double(),))
    return float(nn.functional.cross_entropy(outputs, targets))


def test_the_scan_of_a_wrapped_network_at_v_zero_is_that_of_the_network():
    network, model = made("dense")
    random = torch.Generator().manual_seed(0)
    move = {
        key: torch.randn(value.shape, generator=random) for key, value in network.named_parameters()
    }
    data, axes = (IMAGES, torch.arange(len(IMAGES)) % 3), {"alpha": (-1, 1, 5)}
    plain = pipeline.scan(network, data, directions=[move], axes=axes)
    moved = {"skip": torch.zeros_like(model.skip)}
    moved |= {f"network.{key}": value for key, value in move.items()}
    wrapped = pipeline.scan(model, data, directions=[moved], axes=axes)
    np.testing.assert_allclose(wrapped.loss, plain.loss, rtol=1e-6)


class Deciding(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize(
    ("network", "choice", "message"),
    [
        (dense(36, 4), {"after": ["7"]}, r"^after: got '7'; expected some of 0, 1, 2, 3$"),
        (dense(36, 4), {"after": []}, "^after: got no names; name a submodule"),
        (nn.ModuleDict({"a": nn.Linear(1, 1)}), {}, "^network: torch.fx cannot trace ModuleDict"),
        (dense(36, 4), {"units": 5}, "^units: got 5; expected 1 to 4, .* after 2; widen"),
        (dense(36, 4), {"units": 0}, "^units: got 0; expected 1 to 4"),
        (nn.Sequential(Deciding()), {}, "^network: torch.fx cannot trace Sequential: .*; write"),
        (nn.Sequential(nn.Flatten(), nn.Linear(36, 3)), {}, "finds no activation module in Seq"),
        (nn.Sequential(nn.Sigmoid(), nn.Identity()), {}, r"gives \(9, 1, 6, 6\) for 9 samples"),
        (dense(35, 4), {}, r"^example: Sequential cannot be evaluated on shape \(9, 1, 6, 6\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_wrapped(network, choice, message):
    with pytest.raises(SpecError, match=message) as caught:
        with_skips(network, IMAGES, **choice)
    assert "\n" not in str(caught.value)


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.act = nn.Linear(36, 3), nn.Sigmoid()

    def forward(self, x):
        return torch.sigmoid(self.used(x.flatten(1)))


def test_an_unused_submodule_has_no_units():
    with pytest.raises(SpecError, match=r"^after: submodule 'act' is not called as a whole; exp"):
        with_skips(Unused(), IMAGES, after=["act"])
