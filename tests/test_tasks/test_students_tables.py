"""The published table, its statistics, and the study's tables of a few trees made by hand."""

import math
from fractions import Fraction

import numpy as np
import pytest
import xarray as xr

from tasks.students import cell_claims
from tasks.students import cell_measures as measures
from tasks.students.cells import certificates
from tasks.students.minima import family_point
from tasks.students.published import BAD, PUBLISHED, RUNS, STEP, STOP, Published, interval
from tasks.students.study import teacher_student_study
from tasks.students.tables import tables
from tests.test_tasks.test_students_cells import (
    HOLDS,
    INCONCLUSIVE,
    ONE,
    REFUTED,
    TWO,
    cell_tree,
    counted,
    permuted,
)
from tests.test_tasks.test_students_passes import FACTS, MINIMUM, SADDLE, line_tree
from tests.test_tasks.test_students_torus import critical_tree

# In percent: k, bad, the least eigenvalue, the loss.
EQUAL = """
6 0.3 .0047 .0251; 7 5.5 .0141 .0232; 8 12.6 .0213 .0215; 9 21.8 .0268 .0204; 10 34.6 .0304 .0203;
11 45.5 .0335 .0201; 12 58.5 .0351 .0213; 13 73.0 .0368 .0217; 14 73.6 .0375 .0231;
15 80.3 .0381 .0244; 16 85.1 .0378 .0267; 17 89.7 .0386 .0275; 18 90.0 .0387 .0288;
19 93.4 .0383 .0307; 20 94.9 .0379 .0329
"""
ONE_MORE = """
8 0.1; 10 0.1; 11 0.1; 12 0.3; 13 1.5; 14 5.5; 15 10.2; 16 18.0; 17 23.3; 18 36.9; 19 49.1
"""


def test_the_published_table():
    expected = {}
    for row in EQUAL.split(";"):
        k, percent, least, loss = row.split()
        bad = int(Fraction(percent) * 10)
        expected[int(k), int(k)] = Published(bad, float(least), float(loss))
    for row in ONE_MORE.split(";"):
        k, percent = row.split()
        expected[int(k), int(k) + 1] = Published(int(Fraction(percent) * 10))
    assert expected == PUBLISHED


def test_the_intervals_are_of_clopper_and_pearson():
    def at_least(bad, runs, share):
        """The probability of so many, as the sum of the binomial's terms."""
        terms = (
            math.comb(runs, i) * share**i * (1 - share) ** (runs - i) for i in range(bad, runs + 1)
        )
        return math.fsum(terms)

    for bad, runs in ((55, 400), (1, 100), (3, 200)):
        low, high = interval(bad, runs)
        assert at_least(bad, runs, low) == pytest.approx(0.025, rel=1e-8)
        assert 1 - at_least(bad + 1, runs, high) == pytest.approx(0.025, rel=1e-8)
    assert interval(10, 100) == pytest.approx((0.0490, 0.1762), abs=5e-5)
    assert interval(0, 1000) == pytest.approx((0.0, 1 - 0.025**0.001), rel=1e-12)
    assert interval(30, 30) == pytest.approx((0.025 ** (1 / 30), 1.0), rel=1e-12)


@pytest.mark.parametrize(("bad", "runs", "published"), [(2, 40, 126), (1, 30, 1), (9, 20, 218)])
def test_the_p_value_is_the_sum_over_all_tables_that_are_no_likelier(bad, runs, published):
    total = bad + published

    def likelihood(first):
        ways = math.comb(runs, first) * math.comb(1000, total - first)
        return Fraction(ways, math.comb(1000 + runs, total))

    every = [likelihood(first) for first in range(min(runs, total) + 1)]
    expected = sum(each for each in every if each <= every[bad])
    found = measures.p_value(bad, runs, Published(published))
    assert found == pytest.approx(float(expected), rel=1e-9)


def test_the_column_is_judged_by_all_its_cells():
    column = {(k, k): f"k{k}" for k in (6, 7, 8)}
    claim = cell_claims.column_agrees(column)

    def trees(*bad, more=0, **changed):
        sizes = zip((6, 7, 8), bad, strict=True)
        return {f"k{k}": counted(count, 1000, k + more, k, **changed) for k, count in sizes}

    # Fisher 1925: −2 Σ log p is χ² of six degrees, whose tail is a polynomial times e^−x/2.
    bad = (5, 45, 140)
    counts = zip(column, bad, strict=True)
    p = [measures.p_value(count, 1000, PUBLISHED[at]) for at, count in counts]
    half = -math.fsum(math.log(each) for each in p)
    expected = math.exp(-half) * (1 + half + half**2 / 2)
    judged = claim.judge(trees(*bad))
    assert (judged.value, judged.verdict) == (pytest.approx(expected, rel=1e-9), HOLDS)
    # Cells of which each might be so, but not all of them.
    doubtful = trees(10, 75, 159)
    assert claim.judge(doubtful).verdict is REFUTED
    for k in (6, 7, 8):
        assert cell_claims.agrees(k, k, 26).judge(doubtful).verdict is HOLDS
    assert claim.judge(trees(*bad, given_up=51)).verdict is INCONCLUSIVE
    control = cell_claims.wrong_column(column)
    assert control.judge({**trees(0, 1, 1, more=1)}).as_expected
    assert not control.judge(trees(*bad)).as_expected
    assert not control.judge({**trees(*bad, more=1)}).as_expected


