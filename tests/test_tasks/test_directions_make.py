"""Directions of every kind through a small network, made as a scan makes them."""

import json

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn

from schemas.errors import SpecError
from tasks.curvature import extreme_eigenpairs, mean_loss_gradient
from tasks.directions import filter_normalised, random_directions
from tasks.directions.geometry import cosines, inner, norms
from tasks.directions.make import DirectionContext, make_directions
from tasks.directions.parameters import Directions
from tasks.objective import EmpiricalRisk, Split, cross_entropy
from tasks.registry import Parameters, silent


class Spec(Parameters):
    directions: Directions = Field()


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.LayerNorm(6), nn.Linear(6, 3))


def origin_of(model):
    return {name: p.detach().double() for name, p in model.named_parameters()}


def risk():
    torch.manual_seed(1)
    splits = {
        name: Split(torch.randn(n, 4), torch.randint(0, 3, (n,)))
        for name, n in (("train", 20), ("test", 9))
    }
    return EmpiricalRisk(network(), cross_entropy, splits)


def near(seed, size=1.0):
    """Another checkpoint; all of them lie to the same side."""
    origin = origin_of(network())
    [side], [drawn] = (random_directions(origin, 1, s) for s in (99, seed))
    return {name: t + size * drawn[name] + 0.7 * side[name] for name, t in origin.items()}


FILES = {f"{seed}.pt": near(seed) for seed in range(1, 9)}


def context(z, files=FILES, seed=3, objective=None, origin=None, progress=silent):
    return DirectionContext(
        origin=origin or origin_of(network()),
        z=z,
        seed=seed,
        read=lambda checkpoint: files[checkpoint],
        objective=objective or risk(),
        split="train",
        progress=progress,
    )


def made(directions, z, **changes):
    items = Spec.model_validate({"directions": directions}).directions
    return make_directions(items, context(z, **changes))


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def close(one, other, **tolerance):
    return one.keys() == other.keys() and all(
        torch.allclose(one[n], other[n], **tolerance) for n in one
    )


ALL_KINDS = [
    "random",
    {"kind": "filter", "orthogonal": True, "scale": 0.5},
    {"kind": "layer", "ignore": "nothing"},
    "parameter",
    {"kind": "checkpoint", "to": "1.pt"},
    {"kind": "plane", "through": ["2.pt", "3.pt"], "orthogonal": True},
    {"kind": "pca", "checkpoints": ["4.pt", "5.pt", "6.pt"], "count": 2},
    {"kind": "hessian", "top": 1, "bottom": 1, "split": "test"},
    "gradient",
    {"kind": "file", "file": "7.pt"},
]


def test_all_kinds_stand_beside_each_other_and_facts_are_plain():
    found = made(ALL_KINDS, 13)
    assert len(found.directions) == len(found.facts["axes"]) == 13
    kinds = [fact["kind"] for fact in found.facts["axes"]]
    assert kinds == [
        "random", "filter", "layer", "parameter", "checkpoint", "plane", "plane", "pca", "pca",
        "hessian", "hessian", "gradient", "file",
    ]  # fmt: skip
    assert json.loads(json.dumps(found.facts, allow_nan=False)) == found.facts
    origin = origin_of(network())
    for direction in found.directions:
        for name, tensor in direction.items():
            assert tensor.dtype == torch.float64
            assert tensor.shape == origin[name].shape
    again = made(ALL_KINDS, 13)
    assert all(same(a, b) for a, b in zip(found.directions, again.directions, strict=True))
    assert again.facts == found.facts


def test_a_single_name_fills_all_axes_with_the_same_draws_as_ever():
    origin = origin_of(network())
    drawn = random_directions(origin, 3, 3)
    plain, rescaled = made("random", 3), made("filter", 3)
    assert all(same(a, b) for a, b in zip(plain.directions, drawn, strict=True))
    for direction, draw in zip(rescaled.directions, drawn, strict=True):
        assert same(direction, filter_normalised(draw, origin))
    assert not same(plain.directions[0], made("random", 3, seed=4).directions[0])


