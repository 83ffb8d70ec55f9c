"""Where in a file's nested containers the state dict is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor

from schemas.errors import SpecError, listing, suggestion

_USUAL = re.compile(
    r"(ema_|avg_|best_)?(state_dict|model|model_state_dict|model_state|net|network|net_state_dict|"
    r"module|weights|params|parameters|state|ema)(_ema|_avg|_best)?",
    re.IGNORECASE,
)
_OF_TRAINING = re.compile(r"optim|sched|scaler|criterion|loss|rng|random|callback", re.IGNORECASE)
_DEEPEST = 5


def is_state_dict(value: object) -> bool:
    """Tensors by name, but for what modules keep as `_extra_state`."""
    return (
        isinstance(value, Mapping)
        and all(isinstance(name, str) for name in value)
        and any(isinstance(part, Tensor) for part in value.values())
        and all(
            isinstance(part, Tensor) or name.endswith("_extra_state")
            for name, part in value.items()
        )
    )


def only_state_dict(content: object, shown: str, what: str) -> Mapping[str, Any]:
    """The one state dict that a file can be meant to hold.

    One under a usual name comes before others, and what belongs to the training is left out.

    Raises:
        SpecError: there is none, or more than one that could be meant.
    """
    found = [
        (place, value)
        for place, value in _state_dicts(content)
        if not any(_OF_TRAINING.search(part) for part in place)
    ]
    usual = [pair for pair in found if not pair[0] or _USUAL.fullmatch(pair[0][-1])]
    chosen = usual or found
    if len(chosen) == 1:
        return chosen[0][1]
    if chosen:
        raise SpecError(
            f"{what}: {shown} holds {len(found)} state dicts; add key: one of "
            f"{listing('.'.join(place) for place, _ in found)}"
        )
    kind = (
        f"keys {listing(map(str, content), 6)}"
        if isinstance(content, Mapping)
        else f"a {type(content).__name__}"
    )
    raise SpecError(
        f"{what}: {shown} holds no state dict, but {kind}; expected tensors by name, as "
        "torch.save(model.state_dict(), 'weights.pt') writes them"
    )


def _state_dicts(
    value: object, place: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Every state dict in nested containers, with the keys that lead to it."""
    if isinstance(value, Mapping) and is_state_dict(value):
        yield place, value
    elif len(place) < _DEEPEST:
        for name, part in _parts(value):
            yield from _state_dicts(part, (*place, name))


def _parts(value: object) -> Iterable[tuple[str, object]]:
    if isinstance(value, Mapping):
        return [(name, part) for name, part in value.items() if isinstance(name, str)]
    if isinstance(value, (list, tuple)):
        return [(str(index), part) for index, part in enumerate(value)]
    return []


def entries_at(content: object, key: str) -> Mapping[str, Any]:
    """What stands at a dotted key; of names that begin alike, those below it. Else nothing."""
    parts = dict(_parts(content))
    if key in parts:
        inner = parts[key]
        return inner if isinstance(inner, Mapping) else {}
    # A name may itself hold dots.
    for name in sorted(parts, key=len, reverse=True):
        if key.startswith(f"{name}.") and (inner := entries_at(parts[name], key[len(name) + 1 :])):
            return inner
    start = f"{key}."
    return {name[len(start) :]: part for name, part in parts.items() if name.startswith(start)}


def places_known(content: object, key: str) -> str:
    """The end of an error line about a key that leads to no state dict."""
    places = [".".join(place) for place, _ in _state_dicts(content)]
    if places == [""]:
        return "; it holds one state dict; leave the key out"
    if not places:
        return "; it holds none at all"
    return f"; expected one of {listing(places)}{suggestion(key, places)}"
