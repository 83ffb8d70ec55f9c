"""What a check says of a claim, of its hypothesis, and of a control."""

import json
from dataclasses import replace

import numpy as np
import pytest

from schemas import parse_spec
from schemas.study import (
    Claim,
    Column,
    Figure,
    Hypothesis,
    Outcome,
    Series,
    Study,
    Table,
    Verdict,
)

NAN, INFINITE = float("nan"), float("inf")
AXES = {"a": {"start": 0, "stop": 1, "num": 2}}


def claim(value=1.0, sense="at most", *, met=None, control=False, **changes):
    """A claim whose threshold is 2, on what is measured as `value`."""
    fields = {
        "name": "claim",
        "statement": "it is small",
        "source": "Nobody 1900, Theorem 1",
        "statistic": lambda scans: value,
        "threshold": 2.0,
        "sense": sense,
        "expected": Outcome.REFUTED if control else Outcome.HOLDS,
        "control": control,
        "hypothesis": None if met is None else Hypothesis("it is supposed", lambda scans: met),
    }
    return Claim(**{**fields, **changes})


@pytest.mark.parametrize(
    ("value", "most", "least"),
    [
        (1.0, "holds", "refuted"),
        (2.0, "holds", "holds"),
        (2.0 + 1e-15 * 2, "refuted", "holds"),
        (3, "refuted", "holds"),
        (INFINITE, "refuted", "holds"),
        (-INFINITE, "holds", "refuted"),
        (np.float32(1.5), "holds", "refuted"),
        (NAN, "inconclusive", "inconclusive"),
        (np.float64("nan"), "inconclusive", "inconclusive"),
        (None, "inconclusive", "inconclusive"),
    ],
)
def test_the_statistic_decides(value, most, least):
    assert claim(value, "at most").judge({}).verdict == most
    assert claim(value, "at least").judge({}).verdict == least
    # No data is never what a theory expects, neither of a claim nor of a control.
    if most == "inconclusive":
        assert not claim(value).judge({}).as_expected
        assert not claim(value, met=False, control=True).judge({}).as_expected


@pytest.mark.parametrize(
    ("cases", "verdict", "worst"),
    [
        ({"a": 1.0, "b": 2.0}, "holds", 2.0),
        ({"a": 1.0, "b": 3.0}, "conditional", 3.0),
        ({"a": 4.0, "b": INFINITE}, "refuted", INFINITE),
        ({"a": 1.0, "b": None}, "inconclusive", None),
        ({"a": 3.0, "b": NAN}, "inconclusive", None),
        ({}, "inconclusive", None),
    ],
)
def test_what_holds_in_some_cases_only_is_conditional(cases, verdict, worst):
    found = claim(cases, expected=Outcome(verdict)).judge({})
    assert (found.verdict, found.value) == (verdict, worst)
    assert found.as_expected
    assert list(found.cases) == list(cases)
    assert json.loads(json.dumps(found.as_json()))["cases"] == found.cases
    broken = claim(cases, met=False).judge({})
    assert broken.verdict is Outcome.INCONCLUSIVE


def test_the_worst_case_is_the_least_where_at_least_so_much_is_claimed():
    assert claim({"a": 1.0, "b": 3.0}, "at least").judge({}).value == 1.0
    assert claim({"a": 1.0, "b": 3.0}, "at least").judge({}).cases == {
        "a": "refuted",
        "b": "holds",
    }


def test_statistic_and_hypothesis_see_the_scans():
    scans = {"a": 0.25}
    verdict = claim(
        statistic=lambda given: given["a"],
        hypothesis=Hypothesis("there is an a", lambda given: "a" in given),
    ).judge(scans)
    assert (verdict.value, verdict.hypothesis_met) == (0.25, True)
    assert verdict.hypothesis == "there is an a"
    assert verdict.threshold == "at most 2"


@pytest.mark.parametrize("no", [False, np.False_, np.array(1) > 2])
def test_a_claim_whose_hypothesis_is_not_met_is_inconclusive(no):
    verdict = claim(met=no).judge({})
    assert verdict.verdict is Outcome.INCONCLUSIVE
    assert verdict.hypothesis_met is False
    assert verdict.value == 1.0, "what was measured is still told"
    assert not verdict.as_expected


def test_a_hypothesis_that_is_not_met_excuses_no_expectation_of_it():
    assert not claim(met=False, expected=Outcome.INCONCLUSIVE).judge({}).as_expected


@pytest.mark.parametrize(
    ("value", "met", "expected"),
    [(3.0, False, True), (3.0, True, False), (1.0, False, False), (3.0, None, True)],
)
def test_a_control_is_to_be_refuted_and_its_hypothesis_broken(value, met, expected):
    verdict = claim(value, met=met, control=True).judge({})
    assert verdict.verdict is (Outcome.REFUTED if value > 2 else Outcome.HOLDS)
    assert verdict.as_expected is expected


@pytest.mark.parametrize("met", [None, True, np.True_])
def test_a_claim_that_holds_is_as_expected(met):
    assert claim(met=met).judge({}).as_expected
    assert not claim(3.0, met=met).judge({}).as_expected