def test_a_draw_does_not_depend_on_what_stands_beside_it():
    alone, beside = made("random", 2), made(["random", "gradient", "random"], 3)
    assert same(beside.directions[0], alone.directions[0])
    assert same(beside.directions[2], alone.directions[1])
    assert [fact.get("draw") for fact in beside.facts["axes"]] == [0, None, 1]
    part = made({"kind": "random", "parameters": "3.*"}, 2)
    assert part.directions[1].keys() == {"3.weight", "3.bias"}
    assert same(part.directions[1], {n: alone.directions[1][n] for n in ("3.weight", "3.bias")})


def test_coordinate_one_is_the_other_checkpoint():
    found = made({"kind": "checkpoint", "to": "1.pt"}, 1)
    origin = origin_of(network())
    reached = {name: origin[name] + found.directions[0][name] for name in origin}
    assert close(reached, FILES["1.pt"], rtol=1e-15)
    [point] = found.facts["points"]
    assert point["name"] == "1.pt"
    assert point["coordinates"] == pytest.approx([1], abs=1e-14)
    assert point["distance"] < 1e-14


@pytest.mark.parametrize("orthogonal", [False, True])
def test_the_plane_passes_through_three_checkpoints(orthogonal):
    plane = {"kind": "plane", "through": ["1.pt", "2.pt"], "orthogonal": orthogonal}
    found = made(plane, 2)
    origin = origin_of(network())
    for point in found.facts["points"]:
        reached = {
            name: origin[name]
            + sum(c * d[name] for c, d in zip(point["coordinates"], found.directions, strict=True))
            for name in origin
        }
        assert close(reached, FILES[point["name"]], rtol=0, atol=1e-13)
    first, second = (point["coordinates"] for point in found.facts["points"])
    assert first == pytest.approx([1, 0], abs=1e-14)
    angle = cosines(found.directions)[0, 1]
    if orthogonal:
        lengths = norms(found.directions)
        assert lengths[0] == pytest.approx(lengths[1], rel=1e-14)
        assert abs(angle) < 1e-14
        assert abs(second[0]) > 0.1
    else:
        assert second == pytest.approx([0, 1], abs=1e-14)
        assert abs(angle) > 0.1


def test_components_of_a_trajectory_are_those_of_the_whole_matrix():
    read = []
    files = {name: near(seed, 0.1 * seed) for seed, name in enumerate(FILES, start=1)}

    class Counting(dict):
        def __getitem__(self, name):
            read.append(name)
            return files[name]

    steps = []
    found = made(
        {"kind": "pca", "checkpoints": list(files)},
        2,
        files=Counting(),
        progress=lambda step, done, total, note="": steps.append((step, done, total)),
    )
    assert read == list(files)
    assert steps[-1] == ("reading checkpoints", 8, 8)
    origin = origin_of(network())
    matrix = torch.stack(
        [torch.cat([(c[n] - origin[n]).reshape(-1) for n in origin]) for c in files.values()]
    )
    _, singular, right = torch.linalg.svd(matrix, full_matrices=False)
    shares = [fact["explained_variance"] for fact in found.facts["axes"]]
    assert shares == pytest.approx((singular**2 / (singular**2).sum())[:2].tolist())
    flat = torch.stack([torch.cat([d[n].reshape(-1) for n in origin]) for d in found.directions])
    assert torch.allclose((flat @ right[:2].T).abs(), torch.eye(2, dtype=torch.float64), atol=1e-10)


def test_components_of_chosen_parameters_are_those_of_their_displacements():
    item = {"kind": "pca", "checkpoints": ["1.pt", "2.pt", "3.pt"]}
    part, whole = made({**item, "parameters": "0.*"}, 2), made(item, 2)
    assert part.directions[0].keys() == {"0.weight", "0.bias"}
    assert norms(part.directions) == pytest.approx([1, 1])
    cut = {name: whole.directions[0][name] for name in part.directions[0]}
    assert abs(cosines([cut, part.directions[0]])[0, 1]) < 0.999


