"""Derivatives against the reference, and against finite differences."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from pipeline.engine.reference import evaluate_reference
from schemas.layout import END_PARAMETERS, METRICS, OF_DESCENT
from tasks.objective import Split, cross_entropy, squared_error
from tasks.section import Section, directions_as_section
from tests.derivatives import (
    EIGENVALUES,
    FLOATS,
    MEASURED,
    MODELS,
    POINTS,
    SPLITS,
    TOLERANCE,
    assert_agrees,
    difference,
    expected_of,
    in_blocks,
    landscape,
    measured,
    reference,
)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", MODELS)
def test_every_metric_agrees_with_the_reference(name, dtype):
    found = measured(landscape(name), dtype=dtype, block=4)
    assert_agrees(found, expected_of(name), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("block", [1, 4, 11, None])
def test_sample_blocks_do_not_matter(block, dtype):
    one = landscape("tanh", squared_error)
    found = measured(one, dtype=dtype, block=block)
    assert_agrees(found, expected_of("tanh", squared_error), TOLERANCE[dtype])


@pytest.mark.parametrize("name", ["tanh", "frozen"])
def test_directions_may_touch_some_parameters_only(name):
    one = landscape(name, only=("0.weight", "4.bias"))
    assert_agrees(measured(one), reference(one), 1e-10)


def test_axes_may_move_what_is_not_trained_and_training_what_no_axis_moves():
    one = landscape("frozen")
    assert one.objective.module[4].bias.requires_grad
    inner = directions_as_section(
        one.section.origin, [{"0.weight": torch.ones(4, 4)}, {"0.bias": torch.ones(4)}]
    )
    one = dataclasses.replace(one, section=inner)
    found = measured(one)
    assert_agrees(found, reference(one), 1e-10)
    assert np.abs(found["section_gradient"]).min() > 1e-6


def test_only_trainable_parameters_count_and_all_where_none_is():
    one = landscape("tanh")
    whole = measured(one, ("gradient_norm",))["gradient_norm"]
    model = MODELS["tanh"][0]()
    risk = dataclasses.replace(one.objective, module=model.requires_grad_(False))
    none = measured(dataclasses.replace(one, objective=risk), ("gradient_norm",))
    np.testing.assert_array_equal(none["gradient_norm"], whole)
    model[4].bias.requires_grad_(True)
    last = measured(dataclasses.replace(one, objective=risk), ("gradient_norm",))
    assert (last["gradient_norm"] < whole).all()


@pytest.mark.parametrize("metric", FLOATS)
def test_a_metric_alone_is_the_metric_among_others(metric):
    one = landscape("attention")
    alone = measured(one, (metric,), block=4)
    assert set(alone) == {metric}
    np.testing.assert_allclose(alone[metric], in_blocks("attention")[metric], rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_point_does_not_depend_on_its_batch(dtype):
    one = landscape("relu")
    whole = measured(one, MEASURED, dtype, 4)
    for column, point in enumerate(POINTS):
        for name, part in measured(one, MEASURED, dtype, 4, point[None]).items():
            np.testing.assert_array_equal(part[..., 0], whole[name][..., column])


@pytest.mark.parametrize("flip", [False, True], ids=["right", "wrong sign"])
@pytest.mark.parametrize("name", ["tanh", "attention", "lstm", "tied"])
def test_finite_differences_confirm_gradient_and_hessian(name, flip):
    one = landscape(name)
    differentiated = one
    if flip:
        first, second = one.section.directions
        turned = Section(one.section.origin, (first, {n: -d for n, d in second.items()}))
        differentiated = dataclasses.replace(one, section=turned)
    # Values by the reference at the point that both sections share.
    h = 1e-3
    moves = np.array([[0, 0], [h, 0], [-h, 0], [0, h], [0, -h], [h, h], [-h, -h], [h, -h], [-h, h]])
    loss = evaluate_reference(one, moves, SPLITS, ("loss",))["loss"]
    gradient = np.stack([loss[:, 1] - loss[:, 2], loss[:, 3] - loss[:, 4]], axis=1) / (2 * h)
    cross = (loss[:, 5] + loss[:, 6] - loss[:, 7] - loss[:, 8]) / (4 * h * h)
    along = [loss[:, 1] + loss[:, 2] - 2 * loss[:, 0], loss[:, 3] + loss[:, 4] - 2 * loss[:, 0]]
    hessian = np.stack([along[0], h * h * cross, h * h * cross, along[1]], axis=1) / (h * h)
    found = measured(differentiated, points=np.zeros((1, 2)))
    expected = {"section_gradient": gradient[..., None],
                "section_hessian": hessian.reshape(2, 2, 2, 1)}  # fmt: skip
    wrong = difference({name: found[name] for name in expected}, expected)
    assert all((error > 1e-2) if flip else (error < 1e-4) for error in wrong.values())


def test_a_wrong_parameter_or_a_left_out_sample_would_be_noticed():
    one = landscape("tanh")
    train, test = one.objective.splits["train"], one.objective.splits["test"]
    fewer = {"train": Split(train.inputs[:-1], train.targets[:-1]), "test": test}
    risk = dataclasses.replace(one.objective, splits=fewer)
    less = difference(measured(dataclasses.replace(one, objective=risk)), reference(one))
    frozen_head = MODELS["tanh"][0]()
    frozen_head[4].bias.requires_grad_(False)
    risk = dataclasses.replace(one.objective, module=frozen_head)
    fixed = difference(measured(dataclasses.replace(one, objective=risk)), reference(one))
    assert min(less.values()) > 1e-4
    assert min(fixed[name] for name in ("gradient_norm", *EIGENVALUES)) > 1e-6
    assert fixed["section_hessian"] < 1e-10


def test_data_and_model_are_left_alone():
    one = landscape("in place")
    split, model = one.objective.splits["train"], one.objective.module
    inputs = split.inputs.double()
    doubled = {name: Split(inputs, split.targets) for name in SPLITS}
    one = dataclasses.replace(one, objective=dataclasses.replace(one.objective, splits=doubled))
    before = inputs.clone(), {name: t.clone() for name, t in model.state_dict().items()}
    measured(one, MEASURED)
    reference(one)
    assert model.training
    assert torch.equal(inputs, before[0])
    assert all(torch.equal(t, before[1][name]) for name, t in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_the_standard_error_is_that_of_the_mean():
    one = landscape("tanh")
    outputs = one.objective.module(one.objective.splits["train"].inputs)
    losses = cross_entropy(outputs, one.objective.splits["train"].targets).detach().double().numpy()
    expected = losses.std(ddof=1) / math.sqrt(len(losses))
    found = measured(one, ("loss_stderr",), points=np.zeros((1, 2)))["loss_stderr"]
    assert found[0, 0] == pytest.approx(expected, rel=1e-5)
    single = {name: Split(s.inputs[:1], s.targets[:1]) for name, s in one.objective.splits.items()}
    risk = dataclasses.replace(one.objective, splits=single)
    alone = dataclasses.replace(one, objective=risk)
    assert np.isnan(measured(alone, ("loss_stderr",))["loss_stderr"]).all()
    assert np.isnan(reference(alone)["loss_stderr"]).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_has_no_finite_derivatives(bad):
    def loss(outputs, targets):
        return torch.where(outputs[:, 0].detach() == outputs[0, 0], bad, outputs.square().sum(1))

    for name in ("tanh", "linear"):
        one = landscape(name, loss)
        for found in (measured(one, block=4), reference(one)):
            assert not any(np.isfinite(found[n]).any() for n in FLOATS if n != "accuracy")


def test_a_curvature_that_is_not_finite_is_stored_as_such():
    def root(outputs, targets):
        return (outputs - outputs.detach()).square().sum(dim=1).sqrt()

    found = measured(landscape("tanh", root), ("loss", "section_hessian", *EIGENVALUES))
    assert (found.pop("loss") == 0).all()
    assert all(np.isnan(part).all() for part in found.values())


def test_a_loss_without_curvature_has_zero_eigenvalues():
    found = measured(landscape("linear", lambda outputs, targets: outputs.sum(dim=1)))
    assert np.abs(found["gradient_norm"]).min() > 0.1
    assert not any(found[name].any() for name in ("section_hessian", *EIGENVALUES))


def test_the_names_in_a_spec_are_those_of_the_layout():
    assert (*MEASURED, *OF_DESCENT, END_PARAMETERS) == tuple(METRICS)
    assert METRICS["loss"].cost(3) == 1
    assert METRICS["accuracy"].cost(3) == 0
    assert METRICS["section_hessian"].cost(3) > METRICS["section_hessian"].cost(2) > 1
