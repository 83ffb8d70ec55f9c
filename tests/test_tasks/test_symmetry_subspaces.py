"""Groupings and their subspaces: zero loss, dimensions, meetings, and the Hessian along and off."""

from itertools import combinations, pairwise, product

import numpy as np
import pytest
import torch
from flint import fmpq_mat, fmpz_mat
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import SpecError
from tasks.symmetry import parity
from tasks.symmetry.count_measures import equal_units
from tasks.symmetry.data import PUBLISHED, random_teacher
from tasks.symmetry.groupings import Grouping, expansion, meeting, random_grouping
from tasks.symmetry.network import flattened, named, network, outputs_of, unflattened
from tasks.symmetry.nullity import growth, is_spanning, jacobian, kernel, loss, nullity
from tasks.symmetry.subspaces import (
    affine,
    affine_meeting,
    distance,
    expand,
    projected,
    sample,
)

SIZES = [(2, 2, 1), (1, 2, 2), (3, 2, 2)]


def teacher_of(sizes, seed=0):
    return random_teacher(sizes, np.random.default_rng(seed))


def inputs_of(count, seed=1, samples=60):
    return 2 * np.random.default_rng(seed).standard_normal((samples, count))


def equations(groupings, teacher):
    """The subspace as equations: rows of coefficients (E, n) and right sides (E,)."""
    widths = [teacher[0].shape[1], *(each.units for each in groupings), len(teacher[-1])]
    n = sum(a * b for a, b in pairwise(widths))
    first, columns, rows, sides = 0, [[at] for at in range(widths[0])], [], []
    for layer, taught in enumerate(teacher):
        labels = groupings[layer].labels if layer < len(groupings) else range(len(taught))
        leaders = {}
        for unit, label in enumerate(labels):
            for group, members in enumerate(columns):
                row = np.zeros(n)
                row[[first + unit * widths[layer] + at for at in members]] = 1
                if label < len(taught):
                    known = taught.shape[1]
                    sides.append(taught[label, group] if group < known else 0.0)
                elif label in leaders:
                    leader = leaders[label]
                    row[[first + leader * widths[layer] + at for at in members]] = -1
                    sides.append(0.0)
                else:
                    continue
                rows.append(row)
            leaders.setdefault(label, unit)
        first += widths[layer] * widths[layer + 1]
        groups = max(labels) + 1
        columns = [
            [at for at, each in enumerate(labels) if each == group] for group in range(groups)
        ]
    return np.array(rows), np.array(sides)


@pytest.mark.parametrize("sizes", SIZES)
def test_every_subspace_is_of_zero_loss_and_its_dimensions(sizes):
    teacher, random = teacher_of(sizes), np.random.default_rng(2)
    for grouping in expansion(2, 4):
        rows, sides = equations([grouping], teacher)
        space = affine([grouping], teacher)
        assert space.dimensions == grouping.dimensions(sizes[0], sizes[2])
        assert space.dimensions == rows.shape[1] - np.linalg.matrix_rank(rows)
        np.testing.assert_allclose(rows @ space.origin, sides, atol=1e-12)
        np.testing.assert_allclose(rows @ space.basis, 0, atol=1e-12)
        weights = sample([grouping], teacher, random, 2.0)
        assert loss(weights, teacher, inputs_of(sizes[0]), "asymmetric") < 1e-26
        np.testing.assert_allclose(rows @ flattened(weights), sides, atol=1e-12)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_deeper_students(seed):
    random = np.random.default_rng(seed)
    teacher = random_teacher((2, 2, 3, 2), random)
    widths = [int(random.integers(2, 5)), int(random.integers(3, 6))]
    weights = expand(teacher, widths, random)
    assert [matrix.shape for matrix in weights] == [
        (widths[0], 2),
        (widths[1], widths[0]),
        (2, widths[1]),
    ]
    assert loss(weights, teacher, inputs_of(2), "sigmoid") < 1e-24
    groupings = [random_grouping(r, m, random) for r, m in zip((2, 3), widths, strict=True)]
    rows, sides = equations(groupings, teacher)
    space = affine(groupings, teacher)
    assert space.dimensions == rows.shape[1] - np.linalg.matrix_rank(rows)
    # What is nearest differs by what the equations speak of.
    start = random.standard_normal((3, rows.shape[1]))
    near = projected(start, groupings, teacher)
    np.testing.assert_allclose(near @ rows.T, np.tile(sides, (3, 1)), atol=1e-10)
    np.testing.assert_allclose((near - start) @ space.basis, 0, atol=1e-10)
    with pytest.raises(SpecError, match="groupings: got some on"):
        affine(groupings[:1], teacher)


