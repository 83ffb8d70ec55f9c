"""Small stored scans whose every value is known, to be exported."""

import numpy as np
import xarray as xr

from pipeline.contents import scan_contents
from pipeline.ledger import Ledger, ShardReport
from pipeline.running import run
from pipeline.store import RegionFile, consolidate, create
from schemas import parse_spec
from schemas.layout import FORMAT_VERSION, ShardStatus, Variable

# the second axis descends; the third is given value by value
AXES = {
    "a": {"start": -1, "stop": 1, "num": 5},
    "b": {"start": 0.5, "stop": -2.5, "num": 7},
    "c": {"values": [-3, 0.1, 7]},
    "d": {"start": 0, "stop": 1, "num": 2},
}
CURVATURE, CENTRE = (1.0, 3.0, 5.0, 7.0), (0.25, -0.5, 1.0, 0.5)


def known(split, *coordinates):
    """The loss at coordinates along the first axes."""
    total = -1.0 + (0.1 if split == "test" else 0.0)
    for curvature, centre, x in zip(CURVATURE, CENTRE, coordinates, strict=False):
        total = total + curvature * (np.asarray(x) - centre) ** 2
    return total


def scan(folder, z, axes=AXES, dtype="float64", parameters=(), **changes):
    """A store of the quadratic over the first z axes."""
    names = list(axes)[:z]
    raw = {
        "task": "quadratic",
        "parameters": {
            "curvature": CURVATURE[:z],
            "centre": CENTRE[:z],
            "offset": -1,
            **dict(parameters),
        },
        "axes": {name: axes[name] for name in names},
        "chunks": dict.fromkeys(names, 2),
        "compute": {"workers": 0, "dtype": dtype},
        "store": str(folder / "scan.zarr"),
    }
    run(parse_spec({**raw, **changes}))
    return folder / "scan.zarr"


def with_every_metric(folder):
    """A store that holds every kind of metric, and the values written to it.

    The values are drawn: infinities, NaN, and integers that no float64 holds.
    """
    metrics = ["loss", "section_gradient", "section_hessian", "activation_cell"]
    spec = parse_spec(
        {
            "task": "none",
            "axes": {name: AXES[name] for name in ("a", "b")},
            "chunks": {"a": 2, "b": 3},
            "metrics": metrics,
            "compute": {"workers": 0, "dtype": "float64"},
        }
    )
    contents = scan_contents(spec, {"target": Variable("a field", "1")})
    store, random = folder / "scan.zarr", np.random.default_rng(0)
    create(store, contents, {"cartograd_format": FORMAT_VERSION, "title": "t", "fingerprint": "f"})
    regions, ledger = RegionFile(store, contents), Ledger(store)
    for shard in range(contents.n_shards):
        size = contents.place(shard)[1].size
        values = {}
        for name in (*metrics, "target"):
            shape = (*contents.lead(name), size)
            values[name] = random.choice([np.nan, np.inf, -np.inf, 0.1, 1 / 3, -7.0], shape)
        lead = contents.lead("activation_cell")
        values["activation_cell"] = random.integers(2**63, 2**64 - 1, (*lead, size), np.uint64)
        regions.write(shard, values)
        ledger.record(ShardReport(shard, ShardStatus.DONE, 1))
    ledger.flush()
    return store


def lose(store, *shards):
    """Mark shards as never computed."""
    ledger = Ledger(store)
    for shard in shards:
        ledger.record(ShardReport(shard, ShardStatus.PENDING, 0))
    ledger.flush()


PLACES = np.array([[0.9, 0.4], [0.5, -0.2], [0.3, -0.45], [0.0, -1.0]])
OWN = {"train": np.array([5.0, 4.0, 3.0, 2.0]), "test": np.array([5.5, np.nan, 3.5, 2.5])}


def with_trajectories(store):
    """A run of three checkpoints, and a single model."""
    checkpoints = {
        "run": np.array(["Läufer", "Läufer", "Läufer", "one"], dtype=object),
        "name": np.array(["0", "1", "2", "final"], dtype=object),
        "explained": np.array([1.0, 0.9, 0.8, 0.7]),
        "distance": np.array([0.0, 0.1, 0.2, 0.3]),
    }
    z = xr.open_zarr(store)["loss"].ndim - 1
    places = np.pad(PLACES, ((0, 0), (0, 2)))[:, :z]
    xr.Dataset(
        {
            **{name: ("checkpoint", values) for name, values in checkpoints.items()},
            "coordinate": (("checkpoint", "axis"), places),
            "loss": (("split", "checkpoint"), np.stack(list(OWN.values()))),
        },
        coords={
            "split": np.array(list(OWN), dtype=object),
            "axis": np.array(list(AXES)[:z], dtype=object),
        },
    ).to_zarr(store, group="trajectories", mode="w", consolidated=False, zarr_format=3)
    consolidate(store)
    return store
