"""The task `relu-neuron`: the closed form against quadrature, a sample and Tian's gradient."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad

from pipeline.shipping import pack, unpack
from schemas.errors import SpecError
from tasks import TASKS, BuildContext

V = np.array([0.6, -0.8, 0.3])
NORM = np.linalg.norm(V)


def build(z=3, seed=0, **parameters):
    task = TASKS["relu-neuron"]
    parameters = {"samples": 100, **parameters}
    context = BuildContext(z=z, seed=seed, splits=("population", "sample"))
    return task.builder()(task.parse(parameters), context)


def derivatives(function, theta):
    """Losses (P,), gradients (P, d) and Hessians (P, d, d) by automatic differentiation."""
    theta = torch.as_tensor(theta, dtype=torch.float64).requires_grad_()
    losses = function(theta)
    (slopes,) = torch.autograd.grad(losses.sum(), theta, create_graph=True)
    rows = [
        torch.autograd.grad(slopes[:, i].sum(), theta, retain_graph=True)[0]
        for i in range(theta.shape[1])
    ]
    return losses.detach(), slopes.detach(), torch.stack(rows, dim=1)


def angle(w):
    return math.atan2(np.linalg.norm(w - (w @ V) / NORM**2 * V) * NORM, w @ V)


def tian(w):
    theta = angle(w)
    return (w - V) / 2 + (theta * V - NORM / np.linalg.norm(w) * math.sin(theta) * w) / (
        2 * math.pi
    )


def hessian(w):
    """½I − sin θ ‖v‖/(2π‖w‖) (I − ŵŵᵀ + n̂n̂ᵀ); ½I on the line of v."""
    size = np.linalg.norm(w)
    unit = w / size
    aside = V / NORM - (V @ unit) / NORM * unit
    if np.linalg.norm(aside) < 1e-14:
        return np.eye(3) / 2
    normal = aside / np.linalg.norm(aside)
    bent = np.eye(3) - np.outer(unit, unit) + np.outer(normal, normal)
    return np.eye(3) / 2 - math.sin(angle(w)) * NORM / (2 * math.pi * size) * bent


def points():
    """Anywhere, and ever nearer to v, to −v and to the line between."""
    random = np.random.default_rng(0)
    steps = 10.0 ** -np.arange(1, 15)[:, None] * random.normal(size=(14, 3))
    line = np.outer([1.0, 2.0, -1.0, -0.3], V)
    return np.concatenate([random.normal(size=(50, 3)), V + steps, -V + steps, line])


def test_gradient_and_hessian_are_tians_also_where_the_formula_is_singular():
    function = build(teacher=V.tolist()).objective.functions["population"]
    _, slopes, curvatures = derivatives(function, points())
    np.testing.assert_allclose(slopes, [tian(w) for w in points()], atol=1e-14)
    np.testing.assert_allclose(curvatures, [hessian(w) for w in points()], atol=1e-12)


def test_the_minimum_is_the_teacher_and_keeps_its_digits():
    landscape = build(teacher=V.tolist())
    function = landscape.objective.functions["population"]
    losses, slopes, curvatures = derivatives(function, V[None])
    assert abs(losses.item()) < 1e-40
    assert slopes.abs().max() < 1e-15
    torch.testing.assert_close(curvatures[0], torch.eye(3, dtype=torch.float64) / 2)
    step = 1e-9 * np.array([[1.0, 2.0, -1.0]])
    # Of third order in the step, the rest of a quarter of its square is lost in no rounding.
    assert function(torch.from_numpy(V + step)).item() == pytest.approx(
        (step**2).sum() / 4, rel=1e-6
    )
    assert landscape.reference == {"global_minimum": 0.0}
    sample = landscape.objective.functions["sample"]
    assert sample(torch.from_numpy(V[None])).item() == 0.0


@pytest.mark.parametrize("w", [(0.3, 1.1), (-0.7, 0.2), (-0.5, 0.02), (1.0, 0.1)])
def test_the_closed_form_is_the_expectation(w):
    landscape = build(2, teacher=[1.5, 0.0])

    def integrand(angle, radius):
        x = radius * np.array([math.cos(angle), math.sin(angle)])
        away = max(x @ w, 0.0) - max(1.5 * x[0], 0.0)
        return away**2 / 2 * math.exp(-(radius**2) / 2) / (2 * math.pi) * radius

    expected, _ = dblquad(integrand, 0, 9, 0, 2 * math.pi, epsabs=1e-8)
    found = landscape.objective.functions["population"](torch.tensor([w], dtype=torch.float64))
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_a_sample_is_near_the_expectation_and_nearer_with_more_inputs():
    theta = torch.from_numpy(np.random.default_rng(1).normal(size=(30, 3)))
    away = []
    for samples in (100, 10_000):
        differences = []
        for seed in range(8):
            functions = build(seed=seed, teacher=V.tolist(), samples=samples).objective.functions
            differences.append(functions["sample"](theta) - functions["population"](theta))
        away.append(torch.stack(differences))
    mean, spread = away[1].mean(dim=0), away[1].std(dim=0) / math.sqrt(8)
    assert (mean.square().mean() / spread.square().mean()).sqrt() < 3
    ratio = (away[0].square().mean() / away[1].square().mean()).sqrt().item()
    assert 5 < ratio < 20


def test_the_sample_is_the_mean_over_its_inputs():
    landscape = build(teacher=V.tolist(), samples=700)
    sample = landscape.objective.functions["sample"]
    x = sample.inputs.numpy()
    theta = np.random.default_rng(2).normal(size=(7, 3))
    expected = np.square(np.maximum(theta @ x.T, 0) - np.maximum(V @ x.T, 0)).mean(axis=1) / 2
    np.testing.assert_allclose(sample(torch.from_numpy(theta)), expected, rtol=1e-12)
    squares = landscape.objective.residuals["sample"](torch.from_numpy(theta)).square().sum(dim=1)
    np.testing.assert_allclose(squares, expected, rtol=1e-12)


def test_from_zero_the_loss_falls_in_every_direction_but_one():
    function = build(teacher=V.tolist()).objective.functions["population"]
    units = np.random.default_rng(3).normal(size=(40, 3))
    units = np.concatenate([units, V[None], -V[None]])
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    step = 1e-6
    zero = function(torch.zeros(1, 3, dtype=torch.float64)).item()
    assert zero == pytest.approx(NORM**2 / 4, rel=1e-15)
    rates = (function(torch.from_numpy(step * units)).numpy() - zero) / step - step / 4
    angles = np.array([angle(u) for u in units])
    expected = -NORM * (np.sin(angles) + (np.pi - angles) * np.cos(angles)) / (2 * np.pi)
    np.testing.assert_allclose(rates, expected, atol=1e-9)
    assert (expected[:-1] < 0).all()
    # There is no gradient at 0: what stands for it is the limit along v.
    assert derivatives(function, np.zeros((1, 3)))[1][0].numpy() == pytest.approx(-V / 2)
    # On the ray opposite v it is ¼(‖w‖² + ‖v‖²), whose gradient leads to 0.
    losses, slopes, _ = derivatives(function, -0.25 * V[None])
    assert losses.item() == pytest.approx(NORM**2 * (1 + 1 / 16) / 4, rel=1e-14)
    np.testing.assert_allclose(slopes[0], -0.125 * V, atol=1e-15)


def test_values_do_not_depend_on_the_batch_and_single_precision_is_near():
    theta = torch.from_numpy(np.random.default_rng(4).normal(size=(901, 3)))
    for name, function in build(samples=300).objective.functions.items():
        for part in (theta, theta.float()):
            whole = function(part)
            for low, high in ((0, 1), (3, 20), (10, 900)):
                assert torch.equal(function(part[low:high]), whole[low:high]), name
        torch.testing.assert_close(
            function(theta.float()).double(), function(theta), rtol=1e-5, atol=1e-6
        )


def test_sections_starts_and_travel():
    plane = build(2, dimensions=5, section="plane")
    axes = torch.stack([direction["theta"] for direction in plane.section.directions])
    torch.testing.assert_close(axes @ axes.T, torch.eye(2, dtype=torch.float64))
    teacher = torch.tensor(plane.facts["teacher"], dtype=torch.float64)
    torch.testing.assert_close(axes[0], teacher)
    starts = build(None, dimensions=4)
    assert starts.section.whole
    assert starts.section.z == 4
    theta = torch.randn(3, 5, dtype=torch.float64)
    again = unpack(pack(plane)).objective
    for name, function in plane.objective.functions.items():
        assert torch.equal(again.functions[name](theta), function(theta))


BAD = [
    (3, {"dimensions": 2}, "2 by parameters.dimensions and 3 by axes"),
    (2, {"teacher": [1, 2, 3]}, "3 by parameters.teacher and 2 by axes"),
    (3, {"teacher": [0, 0, 0]}, "teacher is zero"),
    (None, {}, "neither axes nor a teacher say"),
    (1, {"dimensions": 3, "section": "plane"}, "axes: got 1; section: plane needs 2"),
    (2, {"dimensions": 1, "section": "plane"}, "a plane needs 2 inputs or more"),
    (2, {"samples": 0}, "samples"),
]


@pytest.mark.parametrize(("z", "parameters", "message"), BAD)
def test_bad_input_is_refused_in_one_line(z, parameters, message):
    with pytest.raises(SpecError, match=message) as caught:
        build(z, **parameters)
    assert "\n" not in str(caught.value)
