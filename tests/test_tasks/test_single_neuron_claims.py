"""Every claim of the study `single-neuron` holds on what fulfils it, and not on what does not."""

import json
import math

import numpy as np
import pytest
import torch
import xarray as xr

from schemas import Outcome
from schemas.layout import DescentOutcome
from tasks import TASKS, BuildContext
from tasks.facts import facts_of
from tasks.neuron import claims, measures, relu_claims, relu_measures
from tasks.neuron.study import single_neuron_study

HOLDS, REFUTED, INCONCLUSIVE = Outcome.HOLDS, Outcome.REFUTED, Outcome.INCONCLUSIVE
STUDY = single_neuron_study(False)


def scanned(name, *, replicates=None, **lengths):
    """The tree of a scan of the study, evaluated here: its facts and its losses."""
    spec = STUDY.scans[name]
    axes = {k: a.model_copy(update={"num": lengths.get(k, a.num)}) for k, a in spec.axes.items()}
    coordinates = {k: a.coordinates(0, a.num) for k, a in axes.items()}
    points = np.stack(np.meshgrid(*coordinates.values(), indexing="ij"), -1)
    task, losses, facts = TASKS[spec.task], [], []
    for seed in range(replicates or 1):
        context = BuildContext(z=len(axes), seed=seed, splits=spec.splits)
        landscape = task.builder()(task.parse(spec.parameters), context)
        flat = torch.from_numpy(points.reshape(-1, len(axes)))
        theta = landscape.section.parameters(flat)["theta"]
        functions = landscape.objective.functions
        losses.append([functions[s](theta).reshape(points.shape[:-1]) for s in spec.splits])
        facts.append(landscape.facts)
    dims, stacked = ["replicate", "split", *axes], np.array(losses)
    if replicates is None:
        dims, stacked = dims[1:], stacked[0]
    root = xr.Dataset({"loss": (dims, stacked)}, coords={"split": list(spec.splits), **coordinates})
    return xr.DataTree(root.assign_attrs(facts=json.dumps(facts)))


def with_minima(tree, split="train", replicate=None, places=None, **changed):
    """The tree with a table of minima: the known ones, or those given."""
    losses = None
    if places is None:
        places, losses = measures.known_minima(facts_of(tree)[0])
    places = np.asarray(places, dtype=np.float64)
    rows = len(places)
    columns = {
        "of_split": ("minimum", [split] * rows),
        "at_edge": ("minimum", [False] * rows),
        "kind": ("minimum", ["minimum"] * rows),
        "same_as": ("minimum", np.arange(rows)),
        "refined_coordinate": (("minimum", "axis"), places),
        "refined_loss": ("minimum", np.zeros(rows) if losses is None else losses),
        **({} if replicate is None else {"of_replicate": ("minimum", replicate)}),
    }
    columns |= {name: (columns[name][0], values) for name, values in changed.items()}
    copied = tree.copy()
    copied["minima"] = xr.DataTree(xr.Dataset(columns))
    return copied


def verdict(claim, **trees):
    return claim.judge({name.replace("_", "-"): tree for name, tree in trees.items()}).verdict


@pytest.fixture(scope="module")
def surface():
    return scanned("d2-n4", w1=40, w2=40)


def test_the_number_of_minima_must_be_exact(surface):
    claim = claims.minima_multiply("s", 2, 4)
    assert verdict(claim, s=with_minima(surface)) is HOLDS
    known, _ = measures.known_minima(facts_of(surface)[0])
    for places in (known[:3], [*known, (5.0, 5.0)]):
        assert verdict(claim, s=with_minima(surface, places=places)) is REFUTED
    # What the descent has shown to be no minimum, or one twice, does not count; a missing one does.
    for changed, outcome in (
        ({"kind": ["minimum"] * 4 + ["saddle"]}, HOLDS),
        ({"kind": ["minimum"] * 4 + ["not refined"]}, REFUTED),
        ({"kind": ["minimum"] * 4 + ["degenerate"]}, REFUTED),
        ({"same_as": [0, 1, 2, 3, 3]}, HOLDS),
        ({"at_edge": [False] * 4 + [True]}, HOLDS),
        ({"of_split": ["train"] * 4 + ["test"]}, HOLDS),
        ({"at_edge": [True] + [False] * 4, "kind": ["minimum"] * 4 + ["saddle"]}, REFUTED),
    ):
        tree = with_minima(surface, places=[*known, (5.0, 5.0)], **changed)
        assert verdict(claim, s=tree) is outcome, changed
    assert verdict(claim, s=surface) is INCONCLUSIVE


