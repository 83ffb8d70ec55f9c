"""The claims on deep linear networks: each holds on what is so, and is refuted on what is not."""

import json
from itertools import combinations

import numpy as np
import pytest
import torch
import xarray as xr

from schemas import parse_spec
from schemas.layout import DescentOutcome
from schemas.study import Outcome
from tasks import TASKS, BuildContext, normalised
from tasks.linear import deep_claims as claims
from tasks.linear import deep_measures as measures
from tasks.linear.deep import RISE, build_deep_linear, factorised
from tasks.linear.deep_data import draw_samples, regress
from tasks.linear.deep_parameters import DeepLinearParameters
from tasks.linear.deep_study import deep_linear_study

NOT_CONVERGED, MINIMUM = int(DescentOutcome.NOT_CONVERGED), int(DescentOutcome.MINIMUM)
DISTANCES = np.array([0.0, *np.logspace(-5, -1, 9)])


def build(given, z=None, splits=("train",)):
    parameters = DeepLinearParameters(**given)
    landscape = build_deep_linear(parameters, BuildContext(z=z, seed=2, splits=splits))
    return landscape, regress(draw_samples(parameters, 2)["train"])


def critical_points(given):
    """Weights (n, K) at which the loss is stationary: products U_S U_Sᵀ YXᵀ(XXᵀ)⁺ for every S."""
    _, regression = build(given)
    number, narrowest = len(regression.vectors), min(given["widths"])
    found = []
    for size in range(min(number, narrowest) + 1):
        for kept in combinations(range(number), size):
            vectors = regression.vectors[:, list(kept)]
            product = vectors @ vectors.T @ regression.least_squares
            found.append(factorised(product, tuple(given["widths"])))
    return np.stack(found, axis=1)


def tree_of(facts, data):
    return xr.DataTree(data.assign_attrs(facts=json.dumps([dict(facts)])))


def ends_tree(given, parameters=None, outcome=None, **changed):
    """A scan whose descents have ended at these weights (n, K), by default at global minima."""
    landscape, regression = build(given)
    if parameters is None:
        least = regression.minimiser(min(given["widths"]))
        parameters = np.repeat(factorised(least, tuple(given["widths"]))[:, None], 8, axis=1)
    losses = landscape.objective.functions["train"](torch.from_numpy(parameters.T.copy())).numpy()
    codes = np.full(parameters.shape[1], MINIMUM) if outcome is None else np.asarray(outcome)
    data = xr.Dataset(
        {
            "end_loss": (("split", "start"), losses[None]),
            "outcome": (("split", "start"), codes[None]),
            "end_parameters": (("split", "number", "start"), parameters[None]),
        },
        coords={"split": ["train"]},
    )
    return tree_of({**landscape.facts, **changed}, data)


def line_tree(given, **changed):
    """A scan along a line, with its derivatives by autograd."""
    landscape, _ = build(given, 1, ("train", RISE))
    theta = landscape.section.parameters(torch.from_numpy(DISTANCES[:, None]))["theta"]
    functions = landscape.objective.functions
    losses = np.stack([functions[split](theta).numpy() for split in ("train", RISE)])

    def loss(vector):
        return functions["train"](vector[None])[0]

    slopes = [torch.autograd.functional.jacobian(loss, at).norm() for at in theta]
    spectra = [torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, at)) for at in theta]
    least, greatest = torch.stack(spectra)[:, [0, -1]].T
    twice = {"norm": torch.stack(slopes), "least": least, "greatest": greatest}
    twice = {name: np.stack([values.numpy()] * 2) for name, values in twice.items()}
    dims = ("split", measures.AXIS_NAME)
    data = xr.Dataset(
        {
            "loss": (dims, losses),
            "gradient_norm": (dims, twice["norm"]),
            "hessian_eigenvalue_min": (dims, twice["least"]),
            "hessian_eigenvalue_max": (dims, twice["greatest"]),
        },
        coords={"split": ["train", RISE], measures.AXIS_NAME: DISTANCES},
    )
    return tree_of({**landscape.facts, **changed}, data)


def verdict(claim, tree):
    return claim.judge({"s": tree})


WIDE, NARROW = {"widths": (4, 4, 3)}, {"widths": (4, 2, 3)}
DEFICIENT = {"widths": (4, 4, 3), "input_rank": 2}
GLOBAL = claims.no_spurious_minima("a", "on data of full rank", "s")
OWN = claims.bottleneck_reaches_its_own("s")
MAP = claims.global_where_map_is_critical("f", "here", "s")
VALUES = claims.critical_values("g", "linear layers", "s")


