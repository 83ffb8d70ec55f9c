"""The task `teacher-student`: its splits against samples, its sections, starts and messages."""

import math

import numpy as np
import pytest
import torch

from pipeline.shipping import pack, part_hashes, unpack
from schemas.errors import SpecError
from schemas.starts import start_generator
from tasks import TASKS, BuildContext
from tests.test_tasks.test_students_population import differentiated, integrated

ALL = ("population", "sample", "printed")
TORUS = {"students": 2, "teachers": 2, "section": "angles"}


def build(z=None, seed=0, splits=ALL, **parameters):
    task = TASKS["teacher-student"]
    context = BuildContext(z=z, seed=seed, splits=splits)
    return task.builder()(task.parse(parameters), context)


def drawn(landscape, count, scale=1.0):
    starts = [landscape.draw(start_generator(1, number), scale) for number in range(count)]
    return torch.from_numpy(np.stack(starts))


def test_the_sample_is_the_mean_over_its_inputs():
    landscape = build(students=4, teachers=2, dimensions=3, samples=700, seed=3)
    function = landscape.objective.functions["sample"]
    x, theta = function.inputs.numpy(), drawn(landscape, 7)
    assert x.shape == (700, 3)
    expected = []
    for row in theta.numpy().reshape(7, 4, 3):
        away = np.maximum(x @ row.T, 0).sum(axis=1) - np.maximum(x[:, :2], 0).sum(axis=1)
        expected.append(np.square(away).mean() / 2)
    np.testing.assert_allclose(function(theta), expected, rtol=1e-12)
    squares = landscape.objective.residuals["sample"](theta).square().sum(dim=1)
    np.testing.assert_allclose(squares, expected, rtol=1e-12)
    other = build(students=4, teachers=2, dimensions=3, samples=700, seed=4)
    assert (other.objective.functions["sample"].inputs != function.inputs).all()


def test_samples_agree_with_the_expectation_and_not_with_what_is_printed():
    landscape = build(2, samples=100_000, **TORUS)
    theta = torch.cat([drawn(landscape, 12), torch.tensor([[0.1, 1.5]], dtype=torch.float64)])
    terms = landscape.objective.residuals["sample"](theta).square() * 100_000
    mean, error = terms.mean(dim=1), terms.std(dim=1) / math.sqrt(100_000)
    functions = landscape.objective.functions
    assert ((functions["population"](theta) - mean).abs() < 3 * error).all()
    assert ((functions["printed"](theta) - mean).abs() > 10 * error).all()


def test_the_printed_form_has_its_sign():
    landscape = build(students=3, teachers=2, dimensions=4)
    theta = drawn(landscape, 5)
    theta[1, 4:8] = 2 * theta[1, :4]
    teacher = torch.eye(2, 4, dtype=torch.float64)

    def pair(w, u):
        norms = w.norm() * u.norm()
        angle = torch.arccos((w @ u / norms).clamp(-1, 1))
        return norms * (torch.sin(angle) - (math.pi - angle) * torch.cos(angle)) / (2 * math.pi)

    for point, found in zip(theta, landscape.objective.functions["printed"](theta), strict=True):
        rows = point.reshape(3, 4)
        among = sum(pair(w, u) for w in rows for u in rows) / 2
        learned = sum(pair(w, v) for w in rows for v in teacher)
        # ½ E (relu(x₁) + relu(x₂))² = ½ + 1/2π.
        expected = among - learned + 0.5 + 1 / (2 * math.pi)
        assert found.item() == pytest.approx(expected.item(), abs=1e-7)
    at_teachers = torch.tensor([[0.0, math.pi / 2]], dtype=torch.float64)
    printed = build(2, **TORUS).objective.functions["printed"](at_teachers)
    assert printed.item() == pytest.approx(1.0, abs=1e-15)


CRITICAL = {
    (0, 1 / 2): (0.0, [0.341, 0.659]),
    (1 / 4, 1 / 4): (0.148337, [-0.695, 0.305]),
    (1 / 4, 5 / 4): (0.355443, [-0.402, 0.305]),
    (5 / 4, 5 / 4): (1.562550, [-1.402, -0.402]),
}
"""In units of π: the loss and the eigenvalues of its Hessian in the angles."""


@pytest.mark.parametrize("place", CRITICAL)
def test_the_critical_points_of_two_unit_students(place):
    """Wu, Luo & Lee 2018, in the plane of the teachers: one minimum, and no spurious one."""
    function = build(2, **TORUS).objective.functions["population"]
    theta = math.pi * torch.tensor([place], dtype=torch.float64)
    loss, spectrum = CRITICAL[place]
    slopes, hessians = differentiated(function, theta)
    assert slopes.abs().max() < 1e-15
    assert function(theta).item() == pytest.approx(loss, abs=5e-7)
    np.testing.assert_allclose(torch.linalg.eigvalsh(hessians)[0], spectrum, atol=5e-4)


