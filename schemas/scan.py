"""ScanSpec: what to scan, where, how, and into which store. YAML in, a canonical identity out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    PositiveFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from schemas.errors import SpecError, listing, suggestion
from schemas.grid import Axis, Grid, auto_chunks
from schemas.layout import FORMAT_VERSION, RESERVED_NAMES
from schemas.messages import first_complaint

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
Count = Annotated[int, Field(ge=1, strict=True)]
_AXIS_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _refuse_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"got {value}; expected a number, 0 or more")
    return value


def _or_auto(least: int) -> BeforeValidator:
    """Check of `auto` or a whole number, with one complaint for both."""

    def check(value: object) -> object:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value != "auto" and not (whole and cast("int", value) >= least):
            raise ValueError(f"got {value!r}; expected a whole number, {least} or more, or auto")
        return value

    return BeforeValidator(check)


def _lengths(value: object) -> object:
    if value is not None and value != "auto" and not isinstance(value, Mapping):
        raise ValueError(
            f"got {value!r}; expected a mapping from axis to length, such as {{alpha: 32}}"
        )
    return value


def _names(value: object) -> object:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"got {value!r}; expected a list, such as [{value}]")
    return value


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Engine(_Model):
    """A recorded choice of evaluator, to be forced; `cartograd plan --json` shows one."""

    name: Literal["loop", "traced", "batched", "polynomial", "autograd", "closed-form"] = Field(
        description="The evaluator."
    )
    sample_block: Count | None = Field(
        None, description="Samples evaluated together, at most; all of them by default."
    )
    point_block: Count = Field(1, description="Points evaluated together.")
    degree: Annotated[int, Field(ge=0, strict=True)] = Field(
        0, description="Greatest degree of what is expanded into coefficients."
    )
    outer: tuple[Annotated[int, Field(ge=0, strict=True)], ...] = Field(
        (), description="Numbers of the axes that vary slowest."
    )
    keep: bool = Field(True, description="Whether what is prepared for a block of samples is kept.")


class Compute(_Model):
    """Where the work runs. Only `dtype` is part of a scan's identity; the rest is not."""

    workers: Annotated[int | Literal["auto"], _or_auto(0)] = Field(
        "auto",
        description="Ray workers; auto takes one for each CPU slot or GPU; 0 evaluates in the "
        "driver's own process without Ray.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto takes cuda where there is one."
    )
    cpus_per_worker: Count = Field(1, description="CPUs, and threads, of each worker.")
    gpus_per_worker: Annotated[float, Field(ge=0), BeforeValidator(_refuse_bool)] | None = Field(
        None, description="GPUs of each worker, fractions allowed; by default 1 on cuda, else 0."
    )
    dtype: Literal["float32", "float64", "bfloat16"] = Field(
        "float32",
        description="Precision of the evaluation and of the stored loss; bfloat16 computes losses "
        "and stores them in float32.",
    )
    engine: Engine | Literal["auto"] = Field(
        "auto",
        description="The evaluator and its block sizes; auto finds them by timing a few blocks, "
        "records them in the store and takes the same ones when the scan is continued.",
    )
    memory_per_worker: ByteSize = Field(
        ByteSize(2 * 2**30), description="Limit of each worker's own data, such as 2GiB."
    )
    batch: Annotated[int | Literal["auto"], _or_auto(1)] = Field(
        "auto", description="Parameter points held together by a worker."
    )
    retries: Annotated[int, Field(ge=0, strict=True)] = Field(
        3, description="How often a shard is tried again after its worker died."
    )
    shard_timeout: PositiveFloat | None = Field(
        None,
        description="Seconds after which a silent worker is replaced; by default from the plan.",
    )

    @model_validator(mode="after")
    def _devices_agree(self) -> Self:
        if self.device == "cpu" and self.gpus_per_worker:
            raise ValueError(
                f"gpus_per_worker is {self.gpus_per_worker:g} but device is cpu; "
                "set device: cuda or leave gpus_per_worker out"
            )
        if self.device == "cuda" and self.gpus_per_worker == 0:
            raise ValueError(
                "gpus_per_worker is 0 but device is cuda; give a number above 0, such as 0.5 or 1"
            )
        if self.gpus_per_worker and self.gpus_per_worker > 1 and self.gpus_per_worker % 1:
            raise ValueError(
                f"gpus_per_worker is {self.gpus_per_worker:g}; above 1 only whole GPUs can be given"
            )
        return self


class ScanSpec(_Model):
    """One scan: a task, the points to evaluate it at, what to measure, and where to store it."""

    task: str = Field(description="Name of what is scanned; `cartograd tasks` lists them.")
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="The task's own parameters; `cartograd tasks NAME`."
    )
    axes: dict[str, Axis] = Field(
        min_length=1, description="Named coordinates, in the order of the store's dimensions."
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
    def _lengths_agree(self) -> Self:
        for field, lengths in (("chunks", self.chunks), ("shards", self.shards)):
            if isinstance(lengths, dict):
                for name, length in lengths.items():
                    self._check_length(field, name, length)
        if self.shards is not None:
            chunks = dict(zip(self.axes, self.chunk_shape(), strict=True))
            for name, length in self.shards.items():
                if length % chunks[name]:
                    raise ValueError(
                        f"shards.{name}: {length} is not a multiple of the chunk length "
                        f"{chunks[name]}; use {-(-length // chunks[name]) * chunks[name]}"
                    )
        return self

    def _check_length(self, field: str, name: str, length: int) -> None:
        if name not in self.axes:
            raise ValueError(
                f"{field}.{name}: no such axis; expected one of {listing(self.axes)}"
                + suggestion(name, self.axes)
            )
        if field == "chunks" and length > self.axes[name].num:
            raise ValueError(
                f"chunks.{name}: {length} exceeds the axis's {self.axes[name].num} points; "
                f"use {self.axes[name].num} or less"
            )

    def chunk_shape(self) -> tuple[int, ...]:
        """Chunk lengths along the axes."""
        shape = tuple(axis.num for axis in self.axes.values())
        if self.chunks == "auto":
            return auto_chunks(shape)
        return tuple(self.chunks.get(name, n) for name, n in zip(self.axes, shape, strict=True))

    def grid(self) -> Grid:
        """The grid of the scan's axes with its chunks and shards."""
        chunks = self.chunk_shape()
        asked = self.shards or {}
        shards = tuple(asked.get(name, c) for name, c in zip(self.axes, chunks, strict=True))
        return Grid(tuple(self.axes), tuple(self.axes.values()), chunks, shards)

    def identity(self) -> dict[str, Any]:
        """Everything on which a stored number depends, as plain JSON values."""
        plain = self.model_dump(
            mode="json",
            include={"task", "parameters", "axes", "splits", "metrics", "replicates", "seed"},
        )
        grid = self.grid()
        plain["dtype"] = self.compute.dtype
        plain["chunks"] = dict(zip(grid.names, grid.chunks, strict=True))
        plain["shards"] = dict(zip(grid.names, grid.shards, strict=True)) if self.shards else None
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
            f"{origin}: expected a mapping with task and axes, got {type(raw).__name__}; "
            "see `cartograd schema`"
        )
    try:
        return ScanSpec.model_validate(dict(raw))
    except ValidationError as error:
        raise SpecError(f"{origin}: {first_complaint(error, ScanSpec)}") from None