def test_all_at_the_global_minimum_holds():
    assert verdict(GLOBAL, ends_tree(WIDE)).verdict is Outcome.HOLDS
    assert verdict(OWN, ends_tree(NARROW)).verdict is Outcome.HOLDS
    deficient = claims.no_spurious_minima("b", "there", "s", deficient=True)
    assert verdict(deficient, ends_tree(DEFICIENT)).verdict is Outcome.HOLDS
    assert verdict(deficient, ends_tree(WIDE)).verdict is Outcome.INCONCLUSIVE


def test_one_end_elsewhere_refutes_even_where_many_are_given_up():
    ends = critical_points(WIDE)
    assert verdict(GLOBAL, ends_tree(WIDE, ends)).verdict is Outcome.REFUTED
    codes = [MINIMUM, *[NOT_CONVERGED] * (ends.shape[1] - 2), MINIMUM]
    judged = verdict(GLOBAL, ends_tree(WIDE, ends, codes))
    assert (judged.verdict, judged.value) == (Outcome.REFUTED, 0.5)
    codes[0] = NOT_CONVERGED
    assert verdict(GLOBAL, ends_tree(WIDE, ends, codes)).verdict is Outcome.INCONCLUSIVE
    codes[-1] = NOT_CONVERGED
    assert verdict(GLOBAL, ends_tree(WIDE, ends, codes)).verdict is Outcome.INCONCLUSIVE


def test_a_wrong_global_minimum_refutes():
    right = ends_tree(WIDE)
    least = json.loads(right.attrs["facts"])[0]["global_minimum"]
    for wrong in (least * 0.99, least * 1.01):
        assert verdict(GLOBAL, ends_tree(WIDE, global_minimum=wrong)).verdict is Outcome.REFUTED


def test_a_bottleneck_breaks_the_hypotheses_and_does_not_reach_the_regression():
    judged = verdict(claims.bottleneck_reaches_regression("s"), ends_tree(NARROW))
    assert judged.as_expected
    assert (judged.verdict, judged.hypothesis_met) == (Outcome.REFUTED, False)
    assert verdict(GLOBAL, ends_tree(NARROW)).verdict is Outcome.INCONCLUSIVE
    wide = verdict(claims.bottleneck_reaches_regression("s"), ends_tree(WIDE))
    assert not wide.as_expected


def test_values_that_coincide_are_not_distinct():
    assert verdict(OWN, ends_tree(NARROW)).hypothesis_met
    assert not verdict(OWN, ends_tree(NARROW, eigenvalues=[1.0, 1.0, 0.5])).hypothesis_met
    assert not verdict(OWN, ends_tree({"widths": (3, 2, 4)})).hypothesis_met


def test_with_a_relu_ends_are_compared_with_the_least_of_them():
    given = {**WIDE, "relu_after": 1}
    rng = np.random.default_rng(0)
    claim = claims.relu_has_spurious_minima("s")
    judged = verdict(claim, ends_tree(given, rng.standard_normal((28, 5))))
    assert (judged.value, judged.as_expected) == (0.2, True)
    equal = np.repeat(rng.standard_normal((28, 1)), 5, axis=1)
    assert verdict(claim, ends_tree(given, equal)).verdict is Outcome.HOLDS


def test_the_two_criteria_of_a_critical_point():
    assert verdict(MAP, ends_tree(WIDE, critical_points(WIDE))).verdict is Outcome.HOLDS
    narrow = verdict(MAP, ends_tree(NARROW, critical_points(NARROW)))
    assert (narrow.verdict, narrow.hypothesis_met) == (Outcome.INCONCLUSIVE, False)
    control = claims.global_where_map_is_critical("f", "with a bottleneck", "s", control=True)
    assert verdict(control, ends_tree(NARROW, critical_points(NARROW))).as_expected


def test_other_data_tell_other_critical_points():
    ends = critical_points(WIDE)
    moment = json.loads(ends_tree(WIDE, ends).attrs["facts"])[0]["target_moment"]
    shuffled = ends_tree(WIDE, ends, target_moment=moment[::-1])
    assert verdict(MAP, shuffled).verdict is Outcome.REFUTED


def test_one_kind_of_critical_point_alone_says_nothing():
    for ends in (None, critical_points(WIDE)[:, :-1]):
        assert verdict(MAP, ends_tree(WIDE, ends)).verdict is Outcome.INCONCLUSIVE
    none = ends_tree(WIDE, critical_points(WIDE), [NOT_CONVERGED] * 8)
    assert verdict(MAP, none).verdict is Outcome.INCONCLUSIVE
    assert verdict(VALUES, none).verdict is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("given", [WIDE, NARROW], ids=str)
