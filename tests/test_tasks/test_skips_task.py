"""The task `skip-net`: what is shared with and without skip units, its sections, its messages."""

import numpy as np
import pytest
import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from schemas.errors import SpecError
from tasks import TASKS, BuildContext
from tasks.data import digits
from tasks.skips.networks import base_name
from tasks.skips.sections import CURVATURE, SOLVED
from tasks.tensors import tensor_hash

SMALL = {"samples": 24, "hidden": [30, 12], "skips": 28}


def build(z=2, seed=3, splits=("train",), **parameters):
    task = TASKS["skip-net"]
    said = {key: value for key, value in {**SMALL, **parameters}.items() if value is not None}
    return task.builder()(task.parse(said), BuildContext(z=z, seed=seed, splits=splits))


def loss_at(landscape, coordinates):
    risk = landscape.objective
    weights = landscape.section.coordinates(np.array([coordinates], dtype=np.float64))
    flat = landscape.section.flat
    point = {
        **flat.origin,
        **{n: t[0] for n, t in flat.parameters(torch.from_numpy(weights)).items()},
    }
    inputs, targets = risk.splits["train"].inputs.double(), risk.splits["train"].targets
    return float(cross_entropy(functional_call(risk.module, point, (inputs,)), targets))


@pytest.mark.parametrize("section", ["random", "hidden"])
def test_the_network_without_skips_shares_every_random_number(section):
    skips, plain = build(section=section), build(section=section, skips=None)
    ours = {base_name(n): t for n, t in skips.section.origin.items() if n != "skip"}
    assert tensor_hash(sorted(ours.items())) == tensor_hash(sorted(plain.section.origin.items()))
    for one, other in zip(skips.section.directions, plain.section.directions, strict=True):
        ours = {base_name(n): t for n, t in one.items() if n != "skip"}
        assert tensor_hash(sorted(ours.items())) == tensor_hash(sorted(other.items()))
    same = (skips.objective.splits["train"], plain.objective.splits["train"])
    assert torch.equal(same[0].inputs, same[1].inputs)
    assert ("skip" in skips.section.touched) == (section == "random")
    assert any("output" in name for name in skips.section.touched) == (section == "random")
    assert (skips.facts["skips"], plain.facts["skips"]) == (28, 0)
    assert skips.facts["assumption_unmet"] == []
    assert plain.facts["assumption_unmet"] == ["there are no skip units"]


def test_weights_have_the_variance_of_their_inputs():
    landscape = build(hidden=[400, 300], skips=500)
    first, second = landscape.section.directions
    for tensors in (landscape.section.origin, first, second):
        for name, fan in (("layer1.weight", 64), ("layer2.weight", 400), ("output.weight", 300)):
            assert tensors[f"network.{name}"].std() == pytest.approx(fan**-0.5, rel=0.05)
        assert tensors["skip"].std() == pytest.approx(500**-0.5, rel=0.05)
        assert tensors["network.layer1.bias"].std() == pytest.approx(1.0, rel=0.15)
    for name in first:
        assert (
            abs(
                float(
                    torch.corrcoef(torch.stack([first[name].ravel(), second[name].ravel()]))[0, 1]
                )
            )
            < 0.5
        )


def test_images_are_drawn_by_the_seed_and_one_may_have_two_labels():
    once, again, other = build(), build(), build(seed=4)
    images = [each.objective.splits["train"] for each in (once, again, other)]
    assert torch.equal(images[0].inputs, images[1].inputs)
    assert not torch.equal(images[0].inputs, images[2].inputs)
    table = digits().split(True)
    rows = (table.inputs[None] == images[0].inputs[:, None]).all(dim=2).int().argmax(dim=1)
    assert len(set(rows.tolist())) == 24
    assert torch.equal(table.targets[rows], images[0].targets)
    repeated = build(repeated=True)
    split = repeated.objective.splits["train"]
    assert torch.equal(split.inputs[0], split.inputs[1])
    assert split.targets[0] != split.targets[1]
    assert repeated.facts["assumption_unmet"]
    assert repeated.facts["rank_at_start"] == 23


def test_starts_are_of_their_kind():
    assert not any(t.any() for t in build(start="zero").section.origin.values())
    origin = build(start="equal").section.origin
    assert (origin["network.layer2.weight"] == origin["network.layer2.weight"][0]).all()
    assert origin["network.output.weight"].unique().numel() > 100
    for activation in ("sigmoid", "softplus"):
        made = build(start="proof", activation=activation)
        assert made.facts["rank_at_start"] == 24
        assert made.facts["margin_at_start"] > 1
        again = build(start="proof", activation=activation).section.origin
        assert all(torch.equal(again[name], t) for name, t in made.section.origin.items())


def test_the_path_is_a_polygon_and_its_ends_are_those_that_are_told():
    landscape = build(1, section="descent", start="equal", epsilon=1e-2)
    facts = landscape.facts
    told = [facts[f"loss_at_{at}"] for at in ("start", "full_rank", "end")]
    assert [loss_at(landscape, [t]) for t in (0, 0.5, 1)] == pytest.approx(told, rel=1e-9)
    assert told[2] == pytest.approx(5e-3, rel=1e-3)
    assert told[0] > loss_at(landscape, [0.25]) > told[1] > loss_at(landscape, [0.75]) > told[2]


def test_across_leads_from_the_end_of_the_path_to_a_solution():
    landscape = build(1, section="across", skips=None, hidden=[30, 8])
    path = build(1, section="descent", skips=None, hidden=[30, 8])
    assert loss_at(landscape, [0]) == pytest.approx(loss_at(path, [1]), rel=1e-9)
    assert loss_at(landscape, [1]) == pytest.approx(landscape.facts["loss_of_solution"], rel=1e-9)
    assert landscape.facts["loss_of_solution"] <= SOLVED


@pytest.mark.parametrize("skips", [28, None])
def test_the_closed_form_along_v_is_the_second_derivative(skips):
    landscape = build(section="output", skips=skips)
    points = np.array([[0.0, 0.0], [0.7, -1.1], [-2.0, 0.4]])
    found = landscape.fields[CURVATURE].function(points)
    step = 1e-3
    for point, value in zip(points, found, strict=True):
        beside = [loss_at(landscape, point + np.array([k * step, 0.0])) for k in (-1, 0, 1)]
        assert value == pytest.approx((beside[0] - 2 * beside[1] + beside[2]) / step**2, rel=1e-4)
    moved = {"skip"} if skips else {"output.weight", "output.bias"}
    assert set(landscape.section.touched) == moved


@pytest.mark.parametrize(
    ("parameters", "z", "words"),
    [
        ({"skips": 50}, 2, "skips is 50 and there are 42 hidden units"),
        ({"section": "descent", "skips": 20}, 1, "as many skip units as samples, got 20 for 24"),
        ({"start": "proof", "skips": None}, 2, "start: proof is one of skip units"),
        ({"samples": 5000}, 2, "parameters.samples: got 5000; digits has 1797 images"),
        ({"section": "descent"}, 2, "axes: got 2; section: descent needs 1"),
        ({"epsilon": 0}, 1, "parameters.epsilon"),
        ({}, None, "starts: this task is scanned along axes"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(parameters, z, words):
    with pytest.raises(SpecError, match=words) as error:
        build(z, **parameters)
    assert "\n" not in str(error.value)


def test_other_splits_are_refused():
    with pytest.raises(SpecError, match=r"splits: got test; this task has the split train alone"):
        build(splits=("train", "test"))
