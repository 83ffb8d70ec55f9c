"""What docs/studies.md shows is so: its study runs, and its words are those of the product."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli.main import cartograd
from pipeline.studies import run_study
from schemas.study import Outcome
from tasks import STUDIES
from tasks.registry import StudyEntry
from tasks.students.cell_measures import p_value
from tasks.students.published import PUBLISHED, RUNS

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "studies.md").read_text()
README = (ROOT / "README.md").read_text()
pytestmark = pytest.mark.usefixtures("coarse")


def block(words):
    """The block of Python that holds the words, executed."""
    (text,) = (b for b in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL) if words in b)
    names = {}
    exec(text, names)
    return names


def test_the_study_shown_runs_and_its_verdicts_are_read_as_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = block("def fermat(")["fermat"](quick=True)
    result = run_study(study, Path("studies"), quick=True)
    assert result.ok
    inside, control = result.verdicts
    assert (inside.hypothesis_met, control.hypothesis_met) == (True, False)
    assert control.value > 1

    inside, at_the_end = block("csv.DictReader")["rows"]
    assert inside.keys() == {"scan", "a", "loss"}
    assert (inside["scan"], float(inside["a"]), float(inside["loss"])) == ("inside", 0, 0)
    assert (at_the_end["scan"], float(at_the_end["a"])) == ("at-the-end", 1)

    # The guide reads another study's verdicts: these, under its name.
    document = result.as_json()
    scans = {"theorem1": document["scans"]["inside"]}
    folder = result.folder.rename("studies/patterns-quick")
    (folder / "verdicts.json").write_text(json.dumps({**document, "scans": scans}))
    names = block("unexpected = ")
    assert names["unexpected"] == []
    assert names["scan"]["loss"].sizes["a"] == 41
    fields = re.search(r"every verdict has (.*?)\. ", GUIDE, re.DOTALL)[1]
    assert set(re.findall(r"`(\w+)`", fields)) == document["verdicts"][0].keys()


def test_commands_paths_and_verdicts_are_those_there_are():
    commands = re.findall(r"^cartograd (study[^#\n]*)", GUIDE, re.MULTILINE)
    assert len(commands) >= 4
    for command in commands:
        arguments = command.split()
        assert all(word.startswith("-") or word in STUDIES for word in arguments[1:])
        assert CliRunner().invoke(cartograd, [*arguments, "--help"]).exit_code == 0
    told = re.findall(r"^\| (holds|refuted|conditional|inconclusive) \|", GUIDE, re.MULTILINE)
    assert set(told) <= set(Outcome)
    assert block("StudyEntry(")["entry"] == StudyEntry(
        "fermat", "Minima inside an interval are stationary.", "tasks.fermat.study:fermat"
    )


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_its_section_and_its_line_in_the_readme(name):
    assert f"\n### {name}\n" in GUIDE
    assert f"| `cartograd study {name}` |" in README


def test_the_guide_says_which_counts_pass():
    told = re.search(r"the published (\d+), any count\s+from (\d+) to (\d+)\s+passes", GUIDE)
    bad, low, high = (int(number) for number in told.groups())
    assert bad == PUBLISHED[8, 8].bad
    threshold = 0.05 / len(PUBLISHED)
    passing = [n for n in range(300) if p_value(n, RUNS, PUBLISHED[8, 8]) >= threshold]
    assert (passing[0], passing[-1]) == (low, high)


def test_the_guide_names_every_table_of_the_students():
    study = STUDIES["teacher-student"].build(True)
    missing = [name for name in study.tables if not re.search(f"tables?\\s+`{name}`", GUIDE)]
    assert missing == []
