"""The scan as VTK files, for ParaView: images, rectilinear grids, surfaces and trajectories.

The first free axis is x, the second y, the third z. Shape legend: P = points.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from pipeline.exporting.files import whole
from pipeline.exporting.selection import Column, Selection, columns, full_names
from schemas.errors import InputError, SpecError, listing

if TYPE_CHECKING:
    import pyvista

Floats: TypeAlias = npt.NDArray[np.float64]
UNIFORM = 1e-9
"""Greatest departure from equal spacing, over the spacing, at which an axis counts as uniform."""
COMPUTED = "computed"


def needs_pyvista(name: str) -> None:
    """InputError when pyvista, an optional extra, is not installed."""
    try:
        import pyvista  # noqa: F401
    except ImportError:
        raise InputError(
            f"format: {name} needs pyvista, which is not installed; "
            "pip install 'cartograd[paraview]'"
        ) from None


def check_image(selection: Selection) -> None:
    """SpecError unless there are one to three free axes, equally spaced."""
    needs_pyvista("vti")
    _check_axes(selection)
    uneven = [a for a in selection.free if not is_uniform(ascending(selection.root)[a].values)]
    if uneven:
        raise SpecError(
            f"format: vti needs equally spaced axes and {listing(uneven)} is not; "
            "use format vtr, which takes any spacing"
        )


def check_rectilinear(selection: Selection) -> None:
    """SpecError unless there are one to three free axes."""
    needs_pyvista("vtr")
    _check_axes(selection)


def _check_axes(selection: Selection) -> None:
    columns(selection.root, selection.axes)
    refuse_axes(selection, most=3)


def refuse_axes(selection: Selection, most: int) -> None:
    """SpecError with the slice to take when more than `most` axes are free."""
    if len(selection.free) > most:
        spare = selection.free[most:]
        middle = [float(np.median(selection.root[axis])) for axis in spare]
        hold = " ".join(f"--at {a}={v:g}" for a, v in zip(spare, middle, strict=True))
        raise SpecError(
            f"format: the scan has {len(selection.free)} axes, {listing(selection.free)}, and "
            f"this format draws at most {most}; hold the others, such as {hold}"
        )


def is_uniform(coordinates: Floats) -> bool:
    """Whether ascending coordinates are equally spaced."""
    steps = np.diff(coordinates)
    return bool(np.ptp(steps) <= UNIFORM * steps.mean()) if steps.size else True


def ascending(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with every axis ascending, as VTK has them."""
    falling = [
        name
        for name, index in dataset.indexes.items()
        if index.dtype.kind == "f" and index.size > 1 and index[0] > index[-1]
    ]
    return dataset.isel(dict.fromkeys(falling, slice(None, None, -1)))


def write_image(selection: Selection, path: Path) -> list[Path]:
    """Write a .vti: ImageData with every variable as point data."""
    return _write_grid(selection, path, _image)


def write_rectilinear(selection: Selection, path: Path) -> list[Path]:
    """Write a .vtr: RectilinearGrid with every variable as point data."""
    return _write_grid(selection, path, _rectilinear)


def _image(coordinates: list[Floats]) -> pyvista.DataSet:
    import pyvista

    spacing = [(c[-1] - c[0]) / (c.size - 1) if c.size > 1 else 1.0 for c in coordinates]
    return pyvista.ImageData(
        dimensions=tuple(c.size for c in coordinates),
        spacing=tuple(spacing),
        origin=tuple(float(c[0]) for c in coordinates),
    )


def _rectilinear(coordinates: list[Floats]) -> pyvista.DataSet:
    import pyvista

    return pyvista.RectilinearGrid(*coordinates)


def _write_grid(
    selection: Selection, path: Path, make: Callable[[list[Floats]], pyvista.DataSet]
) -> list[Path]:
    dataset = in_memory(selection)
    flat = np.zeros(1)
    coordinates = [dataset[axis].values.astype(np.float64) for axis in selection.free]
    mesh = make([*coordinates, *[flat] * (3 - len(coordinates))])
    for column in columns(dataset, selection.axes):
        values = column.pick(dataset, selection.free)
        # VTK counts points along x first: Fortran order
        order = (*reversed(range(values.ndim - 1)), values.ndim - 1)
        add(mesh, column, values.transpose(order).reshape(-1, values.shape[-1]))
    describe(mesh, selection)
    save(mesh, path)
    return [path]


def in_memory(selection: Selection) -> xr.Dataset:
    """The first replicate, loaded, with ascending free axes.

    When shards are missing, `computed` tells the points that are there.
    """
    dataset = selection.first_replicate()
    if selection.missing:
        there = selection.computed(0, {}).astype(np.uint8)
        dataset = dataset.assign({COMPUTED: (selection.axes, there)})
    return ascending(dataset.isel(dict.fromkeys(selection.held, 0), drop=True).load())


def add(mesh: pyvista.DataSet, column: Column, values: npt.NDArray[Any]) -> None:
    """Attach point data (P, components), an array for each component."""
    # VTK cannot read back a vector with a NaN in it: it stores the range of the norms as text
    for name, part in zip(full_names(column), values.T, strict=True):
        mesh.point_data[name] = np.ascontiguousarray(part)


def describe(mesh: pyvista.DataSet, selection: Selection, *notes: str) -> None:
    """Say within the file which axis is which, what is held, and which scan this is."""
    mesh.field_data["axes"] = list(selection.free) or ["none"]
    if selection.held:
        mesh.field_data["held"] = [f"{axis} = {value!r}" for axis, value in selection.held.items()]
    mesh.field_data["fingerprint"] = [str(selection.root.attrs["fingerprint"])]
    if notes:
        mesh.field_data["notes"] = list(notes)


def ascii_text(text: str) -> str:
    """The text as VTK can hold it: ASCII, other characters as their codes."""
    return text.encode("ascii", "backslashreplace").decode("ascii")


def save(mesh: pyvista.DataSet, path: Path) -> None:
    """Write the file, whole or not at all."""
    with whole(path) as partial:
        mesh.save(partial)