def test_subspaces_of_deeper_students_are_distinct():
    teacher, point = teacher_of((1, 1, 2, 1)), np.random.default_rng(3).standard_normal((1, 11))
    choices = list(product(expansion(1, 2), expansion(2, 3)))
    near = [projected(point, choice, teacher)[0] for choice in choices]
    assert len(np.unique(np.round(near, 9), axis=0)) == 3 * 12


def test_random_groupings_are_all_of_them():
    random = np.random.default_rng(4)
    drawn = [random_grouping(2, 4, random) for _ in range(2000)]
    assert set(drawn) == set(expansion(2, 4))


def test_labels_that_do_not_do():
    assert Grouping((2, 1, 3, 2, 0), 2).sizes == (1, 1, 2, 1)
    with pytest.raises(SpecError, match="no copy of unit 1"):
        Grouping((0, 0, 2), 2)
    with pytest.raises(SpecError, match="without effect"):
        Grouping((0, 2, 1), 1)
    with pytest.raises(SpecError, match="without effect"):
        Grouping((0, 2), 1)
    for call in (lambda: random_grouping(2, 1, np.random.default_rng(0)), lambda: expansion(2, 1)):
        with pytest.raises(SpecError, match="wider student"):
            call()


def rank(rows):
    return fmpq_mat(fmpz_mat(rows.astype(int).tolist())).rank()


def test_meetings_by_groups_weights_and_exact_ranks():
    """The teacher is of whole numbers, so that the equations have exact ranks."""
    teacher = (np.array([[1.0, 2.0], [-2.0, 3.0]]), np.array([[2.0, -3.0]]))
    groupings = list(expansion(2, 4))
    spaces = [affine([grouping], teacher) for grouping in groupings]
    known = [equations([grouping], teacher) for grouping in groupings]
    found = 0
    for one, other in list(combinations(range(len(groupings)), 2))[::6]:
        met = meeting(groupings[one], groupings[other])
        by_weights = affine_meeting(spaces[one], spaces[other])
        rows = np.vstack([known[one][0], known[other][0]])
        sides = np.concatenate([known[one][1], known[other][1]])
        exact = rank(rows)
        if rank(np.column_stack([rows, sides])) > exact:
            assert met is None
            assert by_weights is None
            continue
        found += 1
        assert met.dimensions(2, 1) == by_weights.dimensions == rows.shape[1] - exact
        basis = by_weights.basis
        np.testing.assert_allclose(basis.T @ basis, np.eye(by_weights.dimensions), atol=1e-12)
        np.testing.assert_allclose(rows @ by_weights.origin, sides, atol=1e-12)
        np.testing.assert_allclose(rows @ basis, 0, atol=1e-12)
    assert found > 20


def test_meetings_with_equal_units_are_misjudged():
    teacher, (one, other) = equal_units(2), [Grouping((0, 1), 2), Grouping((1, 0), 2)]
    assert meeting(one, other) is None
    assert affine_meeting(affine([one], teacher), affine([other], teacher)).dimensions == 0
    with pytest.raises(SpecError, match="expected the same"):
        meeting(one, Grouping((0, 1, 1), 2))


