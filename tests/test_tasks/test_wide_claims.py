"""Claims on what critical points meet: scans where each must say yes, and where no."""

import json

import numpy as np
import pytest
import torch
import xarray as xr

from schemas import Outcome
from schemas.layout import DescentOutcome
from tasks.wide import nguyen_hein_claims as claims
from tasks.wide import nguyen_hein_measures as measures
from tasks.wide.conditions import THEOREM
from tasks.wide.figures import condition_figures
from tasks.wide.network import features, network
from tasks.wide.nguyen_hein_measures import ends_of
from tasks.wide.scans import EXACT, LOWER, NETS, Starts, condition_scans, of
from tasks.wide.study import wide_layer_study
from tasks.wide.tables import condition_tables

HOLDS, REFUTED, INCONCLUSIVE = Outcome.HOLDS, Outcome.REFUTED, Outcome.INCONCLUSIVE
GIVEN_UP, SADDLE = DescentOutcome.NOT_CONVERGED, DescentOutcome.SADDLE
N = 5


class Case:
    """Critical points of a network on five seeded samples, made without any descent."""

    def __init__(self, *widths, seed=0, repeated=False, reached=True, bias=True):
        random = np.random.default_rng(seed)
        self.widths, self.random, self.reached, self.bias = widths, random, reached, bias
        self.inputs, self.targets = random.standard_normal((N, 2)), random.standard_normal(N)
        if repeated:
            self.inputs[1] = self.inputs[0]
        self.module = network(2, widths, "sigmoid", bias)
        self.named = dict(self.module.named_parameters())

    def fitted(self, count):
        """Random hidden layers and the best outputs, global if the last layer is wide: (count, n).

        Of those whose features are clearly independent.
        """
        found = []
        while len(found) < count:
            for value in self.named.values():
                value.data = torch.from_numpy(1.5 * self.random.standard_normal(value.shape))
            hidden = features(self.module, self.named, torch.from_numpy(self.inputs))[-1]
            columns = np.column_stack([hidden.detach().numpy(), np.ones(N)])
            singular = np.linalg.svd(columns, compute_uv=False)
            if singular[-1] > 1e-3 * singular[0]:
                best = np.linalg.lstsq(columns, self.targets, rcond=None)[0]
                found.append(self._with_outputs(best[:-1], best[-1]))
        return np.array(found)

    def constant(self, count):
        """Outputs of the targets' mean, of constant features and no output weights: (count, n)."""
        found = []
        for _ in range(count):
            for value in self.named.values():
                value.data = torch.from_numpy(1.5 * self.random.standard_normal(value.shape))
            self.named[f"layer{len(self.widths)}.weight"].data.zero_()
            found.append(self._with_outputs(np.zeros(self.widths[-1]), self.targets.mean()))
        return np.array(found)

    def _with_outputs(self, weights, offset):
        last = f"layer{len(self.widths) + 1}"
        self.named[f"{last}.weight"].data = torch.from_numpy(np.asarray(weights)[None])
        self.named[f"{last}.bias"].data = torch.tensor([offset], dtype=torch.float64)
        return torch.cat([value.data.reshape(-1) for value in self.named.values()]).numpy()

    def loss_and_slope(self, point):
        torch.nn.utils.vector_to_parameters(torch.from_numpy(point), self.module.parameters())
        outputs = self.module(torch.from_numpy(self.inputs))[:, 0]
        loss = (outputs - torch.from_numpy(self.targets)).square().mean()
        slope = torch.autograd.grad(loss, list(self.module.parameters()))
        return float(loss.detach()), float(torch.cat([part.reshape(-1) for part in slope]).norm())

    def tree(self, *groups, outcome=(), losses=()):
        """A scan whose descents have ended at these points; some with another outcome or loss."""
        points = np.concatenate(groups)
        outcomes = np.full(len(points), int(DescentOutcome.MINIMUM))
        ended = np.array([self.loss_and_slope(point)[0] for point in points])
        for at, value in outcome:
            outcomes[at] = int(value)
        for at, value in losses:
            ended[at] = value
        data = xr.Dataset(
            {
                "end_loss": (("split", "start"), ended[None]),
                "outcome": (("split", "start"), outcomes[None]),
                "end_parameters": (("split", "number", "start"), points.T[None]),
            },
            {"split": ["train"]},
        )
        facts = {
            "inputs": self.inputs.tolist(),
            "targets": self.targets.tolist(),
            "dimensions": 2,
            "widths": list(self.widths),
            "activation": "sigmoid",
            "bias": self.bias,
        }
        return xr.DataTree(
            data.assign_attrs(
                facts=json.dumps([facts]),
                reference=json.dumps({"global_minimum": 0.0} if self.reached else {}),
            )
        )


