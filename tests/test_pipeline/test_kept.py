"""A report stays as long as it would be made the same again, and no longer."""

import json

import pytest

from pipeline import kept as module
from pipeline.concluding import finished
from pipeline.kept import kept, report_folder
from pipeline.ledger import Ledger
from schemas import parse_spec
from schemas.layout import ShardStatus

pytestmark = pytest.mark.usefixtures("coarse")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    store = tmp_path_factory.mktemp("kept") / "scan.zarr"
    axes = {"a": {"start": -1, "stop": 1, "num": 5}}
    spec = {"task": "quadratic", "axes": axes, "store": str(store), "compute": {"workers": 0}}
    return store, finished(parse_spec(spec))


@pytest.fixture
def store(made):
    """The scan with its report, and the report's files put back at the end."""
    store, _ = made
    files = {path: path.read_bytes() for path in report_folder(store).iterdir()}
    yield store
    for path, content in files.items():
        path.write_bytes(content)


def test_the_report_that_is_kept_is_the_one_that_was_made(made):
    store, report = made
    assert kept(store) == report


@pytest.mark.parametrize("name", ["index.html", "curves.png", "made-of.json"])
def test_not_without_its_files(store, name):
    (report_folder(store) / name).unlink()
    assert kept(store) is None


@pytest.mark.parametrize("note", ["", "{}", "[]", '{"made_of": {}, "pictures": []}'])
def test_not_with_a_damaged_note(store, note):
    (report_folder(store) / "made-of.json").write_text(note)
    assert kept(store) is None


@pytest.mark.parametrize("key", ["store", "fingerprint", "created", "ledger", "code"])
def test_not_when_it_was_made_of_something_else(store, key):
    path = report_folder(store) / "made-of.json"
    note = json.loads(path.read_text())
    note["made_of"][key] += " "
    path.write_text(json.dumps(note))
    assert kept(store) is None


def test_not_of_a_scan_that_was_not_analysed(store):
    (store / "analysis").rename(store / "elsewhere")
    assert kept(store) is None
    (store / "elsewhere").rename(store / "analysis")
    assert kept(store) is not None


def test_other_code_and_other_libraries_are_told_apart(tmp_path, monkeypatch):
    (tmp_path / "tasks" / "linear").mkdir(parents=True)
    (tmp_path / "pipeline").mkdir()
    seen = [module.code_under(tmp_path)]
    for name in ("tasks/linear/deep.py", "pipeline/page.html", "pipeline/style.css"):
        for content in ("one", "two"):
            (tmp_path / name).write_text(content)
            seen.append(module.code_under(tmp_path))
    (tmp_path / "pipeline" / "page.pyc").write_text("")
    assert module.code_under(tmp_path) == seen[-1]
    monkeypatch.setattr(module, "version", lambda name: "0")
    seen.append(module.code_under(tmp_path))
    assert len(set(seen)) == len(seen) == 8


def test_not_after_work_on_a_shard(store):
    ledger = Ledger(store)
    (before,) = ledger.reports(ShardStatus.DONE)
    ledger.record(type(before)(**{**vars(before), "seconds": before.seconds + 1.0}))
    ledger.flush()
    assert kept(store) is None
    ledger.record(before)
    ledger.flush()
    assert kept(store) is not None
