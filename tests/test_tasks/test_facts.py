"""What claims read of a scan once."""

import gc

from tasks import facts
from tasks.facts import remembered


def test_results_are_remembered_as_long_as_their_tree_lives(monkeypatch):
    class Tree:
        pass

    calls = []
    function = remembered(lambda tree: calls.append(tree.name) or list(calls))
    first, second = Tree(), Tree()
    first.name, second.name = "first", "second"
    assert function(first) is function(first)
    assert function(second) == ["first", "second"]
    assert function(first) == ["first"]
    # Another tree may be where one was that is no more.
    monkeypatch.setattr(facts, "id", lambda tree: 0, raising=False)
    assert function(first) == ["first", "second", "first"]
    del first
    gc.collect()
    assert function(second) == ["first", "second", "first", "second"]
