"""The quick study of the pattern theorems, through the command line, with its controls."""

import json

import pytest

from pipeline.cli import main


def run_study(folder, capsys):
    with pytest.raises(SystemExit) as end:
        main(["study", "patterns", "--quick", "--json", "--folder", str(folder)])
    return end.value.code, json.loads(capsys.readouterr().out)


def test_every_verdict_is_what_the_theory_expects(tmp_path, capsys):
    code, document = run_study(tmp_path, capsys)
    assert code == 0
    assert document["study"] == "patterns"
    assert document["ok"] is True
    for verdict in document["verdicts"]:
        assert set(verdict) == {
            *("claim", "statement", "source", "value", "threshold", "verdict", "expected"),
            *("control", "hypothesis", "hypothesis_met", "cases", "as_expected"),
        }
        assert verdict["as_expected"] is True
        assert verdict["verdict"] == verdict["expected"], verdict
        assert (verdict["verdict"] == "refuted") is verdict["control"]
    assert sum(verdict["control"] for verdict in document["verdicts"]) >= 3
    place = tmp_path / "patterns-quick"
    assert json.loads((place / "verdicts.json").read_text()) == document
    assert "data:image/png" in (place / document["report"]).read_text()
    # What is complete is not scanned again, and says the same.
    stores = sorted(place.glob("*.zarr"))
    written = [store.joinpath("ledger", "status", "c", "0").stat().st_mtime_ns for store in stores]
    assert run_study(tmp_path, capsys) == (code, document)
    assert written == [
        store.joinpath("ledger", "status", "c", "0").stat().st_mtime_ns for store in stores
    ]
