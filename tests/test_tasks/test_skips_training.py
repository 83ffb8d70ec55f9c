"""The task `skip-training`: data, starts, training at several rates at once, and what is kept."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from schemas import SpecError, WorkError
from tasks import TASKS, BuildContext
from tasks.data import DATA
from tasks.objective import Split
from tasks.registry import silent
from tasks.skips.features import features
from tasks.skips.training import task as training_task
from tasks.skips.training.networks import network_of, splits_of
from tasks.skips.training.parameters import SkipTrainingParameters
from tasks.skips.training.sgd import Schedule, best_of, train

TINY = {
    "samples": 60,
    "layers": 3,
    "width": 6,
    "skips": 16,
    "epochs": 4,
    "batch": 25,
    "learning_rates": [0.1, 0.3],
    "falls": [2],
    "checkpoints": 3,
}
PLAIN = {"connections": "plain", "skips": None}


def parsed(**changes):
    return TASKS["skip-training"].parse({**TINY, **changes})


def built(seed=0, z=1, splits=("train", "test"), cache=None, trains=True, **changes):
    context = BuildContext(z=z, seed=seed, splits=splits, cache=cache, train=trains)
    return training_task.build_skip_training(parsed(**changes), context)


def at(landscape, t):
    found = landscape.section.parameters(torch.tensor([[t]], dtype=torch.float64))
    return {**landscape.section.origin, **{name: tensor[0] for name, tensor in found.items()}}


def losses_at(landscape, t, split="train"):
    risk, point = landscape.objective, at(landscape, t)
    data = risk.splits[split]
    outputs = functional_call(risk.module.double(), point, (data.inputs.double(),))
    return risk.loss(outputs, data.targets).detach()


def one_by_one(module, data, schedule, rate, seed):
    """The same training as a plain loop of torch."""
    optimiser = torch.optim.SGD(
        module.parameters(), rate, schedule.momentum, nesterov=schedule.momentum > 0
    )
    order = torch.Generator().manual_seed(seed)
    kept = {0: {n: p.detach().clone() for n, p in module.named_parameters()}}
    for epoch in range(1, schedule.epochs + 1):
        shuffled = torch.randperm(len(data), generator=order)
        for start in range(0, len(data), schedule.batch):
            index = shuffled[start : start + schedule.batch]
            optimiser.zero_grad()
            functional.cross_entropy(module(data.inputs[index]), data.targets[index]).backward()
            optimiser.step()
        if epoch in schedule.falls:
            optimiser.param_groups[0]["lr"] /= 10
        kept[epoch] = {n: p.detach().clone() for n, p in module.named_parameters()}
    return kept


@pytest.mark.parametrize(("kind", "momentum"), [("dense", 0.9), ("conv", 0.0)])
def test_many_rates_at_once_are_each_one_alone(kind, momentum):
    parameters = parsed(network=kind, samples=50)
    data = splits_of(parameters, 0)["train"]
    for rates, best in (((0.3, 1e-4), 0.3), ((1e-4, 0.1), 0.1)):
        schedule = Schedule(4, 20, rates, (2,), momentum, (0, 1, 4))
        module = network_of(parameters, data.inputs, 0)
        start = {n: p.detach().clone() for n, p in module.named_parameters()}
        found = train(module, start, data, schedule, seed=5, progress=silent)
        assert rates[found.best] == best
        # The module itself is as it was.
        assert all(torch.equal(p, start[n]) for n, p in module.named_parameters())
        alone = one_by_one(module, data, schedule, best, 5)
        for name, tensors in found.checkpoints.items():
            for epoch, tensor in zip(schedule.kept, tensors, strict=True):
                torch.testing.assert_close(tensor, alone[epoch][name], rtol=2e-4, atol=2e-5)
        moved = found.checkpoints["network.0.weight"]
        assert not torch.equal(moved[1], moved[2])


def test_the_best_has_the_least_finite_loss():
    assert best_of(torch.tensor([0.5, math.nan, 0.2, math.inf])) == 2
    data = Split(
        torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 3
    )
    schedule = Schedule(3, 10, (1e30, 0.1), (), 0.9, (0, 3))
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
    start = dict(module.named_parameters())
    found = train(module, start, data, schedule, seed=0, progress=silent)
    assert found.best == 1
    assert not found.losses[0].isfinite()
    assert all(tensor.isfinite().all() for tensor in found.checkpoints.values())
    wild = Schedule(3, 10, (1e30, 1e31), (), 0.9, (0, 3))
    with pytest.raises(WorkError, match=r"learning_rates: with 1e\+30, 1e\+31 no loss is finite"):
        train(module, start, data, wild, seed=0, progress=silent)


def test_the_seed_alone_decides_the_bits():
    threads = torch.get_num_threads()
    first, other = built(3), built(4)
    torch.manual_seed(99)
    torch.set_num_threads(1)
    try:
        again = built(3)
    finally:
        torch.set_num_threads(threads)
    assert first.facts == again.facts
    for one, two in zip(first.section.directions, again.section.directions, strict=True):
        assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(first.section.directions[0]["skip"], other.section.directions[0]["skip"])


def test_the_scan_goes_from_the_start_through_the_checkpoints():
    landscape = built(learning_rates=[0.1])
    assert landscape.section.z == 1
    assert landscape.facts["checkpoints"] == [0, 2, 4]
    start = network_of(parsed(), landscape.objective.splits["train"].inputs, 0)
    for name, tensor in start.named_parameters():
        torch.testing.assert_close(at(landscape, 0.0)[name], tensor.double())
    half = built(learning_rates=[0.1], epochs=2, checkpoints=2)
    for name, tensor in at(half, 1.0).items():
        torch.testing.assert_close(at(landscape, 0.5)[name], tensor, rtol=1e-6, atol=1e-7)
    # Float32 at the end, as it was trained.
    best = min(landscape.facts["final_losses"])
    assert losses_at(landscape, 1.0).mean().item() == pytest.approx(best, rel=1e-5)
    assert best < losses_at(landscape, 0.0).mean().item() - 0.05


def test_networks_differ_in_their_connections_alone():
    skip, plain = built(), built(**PLAIN)
    for split in ("train", "test"):
        one, two = (landscape.objective.splits[split] for landscape in (skip, plain))
        assert torch.equal(one.inputs, two.inputs)
        assert torch.equal(one.targets, two.targets)
    for name, tensor in plain.section.origin.items():
        assert torch.equal(skip.section.origin[f"network.{name}"], tensor)
    torch.testing.assert_close(losses_at(skip, 0.0), losses_at(plain, 0.0))
    assert skip.section.origin["skip"].abs().max() == 0
    assert skip.section.origin["skip"].shape == (16, 10)
    assert (skip.facts["skips"], plain.facts["skips"]) == (16, 0)


def test_of_random_features_only_the_last_weights_move():
    landscape = built(connections="random-features", network="conv", skips=40)
    assert landscape.section.touched == ("skip",)
    data = landscape.objective.splits["test"]
    point = at(landscape, 1.0)
    module = landscape.objective.module
    with torch.no_grad():
        outputs = functional_call(module.double(), point, (data.inputs.double(),))
    torch.testing.assert_close(outputs, features(module, data.inputs) @ point["skip"])
    trained = min(landscape.facts["final_losses"])
    assert losses_at(landscape, 1.0).mean().item() == pytest.approx(trained, rel=1e-5)
    assert trained < math.log(10) - 0.05


def test_what_was_trained_is_kept(tmp_path, monkeypatch):
    first = built(cache=tmp_path)
    monkeypatch.setattr(training_task, "train", lambda *_, **__: pytest.fail("trained again"))
    again = built(cache=tmp_path)
    assert again.facts == first.facts
    for one, two in zip(first.section.directions, again.section.directions, strict=True):
        assert all(torch.equal(one[name], two[name]) for name in one)
    for changes in ({"seed": 1}, {"epochs": 5}, {"momentum": 0.5}, {"labels": "shuffled"}):
        with pytest.raises(pytest.fail.Exception, match="trained again"):
            built(cache=tmp_path, **changes)


def test_untrained_networks_have_the_shapes_of_trained_ones(monkeypatch):
    trained = built()
    monkeypatch.setattr(training_task, "train", lambda *_, **__: pytest.fail("trained"))
    still = built(trains=False)
    assert len(still.section.directions) == len(trained.section.directions) == 2
    for one, two in zip(still.section.directions, trained.section.directions, strict=True):
        assert {n: t.shape for n, t in one.items()} == {n: t.shape for n, t in two.items()}
        assert not any(tensor.any() for tensor in one.values())


@given(samples=st.integers(20, 1796), seed=st.integers(0, 2**62))
@settings(deadline=None, max_examples=15)
def test_every_image_is_in_one_split(samples, seed):
    splits = splits_of(parsed(samples=samples, batch=1), seed)
    train_, test = splits["train"], splits["test"]
    assert (len(train_), len(test)) == (samples, 1797 - samples)
    together = torch.cat([train_.inputs, test.inputs])
    everything = DATA["digits"]().images.flatten(1)
    torch.testing.assert_close(together.sum(0), everything.sum(0))
    shares = torch.bincount(train_.targets, minlength=10) / samples
    of_all = torch.bincount(DATA["digits"]().labels, minlength=10) / 1797
    assert (shares - of_all).abs().max() <= 10 / samples


def test_shuffled_labels_are_dealt_out_anew_to_train_alone():
    true, shuffled = (splits_of(parsed(labels=labels), 0) for labels in ("true", "shuffled"))
    assert torch.equal(true["train"].inputs, shuffled["train"].inputs)
    assert torch.equal(true["test"].targets, shuffled["test"].targets)
    one, two = true["train"].targets, shuffled["train"].targets
    assert torch.equal(one.sort().values, two.sort().values)
    assert (one == two).float().mean() < 0.4


def test_weights_start_with_variance_two_over_inputs_and_are_cut():
    network = network_of(parsed(width=500, layers=2, **PLAIN), torch.zeros(1, 64), 0)
    for layer in (network[0], network[2]):
        inputs = layer.in_features
        assert layer.weight.var().item() == pytest.approx(2 / inputs, rel=0.03)
        # Two deviations of the normal before it was cut.
        cut = 2 * math.sqrt(2 / inputs) / 0.87962566
        assert 0.99 * cut < layer.weight.abs().max().item() <= cut * (1 + 1e-6)
        assert not layer.bias.any()


@pytest.mark.parametrize(
    ("layers", "side", "units"), [(2, 8, 6 * 16 + 12 * 4 + 48), (5, 7, 3 * 96 + 2 * 48 + 48)]
)
def test_convolutions_halve_the_image_twice(layers, side, units):
    example = torch.zeros(1, 1, side, side)
    all_units = network_of(parsed(network="conv", layers=layers, skips=units), example, 0)
    assert len(all_units.skip) == units
    assert all_units(example).shape == (1, 10)
    with pytest.raises(SpecError, match=f"expected 1 to {units}"):
        network_of(parsed(network="conv", layers=layers, skips=units + 1), example, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"connections": "plain"}, "skips is 16 and connections is plain"),
        ({"batch": 61}, "batch is 61 and samples 60"),
        ({"checkpoints": 6}, "keep at most 5"),
        ({"network": "conv", "layers": 1}, "expected 2 convolutions"),
        ({"learning_rates": []}, "learning_rates"),
        ({"learning_rates": [0.0]}, "learning_rates"),
        ({"momentum": 1.0}, "momentum"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        parsed(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 1797}, "parameters.samples: got 1797; digits has 1797 images"),
        ({"side": 9}, "parameters.side: got 9; digits has 8 pixels"),
        ({"splits": ("train", "other")}, "splits: got other"),
        ({"z": 2}, "axes: got 2; skip-training needs 1"),
        ({"z": None}, "scanned along axes"),
        ({"skips": 19}, "units: got 19; expected 1 to 18"),
    ],
)
def test_builds_that_cannot_be_are_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        built(**changes)


def test_as_many_skip_units_as_samples_by_default():
    assert SkipTrainingParameters().units == 1000
    assert SkipTrainingParameters(connections="plain").units == 0
