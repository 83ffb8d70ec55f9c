"""The tables of a study: the page and the CSV show what the rows are, and say what is missing."""

import csv
import math
import re
from html import unescape
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import write_study_report
from pipeline.report.study_tables import csv_path, make, shown
from schemas import parse_spec
from schemas.study import Claim, Column, Figure, Outcome, Series, Study, Table

NAN, INFINITE = float("nan"), float("inf")
BOLD = "<b>bold</b> & \"more\", 'yet'"
AXES = {"a": {"start": 0, "stop": 1, "num": 2}}
COLUMNS = (
    Column(f"setting {BOLD}"),
    Column("starts"),
    Column("ends", "%", 1),
    Column("gradient", "<i>"),
    Column("convex"),
)
ROWS = [
    ["k = 4", 1000, 12.345678901234567, 1e-14, True],
    [f"k = 5, {BOLD}", np.int64(-1234567), np.float64(-0.04), -INFINITE, np.False_],
    ["six, and then some more of it", None, NAN, 0.1 + 0.2, None],
]
SHOWN = [
    ["k = 4", "1,000", "12.3", "1·10⁻¹⁴", "yes"],
    [f"k = 5, {BOLD}", "−1,234,567", "0.0", "−∞", "no"],
    ["six, and then some more of it", "–", "–", "0.3", "–"],
]


class Page(HTMLParser):
    """The tables of a page by the number of their figure: attributes, caption, rows of cells."""

    def __init__(self, html):
        super().__init__()
        self.found = {}
        self.table, self.cell = None, None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "figure" and given["id"].startswith("table-"):
            self.table = SimpleNamespace(captions=[], rows=[])
            self.found[int(given["id"].removeprefix("table-"))] = self.table
        if self.table is None:
            return
        if tag == "tr":
            self.table.rows.append([])
        if tag in ("th", "td", "caption"):
            self.cell = SimpleNamespace(tag=tag, text="", **{"class": "", "scope": None, **given})
            row = self.table.captions if tag == "caption" else self.table.rows[-1]
            row.append(self.cell)

    def handle_endtag(self, tag):
        if tag == "figure":
            self.table = None
        if tag in ("th", "td", "caption"):
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell.text += data


def texts(row):
    return [cell.text for cell in row]


def claim(name, shown_in, *, control=False):
    return Claim(
        *(name, f"{name} is small", "Nobody 1900", lambda scans: 1.0, 2.0, "at most"),
        figure=shown_in,
        control=control,
        expected=Outcome.REFUTED if control else Outcome.HOLDS,
    )


def wells(**tables):
    spec = parse_spec({"task": "quadratic", "axes": AXES})
    curve = Figure("Curve", "", "x", "y", lambda scans: [Series("s", [1, 2], [1, 2])])
    claims = (
        claim("ends", "ends"),
        claim("curve", "curve"),
        claim("control", "none", control=True),
    )
    return Study("wells", "?", {"scan": spec}, claims, {"curve": curve}, tables)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    study = wells(
        ends=Table(f"Ends {BOLD}", f"Of all, {BOLD}.", COLUMNS, lambda scans: ROWS),
        none=Table("Nothing", "Nothing at all.", COLUMNS[:2], lambda scans: []),
    )
    verdicts = [each.judge({}) for each in study.claims]
    return write_study_report(
        study, verdicts, {}, tmp_path_factory.mktemp("r"), command="again"
    ).path


@pytest.fixture(scope="module")
def html(page):
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tables(html):
    return Page(html).found


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_the_page_and_the_csv_have_the_numbers_of_the_rows(page, tables):
    assert [texts(row) for row in tables[1].rows[1:]] == SHOWN
    head, *rows = read(csv_path(page.parent, "ends"))
    assert head == [f"setting {BOLD}", "starts", "ends [%]", "gradient [<i>]", "convex"]
    assert [row[0] for row in rows] == [row[0] for row in ROWS]
    assert [row[1] for row in rows] == ["1000", "-1234567", ""]
    for place in (2, 3):
        found = [float(row[place]) for row in rows]
        np.testing.assert_array_equal(found, [float(row[place]) for row in ROWS])
    assert [row[4] for row in rows] == ["true", "false", ""]


def test_a_table_is_titled_numbered_and_marked_up_for_every_reader(html, tables):
    titles = [" ".join(cell.text for cell in table.captions) for table in tables.values()]
    assert titles == [f"Table 1. Ends {BOLD}", "Table 2. Nothing"]
    head, *body = tables[1].rows
    assert texts(head) == [f"setting {BOLD}", "starts", "ends [%]", "gradient [<i>]", "convex"]
    assert {cell.scope for cell in head} == {"col"}
    for row in body:
        assert [(cell.tag, cell.scope) for cell in row] == [("th", "row"), *[("td", None)] * 4]
    assert f"Of all, {BOLD}." in unescape(html)
    for number in tables:
        assert f'aria-labelledby="table-{number}-title" tabindex="0"' in html
        assert f'id="table-{number}-title"' in html


