"""Where and how the work of a scan runs."""

from __future__ import annotations

from typing import Annotated, Literal, Self, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    PositiveFloat,
    model_validator,
)

Count = Annotated[int, Field(ge=1, strict=True)]


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


class SpecPart(BaseModel):
    """Base of every part of a spec: unknown keys, NaN and inf are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Engine(SpecPart):
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


class Compute(SpecPart):
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
