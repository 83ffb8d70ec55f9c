"""Derivatives of closed forms."""

import dataclasses

import numpy as np
import pytest
import torch

from pipeline.engine.closed_form import CLOSED_FORM_METRICS, ClosedFormEvaluator
from pipeline.engine.contract import EngineChoice
from tasks.landscape import Landscape
from tasks.objective import ClosedForm
from tasks.section import Section, directions_as_section
from tests.derivatives import POINTS, SPLITS, TOLERANCE, assert_agrees, difference, reference
from tests.landscapes import oracle


def closed(landscape, metrics=CLOSED_FORM_METRICS, dtype="float64", points=POINTS):
    choice = EngineChoice(
        name="closed-form", device="cpu", dtype=dtype, threads=1, sample_block=None
    )
    evaluator = ClosedFormEvaluator(landscape.objective, landscape.section, SPLITS, choice, metrics)
    return evaluator.evaluate(points)


def rosenbrock(theta):
    steps = 100 * (theta[:, 1:] - theta[:, :-1].square()).square() + (1 - theta[:, :-1]).square()
    return steps.sum(dim=1)


def skew_section():
    directions = ({"theta": [1.0, 2.0, 0.0, -1.0]}, {"theta": [0.5, 0.0, 0.3, 0.2]})
    return directions_as_section(
        {"theta": torch.tensor([0.1, 0.2, -0.3, 0.4])},
        [{name: torch.tensor(values) for name, values in each.items()} for each in directions],
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_closed_form_agrees_with_the_reference(dtype):
    functions = {"train": rosenbrock, "test": lambda theta: theta.sum(dim=1)}
    one = Landscape(ClosedForm(functions), skew_section())
    found = closed(one, dtype=dtype)
    assert_agrees(found, reference(one, CLOSED_FORM_METRICS), TOLERANCE[dtype])
    turned = Section(one.section.origin, one.section.directions[::-1])
    wrong = difference(
        closed(dataclasses.replace(one, section=turned)), reference(one, CLOSED_FORM_METRICS)
    )
    assert min(wrong[name] for name in ("loss", "section_gradient", "section_hessian")) > 1e-3


def test_derivatives_of_a_closed_form_that_is_not_finite():
    points = np.array([[0.0, 0.5], [0.9, 0.5], [-0.9, 0.5]])
    found = closed(oracle(2), points=points)
    # (α₁ − 1/4)² + 2 (α₂ − 1/4)²
    np.testing.assert_allclose(found["section_gradient"][0, :, 0], [-0.5, 1.0])
    np.testing.assert_allclose(found["section_hessian"][0, ..., 0], np.diag([2.0, 4.0]))
    assert found["hessian_eigenvalue_max"][0, 0] == 4.0
    for name in CLOSED_FORM_METRICS:
        assert not np.isfinite(found[name][..., 1:]).any()
        assert np.isfinite(found[name][..., 0]).all()
