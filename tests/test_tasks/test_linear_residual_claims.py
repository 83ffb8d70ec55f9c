"""The claims on linear residual nets hold on what fulfils them and are refuted on what does not."""

import json

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import Outcome, parse_spec
from schemas.layout import DescentOutcome
from schemas.starts import start_generator
from tasks import BuildContext
from tasks.linear import residual_claims as claims
from tasks.linear import residual_inequality as inequality
from tasks.linear import residual_measures as measures
from tasks.linear.residual import build_residual
from tasks.linear.residual_parameters import ResidualParameters
from tasks.linear.residual_study import residual_study

HOLDS, REFUTED, UNDECIDED = Outcome.HOLDS, Outcome.REFUTED, Outcome.INCONCLUSIVE


def built(z, seed, raw):
    context = BuildContext(z=z, seed=seed, splits=("excess",))
    return build_residual(ResidualParameters.model_validate(raw), context)


def slopes(landscape, theta):
    """Losses and gradient norms at parameters (P, n)."""
    leaf = torch.from_numpy(theta).requires_grad_()
    losses = landscape.objective.functions["excess"](leaf)
    (found,) = torch.autograd.grad(losses.sum(), leaf)
    return losses.detach().numpy(), found.norm(dim=1).numpy()


def stored(landscapes, points, dim, **more):
    """What a scan of the landscapes at points (P, z) leaves."""
    losses, norms, fields = [], [], []
    for landscape, at in zip(landscapes, points, strict=True):
        theta = landscape.section.parameters(torch.from_numpy(at))["theta"].numpy()
        loss, norm = slopes(landscape, theta)
        losses.append(loss)
        norms.append(norm)
        fields.append(landscape.fields["largest_norm"].function(at))
    dims = ("replicate", "split", dim)
    variables = {
        "loss": (dims, np.array(losses)[:, None]),
        "gradient_norm": (dims, np.array(norms)[:, None]),
        "largest_norm": (("replicate", dim), np.array(fields)),
        **more,
    }
    dataset = xr.Dataset(variables, coords={"split": ["excess"]})
    if len(landscapes) == 1:
        dataset = dataset.isel(replicate=0)
    dataset.attrs["facts"] = json.dumps([dict(landscape.facts) for landscape in landscapes])
    return dataset


def line(coordinates, seeds=(0,), **raw):
    at = np.array(coordinates)[:, None]
    found = stored([built(1, seed, raw) for seed in seeds], [at] * len(seeds), "t")
    return found.assign_coords(t=np.array(coordinates))


def ball(num=400, seed=0, **raw):
    landscape = built(None, seed, raw)
    theta = np.array([landscape.draw(start_generator(seed, k), 1.0) for k in range(num)])
    return stored([landscape], [theta], "start")


def changed(dataset, **values):
    """The scan with variables replaced; functions get the old values."""
    other = dataset.copy(deep=True)
    for name, value in values.items():
        other[name].values[...] = value(other[name].values) if callable(value) else value
    return other


def with_facts(dataset, **values):
    other = dataset.copy()
    facts = [{**each, **values} for each in json.loads(dataset.attrs["facts"])]
    other.attrs["facts"] = json.dumps(facts)
    return other


def judged(claim, **scans):
    trees = {name: xr.DataTree(dataset) for name, dataset in scans.items()}
    return claim.judge({name.replace("_", "-"): tree for name, tree in trees.items()})


DEPTHS = {"a": 8, "b": 32, "c": 128}
RANDOM = {"kind": "random", "gamma": 0.6}


@pytest.fixture(scope="module")
def constructed():
    return {
        name: line([-0.1, 0.0, 0.1], (0, 1, 2), layers=layers, target=RANDOM, origin="construction")
        for name, layers in DEPTHS.items()
    }


def test_the_construction_fulfils_its_claims(constructed):
    for claim in claims.construction([list(DEPTHS)]):
        assert judged(claim, **constructed).as_expected, claim.name


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("construction-is-global", {"loss": 1e-18}),
        ("construction-is-critical", {"gradient_norm": 1e-6}),
        ("norm-within-conference-bound", {"largest_norm": 0.16}),
        ("norm-within-later-bound", {"largest_norm": 0.12}),
        ("norm-decays-with-depth", {"largest_norm": 0.04}),
    ],
)
def test_a_broken_construction_is_refuted(constructed, name, broken):
    (claim,) = (c for c in claims.construction([list(DEPTHS)]) if c.name == name)
    worst = constructed["c"].copy(deep=True)
    for variable, value in broken.items():
        worst[variable].values[1] = value  # one of three R
    assert judged(claim, **{**constructed, "c": worst}).verdict is REFUTED


def test_layers_in_the_wrong_order_are_no_minimum():
    raw = {"layers": 16, "dimension": 3, "target": RANDOM, "origin": "construction"}
    landscape = built(1, 0, raw)
    origin = landscape.section.origin["theta"].reshape(16, -1)
    landscape.section.origin["theta"][:] = origin.flip(0).reshape(-1)
    scan = stored([landscape], [np.zeros((1, 1))], "t").assign_coords(t=[0.0])
    assert judged(claims.construction([["s"]])[0], s=scan).verdict is REFUTED


