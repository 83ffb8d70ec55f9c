"""The task `piecewise-net`: its loss, sections and messages."""

import json

import numpy as np
import pytest
import torch

from schemas.errors import SpecError
from tasks import TASKS, BuildContext
from tasks.section import unflattened

DEEP = {"widths": [4, 3, 3], "outputs": 2, "activation": {"slopes": [0.2, 1.0]}}
SMOOTH = {"data": "three-points", "samples": 3, "widths": [2]}


def build(z=None, seed=0, splits=("train",), **parameters):
    task = TASKS["piecewise-net"]
    return task.builder()(task.parse(parameters), BuildContext(z=z, seed=seed, splits=splits))


def risks(landscape, points):
    """The risk of the papers at points of the section."""
    risk, split = landscape.objective, landscape.objective.splits["train"]
    rows = landscape.section.parameters(torch.tensor(points, dtype=torch.float64))
    found = []
    for number in range(len(points)):
        named = {**landscape.section.origin, **{name: row[number] for name, row in rows.items()}}
        outputs = torch.func.functional_call(risk.module, named, (split.inputs,))
        found.append(float(risk.loss(outputs, split.targets).mean().detach()))
    return np.array(found) * landscape.facts["risk_per_loss"]


def test_the_loss_times_a_fact_is_half_the_sum_of_squares():
    landscape = build(z=1, at="start", seed=3, **DEEP)
    named = {name: tensor.numpy() for name, tensor in landscape.section.origin.items()}
    values = np.array(landscape.facts["inputs"])
    for number in (1, 2, 3, 4):
        values = values @ named[f"layer{number}.weight"].T + named[f"layer{number}.bias"]
        values = np.maximum(values, 0.2 * values) if number < 4 else values
    away = values - np.array(landscape.facts["targets"])
    assert risks(landscape, [[0.0]])[0] == pytest.approx(np.square(away).sum() / 2, rel=1e-13)
    json.dumps(landscape.facts, allow_nan=False)


def test_the_way_across_goes_from_the_minimum_to_the_lower_point_and_to_another_minimum():
    landscape = build(z=2, section="across", **DEEP)
    facts = landscape.facts
    least, lower, other = risks(landscape, [[0, 0], [1, 0], [0, 1]])
    assert least == pytest.approx(facts["fit_risk"], rel=1e-12)
    assert lower == pytest.approx(facts["split"]["risk"], rel=1e-12)
    assert other == pytest.approx(facts["fit_risk"], rel=1e-12)
    assert facts["proof"]["proved"]
    assert facts["proof"]["lower"] < facts["proof"]["risk_lower"]


def test_the_family_is_level_until_a_unit_leaves_its_piece():
    at = np.array([[-2.0], [0.0], [0.3], [2.0]])
    leaky = build(z=1, section="family", **DEEP)
    np.testing.assert_allclose(risks(leaky, at), leaky.facts["fit_risk"], rtol=1e-11)
    short = build(z=1, section="family", widths=[3], activation="hard-tanh")
    most = np.log10(short.facts["greatest_scale"])
    inside, outside = risks(short, [[most - 1e-3], [most + 0.1]])
    assert inside == pytest.approx(short.facts["fit_risk"], rel=1e-12)
    assert outside > inside * (1 + 1e-6)
    one, at_one = build(z=1, at="minimum", **DEEP).section.origin, leaky.section
    rows = at_one.parameters(torch.zeros(1, 1, dtype=torch.float64))
    for name, tensor in one.items():
        found = rows[name][0] if name in rows else at_one.origin[name]
        np.testing.assert_allclose(found, tensor, atol=1e-14)


def test_the_derivatives_of_the_family_are_those_of_its_coordinates():
    chart = build(z=1, section="family", **DEEP).section.chart
    at, step = np.array([[-1.0], [0.4]]), 1e-5
    slope = (chart.coordinates(at + step) - chart.coordinates(at - step)) / (2 * step)
    bend = (chart.jacobian(at + step) - chart.jacobian(at - step)) / (2 * step)
    np.testing.assert_allclose(chart.jacobian(at)[:, :, 0], slope, rtol=1e-8)
    np.testing.assert_allclose(chart.hessian(at)[..., 0], bend, rtol=1e-8)


