"""Statistics of one student and of the torus of two: trees where each says yes, and where no."""

import json
import math

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import Outcome
from schemas.layout import DescentOutcome
from tasks import TASKS, BuildContext
from tasks.students import torus
from tasks.students.study import teacher_student_study
from tests.test_tasks.test_students_population import differentiated

HOLDS, REFUTED, INCONCLUSIVE = Outcome.HOLDS, Outcome.REFUTED, Outcome.INCONCLUSIVE
STUDY = teacher_student_study(False)
CLAIMS = {claim.name: claim for claim in STUDY.claims}
PAIR, WIDE = [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [-0.5, math.sqrt(0.75)]]

PLACES = [(0, 0.5), (0.5, 0), (0.25, 0.25), (0.25, 1.25), (1.25, 0.25), (1.25, 1.25)]
"""The critical points for orthogonal teachers, in units of π."""


def critical_tree(places=PLACES, teacher=PAIR, given_up=0, **changed):
    """Descents on the torus that have ended at these angles (K, 2), the first ones given up."""
    angles = np.array(places) * math.pi
    task = TASKS["teacher-student"]
    rows = {"teacher": teacher, "teachers": len(teacher)}
    parameters = task.parse({"students": 2, "section": "angles", **rows})
    landscape = task.builder()(parameters, BuildContext(z=2, seed=0, splits=("population",)))
    function = landscape.objective.functions["population"]
    theta = torch.from_numpy(angles)
    spectrum = torch.linalg.eigvalsh(differentiated(function, theta)[1]).numpy()
    each = {
        "end_loss": function(theta).numpy(),
        "end_hessian_eigenvalue_min": spectrum[:, 0],
        "end_hessian_eigenvalue_max": spectrum[:, 1],
        "outcome": np.where(np.arange(len(angles)) < given_up, 0, int(DescentOutcome.SADDLE)),
        "end_parameters": angles,
    }
    # The grid is two rows of points.
    dims, shape = ("theta_1", "theta_2"), (2, len(angles) // 2)
    ends = {name: values.reshape(*shape, *values.shape[1:]) for name, values in each.items()}
    ends |= {name: np.asarray(values, float).reshape(shape) for name, values in changed.items()}
    data = {name: (("split", *dims), ends[name][None]) for name in ends if name != "end_parameters"}
    moved = np.moveaxis(ends["end_parameters"], 2, 0)[None]
    data["end_parameters"] = (("split", "number", *dims), moved)
    root = xr.Dataset(data, {"split": ["population"]})
    facts = json.dumps([dict(landscape.facts)])
    return xr.DataTree(root.assign_attrs(facts=facts))


def judged(name, tree):
    """The verdict of the study's claim on a tree in the place of any of its scans."""
    return CLAIMS[name].judge(dict.fromkeys(STUDY.scans, tree))


def test_the_critical_points_are_those_of_the_closed_form():
    good = critical_tree()
    for name in ("torus-places", "torus-values", "torus-none-missed"):
        found = judged(name, good)
        assert (found.verdict, found.hypothesis_met) == (HOLDS, True), name
    kinds = [(point.kind, round(point.loss, 6)) for point in torus.critical_points(good)]
    saddles = [("saddle", 0.148337), *[("saddle", 0.355443)] * 2]
    assert kinds == [*[("minimum", 0.0)] * 2, *saddles, ("maximum", 1.56255)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=12, max_size=12))
def test_ends_are_the_same_modulo_a_turn(turns):
    places = np.array([*PLACES, *PLACES]) + 2 * np.array(turns) + np.repeat([[1e-9], [-1e-9]], 6, 0)
    tree = critical_tree(places)
    found = torus.critical_points(tree)
    assert len(found) == 6
    assert all(0 <= angle < 2 for point in found for angle in point.angles)
    assert judged("torus-places", tree).value < 2e-9


@pytest.mark.parametrize("angle", [-1e-17, 2.0, 2 - 1e-9, 0.0, 4.0 - 1e-15])
def test_what_rounds_up_to_a_turn_is_none(angle):
    tree = critical_tree([(angle, 0.5), (0.5, angle)])
    angles = [point.angles for point in torus.critical_points(tree)]
    assert sorted(angles) == [(0.0, 0.5), (0.5, 0.0)]


