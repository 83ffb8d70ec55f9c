"""Sections through copies of the units of a narrow network, and what is claimed of them."""

import json
from itertools import product

import numpy as np
import pytest
import torch
import xarray as xr

from schemas.errors import SpecError
from schemas.scan import parse_spec
from schemas.study import Outcome, Study
from tasks import TASKS, BuildContext
from tasks.symmetry.counts import copies
from tasks.symmetry.critical_claims import critical_claims
from tasks.symmetry.critical_figures import critical_figures, critical_surfaces, critical_tables
from tasks.symmetry.critical_scans import PLATEAU, REVERSED, SADDLE, critical_scans
from tasks.symmetry.curvature import Regression, derivatives
from tasks.symmetry.network import flattened
from tasks.threads import one_thread

OFF = "first", "second"
SMALL = {"data": "random", "teacher_units": [3], "samples": 40, "units": [4], "narrow": 2}


@pytest.fixture(autouse=True, scope="module")
def _single_thread():
    """Small products are slower on several threads."""
    with one_thread():
        yield


def build(z=None, seed=0, **parameters):
    task = TASKS["symmetry-net"]
    return task.builder()(task.parse(parameters), BuildContext(z=z, seed=seed, splits=("train",)))


def weights_at(landscape, *points):
    """The weights (m, d), (1, m) at each point."""
    whole = landscape.section.origin
    rows = landscape.section.parameters(torch.tensor(points, dtype=torch.float64))
    full = {name: rows.get(name, whole[name].expand(len(points), -1, -1)) for name in whole}
    hidden, output = (part.numpy() for part in full.values())
    return list(zip(hidden, output, strict=True))


def data_of(landscape):
    split = landscape.objective.splits["train"]
    activation = landscape.facts["activation"]
    return Regression(split.inputs.numpy(), split.targets.numpy(), activation)


def test_embeddings_are_critical_and_others_are_not():
    landscape = build(3, section="embedded", **SMALL)
    data, ways = data_of(landscape), landscape.facts["copied"]
    assert len(ways) == copies(2, 4) == 14
    for number in range(14):
        on, more, moved = weights_at(landscape, (number, 0, 0), (number, 0.5, 0), (number, 0, 0.5))
        found = derivatives(on, data)
        assert found.slope < 1e-12
        assert found.loss == pytest.approx(landscape.facts["critical_loss"], rel=1e-10)
        assert min(derivatives(each, data).slope for each in (more, moved)) > 1e-4
        narrow = np.array(landscape.facts["critical"][1])[0]
        for unit in (0, 1):
            own = np.array(ways[number]) == unit
            assert on[1][0, own].sum() == pytest.approx(narrow[unit])
            assert more[1][0, own].sum() == pytest.approx(1.5 * narrow[unit])
        (off,) = np.flatnonzero(np.abs(moved[0] - on[0]).sum(axis=1))
        assert ways[number].count(ways[number][off]) > 1


def test_copies_part_along_eigenvectors():
    landscape = build(3, section="duplicate", copied=1, **SMALL)
    first, (apart,) = (weights_at(landscape, at) for at in ((0.3, 0, 0), (0.3, 0.2, -0.1)))
    (hidden, output), moved = first[0], apart[0]
    narrow, outputs = (np.array(each) for each in landscape.facts["critical"])
    np.testing.assert_allclose(hidden, narrow[[0, 1, 1, 1]])
    np.testing.assert_allclose(output[0], outputs[0][[0, 1, 1, 1]] * [1, 0.3, 0.35, 0.35])
    np.testing.assert_array_equal(apart[1], output)
    away = moved - hidden
    np.testing.assert_allclose(away[2:], [-0.3 / 0.7 * away[1]] * 2)
    assert np.linalg.norm(away[1]) == pytest.approx(0.7 * np.hypot(0.2, 0.1))
    assert not away[0].any()
    # Starts are about the point with the share that is given.
    about = build(section="duplicate", copied=1, share=0.3, **SMALL).section
    assert about.whole
    origin = torch.cat([part.reshape(-1) for part in about.origin.values()]).numpy()
    np.testing.assert_allclose(origin, flattened((hidden, output)))