@pytest.mark.parametrize(
    "parameters",
    [
        {"activation": "relu"},
        {"activation": "hard-tanh", "widths": [4, 3]},
        *({**SMOOTH, "activation": name} for name in ("sigmoid", "tanh", "arctan")),
    ],
    ids=str,
)
def test_probes_find_nothing_lower_but_where_the_minimum_is_broken(parameters):
    steps = np.linspace(-0.7, 0.7, 9)
    points = np.array([[x, y] for x in steps for y in steps * 0.1])
    whole = build(z=2, section="probe", **parameters)
    assert risks(whole, points).min() >= whole.facts["fit_risk"] * (1 - 1e-13)
    assert whole.facts["proof"]["proved"]
    broken = build(z=2, section="probe", at="broken", **parameters)
    assert risks(broken, points).min() < whole.facts["fit_risk"] * (1 - 1e-6)
    assert not broken.facts["proof"]["local_minimum"]
    assert broken.facts["radius"] == whole.facts["radius"]
    lengths = [sum(float(t.square().sum()) for t in d.values()) for d in whole.section.directions]
    np.testing.assert_allclose(np.sqrt(lengths), whole.facts["radius"], rtol=1e-12)


def test_random_directions_are_orthonormal_and_as_long_as_the_radius():
    landscape = build(z=3, **DEEP)
    rows = [torch.cat([t.reshape(-1) for t in d.values()]) for d in landscape.section.directions]
    gram = torch.stack(rows) @ torch.stack(rows).T
    np.testing.assert_allclose(gram, landscape.facts["radius"] ** 2 * np.eye(3), atol=1e-12)


def test_starts_are_normal_over_the_root_of_the_inputs():
    landscape = build(dimensions=9, widths=[60, 40])
    theta = landscape.draw(np.random.default_rng(0), 2.0)
    rows = unflattened(torch.from_numpy(theta)[None], landscape.section.origin)
    for name, inputs in (("layer1", 9), ("layer2", 60), ("layer3", 40)):
        numbers = torch.cat([rows[f"{name}.{part}"].reshape(-1) for part in ("weight", "bias")])
        error = 4 / np.sqrt(2 * numbers.numel())
        assert float(numbers.std()) * np.sqrt(inputs) / 2 == pytest.approx(1, abs=error)


def test_a_seed_decides_everything():
    one, again, other = (build(z=2, seed=seed, **DEEP) for seed in (1, 1, 2))
    assert one.facts == again.facts
    assert one.facts["targets"] != other.facts["targets"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"activation": "rely"}, "did you mean 'relu'"),
        ({"activation": {"slopes": [1]}}, "got 1 slopes for 1 knots; expected 2"),
        ({"activation": {"slope": [1, 2]}}, "activation.slope: unknown field"),
        ({"activation": "tanh"}, "data: three-points is of sigmoid"),
        ({"data": "xor"}, "samples: got 8; data: xor has 4; give samples: 4"),
        ({"at": "lower", "section": "family"}, "use at: minimum"),
        ({"widths": [1], "outputs": 2}, "got 1 units for 2 outputs"),
        ({"widths": [2], "outputs": 2, "section": "probe"}, "give one more"),
        ({**SMOOTH, "activation": "tanh", "section": "family"}, "data: three-points has no α"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_parameters_that_do_not_fit_are_refused(parameters, words):
    with pytest.raises(SpecError) as caught:
        TASKS["piecewise-net"].parse(parameters)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"z": 3, "section": "across"}, "section: across needs 2"),
        ({"z": 2, "section": "family"}, "section: family needs 1"),
        ({"z": 1, "section": "probe"}, "section: probe needs 2"),
        ({"z": 99}, "got 99 of 13 parameters"),
        ({"z": 1, "section": "across", "data": "fittable"}, "least squares fits the targets"),
        ({"z": 1, "at": "lower", "activation": "linear"}, "the slopes are 1, all the same"),
        ({"z": 1, "splits": ("test",)}, "splits: got 'test'; expected train"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_sections_that_there_are_not_are_refused(parameters, words):
    with pytest.raises(SpecError) as caught:
        build(**parameters)
    assert words in str(caught.value)
