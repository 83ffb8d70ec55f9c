"""Ways from the minimum of five numbers to a global one, by saddles that are known or made up."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
import xarray as xr

from schemas import Outcome
from tasks import TASKS, BuildContext
from tasks.students import claims, passes
from tasks.students.certificate import refine
from tasks.students.minima import family_point
from tasks.students.population import PopulationLoss
from tasks.students.sections import nearest_permutations

HOLDS, REFUTED, INCONCLUSIVE = Outcome.HOLDS, Outcome.REFUTED, Outcome.INCONCLUSIVE
LEAST = 0.02320271491
"""At the minimum of seven students."""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def facts_between(k):
    task = TASKS["teacher-student"]
    parameters = task.parse({"students": k, "teachers": k, "section": "between"})
    context = BuildContext(z=1, seed=0, splits=("population",))
    return dict(task.builder()(parameters, context).facts)


FACTS = {k: facts_between(k) for k in (5, 6, 7)}


def line_tree(k, ends, norms=None):
    """Newton's method from points of the line has ended at these weights (P, k, k)."""
    ends = np.array(ends).reshape(len(ends), -1)
    norms = np.zeros(len(ends)) if norms is None else norms
    data = xr.Dataset(
        {
            "end_parameters": (("split", "number", "t"), ends.T[None]),
            "end_gradient_norm": (("split", "t"), np.array([norms])),
        },
        {"split": ["population"]},
    )
    return xr.DataTree(data.assign_attrs(facts=json.dumps([FACTS[k]])))


def on_the_way(k, share):
    weights = family_point(k).weights
    found, converged = refine(
        weights + share * (nearest_permutations(weights)[0] - weights), np.eye(k)
    )
    assert converged
    return found


MINIMUM, SADDLE = family_point(7).weights, on_the_way(7, 0.16)
LOSS = PopulationLoss(torch.eye(7, dtype=torch.float64))
CURVATURES, WAYS = torch.linalg.eigh(LOSS.hessians(torch.from_numpy(SADDLE.reshape(1, -1)))[0])


def beside(number, size):
    """A point beside the saddle along an eigenvector."""
    return SADDLE + size * WAYS[:, number].numpy().reshape(7, 7)


def both_turned():
    """A saddle of index 4: two students are turned away from their teachers."""
    weights = MINIMUM.copy()
    weights[:, 5], weights[5] = weights[:, 6], weights[6, 0]
    weights[6, 5], weights[5, 5] = weights[6, 0], weights[6, 6]
    found, converged = refine(weights, np.eye(7))
    assert converged
    return found


def test_the_lowest_pass_of_seven_students():
    found = passes.lowest_pass(line_tree(7, [np.eye(7), MINIMUM, SADDLE, SADDLE]))
    assert found.minimum == pytest.approx(0.0232027149, abs=5.1e-11)
    assert found.saddle == pytest.approx(0.023431036, abs=5.1e-10)
    assert found.barrier == pytest.approx(0.023431036 - 0.023202715, abs=1e-9)
    assert found.barrier == found.saddle - found.minimum
    assert found.eigenvalue == pytest.approx(-0.0138535, abs=5.1e-8)
    assert found.distance == pytest.approx(np.linalg.norm(SADDLE - MINIMUM), rel=1e-9)
    claim = claims.has_a_pass(7)
    judged = claim.judge({"softest-7": line_tree(7, [SADDLE])})
    assert (judged.verdict, judged.hypothesis_met) == (HOLDS, True)
    assert judged.value == pytest.approx((0.023431036 - LEAST) / LEAST, rel=1e-4)


def test_what_is_no_pass():
    # A saddle of index 4 and minima; Newton's method has not come to the pass; or both sides of it
    # lead to one minimum.
    fourfold = both_turned()
    ends = [fourfold, np.eye(7), MINIMUM, SADDLE, beside(0, 0.01), beside(0, -0.01)]
    assert passes.lowest_pass(line_tree(7, ends, [0, 0, 0, 2e-9, 0, 0])) is None
    assert passes.lowest_pass(line_tree(7, [SADDLE], [1e-10])) is not None
    assert passes.lowest_pass(line_tree(7, [np.eye(7)])) is None
    claim = claims.has_a_pass(7)
    assert claim.judge({"softest-7": line_tree(7, [fourfold])}).verdict is INCONCLUSIVE


def test_the_lowest_of_several_counts():
    """Not stationary, but with the saddle's two ways down."""
    higher = beside(-1, 0.01)
    alone = passes.lowest_pass(line_tree(7, [higher]))
    assert alone.saddle > 0.02345
    both = passes.lowest_pass(line_tree(7, [higher, SADDLE]))
    assert both.saddle == pytest.approx(0.023431036, abs=5.1e-10)


