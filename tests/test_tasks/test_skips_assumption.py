"""Assumption 3.1 part by part: networks that meet it, and one for each way of failing it."""

import math
import re

import pytest
import torch
from torch import nn

from tasks.skips.activations import is_activation, reason_against
from tasks.skips.assumption import PARTS, check_assumption
from tasks.skips.features import features, rank
from tasks.skips.wrapper import with_skips

ROWS = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
IMAGES = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(2))
GREY = torch.rand(20, 1, 1, 1, generator=torch.Generator().manual_seed(3)).expand(20, 1, 8, 8)


def softplus():
    return nn.Softplus(20, 40)


def dense(activation, *widths, bias=True):
    parts, inputs = [], 6
    for units in widths:
        parts += [nn.Linear(inputs, units, bias=bias), activation()]
        inputs = units
    return nn.Sequential(*parts, nn.Linear(inputs, 3))


def convolutional(*behind, channels=5, activation=nn.Sigmoid):
    return nn.Sequential(nn.Conv2d(1, channels, 3), activation(), *behind, Last())


class Last(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :3]


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(6, 12), nn.Linear(12, 12), nn.Linear(24, 9)
        self.act, self.last = nn.Sigmoid(), nn.Linear(9, 3)

    def forward(self, x):
        first = self.act(self.one(x.view(x.shape[0], -1)))
        second = self.act(first + self.two(first))
        return self.last(self.act(self.three(torch.cat([first, second], dim=1))))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two, self.act = nn.Linear(6, 6), nn.Linear(6, 3), nn.Sigmoid()

    def forward(self, x):
        return self.two(self.act(self.one(self.act(self.one(x)))))


def found(network, inputs, **choice):
    torch.manual_seed(4)
    return {f.part: f for f in check_assumption(with_skips(network, inputs[:2], **choice), inputs)}


@pytest.mark.parametrize(
    ("network", "inputs", "choice"),
    [
        (dense(nn.Sigmoid, 12, 12), ROWS, {}),
        (dense(softplus, 20), ROWS, {}),
        (dense(softplus, 5, 25), ROWS, {"after": ["3"]}),
        (dense(softplus, 20, 20), ROWS, {"units": 25}),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.Sigmoid()), IMAGES, {"after": ["2"]}),
        (convolutional(channels=20), IMAGES, {}),
        (convolutional(nn.Conv2d(5, 20, 3), nn.Sigmoid(), channels=5), IMAGES, {"after": ["3"]}),
        (nn.Sequential(nn.AvgPool2d(2), *convolutional(channels=20)), IMAGES, {}),
        (convolutional(nn.MaxPool2d(2), channels=20), IMAGES, {}),
        (Residual(), ROWS, {}),
    ],
)
def test_it_is_met(network, inputs, choice):
    findings = found(network, inputs, **choice)
    assert tuple(findings) == PARTS
    assert all(each.met for each in findings.values()), findings
    assert all("\n" not in finding.reason for finding in findings.values())


REPEATED = torch.cat([ROWS[:19], ROWS[:1]])


@pytest.mark.parametrize(
    ("network", "inputs", "choice", "part", "reason"),
    [
        (dense(nn.Sigmoid, 19), ROWS, {}, "number", "19 skip units for 20 samples"),
        (dense(nn.ReLU, 30), ROWS, {}, "activations", "ReLU has a corner at 0"),
        (dense(nn.Softplus, 30), ROWS, {}, "activations", "a jump of 2e-09; give it threshold=40"),
        (dense(nn.Tanh, 30), ROWS, {}, "units", "0 bounded units"),
        (dense(softplus, 12, 12), ROWS, {}, "units", "12 softplus units with a path"),
        (dense(nn.Sigmoid, 30), REPEATED, {}, "patches", "0 of .* 30 .* two samples are equal"),
        (dense(nn.Sigmoid, 30, bias=False), ROWS, {}, "biases", "0 biases"),
        (convolutional(channels=19), GREY, {}, "biases", "19 biases"),
        (convolutional(nn.MaxPool2d(2), nn.Sigmoid()), IMAGES, {}, "layers", "MaxPool2d, has no"),
    ],
)  # fmt: skip
def test_each_part_can_fail(network, inputs, choice, part, reason):
    findings = found(network, inputs, **choice)
    assert findings[part].met is False
    assert not all(each.met for each in findings.values())
    assert re.search(reason, findings[part].reason), findings[part]
    before = PARTS[: PARTS.index(part)]
    assert all(findings[name].met for name in before)


