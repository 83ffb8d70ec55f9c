"""Scans of two wells as trees, ready to be drawn."""

import json

import numpy as np
import xarray as xr

from pipeline.report import write_report
from schemas.layout import ShardStatus


def wells(shape, replicates=1, splits=("train", "test"), analysed=True):
    """A scan of two wells, its least train loss near axis_1 = -1 and axis_2 = 0.5."""
    axes = [f"axis_{i + 1}" for i in range(len(shape))]
    coords = {
        a: np.linspace(-1.5, 1.5, n) if n > 1 else [0.25] for a, n in zip(axes, shape, strict=True)
    }
    mesh = np.meshgrid(*coords.values(), indexing="ij")
    target = (mesh[0] ** 2 - 1) ** 2 + 0.2 * mesh[0] + sum((m - 0.5) ** 2 for m in mesh[1:])
    noise = np.random.default_rng(0).normal(0, 0.01, (replicates, len(splits), *shape))
    loss = (target + 2 + noise).astype(np.float32)
    dims = ["split", *axes] if replicates == 1 else ["replicate", "split", *axes]
    values = loss[0] if replicates == 1 else loss
    attrs = {"long_name": "mean loss", "units": "1"}
    root = xr.Dataset(
        {
            "loss": (dims, values, attrs),
            "accuracy": (dims, np.exp(-values)),
            "target": (axes, target),
            "target_loss": (axes, target + 2),
            "predicted_test": (axes, 0 * target),
        },
        coords={**coords, "split": list(splits)},
        attrs={
            "spec": json.dumps(
                {"task": "wells", "axes": {a: {"num": n} for a, n in zip(axes, shape, strict=True)}}
            ),
            "fingerprint": "f00d",
            "seed": 7,
            "versions": json.dumps({"torch": "2.6"}),
            "facts": json.dumps([{"approximation_error": 1.5e-5}]),
            "reference": json.dumps({"global_minimum": 0.0}),
        },
    )
    return tree_of(root, analysed)


def tree_of(root, analysed=True, status=None):
    nodes = {"/": root}
    if analysed:
        nodes["/analysis"] = analysis_of(root)
    done = np.full(4, ShardStatus.DONE, np.uint8)
    nodes["/ledger"] = xr.Dataset({"status": ("shard", done if status is None else status)})
    return xr.DataTree.from_dict(nodes)


def analysis_of(root):
    axes = [str(d) for d in root.loss.dims if d not in ("split", "replicate")]
    where = root.loss.fillna(np.inf).argmin(axes)
    places = xr.concat([root[a][where[a]].drop_vars(a) for a in axes], "axis")
    places = places.assign_coords(axis=axes).transpose(..., "split", "axis")
    return xr.Dataset({"argmin": places, "minimum": root.loss.min(axes)})


def write(tree, out, rows=(), title="Wells"):
    path = write_report(tree, rows, out, title=title, store="/runs/wells.zarr")
    return path.read_text(encoding="utf-8")
