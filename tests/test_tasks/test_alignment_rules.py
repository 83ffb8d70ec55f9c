"""What permutes together: any order of the groups that are found leaves the function as it is."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from tasks.alignment.align import align
from tests.test_tasks.alignment_cases import (
    NETWORKS,
    checkpoint,
    in_double,
    shuffled,
    symmetry,
    tensors_of,
)

WIDTH = 12


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Between(nn.Module):
    """An operation between two layers that have no other symmetries than the hidden units."""

    def __init__(self, operation):
        super().__init__()
        self.operation = operation
        self.first = nn.Linear(5, WIDTH)
        self.scale = nn.Parameter(torch.rand(WIDTH) + 0.5)
        with torch.no_grad():
            width = operation(self, torch.zeros(2, WIDTH)).shape[-1]
        self.second = nn.Linear(width, 3)

    def forward(self, x):
        return self.second(self.operation(self, torch.tanh(self.first(x))))


def rows_set(_module, h):
    h = h.clone()
    h[:, 3] = 0.5
    return h


def columns_added_in_place(_module, h):
    h = h.clone()
    h[:, 2:8].add_(h[:, 6:])
    return h


def from_nothing(_module, h):
    total = h.new_zeros(h.shape)
    total[:, 1:] += h[:, 1:]
    return total


def attended(_module, h):
    tokens = h.view(-1, 3, 4)
    return functional.scaled_dot_product_attention(tokens, tokens, tokens).flatten(1)


FREE = {
    "mean": lambda _, h: h.mean(-1, keepdim=True),
    "largest": lambda _, h: h.amax(-1, keepdim=True),
    "bits": lambda _, h: h.double().view(torch.int64).remainder(1024).double(),
    "softmax": lambda m, h: h.softmax(-1) * m.scale,
    "norm": lambda _, h: functional.normalize(h, dim=-1),
    "rms norm": lambda m, h: functional.rms_norm(h, (WIDTH,), m.scale),
    "where": lambda m, h: torch.where(h > 0, h, m.scale),
    "einsum": lambda m, h: torch.einsum("nc,c->nc", h, m.scale),
    "outer product": lambda _, h: torch.einsum("ni,nj->nij", h, h.square()).sum(-1),
    "padded": lambda _, h: functional.pad(h, (2, 1), value=3.0),
    "expanded": lambda _, h: h[:, None].expand(-1, 2, -1).flatten(1),
    "stacked": lambda _, h: torch.stack([h, h.square()], 1).flatten(1),
    "moved": lambda _, h: h[:, :, None].movedim(1, 2).permute(0, 2, 1).squeeze(-1),
    "doubled": lambda _, h: torch.cat([h, h.cos()], -1),
    "split": lambda _, h: torch.cat(h.split([7, 5], -1)[::-1], -1),
    "softplus after dropout": lambda _, h: functional.dropout(functional.softplus(h), 0.5, False),
}
"""Operations that leave the hidden units some freedom."""

TIED = {
    "a slice": lambda _, h: h[:, :7],
    "every other": lambda _, h: h[:, ::2],
    "one column set": rows_set,
    "columns added in place": columns_added_in_place,
    "columns added to zeros": from_nothing,
    "shared halves": lambda _, h: h[:, :6] * h[:, 6:],
    "overlapping halves": lambda _, h: h[:, :8] + h[:, 4:],
    "pairs": lambda _, h: h.view(-1, 6, 2).prod(-1),
    "shuffled channels": lambda _, h: h.view(-1, 3, 4).transpose(1, 2).reshape(-1, WIDTH) + h,
    "attention": attended,
    "order": lambda _, h: h * torch.arange(WIDTH),
    "cumulated": lambda _, h: h.cumsum(-1),
    "flipped": lambda _, h: h.flip(-1) + h,
    "rolled": lambda _, h: h.roll(1, -1) * h,
    "sorted": lambda _, h: h.sort(-1).values,
    "topmost": lambda _, h: h.topk(3, -1).indices.double() + 0 * h[:, :3],
    "place of the largest": lambda _, h: h.argmax(-1, keepdim=True) + 0 * h[:, :1],
    "picked": lambda _, h: h[:, [3, 1, 0]],
    "spectrum": lambda _, h: torch.fft.rfft(h, dim=-1).abs(),
    "repeated": lambda _, h: h.repeat(1, 2) * torch.linspace(0, 1, 2 * WIDTH, dtype=h.dtype),
    "unfolded": lambda _, h: h.unfold(-1, 3, 2).flatten(1),
    "reflected": lambda _, h: functional.pad(h, (1, 1), mode="reflect"),
    "halves of words": lambda _, h: h.double().view(torch.int32).double() / 2**31,
    "not zero": lambda _, h: h + torch.where(h[0] > -9)[0],
}
"""Operations after which fewer orders, or none, give the same function."""


def difference(network, one, two, inputs):
    with torch.no_grad():
        outputs = [functional_call(network, tensors, (inputs,)) for tensors in (one, two)]
    return float((outputs[0] - outputs[1]).abs().max())


def moved_and_difference(network, inputs, seed):
    """How many entries differ, and by how much the outputs do, after a random order."""
    network = network.double().eval().requires_grad_(False)
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    tensors = in_double(checkpoint(network, seed))
    other = shuffled(network, tensors, inputs, seed)
    moved = sum(int((other[name] != tensor).sum()) for name, tensor in tensors.items())
    return moved, difference(network, tensors, other, inputs)


@pytest.mark.parametrize("name", [*FREE, *TIED])
def test_any_order_of_the_groups_is_the_same_function(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Between({**FREE, **TIED}[name])
    inputs = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    for seed in range(3):
        moved, apart = moved_and_difference(network, inputs, seed)
        assert apart < 1e-12
        assert moved > 0 or name not in FREE


@pytest.mark.parametrize("name", TIED)
def test_an_order_that_ignores_the_operation_is_another_function(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Between(TIED[name]).double().requires_grad_(False)
    inputs = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tensors = tensors_of(network)
    order = torch.randperm(WIDTH, generator=torch.Generator().manual_seed(1))
    other = {key: t[order] if len(t) == WIDTH else t for key, t in tensors.items()}
    if tensors["second.weight"].shape[1] == WIDTH:
        other["second.weight"] = tensors["second.weight"][:, order]
    assert difference(network, tensors, other, inputs) > 1e-6


def test_an_unknown_operation_is_named_where_it_fixes_units():
    network = Between(TIED["sorted"])
    found = symmetry(network, tensors_of(network), torch.randn(4, 5))
    assert found.groups == ()
    assert found.fixed()["operation sort"] == [
        "first.weight[0]",
        "first.bias[0]",
        "second.weight[1]",
    ]
    assert found.fixed()["no operation uses it"] == ["scale[0]"]


LAYERS = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "leaky": nn.LeakyReLU,
    "silu": lambda: nn.SiLU(inplace=True),
}


@st.composite
def networks(draw):
    """A random convolutional or dense network with norms, groups and residual sums."""
    width = draw(st.sampled_from([4, 6, 8]))
    flat = draw(st.booleans())
    layers = [nn.Linear(3, width) if flat else nn.Conv2d(2, width, 3, padding=1)]
    for _ in range(draw(st.integers(1, 3))):
        bias, groups = draw(st.booleans()), draw(st.sampled_from([1, 2, width]))
        norm = draw(st.sampled_from(["none", "batch", "group" if not flat else "layer"]))
        if norm == "batch":
            layers.append(nn.BatchNorm1d(width) if flat else nn.BatchNorm2d(width))
        elif norm == "group":
            layers.append(nn.GroupNorm(2, width))
        elif norm == "layer":
            layers.append(nn.LayerNorm(width))
        layers.append(LAYERS[draw(st.sampled_from(sorted(LAYERS)))]())
        hidden = (
            nn.Linear(width, width, bias=bias)
            if flat
            else nn.Conv2d(width, width, 3, padding=1, groups=groups, bias=bias)
        )
        layers.append(Added(hidden) if draw(st.booleans()) else hidden)
    pool = (
        draw(st.sampled_from([nn.Identity, lambda: nn.MaxPool2d(2)])) if not flat else nn.Identity
    )
    layers += [pool(), nn.Flatten(), nn.LazyLinear(3)]
    inputs = torch.randn(4, 3) if flat else torch.randn(4, 2, 4, 4)
    network = nn.Sequential(*layers).eval()
    network(inputs)
    return network, inputs


class Added(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return x + self.layer(x)


@given(case=networks(), seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_alignment_of_any_network_keeps_the_function_and_never_goes_farther(case, seed):
    network, inputs = case
    one, two = checkpoint(network, seed), checkpoint(network, seed + 1)
    alignment = align(network, one, two, inputs, seed=seed)
    network.double().requires_grad_(False)
    apart = difference(network, in_double(two), in_double(alignment.tensors), inputs.double())
    assert apart < 1e-9
    assert alignment.facts["distance_after"] <= alignment.facts["distance_before"]
    assert alignment.permutations


@pytest.mark.parametrize("name", NETWORKS)
def test_any_order_of_a_whole_networks_groups_is_the_same_function(name):
    moved, apart = moved_and_difference(*NETWORKS[name](0), 1)
    assert moved > 0
    assert apart < 1e-11