def test_the_distance_from_theta():
    random = np.random.default_rng(5)
    weights = expand(PUBLISHED, [5], random)
    assert distance(weights, PUBLISHED) < 1e-14
    # Out of a generic point of a subspace, nothing else being near.
    grouping = Grouping((0, 1, 2), 2)
    teacher = teacher_of((2, 2, 1))
    space = affine([grouping], teacher)
    out = random.standard_normal(9)
    out -= space.basis @ (space.basis.T @ out)
    point = flattened(sample([grouping], teacher, random)) + 1e-3 * out / np.linalg.norm(out)
    assert distance(unflattened(point, (2, 3, 1)), teacher) == pytest.approx(1e-3)
    with pytest.raises(SpecError, match="2 hidden layers"):
        distance(teacher_of((2, 2, 2, 1)), teacher)
    with pytest.raises(SpecError, match="widths: got 2 layers"):
        expand(teacher, [3, 3], random)


def hessian_of(weights, teacher, inputs, activation):
    sizes = [inputs.shape[1], *(len(matrix) for matrix in weights)]
    module, parts = network(sizes, activation), named(weights)
    targets = torch.from_numpy(outputs_of(teacher, inputs, activation))

    def error(flat):
        split = torch.split(flat, [part.numel() for part in parts.values()])
        given = {
            name: each.reshape(part.shape)
            for (name, part), each in zip(parts.items(), split, strict=True)
        }
        found = torch.func.functional_call(module, given, (torch.from_numpy(inputs),))
        return (found - targets).square().mean()

    flat = torch.from_numpy(flattened(weights))
    return torch.autograd.functional.hessian(error, flat).numpy()


@pytest.mark.parametrize("activation", ["asymmetric", "tanh"])
def test_the_kernel_is_that_of_the_hessian(activation):
    teacher, inputs = teacher_of((2, 2, 2)), inputs_of(2)
    random = np.random.default_rng(6)
    for labels in ((0, 1, 0, 0), (2, 1, 0, 2), (0, 2, 1, 0)):
        grouping = Grouping(labels, 2)
        weights = sample([grouping], teacher, random)
        hessian = hessian_of(weights, teacher, inputs, activation)
        found = jacobian(weights, inputs, activation)
        np.testing.assert_allclose(2 / len(found) * found.T @ found, hessian, atol=1e-10)
        zero = kernel(weights, inputs, activation)
        np.testing.assert_allclose(hessian @ zero.basis, 0, atol=1e-10)
        assert zero.nullity == nullity(grouping, 2, 2)
        assert zero.greatest < 1e-14 < 1e-6 < zero.least
        assert (zero.nullity == grouping.dimensions(2, 2)) == is_spanning(grouping, 2)


@pytest.mark.parametrize("activation", ["sigmoid", "exp"])
def test_where_the_hessian_is_zero_the_loss_grows_as_the_fourth_power(activation):
    teacher, inputs, random = teacher_of((2, 2, 1)), inputs_of(2), np.random.default_rng(7)
    twice, idle = Grouping((0, 1, 0), 2), Grouping((2, 1, 0), 2)
    weights = sample([twice], teacher, random)
    power = growth(twice, teacher, weights, inputs, activation, random)
    assert power == pytest.approx(4, abs=0.1)
    weights = sample([idle], teacher, random)
    assert growth(idle, teacher, weights, inputs, activation, random) is None


def test_relations_turn_units_around_at_zero_loss():
    for name, relation in parity.RELATIONS.items():
        student = parity.turned(PUBLISHED, 1, relation)
        np.testing.assert_array_equal(student[0][0], -PUBLISHED[0][1])
        assert loss(student, PUBLISHED, inputs_of(2), name) < 1e-28
        assert loss(student, PUBLISHED, inputs_of(2), "asymmetric") > 1e-3
        assert not parity.holds_none(name).met({})
    assert parity.holds_none("asymmetric").met({})