def test_eigenvectors_and_gradient_are_of_the_split_that_is_named():
    objective, origin = risk(), origin_of(network())
    names = ["0.weight", "0.bias"]
    items = [
        {"kind": "hessian", "top": 1, "bottom": 1, "parameters": "0.*", "split": "test"},
        {"kind": "gradient", "parameters": "0.*"},
    ]
    found = made(items, 3)
    pairs = extreme_eigenpairs(objective, "test", origin, names, 1, 1)
    assert [fact.get("eigenvalue") for fact in found.facts["axes"][:2]] == list(pairs.values)
    assert all(close(d, v) for d, v in zip(found.directions[:2], pairs.vectors, strict=True))
    assert [fact["end"] for fact in found.facts["axes"][:2]] == ["top", "bottom"]
    other = extreme_eigenpairs(objective, "train", origin, names, 1, 1)
    assert pairs.values != pytest.approx(other.values, rel=1e-3)
    slope = mean_loss_gradient(objective, "train", origin, names)
    length = found.facts["axes"][2]["gradient_norm"]
    assert length == pytest.approx(norms([slope])[0])
    assert close({n: length * t for n, t in found.directions[2].items()}, slope)


def test_a_single_hessian_fills_all_axes_from_the_top():
    found = made("hessian", 2)
    assert [(f["end"], f["rank"]) for f in found.facts["axes"]] == [("top", 1), ("top", 2)]
    found = made({"kind": "hessian", "bottom": 2}, 2)
    assert [(f["end"], f["rank"]) for f in found.facts["axes"]] == [("bottom", 1), ("bottom", 2)]
    values = [fact["eigenvalue"] for fact in found.facts["axes"]]
    assert values == sorted(values)


def test_entries_that_a_file_leaves_out_do_not_move():
    given = {"3.weight": torch.ones(3, 6), "3.bias": torch.zeros(3)}
    found = made({"kind": "file", "file": "d", "scale": -2}, 1, files={"d": given})
    assert same(found.directions[0], {"3.weight": torch.full((3, 6), -2.0).double()})


def test_orthogonal_axes_keep_their_lengths_and_their_parameters():
    items = [{"kind": "checkpoint", "to": f"{k}.pt"} for k in (1, 2, 3)]
    slanted = made(items, 3)
    assert np.abs(np.tril(cosines(slanted.directions), -1)).max() > 0.1
    square = made([{**item, "orthogonal": True} for item in items], 3)
    assert cosines(square.directions) == pytest.approx(np.eye(3), abs=1e-14)
    assert norms(square.directions) == pytest.approx(norms(slanted.directions), rel=1e-14)
    assert same(square.directions[0], slanted.directions[0])
    # Only the last is made orthogonal, to both of the others, which are not to each other.
    last = made([*items[:2], {**items[2], "parameters": "0.*", "orthogonal": True}], 3)
    assert last.directions[2].keys() == {"0.weight", "0.bias"}
    found = cosines(last.directions)
    assert np.abs(found[2, :2]).max() < 1e-14
    assert abs(found[0, 1]) > 1e-3


def test_running_statistics_move_between_checkpoints_and_nowhere_else():
    origin = {**origin_of(network()), "bn.running_var": torch.ones(2, dtype=torch.float64)}
    files = {"a": {**near(1), "bn.running_var": torch.tensor([3.0, 0.5])}}
    found = made(["random", {"kind": "checkpoint", "to": "a"}], 2, origin=origin, files=files)
    assert "bn.running_var" not in found.directions[0]
    assert same(found.directions[0], made("random", 1).directions[0])
    assert found.directions[1]["bn.running_var"].tolist() == [2.0, -0.5]
    part = made(
        {"kind": "checkpoint", "to": "a", "parameters": "0.*"}, 1, origin=origin, files=files
    )
    assert "bn.running_var" not in part.directions[0]
    for kind in ("filter", "gradient", "hessian"):
        with pytest.raises(SpecError, match="matches running statistics alone"):
            made({"kind": kind, "parameters": "bn.*"}, 1, origin=origin)


BROKEN = {
    **FILES,
    "same.pt": origin_of(network()),
    "nan.pt": {**near(1), "0.bias": torch.full((6,), torch.nan)},
    "short.pt": {n: t for n, t in near(1).items() if n != "3.weight"},
    "shape.pt": {**near(1), "0.bias": torch.zeros(1)},
    "names.pt": {"3.wieght": torch.ones(3, 6)},
    "line.pt": {n: 3 * t - 2 * origin_of(network())[n] for n, t in near(1).items()},
    "huge.pt": {n: 1e200 * t for n, t in near(1).items()},
}