@pytest.fixture(scope="module")
def exact():
    case = Case(4)
    return case, case.fitted(20), case.constant(20)


def test_the_points_made_are_critical(exact):
    case, good, bad = exact
    lower = Case(4, 2, seed=1)
    for own, points in ((case, (*good, *bad)), (lower, lower.constant(3))):
        assert max(own.loss_and_slope(point)[1] for point in points) < 1e-9
    assert min(case.loss_and_slope(point)[0] for point in bad) > 0.1
    assert max(case.loss_and_slope(point)[0] for point in good) < 1e-20


def test_points_that_meet_the_condition_must_be_global(exact):
    case, good, bad = exact
    claim = claims.condition_suffices("c", "here", ["s"])
    judged = claim.judge({"s": case.tree(good, bad)})
    assert (judged.verdict, judged.value < 1e-20) == (HOLDS, True)
    # One that meets it and is said to have some loss; the same if it is no critical point.
    said = [(0, 1e-6)]
    assert claim.judge({"s": case.tree(good, bad, losses=said)}).verdict is REFUTED
    more = np.concatenate([good, good[:1]])
    beside = case.tree(more, bad, losses=said, outcome=[(0, GIVEN_UP)])
    assert claim.judge({"s": beside}).verdict is HOLDS


def test_too_few_points_say_nothing(exact):
    case, good, bad = exact
    claim = claims.condition_suffices("c", "here", ["s"])
    for groups in ((good[1:], bad), (good, bad[1:])):
        assert claim.judge({"s": case.tree(*groups)}).verdict is INCONCLUSIVE
    both = claims.condition_suffices("c", "here", ["s", "t"])
    assert both.judge({"s": case.tree(good), "t": case.tree(bad)}).verdict is HOLDS
    assert claim.judge({"s": case.tree(bad)}).value is None
    same = Case(4, repeated=True)
    assert not ends_of(same.tree(good, bad)).qualified
    assert claim.judge({"s": same.tree(good, bad)}).verdict is INCONCLUSIVE


def test_each_condition_left_out_is_missed(exact):
    case, good, bad = exact
    claim = claims.condition_suffices("c", "here", ["s"])
    control = claims.left_out(claim, "d", "any Hessian", ("width", "weights"), ["s"])
    judged = control.judge({"s": case.tree(good, bad)})
    assert (judged.verdict, judged.hypothesis_met, judged.as_expected) == (REFUTED, False, True)
    assert judged.value > 0.1
    # Where there is nothing else, nothing is missed.
    judged = control.judge({"s": case.tree(good)})
    assert (judged.verdict, judged.as_expected) == (HOLDS, False)
    narrow = Case(2, reached=False)
    fitted = narrow.fitted(30)
    control = claims.left_out(claim, "d", "any width", ("hessian", "weights"), ["s"])
    judged = control.judge({"s": narrow.tree(fitted)})
    assert (judged.verdict, judged.hypothesis_met) == (REFUTED, False)
    assert judged.value == pytest.approx(
        np.ptp([narrow.loss_and_slope(point)[0] for point in fitted])
    )


def test_full_rank_suffices_in_wider_and_deeper_networks():
    wide, deep = Case(7, seed=2), Case(4, 2, seed=3)
    claim = claims.full_rank_suffices("c", "here", ["s", "t"])
    scans = {"s": wide.tree(wide.fitted(20)), "t": deep.tree(deep.constant(20))}
    judged = claim.judge(scans)
    assert (judged.verdict, judged.value < 1e-20) == (HOLDS, True)
    alone = claims.left_out(claim, "d", "any weights", ("features",), ["t"]).judge(scans)
    assert (alone.verdict, alone.hypothesis_met) == (REFUTED, False)
    # That of the theorem is not met at any of them.
    assert not ends_of(scans["s"]).counted(THEOREM).any()
    theorem = claims.condition_suffices("c", "here", ["s", "t"]).judge(scans)
    assert (theorem.verdict, theorem.value) == (INCONCLUSIVE, None)