def test_the_share_within_a_published_interval():
    # 4.17 … 7.10 %.
    for bad, inside in ((41, False), (42, True), (70, True), (71, False)):
        assert measures.is_within({"s": counted(bad, 1000)}, "s", PUBLISHED[7, 7]) is inside


def test_the_protocol_is_the_published_one():
    assert (RUNS, STEP, STOP, BAD) == (1000, 0.1, 1e-9, 1e-3)
    scans = teacher_student_study(False).scans
    for (k, n), name in CELLS_OF_THE_STUDY.items():
        spec = scans[name]
        assert (spec.parameters["teachers"], spec.parameters["students"]) == (k, n)
        descent = spec.descent
        assert spec.starts.num >= RUNS
        assert spec.starts.scale == 1.0
        assert (descent.method, descent.step, descent.keep_parameters) == ("gd", 0.1, True)
        assert descent.tolerance == pytest.approx(1e-9 / (2 * math.pi), rel=1e-12)
        assert descent.target == (None if n == k else 1e-3)
        assert spec.compute.dtype == "float64"
    seeds = [scans[name].seed for name in CELLS_OF_THE_STUDY.values()]
    assert len(set(seeds)) == len(seeds)


CELLS_OF_THE_STUDY = {(k, n): f"k{k}" if k == n else f"k{k}-n{n}" for k, n in [(5, 5), *PUBLISHED]}
CELLS = {(8, 8): "k8", (5, 5): "k5", (8, 9): "k8-n9"}


def along(k, ends, losses):
    """The line between two minima, with losses beyond the first one."""
    data = line_tree(k, ends).to_dataset().assign_coords(t=np.linspace(0, 1, len(ends)))
    every = [FACTS[k]["spurious_loss"], *losses]
    return xr.DataTree(data.assign(loss=(("split", "t"), [every])))


@pytest.fixture(scope="module")
def trees():
    weights = [permuted(ONE, seed) for seed in range(3)]
    eight = cell_tree([np.eye(8), *weights, permuted(TWO, 9), *[np.eye(8)] * 5], given_up=1)
    return {
        "k8": eight,
        "k5": cell_tree([np.eye(5)] * 4),
        "k8-n9": counted(1, 50, 9, 8, given_up=1),
        "between-7": along(7, [np.eye(7), np.eye(7), np.eye(7)], [0.05, 0.0]),
        "between-5": along(5, [np.eye(5)] * 2, [0.0]),
        "softest-7": line_tree(7, [np.eye(7), MINIMUM, SADDLE]),
        "softest-5": line_tree(5, [np.eye(5)] * 2),
        "torus": critical_tree(),
    }


def rows_of(table, trees):
    """The rows of a table, by the names of its columns without their units."""
    rows = table.rows(trees)
    assert all(len(row) == len(table.columns) for row in rows)
    for value in [value for row in rows for value in row]:
        assert value is None or isinstance(value, str | int | float | bool)
        assert not isinstance(value, float) or math.isfinite(value)
    return [dict(zip([each.name for each in table.columns], row, strict=True)) for row in rows]


def test_the_table_of_cells(trees):
    eight, five, more = rows_of(tables(CELLS, [])["cells"], trees)
    assert [(row["teachers"], row["students"]) for row in (eight, five, more)] == [*CELLS]
    assert (eight["runs"], eight["bad"], eight["proved"], eight["given up"]) == (10, 40.0, 4, 1)
    low, high = interval(4, 10)
    assert (eight["from"], eight["to"]) == pytest.approx((100 * low, 100 * high))
    assert eight["published"] == pytest.approx(12.6)
    low, high = interval(126, 1000)
    assert (eight["published from"], eight["published to"]) == pytest.approx(
        (100 * low, 100 * high)
    )
    p = measures.p_value(4, 10, PUBLISHED[8, 8])
    assert 0.02 < p < 0.05
    assert (eight["p"], eight["within published"], eight["agree at 95 %"]) == (p, False, False)
    means = measures.mean_of_bad(trees, "k8")
    least = family_point(8).least_eigenvalue
    assert eight["λ_min"] == means["least_eigenvalue"][0] < least
    assert eight["F"] == pytest.approx((3 * family_point(8).loss + 0.0397932341) / 4)
    assert (eight["published λ_min"], eight["published F"]) == (0.0213, 0.0215)

    # Without bad runs, and not in the published table.
    assert (five["runs"], five["bad"], five["proved"]) == (4, 0, 0)
    assert (five["from"], five["to"]) == (0, pytest.approx(100 * (1 - 0.025**0.25)))
    beside = [name for name in five if "published" in name] + ["p", "agree at 95 %", "λ_min", "F"]
    assert {five[name] for name in beside} == {None}

    # One bad run, and published without means.
    assert (more["bad"], more["published"], more["proved"]) == (2.0, 0.1, 0)
    assert (more["published λ_min"], more["F"], more["given up"]) == (None, 0.5, 1)
    assert (more["within published"], more["agree at 95 %"]) == (False, more["p"] >= 0.05)


