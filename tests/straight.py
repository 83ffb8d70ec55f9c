"""Small networks, and losses computed straight with torch in float64, to judge scans by."""

import copy
import json

import numpy as np
import torch
import xarray as xr
from torch import nn


def mlp(seed=0):
    """(N, 5) → 3 classes."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)).eval()


def with_batchnorm(seed=0):
    """(N, 5) → 3 classes, with running statistics of data that the seed has its part in."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    for _ in range(20):
        net(torch.randn(64, 5) * (1 + seed) + seed)
    return net.eval()


def classes():
    """Inputs (40, 5) and classes (40,)."""
    torch.manual_seed(9)
    return torch.randn(40, 5), torch.randint(0, 3, (40,))


def train_loss(dataset, **at):
    """The stored loss of the split `train` at a point."""
    return dataset["loss"].sel(split="train", **at).item()


def section_of(store):
    """The origin and the directions that a store holds: name → tensor, float64."""
    section = xr.open_zarr(store, group="section").load()
    shapes = [json.loads(text) for text in section["shape"].values]
    sizes = [int(np.prod(shape)) for shape in shapes]

    def named(row):
        parts = torch.split(torch.from_numpy(row.copy()), sizes)
        pairs = zip(section["parameter"].values, parts, shapes, strict=True)
        return {name: part.reshape(shape) for name, part, shape in pairs}

    return named(section["origin"].values), [named(row) for row in section["direction"].values]


def moved(model, directions, coordinates):
    """A copy of the module in float64 at origin + Σ coordinate·direction."""
    own = copy.deepcopy(model).double().eval()
    parameters = dict(own.named_parameters())
    with torch.no_grad():
        for direction, coordinate in zip(directions, coordinates, strict=True):
            for name, tensor in direction.items():
                parameters[name] += float(coordinate) * tensor.double()
    return own


def loss_of(model, data, loss=torch.nn.functional.cross_entropy):
    """The module's mean loss over (inputs, targets), in float64."""
    inputs, targets = data
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    with torch.no_grad():
        return float(loss(copy.deepcopy(model).double().eval()(inputs), targets))
