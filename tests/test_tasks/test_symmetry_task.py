"""The task `symmetry-net`: its loss, teachers, starts and messages."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import functional_call

from schemas.errors import SpecError
from schemas.starts import start_generator
from tasks import TASKS, BuildContext
from tasks.symmetry.data import PUBLISHED, is_irreducible, random_teacher
from tasks.symmetry.network import ACTIVATIONS, flattened, layer_names, unflattened

FUNCTIONS = {
    "sigmoid": lambda t: 1 / (1 + np.exp(-t)),
    "tanh": np.tanh,
    "softplus": lambda t: np.logaddexp(0, t),
    "exp": np.exp,
    "asymmetric": lambda t: 1 / (1 + np.exp(-4 * t)) + np.logaddexp(0, t),
}
RANDOM = {"data": "random", "teacher_units": [2], "units": [3], "samples": 20}


def build(z=None, seed=0, splits=("train",), **parameters):
    task = TASKS["symmetry-net"]
    return task.builder()(task.parse(parameters), BuildContext(z=z, seed=seed, splits=splits))


def loss(landscape, weights):
    """The mean squared error of matrices, one for each layer, by the module."""
    names = layer_names(len(weights) - 1)
    named = {f"{n}.weight": torch.from_numpy(w) for n, w in zip(names, weights, strict=True)}
    split = landscape.objective.splits["train"]
    outputs = functional_call(landscape.objective.module, named, (split.inputs,))
    return landscape.objective.loss(outputs, split.targets).mean().item()


def teacher(landscape):
    return tuple(np.array(matrix) for matrix in landscape.facts["teacher"])


@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize("hidden", [(3,), (3, 4)])
def test_the_loss_is_that_of_plain_numpy(activation, hidden):
    widths = {"teacher_units": [2] * len(hidden), "units": hidden}
    landscape = build(**{**RANDOM, **widths}, inputs=3, outputs=2, activation=activation)
    inputs = landscape.objective.splits["train"].inputs.numpy()
    student = random_teacher([3, *hidden, 2], np.random.default_rng(1))

    def outputs(weights):
        values = inputs
        for matrix in weights[:-1]:
            values = FUNCTIONS[activation](values @ matrix.T)
        return values @ weights[-1].T

    expected = np.square(outputs(student) - outputs(teacher(landscape))).mean()
    assert loss(landscape, student) == pytest.approx(expected, rel=1e-12)


def test_softplus_is_exact_where_torch_takes_it_for_the_identity():
    at = torch.tensor([-750.0, 0.0, 21.0, 30.0, 800.0], dtype=torch.float64)
    expected = np.logaddexp(0, at.numpy())
    np.testing.assert_allclose(ACTIVATIONS["softplus"]()(at).numpy(), expected, rtol=1e-15)
    gap = ACTIVATIONS["asymmetric"]()(at).numpy() - expected
    np.testing.assert_allclose(gap, torch.sigmoid(4 * at).numpy(), atol=1e-13)


def test_the_published_teacher_and_inputs():
    landscape = build(units=[4])
    split = landscape.objective.splits["train"]
    rows = np.unique(split.inputs.numpy(), axis=0)
    assert rows.shape == (1681, 2)
    assert (rows.min(), rows.max()) == (-5, 5)
    np.testing.assert_array_equal(np.unique(rows[:, 1]), np.arange(-20, 21) / 4)
    assert loss(landscape, PUBLISHED) < 1e-31
    assert landscape.reference == {"global_minimum": 0.0}
    assert landscape.facts["teacher"][0] == [[0.6, 0.5], [-0.5, 0.5], [-0.2, -0.6], [0.1, -0.6]]


def test_random_teachers_follow_from_the_seed_and_are_apart_from_inputs_and_noise():
    one, same, other = (build(**RANDOM, seed=seed) for seed in (1, 1, 2))
    assert one.facts == same.facts
    assert one.facts["teacher"] != other.facts["teacher"]
    assert loss(one, teacher(one)) == 0
    noisy = build(**RANDOM, seed=1, noise=0.5)
    assert noisy.facts["teacher"] == one.facts["teacher"]
    assert noisy.reference == {}
    added = noisy.objective.splits["train"].targets - one.objective.splits["train"].targets
    assert added.std() == pytest.approx(0.5, rel=0.5)
    assert build(**{**RANDOM, "units": [1]}).reference == {}
    assert build(**{**RANDOM, "units": [3, 3]}).reference == {}


def test_images_are_digits_with_classes():
    landscape = build(data="images", samples=60, units=[5])
    split = landscape.objective.splits["train"]
    assert (split.inputs.shape, split.targets.shape) == ((60, 196), (60, 10))
    assert split.targets.sum(0).tolist() == [6] * 10
    assert landscape.draw(start_generator(0, 0), 1.0).shape == (196 * 5 + 50,)
    assert (landscape.reference, landscape.facts["teacher"]) == ({}, None)


@given(st.integers(1, 3), st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_numbers_and_matrices(outputs, hidden, seed):
    sizes = [2, *hidden, outputs]
    weights = random_teacher(sizes, np.random.default_rng(seed))
    assert is_irreducible(weights)
    assert np.abs(weights[-1]).min() >= 0.5
    for back, matrix in zip(unflattened(flattened(weights), sizes), weights, strict=True):
        np.testing.assert_array_equal(back, matrix)


def test_equal_units_or_one_that_nothing_leaves_are_reducible():
    entering, leaving = (matrix.copy() for matrix in PUBLISHED)
    entering[2] = entering[0]
    assert not is_irreducible((entering, PUBLISHED[1]))
    leaving[0, 3] = 0.0
    assert not is_irreducible((PUBLISHED[0], leaving))


def test_starts_are_uniform_as_glorot_and_bengio_say():
    landscape = build(data="random", teacher_units=[4], units=[300], inputs=6, outputs=2)
    drawn = landscape.draw(start_generator(0, 0), 2.0)
    hidden, output = unflattened(drawn, [6, 300, 2])
    for matrix, reach in ((hidden, 2 * (6 / 306) ** 0.5), (output, 2 * (6 / 302) ** 0.5)):
        assert np.abs(matrix).max() <= reach
        assert np.abs(matrix).max() == pytest.approx(reach, rel=0.02)
        assert matrix.std() == pytest.approx(reach / 3**0.5, rel=0.1)
    np.testing.assert_allclose(drawn, 2 * landscape.draw(start_generator(0, 0), 1.0), rtol=1e-15)


def test_starts_are_about_zero_and_random_ways_orthonormal():
    assert not any(tensor.any() for tensor in build(**RANDOM).section.origin.values())
    section = build(z=3, **RANDOM).section
    ways = np.stack(
        [np.concatenate([t.ravel() for t in way.values()]) for way in section.directions]
    )
    np.testing.assert_allclose(ways @ ways.T, np.eye(3), atol=1e-14)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"data": "published", "inputs": 3}, "inputs is of data: random"),
        ({"data": "images", "teacher_units": (2,)}, "teacher_units is of data: random"),
        ({"data": "images", "section": "swap"}, "data: images has none"),
        ({"section": "subspace", "units": (3,)}, r"units \[3\] for a teacher with \[4\]"),
        ({"section": "subspace", "units": (5, 5)}, "as deep as its teacher"),
        ({"section": "subspace", "units": (4,)}, "give one unit more"),
        ({"section": "swap", "units": (4,)}, "give one more each, or use route: bare"),
        ({"section": "swap", "permutation": ((1, 0),)}, r"one order of \[0, 1, 2, 3\]"),
        ({"section": "swap", "permutation": ((0, 1, 2, 3),)}, "exchange two in some layer"),
        (
            {"section": "swap", "data": "random", "teacher_units": (1,), "units": (2,)},
            "give it 2 or more",
        ),
    ],
)
def test_bad_parameters_get_one_clear_line(changes, line):
    with pytest.raises(SpecError, match=line) as caught:
        TASKS["symmetry-net"].parse(changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("context", "changes", "line"),
    [
        ({"splits": ("test",)}, {}, "expected train"),
        ({"z": 2}, {"section": "swap"}, "section: swap needs 1"),
        ({"z": 2}, {"section": "subspace"}, "section: subspace needs 3"),
        ({"z": 3}, {"section": "subspace", "units": [9]}, "have .* subspaces .* at most 1000"),
        ({"z": 99}, {}, "99 of 15 parameters"),
        ({}, {"data": "images", "samples": 5001}, "at most 5000 images"),
    ],
)
def test_what_does_not_fit_gets_one_clear_line(context, changes, line):
    with pytest.raises(SpecError, match=line):
        build(**context, **changes)