def test_the_worst_replicate_counts():
    tree = scanned("rotated", replicates=2, u1=40, u2=40)
    known, _ = measures.known_minima(facts_of(tree)[0])
    claim = claims.minima_multiply("s", 2, 4)
    both, one_short = [*known, *known], [*known, *known[:3]]
    replicate = [0] * 4 + [1] * 4
    assert verdict(claim, s=with_minima(tree, places=both, replicate=replicate)) is HOLDS
    short = with_minima(tree, places=one_short, replicate=replicate[:7])
    assert verdict(claim, s=short) is REFUTED
    assert measures.count("s")({"s": short}) == 3


def test_places_and_values_are_compared_with_the_known_ones(surface):
    place, value = claims.minima_in_place("s")
    good = with_minima(surface)
    assert verdict(place, s=good) is verdict(value, s=good) is HOLDS
    known, losses = measures.known_minima(facts_of(surface)[0])
    moved = known * (1 + 1e-5)
    assert verdict(place, s=with_minima(surface, refined_coordinate=moved)) is REFUTED
    swapped = with_minima(surface, refined_coordinate=known[::-1], refined_loss=losses[::-1])
    assert verdict(value, s=swapped) is HOLDS
    assert verdict(value, s=with_minima(surface, refined_loss=losses + 1e-8)) is REFUTED
    twice = np.array([known[0], known[0], known[2], known[3]])
    assert verdict(place, s=with_minima(surface, refined_coordinate=twice)) is REFUTED
    assert verdict(place, s=with_minima(surface, places=known[:2])) is REFUTED


def test_the_hypothesis_needs_separated_data_and_a_grid_that_shows_them(surface):
    good = measures.separated("s").met
    assert good({"s": surface})
    assert not good({"s": scanned("d2-n4", w1=5, w2=40)})
    assert not good({"s": scanned("linear-grid")})
    assert not good({"s": scanned("entropic")})
    assert not any(good({"s": scanned(f"ratio-{ratio}")}) for ratio in (2, 3, 4, 5))
    assert measures.separated("s", on_grid=False).met({"s": scanned("linear-grid")})
    short = with_minima(scanned("ratio-4"))
    (control,) = claims.too_close(["s"], 5)
    found = control.judge({"s": short})
    assert (found.verdict, found.as_expected) == (REFUTED, True)


def test_the_convex_loss_has_its_control():
    def tree(name, part):
        one = scanned(name)
        analysis = xr.Dataset({"shape_convexity": ("split", [part])}, {"split": ["train"]})
        one["analysis"] = xr.DataTree(analysis)
        return one

    claim = claims.convex("s", "the loss")
    assert verdict(claim, s=tree("entropic", 1.0)) is HOLDS
    assert verdict(claim, s=tree("entropic", 0.999)) is REFUTED
    assert verdict(claim, s=tree("published", 1.0)) is INCONCLUSIVE
    control = claim.as_control("control")
    assert control.judge({"s": tree("published", 0.5)}).as_expected
    one = with_minima(scanned("entropic"))
    assert verdict(claims.one_minimum("s"), s=one) is HOLDS


def test_the_loss_rises_along_rays_only_from_a_teacher_of_a_monotone_neuron():
    assert verdict(claims.rises("s", "data"), s=scanned("rays", replicates=5)) is HOLDS
    for name in ("rays-noise", "rays-sine"):
        control = claims.rises("s", "data").as_control("control")
        assert control.judge({"s": scanned(name, replicates=5)}).as_expected
    flat = scanned("rays", replicates=2)
    flat["loss"].values[1, 0, 100] = flat["loss"].values[1, 0, 99]
    assert verdict(claims.rises("s", "data"), s=flat) is REFUTED


def starts(ends, outcomes, facts, split="train"):
    root = xr.Dataset(
        {
            "loss": (("split", "start"), np.zeros((1, len(ends)))),
            "end_parameters": (("split", "number", "start"), np.asarray(ends, float).T[None]),
            "outcome": (("split", "start"), np.array([outcomes], dtype=np.uint8)),
        },
        {"split": [split]},
    )
    return xr.DataTree(root.assign_attrs(facts=json.dumps([facts])))


