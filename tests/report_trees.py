"""Scans of two wells as trees, ready to be drawn."""

import json

import numpy as np
import xarray as xr

from pipeline.report import write_report
from schemas.layout import SECTION_GROUP, TRAJECTORY_GROUP, ShardStatus


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
    report = write_report(tree, rows, out, title=title, store="/runs/wells.zarr")
    return report.page.read_text(encoding="utf-8")


DEPTH = 6


def trained(shape=(41, 33), runs=("SGD", "momentum"), singles=(), z=2, replicates=1):
    """Gradient descent on a tilted quadratic of six parameters, seen from a section of `z` axes.

    The section holds the last checkpoint of the first run and has oblique directions, so that
    runs are curved, leave the section, and have losses of their own: everything is exact.
    """
    rng = np.random.default_rng(3)
    rotation = np.linalg.qr(rng.normal(size=(DEPTH, DEPTH)))[0]
    curvature = rotation @ np.diag(np.geomspace(0.05, 3.0, DEPTH)) @ rotation.T
    centres = {"train": np.zeros(DEPTH), "test": 0.15 * rng.normal(size=DEPTH)}

    def losses(theta):
        offsets = np.stack([theta - centre for centre in centres.values()])
        return 0.1 + 0.5 * np.einsum("s...i,ij,s...j->s...", offsets, curvature, offsets)

    paths = {
        name: _descend(curvature, 1.2 * rng.normal(size=DEPTH), 24 + 6 * i, 0.8 * (i % 2))
        for i, name in enumerate(runs)
    }
    paths |= {name: 0.9 * rng.normal(size=(1, DEPTH)) for name in singles}
    origin = next(iter(paths.values()))[-1] if runs else np.zeros(DEPTH)
    everything = np.concatenate(list(paths.values())) - origin
    directions = np.linalg.svd(everything)[2][:z] + 0.1 * rng.normal(size=(z, DEPTH))
    axes = [f"axis_{i + 1}" for i in range(z)]
    coordinate = everything @ np.linalg.pinv(directions)
    coords = {
        axis: np.linspace(1.1 * along.min() - 0.1, 0.7 * along.max() + 0.1, n)
        for axis, along, n in zip(axes, coordinate.T, shape, strict=True)
    }
    mesh = np.stack(np.meshgrid(*coords.values(), indexing="ij"), -1)
    loss = losses(origin + mesh @ directions)
    dims = ["split", *axes]
    if replicates > 1:
        loss, dims = np.stack([loss + 0.01 * r for r in range(replicates)]), ["replicate", *dims]
    root = xr.Dataset(
        {"loss": (dims, loss, {"long_name": "mean loss", "units": "1"})},
        coords={**coords, "split": list(centres)},
        attrs={"section": "affine", "spec": json.dumps({"task": "model"}), "seed": 7},
    )
    tree = tree_of(root)
    tree[TRAJECTORY_GROUP] = xr.DataTree(
        _trajectories(paths, everything, coordinate, directions, losses, axes, origin)
    )
    norms = np.linalg.norm(directions, axis=1)
    tree[SECTION_GROUP] = xr.DataTree(
        xr.Dataset(
            {
                "norm": ("axis", norms),
                "cosine": (
                    ("axis", "axis_other"),
                    directions @ directions.T / np.outer(norms, norms),
                ),
            },
            coords={"axis": axes, "axis_other": axes},
            attrs={"directions": "principal components of the checkpoints"},
        )
    )
    return tree


def _descend(curvature, theta, steps, momentum):
    velocity, visited = np.zeros(DEPTH), [theta]
    for _ in range(steps):
        velocity = momentum * velocity - 0.25 * curvature @ theta
        theta = theta + velocity
        visited.append(theta)
    return np.array(visited)


def _trajectories(paths, displacement, coordinate, directions, losses, axes, origin):
    within = ((coordinate @ directions) ** 2).sum(1)
    whole = (displacement**2).sum(1)
    names = [
        name if len(path) == 1 else f"epoch {i}"
        for name, path in paths.items()
        for i in range(len(path))
    ]
    return xr.Dataset(
        {
            "run": ("checkpoint", [name for name, path in paths.items() for _ in path]),
            "name": ("checkpoint", names),
            "coordinate": (("checkpoint", "axis"), coordinate),
            "explained": (
                "checkpoint",
                np.divide(within, whole, where=whole > 0, out=np.full_like(whole, np.nan)),
            ),
            "distance": ("checkpoint", np.sqrt(np.maximum(whole - within, 0))),
            "loss": (("split", "checkpoint"), losses(origin + displacement)),
        },
        coords={"axis": axes, "split": ["train", "test"]},
    )


def path(barrier=0.9, span=(-0.1, 1.1), points=121, accuracy=True, analysed=True):
    """A scan along a path that rises above the straight line by `barrier` on train, at t = 0.4,
    and by 0.8 of it on test, at t = 0.55."""
    t = np.linspace(*span, points)
    line = 0.2 + 0.3 * t
    loss = np.stack(
        [line + barrier * _bump(t, 0.4), 0.15 + 1.1 * line + 0.8 * barrier * _bump(t, 0.55)]
    )
    root = xr.Dataset(
        {
            "loss": (("split", "t"), loss, {"long_name": "mean loss", "units": "1"}),
            "accuracy": (("split", "t"), np.exp(-loss)),
        },
        coords={"t": t, "split": ["train", "test"]},
        attrs={"section": "path", "spec": json.dumps({"task": "model"}), "seed": 7},
    )
    if not accuracy:
        root = root.drop_vars("accuracy")
    tree = tree_of(root, analysed)
    if analysed:
        rise = loss - _chord(t, loss)
        rise[:, (t < 0) | (t > 1)] = -np.inf
        where = rise.argmax(1)
        tree["analysis"] = xr.DataTree(
            tree["analysis"].to_dataset().assign(
                barrier=("split", rise.max(1)), barrier_at=("split", t[where])
            )
        )  # fmt: skip
    return tree


def _bump(t, peak):
    """1 at its peak, 0 at t = 0 and t = 1, and rising again outside."""
    along = np.sign(t) * np.abs(t) ** (np.log(0.5) / np.log(peak))
    return (4 * along * (1 - along)) ** 2


def _chord(t, loss):
    ends = np.array([[np.interp(end, t, row) for end in (0.0, 1.0)] for row in loss])
    return (1 - t) * ends[:, :1] + t * ends[:, 1:]
