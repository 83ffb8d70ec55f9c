"""Points that are the same up to the order of neurons and of coordinates."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import SpecError
from tasks.students.families import Family, alignment, described, families


def spurious(n, d):
    """One neuron turned away from its teacher, the others near one each, and n − d small ones."""
    weights = np.full((n, d), -0.05)
    np.fill_diagonal(weights, 0.99)
    weights[:, 0] = 0.26
    weights[0] = 0.19
    weights[0, 0] = -0.63
    weights[d:] = 0.1
    return weights


def circles(*lengths):
    """Rows beside each other in circles: which, neither rows nor columns by themselves tell."""
    weights, first = np.eye(sum(lengths)), 0
    for length in lengths:
        for i in range(length):
            weights[first + i, first + (i + 1) % length] = 0.5
        first += length
    return weights


def permuted(rng, weights, noise=0.0):
    mixed = rng.permutation(rng.permutation(weights, axis=0), axis=1)
    return mixed + rng.uniform(-noise, noise, weights.shape)


def grouped(points, losses):
    return [family.members for family in families(np.array(points), np.array(losses))]


@pytest.mark.parametrize(
    "kinds",
    [
        [spurious(20, 20), np.eye(20), circles(20), np.full((20, 20), 0.3)],
        [spurious(21, 20), np.vstack([np.eye(20), np.zeros((1, 20))])],
        [circles(3, 3), circles(6), circles(2, 4)],
        [spurious(6, 6), spurious(6, 6).T],
    ],
)
def test_permuted_points_are_grouped_and_no_others(kinds):
    rng = np.random.default_rng(0)
    which = rng.permutation(np.repeat(np.arange(len(kinds)), 9 - np.arange(len(kinds))))
    # The losses are almost the same, and tell nothing.
    found = families(
        np.array([permuted(rng, kinds[kind], 4e-7) for kind in which]), 1 + 1e-12 * which
    )
    expected = [tuple(np.flatnonzero(which == kind)) for kind in range(len(kinds))]
    assert [family.members for family in found] == expected
    for family, kind in zip(found, range(len(kinds)), strict=True):
        assert family.loss == 1 + 1e-12 * kind
        assert alignment(kinds[kind], family.weights) is not None


def test_points_at_random():
    rng = np.random.default_rng(1)
    kinds = rng.standard_normal((5, 4, 3))
    which = rng.integers(5, size=60)
    found = grouped([permuted(rng, kinds[kind], 4e-7) for kind in which], np.zeros(60))
    expected = [tuple(np.flatnonzero(which == kind)) for kind in range(5)]
    assert sorted(found) == sorted(expected)


@given(
    st.lists(st.integers(0, 2), min_size=6, max_size=6),
    st.lists(st.integers(0, 2), min_size=6, max_size=6),
)
@settings(max_examples=300, deadline=None)
def test_an_alignment_is_found_just_where_there_is_one(one, other):
    one, other = (np.array(each, dtype=float).reshape(3, 2) for each in (one, other))
    exists = any(
        (one[list(rows)][:, list(columns)] == other).all()
        for rows in permutations(range(3))
        for columns in permutations(range(2))
    )
    found = alignment(one, other)
    assert (found is not None) == exists
    if found is not None:
        rows, columns = found
        assert sorted(rows) == [0, 1, 2]
        assert sorted(columns) == [0, 1]
        assert (one[rows][:, columns] == other).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 6), st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_what_was_permuted_is_aligned(seed, n, d, values):
    rng = np.random.default_rng(seed)
    weights = rng.integers(values, size=(n, d)).astype(float)
    other = permuted(rng, weights)
    found = alignment(weights, other)
    assert found is not None
    rows, columns = found
    assert (weights[rows][:, columns] == other).all()


def test_the_tolerance_is_that_of_each_entry():
    points = np.zeros((3, 2, 2))
    points[1] = 0.9e-6
    # The entries are in a row of which each is near the next.
    points[2] = [[0.9e-6, 1.8e-6], [0, 0]]
    assert [family.members for family in families(points, np.zeros(3))] == [(0, 1), (2,)]
    assert alignment(points[0], points[2]) is None
    wider = families(points, np.zeros(3), tolerance=2e-6)
    assert [family.members for family in wider] == [(0, 1, 2)]


def test_what_tolerance_does_not_tell_apart_is_tried():
    weights = np.array([[0.0], [0.8e-6], [1.6e-6]])
    other = weights[[2, 0, 1]]
    found = alignment(weights, other)
    assert found is not None
    assert np.abs(weights[found[0]] - other).max() <= 1e-6


def test_the_representative_does_not_depend_on_the_order():
    rng = np.random.default_rng(2)
    for kind in (spurious(8, 8), spurious(9, 8), np.eye(8), rng.standard_normal((5, 5))):
        one, other = (
            families(permuted(rng, kind, 1e-9)[None], np.zeros(1))[0].weights for _ in range(2)
        )
        np.testing.assert_allclose(one, other, atol=1e-8)
    arranged = families(permuted(rng, spurious(8, 8))[None], np.zeros(1))[0].weights
    np.testing.assert_array_equal(np.diag(arranged), [0.99] * 7 + [-0.63])


def test_families_in_words():
    def words(weights):
        return described(Family((0,), weights, 0.0))

    alike = "neurons 6, coordinates 6"
    assert words(spurious(7, 7)) == f"6 of 7 neurons near a teacher; alike: {alike}"
    random = np.random.default_rng(0).standard_normal((3, 3)) * 9
    alike = "neurons none, coordinates none"
    assert words(random) == f"0 of 3 neurons near a teacher; alike: {alike}"
    alike = "neurons 4 + 2, coordinates 4"
    assert words(spurious(7, 5)) == f"4 of 7 neurons near a teacher; alike: {alike}"


def test_no_points_and_wrong_ones():
    assert families(np.zeros((0, 2, 2)), np.zeros(0)) == []
    with pytest.raises(SpecError, match="weights: point 1 is not finite"):
        families(np.array([np.eye(2), np.full((2, 2), math.nan)]), np.zeros(2))
