"""The page of a study: verdicts, hypotheses, controls, figures, scans; nothing from elsewhere."""

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from pipeline.report import StudiedScan, write_report, write_study_report
from schemas import parse_spec
from schemas.study import Claim, Figure, Hypothesis, Outcome, Series, Study
from tests import report_trees

COMMAND = "cartograd study Embedding --folder 'my studies'"
BOLD = "<b>bold</b>"


def claim(name, value, *, control=False, met=None, figure=None):
    return Claim(
        name=name,
        statement=f"{name} is small & {BOLD}",
        source="Nobody 1900, Theorem 1",
        statistic=lambda scans: value,
        threshold=0.05,
        sense="at most",
        expected=Outcome.REFUTED if control else Outcome.HOLDS,
        control=control,
        figure=figure,
        hypothesis=None if met is None else Hypothesis(f"{name} is well posed", lambda scans: met),
    )


CLAIMS = (
    claim("broken", 0.9, control=True, met=False, figure="growth"),
    claim("fidelity", 0.0123456, met=True, figure="growth"),
    claim("unmeasured", None, figure="cube"),
    claim("unposed", 0.01, met=False, figure="flat"),
    claim("posed-control", 0.9, control=True, met=True),
)


def series(scans):
    along = scans["flat"]["loss"].isel(split=0, axis_2=0)
    return [Series("loss", along["axis_1"].values, along.values)]


FIGURES = {
    "growth": Figure("How it grows", f"Along a row, {BOLD}.", "axis_1", "loss", series),
    "unclaimed": Figure("Beside the point", "Nobody refers to it.", "axis_1", "loss", series),
}


def spec(*shape, **more):
    axes = {f"axis_{i}": {"start": 0, "stop": 1, "num": n} for i, n in enumerate(shape)}
    return parse_spec({"task": "quadratic", "axes": axes, **more})


SCANS = {"flat": spec(12, 9), "cube": spec(6, 5, 4, replicates=3)}
STUDY = Study("Embedding", "Is it there?", SCANS, CLAIMS, FIGURES)


@pytest.fixture(scope="module")
def scans(tmp_path_factory, coarse):
    folder = tmp_path_factory.mktemp("study")
    found = {}
    for name, shape in {"flat": (12, 9), "cube": (6, 5, 4)}.items():
        tree = report_trees.wells(shape)
        out = folder / f"{name} &.report"
        report = write_report(tree, (), out, title=name, store=name)
        found[name] = StudiedScan(folder / f"{name}.zarr", tree, report)
    return found


@pytest.fixture(scope="module")
def page(scans):
    trees = {name: scan.tree for name, scan in scans.items()}
    verdicts = [each.judge(trees) for each in CLAIMS]
    out = scans["flat"].store.parent / "report"
    return write_study_report(STUDY, verdicts, scans, out, command=COMMAND).path


@pytest.fixture(scope="module")
def html(page):
    return page.read_text(encoding="utf-8")


def row(html, name):
    return re.search(rf'<tr id="claim-{name}".*?</tr>', html, re.DOTALL)[0]


def test_every_verdict_is_told_with_its_hypothesis(page, html):
    assert page.name == "index.html"
    assert "Is it there?" in html
    assert "2 of 5 checks came out as the theory expects: 3 claims and 2 controls." in html
    fidelity = row(html, "fidelity")
    for words in ("0.01235", "at most 0.05", "Nobody 1900, Theorem 1", ">holds<", ">met<"):
        assert words in fidelity
    assert "fidelity is well posed" in fidelity
    assert ">inconclusive<" in row(html, "unmeasured")
    assert "Hypothesis" not in row(html, "unmeasured")
    assert ">broken<" in row(html, "broken")
    assert ">refuted<" in row(html, "broken")


def test_what_is_not_as_expected_stands_out_and_says_why(html):
    marked = re.findall(r'<tr id="claim-([^"]*)" class="unexpected"', html)
    assert marked == ["unmeasured", "unposed", "posed-control"]
    notice = re.search(r'class="notice".*?</p>', html)[0]
    assert re.findall(r'href="#claim-([^"]*)"', notice) == marked
    assert "the theory expects holds" in row(html, "unmeasured")
    assert "the hypothesis was to be met" in row(html, "unposed")
    assert "the hypothesis was to be broken" in row(html, "posed-control")
    assert "the theory expects" not in row(html, "posed-control")


def test_claims_come_first_and_controls_after_them(html):
    order = re.findall(r'<tr id="claim-([^"]*)"', html)
    assert order == ["fidelity", "unmeasured", "unposed", "broken", "posed-control"]
    assert html.index('id="claim-unposed"') < html.index(">Controls</h2>")
    assert html.index(">Controls</h2>") < html.index('id="claim-broken"')


