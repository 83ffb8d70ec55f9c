"""Proofs of local minima: radii that hold, and points for which there is none."""

import itertools

import flint
import numpy as np
import pytest

from tasks.piecewise.certificate import prove_minimum, risk_bound
from tasks.piecewise.constructed import construct
from tasks.piecewise.data import Samples
from tasks.piecewise.fit import fit, fit_in_balls
from tasks.piecewise.network import Layer, run
from tasks.piecewise.pieces import NAMED, leaky
from tasks.piecewise.smooth import (
    EXAMPLES,
    prove_smooth,
    second_output,
    smooth_minimum,
    smooth_zero,
)
from tasks.students.balls import PRECISION

LINE = Samples(np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]), np.array([[0.0], [0.0], [1.0]]))
SMOOTH = {
    "sigmoid": (lambda t: 1 / (1 + np.exp(-t)), (1.5, -3.0, -4.0, 75.9845), 4),
    "tanh": (np.tanh, (-1.0, -0.25, 4.0, -13.799316), 6),
    "arctan": (np.arctan, (-1.0, -0.25, 4.0, -14.184607), 6),
}
NETWORKS = [("relu", (3,), 1), ("leaky", (4, 3, 3), 2), ("hard-tanh", (4, 5, 4, 6), 3)]
UNITS = {**NAMED, "leaky": leaky(1.0, 0.2)}


def drawn(outputs, seed=0):
    random = np.random.default_rng(seed)
    return Samples(random.standard_normal((8, 2)), random.standard_normal((8, outputs)))


def moved(layers, random, length):
    """The layers moved in a random direction by a length."""
    steps = [
        Layer(random.standard_normal(each.weight.shape), random.standard_normal(each.bias.shape))
        for each in layers
    ]
    norm = np.sqrt(sum(np.square(s.weight).sum() + np.square(s.bias).sum() for s in steps))
    pairs = zip(layers, steps, strict=True)
    return [
        Layer(each.weight + length / norm * s.weight, each.bias + length / norm * s.bias)
        for each, s in pairs
    ]


def risk(layers, function, samples):
    return float(np.square(run(layers, function, samples.inputs)[1] - samples.targets).sum()) / 2


@pytest.mark.parametrize(("name", "widths", "outputs"), NETWORKS)
def test_nothing_within_the_radius_is_lower(name, widths, outputs):
    samples, function = drawn(outputs), UNITS[name]
    found = construct(samples, widths, function)
    proof = found.prove(1.0)
    assert proof.proved
    assert proof.away < 1e-13 * proof.radius or proof.away < 1e-14
    least = float(found.fit.risk)
    assert proof.risk_lower <= least * (1 + 1e-14)
    assert proof.risk_upper >= least * (1 - 1e-14)
    assert risk(found.lower, function, samples) <= proof.lower < least
    random = np.random.default_rng(1)
    layers = found.minimum(1.0)
    pieces = [kink.at for kink in function.kinks]
    before = [np.searchsorted(pieces, each) for each in run(layers, function, samples.inputs)[0]]
    for _ in range(50):
        there = moved(layers, random, proof.radius)
        after = run(there, function, samples.inputs)[0]
        pairs = zip(before, after, strict=True)
        assert all((one == np.searchsorted(pieces, other)).all() for one, other in pairs)
        assert risk(there, function, samples) >= least * (1 - 1e-13)


@pytest.mark.parametrize("name", ["relu", "hard-tanh"])
def test_the_radius_of_one_layer_cannot_be_much_larger(name):
    """For a unit and a sample the bound is reached: along the input, towards the kink."""
    samples, function = drawn(1), UNITS[name]
    found = construct(samples, (2,), function)
    radius = found.prove(1.0).radius
    layers = found.minimum(1.0)
    margins = np.min(
        [abs(samples.inputs @ layers[0].weight.T + layers[0].bias - k.at) for k in function.kinks],
        axis=0,
    )
    reaches = margins / np.sqrt(1 + np.square(samples.inputs).sum(axis=1))[:, None]
    assert radius == pytest.approx(reaches.min(), rel=1e-5)
    assert radius < reaches.min()


def test_later_layers_bound_the_radius_as_well():
    samples = drawn(1)
    found = construct(samples, (2, 2), NAMED["relu"])
    proof, layers = found.prove(1.0), found.minimum(1.0)
    # The second layer's unit for the output is brought nearer to its kink.
    near = [layers[0], Layer(layers[1].weight, layers[1].bias.copy()), layers[2]]
    lowest = run(layers, found.function, samples.inputs)[0][1][:, 0].min()
    near[1].bias[0] -= lowest - 1e-3
    closer = prove_minimum(near, None, found.function, found.exact)
    assert closer.radius < 1e-3 < proof.radius
    assert not closer.local_minimum, "no point with the risk of least squares is known near by"


def test_a_steep_layer_passes_on_what_the_one_before_it_moves():
    samples = Samples(np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [1.0], [0.0]]))
    ones = np.ones((1, 1))
    layers = [
        Layer(ones, np.ones(1)),
        Layer(50 * ones, np.array([-49.0])),
        Layer(ones, np.zeros(1)),
    ]
    exact = fit_in_balls(samples.inputs, samples.targets)
    # Of the sample at 0 the second sum is 1, and 50 times as much less as the first bias is.
    assert 0.9 / 52 < prove_minimum(layers, None, NAMED["relu"], exact).radius < 1 / 50


