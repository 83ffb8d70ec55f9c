"""Small models of every kind, and every metric of theirs, with and without cleverness."""

import functools
from typing import get_args

import numpy as np
import torch
from torch import nn

from pipeline.engine.autograd import AutogradEvaluator
from pipeline.engine.contract import EngineChoice
from pipeline.engine.reference import evaluate_reference
from schemas.layout import METRICS
from schemas.scan import MetricName
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split, cross_entropy
from tasks.section import directions_as_section

SAMPLES = {"train": 11, "test": 4}
SPLITS = tuple(SAMPLES)
MEASURED = get_args(MetricName)
FLOATS = tuple(name for name in MEASURED if METRICS[name].dtype is None)
EIGENVALUES = ("hessian_eigenvalue_min", "hessian_eigenvalue_max")
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}
POINTS = np.array([[0.3, -0.2], [-0.5, 0.4]])


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.norm(x)
        return self.head((x + self.attention(x, x, x, need_weights=False)[0]).mean(dim=1))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cell = kind(3, 3, batch_first=True)
        self.head = nn.Linear(3, 3)

    def forward(self, x):
        return self.head(self.cell(x)[0][:, -1])


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.inner = nn.Linear(4, 4)
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x):
        return self.head(torch.tanh(self.inner(self.embedding(x).mean(dim=1))))


def convolution():
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.GELU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(3, 3),
    )  # fmt: skip
    model[1].running_mean.normal_()
    model[1].running_var.uniform_(0.5, 2)
    return model


def mlp(activation):
    return nn.Sequential(nn.Linear(4, 4), activation(), nn.Linear(4, 4), activation(),
                         nn.Linear(4, 3))  # fmt: skip


def frozen():
    model = mlp(nn.Tanh)
    model[0].requires_grad_(False)
    return model


def vectors(n):
    return torch.randn(n, 4)


def series(n):
    return torch.randn(n, 3, 4)


def tokens(n):
    return torch.randint(0, 5, (n, 3))


MODELS = {
    "tanh": (lambda: mlp(nn.Tanh), vectors),
    "relu": (lambda: mlp(nn.ReLU), vectors),
    "in place": (lambda: nn.Sequential(nn.LeakyReLU(0.2, inplace=True), *mlp(nn.SiLU)), vectors),
    "convolution": (convolution, lambda n: torch.randn(n, 2, 4, 4)),
    "attention": (Attention, series),
    "lstm": (lambda: Recurrent(nn.LSTM), lambda n: torch.randn(n, 3, 3)),
    "gru": (lambda: Recurrent(nn.GRU), lambda n: torch.randn(n, 3, 3)),
    "embedding": (lambda: nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(9, 3)), tokens),
    "tied": (Tied, tokens),
    "frozen": (frozen, vectors),
    "linear": (lambda: nn.Linear(4, 3), vectors),
}


@functools.cache
def landscape(name, loss=cross_entropy, z=2, only=None):
    """A model with random directions; `only` names the parameters that the second one touches."""
    torch.manual_seed(sum(map(ord, name)))
    model, inputs = MODELS[name]
    model = model()
    splits = {s: Split(inputs(n), torch.randint(0, 3, (n,))) for s, n in SAMPLES.items()}
    origin = {n: p.detach() for n, p in model.named_parameters()}
    directions = [{n: 0.4 * torch.randn_like(p) for n, p in origin.items()} for _ in range(z)]
    if only:
        directions[1] = {n: d for n, d in directions[1].items() if n in only}
    return Landscape(EmpiricalRisk(model, loss, splits), directions_as_section(origin, directions))


def reference(landscape, metrics=FLOATS):
    return evaluate_reference(landscape, POINTS, SPLITS, metrics)


@functools.cache
def in_blocks(name):
    return measured(landscape(name), block=4)


@functools.cache
def expected_of(name, loss=cross_entropy):
    return reference(landscape(name, loss))


def autograd(dtype="float64", block=None):
    return EngineChoice(name="autograd", device="cpu", dtype=dtype, threads=1, sample_block=block)


def measured(landscape, metrics=FLOATS, dtype="float64", block=None, points=POINTS):
    evaluator = AutogradEvaluator(
        landscape.objective, landscape.section, SPLITS, metrics, autograd(dtype, block)
    )
    torch.set_num_threads(1)
    return evaluator.evaluate(points)


def difference(found, expected):
    """Greatest difference over the greatest entry; eigenvalues are measured by the spectrum."""
    scales = {name: np.abs(part).max() for name, part in expected.items()}
    ends = max(scales.get(name, 0) for name in EIGENVALUES)
    scales |= {name: ends for name in EIGENVALUES if name in scales}
    return {
        name: np.abs(found[name] - part).max() / (scales[name] or 1)
        for name, part in expected.items()
    }


def assert_agrees(found, expected, tolerance):
    assert {n: v.shape for n, v in found.items()} == {n: v.shape for n, v in expected.items()}
    wrong = {n: d for n, d in difference(found, expected).items() if not d <= tolerance}
    assert not wrong
