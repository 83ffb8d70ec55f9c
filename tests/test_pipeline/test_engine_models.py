"""Evaluators against the reference, over a zoo of models and over models drawn at random."""

import functools
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from benchmarks.contenders import Ours, PlainLoop, Vmapped
from benchmarks.workloads import WORKLOADS
from pipeline.engine import choose_engine, make_evaluator
from pipeline.engine.reference import evaluate_reference
from pipeline.verifying import TOLERANCE, relative_difference
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split, cross_entropy, squared_error
from tasks.section import Section
from tests.models import CASES, scaled_section, unsettled

SPLITS = ("train", "test")


def sample_points(z, seed=0):
    """The origin, two opposite corners and three random points of [−1, 1]^z, shape (6, z)."""
    corner = np.where(np.arange(z) % 2, -1.0, 1.0)
    random = np.random.default_rng(seed).uniform(-1, 1, (3, z))
    return np.concatenate([[np.zeros(z), corner, -corner], random])


def choices(landscape, dtype):
    """The engines to be compared with the reference."""
    return [choose_engine(landscape, "cpu", dtype, 1)]


def complaints(landscape, candidates, points, expected, splits=SPLITS):
    """What differs from the expected values beyond rounding, a line for each metric and engine."""
    found = []
    for choice in candidates:
        values = make_evaluator(landscape, splits, tuple(expected), choice).evaluate(points)
        difference = relative_difference(values["loss"], expected["loss"])
        if not difference <= TOLERANCE[choice.dtype]:
            found.append(f"{choice.name}: loss differs by {difference:.1e}")
        if "accuracy" in expected:
            # Rounding may swap two classes that are all but level, of one sample.
            allowed = 1 / len(landscape.objective.splits[splits[-1]])
            gap = np.abs(values["accuracy"] - expected["accuracy"]).max()
            if gap > (allowed if choice.dtype == "float32" else 0):
                found.append(f"{choice.name}: accuracy differs by {gap:.2f}")
    return found


@functools.cache
def known(name):
    """A case, its points and their reference values."""
    case = CASES[name]()
    points = sample_points(case.landscape.section.z)
    return case, points, evaluate_reference(case.landscape, points, SPLITS, case.metrics)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_the_zoo_agrees_with_the_reference(name, dtype):
    case, points, expected = known(name)
    assert complaints(case.landscape, choices(case.landscape, dtype), points, expected) == []


def flipped(landscape):
    """The landscape with the sign of its first direction changed."""
    first, *others = landscape.section.directions
    first = {name: -tensor for name, tensor in first.items()}
    return replace(landscape, section=Section(landscape.section.origin, (first, *others)))


@pytest.mark.parametrize("name", CASES)
def test_a_flipped_direction_is_noticed_in_every_model(name):
    case, points, expected = known(name)
    wrong = flipped(case.landscape)
    for dtype in TOLERANCE:
        candidates = choices(wrong, dtype)
        found = complaints(wrong, candidates, points, expected)
        assert sum("loss differs" in line for line in found) == len(candidates)


@pytest.mark.parametrize("name", CASES)
def test_the_zoo_is_worth_testing(name):
    case, _, expected = known(name)
    for split in expected["loss"]:
        assert np.isfinite(split).all()
        assert split.min() > 1e-2
        assert split.max() < 1e2
        assert np.ptp(split) > 1e-3 * split.max()
    assert 20 < sum(t.numel() for t in case.landscape.section.origin.values()) < 10_000
    again = CASES[name]().landscape.section.origin
    assert all(torch.equal(again[n], t) for n, t in case.landscape.section.origin.items())


ACTIVATIONS = [nn.ReLU, nn.Tanh, nn.GELU, nn.Identity, nn.Softplus]
NORMS = [None, nn.BatchNorm1d, nn.LayerNorm]


@st.composite
def drawn_models(draw):
    """A module of Linear layers with the input width, output width and names it has."""
    widths = draw(st.lists(st.integers(1, 12), min_size=2, max_size=5))
    norm, activation = draw(st.sampled_from(NORMS)), draw(st.sampled_from(ACTIVATIONS))
    bias = draw(st.booleans())
    layers = []
    for fan_in, fan_out in pairwise(widths):
        layers += [nn.Linear(fan_in, fan_out, bias=bias)]
        # Over one feature LayerNorm gives its bias, whatever the rest.
        layers += [norm(fan_out)] if norm and fan_out > 1 else []
        layers += [activation()]
    layers = layers if draw(st.booleans()) else layers[:-1]
    return widths, nn.Sequential(*layers)


@st.composite
def drawn_landscapes(draw):
    """A landscape of a drawn module, in which every direction moves some parameters."""
    torch.manual_seed(draw(st.integers(0, 99)))
    widths, module = draw(drawn_models())
    module = unsettled(module)
    names = [name for name, _ in module.named_parameters()]
    z = draw(st.integers(1, 3))
    moved = [draw(st.sets(st.sampled_from(names), min_size=1)) for _ in range(z)]
    section = scaled_section(module, lambda axis, name: name in moved[axis], z, seed=1)
    loss = draw(st.sampled_from([cross_entropy, squared_error]))
    splits = {}
    for split in SPLITS:
        n = draw(st.integers(1, 70))
        targets = torch.randint(0, widths[-1], (n,))
        splits[split] = Split(torch.randn(n, widths[0]), targets)
    return Landscape(EmpiricalRisk(module, loss, splits), section)


@settings(max_examples=100, deadline=None)
@given(
    landscape=drawn_landscapes(),
    dtype=st.sampled_from(["float32", "float64"]),
    block=st.none() | st.integers(1, 40),
    seed=st.integers(0, 9),
)
def test_drawn_models_agree_with_the_reference(landscape, dtype, block, seed):
    points = sample_points(landscape.section.z, seed)
    expected = evaluate_reference(landscape, points, SPLITS, ("loss",))
    candidates = [replace(one, sample_block=block) for one in choices(landscape, dtype)]
    assert complaints(landscape, candidates, points, expected) == []


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_benchmarks_workloads_agree_with_the_reference(name):
    landscape = WORKLOADS[name](samples=20).landscape
    points = np.array([[0.0, 0.0], [0.7, -0.4]])
    expected = evaluate_reference(landscape, points, ("train",), ("loss",))
    candidates = choices(landscape, "float32")
    assert complaints(landscape, candidates, points, expected, ("train",)) == []


def test_the_benchmarks_contenders_do_the_same_work():
    workload = WORKLOADS["digits"](samples=20, side=3)
    for contender in (PlainLoop(workload), Vmapped(workload, 3), Ours(workload)):
        run = contender.run(workload.n_points)
        assert run.count == len(run.points) == workload.n_points
        expected = evaluate_reference(workload.landscape, run.points, ("train",), ("loss",))
        assert relative_difference(run.losses, expected["loss"][0]) <= TOLERANCE["float32"]
