"""Progress: bars where they can be redrawn, lines where they cannot, nothing where nobody looks."""

import importlib.util

import pytest
from rich.console import Console

from pipeline import progress
from tasks.registry import silent


def test_a_scan_in_a_script_shows_nothing():
    with progress.shown(None) as display:
        assert display is silent


@pytest.mark.parametrize("options", [{"force_terminal": True}, {"force_jupyter": True}])
def test_a_scan_in_a_terminal_or_a_notebook_shows_itself(monkeypatch, options):
    monkeypatch.setattr(progress, "Console", lambda stderr: Console(stderr=stderr, **options))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with progress.shown(None) as display:
        assert isinstance(display, progress.TerminalDisplay)


def test_a_display_of_ones_own_is_taken():
    told = []
    with progress.shown(lambda *step: told.append(step)) as display:
        display("work", 1, 2)
    assert told == [("work", 1, 2)]


@pytest.mark.parametrize("installed", [True, False])
def test_a_notebook_redraws_only_with_widgets(monkeypatch, installed):
    found = {"ipywidgets": object() if installed else None}
    monkeypatch.setattr(importlib.util, "find_spec", found.get)
    assert progress._redraws(Console(force_jupyter=True)) is installed
