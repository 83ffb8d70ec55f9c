"""A report stays as long as it would be made the same again, and no longer."""

import json

import pytest

from pipeline import kept as module
from pipeline.concluding import renewed
from pipeline.kept import kept, report_folder
from pipeline.ledger import Ledger
from pipeline.running import run
from schemas import parse_spec
from schemas.layout import ShardStatus

pytestmark = pytest.mark.usefixtures("coarse")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    store = tmp_path_factory.mktemp("kept") / "scan.zarr"
    axes = {"a": {"start": -1, "stop": 1, "num": 5}}
    spec = {"task": "quadratic", "axes": axes, "store": str(store), "compute": {"workers": 0}}
    run(parse_spec(spec))
    return store, renewed(store)


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


def test_not_after_other_code(store, monkeypatch):
    before = module._code()
    module._code.cache_clear()
    assert module._code() == before
    monkeypatch.setattr(module, "version", lambda name: f"{name} 0")
    module._code.cache_clear()
    assert kept(store) is None
    monkeypatch.undo()
    module._code.cache_clear()
    assert kept(store) is not None


def test_not_after_work_on_a_shard(store):
    ledger = Ledger(store)
    (before,) = ledger.reports(ShardStatus.DONE)
    ledger.record(type(before)(**{**vars(before), "seconds": before.seconds + 1.0}))
    ledger.flush()
    assert kept(store) is None
    ledger.record(before)
    ledger.flush()
    assert kept(store) is not None
