"""All studies in one command: one table, one page, one document; what is interrupted goes on."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from pipeline.cli import main
from pipeline.gallery import run_gallery
from pipeline.report.gallery import duration, tally
from pipeline.timing import runs
from schemas import parse_spec
from schemas.errors import Interrupted
from schemas.study import Claim, Figure, Hypothesis, Outcome, Series, Study
from tasks import STUDIES
from tasks.registry import StudyEntry

pytestmark = pytest.mark.usefixtures("coarse")
BOLD = "<b>bold</b>"
ROOT = Path(__file__).parents[2]


def claim(name, found, expected=Outcome.HOLDS, **more):
    return Claim(
        name=name,
        statement=f"{name} is small, {BOLD}",
        source="Nobody 1900, Theorem 1",
        statistic=lambda scans: found,
        threshold=0.5,
        sense="at most",
        expected=expected,
        **more,
    )


def study(name, *claims, **more):
    axes = {"a": {"start": -1, "stop": 1, "num": 5}}
    spec = parse_spec({"task": "quadratic", "axes": axes, "compute": {"workers": 0}, **more})
    row = Figure("Row", "Along a.", "a", "loss", lambda scans: [Series("loss", [0, 1], [1, 2])])
    return Study(name, f"Is it {BOLD}?", {"line": spec}, claims, {"row": row}, cover="line")


def first(quick):
    cases = {"here": 0.1, "there": 0.9}
    broken = Hypothesis("it is supposed", lambda scans: False)
    return study(
        "first",
        claim("held", 0.25, figure="row"),
        claim("printed", 0.9, Outcome.REFUTED, figure="line"),
        claim("cases", cases, Outcome.CONDITIONAL),
        claim("control", 0.9, Outcome.REFUTED, control=True, hypothesis=broken),
    )


def failing(quick):
    return study("failing", parameters={"curvature": [1, 2]})


def defective(quick):
    raise ValueError(f"no study {BOLD}")


def last(quick):
    return study("last", claim("surprise", 0.9), claim("weak", 0.1, Outcome.REFUTED, control=True))


def entries(*functions):
    return [StudyEntry(f.__name__, f"What {BOLD}.", f"{__name__}:{f.__name__}") for f in functions]


ALL = (first, failing, defective, last)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    folder = tmp_path_factory.mktemp("my gallery")
    return run_gallery(entries(*ALL), folder, quick=True)


@pytest.fixture(scope="module")
def html(gallery):
    return gallery.page.read_text(encoding="utf-8")


@pytest.fixture
def command(gallery, monkeypatch, capsys):
    """The exit code, stdout and stderr of `cartograd study --all`, run on what is there already."""

    def call(*options, of=ALL):
        for name in list(STUDIES):
            monkeypatch.delitem(STUDIES, name)
        for entry in entries(*of):
            monkeypatch.setitem(STUDIES, entry.name, entry)
        with pytest.raises(SystemExit) as end:
            main(["study", "--all", "--quick", "--folder", str(gallery.folder), *options])
        said = capsys.readouterr()
        return end.value.code, said.out, said.err

    return call


def test_what_fails_does_not_stop_the_others(gallery):
    assert [each.name for each in gallery.studies] == ["first", "failing", "defective", "last"]
    errors = [each.error for each in gallery.studies]
    assert errors[0] is errors[3] is None
    assert errors[1].startswith("study failing, scan line: parameters.curvature: ")
    assert errors[2] == f"ValueError: no study {BOLD}"
    assert gallery.exit_code == 2
    ends = {name: runs(gallery.folder / f"{name}-quick")[0].end for name in ("first", "failing")}
    assert ends == {"first": "finished", "failing": "failed"}


@pytest.mark.parametrize(
    ("of", "code"), [((0,), 0), ((0, 3), 1), ((0, 1), 2), ((1, 3), 2), ((), 0)]
)
def test_the_exit_code_is_that_of_the_worst(gallery, of, code):
    chosen = tuple(gallery.studies[number] for number in of)
    assert replace(gallery, studies=chosen).exit_code == code
    assert replace(gallery, studies=chosen).as_json()["ok"] is (code == 0)


def test_claims_are_counted_by_what_became_of_them(gallery):
    counts = tally(gallery.verdicts)
    assert counts.words() == (
        "4 claims: 1 holds, 1 conditional, 1 refuted as printed, 1 not as expected"
    )
    assert counts.control_words() == "only 1 of 2 controls as expected"
    assert tally(gallery.studies[0].verdicts).control_words() == (
        "1 of 1 control refuted, as they must be"
    )
    assert (tally([]).words(), tally([]).control_words()) == ("0 claims: none", "")


def test_the_document_has_everything(gallery):
    document = json.loads((gallery.folder / "gallery-quick" / "gallery.json").read_text())
    assert document == json.loads(json.dumps(gallery.as_json()))
    assert (document["ok"], document["quick"]) == (False, True)
    assert (gallery.folder / document["page"]).is_file()
    assert document["tally"]["refuted_as_printed"] == 1
    begun, failed, _, ended = document["studies"]
    said = {verdict["claim"]: verdict["said"] for verdict in begun["verdicts"]}
    assert said == {
        "held": "holds",
        "printed": "refuted as printed",
        "cases": "conditional",
        "control": "refuted",
    }
    assert begun["verdicts"][0]["shown"] == "first-quick/report/index.html#figure-1"
    assert begun["verdicts"][2]["shown"] is None
    assert (failed["report"], failed["verdicts"]) == (None, [])
    assert failed["seconds"]["evaluations"] is None
    assert [each["said"] for each in ended["verdicts"]] == [
        "refuted (unexpected)",
        "holds (unexpected)",
    ]
    seconds = document["seconds"]
    assert seconds["command"] >= seconds["all_runs"] > seconds["evaluations"] > 0


def test_every_link_leads_somewhere(gallery, html):
    links = {unquote(link) for link in re.findall(r'href="([^"]*)"', html)}
    assert {"#studies", "#claims", "#study-failing"} <= links
    assert "../first-quick/report/index.html#figure-2" in links, "the cover"
    assert "../first-quick/report/index.html#claim-printed" in links
    for link in links:
        path, _, place = link.partition("#")
        there = html if not path else (gallery.page.parent / path).resolve().read_text()
        assert not place or f'id="{place}"' in there, link


def test_the_page_tells_what_became_of_every_claim(html):
    rows = re.findall(r'<tr class="line([^"]*)" data-said="([^"]*)">(.*?)</tr>', html, re.DOTALL)
    assert [(mark, said) for mark, said, _ in rows] == [
        ("", "holds"),
        ("", "refuted as printed"),
        ("", "conditional"),
        (" unexpected", "refuted (unexpected)"),
        (" unexpected", "holds (unexpected)"),
    ]
    assert ["Control: " in row for *_, row in rows] == [False] * 4 + [True]
    assert "0.25, at most 0.5" in rows[0][2]
    notable = html[html.index('<section id="notable">') : html.index('<section id="claims">')]
    assert re.findall(r'href="[^"#]*#claim-([^"]*)"', notable) == ["printed", "cases"]
    assert "here: holds; there: refuted" in notable
    notice = re.search(r'class="notice".*?</p>', html, re.DOTALL)[0]
    assert "last: surprise" in notice
    assert "last: weak" in notice
    assert html.count("Could not be finished.</b>") == 2
    # Without its script the page shows everything, and no filter.
    assert re.findall(r"<form[^>]* (\w+)>", html) == ["hidden"]


def test_words_are_escaped_and_nothing_is_loaded(html):
    assert BOLD not in html
    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    assert not re.search(r'(?:src|href)="(?:https?:)?//', html)
    assert html.count("<script>") == 1
    assert html.count("data:image/png;base64,") == 2


def test_one_table_is_printed_and_time_is_added_up(command, gallery):
    before = {name: runs(gallery.folder / f"{name}-quick") for name in ("first", "last")}
    code, out, error = command()
    assert code == 2
    text = " ".join(re.sub(r"[│┃|]", " ", out).split())
    for words in ("claim source figure verdict", "FIRST (", "refuted as", "figure 1", "unfinished"):
        assert words in text
    assert "could not be finished: defective: ValueError" in out
    assert "control: weak" in text
    assert "1 of 1 control refuted, as they must be" in text
    assert f"page: {gallery.folder}/gallery-quick/index.html" in out.replace("\n", "")
    assert "Traceback" in error, "a defect is shown as one"
    assert "first, line: scanning points" not in error, "it was complete"
    for name, noted in before.items():
        now = runs(gallery.folder / f"{name}-quick")
        assert now[: len(noted)] == noted
        assert len(now) == len(noted) + 1
    document = json.loads((gallery.folder / "gallery-quick" / "gallery.json").read_text())
    times = document["studies"][0]["seconds"]
    assert times["runs"] == len(before["first"]) + 1
    assert times["all_runs"] > sum(run.seconds for run in before["first"])


def test_json_is_one_document_and_nothing_else(command):
    code, out, _ = command("--json", of=(first,))
    document = json.loads(out)
    assert (code, document["ok"]) == (0, True)
    assert [each["study"] for each in document["studies"]] == ["first"]


def test_an_interrupt_ends_it(tmp_path):
    def interrupted(step, done, total, note=""):
        if step.startswith("last, line: scanning"):
            raise Interrupted("ended by SIGINT", 2)

    with pytest.raises(Interrupted, match=r"study last, scan line: .*SIGINT"):
        run_gallery(entries(last, first), tmp_path, display=interrupted)
    assert [run.end for run in runs(tmp_path / "last")] == ["interrupted"]
    assert not (tmp_path / "first").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.gallery import run_gallery
from tests.test_pipeline.test_gallery import entries, first, last

def killed(step, done, total, note=""):
    if step.startswith("last, line: scanning"):
        os.kill(os.getpid(), signal.SIGKILL)

run_gallery(entries(first, last), Path(sys.argv[1]), display=killed)
"""


