"""Claims on bad local minima, on scans evaluated here: each says yes, and its control no."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

from schemas.scan import parse_spec
from schemas.study import Outcome
from tasks import TASKS, BuildContext, normalised
from tasks.piecewise import minimum_measures as measures
from tasks.piecewise.minimum_claims import minimum_claims
from tasks.piecewise.minimum_figures import minimum_figures
from tasks.piecewise.minimum_scans import minimum_scans, sizes
from tasks.piecewise.minimum_tables import minimum_tables

SIZE = replace(sizes(quick=True), line=40, side=9)
DEEP = "across-4-3-3-nearly-linear"


def evaluated(raw):
    """The tree of a scan, with the loss and the builder's facts."""
    spec = normalised(parse_spec(raw), TASKS)
    task = TASKS[spec.task]
    axes = {name: axis.coordinates(0, axis.num) for name, axis in spec.axes.items()}
    grid = np.stack(np.meshgrid(*axes.values(), indexing="ij"), axis=-1)
    values, facts = [], []
    for replicate in range(spec.replicates):
        context = BuildContext(z=len(axes), seed=spec.seed + replicate, splits=spec.splits)
        landscape = task.builder()(task.parse(spec.parameters), context)
        values.append(losses(landscape, grid.reshape(-1, len(axes))).reshape(1, *grid.shape[:-1]))
        facts.append(landscape.facts)
    dims, data = ("split", *axes), values[0]
    if spec.replicates > 1:
        dims, data = ("replicate", *dims), np.stack(values)
    dataset = xr.Dataset({"loss": (dims, data)}, {**axes, "split": ["train"]})
    tree = xr.DataTree(dataset)
    tree.attrs["facts"] = json.dumps(facts)
    return tree


def losses(landscape, points):
    risk, split = landscape.objective, landscape.objective.splits["train"]
    rows = landscape.section.parameters(torch.from_numpy(np.ascontiguousarray(points)))

    def loss(named):
        whole = {**landscape.section.origin, **named}
        outputs = torch.func.functional_call(risk.module, whole, (split.inputs,))
        return risk.loss(outputs, split.targets).mean()

    return torch.func.vmap(loss)(rows).detach().numpy()


@pytest.fixture(scope="module")
def trees():
    raw = minimum_scans(SIZE)
    del raw["plane"]
    return {name: evaluated(spec) for name, spec in raw.items()}


def test_every_verdict_is_as_expected(trees):
    verdicts = {claim.name: claim.judge(trees) for claim in minimum_claims(SIZE)}
    assert not {name: each for name, each in verdicts.items() if not each.as_expected}
    controls = [each for each in verdicts.values() if each.control]
    assert len(controls) >= 10
    assert all(each.hypothesis_met is False for each in controls)
    lower = verdicts["minimum-is-not-global"]
    assert set(lower.cases.values()) == {Outcome.HOLDS}
    assert set(lower.cases) == {*(f"across-{name}" for name in SIZE.networks), *SIZE.tied}


def judged(trees, claim, **others):
    found = next(each for each in minimum_claims(SIZE) if each.name == claim)
    return found.judge({**trees, **others}).verdict


def changed(tree, values=None, **facts):
    """The tree with other losses, or other facts."""
    data = tree.to_dataset()
    other = xr.DataTree(data if values is None else data.assign(loss=values(data["loss"])))
    said = [{**each, **facts} for each in json.loads(tree.attrs["facts"])]
    other.attrs["facts"] = json.dumps(said)
    return other


def test_a_loss_that_is_not_as_claimed_refutes(trees):
    refuted = Outcome.REFUTED
    lower = changed(trees["probe-minimum"], lambda loss: loss - 1e-9)
    assert judged(trees, "none-lower-near-by", **{"probe-minimum": lower}) is refuted
    off = changed(trees[DEEP], lambda loss: loss * (1 + 1e-8))
    assert judged(trees, "lower-as-derived", **{DEEP: off}) is refuted
    flat = changed(trees[DEEP], lambda loss: loss.clip(max=float(loss.sel(t=0).min())))
    assert judged(trees, "way-rises", **{DEEP: flat}) is refuted
    tilted = changed(trees["family"], lambda loss: loss * (1 + 1e-6 * loss["log10_alpha"]))
    assert judged(trees, "family-is-level", family=tilted) is refuted
    above = changed(trees["tanh-across"], lambda loss: loss + 1e-12)
    assert judged(trees, "smooth-fits-all", **{"tanh-across": above}) is refuted


def test_a_proof_that_fails_for_one_network_makes_the_claim_conditional(trees):
    proof = json.loads(trees[DEEP].attrs["facts"])[0]["proof"]
    unproved = changed(trees[DEEP], proof={**proof, "proved": False})
    assert judged(trees, "minimum-is-not-global", **{DEEP: unproved}) is Outcome.CONDITIONAL
    none = changed(trees[DEEP], proof=None)
    assert judged(trees, "minimum-proved", **{DEEP: none}) is Outcome.REFUTED


def test_a_hypothesis_that_is_not_met_leaves_the_claim_open(trees):
    open_ = Outcome.INCONCLUSIVE
    unmet = [{"name": "a kink", "met": False, "reason": "the slopes are 1"}]
    assert judged(
        trees, "minimum-is-not-global", **{DEEP: changed(trees[DEEP], supposed=unmet)}
    ) is (open_)
    far = changed(trees["probe-minimum"])
    far = xr.DataTree(far.to_dataset().assign_coords(turn=3 * far["turn"].values))
    far.attrs["facts"] = trees["probe-minimum"].attrs["facts"]
    assert judged(trees, "none-lower-near-by", **{"probe-minimum": far}) is open_
    short = changed(trees["family"], greatest_scale=500.0)
    assert judged(trees, "family-is-level", family=short) is open_


def test_risks_are_those_of_the_papers(trees):
    tree = trees[DEEP]
    facts = json.loads(tree.attrs["facts"])
    assert measures.rises(tree).shape == (SIZE.replicates, 61)
    np.testing.assert_allclose(measures.risks_at(tree, 0.0), [f["fit_risk"] for f in facts])
    found = [measures.formula(each) for each in facts]
    np.testing.assert_allclose(measures.risks_at(tree, 1.0), found, rtol=1e-12)


def test_tables_and_figures_show_every_network(trees):
    tables = minimum_tables(SIZE)
    rows = tables["networks"].rows(trees)
    assert [row[0] for row in rows] == [
        *("2: ReLU", "4, 3, 3: slopes 1 and 1.01", "4, 5, 4, 6: hard-tanh", "XOR, 3: ReLU")
    ]
    assert rows[-1][2:5] == pytest.approx([2.0, 1.9, 5.0])
    assert all(row[-1] == row[-2] for row in rows)
    (row,) = tables["smooth-examples"].rows(trees)
    assert row[:4] == ["tanh", -1.0, -0.25, 4.0]
    assert row[4] == pytest.approx(-13.799316, abs=5e-7)
    for figure in minimum_figures().values():
        for series in figure.series(trees):
            assert len(series.x) == len(series.y) > 10
