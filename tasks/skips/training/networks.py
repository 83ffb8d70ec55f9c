"""The deep networks that the task `skip-training` trains, their starts, and their data.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749, section 4. Shape legend: N = samples, M = skip
units, m = outputs.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from schemas.errors import SpecError
from tasks.data import DATA, Images, stratified_positions
from tasks.objective import Split
from tasks.skips.networks import ACTIVATIONS, CLASSES
from tasks.skips.training.parameters import SkipTrainingParameters
from tasks.skips.wrapper import with_skips

TRAIN, TEST = "train", "test"
DATA_STREAM, START, UNITS, BATCHES, LABELS = range(5)
"""Streams of random numbers of one seed, kept apart."""

_KERNEL = 3
_CUT = 2.0
_LEFT_BY_CUT = 0.8796256610342398
"""Standard deviation of a normal number that is cut at ±2."""
_DENSE = 8
"""Units of the dense layer behind convolutions, for each channel."""


def stream(seed: int, number: int) -> int:
    """The seed of one of the streams; torch's generators take a single number."""
    return int(np.random.default_rng([seed, number]).integers(2**62))


def splits_of(parameters: SkipTrainingParameters, seed: int) -> dict[str, Split]:
    """N images to train on, all classes alike, and all others.

    Raises:
        SpecError: the data set has no more than N images, or smaller ones than asked for.
    """
    images = DATA[parameters.data]()
    total, count = len(images.labels), parameters.samples
    if count >= total:
        raise SpecError(
            f"parameters.samples: got {count}; {parameters.data} has {total} images, some of which "
            f"must be left to test; give at most {total - 1}"
        )
    if parameters.side is not None:
        images = _smaller(images, parameters)
    fraction = 1 - count / total
    train, test = stratified_positions(images.labels, fraction, stream(seed, DATA_STREAM))
    # Whole samples of each class need not add up to N.
    order = torch.cat([train, test])
    flat = parameters.network == "dense"
    found = {
        TRAIN: images.take(order[:count]).split(flat),
        TEST: images.take(order[count:]).split(flat),
    }
    if parameters.labels == "shuffled":
        generator = torch.Generator().manual_seed(stream(seed, LABELS))
        dealt = torch.randperm(count, generator=generator)
        found[TRAIN] = Split(found[TRAIN].inputs, found[TRAIN].targets[dealt])
    return found


def _smaller(images: Images, parameters: SkipTrainingParameters) -> Images:
    side, given = parameters.side, images.images.shape[-1]
    if side is None or side > given:
        raise SpecError(
            f"parameters.side: got {side}; {parameters.data} has {given} pixels along each side; "
            "give at most as many"
        )
    return images.resized(side)


def network_of(parameters: SkipTrainingParameters, example: Tensor, seed: int) -> nn.Module:
    """The network at its start, x (N, …) → (N, m), float32, in eval mode.

    Weights are normal with variance 2/inputs of the unit, cut at two standard deviations, and
    biases are 0; they are the same with skip units and without. V is 0, and so are the last
    layer's weights with random features, which leaves G = ΨV.

    Raises:
        SpecError: there are fewer hidden units than skip units.
    """
    pixels = example.shape[1:]
    layers = (
        _dense(parameters, pixels) if parameters.network == "dense" else _conv(parameters, pixels)
    )
    network = nn.Sequential(*layers).eval()
    _draw(network, torch.Generator().manual_seed(stream(seed, START)))
    if parameters.connections == "plain":
        return network
    if parameters.connections == "random-features":
        nn.init.zeros_(layers[-1].get_parameter("weight"))
    return with_skips(network, example[:1], units=parameters.units, seed=stream(seed, UNITS))


def _dense(parameters: SkipTrainingParameters, pixels: torch.Size) -> list[nn.Module]:
    found: list[nn.Module] = []
    inputs = pixels.numel()
    for _ in range(parameters.layers):
        found += [nn.Linear(inputs, parameters.width), ACTIVATIONS[parameters.activation]()]
        inputs = parameters.width
    return [*found, nn.Linear(inputs, CLASSES)]


def _conv(parameters: SkipTrainingParameters, pixels: torch.Size) -> list[nn.Module]:
    unit = ACTIVATIONS[parameters.activation]
    found: list[nn.Module] = []
    half = -(-parameters.layers // 2)
    inputs, side = pixels[0], pixels[1]
    for layer in range(parameters.layers):
        channels = parameters.width * (1 if layer < half else 2)
        stride = 2 if layer in (0, half) else 1
        found += [nn.Conv2d(inputs, channels, _KERNEL, stride, padding=1), unit()]
        inputs, side = channels, -(-side // stride)
    units = _DENSE * parameters.width
    dense = [nn.Flatten(), nn.Linear(inputs * side * side, units), unit()]
    return [*found, *dense, nn.Linear(units, CLASSES)]


def _draw(network: nn.Module, generator: torch.Generator) -> None:
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            deviation = math.sqrt(2 / layer.weight[0].numel()) / _LEFT_BY_CUT
            cut = _CUT * deviation
            nn.init.trunc_normal_(layer.weight, 0.0, deviation, -cut, cut, generator)
            nn.init.zeros_(layer.get_parameter("bias"))
