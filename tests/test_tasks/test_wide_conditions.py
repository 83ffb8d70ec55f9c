"""Nguyen and Hein's condition at a point, beside derivatives and ranks found otherwise."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from tasks.wide.conditions import (
    NONSINGULAR,
    QUALIFIED,
    STEP,
    THEOREM,
    LayerConditions,
    conditions_at,
    distinct,
)
from tasks.wide.network import ACTIVATIONS, features, network

NETS = st.sampled_from([(4,), (2,), (6,), (4, 2), (3, 4), (2, 3), (3, 2, 4)])


def drawn(widths, activation="sigmoid", bias=True, samples=5, points=2, seed=0, scale=1.5):
    """A network, random points of it, inputs and targets."""
    random = np.random.default_rng(seed)
    module = network(2, widths, activation, bias)
    size = sum(each.numel() for each in module.parameters())
    return (
        module,
        scale * random.standard_normal((points, size)),
        random.standard_normal((samples, 2)),
        random.standard_normal(samples),
    )


def placed(module, point):
    """The network's parameters at a point, by name."""
    vector_to_parameters(torch.from_numpy(point), module.parameters())
    return {name: value.detach() for name, value in module.named_parameters()}


def solved(module, point, inputs, targets):
    """The point (n,) with output weights and bias of least squares."""
    last = features(module, placed(module, point), torch.from_numpy(inputs))[-1].numpy()
    columns = np.column_stack([last, np.ones(len(last))])
    best = np.linalg.lstsq(columns, targets, rcond=None)[0]
    return np.concatenate([point[: -len(best)], best])


def whole_hessian(module, point, inputs, targets):
    placed(module, point)
    numbers = list(module.parameters())
    outputs = module(torch.from_numpy(inputs))
    loss = ((outputs[:, 0] - torch.from_numpy(targets)) ** 2).mean()
    slopes = flat(torch.autograd.grad(loss, numbers, create_graph=True))
    rows = [
        flat(torch.autograd.grad(slope, numbers, retain_graph=True, materialize_grads=True))
        for slope in slopes
    ]
    return torch.stack(rows).numpy()


def flat(tensors):
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


@settings(max_examples=12, deadline=None)
@given(NETS, st.sampled_from(sorted(ACTIVATIONS)), st.booleans(), st.integers(0, 99))
def test_the_hessian_is_that_of_the_layers_above(widths, activation, bias, seed):
    module, points, inputs, targets = drawn(widths, activation, bias, seed=seed)
    found = conditions_at(module, points, inputs, targets)
    assert [each.layer for each in found] == list(range(1, len(widths) + 1))
    assert [each.units for each in found] == list(widths)
    names = [name for name, value in module.named_parameters() for _ in range(value.numel())]
    for point, place in enumerate(points):
        hessian = whole_hessian(module, place, inputs, targets)
        for each in found:
            above = [int(name[5 : name.index(".")]) > each.layer for name in names]
            spectrum = np.abs(np.linalg.eigvalsh(hessian[np.ix_(above, above)]))
            ratio = spectrum.min() / spectrum.max()
            assert each.hessian[point] == pytest.approx(ratio, rel=1e-5, abs=1e-14)


@settings(max_examples=12, deadline=None)
@given(NETS, st.sampled_from(sorted(ACTIVATIONS)), st.booleans(), st.integers(0, 99))
def test_ranks_are_those_of_features_and_of_weights(widths, activation, bias, seed):
    module, points, inputs, targets = drawn(widths, activation, bias, seed=seed)
    found = conditions_at(module, points, inputs, targets)
    for point, place in enumerate(points):
        named = placed(module, place)
        hidden = [each.numpy() for each in features(module, named, torch.from_numpy(inputs))]
        for each, values in zip(found, hidden, strict=True):
            columns = np.column_stack([values, np.ones(len(values))]) if bias else values
            singular = np.linalg.svd(columns, compute_uv=False)
            np.testing.assert_allclose(each.singular[point], singular / singular[0], atol=1e-14)
            assert each.weights[point] == pytest.approx(least_weights(each, hidden, named, module))


def least_weights(each, hidden, named, module):
    least = np.inf
    for layer in range(each.layer + 2, len(hidden) + 2):
        weights = named[f"layer{layer}.weight"].numpy()
        linear, unit = (module.get_submodule(f"{kind}{layer - 1}") for kind in ("layer", "unit"))
        before = linear(torch.from_numpy(hidden[layer - 3])).detach().requires_grad_(True)
        (slopes,) = torch.autograd.grad(unit(before).sum(), before)
        for row in slopes.numpy():
            values = np.linalg.svd(weights * row, compute_uv=False)
            least = min(least, values[-1] if len(weights) <= weights.shape[1] else 0.0)
    return least


