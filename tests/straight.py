"""Losses computed straight with torch, one point at a time in float64, to judge scans by."""

import copy
import json

import numpy as np
import torch
import xarray as xr


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
