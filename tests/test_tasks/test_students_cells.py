"""Statistics of cells of the table: trees where each must say yes, and where no."""

import json
import math

import numpy as np
import pytest
import torch
import xarray as xr

from schemas import Outcome
from schemas.layout import DescentOutcome
from tasks.students import cell_claims, claims
from tasks.students import cell_measures as measures
from tasks.students.cells import certificates, families_of, proved
from tasks.students.certificate import certify, refine
from tasks.students.minima import family_point
from tasks.students.population import PopulationLoss
from tasks.students.published import PUBLISHED

HOLDS, REFUTED, INCONCLUSIVE = Outcome.HOLDS, Outcome.REFUTED, Outcome.INCONCLUSIVE
GIVEN_UP = int(DescentOutcome.NOT_CONVERGED)


def cell_tree(ends, *, k=None, method="gd", given_up=0, ended=DescentOutcome.MINIMUM, **changed):
    """A scan of descents that have ended at these weights (R, n, d), the first of them given up."""
    ends = np.array(ends, dtype=np.float64)
    count, n, d = ends.shape
    teacher = changed.get("teacher", np.eye(k or d, d))
    loss, theta = PopulationLoss(torch.tensor(teacher)), torch.from_numpy(ends.reshape(count, -1))
    losses, least = changed.get("losses"), changed.get("eigenvalues")
    each = {
        "end_loss": loss(theta) if losses is None else losses,
        "end_hessian_eigenvalue_min": torch.linalg.eigvalsh(loss.hessians(theta))[:, 0]
        if least is None
        else least,
        "iterations": np.arange(count),
        "outcome": np.where(np.arange(count) < given_up, GIVEN_UP, int(ended)),
    }
    data = xr.Dataset(
        {
            **{
                name: (("split", "start"), np.asarray(values)[None])
                for name, values in each.items()
            },
            "end_parameters": (("split", "number", "start"), ends.reshape(count, -1).T[None]),
        },
        {"split": ["population"]},
    )
    data["outcome"].attrs["method"] = method
    facts = {
        "teacher": np.asarray(teacher).tolist(),
        "students": n,
        "teachers": len(teacher),
        "dimensions": d,
    }
    return xr.DataTree(data.assign_attrs(facts=json.dumps([facts])))


def counted(bad, runs, n=7, k=7, **changed):
    """So many bad runs of all, said to be so by their losses alone."""
    losses = np.where(np.arange(runs) < bad, 0.5, 0.0)
    changed = {"losses": losses, "eigenvalues": losses, **changed}
    return cell_tree(np.repeat(np.eye(n, k)[None] + 0.01, runs, axis=0), **changed)


def turned(k, *others):
    """The critical point of k students near one, or near two of them turned away from teachers."""
    weights = family_point(k).weights.copy()
    for i in others:
        weights[:, i], weights[i] = weights[:, -1], weights[-1, 0]
        weights[-1, i], weights[i, i] = weights[-1, 0], weights[-1, -1]
    found, converged = refine(weights, np.eye(k))
    assert converged
    return found


def permuted(weights, seed):
    random = np.random.default_rng(seed)
    return random.permutation(random.permutation(weights, axis=0), axis=1)


ONE, TWO, SADDLE = turned(8), turned(8, 6), turned(7, 5)
"""Minima of 8 students, of two families; a saddle of 7."""


def test_a_share_agrees_or_not():
    claim = cell_claims.agrees(7, 7, 26)
    for bad, outcome in ((55, HOLDS), (80, HOLDS), (31, HOLDS), (100, REFUTED), (20, REFUTED)):
        assert claim.judge({"k7": counted(bad, 1000)}).verdict is outcome
    # One of few cells is held to more than one of many.
    assert cell_claims.agrees(7, 7, 1).judge({"k7": counted(80, 1000)}).verdict is REFUTED
    assert cell_claims.agrees(8, 8, 26).judge({"k8": counted(55, 1000, 8, 8)}).verdict is REFUTED
    assert claim.judge({"k7": counted(55, 1000)}).value == 1.0


def test_what_counts_as_bad():
    losses = np.array([1e-3, math.nextafter(1e-3, 0), math.nan, 0.5, -1e-16, math.inf])
    tree = counted(0, 6, losses=losses)
    assert measures.p_value(4, 6, PUBLISHED[7, 7]) == measures.agreement("s", PUBLISHED[7, 7])(
        {"s": tree}
    )


