"""What the builder of a stored scan said of it, as a study's claims read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr


def facts_of(tree: xr.DataTree) -> list[dict[str, Any]]:
    """The builder's facts, one mapping for each replicate."""
    found: list[dict[str, Any]] = json.loads(tree.attrs["facts"])
    return found
