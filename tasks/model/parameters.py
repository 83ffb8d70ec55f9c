"""Parameters of the task `model`. Importing this module imports no torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from tasks.directions.parameters import Direction, Directions, RandomParameters
from tasks.model.checkpoint_parameters import Checkpoint
from tasks.paths.parameters import PathParameters
from tasks.registry import Parameters
from tasks.sources.parameters import DataParameters

Count = Annotated[int, Field(ge=1, strict=True)]
Reference = Annotated[str, Field(min_length=1)]
_BATCH = 256


class BatchNormParameters(Parameters):
    """What becomes of batch normalisation's running statistics."""

    policy: Literal["stored", "interpolated", "reestimated"] = Field(
        description="stored: those of the checkpoint everywhere. interpolated: they move with the "
        "parameters where a direction leads to another checkpoint. reestimated: measured anew at "
        "every point."
    )
    split: str | None = Field(
        None, description="On which split they are reestimated; by default the first of the scan."
    )
    samples: Count | None = Field(
        None, description="On how many of its first samples; by default all."
    )
    batch: Annotated[int, Field(ge=2, strict=True)] = Field(
        _BATCH, description="Samples of a batch; the statistics are their means over the batches."
    )


def _as_policy(value: object) -> object:
    return {"policy": value} if isinstance(value, str) else value


BatchNorm: TypeAlias = Annotated[
    BatchNormParameters,
    BeforeValidator(
        _as_policy,
        json_schema_input_type=Literal["stored", "interpolated", "reestimated"]
        | BatchNormParameters,
    ),
]


class ModelPathParameters(PathParameters):
    """A path from the checkpoint (t = 0) to another (t = 1); the scan has one axis, t."""

    to: Checkpoint = Field(description="The checkpoint at t = 1.")


def _as_runs(value: object) -> object:
    if not isinstance(value, dict):
        got = repr(value) if isinstance(value, str) else type(value).__name__
        raise ValueError(
            f"got {got}; expected a mapping from the name of a run to its checkpoints, such as "
            "{sgd: runs/sgd/*.pt}"
        )
    return {name: [run] if isinstance(run, (str, dict)) else run for name, run in value.items()}


Runs: TypeAlias = Annotated[
    dict[str, Annotated[tuple[Checkpoint, ...], Field(min_length=1)]],
    BeforeValidator(
        _as_runs, json_schema_input_type=dict[str, Checkpoint | tuple[Checkpoint, ...]]
    ),
]


class SectionParameters(Parameters):
    """Where through a model's parameters the scan goes, and what goes with them."""

    output: str | int | None = Field(
        None,
        description="Which output, where the model gives a mapping or several: its name or "
        "number; by default logits, or else the first.",
    )
    directions: Directions | None = Field(
        None,
        description="A kind's name, a mapping with kind, or a list of these; by default filter, "
        "random directions normalised filter by filter.",
    )
    path: ModelPathParameters | None = Field(
        None, description="A path to another checkpoint, instead of directions."
    )
    align: bool = Field(
        False,
        description="Permute the hidden units of every other checkpoint to be nearest to this "
        "one's (weight matching; Ainsworth et al. 2022, arXiv:2209.04836).",
    )
    batchnorm: BatchNorm | None = Field(
        None,
        description="Running statistics: stored, interpolated or reestimated, or a mapping with "
        "policy. By default stored, but to be chosen where the section leads to another "
        "checkpoint.",
    )
    trajectories: Runs = Field(
        default_factory=dict,
        description="Checkpoints of one or several training runs, by the run's name, projected "
        "into the section: files, or a pattern such as runs/sgd/*.pt, in the order of their "
        "numbers.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.path is not None and self.directions is not None:
            raise ValueError("path: stands beside directions; keep one of the two")
        return self

    @property
    def items(self) -> tuple[Direction, ...]:
        """The directions, those by default where there is no path."""
        if self.path is not None:
            return ()
        return self.directions or (RandomParameters(kind="filter"),)


class ModelParameters(SectionParameters):
    """A model of one's own, its data, and where through its parameters the scan goes."""

    model: Reference = Field(
        description="What makes the module: package.module:factory or path/to/file.py:factory, a "
        "function or class; return it in eval mode."
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="Keyword arguments of the factory."
    )
    checkpoint: Checkpoint | None = Field(
        None,
        description="Parameters and buffers at the origin; by default those the factory gives.",
    )
    data: DataParameters = Field(description="The splits.")
    loss: Reference = Field(
        "cross_entropy",
        description="cross_entropy, binary_cross_entropy, mse, mae, huber; next_token for "
        "language models; or a function (outputs, targets) -> one loss a sample, as "
        "package.module:name or file.py:name.",
    )
