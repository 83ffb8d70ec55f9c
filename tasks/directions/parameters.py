"""A spec's directions. Importing this module imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias, get_args

from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat, model_validator

from schemas.errors import listing, suggestion
from tasks.model.checkpoint_parameters import Checkpoint
from tasks.registry import Parameters

Count = Annotated[int, Field(ge=1, strict=True)]
CountOrNone = Annotated[int, Field(ge=0, strict=True)]
Pattern = Annotated[str, Field(min_length=1)]

_COUNT = "How many axes; by default all that the scan has, or one beside other directions."
_SPLIT = "The split whose mean loss is meant; by default the first of the scan."


def _as_patterns(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _not_zero(factor: float) -> float:
    if factor == 0:
        raise ValueError("got 0; expected another number, or nothing would move")
    return factor


Patterns: TypeAlias = Annotated[
    tuple[Pattern, ...],
    Field(min_length=1),
    BeforeValidator(_as_patterns, json_schema_input_type=Pattern | tuple[Pattern, ...]),
]


def _as_checkpoints(value: object) -> object:
    return (value,) if isinstance(value, (str, dict)) else value


Checkpoints: TypeAlias = Annotated[
    tuple[Checkpoint, ...],
    Field(min_length=1),
    BeforeValidator(_as_checkpoints, json_schema_input_type=Checkpoint | tuple[Checkpoint, ...]),
]


class _DirectionParameters(Parameters):
    """What every kind of direction has."""

    parameters: Patterns | None = Field(
        None,
        description="Shell-style patterns of parameter names, such as layer1.*: only these move.",
    )
    scale: Annotated[FiniteFloat, AfterValidator(_not_zero)] = Field(
        1.0, description="Factor of the direction."
    )
    orthogonal: bool = Field(
        False,
        description="Make each axis orthogonal to all axes before it, keeping its length "
        "(Gram-Schmidt).",
    )


class RandomParameters(_DirectionParameters):
    """Independent normal entries, as they are or rescaled (Li et al. 2018, arXiv:1712.09913)."""

    kind: Literal["random", "filter", "layer", "parameter"] = Field(
        description="random leaves normal entries as they are; filter and layer give each filter "
        "or parameter tensor the norm it has in the checkpoint; parameter multiplies each entry "
        "by the checkpoint's."
    )
    count: Count | None = Field(None, description=_COUNT)
    ignore: Literal["biasbn", "nothing"] | None = Field(
        None,
        description="biasbn keeps parameters of fewer than two dimensions (biases, normalisation "
        "layers) where they are; by default biasbn, but for random, nothing.",
    )

    @property
    def vectors(self) -> bool:
        """Whether parameters of fewer than two dimensions move."""
        return (self.ignore or ("nothing" if self.kind == "random" else "biasbn")) == "nothing"


class CheckpointDirectionParameters(_DirectionParameters):
    """From the scan's checkpoint, at coordinate 0, to another, at 1."""

    kind: Literal["checkpoint"]
    to: Checkpoint = Field(description="The checkpoint at coordinate 1.")


class PlaneParameters(_DirectionParameters):
    """The plane through the scan's checkpoint and two others, at (1, 0) and (0, 1).

    With `orthogonal` the second axis is made orthogonal to the first and as long, so that the
    plane is to scale: Garipov et al. 2018, arXiv:1802.10026, with their basis in units of the
    distance between the first two checkpoints.
    """

    kind: Literal["plane"]
    through: tuple[Checkpoint, Checkpoint] = Field(description="The two other checkpoints.")


class TrajectoryParameters(_DirectionParameters):
    """Principal components of checkpoints' displacements from the scan's checkpoint.

    Unit length, most variance first (Li et al. 2018, arXiv:1712.09913, section 7.2, where the
    scan's checkpoint is the last of the run).
    """

    kind: Literal["pca"]
    checkpoints: Checkpoints = Field(
        description="The checkpoints of one or several runs: files, or a pattern such as "
        "runs/sgd/*.pt.",
    )
    centred: bool = Field(
        False, description="Subtract the mean displacement first, as in usual PCA."
    )
    count: Count | None = Field(None, description=_COUNT)


class HessianParameters(_DirectionParameters):
    """Unit eigenvectors of the Hessian at the scan's checkpoint, the greatest eigenvalues first."""

    kind: Literal["hessian"]
    top: CountOrNone | None = Field(
        None,
        description="Eigenvectors of the greatest eigenvalues; by default, without bottom, all "
        "axes that the scan has, or one beside other directions.",
    )
    bottom: CountOrNone = Field(0, description="Eigenvectors of the least eigenvalues.")
    split: str | None = Field(None, description=_SPLIT)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.top == 0 and self.bottom == 0:
            raise ValueError("got top 0 and bottom 0; give at least one of them")
        return self

    @property
    def count(self) -> int | None:
        """How many axes; None where that is left open."""
        if self.top is None:
            return self.bottom or None
        return self.top + self.bottom


class GradientParameters(_DirectionParameters):
    """The gradient at the scan's checkpoint, of unit length: the loss rises along it."""

    kind: Literal["gradient"]
    split: str | None = Field(None, description=_SPLIT)


class FileParameters(_DirectionParameters):
    """A direction of one's own: tensors by parameter name; those left out do not move."""

    kind: Literal["file"]
    file: Checkpoint = Field(description="The direction, in a file such as a checkpoint's.")


Direction: TypeAlias = Annotated[
    RandomParameters
    | CheckpointDirectionParameters
    | PlaneParameters
    | TrajectoryParameters
    | HessianParameters
    | GradientParameters
    | FileParameters,
    Field(discriminator="kind"),
]

ShortName = Literal["random", "filter", "layer", "parameter", "gradient", "hessian"]
"""Kinds that need nothing said but their name."""

KINDS: Mapping[str, type[Parameters]] = {
    kind: model
    for model in get_args(get_args(Direction)[0])
    for kind in get_args(model.model_fields["kind"].annotation)
}
"""Every kind of direction, and the model of its parameters."""


def _as_items(value: object) -> object:
    """A list of mappings, from one name or mapping or from a list of them."""
    items = value if isinstance(value, (list, tuple)) else [value]
    return [_as_item(item) for item in items]


def _as_item(item: object) -> object:
    if isinstance(item, str):
        item = {"kind": item}
    if isinstance(item, dict):
        kind: Any = item.get("kind")
        if not isinstance(kind, str) or kind not in KINDS:
            said = "no kind" if kind is None else f"kind {kind!r}"
            raise ValueError(
                f"got {said}; expected one of {listing(KINDS)}{suggestion(kind, KINDS)}"
            )
        # Pydantic would name the fields of all kinds.
        fields = KINDS[kind].model_fields
        for key in item:
            if key not in fields:
                raise ValueError(
                    f"kind {kind!r} has no field {key!r}; expected some of {listing(fields)}"
                    f"{suggestion(key, fields)}"
                )
    elif not isinstance(item, Parameters):
        raise ValueError(f"got {item!r}; expected a kind's name, or a mapping with kind")
    return item


Directions: TypeAlias = Annotated[
    tuple[Direction, ...],
    Field(min_length=1),
    BeforeValidator(
        _as_items,
        json_schema_input_type=ShortName | Direction | tuple[ShortName | Direction, ...],
    ),
]
"""The directions of a scan's axes: a kind's name, a mapping with `kind`, or a list of these."""