def test_descents_must_reach_every_known_minimum_and_nothing_else(surface):
    facts = facts_of(surface)[0]
    known, _ = measures.known_minima(facts)
    spurious, best = DescentOutcome.SPURIOUS, DescentOutcome.GLOBAL
    outcomes = [best, spurious, spurious, spurious]
    every, stuck = claims.descents_find_all("s"), claims.descents_get_stuck("s")
    good = starts(known, outcomes, facts)
    assert verdict(every, s=good) is verdict(stuck, s=good) is HOLDS
    for ends in ([known[0], *known[:3]], [*known[:3], known[3] * 1.01]):
        assert verdict(every, s=starts(ends, outcomes, facts)) is REFUTED
    elsewhere = starts([*known, known[3] * 1.01], [*outcomes, spurious], facts)
    assert verdict(every, s=elsewhere) is REFUTED
    assert verdict(stuck, s=starts(known, [best] * 4, facts)) is REFUTED
    assert verdict(every, s=surface) is verdict(stuck, s=surface) is INCONCLUSIVE


@pytest.fixture(scope="module")
def plane():
    """The plane of a ReLU neuron with gradients by automatic differentiation."""
    tree = scanned("relu-plane", replicates=8, along=17, across=17)
    spec, task = STUDY.scans["relu-plane"], TASKS["relu-neuron"]
    along, across = relu_measures.along_and_across(tree)
    context = BuildContext(z=2, seed=0, splits=spec.splits)
    landscape = task.builder()(task.parse(spec.parameters), context)
    points = torch.from_numpy(np.stack([along, across], axis=1))
    axes = torch.stack([direction["theta"] for direction in landscape.section.directions])
    theta = landscape.section.parameters(points)["theta"].requires_grad_()
    slopes, norms = [], []
    for split in spec.splits:
        losses = landscape.objective.functions[split](theta)
        (slope,) = torch.autograd.grad(losses.sum(), theta)
        slopes.append((axes @ slope.T).reshape(2, 17, 17).numpy())
        norms.append(slope.norm(dim=1).reshape(17, 17).numpy())
    measured = {
        "section_gradient": (("split", "axis", "along", "across"), np.array(slopes)),
        "gradient_norm": (("split", "along", "across"), np.array(norms)),
    }
    return xr.DataTree(tree.to_dataset().assign(measured))


def test_the_plane_of_a_relu_neuron(plane):
    one, gradient, critical, of_sample = relu_claims.on_plane("s")
    replicate = list(range(8))
    found = with_minima(plane, "population", replicate, [(1.0, 0.0)] * 8)
    assert verdict(one, s=found) is HOLDS
    moved = with_minima(plane, "population", replicate, [(1.0, 0.0)] * 7 + [(1.0, 1e-4)])
    assert verdict(one, s=moved) is REFUTED
    second = with_minima(plane, "population", [*replicate, 0], [(1.0, 0.0)] * 8 + [(0.0, 0.0)])
    assert verdict(one, s=second) is REFUTED
    assert verdict(gradient, s=plane) is verdict(critical, s=plane) is HOLDS
    assert of_sample.judge({"s": plane}).as_expected
    wrong = plane.copy(deep=True)
    wrong["section_gradient"].values[0, 1, 3, 4] += 1e-9
    wrong["gradient_norm"].values[0, 5, 12] = 0.01
    assert verdict(gradient, s=wrong) is verdict(critical, s=wrong) is REFUTED


def test_the_worst_replicate_of_a_plane_counts_and_its_loss_must_be_the_expectation(plane):
    _, gradient, critical, _ = relu_claims.on_plane("s")
    measured = ["section_gradient", "gradient_norm"]
    data = plane.to_dataset()
    every = data[measured].expand_dims(replicate=data.sizes["replicate"]).copy(deep=True)
    every["section_gradient"].values[6, 0, 0, 2, 9] += 1e-9
    every["gradient_norm"].values[7, 0, 4, 4] = 0.01
    several = xr.DataTree(data.drop_vars(measured).merge(every))
    assert verdict(gradient, s=several) is verdict(critical, s=several) is REFUTED
    shifted = plane.copy(deep=True)
    shifted["loss"].loc[{"split": "population", "replicate": 3}] *= 1 + 1e-9
    assert verdict(gradient, s=shifted) is INCONCLUSIVE
    assert verdict(gradient, s=xr.DataTree(data.isel(along=slice(9, None)))) is INCONCLUSIVE