@pytest.mark.parametrize(
    ("network", "inputs", "reason"),
    [
        (nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.Sigmoid(), Last()), ROWS,
         "'1', BatchNorm1d, is not known here"),
        (convolutional(nn.AvgPool2d(2), nn.Conv2d(5, 5, 1), nn.Sigmoid()), IMAGES,
         "'2', AvgPool2d, has units with fixed weights behind a layer"),
        (Twice(), ROWS, "'one' is called twice, so layers share weights"),
        (nn.Sequential(nn.Sigmoid(), nn.Linear(6, 3)), ROWS, "'0' is in front of the first layer"),
        (nn.Sequential(nn.Conv2d(1, 5, 3, padding_mode="circular"), nn.Sigmoid(), Last()),
         IMAGES, "padding_mode 'circular' is not known here"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_not_checked(network, inputs, reason):
    findings = found(network, inputs)
    assert findings["layers"].met is None
    assert findings["layers"].reason == reason
    assert [findings[part].met for part in PARTS[2:]] == [None] * 4


def test_a_channel_s_units_are_one_on_grey_images():
    # All is met but the bias of each unit, and then lemma 3.2 does not hold.
    model = with_skips(convolutional(channels=4), IMAGES[:2], units=100)
    assert [f.part for f in check_assumption(model, GREY) if not f.met] == ["biases"]
    for seed in range(5):
        torch.manual_seed(seed)
        at = {name: torch.randn_like(value) for name, value in model.named_parameters()}
        assert rank(features(model, GREY, at)).rank == 4
        assert rank(features(model, IMAGES, at)).rank == 20


ACTIVATIONS = [
    nn.Sigmoid(), nn.Tanh(), nn.LogSigmoid(), nn.Tanhshrink(), nn.Softplus(3.0, 40), nn.ReLU(),
    nn.ReLU6(), nn.LeakyReLU(), nn.PReLU(), nn.RReLU().eval(), nn.ELU(), nn.CELU(), nn.SELU(),
    nn.Softsign(), nn.GELU(), nn.SiLU(), nn.Mish(), nn.Hardtanh(), nn.Hardsigmoid(),
    nn.Hardswish(), nn.Hardshrink(), nn.Softshrink(), nn.Threshold(0.5, 0.0),
]  # fmt: skip


@pytest.mark.parametrize("module", ACTIVATIONS, ids=lambda module: type(module).__name__)
def test_activations_are_told_apart_by_their_derivatives(module):
    # Of analytic increasing ones the slope is positive, and its changes from one step to the next
    # are as small as the steps.
    assert is_activation(module)
    x = torch.linspace(-8, 8, 160_002, dtype=torch.float64, requires_grad=True)
    values = module.double()(x)
    slope = torch.autograd.grad(values.sum(), x)[0]
    bend = slope.diff() / x.detach().diff()
    smooth = bool((bend.diff().abs() < 1e-2).all())
    increasing = bool((slope > 0).all())
    reason = reason_against(module)
    assert (reason is None) == (smooth and increasing)
    if reason is not None and "falls below" in reason:
        lowest = float(x.detach()[values.argmin()])
        assert float(reason.split("−")[1]) == pytest.approx(-lowest, abs=0.005)


@pytest.mark.parametrize(("threshold", "seen"), [(20, True), (36, True), (37, False), (40, False)])
def test_a_softplus_is_analytic_where_float64_sees_no_jump(threshold, seen):
    assert (reason_against(nn.Softplus(2.0, threshold)) is not None) == seen
    jump = math.log1p(math.exp(-threshold))
    assert (1 + jump > 1) == seen
    assert "expected beta above 0" in reason_against(nn.Softplus(-1.0, 40))
