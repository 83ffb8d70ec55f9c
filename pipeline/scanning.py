"""Scan any module in memory: one Python call, no files, no Ray unless asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr
from torch import Tensor, nn
from zarr.storage import MemoryStore

from pipeline.running import run_built, scan_in_memory
from pipeline.shipping import landscape_hash
from pipeline.store import Location, zarr_target
from schemas.errors import SpecError
from schemas.scan import ScanSpec, parse_spec
from tasks.given import given_landscape
from tasks.landscape import Landscape
from tasks.objective import SampleLoss
from tasks.registry import Progress, silent

AxisLike: TypeAlias = tuple[float, float, int] | Sequence[float] | npt.NDArray[Any]
DataLike: TypeAlias = Mapping[str, tuple[Tensor, Tensor]] | tuple[Tensor, Tensor]


def scan(
    model: nn.Module,
    data: DataLike,
    *,
    loss: str | SampleLoss = "cross_entropy",
    directions: str | Sequence[Mapping[str, Tensor]] = "filter",
    axes: Mapping[str, AxisLike] | None = None,
    metrics: Sequence[str] = ("loss",),
    origin: Mapping[str, Tensor] | None = None,
    workers: int = 0,
    device: str = "auto",
    dtype: str = "float32",
    store: str | Path | None = None,
    seed: int = 0,
    display: Progress = silent,
) -> xr.Dataset:
    """Scan the loss of a module over a section through its parameters.

    Args:
        model: any module; it is evaluated in eval mode and not changed.
        data: split name → (inputs, targets), or one such pair, which is then the split `train`.
        loss: `cross_entropy`, `mse`, or a function (outputs, targets) → losses (N,) or (N, …), one
            for each sample or several to be averaged, such as a `torch.nn` loss with
            `reduction="none"`.
        directions: `random` (Gaussian), `filter` (Gaussian, filter-normalised; Li et al. 2018,
            arXiv:1712.09913), or one mapping from parameter name to tensor for each axis.
        axes: name → (start, stop, number) or a one-dimensional array of coordinates; by default
            alpha and beta from −1 to 1 with 51 points each.
        metrics: what to measure; `schemas.layout.METRICS` says what there is.
        origin: parameters at the origin of the section; by default the module's own.
        workers: Ray workers; 0 evaluates in this process.
        device: `auto`, `cpu` or `cuda`.
        dtype: `float32`, `float64` or `bfloat16`.
        store: path of a Zarr store to keep, and to continue when it holds the same scan; without
            it nothing is written that outlives the call.
        seed: seed of random directions.
        display: is told of progress.

    Returns:
        A dataset with `loss(split, *axes)`, the other metrics and the coordinates, loaded unless
        a store is given.

    Raises:
        SpecError: an argument is wrong.
        StoreMismatch: the store holds another scan.
    """
    named = {"alpha": (-1, 1, 51), "beta": (-1, 1, 51)} if axes is None else axes
    landscape = given_landscape(
        model,
        _splits(data),
        loss=loss,
        directions=directions,
        origin=origin,
        z=len(named),
        seed=seed,
    )
    spec = parse_spec(
        {
            "task": "given-model",
            "parameters": {"landscape": landscape_hash(landscape)},
            "axes": {name: _axis(name, axis) for name, axis in named.items()},
            "splits": tuple(_splits(data)),
            "metrics": tuple(metrics),
            "seed": seed,
            "compute": {"workers": workers, "device": device, "dtype": dtype},
        },
        "scan",
    )
    if store is not None:
        return _stored(spec, Path(store), landscape, display)
    if workers:
        with tempfile.TemporaryDirectory() as folder:
            return _stored(spec, Path(folder) / "scan.zarr", landscape, display).load()
    memory = MemoryStore()
    scan_in_memory(spec, memory, [landscape], display)
    return _dataset(memory).load()


def _stored(spec: ScanSpec, store: Path, landscape: Landscape, display: Progress) -> xr.Dataset:
    run_built(spec, store, lambda: [landscape], display=display)
    return _dataset(store)


def _dataset(location: Location) -> xr.Dataset:
    dataset: xr.Dataset = xr.open_zarr(zarr_target(location), chunks={})
    return dataset


def _splits(data: DataLike) -> Mapping[str, tuple[Tensor, Tensor]]:
    if isinstance(data, Mapping):
        if not data:
            raise SpecError("data: is empty; give a mapping from split name to (inputs, targets)")
        return data
    return {"train": data}


def _axis(name: str, axis: AxisLike) -> dict[str, Any]:
    """(start, stop, number) or coordinates → the axis of a spec."""
    if isinstance(axis, tuple) and len(axis) == 3:
        start, stop, number = axis
        if isinstance(number, (int, np.integer)) and not isinstance(number, bool):
            return {"start": float(start), "stop": float(stop), "num": int(number)}
        raise SpecError(
            f"axes[{name!r}]: got {axis!r}; expected (start, stop, number) with a whole number, or "
            "an array of coordinates"
        )
    values = np.asarray(axis, dtype=np.float64)
    if values.ndim != 1:
        raise SpecError(
            f"axes[{name!r}]: got an array of shape {values.shape}; expected one dimension"
        )
    return {"values": values.tolist()}
