"""Scans of given and filter-normalised directions against the package `loss-landscapes`.

The conventions of its 3.0.6: a line of n steps begins one step after its start; in the plane, even
rows begin one step after it too, and odd rows at it. Its steps are added up.
"""

import copy

import numpy as np
import pytest
import torch
from loss_landscapes import linear_interpolation, planar_interpolation
from loss_landscapes.metrics.metric import Metric
from loss_landscapes.model_interface.model_parameters import ModelParameters
from torch import nn

from pipeline import scan
from tasks.directions.random import random_draws
from tests.straight import moved, section_of

STEPS = 6


class MeanLoss(Metric):
    """The mean loss of what it is given."""

    def __init__(self, inputs, targets):
        super().__init__()
        self.inputs, self.targets = inputs.double(), targets

    def __call__(self, wrapper):
        outputs = wrapper.forward(self.inputs)
        return nn.functional.cross_entropy(outputs, self.targets).item()


@pytest.fixture(scope="module")
def data():
    torch.manual_seed(0)
    return torch.randn(50, 1, 6, 6), torch.randint(0, 4, (50,))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 10), nn.Tanh(), nn.Linear(10, 4)
    ).eval()


@pytest.fixture(scope="module")
def ahead(net, data, tmp_path_factory):
    """The filter-normalised plane from 0 to 1, and its directions."""
    store = tmp_path_factory.mktemp("agreement") / "scan.zarr"
    axes = {"a": (0, 1, STEPS + 1), "b": (0, 1, STEPS + 1)}
    found = scan(net, data, axes=axes, directions="filter", seed=5, store=store)
    return found["loss"].sel(split="train").values, section_of(store)[1]


def test_filters_have_the_norms_that_the_package_gives_them(net, ahead):
    origin = {name: p.detach().double() for name, p in net.named_parameters() if p.dim() > 1}
    draws = random_draws({name: p.detach() for name, p in net.named_parameters()}, 5)
    for own, drawn in zip(ahead[1], draws, strict=False):
        theirs = ModelParameters([drawn[name].clone() for name in origin])
        theirs.filter_normalize_(ModelParameters(list(origin.values())))
        assert set(own) == set(origin)
        for name, tensor in zip(origin, theirs, strict=True):
            torch.testing.assert_close(own[name], tensor, rtol=1e-12, atol=0)
            assert not torch.allclose(own[name], drawn[name])


def test_a_line_is_the_packages(net, data, ahead):
    loss, directions = ahead
    start = copy.deepcopy(net).double()
    for line, direction in ((loss[:, 0], directions[0]), (loss[0, :], directions[1])):
        theirs = linear_interpolation(
            start, moved(net, [direction], [1]), MeanLoss(*data), STEPS, deepcopy_model=True
        )
        np.testing.assert_allclose(line[1:], theirs, rtol=1e-5)
        assert not np.allclose(line[:-1], theirs, rtol=1e-3)


def test_a_plane_is_the_packages(net, data, ahead):
    loss, directions = ahead
    start = copy.deepcopy(net).double()
    ends = [moved(net, [direction], [1]) for direction in directions]
    theirs = planar_interpolation(start, *ends, MeanLoss(*data), STEPS, deepcopy_model=True)
    # Row i stands at i steps along the first direction.
    aligned = np.stack([loss[i, 1:] if i % 2 == 0 else loss[i, :-1] for i in range(STEPS)])
    np.testing.assert_allclose(aligned, theirs, rtol=1e-5)
    assert not np.allclose(aligned.T, theirs, rtol=1e-3)


def test_between_models_as_the_package_goes(net, data):
    torch.manual_seed(2)
    other = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    found = scan(net, data, path=other, axes={"t": (0, 1, STEPS + 1)})
    theirs = linear_interpolation(
        copy.deepcopy(net).double(), copy.deepcopy(other).double(), MeanLoss(*data), STEPS
    )
    np.testing.assert_allclose(found["loss"].sel(split="train")[1:], theirs, rtol=1e-5)
