"""What the engine benchmark evaluates: models, data, and planes through them.

Every plane has two filter-normalised random directions (Li et al. 2018, arXiv:1712.09913) and is
centred on the model. Builders take the number of samples, so that tests can take few.

Shape legend: N = samples, P = points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from schemas import ScanSpec, parse_spec
from tasks.data import digits, mnist_subset, stratified
from tasks.given import given_landscape
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split

Floats: TypeAlias = npt.NDArray[np.float64]
RADIUS = 1.0


@dataclass(frozen=True)
class Workload:
    """A landscape of one split, `train`, and a grid of `side` × `side` points on its plane."""

    name: str
    landscape: Landscape
    side: int

    @property
    def n_points(self) -> int:
        """Points of the grid."""
        return self.side**2

    @property
    def objective(self) -> EmpiricalRisk:
        """The landscape's objective."""
        objective = self.landscape.objective
        assert isinstance(objective, EmpiricalRisk)  # noqa: S101 - the builders below see to it
        return objective

    @property
    def data(self) -> Split:
        """The data set."""
        return self.objective.splits["train"]

    def axis(self) -> Floats:
        """Coordinates along either axis, shape (side,)."""
        return np.linspace(-RADIUS, RADIUS, self.side)

    def some_points(self, count: int) -> Floats:
        """That many points of the grid, drawn at random unless it is all of them, shape (P, 2)."""
        index = np.random.default_rng(0).permutation(self.n_points)[:count]
        rows, columns = np.unravel_index(np.sort(index), (self.side, self.side))
        return np.stack([self.axis()[rows], self.axis()[columns]], axis=-1)

    def spec(self, dtype: str) -> ScanSpec:
        """The scan of the grid."""
        axis = {"start": -RADIUS, "stop": RADIUS, "num": self.side}
        return parse_spec(
            {
                "task": self.name,
                "axes": {"alpha": axis, "beta": axis},
                "splits": ["train"],
                "compute": {"dtype": dtype, "device": "cpu"},
            }
        )


def _workload(
    name: str, module: nn.Module, data: tuple[Tensor, Tensor], loss: str, side: int
) -> Workload:
    landscape = given_landscape(
        module.eval(), {"train": data}, loss=loss, directions="filter", origin=None, z=2, seed=1
    )
    return Workload(name, landscape, side)


def _mlp(*widths: int, activation: Callable[[], nn.Module] | None) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out)]
        layers += [activation()] if activation else []
    return nn.Sequential(*(layers[:-1] if activation else layers))


def _training_digits(samples: int) -> tuple[Tensor, Tensor]:
    train = stratified(digits(), seed=0)[0]
    return train.images.flatten(1)[:samples], train.labels[:samples]


def digits_mlp(samples: int = 1437, side: int = 31) -> Workload:
    """A small classifier of the digits."""
    module = _mlp(64, 128, 64, 10, activation=nn.ReLU)
    return _workload("digits", module, _training_digits(samples), "cross_entropy", side)


def mnist_mlp(samples: int = 5000, side: int = 21) -> Workload:
    """A classifier of the MNIST subset."""
    data = mnist_subset()
    pixels, labels = data.images.flatten(1)[:samples], data.labels[:samples]
    module = _mlp(784, 256, 128, 10, activation=nn.ReLU)
    return _workload("mnist-mlp", module, (pixels, labels), "cross_entropy", side)


def deep_linear(samples: int = 1437, side: int = 101) -> Workload:
    """A deep linear network on the digits."""
    module = _mlp(64, 64, 64, 64, 10, activation=None)
    return _workload("deep-linear", module, _training_digits(samples), "mse", side)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al. 2016, arXiv:1512.03385, section 4.2)."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, channels, height, width), smaller by the stride."""
        inner = self.relu(self.first_norm(self.first(x)))
        out: Tensor = self.relu(self.second_norm(self.second(inner)) + self.shortcut(x))
        return out


def _resnet20_module() -> nn.Sequential:
    layers = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
    channels = 16
    for stage in (16, 32, 64):
        for _ in range(3):
            layers.append(BasicBlock(channels, stage, 1 if stage == channels else 2))
            channels = stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def resnet20(samples: int = 256, side: int = 11) -> Workload:
    """ResNet-20 for CIFAR's shape, with the running statistics of its data."""
    torch.manual_seed(0)
    module = _resnet20_module()
    images, labels = torch.randn(samples, 3, 32, 32), torch.randint(0, 10, (samples,))
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the mean over the passes so far, of which there is one
    with torch.no_grad():
        module.train()(images)
    return _workload("resnet20", module, (images, labels), "cross_entropy", side)


class Encoder(nn.Module):
    """A transformer encoder over 16 tokens, averaged over the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(32, 64)
        self.position = nn.Parameter(0.1 * torch.randn(16, 64))
        layer = nn.TransformerEncoderLayer(64, 4, 256, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(64, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (N, 10) of tokens (N, 16)."""
        encoded: Tensor = self.encoder(self.embedding(tokens) + self.position)
        logits: Tensor = self.head(encoded.mean(dim=1))
        return logits


def transformer(samples: int = 512, side: int = 11) -> Workload:
    """A small encoder."""
    torch.manual_seed(0)
    module = Encoder()
    tokens, labels = torch.randint(0, 32, (samples, 16)), torch.randint(0, 10, (samples,))
    return _workload("transformer", module, (tokens, labels), "cross_entropy", side)


WORKLOADS: Mapping[str, Callable[..., Workload]] = {
    "digits": digits_mlp,
    "mnist-mlp": mnist_mlp,
    "resnet20": resnet20,
    "transformer": transformer,
    "deep-linear": deep_linear,
}
"""Builders by name."""
