"""Numbers of subspaces: by tables, by listing them, by their generating function; which meet."""

from collections import Counter
from fractions import Fraction
from itertools import permutations, product
from math import factorial, prod

import networkx as nx
import numpy as np
import pytest
from flint import fmpq, fmpq_poly
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import SpecError
from schemas.study import Outcome
from tasks.symmetry import counts
from tasks.symmetry.count_claims import count_claims
from tasks.symmetry.count_figures import count_figures
from tasks.symmetry.count_tables import count_tables
from tasks.symmetry.data import random_teacher
from tasks.symmetry.enumeration import distinct_images
from tasks.symmetry.graph import copies_only, intersection_graph, size_of
from tasks.symmetry.groupings import expansion

G = {1: [1, 1, 1, 1, 1, 1], 2: [2, 6, 14, 30, 62], 3: [6, 36, 150, 540], 4: [24, 240, 1560]}
T = {1: [1, 3, 10, 37, 151, 674], 2: [2, 12, 62, 320, 1712], 3: [6, 60, 450, 3120]}
T[4] = [24, 360, 3720]
TABLE = [(r, r + at, G[r][at], T[r][at]) for r in G for at in range(len(G[r]))]
COPIES = (counts.copies, counts.copies_by_powers, counts.copies_by_compositions)
SUBSPACES = (counts.subspaces, counts.subspaces_by_groups, counts.subspaces_by_recurrence)


@pytest.mark.parametrize(("r", "m", "copied", "all_of_them"), TABLE)
def test_the_table(r, m, copied, all_of_them):
    assert {each(r, m) for each in COPIES} == {copied}
    assert {each(r, m) for each in SUBSPACES} == {all_of_them}
    assert len(set(expansion(r, m))) == all_of_them
    assert len(copies_only(r, m)) == copied
    if m < 6:
        teacher = random_teacher((1, r, 1), np.random.default_rng(r))
        assert distinct_images(teacher, m) == all_of_them
        assert distinct_images(teacher, m, groups=False) == copied


def test_copies_are_surjections():
    for r, m in ((2, 5), (3, 5), (4, 4)):
        onto = sum(set(each) == set(range(r)) for each in product(range(r), repeat=m))
        assert counts.copies(r, m) == onto


@given(st.integers(1, 12), st.integers(0, 25))
@settings(max_examples=40, deadline=None)
def test_formulas_agree(r, more):
    m = r + more
    assert counts.copies(r, m) == counts.copies_by_powers(r, m)
    assert len({each(r, m) for each in SUBSPACES}) == 1
    # Where the last unit goes, of those that have an effect.
    if more:
        before = counts.copies(r, m - 1), counts.copies(r - 1, m - 1) if r > 1 else 0
        assert counts.copies(r, m) == r * sum(before)


def test_the_generating_function():
    most = 9
    exponential = fmpq_poly([fmpq(0), *(fmpq(1, factorial(n)) for n in range(1, most + 1))])
    bell = sum(exponential**k * fmpq(1, factorial(k)) for k in range(most + 1))
    for r in (1, 2, 5):
        for count, series in ((counts.copies, 1), (counts.subspaces, bell)):
            found = exponential**r * series
            expected = [found[m] * factorial(m) for m in range(r, most + 1)]
            assert [count(r, m) for m in range(r, most + 1)] == expected


def test_large_numbers():
    for r, m in ((300, 301), (10, 700), (350, 700)):
        assert counts.copies(r, m) == counts.copies_by_powers(r, m)
        assert counts.subspaces(r, m) == counts.subspaces_by_groups(r, m)
    assert counts.subspaces(300, 301) == counts.subspaces_by_recurrence(300, 301)
    assert counts.subspaces(2000, 2001) == counts.subspaces_with_one_more(2000)
    assert counts.subspaces_with_one_more(3) == 60


def test_deeper_networks_multiply():
    assert counts.subspaces_of_layers([2, 3], [4, 4]) == 62 * 60
    assert counts.copies_of_layers([2, 3, 1], [4, 4, 5]) == 14 * 36
    assert counts.subspaces_of_layers([2], [3]) == 12


def test_few_units_more():
    assert float(counts.critical_to_global(300, 1, 301)) == pytest.approx(74.09, abs=0.005)
    assert counts.critical_to_global(3, 1, 4) == Fraction(14, 60)
    assert counts.mild_limit(300, 1, 1) == 75
    assert counts.mild_limit(6, 2, 3) == Fraction(36, 4 * 4 * 5)
    # Without a unit more both counts are of Stirling numbers alone: (r−1)/2.
    assert counts.critical_to_global(9, 1, 9) == 4


