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
from pipeline.engine import EngineChoice, choose_engine, make_evaluator
from pipeline.engine.graph.tracing import Untraceable
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


UNTRACEABLE = {"branch_on_inputs", "branch_on_parameters"}
WHOLE_BATCH = {"depends_on_the_whole_batch"}
POLYNOMIAL = {
    "deep_linear",
    "deep_linear_without_bias",
    "weights_on_one_axis_biases_on_the_other",
}
NOT_BATCHABLE = UNTRACEABLE | {
    "prelu",
    "groupnorm",
    "conv_batchnorm_pool",
    "pools",
    "depthwise_and_dilated",
    "residual_network",
    "tied_embedding",
    "attention",
    "transformer",
    "lstm",
    "gru",
    "embedding",
    "sequence_outputs",
    "class_at_each_step",
    "functional_skips",
    "depends_on_the_whole_batch",
}
BATCHABLE_EXPANDED = {"last_convolution_only"}
"""Cases whose convolutions stand on constant inputs, so that only their coefficients are left."""
FORMS = [
    # name, points, samples, degree
    ("loop", 1, None, 0),
    ("loop", 1, 5, 0),
    ("traced", 1, 16, 0),
    ("traced", 1, None, 1),
    ("traced", 1, 5, 9),
    ("batched", 4, 16, 0),
    ("batched", 3, 5, 1),
    ("batched", 8, None, 9),
    ("polynomial", 1, 16, 12),
]


def engines_of(name):
    """The evaluators that a case of the zoo can have."""
    engines = {"loop", "traced", "batched", "polynomial"}
    if name in UNTRACEABLE:
        engines -= {"traced"}
    if name in NOT_BATCHABLE:
        engines -= {"batched"}
    return engines if name in POLYNOMIAL else engines - {"polynomial"}


def candidates_of(name, landscape, dtype):
    """Evaluators of a case, or of a landscape made from it, to be compared with the reference."""
    candidates = list(choices(landscape, dtype, engines_of(name)))
    if name in WHOLE_BATCH:
        candidates = [replace(one, sample_block=None) for one in candidates]
    if name in BATCHABLE_EXPANDED:
        candidates = [one for one in candidates if one.name != "batched" or one.degree]
    return candidates


def choices(landscape, dtype, engines=("loop", "traced", "batched")):
    """Evaluators to be compared with the reference, some also with their first axis outermost.

    In single precision only those whose blocks divide nothing: the others differ in their blocks.
    """
    for name, points, samples, degree in FORMS:
        if name in engines and (dtype == "float64" or samples == 5 or name == "polynomial"):
            choice = EngineChoice(name, "cpu", dtype, 1, samples, points, degree)
            yield choice
            if name in ("traced", "batched") and degree == 1 and landscape.section.z > 1:
                yield replace(choice, outer=(0,), keep=False)


def complaints(landscape, candidates, points, expected, splits=SPLITS):
    """What differs from the expected values beyond rounding, a line for each metric and engine."""
    found = []
    for choice in candidates:
        wanted = ("loss",) if choice.name == "polynomial" else tuple(expected)
        values = make_evaluator(landscape, splits, wanted, choice).evaluate(points)
        difference = relative_difference(values["loss"], expected["loss"])
        if not difference <= TOLERANCE[choice.dtype]:
            found.append(f"{choice.name}: loss differs by {difference:.1e}")
        if "accuracy" in wanted:
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
    candidates = candidates_of(name, case.landscape, dtype)
    assert complaints(case.landscape, candidates, points, expected) == []


@pytest.mark.parametrize("name", CASES)
def test_what_has_no_form_says_so(name):
    case, _, _ = known(name)
    for engine in {"traced", "batched", "polynomial"} - engines_of(name):
        choice = EngineChoice(engine, "cpu", "float32", 1, 16, 2, 12)
        with pytest.raises(Untraceable, match=r"\w+"):
            make_evaluator(case.landscape, SPLITS, ("loss",), choice)


def flipped(landscape):
    """The landscape with the sign of its first direction changed."""
    first, *others = landscape.section.directions
    first = {name: -tensor for name, tensor in first.items()}
    return replace(landscape, section=Section(landscape.section.origin, (first, *others)))


@pytest.mark.parametrize("name", CASES)
def test_a_flipped_direction_is_noticed_in_every_model(name):
    case, points, expected = known(name)
    wrong = flipped(case.landscape)
    # One of each evaluator: the others differ in their blocks only.
    candidates = {one.name: one for one in candidates_of(name, wrong, "float32")}.values()
    found = complaints(wrong, candidates, points[:3], {"loss": expected["loss"][:, :3]})
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


@settings(max_examples=40, deadline=None)
@given(
    landscape=drawn_landscapes(),
    dtype=st.sampled_from(["float32", "float64"]),
    block=st.none() | st.integers(1, 40),
    points_together=st.integers(1, 8),
    degree=st.integers(0, 3),
    seed=st.integers(0, 9),
)
def test_drawn_models_agree_with_the_reference(
    landscape, dtype, block, points_together, degree, seed
):
    points = sample_points(landscape.section.z, seed)
    expected = evaluate_reference(landscape, points, SPLITS, ("loss",))
    candidates = [
        EngineChoice("loop", "cpu", dtype, 1, block),
        EngineChoice("traced", "cpu", dtype, 1, block, 1, degree),
        EngineChoice("batched", "cpu", dtype, 1, block, points_together, degree),
    ]
    assert complaints(landscape, candidates, points, expected) == []


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_benchmarks_workloads_agree_with_the_reference(name):
    landscape = WORKLOADS[name](samples=20).landscape
    points = np.array([[0.0, 0.0], [0.7, -0.4]])
    expected = evaluate_reference(landscape, points, ("train",), ("loss",))
    candidates = [choose_engine(landscape, "cpu", "float32", 1)]
    assert complaints(landscape, candidates, points, expected, ("train",)) == []


def test_the_benchmarks_contenders_do_the_same_work():
    workload = WORKLOADS["digits"](samples=20, side=3)
    for contender in (PlainLoop(workload), Vmapped(workload, 3), Ours(workload)):
        run = contender.run(workload.n_points)
        assert run.count == len(run.points) == workload.n_points
        expected = evaluate_reference(workload.landscape, run.points, ("train",), ("loss",))
        assert relative_difference(run.losses, expected["loss"][0]) <= TOLERANCE["float32"]
