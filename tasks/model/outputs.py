"""What of a module's outputs the loss sees, arranged by hooks: its parameters keep their names.

Shape legend: N = samples, L = positions, V = vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor, nn

from schemas.errors import SpecError, listing, suggestion
from tasks.objective import Split
from tasks.trial import trial

_USUAL = "logits"


@dataclass(frozen=True)
class Picked:
    """A forward hook that hands on one of a module's outputs.

    Attributes:
        name: its key, attribute or position; None for `logits`, or else the first.
    """

    name: str | int | None

    def __call__(self, _module: nn.Module, _inputs: object, outputs: object) -> Tensor | None:
        """The output; None leaves a single tensor as it is."""
        if isinstance(outputs, Tensor):
            return None
        if self.name is None:
            found = _usual(outputs)
        elif isinstance(self.name, int):
            found = _at(outputs, self.name)
        else:
            found = _named(outputs, self.name)
        if not isinstance(found, Tensor):
            raise SpecError(
                f"output: {self.name!r} of the model is of type {type(found).__name__}; expected "
                f"the name of a tensor{_offer(outputs)}"
            )
        return found


def _usual(outputs: object) -> object:
    if isinstance(outputs, Mapping):
        return outputs.get(_USUAL, next(iter(outputs.values()), None))
    if isinstance(outputs, (tuple, list)) and not hasattr(outputs, _USUAL):
        return outputs[0] if outputs else None
    return getattr(outputs, _USUAL, None)


def _named(outputs: object, name: str) -> object:
    found = outputs.get(name) if isinstance(outputs, Mapping) else getattr(outputs, name, None)
    if found is None:
        known = [str(key) for key in outputs] if isinstance(outputs, Mapping) else []
        raise SpecError(
            f"output: the model gives {type(outputs).__name__} without {name!r}"
            f"{_offer(outputs)}{suggestion(name, known)}"
        )
    return found


def _at(outputs: object, place: int) -> object:
    values = list(outputs.values()) if isinstance(outputs, Mapping) else outputs
    if not isinstance(values, (tuple, list)) or not -len(values) <= place < len(values):
        raise SpecError(
            f"output: the model gives {type(outputs).__name__} without number {place}"
            f"{_offer(outputs)}"
        )
    return values[place]


def _offer(outputs: object) -> str:
    if isinstance(outputs, Mapping):
        return f"; expected one of {listing([str(key) for key in outputs])}"
    if isinstance(outputs, (tuple, list)):
        return f"; expected a number from 0 to {len(outputs) - 1}"
    return ""


def with_single_output(module: nn.Module, output: str | int | None, sample: Tensor) -> nn.Module:
    """The module, or a copy of it that gives one tensor where the module gives several.

    `sample` are inputs (N, …) to try it on; a module that cannot be evaluated is left to the checks
    before a scan.
    """
    if output is None and _gives_a_tensor(module, sample):
        return module
    own = copy.deepcopy(module)
    own.register_forward_hook(Picked(output))
    return own


def _gives_a_tensor(module: nn.Module, sample: Tensor) -> bool:
    try:
        return isinstance(trial(module, sample), Tensor)
    except Exception:  # noqa: BLE001 - whatever a user's model raises is told by the checks
        return True


def _all_but_the_last(_module: nn.Module, _inputs: object, outputs: Tensor) -> Tensor:
    """Logits (N, L, V) of L tokens → (N, V, L − 1), those that predict a token of the sample."""
    return outputs[:, :-1].movedim(-1, 1)


def predicting_next_token(
    module: nn.Module, splits: Mapping[str, Split]
) -> tuple[nn.Module, dict[str, Split]]:
    """A language model (N, L) → (N, L, V), and its data, arranged to predict the next.

    The copy of the module gives (N, V, L − 1), and targets (N, L) become (N, L − 1), so that
    cross-entropy and accuracy are those of the next token.

    Raises:
        SpecError: the targets are no sequences of at least two tokens.
    """
    shifted = {}
    for name, split in splits.items():
        targets = split.targets
        if targets.is_floating_point() or targets.dim() != 2 or targets.shape[1] < 2:
            raise SpecError(
                f"loss: next_token needs targets of tokens (N, L) with L of at least 2; "
                f"data[{name!r}].targets have shape {tuple(targets.shape)} and dtype "
                f"{targets.dtype}; choose another loss"
            )
        shifted[name] = replace(split, targets=targets[:, 1:])
    own = copy.deepcopy(module)
    own.register_forward_hook(_all_but_the_last)
    return own, shifted
