"""Alignment of two checkpoints: planted permutations are undone, and nothing else is."""

import json
from itertools import permutations

import pytest
import torch
from torch import nn
from torch.func import functional_call

from schemas.errors import SpecError, WorkError
from tasks.alignment import align as aligning
from tasks.alignment.align import align
from tests.test_tasks.alignment_cases import (
    NETWORKS,
    PLACES,
    SIZES,
    checkpoint,
    planted,
    shuffled,
    symmetry,
)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def distance(one, two):
    return (
        float(sum((one[name].double() - two[name].double()).square().sum() for name in one)) ** 0.5
    )


def undone(name, plant, seed):
    network, inputs = NETWORKS[name](seed)
    reference = checkpoint(network, seed)
    other = plant(network, reference, inputs)
    assert distance(reference, other) > 1
    alignment = align(network, reference, other, inputs, seed=seed)
    assert alignment.facts["distance_before"] > 1
    assert alignment.facts["distance_after"] == 0
    return all(
        torch.equal(alignment.tensors[key], tensor) and alignment.tensors[key].dtype == tensor.dtype
        for key, tensor in reference.items()
    )


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", PLACES)
def test_a_permutation_planted_by_hand_is_undone_to_the_bit(name, seed):
    assert undone(name, lambda _network, tensors, _inputs: planted(name, tensors, seed), seed)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_permutation_of_all_groups_is_undone_to_the_bit(name):
    assert undone(name, lambda *given: shuffled(*given, 0), 0)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_groups_are_those_that_are_there(name):
    network, inputs = NETWORKS[name](0)
    found = symmetry(network, checkpoint(network, 0), inputs)
    assert sorted(group.size for group in found.groups) == SIZES[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_shuffle_that_changes_the_function_is_not_undone(name):
    network, inputs = NETWORKS[name](0)
    reference = checkpoint(network, 0)
    generator = torch.Generator().manual_seed(0)
    key = max(reference, key=lambda key: reference[key].dim())
    flat = reference[key].flatten()
    mixed = flat[torch.randperm(len(flat), generator=generator)].reshape(reference[key].shape)
    other = shuffled(network, {**reference, key: mixed}, inputs, 0)
    facts = align(network, reference, other, inputs, seed=0).facts
    before, after = facts["distance_before"], facts["distance_after"]
    assert 0.5 * distance({key: reference[key]}, {key: mixed}) < after < before


def test_the_same_seed_gives_the_same_alignment_and_facts_are_plain_json():
    network, inputs = NETWORKS["residual"](0)
    one, two = checkpoint(network, 0), checkpoint(network, 1)
    first, again = (align(network, one, two, inputs, seed=3) for _ in range(2))
    assert first.facts == again.facts
    assert json.loads(json.dumps(first.facts)) == first.facts
    assert all(torch.equal(first.tensors[key], again.tensors[key]) for key in two)
    assert first.facts["seed"] == 3


def test_permutations_say_where_each_unit_comes_from():
    network, inputs = NETWORKS["mlp"](0)
    one, two = checkpoint(network, 0), checkpoint(network, 1)
    alignment = align(network, one, two, inputs, seed=0)
    first = alignment.permutations[0]
    assert first.places == ("0.weight[0]", "0.bias[0]", "2.weight[1]")
    assert sorted(first.order.tolist()) == list(range(len(first.order)))
    assert torch.equal(alignment.tensors["0.bias"], two["0.bias"][first.order])
    moved = int((first.order != torch.arange(len(first.order))).sum())
    assert alignment.facts["groups"][0] == {
        "size": len(first.order),
        "places": list(first.places),
        "moved": moved,
    }


def test_one_group_is_matched_as_trying_all_orders_would():
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    for seed in range(5):
        one, two = checkpoint(network, 2 * seed), checkpoint(network, 2 * seed + 1)
        best = min(
            distance(
                one,
                {
                    "0.weight": two["0.weight"][order],
                    "0.bias": two["0.bias"][order],
                    "2.weight": two["2.weight"][:, order],
                    "2.bias": two["2.bias"],
                },
            )
            for order in torch.tensor(list(permutations(range(4))))
        )
        found = align(network, one, two, inputs, seed=seed).facts["distance_after"]
        assert found == pytest.approx(best, rel=1e-9)


def test_neither_the_module_nor_the_checkpoints_are_changed():
    network, inputs = NETWORKS["convolutions"](0)
    network.train()
    own = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    one, two = checkpoint(network, 0), checkpoint(network, 1)
    kept = {name: tensor.clone() for name, tensor in two.items()}
    align(network, one, two, inputs, seed=0)
    assert network.training
    assert all(torch.equal(tensor, own[name]) for name, tensor in network.state_dict().items())
    assert all(torch.equal(tensor, kept[name]) for name, tensor in two.items())


def test_an_alignment_that_changes_the_function_is_never_handed_back(monkeypatch):
    network, inputs = NETWORKS["mlp"](0)
    one, two = checkpoint(network, 0), checkpoint(network, 1)
    monkeypatch.setattr(aligning, "permuted", lambda tensor, *_: tensor.flip(0))
    with pytest.raises(WorkError, match="differs from the original by"):
        align(network, one, two, inputs, seed=0)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x) if x.sum() > 0 else x[:, :2]


def test_what_cannot_be_aligned_is_refused_in_one_line():
    network, inputs = NETWORKS["mlp"](0)
    good = checkpoint(network, 0)
    lacking = {name: tensor for name, tensor in good.items() if name != "2.bias"}
    wrong = {**good, "2.bias": torch.zeros(3)}
    branching = Branching()
    for arguments, complaint in (
        ((network, lacking, good, inputs), "reference: lacks 2.bias"),
        ((network, good, {**good, "2.bios": good["2.bias"]}, inputs), "did you mean '2.bias'"),
        ((network, good, wrong, inputs), r"other\['2.bias'\]: shape \(3,\)"),
        (
            (branching, checkpoint(branching, 0), checkpoint(branching, 1), torch.randn(4, 3)),
            "model: Branching cannot be traced",
        ),
    ):
        with pytest.raises(SpecError, match=complaint) as error:
            align(*arguments, seed=0)
        assert "\n" not in str(error.value)


def test_the_permuted_checkpoint_is_the_other_ones_function_in_its_own_dtype():
    network, inputs = NETWORKS["residual"](0)
    one, two = checkpoint(network, 0), checkpoint(network, 1)
    aligned = align(network, one, two, inputs, seed=0).tensors
    network.eval()
    before, after = (functional_call(network, tensors, (inputs,)) for tensors in (two, aligned))
    torch.testing.assert_close(after, before)
    assert not torch.allclose(before, functional_call(network, one, (inputs,)), atol=1e-3)
