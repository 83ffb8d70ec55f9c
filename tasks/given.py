"""What a caller holds in memory – a module, data, checkpoints, directions – as a landscape.

Shape legend: N = samples, z = axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import ValidationError
from torch import Tensor, nn

from schemas.errors import SpecError
from schemas.messages import first_complaint
from tasks.landscape import Landscape
from tasks.model.assemble import Setting, assemble
from tasks.model.checkpoint_parameters import Checkpoint
from tasks.model.checkpoints import read_checkpoint
from tasks.model.parameters import SectionParameters
from tasks.model.risk import Given
from tasks.objective import SampleLoss, Split
from tasks.registry import Progress, silent
from tasks.sources.loaders import as_split

Weights: TypeAlias = nn.Module | Mapping[str, Tensor]
"""A module, or a state dict."""
_CHECKPOINT_FIELDS = frozenset({"to", "through", "checkpoints", "file"})


@dataclass
class _Held:
    """Checkpoints in memory, by the names that stand for them, or else in files."""

    weights: dict[str, Weights] = field(default_factory=dict)

    def named(self, value: object, name: str) -> object:
        """The value, with weights in it replaced by names of which `name` is the beginning."""
        if isinstance(value, nn.Module) or _is_state_dict(value):
            self.weights[name] = value  # type: ignore[assignment]
            return name
        if isinstance(value, Path):
            return str(value)
        if isinstance(value, (list, tuple)):
            return [self.named(part, f"{name} {i}") for i, part in enumerate(value)]
        return value

    def read(self, checkpoint: Checkpoint) -> Mapping[str, Tensor]:
        """A checkpoint's tensors."""
        weights = self.weights.get(checkpoint) if isinstance(checkpoint, str) else None
        if weights is None:
            return read_checkpoint(checkpoint, Path(), "checkpoint")
        tensors = weights.state_dict() if isinstance(weights, nn.Module) else weights
        return {name: tensor.detach() for name, tensor in tensors.items()}


def given_landscape(
    model: nn.Module,
    data: Mapping[str, object],
    *,
    loss: str | SampleLoss,
    directions: object,
    origin: Mapping[str, Tensor] | None,
    z: int | None,
    seed: int,
    section: Mapping[str, Any] | None = None,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Landscape:
    """The landscape of a module's loss over a section of z axes, or over all its parameters for
    starts; the module is not changed.

    Args:
        model: the module, in eval mode where that makes a difference.
        data: split name → what `tasks.sources.loaders.as_split` takes.
        loss: a name, or a function (outputs, targets) → losses (N,) or (N, …).
        directions: as in `SectionParameters`, or a mapping from parameter name to tensor for each
            axis. Wherever a checkpoint is meant, a module or a state dict may stand.
        origin: parameters at the origin that are not the module's.
        z: number of axes; None for starts.
        seed: of random directions, alignments and paths.
        section: the other fields of `SectionParameters`.
        cache: directory for trained paths; None keeps nothing.
        progress: told of long steps.

    Raises:
        SpecError: something does not fit, or is not there.
        WorkError: a path cannot be trained, or an alignment would change a checkpoint's function.
    """
    splits = {name: _split(name, value) for name, value in data.items()}
    held = _Held()
    tensors = _given_tensors(directions)
    said = {name: value for name, value in (section or {}).items() if value is not None}
    if not tensors and directions is not None:
        said["directions"] = directions
    given = Given(
        module=model,
        splits=splits,
        loss=loss,
        said=_parsed(_without_weights(said, held)),
        raw=held.read,
        base=Path(),
        directions=tensors,
        origin=dict(origin or {}),
    )
    return assemble(given, Setting(z, seed, cache, progress=progress))


def _split(name: str, value: object) -> Split:
    split = as_split(value, f"data[{name!r}]")
    return Split(split.inputs.detach(), split.targets.detach())


def _parsed(said: Mapping[str, Any]) -> SectionParameters:
    try:
        return SectionParameters.model_validate(dict(said))
    except ValidationError as error:
        raise SpecError(first_complaint(error, SectionParameters)) from None


def _without_weights(said: Mapping[str, Any], held: _Held) -> dict[str, Any]:
    """The section with names in place of the weights that are held."""
    plain = dict(said)
    if "path" in plain:
        plain["path"] = _item(plain["path"], held, "path")
    if "directions" in plain:
        items = plain["directions"]
        listed = items if isinstance(items, (list, tuple)) else [items]
        plain["directions"] = [_item(item, held, f"direction {i}") for i, item in enumerate(listed)]
    if isinstance(plain.get("trajectories"), Mapping):
        plain["trajectories"] = {
            run: held.named(value, str(run)) for run, value in plain["trajectories"].items()
        }
    return plain


def _item(item: object, held: _Held, name: str) -> object:
    """One direction or path; a checkpoint alone is the one it leads to."""
    # A direction's text is the name of its kind.
    is_file = name == "path" and isinstance(item, (str, Path))
    if is_file or isinstance(item, nn.Module) or _is_state_dict(item):
        item = {"kind": "linear" if name == "path" else "checkpoint", "to": item}
    if not isinstance(item, Mapping):
        return item
    return {
        key: held.named(value, f"{name} {key}") if key in _CHECKPOINT_FIELDS else value
        for key, value in item.items()
    }


def _given_tensors(directions: object) -> list[Mapping[str, Tensor]]:
    """The directions, if each is given by its tensors; else none."""
    if not isinstance(directions, (list, tuple)) or not all(map(_is_state_dict, directions)):
        return []
    return list(directions)


def _is_state_dict(value: object) -> bool:
    return isinstance(value, Mapping) and any(isinstance(t, Tensor) for t in value.values())