def test_points_that_are_missed_or_too_many():
    eight = [*PLACES, (0.0, 0.5), (0.7, 0.1)]
    for places in (PLACES[:4], [*PLACES[:5], (0.25, 1.25)], eight):
        assert judged("torus-places", critical_tree(places)).value == math.inf
    # As many, one of them elsewhere and another twice but for 1e-5.
    twice = [*PLACES[:5], (0.25, 1.25 + 1e-5)]
    assert judged("torus-places", critical_tree(twice)).value == math.inf
    moved = [(0, 0.5 + 2e-8), *PLACES[1:]]
    assert judged("torus-places", critical_tree(moved)).verdict is REFUTED
    assert judged("torus-places", critical_tree(moved)).value == pytest.approx(2e-8)
    # One saddle is missing; one end is none.
    for tree in (critical_tree([*PLACES[:4], PLACES[5], PLACES[0]]), critical_tree(given_up=1)):
        assert judged("torus-none-missed", tree).value == 1
        assert judged("torus-places", tree).verdict is REFUTED
    assert judged("torus-values", critical_tree(given_up=6)).value == math.inf
    assert judged("torus-values", critical_tree(PLACES[:4])).value == math.inf


def test_values_are_those_of_the_closed_form():
    names = ("end_loss", "end_hessian_eigenvalue_min", "end_hessian_eigenvalue_max")
    good = critical_tree()
    for name, unit in zip(names, (1e-6, 1e-3, 1e-3), strict=True):
        for point in range(6):
            values = np.asarray(good[name]).ravel().copy()
            values[point] += 1.1 * unit
            wrong = judged("torus-values", critical_tree(**{name: values}))
            assert wrong.verdict is REFUTED
            assert 0.6 <= wrong.value <= 1.6
    shifted = np.array(PLACES) + 0.4e-3
    assert judged("torus-values", critical_tree(shifted)).value < math.inf
    assert judged("torus-values", critical_tree(shifted + 0.3e-3)).value == math.inf


def test_the_hypotheses_of_the_torus():
    pair = torus.orthogonal_pair("s").met
    assert pair({"s": critical_tree()})
    assert pair({"s": critical_tree(teacher=[[0.6, 0.8], [-0.8, 0.6]])})
    scaled, three = [[2.0, 0.0], [0.0, 1.0]], [*PAIR, [-1.0, 0.0]]
    for teacher in (WIDE, scaled, three, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]):
        assert not pair({"s": critical_tree(teacher=teacher)})
    regular = torus.nondegenerate("s").met
    assert regular({"s": critical_tree()})
    for name in ("end_hessian_eigenvalue_min", "end_hessian_eigenvalue_max"):
        assert not regular({"s": critical_tree(**{name: [1, 1, 1, 1, 1e-7, 1]})})
    assert not regular({"s": critical_tree(given_up=6)})


def test_teachers_that_are_not_orthogonal_have_other_critical_points():
    third = 1 / 3
    places = [(0, 2 * third), (2 * third, 0), (third, third), (third, 4 * third)]
    wide = critical_tree([*places, (4 * third, third), (4 * third, 4 * third)], teacher=WIDE)
    for name in ("places", "values"):
        assert judged(f"torus-wide-{name}", wide).as_expected
        assert not judged(f"torus-wide-{name}", critical_tree()).as_expected
    assert judged("torus-wide-places", wide).value == pytest.approx(1 / 6)


def with_minima(tree, losses, grid=0.3, **changed):
    """The tree with a table of minima of these losses, on a grid whose least loss is given."""
    rows = len(losses)
    columns = {
        "of_split": ["population"] * rows,
        "at_edge": [False] * rows,
        "kind": ["minimum"] * rows,
        "same_as": np.arange(rows),
        "loss": losses,
        "refined_loss": losses,
        **changed,
    }
    values = grid + np.arange(12.0).reshape(1, 3, 4)
    root = tree.to_dataset().drop_dims(["theta_1", "theta_2"])
    root["loss"] = (("split", "theta_1", "theta_2"), values)
    table = xr.Dataset({name: ("minimum", values) for name, values in columns.items()})
    return xr.DataTree.from_dict({"/": root, "/minima": table})