def test_what_was_killed_goes_on_and_its_time_counts(tmp_path):
    end = subprocess.run([sys.executable, "-c", KILLED, tmp_path], cwd=ROOT, check=False)
    assert end.returncode == -signal.SIGKILL
    (lost,) = runs(tmp_path / "last")
    assert lost.end is None
    status = tmp_path / "first" / "line.zarr" / "ledger" / "status" / "c" / "0"
    written = os.stat(status).st_mtime_ns
    result = run_gallery(entries(first, last), tmp_path)
    assert result.exit_code == 1
    assert os.stat(status).st_mtime_ns == written
    assert [run.end for run in runs(tmp_path / "last")] == [None, "finished"]
    assert result.studies[1].times.runs == 2
    assert result.studies[1].times.all_runs > lost.seconds


def test_a_folder_that_cannot_be_made_is_named_at_once(command, gallery, tmp_path):
    (tmp_path / "file").write_text("")
    code, out, error = command("--folder", str(tmp_path / "file"))
    assert (code, out) == (2, "")
    assert "file" in error.splitlines()[-1]


def test_durations_are_said_as_one_says_them():
    said = {0.04: "0.0 s", 9.96: "10 s", 59.6: "1 min 0 s", 200: "3 min 20 s"}
    said |= {3599.7: "1 h 0 min", 7500: "2 h 5 min", 3_600_000: "1,000 h 0 min"}
    assert {seconds: duration(seconds) for seconds in said} == said


def test_the_guide_reads_it_as_it_is(gallery, tmp_path, monkeypatch):
    guide = (ROOT / "docs" / "studies.md").read_text()
    (text,) = (b for b in re.findall(r"```python\n(.*?)```", guide, re.DOTALL) if "refuted =" in b)
    (tmp_path / "studies").symlink_to(gallery.folder)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(text, names)
    assert names["refuted"] == [("first", "printed", "first-quick/report/index.html#figure-2")]
    parts = guide[guide.index("`gallery.json` has ") :].split("\n\n")[0].split("Of each study")
    document = gallery.as_json()
    for part, told in zip(parts, (document, document["studies"][0]), strict=True):
        assert told.keys() <= set(re.findall(r"`(\w+)`", part))
