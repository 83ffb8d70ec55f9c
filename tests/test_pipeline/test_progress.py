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


def test_bars_of_what_is_done_make_room(monkeypatch):
    monkeypatch.setattr(
        progress, "Console", lambda stderr: Console(stderr=stderr, force_terminal=True)
    )
    with progress.TerminalDisplay() as display:
        display("under way", 1, 2)
        for number in range(progress._MOST_BARS + 8):
            display(f"step {number}", 0, 1)
            display(f"step {number}", 1, 1)
        shown = [bar.description for bar in display._bars.tasks]
    assert len(shown) == progress._MOST_BARS
    assert (shown[0], shown[-1]) == ("under way", f"step {progress._MOST_BARS + 7}")


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