def test_a_pass_has_index_one_and_leads_to_both_minima(monkeypatch):
    fourfold = both_turned()
    alone = line_tree(7, [SADDLE])
    for ends, found in (
        ([0.0, LEAST], True),
        ([LEAST, 9e-4], True),
        ([0.0, 0.0], False),
        ([LEAST, LEAST], False),
        ([2e-3, LEAST], False),
        ([0.0, LEAST - 2e-8], False),
        ([0.0, math.inf], False),
    ):
        monkeypatch.setattr(passes, "_downhill", lambda *given, ends=ends: ends)
        assert (passes.lowest_pass(alone.copy()) is not None) == found, ends
    ways = []
    monkeypatch.setattr(passes, "_downhill", lambda *given: ways.append(given) or [0.0, LEAST])
    no_saddles = [MINIMUM, 1.01 * MINIMUM, np.eye(7)]
    assert passes.lowest_pass(line_tree(7, [fourfold, *no_saddles])) is None
    assert passes.lowest_pass(alone.copy()) is not None
    ((_, point, way, _),) = ways
    bent = LOSS.hessians(point[None])[0] @ way
    torch.testing.assert_close(bent, CURVATURES[0] * way, rtol=0, atol=1e-12)


def test_a_low_barrier_refutes(monkeypatch):
    claim = claims.has_a_pass(7)
    low = passes.Pass(0.02, 0.02 + 1.9e-6, -0.1, 1.0)
    for found, outcome in ((low, REFUTED), (dataclasses.replace(low, saddle=0.020003), HOLDS)):
        monkeypatch.setattr(passes, "lowest_pass", lambda tree, found=found: found)
        assert claim.judge({"softest-7": line_tree(7, [SADDLE])}).verdict is outcome


def test_from_the_saddle_of_five_students_a_way_down_leads_to_a_global_minimum(monkeypatch):
    control = claims.has_a_pass(5).as_control("c")
    tree = line_tree(5, [np.eye(5)])
    judged = control.judge({"softest-5": tree})
    assert (judged.value, judged.hypothesis_met, judged.as_expected) == (0.0, False, True)
    # Had the ways down not come so far, nothing would be known.
    monkeypatch.setattr(passes, "_MOST_STEPS", 20)
    assert control.judge({"softest-5": tree}).verdict is INCONCLUSIVE


def test_what_only_passes_the_minimums_loss_is_no_end(monkeypatch):
    monkeypatch.setattr(passes, "_MOST_STEPS", 100)
    steep = torch.from_numpy(MINIMUM.reshape(-1)).clone()
    steep[0] += 1e-3
    least = float(LOSS(steep[None]))
    way = torch.zeros(49, dtype=torch.float64)
    # Both sides begin at nearly this loss, on their way to the minimum below it.
    assert float(LOSS.slopes(steep[None])[1].norm()) > 1e-4
    ends = passes._downhill(LOSS, steep, way, least)
    assert max(ends) < least - 1e-8


def test_the_rise_along_the_line():
    t = np.array([-0.3, -0.1, 0.01, 0.5, 1.0, 1.3])
    losses = np.array([9.0, 0.5, 0.2, 0.7, 0.1, 8.0])
    data = xr.Dataset({"loss": (("split", "t"), losses[None])}, {"split": ["population"], "t": t})
    tree = xr.DataTree(data)
    at, rise = passes.rise_of_line(tree)
    np.testing.assert_array_equal(at, t)
    np.testing.assert_allclose(rise, losses - 0.2)
    assert passes.barrier_of_line(tree) == pytest.approx(0.5)
    high = tree.copy(deep=True)
    high["loss"].values[0, 4] = 2.2
    assert passes.barrier_of_line(high) == pytest.approx(2.0)


def plane_tree(losses, k=7):
    data = xr.Dataset(
        {"end_loss": (("split", "towards", "aside"), np.array([losses]))},
        {"split": ["population"]},
    )
    return xr.DataTree(data.assign_attrs(facts=json.dumps([FACTS[k]])))


def test_the_share_of_a_plane_that_ends_at_the_minimum():
    claim, at = claims.reached_in_plane("basins"), FACTS[7]["spurious_loss"]
    losses = np.zeros((10, 20))
    losses[3, :3] = at + 0.9e-8, at - 0.9e-8, at + 1.1e-8
    judged = claim.judge({"basins": plane_tree(losses)})
    assert (judged.value, judged.verdict, judged.hypothesis_met) == (0.01, HOLDS, True)
    losses[3, 0] = math.nan
    assert claim.judge({"basins": plane_tree(losses)}).verdict is REFUTED
    control = claims.reached_in_plane("basins-5").as_control("c")
    five = FACTS[5]["spurious_loss"]
    assert control.judge({"basins-5": plane_tree(losses, 5)}).as_expected
    assert not control.judge({"basins-5": plane_tree(losses * 0 + five, 5)}).as_expected
