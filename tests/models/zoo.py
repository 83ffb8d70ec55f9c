"""A zoo of small models, each with data, a loss and a section: what an evaluator must get right.

`CASES` maps a name to a function `seed → Case`; the same seed gives the same bits.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from tasks.directions import random_directions
from tasks.landscape import Landscape
from tasks.objective import LOSSES, EmpiricalRisk, Split
from tasks.section import Section, directions_as_section

SAMPLES = {"train": 37, "test": 11}
WIDTH, CLASSES, TOKENS, LENGTH = 6, 4, 13, 5
# A coordinate of 1 moves a weight by this part of its usual size: visibly, without saturation.
_REACH = 0.4


@dataclass(frozen=True)
class Case:
    """A landscape to evaluate. `metrics` are those that its outputs and targets allow."""

    name: str
    landscape: Landscape

    @property
    def metrics(self) -> tuple[str, ...]:
        """Accuracy only where the targets are one class a sample."""
        targets = self.landscape.objective.splits["train"].targets
        classes = not targets.is_floating_point() and targets.dim() == 1
        return ("loss", "accuracy") if classes else ("loss",)


CASES: dict[str, Callable[..., Case]] = {}


def vectors(n):
    return torch.randn(n, WIDTH)


def images(n):
    return torch.randn(n, 3, 8, 8)


def tokens(n):
    return torch.randint(0, TOKENS, (n, LENGTH))


def signals(n):
    return torch.randn(n, LENGTH, WIDTH)


def classes(n):
    return torch.randint(0, CLASSES, (n,))


def columns(n):
    return torch.randn(n, 1)


def scalars(n):
    return torch.randn(n)


def responses(n):
    return torch.randn(n, CLASSES)


def series(n):
    return torch.randn(n, LENGTH, CLASSES)


def labelled_steps(n):
    return torch.randint(0, CLASSES, (n, LENGTH))


def scaled_section(module, moves, z, seed) -> Section:
    """Random directions, each in proportion to a parameter's usual size; `moves(axis, name)`."""
    origin = {name: tensor.detach() for name, tensor in module.named_parameters()}
    directions = []
    for axis, direction in enumerate(random_directions(origin, z, seed)):
        directions.append(
            {
                name: _REACH * tensor / max(tensor[0].numel() if tensor.dim() > 1 else 4, 1) ** 0.5
                for name, tensor in direction.items()
                if moves(axis, name)
            }
        )
    return directions_as_section(origin, directions)


def unsettled(module):
    """The module with normalisation layers as training leaves them, not as they start."""
    norms = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)
    for layer in filter(lambda layer: isinstance(layer, norms), module.modules()):
        if layer.weight is not None:
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.3)
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            layer.running_mean.normal_(std=0.5)
            layer.running_var.uniform_(0.5, 2.0)
    return module


def everything(_axis, _name):
    return True


def case(z=2, inputs=vectors, targets=classes, loss="cross_entropy", moves=everything, shift=None):
    """Register a function that builds a module as a case; `shift` is added to a split's inputs."""

    def register(build):
        name = build.__name__

        def make(seed=0):
            with torch.random.fork_rng():
                torch.manual_seed(zlib.crc32(name.encode()) + seed)
                module = unsettled(build())
                section = scaled_section(module, moves, z, seed)
                splits = {split: Split(inputs(n), targets(n)) for split, n in SAMPLES.items()}
            for split, amount in (shift or {}).items():
                splits[split] = Split(splits[split].inputs + amount, splits[split].targets)
            objective = EmpiricalRisk(module, LOSSES.get(loss, loss), splits)
            return Case(name, Landscape(objective, section))

        CASES[name] = make
        return make

    return register


def mlp(activation, *widths, bias=True):
    """Linear layers of these widths with activations between them."""
    layers = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out, bias=bias), activation()]
    return nn.Sequential(*layers[:-1])
