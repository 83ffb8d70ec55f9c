"""Bad local minima and lower points of piecewise-linear networks, in plain numpy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import SpecError
from tasks.piecewise.activations import unit
from tasks.piecewise.constructed import construct
from tasks.piecewise.data import Samples
from tasks.piecewise.fit import fit
from tasks.piecewise.hypotheses import check
from tasks.piecewise.pieces import NAMED, PiecewiseLinear, leaky
from tasks.piecewise.two_pieces import two_pieces

UNITS = {
    **{name: NAMED[name] for name in ("relu", "abs", "hard-tanh")},
    "nearly-linear": leaky(1.01, 1.0),
    "leaky": leaky(1.0, 0.2),
    "slightly-leaky": leaky(1.0, 0.01),
    "left": leaky(0.0, 1.0),
    "falling": leaky(-2.0, -1.0),
    "three-pieces": PiecewiseLinear((-0.5, 0.7), (2.0, -1.0, 0.3), 0.4),
    "one-slope": PiecewiseLinear((-0.5, 0.7), (0.0, 0.0, 0.3), 0.4),
}
NETWORKS = [((2,), 1), ((3,), 1), ((4, 3, 3), 2), ((4, 5, 4, 6), 3)]
CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = Samples(CORNERS, np.array([[-1.0], [1.0], [1.0], [-1.0]]))


def drawn(seed, outputs=1, samples=9, dimensions=2):
    random = np.random.default_rng(seed)
    return Samples(
        random.standard_normal((samples, dimensions)), random.standard_normal((samples, outputs))
    )


def risk(layers, function, samples):
    """½‖F − Y‖², with the function as numpy interpolates it."""
    values = samples.inputs
    for layer in layers[:-1]:
        values = interpolated(function, values @ layer.weight.T + layer.bias)
    away = values @ layers[-1].weight.T + layers[-1].bias - samples.targets
    return float(np.square(away).sum()) / 2


def interpolated(function, values):
    """h by its values at the knots and far outside."""
    knots = list(function.knots) or [0.0]
    far = max(1.0, float(np.abs(values).max()) + max(map(abs, knots)))
    places = np.array([-2 * far, *knots, 2 * far])
    slopes = function.slopes if function.knots else function.slopes * 2
    heights = np.concatenate([[0.0], np.cumsum(np.diff(places) * slopes)])
    return function.at_zero + np.interp(values, places, heights) - np.interp(0, places, heights)


def least_squares(samples):
    columns = np.column_stack([samples.inputs, np.ones(len(samples.inputs))])
    found = np.linalg.lstsq(columns, samples.targets, rcond=None)[0]
    return float(np.square(columns @ found - samples.targets).sum()) / 2


@pytest.mark.parametrize("name", [*UNITS, "linear"])
def test_a_function_its_module_and_its_two_pieces_agree(name):
    function = {**UNITS, **NAMED}[name]
    values = np.linspace(-3.0, 3.0, 61)
    np.testing.assert_allclose(function(values), interpolated(function, values), atol=1e-14)
    found = unit(function)(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(found, function(values), atol=1e-14)
    g = two_pieces(function)
    z = np.linspace(-1.0, 1.0, 21) * min(1.0, g.reach)
    made = g.flip * (function(g.at + g.turn * z) - function(np.array(g.at)))
    np.testing.assert_allclose(g(z), made, atol=1e-14)
    assert g.right > 0
    assert g.bends is (name != "linear")


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize(("widths", "outputs"), NETWORKS)
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_the_minimum_puts_out_least_squares_at_every_scale(name, widths, outputs, scale):
    samples = drawn(1, outputs)
    found = construct(samples, widths, UNITS[name])
    layers = found.minimum(scale)
    assert risk(layers, UNITS[name], samples) == pytest.approx(least_squares(samples), rel=1e-10)
    assert [len(layer.bias) for layer in layers] == [*widths, outputs]
    pieces = []
    values = samples.inputs
    for layer in layers[:-1]:
        before = values @ layer.weight.T + layer.bias
        pieces.append(np.searchsorted([kink.at for kink in UNITS[name].kinks], before))
        values = UNITS[name](before)
    assert all(np.ptp(each, axis=0).max() == 0 for each in pieces)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    name=st.sampled_from(sorted(UNITS)),
    network=st.sampled_from(NETWORKS),
)
def test_the_lower_point_is_lower_by_what_is_derived(seed, name, network):
    widths, outputs = network
    samples = drawn(seed, outputs)
    found = construct(samples, widths, UNITS[name])
    least = least_squares(samples)
    split, g = found.split, found.g
    at = risk(found.lower, UNITS[name], samples)
    assert at == pytest.approx(split.risk, rel=1e-10)
    assert at < least * (1 - 1e-9)
    assert split.fold is (name == "abs")
    if not split.fold:
        moved = (g.right - g.left) / (g.right + g.left) * split.gamma
        formula = least - 2 * split.sum * moved + len(samples.inputs) * moved**2 / 2
        assert at == pytest.approx(formula, rel=1e-10)
        ordered = np.sort(found.fit.outputs[:, split.coordinate])
        gap = ordered[split.count] - ordered[split.count - 1]
        assert 0 < abs(split.gamma) <= gap / 4 * (1 + 1e-12)
        free = 2 * split.sum / (len(samples.inputs) * g.shift)
        assert split.gamma == pytest.approx(np.clip(free, -gap / 4, gap / 4), rel=1e-9)


@pytest.mark.parametrize("left", [0.0, 0.1])
def test_tied_outputs_are_tilted(left):
    # Along x_1 − x_2, with γ a quarter of the gap, the risk is 2 − 2cκε + (1 − 2cκ + 2c²κ²)ε².
    found = construct(XOR, (3,), leaky(1.0, left))
    part = (1 - left) / (1 + left) / 4
    expected = 2 - part**2 / (1 - 2 * part + 2 * part**2)
    assert found.split.risk == pytest.approx(expected, rel=1e-9)
    assert risk(found.lower, leaky(1.0, left), XOR) == pytest.approx(expected, rel=1e-9)
    # Tilts that are not the best ones give 1.90177 and 1.93924.
    assert expected < {0.0: 1.90177, 0.1: 1.93924}[left] < expected + 2e-3


def test_opposite_slopes_fold_tied_outputs():
    found = construct(XOR, (2,), NAMED["abs"])
    assert found.split.fold
    assert risk(found.lower, NAMED["abs"], XOR) == pytest.approx(found.split.risk, rel=1e-12)
    assert found.split.risk < 2 - 0.5


def test_no_split_where_nothing_can_be_gained():
    inputs = drawn(0).inputs
    fittable = Samples(inputs, inputs @ np.array([[1.0], [2.0]]) + 3.0)
    assert construct(fittable, (3,), NAMED["relu"]).lower is None
    assert construct(drawn(0), (3,), NAMED["linear"]).lower is None
    assert construct(drawn(0), (3,), leaky(1.0, 1.0)).lower is None
    assert construct(drawn(0), (1,), NAMED["relu"]).lower is None


def test_what_is_supposed_is_said_in_words():
    inputs = drawn(0).inputs
    twice = inputs.copy()
    twice[1] = twice[0]
    cases = {
        "not linearly fittable": (inputs @ np.ones((2, 1)), inputs, (3,), "relu", "fits the tar"),
        "distinct inputs": (drawn(0).targets, twice, (3,), "relu", "two inputs are the same"),
        "wide layers": (drawn(0).targets, inputs, (3, 1), "relu", "has 1 units for 1 outputs"),
        "a kink": (drawn(0).targets, inputs, (3,), "linear", "slopes are 1, all the same"),
    }
    for name, (targets, rows, widths, activation, words) in cases.items():
        found = check(fit(rows, targets), widths, NAMED[activation])
        assert [each.name for each in found if not each.met] == [name]
        assert words in next(each.reason for each in found if not each.met)


@pytest.mark.parametrize(
    ("knots", "slopes", "words"),
    [
        ((0.0,), (1.0,), "got 1 slopes for 1 knots; expected 2"),
        ((1.0, 1.0), (1.0, 2.0, 3.0), "expected each above the one before"),
        ((0.0,), (1.0, math.inf), "got inf among its numbers"),
    ],
)
def test_functions_that_are_none_are_refused(knots, slopes, words):
    with pytest.raises(SpecError, match="activation: ") as caught:
        PiecewiseLinear(knots, slopes)
    assert words in str(caught.value)