def test_what_is_singular_and_what_is_not(exact):
    case, good, _ = exact
    wide = Case(7, seed=2)
    scans = {"exact": case.tree(good), "wider": wide.tree(wide.fitted(5))}
    judged = claims.wider_is_singular("c", "here", 1, ["wider"]).judge(scans)
    assert (judged.verdict, judged.hypothesis_met) == (HOLDS, True)
    control = claims.wider_is_singular("c", "here", 1, ["exact"]).as_control().judge(scans)
    assert (control.verdict, control.as_expected) == (REFUTED, True)
    assert claims.wider_is_singular("c", "here", 1, ["exact"]).judge(scans).verdict is INCONCLUSIVE

    lower, upper = Case(4, 2, seed=3), Case(3, 4, seed=4)
    ends = upper.fitted(20)
    scans = {"lower": lower.tree(lower.constant(20)), "upper": upper.tree(ends)}
    judged = claims.lower_is_singular("c", "here", 1, ["lower"]).judge(scans)
    assert (judged.verdict, judged.hypothesis_met) == (HOLDS, True)
    control = claims.lower_is_singular("c", "here", 2, ["upper"]).as_control().judge(scans)
    assert (control.verdict, control.as_expected) == (REFUTED, True)
    # Layer 1 of the other network has a layer above it, but 3 units.
    assert not measures.is_below(1, "upper").met(scans)
    few = {"lower": lower.tree(lower.constant(20), outcome=[(0, GIVEN_UP)])}
    assert not measures.is_below(1, "lower").met(few)
    # Points of no kind do not count where critical ones do.
    anywhere = 2 * lower.random.standard_normal((20, 25)), lower.constant(20)
    given_up = [(at, GIVEN_UP) for at in range(20)]
    at = claims.lower_is_singular("c", "here", 1, ["s"])
    assert at.judge({"s": lower.tree(*anywhere, outcome=given_up)}).verdict is HOLDS
    assert at.judge({"s": lower.tree(*anywhere)}).verdict is REFUTED


def test_narrow_networks_end_in_bad_minima():
    narrow = Case(2, reached=False)
    fitted = narrow.fitted(6)
    losses = [narrow.loss_and_slope(point)[0] for point in fitted]
    claim = claims.narrow_has_none("2 units", "s")
    judged = claim.judge({"s": narrow.tree(fitted)})
    assert (judged.value, judged.as_expected) == (pytest.approx(np.ptp(losses)), True)
    others = [(at, SADDLE) for at in range(6) if losses[at] > min(losses)]
    judged = claim.judge({"s": narrow.tree(fitted, outcome=others)})
    assert (judged.verdict, judged.as_expected) == (HOLDS, False)


def test_replicates_have_data_of_their_own(exact):
    case, good, bad = exact
    other = Case(4, seed=7)
    trees = case.tree(good[:2], bad[:1]), other.tree(other.fitted(2), other.constant(1))
    data = xr.concat([tree.to_dataset() for tree in trees], "replicate", combine_attrs="override")
    facts = [json.loads(tree.attrs["facts"])[0] for tree in trees]
    joined = ends_of(xr.DataTree(data.assign_attrs(facts=json.dumps(facts))))
    for name in ("losses", "critical", "minima", "stuck"):
        each = [getattr(ends_of(tree), name) for tree in trees]
        np.testing.assert_array_equal(getattr(joined, name), np.concatenate(each))
    for name in ("hessian", "weights", "singular"):
        each = [getattr(ends_of(tree).layers[0], name) for tree in trees]
        found = getattr(joined.layers[0], name)
        np.testing.assert_allclose(found, np.concatenate(each), rtol=1e-6, atol=1e-12)


def test_the_table_counts_and_the_figure_shows_them(exact):
    case, good, bad = exact
    scans = {
        "s": case.tree(good, bad[:3], outcome=[(1, GIVEN_UP)]),
        "t": case.tree(bad[3:5]),
    }
    (table,) = condition_tables([(EXACT, ["s", "t"])]).values()
    made, stuck = table.rows(scans)
    assert made == ["N − 1 units", 1, 4, "global", 19, 19, 19, 19, 19, 19, 5, 5]
    assert stuck == ["N − 1 units", 1, 4, "not global", 5, 5, 0, 5, 0, 0, 1, 1]
    assert len(made) == len(table.columns)
    (figure,) = condition_figures([(EXACT, 1, ["s", "t"])]).values()
    points, border = figure.series(scans)
    assert (len(points.x), len(points.y), points.label) == (24, 24, EXACT.words)
    assert min(y for x, y in zip(points.x, points.y, strict=True) if x < 1e-12) > 0.1
    assert border.y == [min(points.y), max(points.y)]


def test_every_network_is_scanned_with_seeds_of_its_own():
    scans = condition_scans(Starts(2, 3))
    assert set(scans) == {name for net in NETS for name in of(net)}
    assert len({scan["seed"] for scan in scans.values()}) == len(scans)
    newton = scans[of(LOWER)[1]]
    assert newton["descent"]["method"] == "newton"
    assert newton["parameters"]["widths"] == [4, 2]


@pytest.mark.parametrize("quick", [True, False])
def test_claims_are_of_scans_there_are(quick):
    study = wide_layer_study(quick)
    names = [claim.name for claim in study.claims]
    assert {"no-bad-minimum-10", "condition-suffices", "full-rank-suffices"} < set(names)
    seeds = [spec.seed for spec in study.scans.values()]
    assert len(set(seeds)) == len(seeds)
