"""ScanSpec: what to scan, where, how, and into which store. YAML in, a canonical identity out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from schemas.compute import Compute, Count, SpecPart
from schemas.errors import SpecError, listing, suggestion
from schemas.grid import Axis, Grid, RisingAxis, auto_chunks
from schemas.layout import END_PARAMETERS, FORMAT_VERSION, OF_DESCENT, RESERVED_NAMES, START
from schemas.messages import first_complaint
from schemas.starts import TOGETHER, TOLERANCES, Descent, StartAxis, Starts

MetricName = Literal[
    "loss",
    "accuracy",
    "loss_stderr",
    "gradient_norm",
    "section_gradient",
    "section_hessian",
    "hessian_eigenvalue_min",
    "hessian_eigenvalue_max",
    "activation_cell",
    "activation_changes",
]
Seed = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
_AXIS_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _lengths(value: object) -> object:
    if value is not None and value != "auto" and not isinstance(value, Mapping):
        raise ValueError(
            f"got {value!r}; expected a mapping from axis to length, such as {{alpha: 32}}"
        )
    return value


def _mapped(example: str) -> BeforeValidator:
    """Check of a part of the spec that may be taken for a single value."""

    def check(value: object) -> object:
        if value is not None and not isinstance(value, (Mapping, SpecPart)):
            raise ValueError(f"got {value!r}; expected a mapping, such as {example}")
        return value

    return BeforeValidator(check)


def _names(value: object) -> object:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"got {value!r}; expected a list, such as [{value}]")
    return value


class ScanSpec(SpecPart):
    """One scan: a task, the points to evaluate it at, what to measure, and where to store it."""

    task: str = Field(description="Name of what is scanned; `cartograd tasks` lists them.")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="The task's own parameters; `cartograd tasks NAME`."
    )
    axes: dict[str, Axis] = Field(
        default_factory=dict,
        description="Named coordinates, in the order of the store's dimensions.",
    )
    starts: Annotated[Starts | None, _mapped("{num: 100}")] = Field(
        None, description="Seeded random points instead of axes; their dimension is `start`."
    )
    descent: Annotated[Descent | None, _mapped("{method: lbfgs}")] = Field(
        None, description="A descent over all parameters from every point."
    )
    splits: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(
        ("train", "test"), min_length=1, description="Data sets on which to evaluate."
    )
    metrics: Annotated[tuple[MetricName, ...], BeforeValidator(_names)] = Field(
        ("loss",), min_length=1, description="What to measure."
    )
    replicates: Count = Field(
        1,
        description="Independently seeded repetitions; above 1, a dimension of their own.",
    )
    seed: Seed = Field(0, description="Every random choice follows from it.")
    compute: Compute = Field(default_factory=lambda: Compute())
    chunks: Annotated[dict[str, Count] | Literal["auto"], BeforeValidator(_lengths)] = Field(
        "auto", description="Chunk length along each axis; axes left out are not cut."
    )
    shards: Annotated[dict[str, Count] | None, BeforeValidator(_lengths)] = Field(
        None,
        description="Shard length along each axis, a multiple of the chunk's: the unit of work, "
        "also stored as one Zarr shard. By default a shard is one chunk.",
    )
    store: str | None = Field(
        None, description="Path of the Zarr store; by default the spec's name with .zarr."
    )

    @model_validator(mode="before")
    @classmethod
    def _reachable_tolerance(cls, raw: object) -> object:
        """The tolerance of a descent where none is given: what the dtype can reach."""
        given = raw.get("descent") if isinstance(raw, Mapping) else None
        if not isinstance(raw, Mapping) or not isinstance(given, Mapping) or "tolerance" in given:
            return raw
        compute = raw.get("compute")
        dtype = compute.get("dtype") if isinstance(compute, Mapping) else None
        tolerance = TOLERANCES["float64" if dtype == "float64" else "float32"]
        return {**raw, "descent": {**given, "tolerance": tolerance}}

    @field_validator("axes")
    @classmethod
    def _axis_names(cls, axes: dict[str, Any]) -> dict[str, Any]:
        for name in axes:
            if not _AXIS_NAME.fullmatch(name):
                raise ValueError(
                    f"axis name {name!r} must be letters, digits and underscores, "
                    "not starting with a digit"
                )
            if name in RESERVED_NAMES:
                raise ValueError(
                    f"axis name {name!r} is reserved; rename it "
                    f"(reserved: {listing(sorted(RESERVED_NAMES), 20)})"
                )
        return axes

    @field_validator("splits", "metrics")
    @classmethod
    def _no_repeats(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"{listing(repeated)} is given twice; name each once")
        return names

    @field_validator("metrics")
    @classmethod
    def _with_loss(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if "loss" not in names:
            raise ValueError(
                f"got [{listing(names)}]; expected loss among them, which costs nothing more; "
                f"use [{listing(('loss', *names))}]"
            )
        return names

    @model_validator(mode="after")
    def _points_given(self) -> Self:
        if bool(self.axes) == (self.starts is not None):
            given = "both are given" if self.axes else "neither is"
            raise ValueError(f"expected axes or starts, and {given}; give one of them")
        return self

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        for field, lengths in (("chunks", self.chunks), ("shards", self.shards)):
            if isinstance(lengths, dict):
                for name, length in lengths.items():
                    self._check_length(field, name, length)
        if self.shards is not None:
            chunks = dict(zip(self.dimensions, self.chunk_shape(), strict=True))
            for name, length in self.shards.items():
                if length % chunks[name]:
                    raise ValueError(
                        f"shards.{name}: {length} is not a multiple of the chunk length "
                        f"{chunks[name]}; use {-(-length // chunks[name]) * chunks[name]}"
                    )
        return self

    def _check_length(self, field: str, name: str, length: int) -> None:
        if name not in self.dimensions:
            raise ValueError(
                f"{field}.{name}: no such axis; expected one of {listing(self.dimensions)}"
                + suggestion(name, self.dimensions)
            )
        num = self.dimensions[name].num
        if field == "chunks" and length > num:
            raise ValueError(
                f"chunks.{name}: {length} exceeds the axis's {num} points; use {num} or less"
            )

    @property
    def dimensions(self) -> dict[str, Axis | StartAxis]:
        """The axes of the points by name: those of the grid, or `start`."""
        return {**self.axes} if self.starts is None else {START: StartAxis(self.starts.num)}

    @property
    def measured(self) -> tuple[str, ...]:
        """The metrics, those of the descent among them."""
        if self.descent is None:
            return self.metrics
        kept = (END_PARAMETERS,) if self.descent.keep_parameters else ()
        return (*self.metrics, *OF_DESCENT, *kept)

    def chunk_shape(self) -> tuple[int, ...]:
        """Chunk lengths along the axes."""
        shape = tuple(axis.num for axis in self.dimensions.values())
        if self.chunks == "auto":
            return auto_chunks(shape) if self.descent is None else auto_chunks(shape, TOGETHER)
        named = zip(self.dimensions, shape, strict=True)
        return tuple(self.chunks.get(name, n) for name, n in named)

    def shard_shape(self) -> tuple[int, ...]:
        """Shard lengths along the axes."""
        asked = self.shards or {}
        chunks = zip(self.dimensions, self.chunk_shape(), strict=True)
        return tuple(asked.get(name, length) for name, length in chunks)

    @property
    def rising(self) -> dict[str, RisingAxis]:
        """The axes whose span is not known before it is measured."""
        return {name: axis for name, axis in self.axes.items() if isinstance(axis, RisingAxis)}

    def spanning(self, reaches: Mapping[str, float]) -> ScanSpec:
        """The spec with each rising axis from −reach to reach."""
        found = {name: axis.spanning(reaches[name]) for name, axis in self.rising.items()}
        return self.model_copy(update={"axes": {**self.axes, **found}})

    def grid(self) -> Grid:
        """The grid of the scan's axes with its chunks and shards.

        Raises:
            ValueError: the span of an axis is still to be measured.
        """
        known = self.dimensions
        axes = tuple(axis for axis in known.values() if not isinstance(axis, RisingAxis))
        if len(axes) < len(known):
            raise ValueError(f"the spans of {listing(self.rising)} are not known yet")
        return Grid(tuple(known), axes, self.chunk_shape(), self.shard_shape())

    def identity(self) -> dict[str, Any]:
        """Everything on which a stored number depends, as plain JSON values."""
        plain = self.model_dump(
            mode="json",
            include={
                *("task", "parameters", "axes", "starts", "descent"),
                *("splits", "metrics", "replicates", "seed"),
            },
        )
        plain["dtype"] = self.compute.dtype
        plain["chunks"] = dict(zip(self.dimensions, self.chunk_shape(), strict=True))
        shards = dict(zip(self.dimensions, self.shard_shape(), strict=True))
        plain["shards"] = shards if self.shards else None
        plain["axes"] = [{"name": name, **plain["axes"][name]} for name in self.axes]
        plain["format"] = FORMAT_VERSION
        return plain

    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON of `identity()`, as 64 hexadecimal digits."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


def parse_spec(raw: object, origin: str = "spec") -> ScanSpec:
    """A validated ScanSpec from plain values; SpecError names the first field that is wrong."""
    if not isinstance(raw, Mapping):
        raise SpecError(
            f"{origin}: expected a mapping with task and axes or starts, got {type(raw).__name__}; "
            "see `cartograd schema`"
        )
    try:
        return ScanSpec.model_validate(dict(raw))
    except ValidationError as error:
        raise SpecError(f"{origin}: {first_complaint(error, ScanSpec)}") from None