@pytest.mark.parametrize("value", [INFINITE, -INFINITE, NAN, None])
def test_json_has_no_infinity(value):
    plain = claim(value).judge({}).as_json()
    assert plain["value"] is None
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_json_tells_all_but_the_figure():
    verdict = claim(np.float32(0.5), met=np.True_, figure="f").judge({})
    plain = json.loads(json.dumps(verdict.as_json(), allow_nan=False))
    assert plain.keys() == {*Verdict.__dataclass_fields__, "as_expected"} - {"figure"}
    assert plain["value"] == 0.5
    assert plain["as_expected"] is True
    assert plain["hypothesis_met"] is True
    assert plain["verdict"] == "holds"


def table(*columns):
    return Table("listed", "", columns or (Column("a"),), lambda scans: [])


def study(*claims, **tables):
    drawn = Figure("t", "c", "x", "y", lambda scans: [])
    scan = parse_spec({"task": "quadratic", "axes": AXES})
    return Study("wells", "?", {"scan": scan}, claims, {"drawn": drawn}, tables)


def test_a_study_names_each_claim_once_and_figures_and_tables_that_there_are():
    study(claim(), claim(name="b", figure="scan"), claim(name="c", figure="drawn"))
    study(claim(figure="listed"), claim(name="b", figure="scan:surface"), listed=table())
    with pytest.raises(ValueError, match=r"wells: claim names several claims; name each once"):
        study(claim(), claim())
    with pytest.raises(
        ValueError, match=r"claim b: no figure, table or scan 'scam'; .* drawn, listed, scan"
    ):
        study(claim(name="b", figure="scam"), listed=table())
    with pytest.raises(ValueError, match=r"claim b: no figure, table or scan 'drawn:surface'"):
        study(claim(name="b", figure="drawn:surface"))


@pytest.mark.parametrize("cover", [None, "drawn", "scan", "scan:surface"])
def test_a_cover_is_a_figure_or_of_a_scan(cover):
    covered = replace(study(listed=table()), cover=cover)
    with pytest.raises(ValueError, match=r"^study wells, cover: no figure or scan 'listed'; "):
        replace(covered, cover="listed")


def test_what_a_verdict_says():
    def said(value, **more):
        return claim(value, **more).judge({}).said

    good, bad = 1.0, 3.0
    refuted, conditional = {"expected": Outcome.REFUTED}, {"expected": Outcome.CONDITIONAL}
    assert said(good) == "holds"
    assert said(bad) == "refuted (unexpected)"
    assert said(bad, **refuted) == "refuted as printed"
    assert said(bad, **refuted, control=True) == "refuted"
    assert said(good, **refuted) == "holds (unexpected)"
    assert said({"here": good, "there": bad}, **conditional) == "conditional"
    assert said(None) == "inconclusive (unexpected)"


@pytest.mark.parametrize("name", ["drawn", "scan"])
def test_a_table_has_a_name_of_its_own(name):
    with pytest.raises(ValueError, match=rf"^study wells, table {name}: a figure or a scan has"):
        study(**{name: table()})


@pytest.mark.parametrize("name", ["", "../up", "a/b", "Upper", "two words", "-", "a.b", "ends\n"])
def test_a_tables_name_can_be_a_files(name):
    study(**{"k_4-ends": table()})
    with pytest.raises(ValueError, match=r"^study wells, table '.*': the name is also its file's"):
        study(**{name: table()})


def test_columns_are_told_apart_by_their_headings():
    assert (Column("n").heading, Column("ends", "%").heading) == ("n", "ends [%]")
    table(Column("n"), Column("n", "%"), Column("m"))
    with pytest.raises(ValueError, match=r"^table 'listed': n \[%\] heads several columns"):
        table(Column("n", "%"), Column("n"), Column("n", "%"))
    with pytest.raises(ValueError, match=r"^table 'listed' has no column"):
        Table("listed", "", (), lambda scans: [])


def test_decimals_are_not_negative():
    Column("n", decimals=0)
    with pytest.raises(ValueError, match=r"^column n: decimals is -1; give 0 or more"):
        Column("n", decimals=-1)


def test_intervals_have_two_ends_each():
    Series("s", [1, 2], [3, 4], "points", [3, NAN], np.array([5.0, NAN]))
    Series("s", [1, 2], [3, 4], low=[4, 4], high=[4, 4])
    for wrong, words in (
        ({"low": [1, 2]}, "only low is given"),
        ({"high": [1, 2]}, "only high is given"),
        ({"low": [1, 2], "high": [5, 6], "kind": "bound"}, "a bound has no intervals"),
        ({"low": [1], "high": [5, 6]}, "y has length 2, low 1 and high 2"),
        ({"low": [1, 2], "high": [5, 6, 7]}, "y has length 2, low 2 and high 3"),
        ({"low": [1, 7], "high": [5, 6]}, "an interval ends below its start"),
    ):
        with pytest.raises(ValueError, match=f"^s: {words}"):
            Series("s", [1, 2], [3, 4], **wrong)
