"""The task `deep-linear` against torch modules, autograd and independent linear algebra."""

from functools import reduce

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from schemas.errors import SpecError
from schemas.starts import start_generator
from tasks import BuildContext
from tasks.linear.deep import RISE, build_deep_linear, factorised, layers
from tasks.linear.deep_data import draw_samples, regress
from tasks.linear.deep_parameters import DeepLinearParameters

SPLITS = ("train", "test", RISE)


def parameters(**given):
    return DeepLinearParameters(**given)


def build(z=1, seed=0, splits=("train", "test"), **given):
    return build_deep_linear(parameters(**given), BuildContext(z=z, seed=seed, splits=splits))


def theta_of(landscape, points):
    return landscape.section.parameters(torch.as_tensor(points, dtype=torch.float64))["theta"]


def some_weights(landscape, n_points, scale=1.0):
    drawn = [landscape.draw(start_generator(3, number), scale) for number in range(n_points)]
    return torch.from_numpy(np.stack(drawn))


def as_module(theta, widths, relu_after):
    parts = []
    for number, weight in enumerate(layers(theta[None], widths), start=1):
        linear = nn.Linear(weight.shape[2], weight.shape[1], bias=False, dtype=torch.float64)
        linear.weight.data = weight[0].clone()
        parts += [linear, *([nn.ReLU()] if number == relu_after else [])]
    return nn.Sequential(*parts)