def test_angles_are_of_unit_students_in_the_first_two_inputs():
    teacher = [[1.0, 0.5, 0.2, -1.0], [-0.3, 2.0, 0.0, 0.0]]
    flat = [row[:2] for row in teacher]
    angles = drawn(build(3, students=3, teachers=2, teacher=flat, section="angles"), 4)
    landscape = build(3, students=3, teachers=2, teacher=teacher, section="angles")
    whole = build(None, students=3, teachers=2, teacher=teacher)
    rows = torch.stack([angles.cos(), angles.sin(), *(2 * [torch.zeros_like(angles)])], dim=2)
    for split, function in landscape.objective.functions.items():
        expected = whole.objective.functions[split](rows.flatten(1))
        torch.testing.assert_close(function(angles), expected, rtol=1e-13, atol=0)
    inside = build(3, students=3, teachers=2, teacher=flat, section="angles")
    found = inside.objective.functions["population"](angles)
    expected = [integrated(row.numpy()[:, :2], np.array(flat))[0] for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert not landscape.objective.slopes


def test_derivatives_come_with_the_population_loss():
    landscape = build(students=3, teachers=3)
    theta = drawn(landscape, 3)
    losses, slopes = landscape.objective.slopes["population"](theta)
    expected, hessians = differentiated(landscape.objective.functions["population"], theta)
    torch.testing.assert_close(slopes, expected)
    torch.testing.assert_close(landscape.objective.hessians["population"](theta), hessians)
    torch.testing.assert_close(losses, landscape.objective.functions["population"](theta))


def test_starts_are_those_of_the_paper():
    weights = build(students=20, teachers=5, dimensions=30)
    starts = drawn(weights, 20, scale=2.0)
    assert starts.shape == (20, 600)
    assert starts.std().item() == pytest.approx(2 / math.sqrt(30), rel=0.03)
    torch.testing.assert_close(drawn(weights, 3, scale=6.0), 3 * starts[:3])
    assert weights.section.whole
    assert weights.section.z == 600
    angles = build(None, students=7, teachers=2, section="angles")
    turns = drawn(angles, 300)
    assert angles.section.z == turns.shape[1] == 7
    assert turns.abs().max() <= math.pi
    assert turns.std().item() == pytest.approx(math.pi / math.sqrt(3), rel=0.05)


def test_coordinates_are_the_parameters():
    landscape = build(6, students=2, teachers=3, dimensions=3)
    points = torch.randn(4, 6, dtype=torch.float64)
    assert torch.equal(landscape.section.parameters(points)["theta"], points)


KNOWN = [
    ({"students": 2, "teachers": 2}, True),
    ({"students": 3, "teachers": 2}, True),
    ({"students": 1, "teachers": 2}, False),
    (TORUS, True),
    # The mean output of unit students is as much as they are.
    ({**TORUS, "students": 3}, False),
    ({**TORUS, "teacher": [[1, 0], [0, 2]]}, False),
    ({**TORUS, "teacher": [[1, 0, 0], [0, 0, 1]]}, False),
    ({**TORUS, "teacher": [[0.6, 0.8], [-1, 0]]}, True),
    ({**TORUS, "dimensions": 4}, True),
]


@pytest.mark.parametrize(("parameters", "known"), KNOWN)
def test_the_global_minimum_is_known_where_it_is_reached(parameters, known):
    assert build(**parameters).reference == ({"global_minimum": 0.0} if known else {})
    assert build(**parameters, splits=("printed", "population")).reference == {}


def test_facts_say_what_there_is_to_learn():
    rows = [[1.0, 2.0, 0.5], [0.0, 1.0, 0.0]]
    assert build(students=1, teachers=2, teacher=rows, samples=50).facts == {
        "teacher": rows,
        "students": 1,
        "teachers": 2,
        "dimensions": 3,
        "samples": 50,
        "section": "weights",
    }
    assert build(students=1, teachers=2, dimensions=3).facts["teacher"] == np.eye(2, 3).tolist()


@pytest.mark.parametrize("split", ALL)
@pytest.mark.parametrize("parameters", [{"students": 7, "teachers": 6, "dimensions": 7}, TORUS])
def test_values_do_not_depend_on_the_batch(parameters, split):
    landscape = build(samples=300, **parameters)
    function, theta = landscape.objective.functions[split], drawn(landscape, 301)
    # Parallel, opposite and zero neurons among them.
    theta[5], theta[6, ::2], theta[7] = 1.0, -theta[6, ::2], 0.0
    for points in (theta, theta.float()):
        whole = function(points)
        assert whole.dtype == points.dtype
        assert torch.equal(function(points[:1]), whole[:1])
        for low in range(1, 9):
            assert torch.equal(function(points[low:]), whole[low:])


@pytest.mark.parametrize("parameters", [{"students": 3, "teachers": 2}, TORUS])
def test_it_travels_and_single_precision_is_near(parameters):
    landscape = build(**parameters)
    again, theta = unpack(pack(landscape)), drawn(landscape, 5)
    assert part_hashes(again) == part_hashes(landscape)
    assert torch.equal(drawn(again, 5), theta)
    for split, function in landscape.objective.functions.items():
        assert torch.equal(again.objective.functions[split](theta), function(theta))
        single = function(theta.float())
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), function(theta), rtol=1e-4, atol=1e-5)


BAD = [
    (None, {"students": 1.5}, "students"),
    (None, {"students": 0}, "students"),
    (None, {"teachers": 3, "dimensions": 2}, "teachers is 3 and dimensions 2: there are no more"),
    (None, {"teacher": [[1, 0]]}, "teachers is 2 and teacher has 1 rows"),
    (None, {"teacher": [[1, 0], [1]]}, "row 2 of teacher has 1 inputs; expected 2, as the first"),
    (None, {"teacher": [[1, 0], [0, 1]], "dimensions": 3}, "expected 3, as dimensions says"),
    (None, {"teacher": [[1, 0], [0, 0]]}, "row 2 of teacher is zero"),
    (None, {"samples": 0}, "samples"),
    (5, {}, "axes: got 5; section: weights needs 4"),
    (3, {"section": "angles"}, "axes: got 3; section: angles needs 2"),
    (None, {"section": "angles", "teachers": 1}, "angles needs 2 inputs or more, got 1"),
]


@pytest.mark.parametrize(("z", "parameters", "message"), BAD)
def test_bad_input_is_refused_in_one_line(z, parameters, message):
    with pytest.raises(SpecError, match=message) as caught:
        build(z, **{"students": 2, "teachers": 2, **parameters})
    assert "\n" not in str(caught.value)
