"""Dense networks with skip units or without, their starts, and the images they learn.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749. Shape legend: N = samples, M = skip units,
m = outputs.
"""

from __future__ import annotations

import math
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from schemas.errors import SpecError
from tasks.data import DATA
from tasks.objective import Split
from tasks.skips.parameters import SkipNetParameters
from tasks.skips.wrapper import with_skips

CLASSES = 10
SKIP = "skip"
OUTPUT = "output"
"""Name of the last layer."""
SHARPNESS = 20.0
"""γ of softplus, log(1 + exp(γx))/γ, as in the paper."""
_EXACT_BELOW = 40.0
"""γx from which on torch's softplus is x itself, the same in float64."""

IMAGES, START, UNITS, DIRECTIONS, OTHER_START, MOVES = range(6)
"""Streams of random numbers of one seed, kept apart."""

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "softplus": lambda: nn.Softplus(SHARPNESS, _EXACT_BELOW),
}


def images_of(parameters: SkipNetParameters, seed: int) -> Split:
    """Seeded random images: inputs (N, pixels) and classes (N,).

    Raises:
        SpecError: the data set has fewer images.
    """
    data = DATA[parameters.data]()
    count = parameters.samples
    if count > len(data.labels):
        raise SpecError(
            f"parameters.samples: got {count}; {parameters.data} has {len(data.labels)} images; "
            "ask for at most as many"
        )
    random = np.random.default_rng([seed, IMAGES])
    split = data.take(torch.from_numpy(random.permutation(len(data.labels))[:count])).split(True)
    if not parameters.repeated:
        return split
    inputs, targets = split.inputs.clone(), split.targets.clone()
    inputs[1], targets[1] = inputs[0], (targets[0] + 1) % CLASSES
    return Split(inputs, targets)


def network_of(parameters: SkipNetParameters, pixels: int, seed: int) -> nn.Module:
    """The network, (N, pixels) → (N, m), in float64; its parameters are still to be drawn.

    Without skip units `layer1`, `unit1`, …, `output`; with them that network wrapped.
    """
    plain = dense(pixels, parameters.hidden, parameters.activation)
    if parameters.skips is None:
        return plain
    # with_skips draws from a generator of torch, whose seeds are single numbers.
    own = int(np.random.default_rng([seed, UNITS]).integers(2**62))
    example = torch.zeros(2, pixels, dtype=torch.float64)
    return with_skips(plain, example, units=parameters.skips, seed=own)


def dense(pixels: int, hidden: Iterable[int], activation: str) -> nn.Sequential:
    """Linear layers with biases and an activation between two, float64."""
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = pixels
    for number, units in enumerate(hidden, start=1):
        parts[f"layer{number}"] = nn.Linear(inputs, units, dtype=torch.float64)
        parts[f"unit{number}"] = ACTIVATIONS[activation]()
        inputs = units
    parts[OUTPUT] = nn.Linear(inputs, CLASSES, dtype=torch.float64)
    return nn.Sequential(parts)


def base_name(name: str) -> str:
    """A parameter's name in the network without skip units."""
    return name.removeprefix("network.")


def readout_names(module: nn.Module) -> tuple[str, ...]:
    """The parameters in which the outputs are linear, V: of the skip units, or the last layer's."""
    names = [name for name, _ in module.named_parameters()]
    if SKIP in names:
        return (SKIP,)
    return tuple(name for name in names if name.startswith(f"{OUTPUT}."))


def hidden_names(module: nn.Module) -> tuple[str, ...]:
    """The parameters of the hidden layers, on which Ψ depends."""
    names = [name for name, _ in module.named_parameters()]
    return tuple(n for n in names if n != SKIP and not base_name(n).startswith(f"{OUTPUT}."))


def normal_numbers(module: nn.Module, seed: int, *stream: int) -> dict[str, Tensor]:
    """Normal numbers for every parameter, of variance 1/inputs of the unit, 1 for biases; float64.

    Those of a parameter follow from its name, so that they are the same with skip units.
    """
    return {
        name: _scale(name, parameter)
        * torch.from_numpy(
            np.random.default_rng(
                [seed, *stream, zlib.crc32(base_name(name).encode())]
            ).standard_normal(tuple(parameter.shape))
        )
        for name, parameter in module.named_parameters()
    }


def _scale(name: str, parameter: Tensor) -> float:
    if parameter.dim() == 1:
        return 1.0
    return 1 / math.sqrt(parameter.shape[0 if name == SKIP else 1])


def start_of(module: nn.Module, parameters: SkipNetParameters, seed: int) -> dict[str, Tensor]:
    """Seeded parameters to start from: normal, or of equal units, or zero."""
    drawn = normal_numbers(module, seed, START)
    if parameters.start == "zero":
        return {name: torch.zeros_like(tensor) for name, tensor in drawn.items()}
    if parameters.start == "equal":
        for name in hidden_names(module):
            drawn[name] = drawn[name][:1].expand_as(drawn[name]).clone()
    return drawn