def test_without_depth_or_a_positive_determinant_nothing_is_said_of_the_construction(constructed):
    claim = claims.construction([["a"]])[0]
    for broken in ({"determinant": -1.0}, {"gamma": 3.0}):
        assert judged(claim, a=with_facts(constructed["a"], **broken)).verdict is UNDECIDED


def test_too_few_layers_need_greater_norms_than_the_bound():
    target = {"kind": "given", "rows": [[1e4, 0], [0, 1e4]]}
    scan = line([0.0], layers=2, target=target, origin="construction")
    verdict = judged(claims.too_shallow("s"), s=scan)
    assert verdict.as_expected
    bound = json.loads(scan.attrs["facts"])[0]["bound_conference"]
    assert verdict.value == pytest.approx(99 / bound)


def ends(norms, excess, outcomes, determinant=1.0):
    """A scan of descents that end at A = norm·I, with two layers and d = 1."""
    theta = np.repeat(np.array(norms)[None], 2, axis=0)
    dims = ("split", "start")
    facts = [{"dimension": 1, "layers": 2, "determinant": determinant}]
    return xr.Dataset(
        {
            "loss": (dims, np.ones((1, len(norms)))),
            "largest_norm": ("start", np.full(len(norms), 0.9)),
            "end_loss": (dims, np.array([excess])),
            "outcome": (dims, np.array([outcomes], dtype=np.uint8)),
            "end_parameters": (("split", "number", "start"), theta[None]),
        },
        coords={"split": ["excess"]},
        attrs={"facts": json.dumps(facts)},
    )


GLOBAL, SADDLE, LOST = (
    int(o) for o in (DescentOutcome.GLOBAL, DescentOutcome.SADDLE, DescentOutcome.NOT_CONVERGED)
)
# Thirty ends in the ball, a saddle outside of it, one on its edge, and one that was given up.
USUAL = ([0.5] * 30 + [2.0, 0.999, 0.5], [1e-22] * 30 + [0.7, 0.7, 0.9])
OUTCOMES = [GLOBAL] * 30 + [SADDLE, SADDLE, LOST]


def test_critical_points_in_the_ball_are_judged_and_no_others():
    claim = claims.critical_in_ball(["s"], "s")
    verdict = judged(claim, s=ends(*USUAL, OUTCOMES))
    assert (verdict.verdict, verdict.value) == (HOLDS, 1e-22)
    norms, excess = USUAL
    found = judged(claim, s=ends(norms, [1e-6, *excess[1:]], [SADDLE, *OUTCOMES[1:]]))
    assert found.verdict is REFUTED
    few = ends(norms[20:], excess[20:], OUTCOMES[20:])
    assert judged(claim, s=few).verdict is UNDECIDED
    beyond = changed(ends(*USUAL, OUTCOMES), largest_norm=1.2)
    assert judged(claim, s=beyond).verdict is UNDECIDED


def test_the_ends_outside_of_the_ball_are_the_control():
    claim = claims.critical_outside(["s"])
    assert judged(claim, s=ends(*USUAL, OUTCOMES)).as_expected
    norms, excess = USUAL
    tame = ends(norms, [*excess[:30], 1e-22, 0.7, 0.9], OUTCOMES)
    assert not judged(claim, s=tame).as_expected


def test_minima_in_the_ball_are_counted_over_all_starts():
    claim = claims.minimum_in_ball(["s"], "s")
    verdict = judged(claim, s=ends(*USUAL, OUTCOMES))
    assert (verdict.verdict, verdict.value) == (HOLDS, 30 / 33)
    norms, excess = USUAL
    saddles = ends(norms, excess, [SADDLE] * 5 + OUTCOMES[5:])
    assert judged(claim, s=saddles).value == 25 / 33
    outside = ends([1.5] * 30 + norms[30:], excess, OUTCOMES, determinant=-1.0)
    control = claim.as_control("control")
    assert judged(control, s=outside).as_expected
    assert not judged(control, s=ends(*USUAL, OUTCOMES, determinant=-1.0)).as_expected


def test_the_margin_of_a_negative_determinant():
    claim = claims.determinant_margin(["s"], "s")
    negative = {"kind": "random", "gamma": 0.5, "determinant": "negative"}
    scan = ball(layers=3, dimension=2, target=negative)
    assert judged(claim, s=scan).as_expected
    margin = json.loads(scan.attrs["facts"])[0]["least_excess_beyond"]
    assert judged(claim, s=changed(scan, loss=0.9 * margin)).verdict is REFUTED
    positive = ball(layers=3, dimension=1, target=RANDOM)
    assert judged(claim, s=positive).verdict is UNDECIDED
    assert judged(claim.as_control("control"), s=positive).as_expected


