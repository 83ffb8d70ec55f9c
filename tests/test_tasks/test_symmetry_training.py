"""Trained students of growing width: what their ends count as, and what is claimed of them."""

import json
from math import comb

import numpy as np
import pytest
import torch
import xarray as xr

from pipeline.engine.contract import EngineChoice
from pipeline.engine.descents.descend import descend
from pipeline.engine.descents.evaluator import DescentEvaluator
from pipeline.engine.descents.functions import over_parameters
from schemas.layout import END_PARAMETERS, OF_DESCENT, DescentOutcome
from schemas.scan import parse_spec
from schemas.study import Outcome
from tasks.registry import BuildContext
from tasks.symmetry import training_measures as measures
from tasks.symmetry.network import flattened
from tasks.symmetry.parameters import SymmetryNetParameters
from tasks.symmetry.task import build_symmetry_net
from tasks.symmetry.training_claims import REACHED, TRAINED, training_claims
from tasks.symmetry.training_figures import LOSSES, training_figures
from tasks.symmetry.training_scans import LOW, STEP, training_scans, trainings
from tasks.symmetry.training_tables import training_tables

ZERO, CRITICAL, LOST = (
    (1e-14, DescentOutcome.LOW_ENOUGH),
    (3e-6, DescentOutcome.SPURIOUS),
    (2e-6, DescentOutcome.NOT_CONVERGED),
)


def tree(ends, units=4, hidden=None, least=None, **facts):
    """The analysed scan of trainings that end at (loss, outcome)."""
    if hidden is None:
        hidden = np.arange(2.0 * units).reshape(units, 2)
    theta = np.tile(flattened((hidden, np.ones((1, units)))), (len(ends), 1))
    known = {"units": [units], "inputs": 2, "outputs": 1, "data": "published", **facts}

    def of_split(values):
        return (("split", "start"), np.array([values]))

    least = np.ones(len(ends)) if least is None else least
    data = {
        "end_loss": of_split([loss for loss, _ in ends]),
        "outcome": of_split([int(outcome) for _, outcome in ends]),
        "end_hessian_eigenvalue_min": of_split(least),
        "end_hessian_eigenvalue_max": of_split(np.full(len(ends), 5.0)),
        END_PARAMETERS: (("split", "number", "start"), theta.T[None]),
    }
    coordinates = {"split": ["train"], "start": np.arange(len(ends))}
    dataset = xr.Dataset(data, coordinates, {"facts": json.dumps([known])})
    dataset["outcome"].attrs |= {"method": "adam, then lm", "tolerance": 1e-10}
    return xr.DataTree(dataset)


def counted(zero, critical, lost=0, **more):
    return tree([ZERO] * zero + [CRITICAL] * critical + [LOST] * lost, **more)


def test_ends_are_at_zero_or_critical_or_given_up():
    found = measures.trained(counted(3, 2, 1))
    assert found.zero.tolist() == [True] * 3 + [False] * 3
    assert found.critical.tolist() == [False] * 3 + [True] * 2 + [False]
    assert found.given_up.tolist() == [False] * 5 + [True]
    # Zero is what the loss says, whatever became of the descent; and not what the outcome says.
    strange = [(1e-13, DescentOutcome.NOT_CONVERGED), (1e-7, DescentOutcome.GLOBAL)]
    found = measures.trained(tree(strange))
    assert found.zero.tolist() == [True, False]
    assert found.critical.tolist() == [False, True]
    assert LOW < measures.ZERO


def test_critical_points_above_zero_by_their_curvature_and_copies():
    ends = [ZERO, CRITICAL, CRITICAL, CRITICAL, LOST]
    least = [-1.0, 1e-6, 4e-9, -1e-6, 1e-6]
    found = measures.trained(tree(ends, least=least))
    rows = [np.flatnonzero(found.of_curvature(sign)).tolist() for sign in (1, 0, -1)]
    assert rows == [[1], [2], [3]]
    assert not found.copies.any()
    hidden = np.array([[0.6, 0.5], [-0.5, 0.5], [-0.2, -0.6], [0.6 + 5e-3, 0.5]])
    copied = measures.trained(tree(ends, hidden=hidden))
    assert copied.copies.tolist() == [False, True, True, True, False]
    assert copied.nearest == pytest.approx(np.full(5, 5e-3))


def test_the_share_of_subspaces():
    """By hand: T(4, 4) = 24, Σ G(k, 4) = 36 + 14 + 1; T(4, 5) = 360, Σ G(k, 5) = 150 + 30 + 1."""
    assert measures.share_of_subspaces(4) == pytest.approx(24 / 75)
    assert measures.share_of_subspaces(5) == pytest.approx(360 / 541)
    assert measures.share_of_subspaces(3) == 0.0
    assert 0.999 < measures.share_of_subspaces(20) < 1


def tail(first, runs, other, others):
    """How likely the first of two counts of one share is at least as great, by counting."""
    total = first + other
    return sum(
        comb(runs, i) * comb(others, total - i) for i in range(first, min(total, runs) + 1)
    ) / comb(runs + others, total)


def test_counts_are_compared_exactly():
    scans = {"all": counted(10, 0), "some": counted(3, 7), "none": counted(0, 10)}
    more = measures.no_more_likely("all", "some")(scans)
    assert more == pytest.approx(tail(10, 10, 3, 10))
    assert measures.no_more_likely("some", "all")(scans) == pytest.approx(1.0)
    assert measures.agreement("some", measures.Known(3, 10))(scans) == pytest.approx(1.0)
    apart = measures.agreement("none", measures.KNOWN[5])(scans)
    assert apart < 1e-3
    assert measures.agreement("all", measures.Known(16, 50))(scans) == pytest.approx(apart)
    assert measures.shares_reached(["all", "some"])(scans) == {"all": 1.0, "some": 0.3}
    shares = {units: known.reached / known.runs for units, known in measures.KNOWN.items()}
    assert shares == {4: 0.34, 5: 0.68}


