"""What directions are made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from schemas.errors import SpecError, listing, suggestion
from tasks.model.checkpoint_parameters import Checkpoint
from tasks.objective import EmpiricalRisk
from tasks.registry import Progress


@dataclass(frozen=True)
class DirectionContext:
    """What directions are made from.

    Attributes:
        origin: every parameter at α = 0, float64.
        z: number of axes of the scan.
        seed: from which random directions follow.
        read: a checkpoint's tensors by parameter name; it may hold more or fewer than the model.
        objective: for gradient and Hessian; None where there is no data.
        split: the split whose loss they are of, where an item does not say.
        progress: told of long steps.
    """

    origin: Mapping[str, Tensor]
    z: int
    seed: int
    read: Callable[[Checkpoint], Mapping[str, Tensor]]
    objective: EmpiricalRisk | None
    split: str
    progress: Progress


@dataclass(frozen=True)
class Made:
    """The axes of one item.

    Attributes:
        directions: a mapping from parameter name to float64 tensor for each axis.
        facts: of each axis, as plain JSON values.
        points: displacements from the origin of checkpoints that the axes were laid through.
    """

    directions: Sequence[dict[str, Tensor]]
    facts: Sequence[dict[str, Any]]
    points: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)


def named(checkpoint: Checkpoint) -> str:
    """A checkpoint as it is called in messages and facts."""
    if isinstance(checkpoint, str):
        return checkpoint
    return checkpoint.file + (f" ({checkpoint.key})" if checkpoint.key else "")


def fitted(
    tensors: Mapping[str, Tensor], names: Sequence[str], context: DirectionContext, what: str
) -> dict[str, Tensor]:
    """The tensors of these names in float64.

    Raises:
        SpecError: one is missing, has another shape than the parameter, or is not finite.
    """
    found = {}
    for name in names:
        if name not in tensors:
            raise SpecError(
                f"{what} has no parameter {name!r}; it has {listing(tensors, 6)}"
                f"{suggestion(name, tensors)}"
            )
        tensor, wanted = tensors[name].detach().cpu().double(), context.origin[name].shape
        if tensor.shape != wanted:
            raise SpecError(
                f"{what}: {name!r} has shape {tuple(tensor.shape)}; expected the parameter's "
                f"{tuple(wanted)}"
            )
        if not bool(tensor.isfinite().all()):
            raise SpecError(
                f"{what}: {name!r} has entries that are not finite; leave out what is broken"
            )
        found[name] = tensor
    return found
