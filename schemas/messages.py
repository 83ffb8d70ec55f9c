"""Pydantic's complaints, said in one line: the field's path, the value, what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from schemas.errors import listing, suggestion

# Tags of unions that pydantic inserts into a location and a user never wrote.
_TAGS = frozenset({"linear", "log", "values", "rising"})


def first_complaint(error: ValidationError, model: type[BaseModel]) -> str:
    """The most telling complaint of a ValidationError, and how many others there are."""
    details = error.errors(include_url=False, include_context=True)
    # An unknown key usually explains the missing one beside it, so it speaks first.
    details.sort(key=lambda detail: detail["type"] != "extra_forbidden")
    text = _sentence(details[0], model)
    first = _path(details[0]["loc"])
    # A container that is called too short because its entries are wrong is no further mistake.
    others = len({path for d in details if not first.startswith(path := _path(d["loc"]))})
    return text + (f" (and {others} more field{'s' if others > 1 else ''} wrong)" if others else "")


def _sentence(detail: Mapping[str, Any], model: type[BaseModel]) -> str:
    loc = detail["loc"]
    path = _path(loc)
    kind = detail["type"]
    if kind == "extra_forbidden":
        allowed = _fields_at(loc[:-1], model)
        name = str(loc[-1])
        expected = f"; expected one of {listing(allowed, 16)}" if allowed else ""
        return f"{path}: unknown field{expected}{suggestion(name, allowed)}"
    if kind == "missing":
        return f"{path}: is missing; add it"
    if kind == "value_error":
        message = str(detail["ctx"]["error"])
        return f"{path}: {message}" if path and not message.startswith(path) else message
    got = _shown(detail["input"])
    if kind == "literal_error":
        allowed = _literals(str(detail["ctx"]["expected"]))
        near = suggestion(detail["input"], allowed)
        return f"{path}: got {got}; expected one of {listing(allowed)}{near}"
    wanted = _EXPECTED.get(kind)
    if wanted:
        return f"{path}: got {got}; expected {wanted.format(**detail.get('ctx', {}))}"
    message = detail["msg"]
    return f"{path}: got {got}; {message[:1].lower()}{message[1:]}"


_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "byte_size": "a size such as 512MiB or 2GiB",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "list_type": "a list",
    "model_type": "a mapping",
    "string_type": "text",
    "too_short": "at least {min_length} entry",
    "tuple_type": "a list",
}


def _path(loc: Sequence[str | int]) -> str:
    """`axes.h1.num` from a pydantic location, without the tags of its unions."""
    parts: list[str] = []
    for position, part in enumerate(loc):
        text = str(part)
        is_tag = position >= 2 and loc[0] == "axes" and position == 2 and text in _TAGS
        if not is_tag and not any(mark in text for mark in "[(") and text not in _UNION_LABELS:
            parts.append(text)
    return ".".join(parts)


_UNION_LABELS = frozenset({"int", "float", "str", "none"})


def _fields_at(loc: Sequence[str | int], model: type[BaseModel]) -> list[str]:
    """The fields of the model that a location leads to; empty when it leads nowhere."""
    here: list[type[BaseModel]] = [model]
    for part in loc:
        models = [m for m in here if str(part) in m.model_fields]
        if models:
            here = [n for m in models for n in _models_in(m.model_fields[str(part)].annotation)]
        elif str(part) in _TAGS:
            here = [m for m in here if m.__name__.lower().startswith(str(part))]
    return sorted({name for m in here for name in m.model_fields}, key=str)


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]


def _literals(expected: str) -> list[str]:
    return [word.strip().strip("'") for word in expected.replace(" or ", ", ").split(",")]


def _shown(value: object, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"
