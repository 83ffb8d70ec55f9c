"""A scan's origin and directions as tensors by name: a direction outlives its scan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from safetensors.numpy import save_file

from pipeline.exporting.files import whole
from pipeline.exporting.selection import Selection
from schemas.errors import SpecError
from schemas.layout import REPLICATE, SECTION_GROUP

ORIGIN = "origin"


def check(selection: Selection) -> None:
    """SpecError for a scan of a closed form, which has no parameters."""
    if SECTION_GROUP not in selection.tree.children:
        raise SpecError(
            "format: got 'safetensors', but the scan has no directions in parameter space; choose "
            "another format"
        )


def write(selection: Selection, path: Path) -> list[Path]:
    """Write `origin.<parameter>` and `<axis>.<parameter>`, float64, of the first replicate.

    Of a multi-start scan there is the origin alone.

    A direction of the task `model` takes one of them from there:
    `{kind: file, file: {file: PATH, key: AXIS}}`. Parameters that do not move are left out.
    """
    section = selection.tree[SECTION_GROUP].to_dataset()
    if REPLICATE in section.dims:
        section = section.isel({REPLICATE: 0})
    tensors = dict(_named(section, ORIGIN, section[ORIGIN]))
    for row in section.get("direction", ()):
        axis = str(row[section["direction"].dims[0]].item())
        for name, tensor in _named(section, axis, row):
            if tensor.any():
                tensors[name] = tensor
    with whole(path) as partial:
        save_file(tensors, partial)
    return [path]


def _named(
    section: xr.Dataset, prefix: str, numbers: xr.DataArray
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """The parts of one row of numbers, by `prefix.parameter`."""
    values = np.asarray(numbers.values)
    starts = section["first"].values
    ends = [*starts[1:], values.size]
    for name, shape, start, end in zip(
        section["parameter"].values, section["shape"].values, starts, ends, strict=True
    ):
        yield f"{prefix}.{name}", values[start:end].reshape(json.loads(str(shape))).copy()
