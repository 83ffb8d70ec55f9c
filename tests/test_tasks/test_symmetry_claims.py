"""The claims of `symmetry` on subspaces, ends and paths: statistics on trees made by hand."""

import json

import numpy as np
import pytest
import xarray as xr

from schemas.study import Outcome
from tasks.symmetry import manifold_measures as measures
from tasks.symmetry import manifold_scans as scans
from tasks.symmetry.manifold_claims import manifold_claims
from tasks.symmetry.manifold_figures import manifold_figures, manifold_tables
from tasks.symmetry.manifold_scans import FULL, NEAR, QUICK

OUT = [0.0, NEAR, 2 * NEAR, 0.3]
TEACHER = [[[1.0, 0.0], [0.0, 1.0]], [[1.0, -1.0]]]
FACTS = {
    "teacher": TEACHER,
    "inputs": 2,
    "outputs": 1,
    "noise": 0.0,
    "excess": 0.0,
    "activation": "asymmetric",
    "parts_within": {"within": 1.0, "out": 1e-16},
}
EVERY = {claim.name: claim for claim in manifold_claims(FULL)}


def tree(values, dims, coords, facts):
    loss = np.array(values, dtype=float)[:, None]
    root = xr.Dataset(
        {"loss": (("replicate", "split", *dims), loss)},
        coords={"split": ["train"], **coords},
        attrs={"facts": json.dumps([facts] * len(loss))},
    )
    return xr.DataTree(root)


def around(family, on=1e-30, power=2.0, near=1e-6, **facts):
    """Losses about the subspaces of a family, for two teachers."""
    widths = {"teacher_units": list(family.taught), "units": list(family.units)}
    count = family.subspaces
    said = {**FACTS, **widths, "subspaces": count, "dimensions": [2] * count, **facts}
    row = [on, *(on + near * (np.array(OUT[1:]) / NEAR) ** power)]
    values = np.tile(row, (2, count, 3, 1))
    return tree(
        values, ("subspace", "within", "out"), {"within": [-1.0, 0.0, 1.0], "out": OUT}, said
    )


def path(loss, route="swap", units=(5,)):
    facts = {**FACTS, "route": route, "teacher_units": [u - (route != "bare") for u in units]}
    return tree([loss], ("t",), {"t": np.linspace(0, 1, len(loss))}, {**facts, "units": units})


def ends(rows, losses, activation="asymmetric"):
    """Where descents of three units on two have ended, for one teacher."""
    facts = {**FACTS, "teacher_units": [2], "units": [3], "activation": activation}
    root = xr.Dataset(
        {
            "end_parameters": (("split", "number", "start"), np.array(rows, dtype=float).T[None]),
            "end_loss": (("split", "start"), np.array(losses, dtype=float)[None]),
        },
        coords={"split": ["train"]},
        attrs={"facts": json.dumps([facts])},
    )
    return xr.DataTree(root)


COPIED = [1, 0, 0, 1, 1, 0, 0.3, -1, 0.7]
IDLE = [3, 4, 1, 0, 0, 1, 0, 1, -1]
TURNED = [-1, 0, 0, 1, 5, 5, -1, -1, 0]
FLAT, RISING = [1e-31] * 5, [0.0, 0.02, 0.03, 0.02, 0.0]
TREES = {
    **{family.name: around(family) for family in FULL.families},
    scans.EXCESS: around(scans.TWO, on=0.01, excess=0.1),
    scans.NOISE: around(scans.TWO, on=0.01, noise=0.1),
    **{name: ends([COPIED, IDLE] * 3, [1e-28] * 6) for name in (scans.ENDS, scans.ENDS_WIDER)},
    **{
        name: ends([COPIED, TURNED] * 3, [1e-28] * 6, activation)
        for name, activation in ((scans.ENDS_TANH, "tanh"), (scans.ENDS_SIGMOID, "sigmoid"))
    },
    **{name: path(FLAT) for name in (scans.SWAP, scans.CYCLE, scans.DEEP)},
    **{name: path(RISING, "line") for name in (scans.LINE, scans.DEEP_LINE)},
    scans.BARE: path(RISING, "bare", (4,)),
}


def outcome(name, **changed):
    return EVERY[name].judge({**TREES, **changed})


@pytest.mark.parametrize("name", EVERY)
def test_all_is_as_expected_where_the_theory_is_met(name):
    verdict = outcome(name)
    assert verdict.as_expected, verdict
    assert verdict.verdict is (Outcome.REFUTED if EVERY[name].control else Outcome.HOLDS)


