"""The report of a study: every verdict, its figure, and nothing from elsewhere."""

import pytest
from PIL import Image

from pipeline.report import write_study_report
from schemas.study import Outcome, Verdict


def verdict(claim, value, outcome, expected=Outcome.HOLDS, control=False):
    return Verdict(
        claim=claim,
        statement=f"{claim} is small & <b>bold</b>",
        source="Theorem 1",
        value=value,
        threshold="at most 0.05",
        verdict=outcome,
        expected=expected,
        control=control,
    )


VERDICTS = [
    verdict("fidelity", 0.0123456, Outcome.HOLDS),
    verdict("broken", 0.9, Outcome.REFUTED, Outcome.REFUTED, control=True),
    verdict("unmeasured", None, Outcome.INCONCLUSIVE),
]


@pytest.fixture
def figure(tmp_path):
    path = tmp_path / "surfaces.png"
    Image.new("RGB", (8, 8), "red").save(path)
    return path


def test_every_verdict_is_told(tmp_path, figure):
    page = write_study_report(
        "Embedding",
        "Is it there?",
        VERDICTS,
        {"fidelity": figure, "broken": figure},
        tmp_path / "out",
    )
    html = page.read_text(encoding="utf-8")
    assert page == tmp_path / "out" / "index.html"
    for words in (
        "0.01235",
        "at most 0.05",
        "Theorem 1",
        "inconclusive",
        "refuted",
        "Is it there?",
    ):
        assert words in html
    assert "2 of 3 checks" in html
    assert html.count('class="unexpected"') == 1
    assert html.count("<td>control</td>") == 1


def test_a_shared_figure_is_inlined_once_and_linked_from_each_claim(tmp_path, figure):
    figures = {"fidelity": figure, "broken": figure}
    html = write_study_report("S", "", VERDICTS, figures, tmp_path).read_text(encoding="utf-8")
    assert html.count("data:image/png;base64,") == 1
    assert html.count('href="#figure-1"') == 2


def test_words_are_escaped_and_nothing_is_loaded(tmp_path, figure):
    title = "<script>alert(1)</script>"
    html = write_study_report(title, title, VERDICTS, {}, tmp_path).read_text(encoding="utf-8")
    assert "<script" not in html
    assert "<b>bold" not in html
    assert "http://" not in html
    assert "https://" not in html