@pytest.mark.parametrize(("r", "first"), [(6, 8), (10, 13), (18, 25)])
def test_many_units_more(r, first):
    assert counts.first_with_fewer_critical(r) == first
    shares = [counts.all_critical_to_global(r, m) for m in range(r, 4 * r)]
    assert shares == sorted(shares, reverse=True)
    assert [share < 1 for share in shares].index(True) == first - r
    by_width = [counts.critical_to_global(r, k, first) for k in range(1, r)]
    assert sum(by_width) == shares[first - r]


@pytest.mark.parametrize("count", [*COPIES, *SUBSPACES, expansion])
def test_widths_that_do_not_do(count):
    with pytest.raises(SpecError, match=r"r.*: got 0.*; give"):
        count(0, 3)
    with pytest.raises(SpecError, match=r"m.*: got.*2; expected.*; give"):
        count(3, 2)


def test_layers_that_do_not_do():
    for taught, units in (([], []), ([2], [3, 4])):
        with pytest.raises(SpecError, match="as many in both"):
            counts.subspaces_of_layers(taught, units)
        with pytest.raises(SpecError, match="as many in both"):
            counts.copies_of_layers(taught, units)


@pytest.mark.parametrize(
    ("r", "m", "numbers"),
    [
        (1, 2, (3, 2, 1)),
        (2, 2, (2, 0, 2)),
        (2, 3, (12, 12, 1)),
        (2, 4, (62, 300, 1)),
        (3, 3, (6, 0, 6)),
        (3, 4, (60, 72, 1)),
    ],
)
def test_intersection_graphs(r, m, numbers):
    size = size_of(intersection_graph(expansion(r, m)))
    assert (size.subspaces, size.meetings, size.components) == numbers
    assert size_of(intersection_graph(copies_only(r, m))).meetings == 0


def test_with_one_more_unit_the_graph_is_of_orders():
    # The star graph: orders of the teacher's units and an idle one, which changes places.
    star = nx.Graph()
    for order in permutations(range(4)):
        for other in range(1, 4):
            swapped = tuple({0: other, other: 0}.get(unit, unit) for unit in order)
            star.add_edges_from([(order, ends := frozenset((order, swapped))), (ends, swapped)])
    found = intersection_graph(expansion(3, 4))
    assert nx.is_isomorphic(found, star)
    assert Counter(degree for _, degree in found.degree) == {2: 36, 3: 24}


def test_the_claims_hold_and_the_controls_do_not():
    claims = count_claims()
    verdicts = [claim.judge({}) for claim in claims]
    assert [each.claim for each in verdicts if not each.as_expected] == []
    conditional = [each for each in verdicts if each.verdict is Outcome.CONDITIONAL]
    assert [each.claim for each in conditional] == ["hessian-zeros-are-dimensions"]
    assert Counter(conditional[0].cases.values()) == {Outcome.HOLDS: 7, Outcome.REFUTED: 5}
    assert len({claim.name for claim in claims}) == len(claims)
    shown = {*count_figures(), *count_tables(), None}
    assert {claim.figure for claim in claims} <= shown


def test_tables():
    found = {name: table.rows({}) for name, table in count_tables().items()}
    for name, table in count_tables().items():
        assert {len(row) for row in found[name]} == {len(table.columns)}
    assert [tuple(row[:4]) for row in found["subspace-counts"]] == TABLE
    assert [3, 4, 60, 72, 1, 8, 36] in found["subspace-graphs"]
    sizes = [prod(row[1:3]) for row in found["subspace-nullities"]]
    assert sizes == 2 * [6] + 10 * [8]
    assert sum(row[5] for row in found["subspace-nullities"]) == 12 + 62 + 62


def test_figures(monkeypatch):
    # Any places will do, and these are found at once.
    monkeypatch.setattr(nx, "kamada_kawai_layout", nx.circular_layout)
    found = {name: figure.series({}) for name, figure in count_figures().items()}
    curve, limit = found["mild-ratio"][:2]
    assert (curve.x[-1], curve.y[-1]) == (300, pytest.approx(74.09, abs=0.005))
    assert (limit.x[-1], limit.y[-1], limit.kind) == (300, 75, "bound")
    six, ten, eighteen, first, _ = found["vast-ratio"]
    assert list(first.x) == [8, 13, 25]
    for curve, at, share in zip((six, ten, eighteen), first.x, first.y, strict=True):
        assert curve.y[list(curve.x).index(at)] == share < 1 < curve.y[list(curve.x).index(at - 1)]
    two, three, idle, copied = found["subspace-meetings"]
    # Each edge there and back.
    assert (len(two.x), len(three.x)) == (2 * 12 + 1, 2 * 72 + 1)
    assert (len(idle.x), len(copied.x)) == (6 + 24, 6 + 36)
    places = set(zip([*idle.x, *copied.x], [*idle.y, *copied.y], strict=True))
    assert len(places) == 72
    assert set(zip([*two.x, *three.x], [*two.y, *three.y], strict=True)) == places