def test_the_critical_point_on_the_edge_of_the_ball():
    point, control = claims.boundary("s")
    scan = line([0.0], layers=2, target={"kind": "identity"}, origin="boundary")
    verdict = judged(point, s=scan)
    assert (verdict.verdict, verdict.value) == (HOLDS, 0.0)
    assert judged(control, s=scan).as_expected
    assert judged(control, s=scan).value == 2.0
    assert judged(point, s=changed(scan, loss=1.9)).verdict is REFUTED
    assert judged(point, s=changed(scan, gradient_norm=1e-3)).verdict is REFUTED
    # Where the gradient is not zero, nothing is said of critical points.
    assert judged(control, s=changed(scan, gradient_norm=1e-3)).verdict is UNDECIDED


@pytest.fixture(scope="module")
def counterexamples():
    one = {"kind": "identity"}
    given = {"kind": "given", "rows": [[4]]}
    shallow = {"kind": "given", "rows": [[2]]}
    return {
        "printed_deep": line(
            [0.0], dimension=1, layers=3, target=one, origin="given", layer=[[-0.5]]
        ),
        "printed_shallow": line([0.0], dimension=1, layers=1, target=shallow, covariance=given),
    }


def test_the_printed_inequality_is_refuted_by_two_points(counterexamples):
    refuted, digits = inequality.printed()
    verdict = judged(refuted, **counterexamples)
    assert verdict.as_expected
    assert verdict.verdict is REFUTED
    assert verdict.value == pytest.approx(0.25)
    assert judged(digits, **counterexamples).as_expected
    other = changed(counterexamples["printed_deep"], gradient_norm=lambda v: v + 1e-6)
    assert judged(digits, **{**counterexamples, "printed_deep": other}).verdict is REFUTED


def test_the_corrected_inequality_holds_is_tight_and_cannot_be_stronger():
    claim, tight, stronger = inequality.corrected(["s"], "line")
    scan = ball(layers=3, dimension=1, covariance={"kind": "given", "rows": [[4]]})
    alphas = np.linspace(-1, 0, 21)
    one = {"kind": "identity"}
    along = line(alphas, layers=3, dimension=2, target=one, directions="identity")
    for each in (claim, tight, stronger):
        assert judged(each, s=scan, line=along).as_expected, each.name
    less = changed(along, gradient_norm=lambda v: v * (1 - 1e-7))
    assert judged(tight, s=scan, line=less).verdict is REFUTED
    least = measures.least_ratio(["s"], measures.corrected_constant)({"s": xr.DataTree(scan)})
    lower = changed(scan, gradient_norm=lambda v: v * np.sqrt(0.99 / least))
    assert judged(claim, s=lower, line=along).verdict is REFUTED
    assert judged(claim, s=changed(scan, largest_norm=1.5), line=along).verdict is UNDECIDED


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    layers=st.integers(1, 5),
    d=st.integers(1, 4),
    scale=st.floats(0.05, 1.0),
    condition=st.floats(1, 50),
)
def test_the_corrected_inequality_holds_anywhere_in_the_ball(seed, layers, d, scale, condition):
    covariance = {"kind": "random", "condition": condition}
    raw = {"layers": layers, "dimension": d, "covariance": covariance}
    landscape = built(None, seed, raw)
    theta = np.array([landscape.draw(start_generator(seed, k), scale) for k in range(20)])
    tree = xr.DataTree(stored([landscape], [theta], "start"))
    tau, ratios = measures.ratios(tree, measures.corrected_constant)
    assert len(tau) == 20
    assert (ratios >= inequality.RATIO).all()


@pytest.mark.parametrize("quick", [True, False])
def test_the_study_judges_every_theorem_and_breaks_each(quick):
    study = residual_study(quick)
    assert all("arXiv:1611.04231" in claim.source for claim in study.claims)
    assert all(claim.hypothesis is not None for claim in study.claims)
    for theorem in ("Theorem 2.1", "Theorem 2.2", "inequality (2.3)"):
        about = [claim for claim in study.claims if theorem in claim.source]
        assert any(claim.control for claim in about)
        assert any(not claim.control for claim in about)
    # The same R at all depths of a series.
    seeds = {spec.seed for name, spec in study.scans.items() if name.startswith("depth-")}
    assert len(seeds) == 1


def test_a_single_scan_is_judged_by_what_it_measured():
    raw = {"task": "linear-residual", "starts": {"num": 4}, "splits": ["excess"]}
    assert inequality.claims_on(parse_spec(raw)) == ()
    spec = parse_spec({**raw, "metrics": ["loss", "gradient_norm"]})
    (claim,) = inequality.claims_on(spec)
    assert judged(claim, scan=ball()).as_expected
    spec = parse_spec({**raw, "descent": {"method": "newton", "keep_parameters": True}})
    (claim,) = inequality.claims_on(spec)
    assert judged(claim, scan=ends(*USUAL, OUTCOMES)).as_expected
