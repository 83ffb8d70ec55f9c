"""The manifest: the immutable identity of a scan, and the check that a spec is the same one."""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.contents import Contents, scan_contents
from pipeline.engine.contract import EngineChoice
from pipeline.planning import Plan
from pipeline.shipping import part_hashes
from pipeline.store import Location, read_manifest
from schemas.errors import StoreMismatch, listing
from schemas.layout import AFFINE, FORMAT_VERSION, PATH, STARTS, Variable
from schemas.scan import ScanSpec, parse_spec
from tasks.landscape import Landscape
from tasks.section import Section

_VERSIONED = ("cartograd", "torch", "numpy", "zarr", "ray", "xarray", "dask")


@dataclass(frozen=True)
class StoredScan:
    """What a store says of itself: enough to continue, verify or analyse it.

    Attributes:
        asked: the spec as it was given.
        spans: for each of its rising axes the coordinate at which it ends.
    """

    asked: ScanSpec
    spans: dict[str, float]
    base: Path
    fingerprint: str
    engine: EngineChoice
    contents: Contents
    hashes: tuple[dict[str, Any], ...]
    reference: dict[str, float]
    attributes: dict[str, Any]

    @property
    def spec(self) -> ScanSpec:
        """The spec with the spans that were measured."""
        return self.asked.spanning(self.spans)


def new_manifest(
    asked: ScanSpec, base: Path, plan: Plan, landscapes: list[Landscape]
) -> dict[str, Any]:
    """The attributes of a new store: plain strings and numbers, JSON texts where nested."""
    grid = plan.contents.grid
    ends = {name: axis.coordinates(axis.num - 1, axis.num)[0] for name, axis in grid.named.items()}
    return {
        "title": f"Loss landscape scan: {asked.task}",
        "Conventions": "CF-1.11",
        "cartograd_format": FORMAT_VERSION,
        "task": asked.task,
        "spec": json.dumps(asked.model_dump(mode="json")),
        "base": str(base.resolve()),
        "spans": json.dumps({name: float(ends[name]) for name in asked.rising}),
        "section": _kind(landscapes[0].section),
        "numbers": plan.contents.numbers,
        "fingerprint": asked.fingerprint(),
        "seed": asked.seed,
        "engine": json.dumps(asdict(plan.engine)),
        **({} if plan.error is None else {"bfloat16_error": plan.error}),
        "hashes": json.dumps([part_hashes(landscape) for landscape in landscapes]),
        "fields": json.dumps({n: asdict(v) for n, v in plan.contents.fields.items()}),
        "reference": json.dumps(dict(landscapes[0].reference)),
        "facts": json.dumps([dict(landscape.facts) for landscape in landscapes]),
        "versions": json.dumps(_versions()),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _kind(section: Section) -> str:
    """What the coordinates of a scan are."""
    if section.whole:
        return STARTS
    return AFFINE if section.chart is None else PATH


def _versions() -> dict[str, str]:
    return {name: _version(name) for name in _VERSIONED} | {"python": platform.python_version()}


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        # A job runs from its shipped working directory, where nothing is installed.
        return "not installed"


def read_stored(location: Location) -> StoredScan:
    """The identity of a stored scan; StoreError when there is none."""
    attributes = read_manifest(location)
    asked = parse_spec(attributes["spec"], f"{location}")
    spans = {str(name): float(end) for name, end in attributes["spans"].items()}
    fields = {name: Variable(**known) for name, known in attributes["fields"].items()}
    return StoredScan(
        asked=asked,
        spans=spans,
        base=Path(str(attributes["base"])),
        fingerprint=str(attributes["fingerprint"]),
        engine=EngineChoice(**attributes["engine"]),
        contents=scan_contents(asked.spanning(spans), fields, int(attributes["numbers"])),
        hashes=tuple(attributes["hashes"]),
        reference=dict(attributes["reference"]),
        attributes=attributes,
    )


def check_same_spec(location: Location, stored: StoredScan, spec: ScanSpec) -> None:
    """StoreMismatch, naming the difference, unless the store holds the scan of this spec."""
    if stored.fingerprint == spec.fingerprint():
        return
    held, asked = _flat(stored.asked.identity()), _flat(spec.identity())
    differing = sorted(k for k in held.keys() | asked.keys() if held.get(k) != asked.get(k))
    shown = "; ".join(
        f"{key} is {held.get(key, 'absent')} there and {asked.get(key, 'absent')} here"
        for key in differing[:3]
    )
    more = f" (and {len(differing) - 3} more)" if len(differing) > 3 else ""
    raise StoreMismatch(
        f"{location}: holds a different scan: {shown}{more}; choose another store or remove it"
    )


def check_same_landscapes(
    location: Location, stored: StoredScan, landscapes: list[Landscape]
) -> None:
    """StoreMismatch unless the landscapes built now are those the store was begun with."""
    built = tuple(part_hashes(landscape) for landscape in landscapes)
    if built != stored.hashes:
        pairs = [
            (_flat(one), _flat(other)) for one, other in zip(built, stored.hashes, strict=True)
        ]
        parts = {k for new, old in pairs for k in new | old if new.get(k) != old.get(k)}
        raise StoreMismatch(
            f"{location}: the same spec now builds different parameters or data than when the scan "
            f"began ({listing(sorted(parts))}: a changed input file, cache or library); restore "
            "them or choose another store"
        )


def check_same_device(location: Location, stored: StoredScan, device: str) -> None:
    """StoreMismatch when the scan was begun on another kind of device."""
    if stored.engine.device != device:
        raise StoreMismatch(
            f"{location}: was begun on {stored.engine.device} and would continue on {device}; "
            f"set compute.device={stored.engine.device}"
        )


def _flat(value: object, path: str = "") -> dict[str, object]:
    if isinstance(value, Mapping) and value:
        items = [(str(key), part) for key, part in value.items()]
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        items = [(str(part.get("name", i)), part) for i, part in enumerate(value)]
    else:
        return {path: value}
    flat: dict[str, object] = {}
    for key, part in items:
        flat |= _flat(part, f"{path}.{key}" if path else key)
    return flat
