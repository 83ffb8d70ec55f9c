"""The scan as a table of comma-separated values: one row a point, streamed band by band."""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from pipeline.exporting.files import whole
from pipeline.exporting.selection import Column, Selection, columns, full_names
from schemas.layout import REPLICATE

MOST_POINTS = 2**17
"""Points held at a time. Bands thinner than a chunk decode it again, which costs far less than
writing its numbers."""

Cells: TypeAlias = list[Any]


def check(selection: Selection) -> None:
    """Any scan can be a table; SpecError when two columns would have the same name."""
    columns(selection.root, selection.axes)


def write(selection: Selection, path: Path) -> list[Path]:
    """Write the table: `[replicate,] axes, metric_split …, fields`, rows in C order of the grid.

    Numbers have the digits that give back the same bits; NaN is `nan`, infinities are `inf` and
    `-inf`. A cell of a point that is not computed is empty.
    """
    found = columns(selection.root, selection.axes)
    leading = [REPLICATE] if REPLICATE in selection.root.dims else []
    shape = [selection.root.sizes[axis] for axis in selection.axes]
    header = [*leading, *selection.axes, *itertools.chain(*map(full_names, found))]
    with whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for replicate in range(selection.root.sizes.get(REPLICATE, 1)):
            for ranges in bands(shape, MOST_POINTS):
                named = dict(zip(selection.axes, ranges, strict=True))
                writer.writerows(_rows(selection, found, replicate, named))
    return [path]


def bands(shape: list[int], most: int) -> Iterator[tuple[slice, ...]]:
    """Boxes of at most `most` points that follow each other in C order."""
    inner = len(shape)
    while inner and math.prod(shape[inner - 1 :]) <= most:
        inner -= 1
    if not inner:
        yield tuple(slice(0, n) for n in shape)
        return
    # axis inner − 1 is cut; those before it are walked point by point, those after it are whole
    length = max(1, most // math.prod(shape[inner:]))
    rest = tuple(slice(0, n) for n in shape[inner:])
    for before in itertools.product(*(range(n) for n in shape[: inner - 1])):
        fixed = tuple(slice(i, i + 1) for i in before)
        for start in range(0, shape[inner - 1], length):
            yield (*fixed, slice(start, min(start + length, shape[inner - 1])), *rest)


def _rows(
    selection: Selection, found: list[Column], replicate: int, ranges: Mapping[str, slice]
) -> Iterator[tuple[Any, ...]]:
    axes = selection.axes
    root = selection.root.isel(ranges)
    cells: list[Cells] = []
    if REPLICATE in root.dims:
        label = int(root[REPLICATE][replicate])
        root = root.isel({REPLICATE: replicate}, drop=True)
        cells.append([label] * math.prod(root.sizes[axis] for axis in axes))
    mesh = np.meshgrid(*(root[axis].values for axis in axes), indexing="ij")
    cells += [along.ravel().tolist() for along in mesh]
    computed = None
    if selection.missing:
        computed = selection.computed(replicate, ranges).ravel()
    root = root[list(dict.fromkeys(column.variable for column in found))].load()
    for column in found:
        values = column.pick(root, axes)
        for part in values.reshape(-1, values.shape[-1]).T:
            cells.append(_cells(part, computed))
    return zip(*cells, strict=True)


def _cells(values: np.ndarray[Any, Any], computed: np.ndarray[Any, Any] | None) -> Cells:
    cells: Cells = values.tolist()
    if computed is None:
        return cells
    return [cell if there else None for cell, there in zip(cells, computed, strict=True)]
