"""The task `wide-layer`: its loss, starts, sections, references and messages."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import SpecError
from schemas.starts import start_generator
from tasks import TASKS, BuildContext
from tasks.section import unflattened

ACTIVATIONS = {
    "sigmoid": lambda t: 1 / (1 + np.exp(-t)),
    "tanh": np.tanh,
    "softplus": lambda t: np.logaddexp(0, t),
}
TRAP = {"data": "trap", "bias": False}


def build(z=None, seed=0, splits=("train",), **parameters):
    task = TASKS["wide-layer"]
    return task.builder()(task.parse(parameters), BuildContext(z=z, seed=seed, splits=splits))


def numbers(tensors):
    return torch.cat([tensor.reshape(-1) for tensor in tensors.values()]).numpy()


def loss(landscape, theta):
    """The loss at all parameters (n,), by the module."""
    rows = unflattened(torch.from_numpy(theta)[None], landscape.section.origin)
    named = {name: row[0] for name, row in rows.items()}
    risk = landscape.objective
    split = risk.splits["train"]
    outputs = torch.func.functional_call(risk.module, named, (split.inputs,))
    return risk.loss(outputs, split.targets).mean().item()


def layers(landscape, theta):
    rows = unflattened(torch.from_numpy(theta)[None], landscape.section.origin)
    return {name: row[0].numpy() for name, row in rows.items()}


def drawn(landscape, number, scale=1.0):
    return landscape.draw(start_generator(3, number), scale)


def hidden(landscape, theta, activation="sigmoid"):
    """The features (N, n) of the last hidden layer, without torch."""
    named, values = layers(landscape, theta), np.array(landscape.facts["inputs"])
    for number in range(1, len(landscape.facts["widths"]) + 1):
        at = values @ named[f"layer{number}.weight"].T
        at = at + named.get(f"layer{number}.bias", 0.0)
        values = ACTIVATIONS[activation](at)
    return values


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_the_loss_is_that_of_plain_numpy(activation, bias):
    landscape = build(samples=7, dimensions=3, widths=(4, 5), activation=activation, bias=bias)
    theta = drawn(landscape, 0)
    named = layers(landscape, theta)
    outputs = hidden(landscape, theta, activation) @ named["layer3.weight"][0]
    outputs += named.get("layer3.bias", np.zeros(1))
    expected = np.square(outputs - np.array(landscape.facts["targets"])).mean()
    assert loss(landscape, theta) == pytest.approx(expected, rel=1e-13)
    assert len(theta) == sum(tensor.size for tensor in named.values())


def test_starts_are_normal_over_the_root_of_the_inputs():
    landscape = build(samples=4, dimensions=9, widths=(60, 40))
    named = layers(landscape, drawn(landscape, 0, scale=2.0))
    for name, inputs in (("layer1", 9), ("layer2", 60), ("layer3", 40)):
        weights = np.append(named[f"{name}.weight"], named[f"{name}.bias"])
        error = 4 / np.sqrt(2 * len(weights))
        assert weights.std() * np.sqrt(inputs) / 2 == pytest.approx(1, abs=error)
    np.testing.assert_array_equal(drawn(landscape, 1, 2.0), 2 * drawn(landscape, 1))
    assert (drawn(landscape, 0) != drawn(landscape, 1)).all()


@settings(max_examples=25, deadline=None)
@given(
    width=st.integers(1, 9),
    bias=st.booleans(),
    data=st.sampled_from(["normal", "repeated"]),
    number=st.integers(0, 50),
)
def test_solved_starts_have_the_best_output_weights(width, bias, data, number):
    given = {"samples": 6, "widths": (4, width), "bias": bias, "data": data}
    solved, normal = build(draw="solved", **given), build(**given)
    theta, start = drawn(solved, number, 3.0), drawn(normal, number, 3.0)
    np.testing.assert_array_equal(theta[: -width - bias], start[: -width - bias])
    columns = hidden(solved, theta)
    if bias:
        columns = np.column_stack([columns, np.ones(6)])
    targets = np.array(solved.facts["targets"])
    best = np.linalg.lstsq(columns, targets, rcond=None)[0]
    least = np.square(columns @ best - targets).mean()
    assert loss(solved, theta) == pytest.approx(least, rel=1e-6, abs=1e-12)
    if "global_minimum" in solved.reference and width + bias >= 6:
        assert least == pytest.approx(solved.reference["global_minimum"], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("given", "reached"),
    [
        ({"widths": (10,)}, True),
        ({"widths": (9,)}, True),
        ({"widths": (8,)}, False),
        ({"widths": (9,), "bias": False}, False),
        ({"widths": (10,), "bias": False}, True),
        ({"widths": (9, 1)}, True),
        ({"widths": (10, 1), "bias": False}, False),
        ({"widths": (1, 10), "bias": False}, True),
        ({"widths": (8, 8)}, False),
        ({"widths": (8,), "data": "repeated"}, True),
        ({"widths": (7,), "data": "repeated"}, False),
    ],
)
def test_a_global_minimum_is_known_where_it_is_reached(given, reached):
    landscape = build(**given)
    assert ("global_minimum" in landscape.reference) is reached
    targets = np.array(landscape.facts["targets"])
    if reached and given.get("data") == "repeated":
        expected = (targets[0] - targets[1]) ** 2 / 20
        assert landscape.reference["global_minimum"] == pytest.approx(expected)
    elif reached:
        assert landscape.reference["global_minimum"] == 0.0


def test_data_follow_from_the_seed():
    first, again, other = build(), build(widths=(3,)), build(seed=1)
    assert first.facts["inputs"] == again.facts["inputs"]
    assert first.facts["targets"] == again.facts["targets"]
    assert not np.isin(other.facts["inputs"], first.facts["inputs"]).any()
    inputs = np.array(build(data="repeated").facts["inputs"])
    np.testing.assert_array_equal(inputs[1], inputs[0])
    assert len(np.unique(inputs, axis=0)) == 9


def test_random_axes_are_orthonormal():
    section = build(3).section
    axes = np.stack([numbers(axis) for axis in section.directions])
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-14)
    np.testing.assert_array_equal(numbers(section.origin), numbers(build().section.origin))


@pytest.mark.parametrize("given", [{}, TRAP, {"widths": (3, 11)}, {"data": "repeated"}])
def test_the_way_across_ends_at_a_global_minimum(given):
    landscape = build(2, section="across", **given)
    origin, way, aside = (
        numbers(tensors) for tensors in (landscape.section.origin, *landscape.section.directions)
    )
    least = landscape.reference["global_minimum"]
    assert loss(landscape, origin) > least + 1e-3
    assert loss(landscape, origin + way) == pytest.approx(least, rel=1e-9, abs=1e-15)
    assert landscape.facts["distance"] == pytest.approx(np.linalg.norm(way))
    assert np.linalg.norm(aside) == pytest.approx(np.linalg.norm(way))
    assert aside @ way == pytest.approx(0, abs=1e-9 * (way @ way))
    assert landscape.facts["marks"] == {"origin": [0.0, 0.0], "global": [1.0, 0.0]}
    line = build(1, section="across", **given)
    np.testing.assert_array_equal(numbers(line.section.directions[0]), way)
    assert line.facts["marks"] == {"origin": [0.0], "global": [1.0]}


def test_the_flat_axis_exchanges_two_output_weights():
    landscape = build(1, section="flat", **TRAP)
    (axis,) = landscape.section.directions
    assert axis["layer2.weight"].tolist() == [[1.0, -1.0] + [0.0] * 8]
    assert not axis["layer1.weight"].any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": "trap"}, "bias True; give one width and bias: false"),
        ({"data": "saddle", "widths": (5, 5), "bias": False}, r"got widths \[5, 5\]"),
        ({**TRAP, "samples": 5}, "needs 6 samples for 2 dimensions, got 5"),
        ({"section": "flat"}, "section: flat is of data: trap, got normal"),
        ({**TRAP, "section": "flat", "widths": (1,)}, "needs 2 units or more, got 1"),
        ({"section": "across", "widths": (10, 8)}, "9 units or more for 10 samples, got 8"),
        ({"data": "repeated", "samples": 1}, "needs 2 samples or more, got 1"),
        ({"widths": ()}, "widths"),
        ({"activation": "relu"}, "activation"),
    ],
)
def test_parameters_that_do_not_fit(given, message):
    with pytest.raises(SpecError, match=message):
        TASKS["wide-layer"].parse(given)


def test_what_cannot_be_built():
    with pytest.raises(SpecError, match=r"splits: got 'test'; expected train"):
        build(splits=("train", "test"))
    with pytest.raises(SpecError, match="axes: got 3; section: across has 1, or 2"):
        build(3, section="across")
    with pytest.raises(SpecError, match="axes: got 2; section: flat needs 1"):
        build(2, section="flat", **TRAP)
    with pytest.raises(SpecError, match="axes: got 42 of 41 parameters"):
        build(42)
    with pytest.raises(SpecError, match="none of 128 random features of 80 samples"):
        build(1, section="across", samples=80, dimensions=1, widths=(80,))