def test_figures_are_the_studys_own_and_those_of_the_scans_that_claims_name(page, html):
    captions = re.findall(r'<figure id="figure-(\d)">\s*<h3>(.*?)</h3>', html)
    assert captions == [
        ("1", "How it grows"),
        ("2", "Beside the point"),
        ("3", "cube: Cuts: loss on train"),
        ("4", "flat: The surfaces"),
    ]
    assert html.count("data:image/png;base64,") == 4
    assert re.search(r'href="#figure-(\d)"', row(html, "fidelity"))[1] == "1"
    assert re.search(r'href="#figure-(\d)"', row(html, "broken"))[1] == "1"
    assert re.search(r'href="#figure-(\d)"', row(html, "unmeasured"))[1] == "3"
    assert "#figure" not in row(html, "posed-control")
    first = re.search(r'<figure id="figure-1">.*?</figure>', html, re.DOTALL)[0]
    assert re.findall(r'href="#claim-([^"]*)"', first) == ["broken", "fidelity"]
    assert 'alt="Figure 1: How it grows. loss against axis_1: loss"' in first
    assert {path.name for path in page.parent.glob("*.png")} == {
        "figure_growth.png",
        "figure_unclaimed.png",
    }


def test_a_claim_may_name_another_picture_of_a_scan(scans, tmp_path):
    last = scans["flat"].report.pictures[-1]
    assert last != scans["flat"].report.leading
    one = claim("fidelity", 0.01, met=True, figure=f"flat:{last.name}")
    verdict = one.judge({})
    page = write_study_report(
        Study("One", "?", SCANS, (one,)), [verdict], scans, tmp_path, command=COMMAND
    ).path
    found = page.read_text(encoding="utf-8")
    titles = re.findall(r'<figure id="figure-(\d)">\s*<h3>(.*?)</h3>', found)
    assert titles == [("1", f"flat: {last.title}")]
    assert re.search(r'href="#figure-(\d)"', row(found, "fidelity"))[1] == "1"


def test_the_page_says_where_its_figures_are_and_which_stands_for_the_study(scans, tmp_path):
    study = Study("One", "?", SCANS, (claim("fidelity", 0.01, figure="flat"),), FIGURES)
    verdicts = [each.judge({}) for each in study.claims]
    page = write_study_report(study, verdicts, scans, tmp_path, command="")
    assert dict(page.places) == {
        name: ("figure", n + 1) for n, name in enumerate(["growth", "unclaimed", "flat"])
    }
    assert (page.cover.title, page.cover_place) == ("How it grows", ("figure", 1))
    covered = replace(study, cover="cube:profiles")
    page = write_study_report(covered, verdicts, scans, tmp_path, command="")
    assert page.cover == scans["cube"].report.picture("profiles")
    assert page.cover_place == page.places["cube:profiles"] == ("figure", 3)
    assert 'id="figure-3"' in page.path.read_text()
    unknown = replace(study, cover="cube:nothing")
    assert write_study_report(unknown, verdicts, scans, tmp_path, command="").cover_place[1] == 1


def test_scans_are_linked_counted_and_placed(page, html, scans):
    table = html[html.index('<section id="scans">') : html.index('<section id="again">')]
    links = re.findall(r'href="([^"]*)"', table)
    targets = [(page.parent / unquote(link)).resolve() for link in links]
    assert targets == [Path(scan.report.page) for scan in scans.values()]
    assert all(target.is_file() for target in targets)
    assert "12 × 9 = 108 points" in table
    assert "6 × 5 × 4 = 120 points, 3 replicates" in table
    assert str(scans["cube"].store) in table


def test_starts_are_counted_as_starts(scans, tmp_path):
    starts = parse_spec({"task": "quadratic", "starts": {"num": 1500}, "descent": {}})
    study = Study("S", "", {"flat": starts}, ())
    one = {"flat": scans["flat"]}
    assert (
        "1,500 starts<" in write_study_report(study, (), one, tmp_path, command="").path.read_text()
    )


def test_words_are_escaped_and_nothing_is_loaded(html):
    assert "cartograd study Embedding --folder &#39;my studies&#39;" in html
    assert BOLD not in html
    assert "<script" not in html
    assert "http://" not in html
    assert "https://" not in html


def test_a_name_cannot_open_a_tag(scans, tmp_path):
    title = "<script>alert(1)</script>"
    study = Study(title, title, {"flat": SCANS["flat"]}, ())
    one = {"flat": scans["flat"]}
    assert (
        "<script"
        not in write_study_report(study, (), one, tmp_path, command=title).path.read_text()
    )
