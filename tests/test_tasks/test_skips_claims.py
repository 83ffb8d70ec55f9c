"""The claims of `no-bad-valleys` on paths and planes: statistics on trees made by hand."""

import json
import math

import numpy as np
import pytest
import xarray as xr

from schemas.study import Outcome
from tasks.skips import claims, figures, measures, scans, tables

FACTS = {
    "samples": 10,
    "skips": 12,
    "repeated": False,
    "hidden": [9, 5],
    "activation": "sigmoid",
    "start": "normal",
    "section": "descent",
    "epsilon": 1e-3,
    "assumption_unmet": [],
    "rank_at_start": 10,
    "margin": 1e6,
    "readout_norm": 3.0,
    "moved": False,
}
EVERY = {
    claim.name: claim
    for claim in (
        *claims.path_claims(),
        *claims.lemma_claims(),
        *claims.derivative_claims(),
        *claims.surface_claims(near=True),
    )
}


def path(
    loss=((3.0, 1.0, 5e-4), (2.0, 2.0, 4e-4)), accuracy=((0.1, 0.6, 1), (0.1, 0.2, 1)), **facts
):
    """A scan along two paths of three points."""
    dims = ("replicate", "split", "t")
    variables = {"loss": loss, "accuracy": accuracy}
    root = xr.Dataset(
        {name: (dims, np.array(values)[:, None]) for name, values in variables.items()},
        coords={"split": ["train"], "t": [0.0, 0.5, 1.0]},
        attrs={"facts": json.dumps([{**FACTS, **facts}] * 2)},
    )
    return xr.DataTree(root)


def plane(bad=0.0, hessian=None, known=None, **facts):
    dims = ("split", "a", "b")
    values = np.linspace(1, 2, 4).reshape(1, 2, 2)
    variables = {"loss": (dims, values), "accuracy": (dims, 0 * values)}
    if hessian is not None:
        every = np.broadcast_to(np.array(hessian, dtype=float), (1, 2, 2, 2, 2))
        variables["section_hessian"] = (("split", "a", "b", "axis", "axis_other"), every)
    if known is not None:
        variables[measures.CURVATURE] = (("a", "b"), np.full((2, 2), known))
    coords = {"split": ["train"], "a": [-1.0, 1.0], "b": [-1.0, 1.0]}
    told = {**FACTS, "section": "random", **facts}
    root = xr.Dataset(variables, coords=coords, attrs={"facts": json.dumps([told])})
    names = ("shape_bad_valleys", "shape_bad_valley_depth", "shape_minima", "shape_minima_at_edge")
    found = xr.Dataset(
        {name: ("split", [value]) for name, value in zip(names, (bad, 0.5, 1, 2), strict=True)},
        coords={"split": ["train"]},
    )
    return xr.DataTree.from_dict({"/": root, "/analysis": found})


@pytest.fixture
def trees():
    found = dict.fromkeys((*scans.with_accuracy(), *scans.PROOF.values()), path())
    unmet = {"assumption_unmet": ["no"]}
    stuck = {"loss": ((3.0, 1.0, 0.12), (2.0, 1.0, 0.3)), "accuracy": ((0.1, 0.6, 0.9),) * 2}
    found[scans.PATH_TIGHT] = path(((3.0, 1.0, 5e-7),) * 2, epsilon=1e-6)
    found[scans.PATH_PLAIN] = path(**stuck, **unmet, skips=0)
    found[scans.PATH_REPEATED] = path(**stuck, **unmet, rank_at_start=9)
    found[scans.LINE_PLAIN] = path(((0.3, 0.8, 1e-4), (0.2, 0.3, 1e-4)), **unmet, skips=0)
    for name in scans.surfaces():
        kept = name.endswith("skips")
        found[name] = plane(0.0, skips=12 if kept else 0, assumption_unmet=[] if kept else ["no"])
    found[scans.HIDDEN_SKIPS] = plane(0.1, section="hidden")
    found[scans.HIDDEN_PLAIN] = plane(0.3, section="hidden", skips=0, **unmet)
    found[scans.NEAR_SKIPS] = plane(0.06)
    found[scans.NEAR_PLAIN] = plane(0.01, skips=0, **unmet)
    curved = ((2.0, 0.5), (0.5, 1.0))
    found[scans.OUTPUT_PLANE] = plane(hessian=curved, known=2.0, section="output")
    found[scans.HIDDEN_PLANE] = plane(hessian=((-1.0, 0.0), (0.0, -0.5)), section="hidden")
    return found