def test_at_zero_the_loss_has_a_kink(plane):
    rate, falls, opposite = relu_claims.at_zero("s")
    near = scanned("relu-zero")
    for tree in (plane, near):
        assert verdict(rate, s=tree) is verdict(falls, s=tree) is HOLDS
        assert opposite.judge({"s": tree}).as_expected
    smooth = near.copy(deep=True)
    along, across = relu_measures.along_and_across(near)
    smooth["loss"].values[:] = (0.25 * ((along - 1) ** 2 + across**2)).reshape(1, 33, 33)
    assert verdict(rate, s=smooth) is REFUTED
    assert verdict(falls, s=smooth) is REFUTED
    beside = scanned("relu-zero", along=32, across=32)
    assert verdict(rate, s=beside) is INCONCLUSIVE


def test_samples_agree_unless_their_inputs_are_not_normal(plane):
    names = [f"relu-sample-{n}" for n in (64, 1024, 4096)]
    trees = {name: scanned(name, replicates=16) for name in names}
    for name in names:
        assert relu_claims.agrees_with_samples(name, "normal").judge(trees).verdict is HOLDS
    assert relu_claims.follows_root_law(names).judge(trees).verdict is HOLDS
    away = trees[names[2]].copy(deep=True)
    away["loss"].loc[{"split": "population"}] += 0.1
    shifted = {**trees, names[2]: away}
    assert relu_claims.agrees_with_samples(names[2], "normal").judge(shifted).verdict is REFUTED
    assert relu_claims.follows_root_law(names).judge(shifted).verdict is REFUTED
    others = [name.replace("sample", "signs") for name in names]
    signs = {name: scanned(name, replicates=16) for name in others}
    for claim in (
        relu_claims.agrees_with_samples(others[2], "±1 for"),
        relu_claims.follows_root_law(others),
    ):
        assert claim.as_control().judge(signs).as_expected


def test_descents_must_all_reach_the_teacher():
    facts, best = {"teacher": [0.6, -0.8]}, [DescentOutcome.GLOBAL] * 3
    claim = relu_claims.descents_reach("s", 2)
    at = [0.6, -0.8]
    assert verdict(claim, s=starts([at] * 3, best, facts, "population")) is HOLDS
    for end in ([0.0, 0.0], [0.6, -0.8001], [math.nan, 0.0]):
        assert verdict(claim, s=starts([at, at, end], best, facts, "population")) is REFUTED
    line = starts([[1.0], [1.0], [0.0]], best, {"teacher": [1.0]}, "population")
    control = relu_claims.descents_reach("s", 1).as_control("control")
    assert control.judge({"s": line}).as_expected


def test_figures_are_drawn_from_the_scans(plane, surface):
    quick = single_neuron_study(True)
    trees = {name: with_minima(scanned(name)) for name in ("d1-n3", "d2-n4", "ratio-4")}
    trees["d3-n6"] = with_minima(scanned("d3-n6", w1=10, w2=10, w3=10))
    growth = {each.label: each for each in quick.figures["growth"].series(trees)}
    assert list(growth["d = 2"].y) == list(growth["⌊n/2⌋^2"].y) == [4.0]
    assert list(growth["d = 3"].y) == [8.0]
    counted, examples = quick.figures["ratios"].series(trees)
    assert (list(counted.y), list(examples.y)) == ([3.0], [5.0])
    trees = {"rays": scanned("rays", replicates=2), "rays-noise": scanned("rays-noise")}
    assert [len(each.y) for each in quick.figures["rays"].series(trees)] == [201] * 3
    measured, derived = quick.figures["kink"].series({"relu-plane": plane})
    at = np.interp(measured.x, derived.x, derived.y)
    np.testing.assert_allclose(measured.y, at, atol=1e-3)
    names = [f"relu-sample-{n}" for n in (64, 256, 1024, 4096)]
    trees = {name: scanned(name, replicates=2) for name in names}
    found, law = STUDY.figures["sampling"].series(trees)
    assert list(found.x) == [64, 256, 1024, 4096]
    assert law.y[-1] == pytest.approx(found.y[0] / 8)


def test_known_minima_are_all_combinations_of_those_of_one_weight():
    known = {"minima": [[1, 2], [10, 20]], "losses": [[0.1, 0.2], [3, 4]]}
    places, losses = measures.known_minima(known)
    assert places.tolist() == [[1, 10], [1, 20], [2, 10], [2, 20]]
    np.testing.assert_allclose(losses, [3.1, 4.1, 3.2, 4.2])