def test_two_minima_and_none_spurious():
    pair, three = critical_tree(), critical_tree(teacher=[*PAIR, [-1.0, 0.0]])
    count, worst = "torus-two-minima", "torus-no-spurious-minimum"
    good = with_minima(pair, [1e-17, 0.0])
    assert judged(count, good).verdict is judged(worst, good).verdict is HOLDS
    # All minima may have one loss that is not zero; and none may be as low as a point of the grid.
    assert judged(worst, with_minima(pair, [0.25, 0.25])).verdict is HOLDS
    low = judged(worst, with_minima(pair, [0.25, 0.25], grid=0.2))
    assert (low.verdict, low.value) == (REFUTED, pytest.approx(0.05))
    for losses, away in (([0.0], 1), ([0.0] * 3, 1), ([], 2)):
        assert judged(count, with_minima(pair, losses)).value == away
    third = with_minima(pair, [0.0, 0.0, 0.1])
    assert judged(count, third).verdict is judged(worst, third).verdict is REFUTED
    outside = with_minima(pair, [0.0, 0.0, 0.1], at_edge=[False, False, True])
    assert judged(count, outside).verdict is judged(worst, outside).verdict is HOLDS
    assert judged(worst, with_minima(pair, [])).verdict is INCONCLUSIVE
    assert judged(count, pair).verdict is judged(worst, pair).verdict is INCONCLUSIVE
    several = with_minima(three, [0.1, 0.1, 0.11, 0.11])
    images = with_minima(three, [0.1] * 6)
    assert judged("torus-three-two-minima", several).as_expected
    assert judged("torus-three-no-spurious-minimum", several).as_expected
    assert not judged("torus-three-no-spurious-minimum", images).as_expected
    assert judged(worst, several).verdict is INCONCLUSIVE


def test_three_teachers_have_minima_of_several_losses():
    task, spec = TASKS["teacher-student"], STUDY.scans["torus-three"]
    context = BuildContext(z=2, seed=0, splits=spec.splits)
    landscape = task.builder()(task.parse(spec.parameters), context)
    function = landscape.objective.functions["population"]
    angles = math.pi * torch.tensor([(0.75, 1.7), (0.98, 1.93), (1.34, 0.34)], dtype=torch.float64)
    for _ in range(6):
        slopes, hessians = differentiated(function, angles)
        angles = angles - torch.linalg.solve(hessians, slopes)
    slopes, hessians = differentiated(function, angles)
    assert slopes.abs().max() < 1e-12
    assert torch.linalg.eigvalsh(hessians).min() > 0.01
    losses = function(angles)
    assert losses.max() - losses.min() > 5e-3


def sampled(replicates, num=5):
    """The study's samples of the torus, evaluated here."""
    spec, losses = STUDY.scans["torus-samples"], []
    task = TASKS[spec.task]
    axis = np.linspace(-math.pi, math.pi, num)
    points = torch.from_numpy(np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2))
    for seed in range(replicates):
        context = BuildContext(z=2, seed=seed, splits=spec.splits)
        functions = task.builder()(task.parse(spec.parameters), context).objective.functions
        losses.append([functions[each](points).reshape(num, num).numpy() for each in spec.splits])
    dims = ("replicate", "split", "theta_1", "theta_2")
    coordinates = {"split": list(spec.splits), "theta_1": axis, "theta_2": axis}
    return xr.DataTree(xr.Dataset({"loss": (dims, np.array(losses))}, coordinates))