@pytest.mark.parametrize(
    ("directions", "z", "said"),
    [
        (["random", "gradient"], 3, r"axes: got 3; directions \(random, gradient\) needs 2"),
        (
            {"kind": "plane", "through": ["1.pt", "2.pt"]},
            1,
            r"axes: got 1; .*\(plane × 2\) needs",
        ),
        ({"kind": "filter", "parameters": "layer0.*"}, 1, r"0.parameters: 'layer0.\*' matches no"),
        ({"kind": "filter", "parameters": ["3.wieght"]}, 1, "did you mean '3.weight'"),
        (
            {"kind": "filter", "parameters": "*.bias"},
            1,
            "directions.0: the direction is zero ev",
        ),
        ({"kind": "checkpoint", "to": "same.pt"}, 1, "directions.0: the direction is zero ev"),
        ({"kind": "checkpoint", "to": "nan.pt"}, 1, "nan.pt: '0.bias' has entries that are not fi"),
        ({"kind": "checkpoint", "to": "huge.pt"}, 1, "the direction's length is inf; expected"),
        (
            ["random", {"kind": "checkpoint", "to": "short.pt"}],
            2,
            "directions.1.to: short.pt has",
        ),
        ({"kind": "checkpoint", "to": "shape.pt"}, 1, r"'0.bias' has shape \(1,\); .* \(6,\)"),
        ({"kind": "file", "file": "names.pt"}, 1, "'3.wieght', which is no .* mean '3.weight'"),
        ({"kind": "plane", "through": ["1.pt", "line.pt"]}, 2, "axis 2 of 2 lies in the span"),
        (["gradient", {"kind": "gradient", "orthogonal": True}], 2, "nothing of the direction is"),
        ({"kind": "pca", "checkpoints": ["1.pt", "line.pt"]}, 2, "span 1 dimensions; give more"),
        ({"kind": "gradient", "split": "tset"}, 1, "split: got 'tset'; .* did you mean 'test'"),
        ({"kind": "hessian", "parameters": "3.bias"}, 4, r"4 \+ 0 eigenvectors of a Hessian of 3"),
        ({"kind": "hessian", "bottom": 3}, 2, r"axes: got 2; directions \(hessian × 3\) needs 3"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(directions, z, said):
    with pytest.raises(SpecError, match=said) as error:
        made(directions, z, files=BROKEN)
    assert "\n" not in str(error.value)


def test_curvature_without_data_is_refused():
    items = Spec.model_validate({"directions": "gradient"}).directions
    without = context(1)
    without = DirectionContext(**{**vars(without), "objective": None})
    with pytest.raises(SpecError, match=r"directions\.0: kind 'gradient' needs a loss"):
        make_directions(items, without)


def test_a_gradient_that_is_zero_is_refused():
    model = network()
    model.register_parameter("unused", nn.Parameter(torch.ones(2)))
    objective = EmpiricalRisk(model, cross_entropy, risk().splits)
    with pytest.raises(SpecError, match="gradient of the train loss is zero at the checkpoint"):
        made(
            {"kind": "gradient", "parameters": "unused"},
            1,
            objective=objective,
            origin=origin_of(model),
        )


def test_the_loss_rises_along_the_gradient_as_its_length_says():
    objective, origin = risk(), origin_of(network())
    found = made("gradient", 1)
    data, step = objective.splits["train"], 1e-5

    def loss(alpha):
        there = {n: origin[n] + alpha * found.directions[0].get(n, 0.0) for n in origin}
        outputs = torch.func.functional_call(network().double(), there, (data.inputs.double(),))
        return float(cross_entropy(outputs, data.targets).mean())

    slope = (loss(step) - loss(-step)) / (2 * step)
    assert slope == pytest.approx(found.facts["axes"][0]["gradient_norm"], rel=1e-6)
    assert inner(found.directions[0], found.directions[0]) == pytest.approx(1)
