"""Paths on which units change places, and the scan of all subspaces of zero loss."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import TASKS, BuildContext
from tasks.symmetry.counts import subspaces
from tasks.symmetry.data import random_teacher
from tasks.symmetry.network import outputs_of
from tasks.symmetry.swap import Walk, bare_swap, exchanges, permuting_path, swap, with_spare_units

PATH = {"section": "swap"}
SUBSPACES = {"data": "random", "section": "subspace", "teacher_units": [2], "units": [3]}


def build(z, seed=3, **parameters):
    task = TASKS["symmetry-net"]
    return task.builder()(task.parse(parameters), BuildContext(z=z, seed=seed, splits=("train",)))


def losses(landscape, points):
    """Losses at points (P, z): (P,)."""
    flat = landscape.section.flat
    weights = landscape.section.coordinates(np.asarray(points, dtype=np.float64))
    moved = flat.parameters(torch.from_numpy(weights))
    split = landscape.objective.splits["train"]
    inputs, targets = split.inputs.numpy(), split.targets.numpy()
    found = []
    for row in range(len(points)):
        here = {**flat.origin, **{name: each[row] for name, each in moved.items()}}
        matrices = [matrix.numpy() for matrix in here.values()]
        outputs = outputs_of(matrices, inputs, landscape.facts["activation"])
        found.append(np.square(outputs - targets).mean())
    return np.array(found)


def along(num):
    return np.linspace(0, 1, num)[:, None]


ORDERS = st.lists(st.integers(1, 3).flatmap(lambda r: st.permutations(range(r))), min_size=1)


@given(orders=ORDERS.filter(lambda orders: len(orders) <= 3), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_the_outputs_stay_on_the_way_and_units_come_to_their_places(orders, seed):
    random = np.random.default_rng(seed)
    taught = [len(order) for order in orders]
    units = [r + 1 for r in taught]
    teacher = random_teacher([2, *taught, 2], random)
    student = with_spare_units(teacher, units, random)
    inputs = random.standard_normal((20, 2))
    path = permuting_path(
        student, orders, lambda walk, layer, i, j: swap(walk, layer, i, j, taught[layer])
    )
    steps = sum(len(list(exchanges(order))) for order in orders)
    assert len(path) == 1 + 7 * steps
    expected = outputs_of(teacher, inputs, "asymmetric")
    for one, other in pairwise(path):
        for part in (0.0, 0.3, 0.5, 1.0):
            between = [(1 - part) * a + part * b for a, b in zip(one, other, strict=True)]
            found = outputs_of(between, inputs, "asymmetric")
            np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
    for layer, order in enumerate(orders):
        entering = [np.arange(2), *orders][layer]
        for unit, place in enumerate(order):
            row, back = path[-1][layer][place], path[0][layer][unit]
            np.testing.assert_allclose(row[list(entering)], back[: len(entering)], atol=1e-13)


def test_a_unit_that_something_leaves_is_not_spare():
    teacher = random_teacher([2, 3, 1], np.random.default_rng(0))
    with pytest.raises(ValueError, match="unit 2 of hidden layer 0 is not spare"):
        swap(Walk.beginning(teacher), 0, 0, 1, 2)


def test_the_walk_leaves_what_it_is_given_as_it_was():
    teacher = random_teacher([2, 3, 1], np.random.default_rng(0))
    before = [matrix.copy() for matrix in teacher]
    bare_swap(Walk.beginning(teacher), 0, 0, 1)
    for matrix, same in zip(teacher, before, strict=True):
        np.testing.assert_array_equal(matrix, same)


@given(st.permutations(range(5)))
def test_exchanges_make_the_order(order):
    places = list(range(5))
    for one, other in exchanges(order):
        places[one], places[other] = places[other], places[one]
    assert [places.index(unit) for unit in range(5)] == list(order)


@pytest.mark.parametrize(
    ("changes", "segments"),
    [
        ({}, 7),
        ({"units": [6], "permutation": [[1, 2, 3, 0]]}, 21),
        (
            {
                "data": "random",
                "teacher_units": [2, 2],
                "units": [3, 4],
                "activation": "asymmetric",
            },
            14,
        ),
    ],
)
def test_through_spare_units_the_loss_stays_zero_and_else_it_rises(changes, segments):
    path = build(1, **PATH, **changes)
    assert path.facts["segments"] == segments
    assert losses(path, along(4 * segments + 1)).max() < 1e-28
    line = build(1, **PATH, **changes, route="line")
    found = losses(line, along(9))
    assert found[[0, -1]].max() < 1e-28
    assert found[4] > 1e-3
    ends = [losses_of.section.flat for losses_of in (path, line)]
    for one, other in zip(ends[0].origin.values(), ends[1].origin.values(), strict=True):
        assert torch.equal(one, other)
    for name, way in line.section.directions[0].items():
        torch.testing.assert_close(way, path.section.directions[-1][name], atol=1e-14, rtol=0)


def test_without_a_spare_unit_an_exchange_of_two_rises():
    bare = build(1, **PATH, units=[4], route="bare")
    found = losses(bare, along(7))
    assert found[[0, -1]].max() < 1e-28
    first, second = bare.facts["teacher"][0][:2]
    inputs = bare.objective.splits["train"].inputs
    rows = torch.sigmoid(inputs @ torch.tensor([first, second], dtype=torch.float64).T)
    # One unit has become the other, so that one output is there twice and the other is missing.
    expected = (rows[:, 0] - rows[:, 1]).square().mean().item()
    assert found[2] == pytest.approx(expected, rel=1e-12)


def grid(landscape, within, out):
    numbers = np.arange(landscape.facts["subspaces"])
    mesh = np.stack(np.meshgrid(numbers, within, out, indexing="ij"), axis=-1).reshape(-1, 3)
    return losses(landscape, mesh).reshape(len(numbers), len(within), len(out))


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ({}, 12),
        ({"teacher_units": [1], "units": [4], "outputs": 2, "activation": "tanh"}, 37),
        ({"teacher_units": [1, 2], "units": [2, 3], "activation": "asymmetric"}, 3 * 12),
    ],
)
def test_the_loss_is_zero_on_all_subspaces_and_grows_off_them(changes, count):
    landscape = build(3, **{**SUBSPACES, **changes})
    assert landscape.facts["subspaces"] == count
    found = grid(landscape, [-1.0, 0.0, 0.5], [0.0, 1e-3, 2e-3])
    assert found[..., 0].max() < 1e-27
    np.testing.assert_allclose(found[..., 2] / found[..., 1], 4.0, rtol=0.05)
    parts = landscape.facts["parts_within"]
    assert (parts["within"], parts["out"]) == (pytest.approx(1), pytest.approx(0, abs=1e-12))


def test_every_subspace_occurs_once():
    landscape = build(3, **SUBSPACES)
    points = [way["hidden.weight"] for way in landscape.section.directions[::3]]
    assert len(points) == subspaces(2, 3) == len(landscape.facts["dimensions"])
    taught = np.array(landscape.facts["teacher"][0])
    away = [np.linalg.norm(point.numpy()[:, None] - taught, axis=2) for point in points]
    copied = [
        tuple(int(row.argmin()) if row.min() < 1e-12 else -1 for row in rows) for rows in away
    ]
    assert len(set(copied)) == 12
    assert sorted(sum(unit < 0 for unit in each) for each in copied) == [0] * 6 + [1] * 6


def test_output_weights_of_a_wrong_sum_have_the_loss_that_they_must():
    landscape = build(3, **SUBSPACES, excess=0.1)
    first = torch.tensor(landscape.facts["teacher"][0][0], dtype=torch.float64)
    outputs = torch.sigmoid(landscape.objective.splits["train"].inputs @ first)
    expected = 0.01 * outputs.square().mean().item()
    np.testing.assert_allclose(grid(landscape, [-1.0, 0.0, 0.5], [0.0]), expected, rtol=1e-12)