def test_losses_of_critical_points(given):
    ends = critical_points(given)
    assert verdict(VALUES, ends_tree(given, ends)).verdict is Outcome.HOLDS
    judged = verdict(VALUES, ends_tree(given, ends * 1.001))
    assert judged.verdict is Outcome.REFUTED
    # No more eigenvalues add up than the least width.
    narrower = ends_tree(given, ends, widths=(4, min(given["widths"]) - 1, 3))
    assert verdict(VALUES, narrower).verdict is Outcome.REFUTED


def test_other_critical_points_must_be_saddles():
    ends, saddle = critical_points(WIDE), int(DescentOutcome.SADDLE)
    claim = claims.others_are_saddles("h", "two layers", "s")
    right = ends_tree(WIDE, ends, [saddle] * 7 + [MINIMUM])
    assert verdict(claim, right).verdict is Outcome.HOLDS
    one_is_not = ends_tree(WIDE, ends, [saddle] * 6 + [MINIMUM] * 2)
    assert verdict(claim, one_is_not).verdict is Outcome.REFUTED
    assert verdict(claim, ends_tree(WIDE)).verdict is Outcome.INCONCLUSIVE
    assert verdict(claim, ends_tree({"widths": (4, 4, 4, 3)})).hypothesis_met is False
    with_relu = {**WIDE, "relu_after": 1}
    elsewhere = ends_tree(with_relu, np.eye(28)[:, :3])
    control = claims.others_are_saddles("h", "a ReLU", "s", control=True)
    assert verdict(control, elsewhere).hypothesis_met is False


def test_the_gradient_of_the_product_is_that_of_autograd():
    ends = np.random.default_rng(1).standard_normal((28, 3))
    (found,) = measures.ends({"s": ends_tree(WIDE, ends)}, "s")
    facts = found.facts
    x, y = (np.asarray(facts[name]) for name in ("input_moment", "target_moment"))
    for k, slope in enumerate(measures.map_gradients(found)):
        first, last = np.split(ends[:, k], [16])
        product = torch.from_numpy(last.reshape(3, 4) @ first.reshape(4, 4)).requires_grad_()
        loss = torch.trace(product @ torch.from_numpy(x) @ product.T)
        loss = loss - 2 * (product * torch.from_numpy(y)).sum()
        (gradient,) = torch.autograd.grad(loss, product)
        assert slope == pytest.approx(float(gradient.norm()) / (2 * np.linalg.norm(y)))


def layers(depth, **given):
    return {"widths": (3,) * depth + (2,), **given}


@pytest.mark.parametrize("depth", [3, 4])
def test_zero_is_a_bad_saddle_of_three_layers_or_more(depth):
    vanishes = claims.vanishes_at_zero("c", "here", "s")
    assert verdict(vanishes, line_tree(layers(depth))).verdict is Outcome.HOLDS
    control = claims.vanishes_at_zero("c", "here", "s", control=True)
    assert verdict(control, line_tree(layers(2))).as_expected
    assert verdict(vanishes, line_tree(layers(3, origin="minimum"))).hypothesis_met is False


def test_zero_of_two_layers_is_a_strict_saddle():
    claim = claims.strict_saddle_at_zero("d", "two layers", "s")
    assert verdict(claim, line_tree(layers(2))).verdict is Outcome.HOLDS
    assert verdict(claim, line_tree(layers(2), greatest_moment=1.0)).verdict is Outcome.REFUTED
    control = claims.strict_saddle_at_zero("d", "three layers", "s", control=True)
    assert verdict(control, line_tree(layers(3))).as_expected


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_lines_through_zero_fall_to_the_order_of_the_depth(depth):
    falls, flat = (
        make("e", "here", "s") for make in (claims.falls_from_zero, claims.flat_to_depth)
    )
    tree = line_tree(layers(depth))
    assert verdict(falls, tree).verdict is Outcome.HOLDS
    assert verdict(flat, tree).verdict is Outcome.HOLDS
    assert verdict(flat, line_tree(layers(depth), depth=depth + 1)).verdict is Outcome.REFUTED
    level = tree.to_dataset().assign(loss=tree["loss"] * 0)
    assert measures.share_below_origin("s")({"s": xr.DataTree(level)}) == 0


@pytest.mark.parametrize("origin", ["minimum", "seeded"])
def test_lines_elsewhere_are_not_as_flat(origin):
    flat = claims.flat_to_depth("e", "other points", "s", control=True)
    assert verdict(flat, line_tree(layers(3, origin=origin))).as_expected
    if origin == "minimum":
        falls = claims.falls_from_zero("e", "a minimum", "s", control=True)
        assert verdict(falls, line_tree(layers(3, origin=origin))).as_expected


