"""Networks with hidden symmetries, their checkpoints, and permutations planted in them."""

import torch
from torch import nn
from torch.nn import functional

from tasks.alignment.matching import permuted
from tasks.alignment.symmetry import symmetry_of


class Residual(nn.Module):
    """A stem and two blocks that write to one stream, with batch norm."""

    def __init__(self, width=12):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, bias=False), nn.BatchNorm2d(width))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
                nn.Conv2d(width, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
            )
            for _ in range(2)
        )
        self.head = nn.Linear(width, 5)

    def forward(self, x):
        stream = functional.relu(self.stem(x))
        for block in self.blocks:
            stream = functional.relu(stream + block(stream))
        return self.head(stream.mean((2, 3)))


class Dense(nn.Module):
    """Channels of two branches concatenated, then halved by a gate."""

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(2, 6, 3, padding=1)
        self.two = nn.Conv2d(6, 4, 3, padding=1)
        self.both = nn.Conv2d(10, 16, 1)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        one = torch.tanh(self.one(x))
        both = self.both(torch.cat([one, torch.tanh(self.two(one))], dim=1))
        return self.head(functional.glu(both, dim=1).amax((2, 3)))


class Block(nn.Module):
    """A transformer's block whose queries, keys and values come from one matrix, cut in three."""

    def __init__(self, width=12, heads=3):
        super().__init__()
        self.heads = heads
        self.words = nn.Embedding(7, width)
        self.places = nn.Parameter(torch.randn(1, 4, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 20), nn.Linear(20, width)
        self.head = nn.Linear(width, 7)

    def forward(self, x):
        samples, length = x.shape
        stream = self.words(x) + self.places
        parts = self.qkv(self.norms[0](stream)).chunk(3, dim=-1)
        parts = [part.view(samples, length, self.heads, -1).transpose(1, 2) for part in parts]
        mixed = functional.scaled_dot_product_attention(*parts, is_causal=True)
        stream = stream + self.out(mixed.transpose(1, 2).reshape(samples, length, -1))
        stream = stream + self.down(functional.gelu(self.up(self.norms[1](stream))))
        return self.head(stream)


class Encoder(nn.Module):
    """PyTorch's own transformer layer on tokens."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(9, 12)
        self.layer = nn.TransformerEncoderLayer(12, 3, 24, batch_first=True)
        self.head = nn.Linear(12, 9)

    def forward(self, x):
        return self.head(self.layer(self.words(x)))


def mlp():
    return nn.Sequential(
        nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 24), nn.GELU(), nn.Dropout(), nn.Linear(24, 5)
    )


def convolutions():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 10, 3),
        nn.BatchNorm2d(10),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(10, 5),
    )


def flattened():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(72, 16),
        nn.Tanh(),
        nn.Linear(16, 5),
    )


def grouped():
    return nn.Sequential(
        nn.Conv2d(1, 12, 3),
        nn.GroupNorm(4, 12),
        nn.PReLU(12),
        nn.Conv2d(12, 12, 3, groups=12),
        nn.ReLU(),
        nn.Conv2d(12, 8, 1, groups=4),
        nn.ConvTranspose2d(8, 6, 2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(150, 5),
    )


def _images(generator):
    return torch.randn(4, 1, 8, 8, generator=generator)


_CASES = {
    "mlp": (mlp, lambda g: torch.randn(4, 10, generator=g)),
    "convolutions": (convolutions, _images),
    "residual": (Residual, _images),
    "flattened": (flattened, _images),
    "grouped": (grouped, _images),
    "dense": (Dense, lambda g: torch.randn(3, 2, 4, 4, generator=g)),
    "block": (Block, lambda g: torch.randint(0, 7, (3, 4), generator=g)),
    "encoder": (Encoder, lambda g: torch.randint(0, 9, (3, 4), generator=g)),
}


def _case(make, draw):
    def network(seed):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return make(), draw(torch.Generator().manual_seed(seed))

    return network


NETWORKS = {name: _case(*case) for name, case in _CASES.items()}
"""Seed → a network and a few inputs."""

SIZES = {
    "mlp": [24, 32],
    "convolutions": [8, 10],
    "residual": [12, 12, 12],  # the stream, and the inside of each block
    "flattened": [8, 16],
    "grouped": [2, 3, 4, 6],  # four groups of three, which become four groups of two
    "dense": [4, 6, 8],  # the gate ties the two halves of sixteen channels
    "block": [3, 4, 4, 12, 20],  # heads; queries with keys; values; the stream; the MLP
    "encoder": [3, 4, 12, 24],  # heads; queries, keys and values, which one matrix ties
}
"""The groups that each network has, worked out by hand."""

_NORM = ("weight", "bias", "running_mean", "running_var")


def _normed(layer, norm):
    return [(f"{layer}.weight", 0, 1), *((f"{norm}.{name}", 0, 1) for name in _NORM)]


def _dense_layers(first, second):
    return [(f"{first}.weight", 0, 1), (f"{first}.bias", 0, 1), (f"{second}.weight", 1, 1)]


PLACES = {
    "mlp": [_dense_layers("0", "2"), _dense_layers("2", "5")],
    "convolutions": [
        [*_normed("0", "1"), ("0.bias", 0, 1), ("4.weight", 1, 1)],
        [*_normed("4", "5"), ("4.bias", 0, 1), ("9.weight", 1, 1)],
    ],
    "residual": [
        [
            *_normed("stem.0", "stem.1"),
            *(place for i in (0, 1) for place in _normed(f"blocks.{i}.3", f"blocks.{i}.4")),
            *((f"blocks.{i}.0.weight", 1, 1) for i in (0, 1)),
            ("head.weight", 1, 1),
        ],
        *(
            [*_normed(f"blocks.{i}.0", f"blocks.{i}.1"), (f"blocks.{i}.3.weight", 1, 1)]
            for i in (0, 1)
        ),
    ],
    "flattened": [
        [("0.weight", 0, 1), ("0.bias", 0, 1), ("3.weight", 1, 9)],
        _dense_layers("3", "5"),
    ],
    "block": [
        [
            *((f"norms.{i}.{name}", 0, 1) for i in (0, 1) for name in ("weight", "bias")),
            *((f"{layer}.weight", 1, 1) for layer in ("words", "qkv", "up", "head")),
            *((f"{layer}.{name}", 0, 1) for layer in ("out", "down") for name in _NORM[:2]),
            ("places", 2, 1),
        ],
        _dense_layers("up", "down"),
    ],
}
"""For some of them, groups by hand: name, axis, and how many entries in a row each unit has."""


def tensors_of(network):
    """Its parameters and buffers, detached."""
    named = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {name: tensor.detach() for name, tensor in named.items()}


def checkpoint(network, seed):
    """Parameters and buffers as after some training: no two units are alike."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(tensor.shape, generator=generator) + 0.5
        if name.endswith("running_var")
        else tensor + 0.3 * torch.randn(tensor.shape, generator=generator)
        if tensor.is_floating_point()
        else tensor.clone()
        for name, tensor in tensors_of(network).items()
    }


def planted(name, tensors, seed):
    """The same function, the groups of `PLACES` in random orders."""
    generator = torch.Generator().manual_seed(seed + 100)
    result = dict(tensors)
    for group in PLACES[name]:
        first, dim, run = group[0]
        order = torch.randperm(tensors[first].shape[dim] // run, generator=generator)
        for key, dim, run in group:
            entries = (order[:, None] * run + torch.arange(run)).flatten()
            result[key] = result[key].index_select(dim, entries)
    return result


def in_double(tensors):
    """Floating tensors in float64."""
    return {name: t.double() if t.is_floating_point() else t for name, t in tensors.items()}


def symmetry(network, tensors, inputs):
    """The symmetry of a network, in float64 as it is traced."""
    double = inputs.double() if inputs.is_floating_point() else inputs
    return symmetry_of(network.eval(), in_double(tensors), double)


def shuffled(network, tensors, inputs, seed):
    """The tensors with every group that was found in a random order."""
    found = symmetry(network, tensors, inputs)
    generator = torch.Generator().manual_seed(seed + 100)
    orders = {g: torch.randperm(g.size, generator=generator) for g in found.groups}
    return {name: permuted(t, found.axes[name], orders) for name, t in tensors.items()}