@pytest.mark.parametrize(
    "given",
    [
        {"widths": (3, 2)},
        {"widths": (4, 4, 4, 4)},
        {"widths": (5, 2, 6, 3), "input_rank": 3, "map_rank": 1},
        {"widths": (3, 5, 4, 2), "samples": 2},
        {"widths": (5, 4, 4, 3), "relu_after": 2},
    ],
    ids=str,
)
def test_losses_and_gradients_are_those_of_a_module_on_the_samples(given):
    landscape = build(None, 7, **given)
    samples = draw_samples(parameters(**given), 7)
    theta = some_weights(landscape, 4).requires_grad_()
    for split, sample in samples.items():
        x, y = torch.from_numpy(sample.inputs.T), torch.from_numpy(sample.targets.T)
        losses = landscape.objective.functions[split](theta)
        (rows,) = torch.autograd.grad(losses.sum(), theta)
        for point in range(len(theta)):
            module = as_module(theta[point].detach(), given["widths"], given.get("relu_after"))
            loss = (module(x) - y).square().sum()
            loss.backward()
            expected = torch.cat([p.grad.flatten() for p in module.parameters()])
            torch.testing.assert_close(losses[point], loss, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(rows[point], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("split", SPLITS)
def test_residuals_give_the_loss_up_to_a_constant(split):
    landscape = build(None, 1, SPLITS, widths=(4, 3, 5), origin="seeded")
    theta = some_weights(landscape, 6)
    terms = landscape.objective.residuals[split](theta).square().sum(dim=1)
    left = landscape.objective.functions[split](theta) - terms
    torch.testing.assert_close(left, left[:1].expand(6), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("given", [{}, {"relu_after": 2}], ids=str)
def test_a_points_bits_do_not_depend_on_its_neighbours(given):
    landscape = build(None, 0, ("train",), widths=(7, 9, 8, 5), **given)
    theta = some_weights(landscape, 257)
    names = ("train",) if given else ("train", RISE)
    for function in (landscape.objective.functions[name] for name in names):
        whole = function(theta)
        for lo, hi in ((0, 1), (1, 8), (100, 257)):
            assert torch.equal(function(theta[lo:hi]), whole[lo:hi])


def test_values_keep_the_precision_they_are_given():
    landscape = build(None, 0, SPLITS)
    theta = some_weights(landscape, 2).float()
    for split in SPLITS:
        assert landscape.objective.functions[split](theta).dtype == torch.float32


ranks = st.integers(1, 4)


@settings(max_examples=25, deadline=None)
@given(
    widths=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    samples=st.integers(1, 12),
    ranks=st.tuples(ranks, ranks),
    noise=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 999),
)
def test_the_least_loss_is_that_of_the_eigenvalues_and_is_reached(
    widths, samples, ranks, noise, seed
):
    given = {
        "widths": tuple(widths),
        "samples": samples,
        "input_rank": min(ranks[0], widths[0], samples),
        "map_rank": min(ranks[1], widths[0], widths[-1]),
        "noise": noise,
        "origin": "minimum",
    }
    landscape = build(None, seed, **given)
    sample = draw_samples(parameters(**given), seed)["train"]
    x, y, p = sample.inputs, sample.targets, min(widths)
    # What YXᵀ(XXᵀ)⁺X fits, by least squares: that inverse loses digits where X is near singular.
    fitted = (x.T @ np.linalg.lstsq(x.T, y.T, rcond=1e-12)[0]).T
    explained = fitted @ fitted.T
    expected = np.trace(y @ y.T) - np.sort(np.linalg.eigvalsh(explained))[::-1][:p].sum()
    scale = np.sum(y**2)
    assert landscape.reference["global_minimum"] == pytest.approx(expected, abs=1e-10 * scale)
    loss = landscape.objective.functions["train"](landscape.section.origin["theta"][None])
    assert float(loss) == pytest.approx(expected, abs=1e-10 * scale)


def test_no_descent_and_no_random_product_gets_below_the_least_loss():
    landscape = build(None, 5, ("train",), widths=(5, 2, 4), noise=0.3)
    least = landscape.reference["global_minimum"]
    function = landscape.objective.functions["train"]
    theta = some_weights(landscape, 8).requires_grad_()
    assert (function(some_weights(landscape, 500)) > least).all()
    optimiser = torch.optim.LBFGS([theta], max_iter=2000, tolerance_grad=1e-12, history_size=50)

    def closure():
        optimiser.zero_grad()
        loss = function(theta).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    np.testing.assert_allclose(function(theta).detach(), least, rtol=1e-9)


@pytest.mark.parametrize("origin", ["zero", "minimum", "seeded"])
def test_the_rise_is_the_difference_of_losses_and_keeps_its_digits(origin):
    landscape = build(2, 3, SPLITS, widths=(4, 4, 4, 3), origin=origin)
    function, rise = (landscape.objective.functions[name] for name in ("train", RISE))
    points = np.random.default_rng(0).uniform(-2, 2, (50, 2))
    theta = theta_of(landscape, points)
    start = function(theta_of(landscape, np.zeros((1, 2))))
    torch.testing.assert_close(rise(theta), function(theta) - start, rtol=1e-12, atol=1e-14)
    assert float(rise(theta_of(landscape, np.zeros((1, 2))))) == 0


def test_near_zero_the_rise_is_its_leading_term():
    landscape = build(1, 3, SPLITS, widths=(4, 4, 4, 3))
    risk, rise = (landscape.objective.functions[name] for name in ("train", RISE))
    product = risk.outputs(theta_of(landscape, [[1.0]]))[0]
    slope = -2 * float((product * risk.targets).sum())
    for t in (1e-8, 1e-5):
        value = float(rise(theta_of(landscape, [[t]])))
        assert value == pytest.approx(slope * t**3, rel=1e-12)
        assert value < 0
    lengths = float(product.norm()) * float(risk.targets.norm())
    assert landscape.facts["alignments"][0] == pytest.approx(-slope / 2 / lengths)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_derivatives_at_zero(depth):
    landscape = build(None, 2, ("train",), widths=(3,) * (depth + 1))
    function = landscape.objective.functions["train"]
    zero = torch.zeros(9 * depth, dtype=torch.float64)

    def loss(vector):
        return function(vector[None])[0]

    gradient = torch.autograd.functional.jacobian(loss, zero)
    spectrum = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, zero))
    assert torch.count_nonzero(gradient) == 0
    if depth > 2:
        assert torch.count_nonzero(spectrum) == 0
    else:
        expected = -2 * landscape.facts["greatest_moment"]
        assert float(spectrum[0]) == pytest.approx(expected, rel=1e-12)