def test_units_at_kinks_or_in_several_pieces_are_refused():
    samples = drawn(2)
    found = construct(samples, (4, 3), NAMED["relu"])
    broken = found.prove(1.0, broken=True)
    assert broken.radius is None
    assert not broken.local_minimum
    assert broken.reason == "unit 2 of layer 1 is at a kink for sample 0"
    layers = construct(samples, (3,), NAMED["relu"]).lower
    lower = prove_minimum(layers, None, found.function, found.exact)
    assert "is in several pieces" in lower.reason
    assert lower.radius is None


def test_linear_units_and_fittable_targets_have_no_lower_point():
    samples = drawn(1)
    linear = construct(samples, (3,), NAMED["linear"]).prove(1.0)
    assert linear.local_minimum
    assert not linear.proved
    assert linear.as_json()["everywhere"]
    assert linear.as_json()["radius"] is None
    inputs = samples.inputs
    fitted = construct(Samples(inputs, inputs @ np.ones((2, 1))), (3,), NAMED["relu"]).prove(1.0)
    assert fitted.local_minimum
    assert not fitted.proved


def test_inputs_that_do_not_span_all_leave_nothing_proved():
    samples = drawn(1)
    flat = Samples(np.column_stack([samples.inputs[:, 0]] * 2), samples.targets)
    assert fit_in_balls(flat.inputs, flat.targets) is None
    assert construct(flat, (3,), NAMED["relu"]).prove(1.0) is None


def test_least_squares_in_balls_hold_what_floats_give():
    samples = drawn(2)
    floats, exact = fit(samples.inputs, samples.targets), fit_in_balls(*vars(samples).values())
    with flint.ctx.workprec(PRECISION):
        risk = exact.risk
    assert isinstance(risk, flint.arb)
    assert float(risk.rad()) < 1e-35
    assert float(floats.risk) == pytest.approx(float(risk.mid()), rel=1e-14)
    np.testing.assert_allclose(exact.matrix.astype(float), floats.matrix, rtol=1e-12)
    np.testing.assert_allclose(exact.shifts, floats.shifts)
    assert (exact.shifts <= -1).all()


@pytest.mark.parametrize("name", SMOOTH)
def test_the_example_of_smooth_units(name):
    h, (v_1, v_2, u_1, u_2), decimals = SMOOTH[name]
    assert (*EXAMPLES[name].inner, EXAMPLES[name].first) == (v_1, v_2, u_1)
    assert float(second_output(name).mid()) == pytest.approx(u_2, abs=0.51 * 10**-decimals)
    assert u_1 * h(v_1) + u_2 * h(v_2) == pytest.approx(1 / 3, abs=1e-4)
    assert risk(smooth_minimum(name), h, LINE) == pytest.approx(1 / 3, rel=1e-13)
    zero = smooth_zero(name)
    assert risk(zero, h, LINE) < 1e-25
    (first, second), (third, fourth) = h(zero[0].weight)
    assert first * fourth == pytest.approx(second * third, rel=1e-13)
    assert zero[1].weight[0, 0] * -first == pytest.approx(zero[1].weight[0, 1] * third, rel=1e-13)


def positive_definite(name, radius):
    """Whether the form of second order is, with each number at either end of its range."""
    h, (*inner, u_1, _), _ = SMOOTH[name]
    outer = (u_1, float(second_output(name).mid()))
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=6)))
    step, forms = 1e-4, []
    ends = (signs[:, :3].T, signs[:, 3:].T)
    for v, u, (slope_at, bend_at, output_at) in zip(inner, outer, ends, strict=True):
        at, there = v + np.sqrt(2) * radius * slope_at, v + np.sqrt(2) * radius * bend_at
        slope = (h(at + step) - h(at - step)) / (2 * step)
        bend = (h(there + step) - 2 * h(there) + h(there - step)) / step**2
        weight = u + radius * output_at
        forms.append((weight * slope, weight * bend / 3))
    (a, p), (b, q) = forms
    return bool(((a * a + p > 0) & ((a * a + p) * (b * b + q) > (a * b) ** 2)).all())


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_minima_are_proved_and_saddles_are_not(name):
    h = SMOOTH[name][0]
    proof = prove_smooth(name, LINE)
    assert proof.proved
    assert proof.radius > 0.09
    assert positive_definite(name, proof.radius)
    random, layers = np.random.default_rng(0), smooth_minimum(name)
    lowest = min(
        risk(moved(layers, random, part * proof.radius), h, LINE)
        for part in (1.0, 0.1, 1e-3)
        for _ in range(100)
    )
    assert lowest >= 1 / 3 * (1 - 1e-14)
    saddle = prove_smooth(name, LINE, broken=True)
    assert saddle.radius is None
    assert "positive definite" in saddle.reason


def test_a_risk_bound_is_above_the_risk():
    samples = drawn(1)
    found = construct(samples, (3,), NAMED["relu"])
    bound = risk_bound(found.lower, found.function, samples)
    at = risk(found.lower, found.function, samples)
    assert at * (1 - 1e-14) <= bound <= at * (1 + 1e-13)