def test_the_hypothesis_of_a_cell():
    met = cell_claims.agrees(7, 7, 26).hypothesis.met
    assert met({"k7": counted(3, 100, given_up=5)})
    assert met({"k7": counted(3, 100, ended=DescentOutcome.LOW_ENOUGH)})
    for wrong in (
        counted(3, 100, given_up=6),
        counted(3, 100, n=8),
        counted(3, 100, n=6),
        counted(3, 100, k=6),
        counted(3, 100, teacher=np.eye(7) * (1 + 1e-15)),
        counted(3, 100, teacher=np.eye(7)[::-1].copy()),
        counted(3, 100, k=8, teacher=np.eye(7, 8)),
    ):
        assert not met({"k7": wrong})
    wrong = cell_claims.agrees(7, 7, 26).judge({"k7": counted(55, 1000, given_up=51)})
    assert wrong.verdict is INCONCLUSIVE


def test_another_cell_is_a_control_that_can_fail():
    control = cell_claims.other_cell(8, 9, 26)
    few, many = (control.judge({"k8-n9": counted(bad, 1000, 9, 8)}) for bad in (1, 126))
    assert (few.verdict, few.hypothesis_met, few.as_expected) == (REFUTED, False, True)
    assert (many.verdict, many.as_expected) == (HOLDS, False)


def test_every_bad_end_must_be_proved():
    claim = claims.ends_are_minima("a", "here", "s", "t")
    other = cell_tree([turned(7), np.eye(7)])
    good = cell_tree([np.eye(8), permuted(ONE, 0), TWO])
    judged = claim.judge({"s": good, "t": other})
    assert (judged.value, judged.verdict) == (1.0, HOLDS)
    judged = claim.judge({"s": good, "t": cell_tree([SADDLE])})
    assert (judged.value, judged.verdict) == (pytest.approx(2 / 3), REFUTED)
    # A global minimum is none of those, whatever loss is said to be there.
    said = cell_tree([ONE, np.eye(8)], losses=[0.02, 0.02])
    assert claim.judge({"s": said, "t": other}).value == pytest.approx(2 / 3)
    # What is given up has no end: here the saddle, there all that is bad.
    assert claim.judge({"s": good, "t": cell_tree([SADDLE, turned(7)], given_up=1)}).value == 1.0
    beside = cell_tree([np.eye(7), turned(7)], given_up=1)
    assert measures.share_proved("t")({"t": beside}) == 1.0
    given_up = {"s": cell_tree([ONE], given_up=1), "t": cell_tree([np.eye(7)])}
    assert claim.judge(given_up).verdict is INCONCLUSIVE
    without = {"s": cell_tree([np.eye(8)]), "t": cell_tree([np.eye(7)])}
    assert claim.judge(without).verdict is INCONCLUSIVE
    newton = {"s": good, "t": cell_tree([SADDLE], method="newton")}
    assert claim.judge(newton).verdict is INCONCLUSIVE
    assert claim.as_control("c").judge(newton).as_expected


def test_a_run_that_is_given_up_is_proved_where_a_minimum_is_near():
    random = np.random.default_rng(0)
    way = random.standard_normal((8, 8))
    way /= np.linalg.norm(way)
    near, far = ONE + 0.09 * way, ONE + 0.11 * way
    np.testing.assert_allclose(refine(far, np.eye(8))[0], ONE, atol=1e-12)
    found = certificates(cell_tree([ONE, near, far], given_up=2))
    assert [proved(one) for one in found] == [True, True, False]
    assert found[1].radius == pytest.approx(0.09, abs=1e-6)


def test_the_proof_of_a_family_reaches_each_of_its_ends():
    way = np.random.default_rng(1).standard_normal((8, 8))
    way *= 4e-7 / np.abs(way).max()
    ends = [ONE, permuted(ONE, 1), permuted(TWO, 2), permuted(ONE + way, 0)]
    first, same, other, moved = certificates(cell_tree(ends))
    assert first.radius < 1e-10
    assert np.linalg.norm(way) <= moved.radius <= np.linalg.norm(way) + 1e-10
    assert same.radius < 1e-10
    for found, end in zip((first, same, other, moved), ends, strict=True):
        alone = certify(end, np.eye(8))
        assert alone.radius is not None
        assert found.loss[0] <= alone.loss[1] + 1e-9
        assert found.least_eigenvalue == pytest.approx(alone.least_eigenvalue, abs=1e-5)


def test_families_of_proved_minima_are_counted():
    ends = [permuted(ONE, 0), permuted(TWO, 1), np.eye(8), permuted(ONE, 2), permuted(ONE, 3)]
    tree = cell_tree(ends)
    assert [one.members for one in families_of(tree)] == [(0, 2, 3), (1,)]
    apart = families_of(cell_tree([ONE, ONE + 2e-6, ONE - 5e-7]))
    assert [one.members for one in apart] == [(0, 2), (1,)]
    claim = claims.has_spurious_minima(8)
    judged = claim.judge({"k8": tree})
    assert (judged.value, judged.verdict) == (2.0, HOLDS)
    assert claim.judge({"k8": cell_tree([np.eye(8)] * 3)}).verdict is REFUTED
    control = claims.has_spurious_minima(5).as_control("c")
    assert control.judge({"k5": cell_tree([np.eye(5), turned(5)])}).as_expected
    assert measures.minima_proved("s")({"s": cell_tree([SADDLE, SADDLE, turned(7)])}) == 1
    met = measures.at_least("s", 6).met
    assert [met({"s": cell_tree([np.eye(k)])}) for k in (5, 6, 7)] == [False, True, True]