def test_the_controls_refute_what_is_claimed():
    controls = {name for name, claim in EVERY.items() if claim.control}
    assert {"rises-within", "zero-on-subspaces-excess", "line-at-zero", "bare-at-zero"} < controls
    assert {"ends-tanh-in-theta", "ends-sigmoid-in-theta", "barrier-on-swap"} < controls
    assert {claim.name for claim in manifold_claims(QUICK)} < set(EVERY)


@pytest.mark.parametrize(
    ("name", "scan", "wrong"),
    [
        ("zero-on-subspaces", scans.TWO, {"on": 1e-20}),
        ("rises-off-subspaces", scans.DEEP_FAMILY, {"near": 1e-14}),
        ("quadratic-off-subspaces", scans.DEEP_FAMILY, {"power": 4.0}),
        ("quadratic-off-subspaces", scans.TWO, {"power": 1.9}),
    ],
)
def test_one_family_that_differs_makes_a_claim_conditional(name, scan, wrong):
    verdict = outcome(name, **{scan.name: around(scan, **wrong)})
    assert verdict.verdict is Outcome.CONDITIONAL
    assert verdict.cases[scan.name] is Outcome.REFUTED


@pytest.mark.parametrize(
    "wrong",
    [
        {"subspaces": 11},
        {"noise": 0.1},
        {"excess": 0.1},
        {"teacher": [[[1.0, 0.0], [1.0, 0.0]], [[1.0, -1.0]]]},
        {"teacher": [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0]]]},
    ],
)
def test_the_hypothesis_is_checked(wrong):
    changed = around(scans.TWO, **wrong)
    found = outcome("zero-on-subspaces", **{scans.TWO.name: changed})
    assert (found.verdict, found.hypothesis_met) == (Outcome.INCONCLUSIVE, False)


def test_the_distance_from_theta_is_that_of_the_nearest_subspace():
    off = np.add(COPIED, [0, 0, 0, 0.3, 0, 0, 0.4, 0, 0.4])
    found = measures.ends_of(ends([COPIED, IDLE, TURNED, off], [0, 1e-25, 0, 1e-3]))
    # Turned, what enters and what leaves is 2 off; copies whose sum is 0.8 too much are 0.4 off.
    expected = [0, 0, np.sqrt(2**2 + 2**2), np.sqrt(0.3**2 + 2 * 0.4**2)]
    np.testing.assert_allclose(found.distances, expected, atol=1e-12)
    assert len(found.at_zero) == 3


def test_too_few_ends_at_zero_say_nothing_and_one_off_theta_refutes():
    few = ends([COPIED] * 6, [1e-28] * 4 + [1e-20] * 2)
    assert outcome("ends-in-theta", ends=few).verdict is Outcome.INCONCLUSIVE
    one = ends([COPIED] * 5 + [TURNED], [1e-28] * 6)
    assert outcome("ends-in-theta", ends=one).verdict is Outcome.REFUTED


def test_a_path_that_rises_anywhere_is_told():
    risen = path([1e-31, 1e-31, 1e-20, 1e-31])
    found = outcome("swaps-at-zero", **{scans.CYCLE: risen})
    assert found.cases == {
        scans.SWAP: Outcome.HOLDS,
        scans.CYCLE: Outcome.REFUTED,
        scans.DEEP: Outcome.HOLDS,
    }
    monotone = path([0.0, 0.5, 1.0], "line")
    found = outcome("barrier-on-line", **{scans.LINE: monotone})
    assert found.cases[scans.LINE] is Outcome.REFUTED


@pytest.mark.parametrize("sizes", [QUICK, FULL], ids=["quick", "full"])
def test_figures_and_tables_are_of_the_scans_there_are(sizes):
    kept = {name: TREES[name] for name in scans.manifold_scans(sizes)}
    for figure in manifold_figures(sizes).values():
        for series in figure.series(kept):
            assert len(series.x) == len(series.y) > 0
    tables = manifold_tables(sizes)
    for table in tables.values():
        for row in table.rows(kept):
            assert len(row) == len(table.columns)
    row = tables["subspaces"].rows(kept)[0]
    assert row[0] == "2 in 3"
    assert row[3:7] == [12, 2, 2, 2]
    assert row[7:] == [1e-30, pytest.approx(1e-6), pytest.approx(2), pytest.approx(2)]
    assert tables["ends-table"].rows(kept)[0][3:6] == [6, 6, 6]
