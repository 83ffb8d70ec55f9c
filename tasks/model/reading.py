"""The checkpoints that a section needs: read when asked for, fitted to the model, aligned to it."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import relpath
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from schemas.errors import SpecError
from tasks.alignment.align import align
from tasks.directions.context import named
from tasks.model.checkpoint_parameters import Checkpoint, CheckpointParameters
from tasks.model.checkpoints import fitted

_WILD = re.compile(r"[*?\[]")
_NUMBERS = re.compile(r"(\d+)")


@dataclass
class Reader:
    """Other checkpoints by the names of a module's parameters and buffers.

    Attributes:
        module: the model, with the parameters of the origin.
        raw: reads a checkpoint's tensors by the names in its file.
        sample: a few inputs, on which a permuted network must agree with itself; None aligns
            nothing.
        seed: of the alignment.
        facts: of the alignment of each checkpoint that was read.
    """

    module: nn.Module
    raw: Callable[[Checkpoint], Mapping[str, Tensor]]
    sample: Tensor | None
    seed: int
    facts: dict[str, Any] = field(default_factory=dict)

    def __call__(self, checkpoint: Checkpoint) -> Mapping[str, Tensor]:
        """A checkpoint's parameters and buffers.

        Raises:
            SpecError: the file cannot be read, or does not fit the model.
        """
        found = fitted(self.raw(checkpoint), self.module, f"checkpoint {named(checkpoint)}")
        if self.sample is None:
            return found
        own = {**dict(self.module.named_parameters()), **dict(self.module.named_buffers())}
        reference = {name: own[name].detach() for name in found}
        aligned = align(self.module, reference, found, self.sample, seed=self.seed)
        self.facts[named(checkpoint)] = aligned.facts
        return aligned.tensors


def expanded(checkpoints: Sequence[Checkpoint], base: Path, what: str) -> tuple[Checkpoint, ...]:
    """The checkpoints, with every pattern replaced by the files it matches, by their numbers.

    Raises:
        SpecError: a pattern matches nothing.
    """
    found: list[Checkpoint] = []
    for checkpoint in checkpoints:
        if isinstance(checkpoint, CheckpointParameters) or not _WILD.search(checkpoint):
            found.append(checkpoint)
            continue
        # Joined first: a pattern may be absolute, or lead out of the base.
        files = sorted(glob.glob(str(base / checkpoint)), key=_by_number)
        if not files:
            raise SpecError(f"{what}: {checkpoint} matches no file below {base}; mend the pattern")
        found += files if Path(checkpoint).is_absolute() else [relpath(f, base) for f in files]
    return tuple(found)


def _by_number(name: str) -> list[tuple[int, str]]:
    """Epoch 9 before epoch 10."""
    parts = _NUMBERS.split(name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