def test_numbers_and_what_is_missing_among_them_stand_right(tables):
    for row in tables[1].rows:
        right = [cell.__dict__["class"] == "value" for cell in row]
        assert right == [False, True, True, True, False]
    first = [row[0].__dict__["class"] for row in tables[1].rows[1:]]
    assert first == ["short", "long", "long"]


def test_a_table_without_rows_says_so(page, tables):
    _, (only,) = tables[2].rows
    assert only.text == "No rows: the scans have nothing for this table."
    assert only.colspan == "2"
    assert read(csv_path(page.parent, "none")) == [[f"setting {BOLD}", "starts"]]


def test_claims_and_tables_are_linked_to_each_other_and_to_the_files(page, html):
    lines = {
        name: re.search(rf'<tr id="claim-{name}".*?</tr>', html, re.DOTALL)[0]
        for name in ("ends", "curve", "control")
    }
    assert '<a href="#table-1">table&nbsp;1</a>' in lines["ends"]
    assert '<a href="#figure-1">figure&nbsp;1</a>' in lines["curve"]
    assert '<a href="#table-2">table&nbsp;2</a>' in lines["control"]
    first, second = re.findall(r'<figure id="table-\d">.*?</figure>', html, re.DOTALL)
    assert re.findall(r'href="([^"]*)"', first) == ["tables/ends.csv", "#claim-ends"]
    assert re.findall(r'href="([^"]*)"', second) == ["tables/none.csv", "#claim-control"]
    assert "(control)" in second
    assert (page.parent / "tables" / "ends.csv") == csv_path(page.parent, "ends")
    order = ["#claims", "#controls", "#tables", "#figures", "#scans"]
    assert re.findall(r'href="(#\w+)"', re.search("<nav.*?</nav>", html)[0])[:5] == order
    places = [html.index(f'<section id="{section[1:]}">') for section in order]
    assert places == sorted(places)


def test_words_are_escaped_and_nothing_is_loaded(html):
    assert BOLD not in html
    assert "<b>bold" not in html
    assert "<i>" not in html
    assert not re.search(r"<script|<link|https?://", html)


def test_a_study_without_tables_has_no_section_of_them(tmp_path):
    study = Study("wells", "?", {}, ())
    html = write_study_report(study, (), {}, tmp_path, command="").path.read_text()
    assert 'id="tables"' not in html
    assert "#tables" not in html
    assert not (tmp_path / "tables").exists()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([["a", 1], ["a"]], "table ends, row 2: 1 cells for 2 columns"),
        ([["a", 1, 2]], "table ends, row 1: 3 cells for 2 columns"),
        ([["a", [1]]], "table ends, row 1, starts: a cell is list"),
        ([["a", 1j]], "table ends, row 1, starts: a cell is complex"),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_nothing_is_written(rows, words, tmp_path):
    table = Table("t", "", (Column("setting"), Column("starts")), lambda scans: rows)
    with pytest.raises(ValueError, match=f"^{re.escape(words)}"):
        make("ends", table, {}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_rows_are_made_once_and_from_the_scans(tmp_path):
    seen = []

    def rows(scans):
        seen.append(scans)
        return [[name] for name in scans]

    made = make("ends", Table("t", "", (Column("scan"),), rows), {"x": 1, "y": 2}, tmp_path)
    assert (made.rows, seen) == ([["x"], ["y"]], [{"x": 1, "y": 2}])


@pytest.mark.parametrize(
    ("cell", "decimals", "text"),
    [
        (3, 2, "3.00"),
        (-1234.567, 1, "−1,234.6"),
        (-1e-9, 3, "0.000"),
        (1e300, 2, "1·10³⁰⁰"),
        (INFINITE, 2, "∞"),
        (10**7, None, "10,000,000"),
        (0.123456, None, "0.1235"),
        ("-0.5", 3, "-0.5"),
        (True, 2, "yes"),
        ("", None, ""),
    ],
)
def test_a_cell_is_shown_as_its_column_asks(cell, decimals, text):
    assert shown(cell, Column("c", decimals=decimals)) == text


cells = st.none() | st.booleans() | st.integers() | st.floats() | st.text()


@given(st.lists(st.tuples(cells, cells, cells), max_size=4))
def test_the_csv_keeps_every_number_and_every_word(tmp_path_factory, rows):
    out = tmp_path_factory.mktemp("t")
    columns = (Column("a"), Column("b", decimals=1), Column("c", "%"))
    made = make("t", Table("", "", columns, lambda scans: rows), {}, out)
    _, *kept = read(out / made.csv)
    assert len(kept) == len(made.rows) == len(rows)
    for row, found in zip(rows, kept, strict=True):
        for cell, text in zip(row, found, strict=True):
            if isinstance(cell, bool) or cell is None:
                assert text == {None: "", True: "true", False: "false"}[cell]
            elif isinstance(cell, str):
                assert text == cell
            else:
                back = type(cell)(text)
                assert back == cell or (math.isnan(back) and math.isnan(cell))
