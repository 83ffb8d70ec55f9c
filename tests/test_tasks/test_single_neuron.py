"""The task `single-neuron` against its formulas in numpy, and the published minima."""

import itertools
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.shipping import pack, unpack
from schemas.errors import SpecError
from tasks import TASKS, BuildContext
from tasks.neuron.activations import ACTIVATIONS
from tasks.neuron.one_dimensional import Line


def build(z, seed=0, **parameters):
    task = TASKS["single-neuron"]
    context = BuildContext(z=z, seed=seed, splits=("train",))
    return task.builder()(task.parse(parameters), context)


def geometric(examples, **more):
    return {"kind": "geometric", "examples": examples, **more}


def given_data(*examples):
    return {"kind": "given", "examples": [[list(x), y] for x, y in examples]}


def error(landscape, points, dtype=torch.float64):
    theta = landscape.section.parameters(torch.as_tensor(points, dtype=torch.float64))["theta"]
    return landscape.objective.functions["train"](theta.to(dtype))


def derivatives(landscape, point):
    """The error, its gradient (n,) and its Hessian (n, n) by automatic differentiation."""

    def function(theta):
        return landscape.objective.functions["train"](theta[None])[0]

    theta = torch.as_tensor(point, dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(function, theta)
    return function(theta), slope, torch.autograd.functional.hessian(function, theta)


# One weight, sigmoid, square loss, inputs 20^-t, target 3/4: minima and errors there.
PUBLISHED = {
    1: [(1.098612, 0.0)],
    2: [(1.188117, 0.055566), (21.972245, 0.0625)],
    3: [(1.193222, 0.117694), (23.762345, 0.118066), (439.444899, 0.125)],
}


@pytest.mark.parametrize("n", PUBLISHED)
def test_the_minima_of_one_weight_are_the_known_ones(n):
    landscape = build(1, data=geometric(n))
    found = zip(landscape.facts["minima"][0], landscape.facts["losses"][0], strict=True)
    for (w, value), (known_w, known_value) in zip(found, PUBLISHED[n], strict=True):
        assert (round(w, 6), round(value, 6)) == (known_w, known_value)
        at, slope, curvature = derivatives(landscape, [w])
        assert at.item() == pytest.approx(value, rel=1e-12, abs=1e-30)
        assert abs(slope.item()) < 1e-15
        assert curvature.item() > 0
    least = min(value for _, value in PUBLISHED[n])
    assert landscape.reference["global_minimum"] == pytest.approx(least, abs=5e-7)


def test_the_published_example_has_its_two_minima():
    landscape = build(1, data=given_data(([10], 0.55), ([0.7], 0.25)))
    np.testing.assert_allclose(landscape.facts["minima"][0], [-1.569397, 0.012925], atol=5e-7)
    np.testing.assert_allclose(landscape.facts["losses"][0], [0.3025, 0.06395], atol=5e-6)


@pytest.mark.parametrize(("ratio", "count"), [(2, 1), (3, 2), (4, 3), (5, 4), (20, 5)])
def test_too_small_a_ratio_loses_minima(ratio, count):
    facts = build(1, data=geometric(5, ratio=ratio)).facts
    assert len(facts["minima"][0]) == count
    assert (facts["separation"] > 0) == (count == 5)


def test_a_loss_that_falls_below_every_minimum_has_no_least():
    line = Line(np.array([1.0, 0.05]), np.array([0.75, 1.0]))
    assert line.minima() == pytest.approx([1.300383], abs=5e-7), "none where 1 − φ is rounded to 0"
    assert line.values(line.minima())[0] > 2 * 0.25**2
    assert line.values(np.array([1e4]))[0] == pytest.approx(0.25**2)
    assert line.least() is None
    assert Line(line.inputs[:1], line.targets[:1]).least() == pytest.approx(0.0, abs=1e-30)


@given(st.floats(1.5, 60), st.floats(0.05, 0.95), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_separated_examples_have_a_minimum_each(ratio, target, n):
    line = Line(ratio ** -np.arange(n), np.full(n, target))
    if line.separation() > 0:
        assert len(line.minima()) >= n


@pytest.mark.parametrize(("d", "n", "count"), [(2, 4, 4), (2, 5, 6), (2, 6, 9), (3, 6, 8)])
@pytest.mark.parametrize("rotated", [False, True])
def test_minima_multiply_over_axes_and_survive_a_rotation(d, n, count, rotated):
    turned = {"rotated": True, "section": "rotated"} if rotated else {}
    landscape = build(d, data=geometric(n), **turned)
    places = list(itertools.product(*landscape.facts["minima"]))
    assert (len(places), landscape.facts["examples"]) == (count, n)
    theta = landscape.section.parameters(torch.tensor(places, dtype=torch.float64))["theta"]
    for point in theta:
        _, slope, curvature = derivatives(landscape, point)
        assert slope.abs().max() < 1e-15
        assert torch.linalg.eigvalsh(curvature)[0] > 0


@pytest.mark.parametrize(("d", "n", "count"), [(1, 4, 2), (1, 6, 3), (2, 8, 4)])
def test_with_a_bias_each_pair_of_examples_has_a_minimum(d, n, count):
    landscape = build(d + 1, data=geometric(n), bias=True)
    places = list(itertools.product(*landscape.facts["minima"]))
    sums = [sum(values) for values in itertools.product(*landscape.facts["losses"])]
    assert len(places) == count
    assert "global_minimum" not in landscape.reference, "there may be a lower one off b = 0"
    for place, known in zip(places, sums, strict=True):
        value, slope, curvature = derivatives(landscape, place)
        assert value.item() == pytest.approx(known, rel=1e-12)
        assert slope.abs().max() < 1e-15
        assert torch.linalg.eigvalsh(curvature)[0] > 0


def test_a_rotation_turns_the_surface_and_nothing_else():
    points = np.random.default_rng(0).normal(size=(20, 3)) * 10
    plain = build(3, data=geometric(6))
    along = build(3, data=geometric(6), rotated=True, section="rotated")
    across = build(3, data=geometric(6), rotated=True)
    axes = torch.stack([direction["theta"] for direction in along.section.directions])
    torch.testing.assert_close(axes @ axes.T, torch.eye(3, dtype=torch.float64))
    assert torch.linalg.det(axes).item() == pytest.approx(1)
    torch.testing.assert_close(error(along, points), error(plain, points), rtol=1e-12, atol=0)
    turned = torch.from_numpy(points) @ axes
    torch.testing.assert_close(error(across, turned), error(plain, points), rtol=1e-12, atol=0)
    assert (error(across, points) - error(plain, points)).abs().max() > 0.01
    other = build(3, seed=1, data=geometric(6), rotated=True)
    assert not torch.equal(error(other, points), error(across, points))


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("bias", [False, True])
def test_the_error_is_the_sum_of_squares_of_its_residuals(name, bias):
    data = {"kind": "teacher", "examples": 70, "noise": 0.5}
    landscape = build(2 + bias, data=data, activation=name, bias=bias)
    points = np.random.default_rng(0).normal(size=(9, 2 + bias))
    squares = landscape.objective.residuals["train"](torch.from_numpy(points)).square().sum(dim=1)
    torch.testing.assert_close(error(landscape, points), squares, rtol=1e-12, atol=0)
    # From the neuron's definition, its targets read off the residuals at w = 0.
    phi = ACTIVATIONS[name].value
    zero = landscape.objective.residuals["train"](torch.zeros(1, 2 + bias, dtype=torch.float64))
    targets = phi(np.zeros(1)) - zero[0].numpy()
    inputs = landscape.objective.functions["train"].inputs.numpy()
    assert inputs.shape == (70, 2 + bias)
    assert (inputs[:, -1] == 1).all() == bias
    expected = np.square(phi(points @ inputs.T) - targets).sum(axis=1)
    np.testing.assert_allclose(error(landscape, points), expected, rtol=1e-10)


@given(
    w=st.floats(-75, 75, width=32),
    target=st.one_of(st.floats(1e-12, 1 - 1e-12), st.sampled_from([0.0, 1.0])),
)
@settings(max_examples=60, deadline=None)
def test_single_precision_loses_no_digits_of_the_deviation(w, target):
    residuals = build(1, data=given_data(([1.0], target))).objective.residuals["train"]
    exact = residuals(torch.tensor([[w]], dtype=torch.float64)).item()
    found = residuals(torch.tensor([[w]], dtype=torch.float32)).item()
    # What the rounding of w·x and of the target's logit does; σ(w·x) − y itself would lose all
    # digits of a small deviation.
    logit = 0.0 if target in (0.0, 1.0) else np.log(target) - np.log1p(-target)
    moved = abs(exact) + sum(abs(a) * np.exp(-abs(a)) for a in (w, logit))
    assert abs(found - exact) <= 16 * np.finfo(np.float32).eps * moved


def test_a_teacher_without_noise_has_error_zero_and_rays_begin_there():
    data = {"kind": "teacher", "examples": 20}
    landscape = build(1, data=data, dimensions=3, section="ray")
    assert landscape.reference == {"global_minimum": 0.0}
    assert landscape.facts["realizable"]
    assert error(landscape, [[0.0]]).item() < 1e-30
    rising = error(landscape, np.linspace(0, 4, 100)[:, None]).diff()
    assert (rising > 0).all()
    norm = landscape.section.directions[0]["theta"].norm().item()
    assert norm == pytest.approx(1)
    noisy = build(1, data={**data, "noise": 1.0}, dimensions=3, section="ray")
    assert noisy.reference == {}
    assert error(noisy, [[0.0]]).item() > 0.01


def test_the_entropic_loss_is_convex_and_the_square_loss_is_not():
    points = np.random.default_rng(0).uniform(-30, 30, size=(40, 2))
    least = {}
    for loss in ("entropic", "square"):
        landscape = build(2, data=geometric(4), loss=loss)
        spectra = [torch.linalg.eigvalsh(derivatives(landscape, point)[2]) for point in points]
        least[loss] = torch.stack(spectra).min().item()
    assert least["entropic"] >= 0
    assert least["square"] < -1e-3


def test_the_entropic_loss_is_that_of_its_definition():
    landscape = build(1, data=given_data(([1.0], 0.3), ([-2.0], 1.0)), loss="entropic")
    phi = 1 / (1 + np.exp(-np.array([0.5, -1.0])))
    expected = 0.3 * np.log(0.3 / phi[0]) + 0.7 * np.log(0.7 / (1 - phi[0])) - np.log(phi[1])
    assert error(landscape, [[0.5]]).item() == pytest.approx(expected, rel=1e-12)
    assert torch.isfinite(error(landscape, [[1e4], [-1e4]])).all()
    w = landscape.facts["minima"][0][0]
    assert abs(derivatives(landscape, [w])[1].item()) < 1e-12


def test_values_do_not_depend_on_the_batch():
    points = np.random.default_rng(0).normal(size=(1003, 3))
    for name, loss in (("sigmoid", "square"), ("sigmoid", "entropic"), ("sine", "square")):
        landscape = build(3, data=geometric(6), activation=name, loss=loss)
        for dtype in (torch.float32, torch.float64):
            whole = error(landscape, points, dtype)
            for low, high in ((0, 1), (5, 22), (1002, 1003), (10, 900)):
                assert torch.equal(error(landscape, points[low:high], dtype), whole[low:high])


def test_derivatives_are_finite_far_out():
    for dtype in (torch.float32, torch.float64):
        theta = torch.tensor([[-1e4], [1e4], [0.0]], dtype=dtype, requires_grad=True)
        function = build(1, data=geometric(3)).objective.functions["train"]
        (slope,) = torch.autograd.grad(function(theta).sum(), theta, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), theta)
        assert torch.isfinite(slope).all()
        assert torch.isfinite(curvature).all()


def test_starts_are_spread_over_all_scales():
    landscape = build(None, data=geometric(4), dimensions=2)
    assert landscape.section.whole
    draws = [landscape.draw(np.random.default_rng(seed), 1.0) for seed in range(200)]
    logs = np.log(np.array(draws) / np.log(3)) / np.log(20)
    assert logs.shape == (200, 2)
    np.testing.assert_allclose(logs.min(axis=0), -0.5, atol=0.05)
    np.testing.assert_allclose(logs.max(axis=0), 1.5, atol=0.05)


def test_facts_are_plain_and_the_landscape_travels():
    landscape = build(3, data=geometric(4), bias=True, rotated=True, section="rotated")
    json.dumps(landscape.facts, allow_nan=False)
    points = np.random.default_rng(0).normal(size=(5, 3))
    assert torch.equal(error(unpack(pack(landscape)), points), error(landscape, points))


BAD = [
    (1, {"data": geometric(1), "dimensions": 2}, "2 by parameters.dimensions and 1 by axes"),
    (3, {"data": geometric(2)}, "got 2 for 3 inputs; expected 3 or more"),
    (2, {"data": geometric(3), "bias": True}, "expected 2 or more, and an even number"),
    (2, {"data": geometric(4), "bias": True, "activation": "relu"}, "use sigmoid or tanh"),
    (1, {"data": geometric(1, target=1.5)}, "target 1.5 is out of the range of sigmoid"),
    (1, {"data": geometric(1, ratio=1)}, "data.*ratio"),
    (1, {"data": geometric(1), "loss": "entropic", "activation": "tanh"}, "use square"),
    (1, {"data": geometric(1), "section": "ray"}, "use data.kind: teacher"),
    (1, {"data": geometric(1), "section": "rotated"}, "needs rotated: true"),
    (None, {"data": geometric(1)}, "parameters.dimensions: neither axes nor data say"),
    (2, {"data": given_data(([1], 0.5))}, "1 by parameters.data.examples and 2 by axes"),
    (1, {"data": given_data(([1], 0.5), ([1, 2], 0.5))}, "examples have 1 to 2 inputs"),
    (1, {"data": geometric(1), "bias": True}, "the bias takes one and no input is left"),
    (2, {"data": {"kind": "teacher", "examples": 3}, "dimensions": 2, "section": "ray"}, "got 2"),
    (1, {"data": {"kind": "cubes"}}, "data"),
]


@pytest.mark.parametrize(("z", "parameters", "message"), BAD)
def test_bad_input_is_refused_in_one_line(z, parameters, message):
    with pytest.raises(SpecError, match=message) as caught:
        build(z, **parameters)
    assert "\n" not in str(caught.value)