@pytest.mark.parametrize(
    ("z", "parameters", "message"),
    [
        (2, {"section": "embedded"}, "section: embedded needs 3"),
        (4, {"section": "duplicate"}, "has the share and 2 eigenvectors"),
        (3, {"section": "embedded", "units": [12]}, "in 4094 ways; expected at most 1000"),
        (3, {"section": "embedded", "units": [2]}, "wider than narrow: 2"),
        (3, {"section": "duplicate", "copied": 2}, "expected 0 to 1"),
    ],
)
def test_what_does_not_fit_is_said(z, parameters, message):
    with pytest.raises(SpecError, match=message):
        build(z, **{**SMALL, **parameters})


def tree_of(raw):
    """A scan of the study; its metrics are those of the closed form, and descents have an end."""
    spec = parse_spec(raw)
    landscape = build(None if spec.starts else len(spec.axes), spec.seed, **spec.parameters)
    attrs = {"facts": json.dumps([landscape.facts])}
    if spec.starts:
        loss = landscape.facts["critical_loss"]
        end = loss * (1.0 if raw["parameters"]["copied"] == PLATEAU.unit else 0.1)
        values = {"loss": ("start", [1.01 * loss] * 3), "end_loss": ("start", [end] * 3)}
        return xr.DataTree(xr.Dataset(values, attrs=attrs))
    axes = {name: axis.coordinates(0, axis.num) for name, axis in spec.axes.items()}
    points = list(product(*axes.values()))
    found = [derivatives(each, data_of(landscape)) for each in weights_at(landscape, *points)]
    dims, shape = ["split", *axes], [1, *map(len, axes.values())]
    values = {
        "loss": (dims, np.reshape([each.loss for each in found], shape)),
        "gradient_norm": (dims, np.reshape([each.slope for each in found], shape)),
    }
    if "section_hessian" in spec.metrics:
        turned = along_axes(landscape.section, np.array(points), found)
        hessian = np.moveaxis(turned.reshape(*shape, 3, 3), [-2, -1], [1, 2])
        values["section_hessian"] = (["split", "axis", "axis_other", *axes], hessian)
        least = [np.linalg.eigvalsh(one.hessian)[0] for one in found]
        values["hessian_eigenvalue_min"] = (dims, np.reshape(least, shape))
    return xr.DataTree(xr.Dataset(values, axes, attrs))


def along_axes(section, points, found):
    """Second derivatives along the axes (P, z, z), by the chain rule."""
    ways = np.stack(
        [
            np.concatenate(
                [
                    way.get(name, torch.zeros_like(like)).ravel()
                    for name, like in section.origin.items()
                ]
            )
            for way in section.directions
        ]
    )
    pairs = zip(section.chart.jacobian(points), section.chart.hessian(points), found, strict=True)
    return np.stack(
        [
            slope.T @ ways @ one.hessian @ ways.T @ slope
            + np.tensordot(ways @ one.gradient, bend, 1)
            for slope, bend, one in pairs
        ]
    )


@pytest.fixture(scope="module")
def scans():
    return {name: tree_of(raw) for name, raw in critical_scans(quick=True).items()}


def judged(scans):
    return {claim.name: claim.judge(scans) for claim in critical_claims(quick=True)}


def changed(scans, scan, **facts):
    """The scans, one of them with other facts, or with a variable that a function changes."""
    tree = scans[scan]
    data = tree.to_dataset().copy(deep=True)
    known = json.loads(tree.attrs["facts"])
    for name, value in facts.items():
        if callable(value):
            data[name] = value(data[name])
        else:
            known[0][name] = value
    return {**scans, scan: xr.DataTree(data.assign_attrs(facts=json.dumps(known)))}


def test_the_claims_are_as_expected(scans):
    verdicts = judged(scans)
    assert [name for name, verdict in verdicts.items() if not verdict.as_expected] == []
    by_unit = verdicts["copies-are-saddles"]
    assert by_unit.verdict is Outcome.CONDITIONAL
    assert by_unit.cases == {"unit 1 of 2": Outcome.REFUTED, "unit 2 of 2": Outcome.HOLDS}
    (table,) = critical_tables(True).values()
    plateau, saddle = table.rows(scans)
    assert plateau[5:7] == ["positive definite", True]
    assert plateau[8:] == ["local minimum", "strict saddle"]
    assert saddle[5:7] == ["indefinite", True]
    assert saddle[8:] == ["strict saddle", "strict saddle"]
    assert saddle[7] == pytest.approx(-0.5)
    curves, ends = critical_figures(True).values()
    assert [each.y for each in ends.series(scans)] == [[1.0] * 3, [pytest.approx(0.1)] * 3]
    flat, bent = curves.series(scans)
    assert flat.label == "unit 1 of 2: U positive definite"
    assert [round(min(each.y), 2) for each in (flat, bent)] == [-0.65, -0.5]