def test_a_line_must_be_generic_and_its_rise_true():
    claim = claims.flat_to_depth("e", "here", "s")
    right = line_tree(layers(3))
    assert verdict(claim, right).hypothesis_met
    assert not verdict(claim, line_tree(layers(3), alignments=[1e-9])).hypothesis_met
    false = right.to_dataset().copy(deep=True)
    false["loss"].loc[{"split": RISE}] *= 1 + 1e-3
    assert not verdict(claim, xr.DataTree(false)).hypothesis_met


def test_the_worst_replicate_counts():
    one, other = ends_tree(WIDE), ends_tree(WIDE, critical_points(WIDE)[:, :8])
    data = xr.concat([one.to_dataset(), other.to_dataset()], "replicate", combine_attrs="drop")
    facts = [json.loads(tree.attrs["facts"])[0] for tree in (one, other)]
    both = xr.DataTree(data.assign_attrs(facts=json.dumps(facts)))
    judged = verdict(GLOBAL, both)
    assert (judged.verdict, judged.value) == (Outcome.REFUTED, 0.125)


@pytest.mark.parametrize(
    ("parameters", "descent", "names"),
    [
        (WIDE, {"method": "lm"}, ["no-spurious-minima"]),
        (NARROW, {"method": "lbfgs"}, ["narrow-global"]),
        (NARROW, {"method": "newton", "keep_parameters": True}, ["critical-values"]),
        (WIDE, {"method": "newton"}, ["critical-values"]),
        (
            WIDE,
            {"method": "newton", "keep_parameters": True},
            ["critical-values", "map-critical"],
        ),
        ({**WIDE, "relu_after": 1}, {"method": "lm"}, []),
        (WIDE, None, []),
    ],
    ids=str,
)
def test_what_a_single_scan_decides(parameters, descent, names):
    raw = {"task": "deep-linear", "parameters": parameters, "starts": {"num": 8}}
    spec = normalised(parse_spec({**raw, "descent": descent}), TASKS)
    found = TASKS["deep-linear"].claims_on(spec)
    assert [claim.name for claim in found] == names
    ends = critical_points(parameters) if "critical-values" in names else None
    for claim in found:
        judged = claim.judge({"scan": ends_tree(parameters, ends)})
        assert (judged.verdict, judged.figure) == (Outcome.HOLDS, "scan")


def test_a_single_scan_may_have_data_of_any_rank():
    raw = {"task": "deep-linear", "parameters": DEFICIENT, "starts": {"num": 8}, "descent": {}}
    (claim,) = TASKS["deep-linear"].claims_on(normalised(parse_spec(raw), TASKS))
    assert claim.judge({"scan": ends_tree(DEFICIENT)}).verdict is Outcome.HOLDS


@pytest.mark.parametrize("quick", [True, False])
def test_the_study_is_whole(quick):
    study = deep_linear_study(quick)
    names = [claim.name for claim in study.claims]
    assert len(set(names)) == len(names)
    assert {claim.figure for claim in study.claims} == set(study.figures)
    assert sum(claim.control for claim in study.claims) == 9
    assert all(claim.hypothesis for claim in study.claims)
    assert len(study.scans) == (9 if quick else 17)


def test_figures_are_drawn_from_the_scans():
    study = deep_linear_study(True)
    scans = {"critical-two": ends_tree(WIDE, critical_points(WIDE))}
    scans |= {"critical-narrow": ends_tree(NARROW, critical_points(NARROW))}
    scans |= {name: ends_tree(WIDE) for name in ("two-layers", "deficient-inputs", "narrow")}
    scans["relu"] = ends_tree({**WIDE, "relu_after": 1}, np.eye(28)[:, :3])
    scans |= {f"zero-{depth}": line_tree(layers(depth)) for depth in (2, 3)}
    scans["through-minimum"] = line_tree(layers(3, origin="minimum"))
    drawn = {name: figure.series(scans) for name, figure in study.figures.items()}
    for name, series in drawn.items():
        figure = study.figures[name]
        for one in series:
            assert len(one.x) == len(one.y) > 0
            assert figure.y_scale == "linear" or min(one.y) > 0
    three, exact = drawn[claims.FLATNESS][2:4]
    assert np.log(three.y[8] / three.y[0]) / np.log(1e4) == pytest.approx(3, abs=1e-3)
    assert exact.y[0] == pytest.approx(three.y[0])
    assert len(drawn[claims.CRITICAL][0].x) == 8
