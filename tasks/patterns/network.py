"""The network that carries a pattern: a first layer whose biases are the coordinates, and the rest.

Shape legend: P = points, N = samples, z = axes, k = units or feature maps of the first layer,
C = classes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from schemas.errors import SpecError
from tasks.patterns.parameters import NetworkParameters


class Sine(nn.Module):
    """x → sin x: learns fine patterns (Sitzmann et al. 2020, arXiv:2006.09661)."""

    def forward(self, x: Tensor) -> Tensor:
        """The sine of each entry."""
        return torch.sin(x)


_ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "sine": Sine,
}
_POOLED_SIDE = 2


class PatternNetwork(nn.Module):
    """f(x) = rest(pool(activation(first(x)))): a linear or convolutional first layer, then an MLP.

    With θ_W = 0 and θ_b = [h_1 … h_z, 0 … 0] in `first` it is a function of h alone
    (Czarnecki et al. 2019, arXiv:1912.07559, Theorem 1).
    """

    def __init__(self, parameters: NetworkParameters, pixels: int, classes: int) -> None:
        super().__init__()
        activation = _ACTIVATIONS[parameters.activation]
        widths = list(parameters.hidden)
        self.first: nn.Linear | nn.Conv2d
        if parameters.kind == "cnn":
            self.first = nn.Conv2d(1, parameters.channels, 3, padding=1)
            self.pool: nn.Module = nn.Sequential(nn.AdaptiveAvgPool2d(_POOLED_SIDE), nn.Flatten())
            widths = [parameters.channels * _POOLED_SIDE**2, *widths]
        else:
            self.first = nn.Linear(pixels, widths[0])
            self.pool = nn.Identity()
        self.activation = activation()
        layers: list[nn.Module] = []
        for width_in, width_out in itertools.pairwise(widths):
            layers += [nn.Linear(width_in, width_out), activation()]
        self.rest = nn.Sequential(*layers, nn.Linear(widths[-1], classes))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (N, C) for inputs (N, pixels) or (N, 1, height, width)."""
        return self.after_first(self.first(x))

    def after_first(self, pre_activation: Tensor) -> Tensor:
        """Outputs (N, C) from the first layer's pre-activations (N, k) or (N, k, height, width)."""
        outputs: Tensor = self.rest(self.pool(self.activation(pre_activation)))
        return outputs

    def of_coordinates(self, h: Tensor) -> Tensor:
        """q(h): outputs (P, C) for coordinates (P, z) when the first layer's weights are zero.

        A convolution's maps are then constant, and a map of one pixel stands for them all.
        """
        pre = torch.zeros(len(h), self.first.weight.shape[0], dtype=h.dtype)
        pre[:, : h.shape[1]] = h
        return self.after_first(pre if isinstance(self.first, nn.Linear) else pre[..., None, None])


def make_network(
    parameters: NetworkParameters,
    *,
    z: int,
    pixels: int,
    classes: int,
    frequency: float,
    blind: bool,
    generator: torch.Generator,
) -> PatternNetwork:
    """An untrained network, every number drawn from the generator.

    Args:
        parameters: its shape.
        z: coordinates, which take the first z units of the first layer.
        pixels: inputs of a fully connected first layer.
        classes: outputs.
        frequency: standard deviation of the first trained weights on h.
        blind: zero all weights of the first layer (Theorem 1), not only those into the first z
            units (Theorem 2).
        generator: source of randomness.

    Raises:
        SpecError: the first layer has too few units for z coordinates.
    """
    _check_width(parameters, z, blind)
    # Modules draw from the global generator when they are made; what they draw is replaced.
    with torch.random.fork_rng(devices=[]):
        network = PatternNetwork(parameters, pixels, classes)
    gain = 1.0 if parameters.activation == "tanh" else math.sqrt(2.0)
    with torch.no_grad():
        for layer in (network.first, *network.rest):
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                inputs = layer.weight[0].numel()
                draw = torch.randn(layer.weight.shape, generator=generator)
                layer.weight.copy_(draw * gain / math.sqrt(inputs))
                if layer.bias is not None:
                    layer.bias.zero_()
        network.first.weight[: None if blind else z] = 0.0
        _spread(network, z, frequency, generator)
    return network


def _check_width(parameters: NetworkParameters, z: int, blind: bool) -> None:
    field = "channels" if parameters.kind == "cnn" else "hidden[0]"
    width = parameters.channels if parameters.kind == "cnn" else parameters.hidden[0]
    # Theorem 2 needs units that see the data, and a convolution more maps than coordinates.
    least = z if blind and parameters.kind == "mlp" else z + 1
    if width < least:
        raise SpecError(f"parameters.network.{field}: got {width}; {z} axes need {least} or more")


def _spread(network: PatternNetwork, z: int, frequency: float, generator: torch.Generator) -> None:
    """Steep first trained weights on h, their units centred all over the cube.

    Networks learn low frequencies first; without this a fine pattern would not be learnt.
    """
    layer = cast("nn.Linear", network.rest[0])
    copies = 1 if isinstance(network.first, nn.Linear) else _POOLED_SIDE**2
    slopes = torch.randn(layer.out_features, z, generator=generator) * frequency
    layer.weight[:, : z * copies] = slopes.repeat_interleave(copies, dim=1) / copies
    centres = network.activation(torch.rand(layer.out_features, z, generator=generator))
    layer.bias.copy_(-(slopes * centres).sum(dim=1))
