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

from pipeline.ledger import Counts, Ledger
from pipeline.locking import cache_of
from pipeline.progress import shown
from pipeline.running import run_built, scan_in_memory
from pipeline.shipping import landscape_hash
from pipeline.store import Location, zarr_target
from schemas.errors import ScanIncomplete, SpecError
from schemas.layout import ShardStatus
from schemas.scan import ScanSpec, parse_spec
from tasks.given import Weights, given_landscape
from tasks.landscape import Landscape
from tasks.objective import SampleLoss
from tasks.registry import Progress

AxisLike: TypeAlias = (
    tuple[float, float, int] | Sequence[float] | npt.NDArray[Any] | Mapping[str, float]
)
DirectionsLike: TypeAlias = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]

_AXES: Mapping[str, AxisLike] = {"alpha": (-1, 1, 51), "beta": (-1, 1, 51)}
_PATH_AXES: Mapping[str, AxisLike] = {"t": (0, 1, 101)}


def scan(
    model: nn.Module,
    data: object,
    *,
    loss: str | SampleLoss = "cross_entropy",
    directions: DirectionsLike | None = None,
    path: Weights | Mapping[str, Any] | None = None,
    axes: Mapping[str, AxisLike] | None = None,
    starts: int | Mapping[str, Any] | None = None,
    descent: str | Mapping[str, Any] | None = None,
    metrics: Sequence[str] = ("loss",),
    origin: Mapping[str, Tensor] | None = None,
    output: str | int | None = None,
    align: bool = False,
    batchnorm: str | Mapping[str, Any] | None = None,
    trajectories: Mapping[str, Any] | None = None,
    workers: int = 0,
    device: str = "auto",
    dtype: str = "float32",
    store: str | Path | None = None,
    seed: int = 0,
    display: Progress | None = None,
) -> xr.Dataset:
    """Scan the loss of a module over a section through its parameters, or at random starts.

    Wherever a checkpoint is meant, give a module, a state dict or the path of a file.

    Args:
        model: any module; it is evaluated in eval mode and not changed.
        data: split name → (inputs, targets), a Dataset or a DataLoader (read once), or one of
            these, which is then the split `train`.
        loss: `cross_entropy`, `binary_cross_entropy`, `mse`, `mae`, `huber`, `next_token` for
            language models, or a function (outputs, targets) → losses (N,) or (N, …), one for each
            sample or several to be averaged, such as a `torch.nn` loss with `reduction="none"`.
        directions: `random` (Gaussian), `filter`, `layer` or `parameter` (Gaussian, rescaled; Li
            et al. 2018, arXiv:1712.09913), `gradient`, `hessian`; a mapping with `kind` and what
            `cartograd tasks model` lists for it, such as `{"kind": "plane", "through": [b, c]}`;
            a list of these, in which a state dict stands for a checkpoint to go to; or one mapping
            from parameter name to tensor for each axis. `filter` by default.
        path: a checkpoint, for the straight line to it, or a mapping with `to`, `kind` (`linear`,
            `polygon`, `bezier`) and `bends`; instead of directions.
        axes: name → (start, stop, number), a one-dimensional array of coordinates, or
            `{"rise": r, "num": n}`, as far as the loss rises r-fold; by default alpha and beta
            from −1 to 1 with 51 points each, and t from 0 to 1 with 101 along a path.
        starts: how many seeded random points to take in the space of all parameters, instead of
            directions and axes, or a mapping with `num`, `distribution` and `scale`; by default the
            module is initialised anew for each.
        descent: how to descend over all parameters from every point, on each split: `lbfgs`, `gd`,
            `lm` (of a sum of squares) or `newton` (to a critical point of any kind), or a mapping
            with `method`, `step`, `tolerance`, `target`, `max_iterations` and `keep_parameters`.
        metrics: what to measure; `schemas.layout.METRICS` says what there is.
        origin: parameters at the origin of the section; by default the module's own.
        output: the output that counts, where the model gives several: its name or number.
        align: whether other checkpoints' hidden units are permuted to match the model's.
        batchnorm: `stored`, `interpolated` or `reestimated`, or a mapping with `policy`.
        trajectories: run → its checkpoints, which are projected into the section and stored in the
            group `trajectories`; a store is needed to read them.
        workers: Ray workers; 0 evaluates in this process.
        device: `auto`, `cpu` or `cuda`.
        dtype: `float32`, `float64` or `bfloat16`.
        store: path of a Zarr store to keep, and to continue when it holds the same scan; without
            it nothing is written that outlives the call.
        seed: seed of random directions.
        display: is told of progress; by default a bar in a terminal or a notebook.

    Returns:
        A dataset with `loss(split, *axes)`, or `loss(split, start)`, the other metrics, those of
        the descents and the coordinates, loaded unless a store is given.

    Raises:
        SpecError: an argument is wrong.
        StoreMismatch: the store holds another scan.
        ScanIncomplete: some points could not be evaluated.
    """
    named = _named(axes, starts, path)
    splits = _splits(data)
    section = {
        "path": path,
        "output": output,
        "align": align,
        "batchnorm": batchnorm,
        "trajectories": trajectories,
    }
    cache = None if store is None else cache_of(Path(store))
    with shown(display) as progress:
        landscape = given_landscape(
            model,
            splits,
            loss=loss,
            directions=directions,
            origin=origin,
            z=None if starts is not None else len(named),
            seed=seed,
            section=section,
            cache=cache,
            progress=progress,
        )
        spec = parse_spec(
            {
                "task": "given-model",
                "parameters": {"landscape": landscape_hash(landscape)},
                "axes": {name: _axis(name, axis) for name, axis in named.items()},
                "starts": {"num": starts} if isinstance(starts, int) else starts,
                "descent": {"method": descent} if isinstance(descent, str) else descent,
                "splits": tuple(splits),
                "metrics": tuple(metrics),
                "seed": seed,
                "compute": {"workers": workers, "device": device, "dtype": dtype},
            },
            "scan",
        )
        if store is not None:
            return _stored(spec, Path(store), landscape, progress)
        if workers:
            with tempfile.TemporaryDirectory() as folder:
                return _stored(spec, Path(folder) / "scan.zarr", landscape, progress).load()
        memory = MemoryStore()
        counts = scan_in_memory(spec, memory, [landscape], progress)
        if counts.failed:
            raise _failed(Ledger(memory), counts)
        return _dataset(memory).load()