def made(quick):
    """Trees in which as many reach zero loss as are expected to."""
    reached = {3: 0, 4: 0.34, 5: 0.68}
    sizes = trainings(quick)
    found = {}
    for each in sizes.every:
        zero = round(reached.get(each.units, 1) * sizes.starts)
        found[each.name] = counted(zero, sizes.starts - zero, units=each.units)
    return found


@pytest.mark.parametrize("quick", [True, False])
def test_all_claims_are_judged_as_expected_where_width_helps(quick):
    trees = made(quick)
    verdicts = {claim.name: claim.judge(trees) for claim in training_claims(quick)}
    assert all(verdict.as_expected for verdict in verdicts.values())
    assert {"width-4-agrees", "wider-reach-zero", "narrow-reach-zero"} <= {
        name.replace("-longer", "") for name in verdicts
    }
    assert ("wide-reach-more" in verdicts) != quick
    table = training_tables(quick)[TRAINED]
    rows = table.rows(trees)
    assert {len(row) for row in rows} == {len(table.columns)}
    assert [row[4] for row in rows[:2]] == pytest.approx([0, 34 if not quick else 37.5])
    figures = training_figures(quick)
    shares = figures[REACHED].series(trees)[0]
    assert list(shares.y[:2]) == pytest.approx([0, 0.34 if not quick else 0.375])
    assert np.all(np.array([shares.low, shares.y]) <= np.array([shares.y, shares.high]))
    shown = sum(len(one.y) for one in figures[LOSSES].series(trees)[:2])
    assert shown == trainings(quick).starts * len(trainings(quick).growing)


def verdict(name, trees):
    (claim,) = (each for each in training_claims(quick=False) if each.name == name)
    return claim.judge(trees).verdict


def test_claims_are_refuted_where_width_does_not_help():
    trees = made(quick=False)
    for units in (8, 20):
        trees[f"width-{units}"] = counted(20, 30, units=units)
    assert verdict("wider-reach-zero", trees) == Outcome.CONDITIONAL
    assert verdict("wide-reach-more", trees) == Outcome.REFUTED
    trees["width-4-longer"] = counted(35, 15)
    assert verdict("width-4-longer-agrees", trees) == Outcome.REFUTED


def test_without_their_hypotheses_nothing_is_said():
    trees = made(quick=False)
    lost = {**trees, "width-20": counted(38, 0, 12, units=20)}
    assert verdict("wider-reach-zero", lost) == Outcome.INCONCLUSIVE
    other = counted(34, 16, units=5, data="random")
    assert verdict("width-5-longer-agrees", {**trees, "width-5-longer": other}) == (
        Outcome.INCONCLUSIVE
    )
    narrow = {**trees, "width-20": counted(50, 0, units=4)}
    assert verdict("wide-reach-more", narrow) == Outcome.INCONCLUSIVE
    by_lm = counted(50, 0, units=8)
    by_lm["outcome"].attrs["method"] = "lm"
    assert verdict("wider-reach-zero", {**trees, "width-8": by_lm}) == Outcome.INCONCLUSIVE


@pytest.mark.parametrize("quick", [True, False])
def test_every_training_has_starts_of_its_own(quick):
    specs = {name: parse_spec(raw) for name, raw in training_scans(quick).items()}
    seeds = [spec.seed for spec in specs.values()]
    assert len(set(seeds)) == len(seeds)
    for spec in specs.values():
        SymmetryNetParameters(**spec.parameters)
        assert [stage.method for stage in spec.descent.stages] == ["adam", "lm"]
        assert spec.compute.dtype == "float64"
        assert not quick or spec.compute.workers == 0
    steps = {each.steps for each in trainings(quick).growing}
    assert len(steps) == 1, "widths are compared after as many steps"


def problem(**parameters):
    """The landscape of students, and three starts as the task draws them."""
    context = BuildContext(None, 0, ("train",))
    landscape = build_symmetry_net(SymmetryNetParameters(**parameters), context)
    starts = [landscape.draw(np.random.default_rng(seed), 1.0) for seed in range(3)]
    return landscape, np.array(starts)


def test_a_small_student_reaches_zero_loss_by_the_protocol():
    parameters = {"data": "random", "samples": 20, "teacher_units": [1], "units": [2]}
    landscape, starts = problem(**parameters)
    descent = parse_spec(training_scans(quick=True)["width-4"]).descent
    short = descent.model_copy(update={"max_iterations": 20})
    choice = EngineChoice("batched", "cpu", "float64", 1, None, len(starts))
    evaluator = DescentEvaluator(None, landscape, ["train"], OF_DESCENT, short, choice)
    found = {name: values[0] for name, values in evaluator.evaluate(starts).items()}
    assert (found["end_loss"] < measures.ZERO).any()
    assert (found["iterations"] > 20).all()


def test_students_train_on_images_as_well():
    """MNIST's digits are an option of the task: the loss falls from the first steps on."""
    landscape, starts = problem(data="images", samples=40, units=[5], activation="softplus")
    function = over_parameters(landscape, "train", torch.device("cpu"), torch.float64)
    begin = torch.from_numpy(starts)
    ends = descend(function, begin, "adam", 1e-10, 5, step=STEP)
    assert (ends.loss < 0.99 * function.value(begin)).all()
