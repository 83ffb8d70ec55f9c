"""How a spec names a checkpoint. Importing this module imports no torch."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

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


Checkpoint: TypeAlias = (
    Annotated[str, Field(min_length=1, description=_FILE)] | CheckpointParameters
)
"""A path, or a mapping with `file` and `key`."""