EMBEDDED, PLATEAU_ENDS, SADDLE_ENDS = (
    "embedded-2-3",
    *(u.near("between") for u in (PLATEAU, SADDLE)),
)
ON, OTHER = PLATEAU.curve, SADDLE.curve
LEAST, SIGNS = "hessian_eigenvalue_min", ["positive definite", "indefinite"]


def proof(**other):
    return {"proof": {"minimum": True, "kinds": SIGNS, "loss_lower": 0.005, **other}}


def plus(change):
    return lambda values: values + change


def times(*factors):
    return lambda values: values * np.array(factors)


@pytest.mark.parametrize(
    ("claim", "scan", "change", "outcome"),
    [
        ("copies-are-critical", EMBEDDED, {"gradient_norm": plus(1e-9)}, "refuted"),
        ("copies-are-critical", EMBEDDED, {"critical_slope": 1e-6}, "inconclusive"),
        ("copies-are-critical", EMBEDDED, {"shares": [[1, 1, 1]] * 6}, "inconclusive"),
        ("copies-have-the-loss", EMBEDDED, {"loss": times(1 + 1e-9)}, "refuted"),
        ("curvature-of-copies", OTHER, {"section_hessian": times(1 + 1e-6)}, "refuted"),
        ("copies-are-saddles", ON, {LEAST: plus(-1e-3)}, "holds"),
        ("definite-are-no-saddles", ON, {LEAST: plus(-1e-8)}, "refuted"),
        ("definite-are-no-saddles", ON, {"kinds": SIGNS[::-1]}, "inconclusive"),
        ("definite-beyond-are-saddles", ON, {LEAST: times(*[[[1]]] * 12, [[0]])}, "refuted"),
        ("plateau-proved", ON, {"critical_least_eigenvalue": -1.0}, "inconclusive"),
        ("plateau-proved", ON, proof(minimum=False), "refuted"),
        ("plateau-proved", ON, proof(kinds=[None, "indefinite"]), "refuted"),
        ("plateau-proved", ON, proof(loss_lower=-1e-9), "refuted"),
        ("descents-stay-at-the-plateau", PLATEAU_ENDS, {"end_loss": times(1, 1, 0.9)}, "refuted"),
        ("descents-stay-at-the-plateau", PLATEAU_ENDS, {"loss": times(0.9)}, "refuted"),
        ("descents-stay-at-the-plateau", PLATEAU_ENDS, {"share": 1.5}, "inconclusive"),
        ("descents-leave-the-saddle", SADDLE_ENDS, {"end_loss": times(1, 1, 9)}, "refuted"),
    ],
)
def test_a_claim_sees_what_is_not_so(scans, claim, scan, change, outcome):
    assert judged(changed(scans, scan, **change))[claim].verdict == outcome


def test_the_reverse_of_a_plateau():
    raw = critical_scans(quick=False)[REVERSED.curve]
    axes = {"share": {**raw["axes"]["share"], "num": 7}, **{key: {"values": [0.0]} for key in OFF}}
    tree = tree_of({**raw, "axes": axes})
    found = [claim for claim in critical_claims(quick=False) if claim.name.startswith("negative")]
    assert [claim.judge({REVERSED.curve: tree}).as_expected for claim in found] == [True] * 4


@pytest.mark.parametrize("quick", [True, False])
def test_claims_are_of_scans_there_are(quick):
    raw = critical_scans(quick)
    study = Study(
        "critical",
        "",
        {name: parse_spec(each, name) for name, each in raw.items()},
        tuple(critical_claims(quick)),
        critical_figures(quick),
        critical_tables(quick),
        critical_surfaces(quick),
    )
    assert len({spec.seed for spec in study.scans.values()}) == len(study.scans)
    for spec in study.scans.values():
        TASKS["symmetry-net"].parse(spec.parameters)
