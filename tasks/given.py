"""A module, data and directions that the caller holds in memory, as a landscape.

Shape legend: N = samples, z = axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from schemas.errors import SpecError, listing, suggestion
from tasks.directions import filter_normalised, random_directions
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, SampleLoss, Split, loss_named
from tasks.section import axis_count_error, directions_as_section

DIRECTIONS = ("random", "filter")


def given_landscape(
    model: nn.Module,
    data: Mapping[str, tuple[Tensor, Tensor]],
    *,
    loss: str | SampleLoss,
    directions: str | Sequence[Mapping[str, Tensor]],
    origin: Mapping[str, Tensor] | None,
    z: int,
    seed: int,
) -> Landscape:
    """The landscape of a module's loss over a section of z axes; the module is not changed.

    Raises:
        SpecError: unknown loss or direction, shapes that do not fit, splits that are empty or
            whose inputs and targets differ in number.
    """
    parameters = {name: tensor.detach() for name, tensor in model.named_parameters()}
    if not parameters:
        raise SpecError(
            f"model: {type(model).__name__} has no parameters; there is nothing to scan"
        )
    if origin is not None:
        parameters = _origin(parameters, origin)
    section = directions_as_section(parameters, _directions(parameters, directions, z, seed))
    for axis, direction in enumerate(section.directions):
        if not any(bool(tensor.any()) for tensor in direction.values()):
            raise SpecError(
                f"directions[{axis}]: is zero everywhere, so the model would never be perturbed; "
                "give a direction with a non-zero entry"
            )
    splits = {name: _split(name, pair) for name, pair in data.items()}
    return Landscape(EmpiricalRisk(model, loss_named(loss), splits), section)


def _origin(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for name, tensor in given.items():
        if name not in own:
            raise SpecError(
                f"origin: the model has no parameter {name!r}; expected some of {listing(own)}"
                f"{suggestion(name, own)}"
            )
        if tensor.shape != own[name].shape:
            raise SpecError(
                f"origin[{name!r}]: shape {tuple(tensor.shape)}; expected the parameter's "
                f"{tuple(own[name].shape)}"
            )
    return {name: given.get(name, tensor) for name, tensor in own.items()}


def _directions(
    origin: Mapping[str, Tensor],
    directions: str | Sequence[Mapping[str, Tensor]],
    z: int,
    seed: int,
) -> Sequence[Mapping[str, Tensor]]:
    if isinstance(directions, str):
        if directions not in DIRECTIONS:
            raise SpecError(
                f"directions: got {directions!r}; expected one of {listing(DIRECTIONS)}, or one "
                f"mapping from parameter name to tensor for each axis"
                f"{suggestion(directions, DIRECTIONS)}"
            )
        drawn = random_directions(origin, z, seed)
        return [filter_normalised(d, origin) for d in drawn] if directions == "filter" else drawn
    if len(directions) != z:
        raise axis_count_error(z, len(directions), f"a list of {len(directions)} directions")
    return directions


def _split(name: str, pair: tuple[Tensor, Tensor]) -> Split:
    try:
        inputs, targets = pair
    except (TypeError, ValueError):
        raise SpecError(f"data[{name!r}]: expected a pair (inputs, targets)") from None
    if not (isinstance(inputs, Tensor) and isinstance(targets, Tensor)):
        found = f"{type(inputs).__name__} and {type(targets).__name__}"
        raise SpecError(
            f"data[{name!r}]: expected two tensors, got {found}; convert with torch.as_tensor"
        )
    if len(inputs) != len(targets) or len(inputs) == 0:
        raise SpecError(
            f"data[{name!r}]: {len(inputs)} inputs and {len(targets)} targets; expected the same "
            "number, at least one"
        )
    return Split(inputs.detach(), targets.detach())