def test_all_comes_out_as_expected_where_the_theorem_holds(trees):
    verdicts = {name: claim.judge(trees) for name, claim in EVERY.items()}
    assert [name for name, verdict in verdicts.items() if not verdict.as_expected] == []
    assert verdicts["output-hessian-as-printed"].value == pytest.approx(9.0)
    assert verdicts["straight-line-rises"].value == pytest.approx(0.5 / 1.3)
    assert verdicts["hidden-valleys"].value == pytest.approx(0.1)
    assert verdicts["no-maximum"].value == pytest.approx(1.5 + math.sqrt(0.5))


@pytest.mark.parametrize(
    ("scan", "changed", "claim"),
    [
        ("path-sigmoid", path(((3.0, 3.1, 5e-4),) * 2), "never-rises"),
        ("path-tight", path(((3.0, 3.00001, 5e-7),) * 2), "never-rises"),
        ("path-equal-softplus", path(((3.0, 2.0, 5e-4), (3.0, 2.0, 2e-3))), "ends-at-epsilon"),
        ("path-tight", path(), "ends-at-tight-epsilon"),
        ("path-loose", path(((3.0, 1.0, 0.2),) * 2), "ends-at-loose-epsilon"),
        ("path-softplus", path(accuracy=((0, 0, 1), (0, 0, 0.9))), "no-error-at-end"),
        ("path-loose", path(accuracy=((0, 0, 1), (0, 0, 0.9))), "no-error-below"),
        ("path-softplus", path(rank_at_start=9), "random-full-rank"),
        ("proof-sigmoid", path(rank_at_start=9), "proof-full-rank"),
        ("output-plane", plane(hessian=np.eye(2), known=1.1, section="output"), "output-hessian"),
        (
            "output-plane",
            plane(hessian=np.diag([1.0, -0.1]), known=1.0, section="output"),
            "convex-in-output",
        ),
        ("output-plane", plane(hessian=-np.eye(2), known=1.0, section="output"), "no-maximum"),
        ("surface-softplus-skips", plane(0.01), "softplus-valleys"),
        ("surface-sigmoid-skips", plane(0.01), "no-bad-valley"),
    ],
)
def test_what_contradicts_the_theorem_is_refuted(trees, scan, changed, claim):
    verdict = EVERY[claim].judge({**trees, scan: changed})
    assert verdict.verdict is Outcome.REFUTED
    assert verdict.hypothesis_met


@pytest.mark.parametrize(
    ("scan", "changed", "claim"),
    [
        ("path-sigmoid", path(skips=9), "never-rises"),
        ("path-zero-sigmoid", path(assumption_unmet=["no"]), "ends-at-epsilon"),
        ("output-plane", plane(hessian=np.eye(2), known=1.0), "convex-in-output"),
        ("surface-sigmoid-plain", plane(start="zero", skips=0), "sigmoid-valleys"),
        ("surface-sigmoid-plain", plane(), "sigmoid-valleys"),
    ],
)
def test_nothing_is_said_where_the_hypothesis_is_not_met(trees, scan, changed, claim):
    assert EVERY[claim].judge({**trees, scan: changed}).verdict is Outcome.INCONCLUSIVE


def test_errors_count_below_the_bound_alone():
    bound = math.log(2) / 10
    loss, accuracy = ((0.999 * bound, 1.001 * bound, 1.0),) * 2, ((1, 0.9, 0.9),) * 2
    found = {"one": path(loss, accuracy)}
    assert measures.wrong_below(("one",), 1.0)(found) == 0
    assert measures.wrong_below(("one",), 1.01)(found) == 2
    assert measures.wrong_below(("one",), 0.5)(found) is None
    assert measures.by_lemma(("one",), 1.0).met(found)
    assert not measures.by_lemma(("one",), 1.01).met(found)


def test_figures_and_tables_are_made_of_the_scans(trees):
    drawn = {name: figure.series(trees) for name, figure in figures.figures().items()}
    assert [len(each) for each in drawn.values()] == [7, 4, 2]
    assert drawn["lines"][0].label == "start 0, barrier 0.5"
    assert list(drawn["ends"][0].y) == [4e-4, 5e-4]
    panels = [name for pair in figures.pairs(near=False).values() for name in pair.panels.values()]
    assert sorted(panels) == sorted([*scans.surfaces(), "hidden-skips", "hidden-plain"])
    for table in tables.tables(near=True).values():
        rows = table.rows(trees)
        assert {len(row) for row in rows} == {len(table.columns)}
    by_scan = {row[0]: row[1:] for row in tables.tables(near=True)["paths"].rows(trees)}
    assert by_scan["path-plain"][-3:] == [0.12, 0.3, 0.9]
    assert by_scan["path-plain"][2] == 0
    assert tables.tables(near=True)["planes"].rows(trees)[-1][-2] == pytest.approx(30)