def test_the_closed_form_is_the_mean_and_the_printed_one_is_not():
    tree = sampled(8)
    right, printed = judged("closed-form-agrees", tree), judged("printed-sign-agrees", tree)
    assert (right.verdict, right.hypothesis_met) == (HOLDS, True)
    assert printed.as_expected
    for other in ("population", "printed"):
        away = tree["loss"].sel(split="sample") - tree["loss"].sel(split=other)
        mean, error = away.mean("replicate"), away.std("replicate", ddof=1) / math.sqrt(8)
        expected = float(np.sqrt((mean**2).sum() / (error**2).sum()))
        found = torus.standard_errors("s", other)({"s": tree})
        assert found == pytest.approx(expected, rel=1e-12)
    # A tenth of a tenth off is noticed, in whatever order the dimensions are.
    shifted = xr.DataTree(tree.to_dataset().copy(deep=True))
    shifted["loss"].loc[{"split": "population"}] += 0.1
    assert judged("closed-form-agrees", shifted).verdict is INCONCLUSIVE
    assert judged("closed-form-agrees", shifted).value > 3
    turned = xr.DataTree(tree.to_dataset().transpose("theta_2", "split", "theta_1", "replicate"))
    assert judged("closed-form-agrees", turned).value == pytest.approx(right.value)


def test_students_that_are_the_teachers_must_lose_nothing_on_the_grid():
    met, tree = torus.zero_at_teacher("s", "population").met, sampled(2)
    assert met({"s": tree})
    assert not torus.zero_at_teacher("s", "printed").met({"s": tree})
    without = sampled(1, num=6)
    without["loss"].values[:] = 0.0
    assert not met({"s": without})
    values = tree["loss"].values
    for wrong in (1e-9, -1e-9, math.nan):
        values[1, 0, 2, 3], kept = wrong, values[1, 0, 2, 3]
        assert not met({"s": tree})
        # The other order of the students is not what is looked at.
        values[1, 0, 2, 3], values[1, 0, 3, 2] = kept, wrong
        assert met({"s": tree})


def single_tree(ends, students=1, eigenvalues=(0.5, 0.5), teacher=((0.0, 2.0, 0.0),)):
    ends = np.array(ends, dtype=np.float64)
    low, high = (np.full((1, len(ends)), value) for value in eigenvalues)
    low[0, :-1] = high[0, :-1] = 0.5
    data = xr.Dataset(
        {
            "end_parameters": (("split", "number", "start"), ends.T[None]),
            "end_hessian_eigenvalue_min": (("split", "start"), low),
            "end_hessian_eigenvalue_max": (("split", "start"), high),
        },
        {"split": ["population"]},
    )
    facts = {"teacher": teacher, "students": students, "teachers": len(teacher)}
    return xr.DataTree(data.assign_attrs(facts=json.dumps([facts])))


def test_one_student_must_end_at_its_teacher():
    at, name = [0.0, 2.0, 0.0], "single-reaches-teacher"
    assert judged(name, single_tree([at, [0.0, 2.0, 1.9e-6], at])).verdict is HOLDS
    for end in ([0.0, 0.0, 0.0], [0.0, -2.0, 0.0], [0.0, 2.0, 2.1e-6], [math.nan, 2.0, 0.0]):
        found = judged(name, single_tree([at, at, at, end]))
        assert (found.verdict, found.value) == (REFUTED, 0.25)
    met, two = torus.one_student("s").met, ((0.0, 2.0, 0.0), (1.0, 0.0, 0.0))
    assert met({"s": single_tree([at])})
    assert not met({"s": single_tree([at], teacher=two)})
    control = "two-students-reach-teacher"
    halves, one = [0.0, 1.5, 0.0, 0.0, 0.5, 0.0], [0.0, 0.0, 0.0, *at]
    assert judged(control, single_tree([halves, one], students=2)).value == 0.5
    assert judged(control, single_tree([halves, one], students=2)).as_expected
    # It could hold, if one of them went to the teacher.
    assert not judged(control, single_tree([one, one], students=2)).as_expected


def test_the_hessian_of_one_student_is_half():
    at, name = [0.0, 2.0, 0.0], "single-hessian"
    assert judged(name, single_tree([at] * 3)).verdict is HOLDS
    for pair in ((0.5 - 2e-6, 0.5), (0.5, 0.5 + 2e-6)):
        assert judged(name, single_tree([at] * 3, eigenvalues=pair)).value == pytest.approx(2e-6)
    flat = single_tree([at * 2] * 3, students=2, eigenvalues=(0.0, 1.0))
    assert judged("two-students-hessian", flat).as_expected