def _stored(spec: ScanSpec, store: Path, landscape: Landscape, display: Progress) -> xr.Dataset:
    run_built(spec, store, lambda: [landscape], display=display)
    return _dataset(store)


def _failed(ledger: Ledger, counts: Counts) -> ScanIncomplete:
    failed = tuple(ledger.shards(ShardStatus.FAILED))
    error = next(ledger.reports(ShardStatus.FAILED)).error
    return ScanIncomplete(
        f"scan: {counts.failed} of {len(ledger)} shards failed: {error}; mend the cause, or give a "
        "store, which keeps the others",
        failed,
    )


def _dataset(location: Location) -> xr.Dataset:
    dataset: xr.Dataset = xr.open_zarr(zarr_target(location), chunks={})
    return dataset


def _named(
    axes: Mapping[str, AxisLike] | None, starts: object, path: object
) -> Mapping[str, AxisLike]:
    """The axes that are given, or those by default; none with starts."""
    if axes is None:
        return {} if starts is not None else _AXES if path is None else _PATH_AXES
    if starts is not None:
        raise SpecError("axes: are given beside starts; give one of them")
    return axes


def _splits(data: object) -> Mapping[str, object]:
    if isinstance(data, Mapping):
        if not data:
            raise SpecError("data: is empty; give a mapping from split name to (inputs, targets)")
        return data
    return {"train": data}


def _axis(name: str, axis: AxisLike) -> dict[str, Any]:
    """(start, stop, number), coordinates or a mapping → the axis of a spec."""
    if isinstance(axis, Mapping):
        return dict(axis)
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