def test_the_minimum_of_five_numbers_is_found_or_missed():
    claim, seven = claims.known_minimum(7), permuted(turned(7), 0)
    judged = claim.judge({"k7": cell_tree([np.eye(7), seven + 1e-9, SADDLE])})
    assert (judged.verdict, judged.value < 1e-9) == (HOLDS, True)
    right = family_point(7).loss
    for losses, expected in (([right + 1e-6], 1e-6), ([right - 1e-3], 1e-3)):
        assert claim.judge({"k7": cell_tree([seven], losses=losses)}).value == pytest.approx(
            expected, rel=1e-6
        )
    # The loss of the minimum at other weights, and no bad end at all.
    assert claim.judge({"k7": cell_tree([SADDLE], losses=[right])}).value > 0.1
    missed = claim.judge({"k7": cell_tree([np.eye(7)])})
    assert (missed.verdict, missed.value) == (REFUTED, math.inf)
    assert claim.judge({"k7": cell_tree([ONE])}).verdict is INCONCLUSIVE
    met = measures.as_many("s", 8).met
    assert [met({"s": cell_tree([np.eye(n, 8)])}) for n in (7, 8, 9)] == [False, True, False]
    assert not met({"s": cell_tree([np.eye(8, 9)])})


def test_one_student_more_could_have_the_known_minimum():
    control = claims.known_minimum(8, "k8-n9").as_control("c")
    halves = np.vstack([ONE, ONE[:1] / 2])
    halves[0] /= 2
    found, other = (control.judge({"k8-n9": cell_tree([end])}) for end in (halves, 1.1 * halves))
    assert (found.verdict, found.hypothesis_met, found.as_expected) == (HOLDS, False, False)
    assert (other.verdict, other.as_expected) == (REFUTED, True)


def means_tree(count, mean, spread=0.0, k=7, name="eigenvalues"):
    """Bad runs whose values have this mean and standard deviation; others are far from it."""
    values = mean + spread * np.tile([-1.0, 1.0], count // 2) * math.sqrt((count - 1) / count)
    given = {"losses": np.full(count + 5, 0.5), "eigenvalues": np.full(count + 5, 9.0)}
    given[name][:count], given["losses"][count:] = values, 0.0
    return counted(0, count + 5, k, k, **given)


def test_means_are_compared_in_standard_errors():
    seven = {(7, 7): "k7"}
    apart = measures.means_apart(seven, "least_eigenvalue")
    # 0.0141 over 55 runs: 0.0151 is 1e-3 away, less half a unit of the last digit.
    expected = 0.95e-3 / (1e-3 * math.sqrt(1 / 20 + 1 / 55))
    for mean in (0.0151, 0.0131):
        assert apart({"k7": means_tree(20, mean, 1e-3)}) == pytest.approx(expected, rel=1e-9)
    assert apart({"k7": means_tree(20, 0.0141, 1e-3)}) == 0.0
    assert apart({"k7": means_tree(20, 0.01414, 0.0)}) == 0.0
    assert apart({"k7": means_tree(20, 0.01416, 0.0)}) == math.inf
    assert apart({"k7": means_tree(10, 0.0151, 1e-3)}) is not None
    assert apart({"k7": means_tree(8, 0.0151, 1e-3)}) is None
    of_losses = measures.means_apart(seven, "loss")
    assert of_losses({"k7": means_tree(20, 0.0232, 1e-3, name="losses")}) == 0.0
    assert of_losses({"k7": means_tree(20, 0.0141, 1e-3, name="losses")}) > 5
    # Only three runs are published of six teachers; the cell that is farthest off decides.
    few = {(6, 6): "k6"}
    assert measures.means_apart(few, "loss")({"k6": means_tree(20, 0.2, 1e-3, 6)}) is None
    every = {**seven, **few, (8, 8): "k8"}
    trees = {
        "k6": means_tree(20, 0.2, 1e-3, 6),
        "k7": means_tree(20, 0.0151, 1e-3),
        "k8": means_tree(20, 0.0213, 1e-3, 8),
    }
    claim = cell_claims.means_agree(every, "least_eigenvalue", "λ_min")
    assert claim.judge(trees).value == pytest.approx(expected)
    near = {**trees, "k7": means_tree(20, 0.0141, 1e-3)}
    assert claim.judge(near).verdict is HOLDS
    far = {**trees, "k8": means_tree(20, 0.0223, 1e-4, 8)}
    assert claim.judge(far).verdict is REFUTED