def test_directions_are_unit_generic_downhill_and_follow_from_the_seed():
    one, other = (build(4, seed, widths=(4, 3, 4)) for seed in (0, 1))
    again = build(3, 0, widths=(4, 3, 4), origin="seeded")
    found = [direction["theta"] for direction in one.section.directions]
    assert all(float(d.norm()) == pytest.approx(1) for d in found)
    assert all(0 < cosine <= 1 for cosine in one.facts["alignments"])
    for direction, first in zip(again.section.directions, found[:3], strict=True):
        assert torch.equal(direction["theta"], first)
    assert not torch.equal(other.section.directions[0]["theta"], found[0])


def test_the_facts_are_those_of_the_data():
    given = {"widths": (5, 4, 3), "input_rank": 2, "noise": 0.2}
    facts = build(None, 4, **given).facts
    sample = draw_samples(parameters(**given), 4)["train"]
    assert facts["input_rank"] == np.linalg.matrix_rank(sample.inputs) == 2
    assert facts["data_rank"] == 2
    np.testing.assert_allclose(facts["input_moment"], sample.inputs @ sample.inputs.T)
    np.testing.assert_allclose(facts["target_moment"], sample.targets @ sample.inputs.T)
    spectrum = np.linalg.svd(sample.targets @ sample.inputs.T, compute_uv=False)
    assert facts["greatest_moment"] == pytest.approx(spectrum[0])
    assert regress(sample).rank == 2


@given(st.lists(st.integers(1, 4), min_size=2, max_size=5), st.integers(0, 99))
def test_factors_multiply_to_the_map(widths, seed):
    rng = np.random.default_rng(seed)
    p = min(widths)
    wanted = rng.standard_normal((widths[-1], p)) @ rng.standard_normal((p, widths[0]))
    factors = layers(torch.from_numpy(factorised(wanted, tuple(widths)))[None], tuple(widths))
    product = reduce(lambda done, factor: factor[0] @ done, factors[1:], factors[0][0])
    np.testing.assert_allclose(product, wanted, atol=1e-10)


def test_starts_spread_by_their_scale_and_layer():
    draw = build(None, widths=(400, 100, 4)).draw
    theta = draw(start_generator(0, 0), 2.0)
    first, last = np.split(theta, [40_000])
    assert first.std() == pytest.approx(2 / 20, rel=0.02)
    assert last.std() == pytest.approx(2 / 10, rel=0.1)


def test_a_whole_section_has_all_weights():
    landscape = build(None, widths=(5, 4, 3))
    assert landscape.section.whole
    assert landscape.section.z == 32 == len(landscape.draw(start_generator(0, 0), 1.0))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"widths": (4, 4), "input_rank": 5}, "input_rank is 5; expected at most 4"),
        ({"widths": (4, 2), "map_rank": 3}, "map_rank is 3; expected at most 2"),
        ({"widths": (4, 4, 4), "relu_after": 2}, "relu_after is 2; expected a layer before"),
        ({"relu_after": 1, "origin": "minimum"}, "no minimum is known in closed form"),
    ],
    ids=str,
)
def test_impossible_parameters_are_refused(given, said):
    from tasks.registry import Task

    module = "tasks.linear.deep"
    task = Task("deep-linear", "", "", f"{module}_parameters:DeepLinearParameters", module)
    with pytest.raises(SpecError, match=said):
        task.parse(given)


@pytest.mark.parametrize(("split", "given"), [("rest", {}), (RISE, {"relu_after": 1})])
def test_a_split_it_does_not_offer_is_refused(split, given):
    with pytest.raises(SpecError, match=f"splits: got '{split}'; expected some of train, test"):
        build(1, splits=(split,), **given)
