"""How a study's claims read its scans: what a scan's builder said of it, and what is read once."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    import xarray as xr

Trees: TypeAlias = Mapping[str, "xr.DataTree"]
"""The analysed scans of a study by name."""
_Found = TypeVar("_Found")


def facts_of(tree: xr.DataTree) -> list[dict[str, Any]]:
    """The builder's facts, one mapping for each replicate."""
    found: list[dict[str, Any]] = json.loads(tree.attrs["facts"])
    return found


def remembered(function: Callable[[xr.DataTree], _Found]) -> Callable[[xr.DataTree], _Found]:
    """A function of a tree that is computed once for each tree, as long as that lives."""
    known: dict[int, tuple[weakref.ref[xr.DataTree], _Found]] = {}

    def looked_up(tree: xr.DataTree) -> _Found:
        place = id(tree)
        if place not in known:
            found = function(tree)
            known[place] = (weakref.ref(tree, lambda _: known.pop(place, None)), found)
        return known[place][1]

    return looked_up
