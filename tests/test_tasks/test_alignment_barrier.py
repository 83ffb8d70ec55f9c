"""Between two training runs the loss barrier falls when the networks are aligned."""

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from tasks.alignment.align import align
from tasks.data import digits, stratified


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def network():
    return nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def trained(data, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = network()
    inputs, targets = data
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(module.parameters(), 1e-3)
    for _ in range(10):
        for batch in torch.randperm(len(inputs), generator=generator).split(64):
            optimiser.zero_grad()
            functional.cross_entropy(module(inputs[batch]), targets[batch]).backward()
            optimiser.step()
    return {name: tensor.detach() for name, tensor in module.named_parameters()}


def barrier(data, one, two):
    """max over t of L(θ(t)) − ((1 − t)·L(θ(0)) + t·L(θ(1))), on eleven points."""
    inputs, targets = data
    module, losses = network().requires_grad_(False), []
    for t in torch.linspace(0, 1, 11):
        between = {name: torch.lerp(one[name], two[name], t) for name in one}
        outputs = functional_call(module, between, (inputs,))
        losses.append(functional.cross_entropy(outputs, targets))
    chord = torch.lerp(losses[0], losses[-1], torch.linspace(0, 1, 11))
    return float((torch.stack(losses) - chord).max())


@pytest.mark.parametrize("pair", [(0, 1), (2, 3)])
def test_alignment_lowers_the_barrier_between_two_training_runs(pair):
    train, _ = stratified(digits(), 0)
    data = (train.images.flatten(1), train.labels)
    one, two = (trained(data, seed) for seed in pair)
    alignment = align(network(), one, two, data[0][:16], seed=0)
    unaligned, aligned = barrier(data, one, two), barrier(data, one, alignment.tensors)
    # Measured over four pairs: 0.82 … 0.89 nats unaligned, 0.05 … 0.07 aligned.
    assert unaligned > 0.4
    assert aligned < unaligned / 4
    assert alignment.facts["distance_after"] < 0.9 * alignment.facts["distance_before"]