def test_how_wide_a_layer_has_to_be():
    for bias, needed in ((True, 4), (False, 5)):
        for width in (3, 4, 5):
            (found,) = conditions_at(*drawn((width,), bias=bias))
            assert (found.needed, found.samples, found.above) == (needed, 5, 0)
            assert found.met("width").tolist() == [width >= needed] * 2


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_only_n_minus_one_units_of_the_last_layer_can_meet_it(activation):
    """Anywhere with more units; where the loss is zero with a hidden layer above."""
    (exact,) = conditions_at(*drawn((4,), activation, points=40))
    assert exact.hessian.min() > 1e-13
    assert exact.meets(THEOREM).mean() > 0.5
    for width in (5, 7):
        (wider,) = conditions_at(*drawn((width,), activation, points=40))
        assert wider.hessian.max() < 1e-14
        assert not wider.meets(THEOREM).any()
        assert wider.meets(STEP).mean() > 0.5
    module, points, inputs, targets = drawn((4, 4), activation, points=40)
    assert conditions_at(module, points, inputs, targets)[0].hessian.max() > 1e-9
    fitted = np.array([solved(module, point, inputs, targets) for point in points])
    lower, upper = conditions_at(module, fitted, inputs, targets)
    independent = upper.singular[:, -1] > 1e-3
    assert independent.sum() > 5
    assert lower.hessian[independent].max() < NONSINGULAR / 10
    assert upper.meets(THEOREM)[independent].all()


def test_what_keeps_the_theorem_from_a_point():
    module, points, inputs, targets = drawn((4, 2), points=20)
    lower, upper = conditions_at(module, points, inputs, targets)
    for point, meets in enumerate(lower.meets(THEOREM)):
        assert (lower.why_not(point) == ()) == meets
        assert upper.why_not(point)[0] == "layer 2 has 2 units, fewer than 4"
    assert lower.meets(THEOREM).any()
    with torch.no_grad():
        placed(module, points[0])
        module.layer3.weight.zero_()
    at = parameters_to_vector(module.parameters()).detach().numpy()[None]
    flat = conditions_at(module, at, inputs, targets)[0]
    assert flat.weights.tolist() == [0.0]
    singular, thin = flat.why_not(0)
    assert singular.startswith("the Hessian by the layers above 1 is singular: least")
    assert thin.startswith("some W_l, l ≥ 3, lacks full column rank: least singular value 0.0e+00")
    (narrow,) = conditions_at(*drawn((2,)))
    assert narrow.why_not(1) == ("layer 1 has 2 units, fewer than 4",)


def test_equal_units_and_repeated_inputs_lack_rank():
    module, points, inputs, targets = drawn((4,), points=1)
    with torch.no_grad():
        placed(module, points[0])
        module.layer1.weight[:] = module.layer1.weight[0].clone()
        module.layer1.bias[:] = module.layer1.bias[0].clone()
    equal = parameters_to_vector(module.parameters()).detach().numpy()[None]
    (found,) = conditions_at(module, equal, inputs, targets)
    assert found.ranks.tolist() == [2]
    assert not found.met("hessian").any()
    assert distinct(inputs)
    inputs[3] = inputs[1]
    assert not distinct(inputs)
    (found,) = conditions_at(module, points, inputs, targets)
    assert found.ranks.max() <= 4
    assert not found.met("features").any()


def test_units_that_saturate_hide_the_weights_above_them():
    module, points, inputs, targets = drawn((4, 1), points=1)
    open_, _ = conditions_at(module, points, inputs, targets)
    with torch.no_grad():
        placed(module, points[0])
        module.layer2.bias.fill_(40.0)
    shut = parameters_to_vector(module.parameters()).detach().numpy()[None]
    closed, _ = conditions_at(module, shut, inputs, targets)
    assert open_.met("weights").all()
    assert not closed.met("weights").any()


def test_thresholds_belong_to_what_is_met():
    half = np.array([0.5])

    def layer(**changed):
        given = {"units": 4, "needed": 4, "hessian": half, "weights": half}
        singular = np.array([[1.0, 0.5, 0.2]])
        return LayerConditions(
            **{"layer": 1, "above": 1, "singular": singular, "samples": 3, **given, **changed}
        )

    assert layer().meets((*THEOREM, *STEP)).all()
    for name, value in (
        ("units", 3),
        ("hessian", np.array([0.9e-8])),
        ("weights", np.array([0.9e-4])),
        ("singular", np.array([[1.0, 0.5, 0.9e-4]])),
    ):
        broken = layer(**{name: value})
        assert not broken.meets((*THEOREM, *STEP)).any()
    for kept in (
        layer(hessian=np.array([1.1e-8])),
        layer(weights=np.array([1.1e-4])),
        layer(singular=np.array([[1.0, 0.5, 1.1e-4]])),
    ):
        assert kept.meets((*THEOREM, *STEP)).all()


def test_every_activation_of_the_task_is_judged():
    assert set(QUALIFIED) == set(ACTIVATIONS)
    t = torch.linspace(-30, 30, 1001, dtype=torch.float64)
    assert (torch.nn.functional.softplus(t[t < 0]) <= t[t < 0].exp()).all()
    assert (torch.nn.functional.softplus(t[t >= 0]) <= t[t >= 0] + np.log(2) + 1e-15).all()
    for kind in ACTIVATIONS.values():
        assert (kind()(t).diff() >= 0).all()
