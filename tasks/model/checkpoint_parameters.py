"""How a spec names a checkpoint. Importing this module imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from pydantic import Discriminator, Field, Tag

from tasks.registry import Parameters

_FILE = (
    "A .safetensors file, a folder or index of several, or what torch.save wrote of a state "
    "dict (.pt, .pth, .bin, .ckpt); relative to the spec."
)


class CheckpointParameters(Parameters):
    """A file of trained tensors, and where in the file the state dict is."""

    file: str = Field(min_length=1, description=_FILE)
    key: str | None = Field(
        None,
        min_length=1,
        description="Dotted place of the state dict in the file, such as model_state_dict or "
        "nets.0; where names begin alike, such as unet, those below it. Found by itself when "
        "only one place can be meant.",
    )


# Tags with brackets do not show in error lines, and only the form that was meant complains.
_TEXT, _MAPPING = "path (text)", "mapping (file, key)"


def _form(value: object) -> str:
    return _MAPPING if isinstance(value, (Mapping, CheckpointParameters)) else _TEXT


Checkpoint: TypeAlias = Annotated[
    Annotated[str, Field(min_length=1, description=_FILE), Tag(_TEXT)]
    | Annotated[CheckpointParameters, Tag(_MAPPING)],
    Discriminator(_form),
]
"""A path, or a mapping with `file` and `key`."""