def test_a_cell_within_the_published_interval():
    trees = {"k8": counted(1, 9, 8, 8)}
    (row,) = rows_of(tables({(8, 8): "k8"}, [])["cells"], trees)
    assert (row["within published"], row["agree at 95 %"]) == (True, True)
    assert row["p"] == measures.p_value(1, 9, PUBLISHED[8, 8])


def test_the_table_of_families(trees):
    rows = rows_of(tables(CELLS, [])["families"], trees)
    seen = [(row["teachers"], row["students"], row["family"], row["runs"]) for row in rows]
    assert seen == [
        (8, 8, "global", 6),
        (8, 8, "1", 3),
        (8, 8, "2", 1),
        (5, 5, "global", 4),
        (8, 9, "global", 49),
        (8, 9, "1", 1),
    ]
    assert [row["of all runs"] for row in rows] == pytest.approx([60, 30, 10, 100, 98, 2])
    first, second = rows[1], rows[2]
    proofs = certificates(trees["k8"])
    for row, proof in ((first, proofs[0]), (second, proofs[3])):
        found = (row["λ_min at least"], row["gradient at most"], row["radius"])
        assert found == (proof.least_eigenvalue, proof.gradient_norm, proof.radius)
        assert proof.radius is not None
    assert first["F"] == pytest.approx(family_point(8).loss, abs=1e-12)
    assert second["F"] == pytest.approx(0.0397932341, abs=5.1e-11)
    assert first["neurons"] == "7 of 8 neurons near a teacher; alike: neurons 7, coordinates 7"
    assert second["neurons"].startswith("6 of 8 neurons near a teacher")
    assert rows[5]["radius"] is None
    # The largest are shown.
    random = np.random.default_rng(0)
    ends = np.repeat(np.eye(3) + random.standard_normal((8, 3, 3)), [1, 2] * 4, axis=0)
    many = {"k3": cell_tree(ends)}
    runs = [row["runs"] for row in rows_of(tables({(3, 3): "k3"}, [])["families"], many)]
    assert runs == [0, 2, 2, 2, 2, 1, 1]


def test_the_table_of_ways(trees):
    five, seven = rows_of(tables({}, [5, 7])["ways"], trees)
    assert (five["teachers"], seven["teachers"]) == (5, 7)
    assert five["λ_min"] < 0 < seven["λ_min"]
    assert five["rise of the line"] == 0
    assert [five[name] for name in five if "saddle" in name] == [None] * 4
    assert seven["F"] == pytest.approx(0.0232027149, abs=5.1e-11)
    assert seven["distance"] == pytest.approx(np.linalg.norm(MINIMUM - nearest(MINIMUM)))
    assert seven["rise of the line"] == pytest.approx(0.05 - seven["F"])
    assert seven["saddle F"] == pytest.approx(0.023431036, abs=5.1e-10)
    rise = seven["saddle F"] - seven["F"]
    assert seven["rise to the saddle"] == pytest.approx(rise, abs=1e-14)
    assert seven["saddle's eigenvalue"] == pytest.approx(-0.0138535, abs=5.1e-8)
    assert seven["distance of the saddle"] == pytest.approx(np.linalg.norm(SADDLE - MINIMUM))


def nearest(weights):
    """The nearest permutation of seven teachers, which takes the turned student to some."""
    every = [np.eye(7)[[*range(i), 6, *range(i + 1, 6), i]] for i in range(6)]
    return min([np.eye(7), *every], key=lambda other: np.linalg.norm(other - weights))


def test_the_table_of_the_torus(trees):
    rows = rows_of(tables({}, [])["torus-points"], trees)
    assert [row["kind"] for row in rows] == ["minimum"] * 2 + ["saddle"] * 3 + ["maximum"]
    last = rows[-1]
    assert (last["first angle"], last["second angle"]) == pytest.approx((1.25, 1.25))
    assert last["F"] == pytest.approx(1.56255, abs=5e-7)
    eigenvalues = last["least eigenvalue"], last["greatest eigenvalue"]
    assert eigenvalues == pytest.approx((-1.402, -0.402), abs=5e-4)
