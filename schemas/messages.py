"""Pydantic's complaints, said in one line: the field's path, the value, what is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import BaseModel, ValidationError

from schemas.errors import listing, suggestion

Detail: TypeAlias = Mapping[str, Any]
"""One error of a ValidationError, as its `errors()` gives it."""
Schema: TypeAlias = Mapping[str, Any]
"""A part of a core schema, from which pydantic makes its locations."""
Path: TypeAlias = tuple[str, ...]

_UNKNOWN = "extra_forbidden"
# What pydantic appends to the location of a wrong key.
_KEY = "[key]"


def first_complaint(error: ValidationError, model: type[BaseModel]) -> str:
    """The most telling complaint of a ValidationError, and how many others there are."""
    places: dict[Path, list[Detail]] = {}
    for detail in error.errors(include_url=False, include_context=True):
        places.setdefault(_followed(detail["loc"], model)[0], []).append(detail)
    # What is wrong inside explains what pydantic says of the whole: that none of several forms
    # fits, or that too few entries are left.
    for path in list(places):
        for length in range(len(path)):
            places.pop(path[:length], None)
    unknown = [path for path, details in places.items() if details[0]["type"] == _UNKNOWN]
    for path in unknown:
        # The key that was meant is missing for no other reason.
        for meant in _meant(path, places):
            del places[meant]
    first = next(iter(unknown or places))
    others = len(places) - 1
    text = " ".join(_sentence(first, places[first], model).splitlines())
    return text + (f" (and {others} more field{'s' if others > 1 else ''} wrong)" if others else "")


def _meant(path: Path, places: Mapping[Path, Sequence[Detail]]) -> list[Path]:
    """The missing key beside an unknown one, if their names are near."""
    missing = [
        other
        for other, details in places.items()
        if other[:-1] == path[:-1] and details[0]["type"] == "missing"
    ]
    return [other for other in missing if suggestion(path[-1], [other[-1]])][:1]


def _sentence(where: Path, details: Sequence[Detail], model: type[BaseModel]) -> str:
    """What is said of one place, where each of several forms may have its own complaint."""
    path, detail = ".".join(where), details[0]
    kind = detail["type"]
    if kind == _UNKNOWN:
        allowed = _followed(detail["loc"][:-1], model)[1]
        expected = f"; expected one of {listing(allowed, 16)}" if allowed else ""
        return f"{path}: unknown field{expected}{suggestion(where[-1], allowed)}"
    if kind == "missing":
        return f"{path}: is missing; add it"
    if kind == "value_error":
        message = str(detail["ctx"]["error"])
        return f"{path}: {message}" if path and not message.startswith(path) else message
    got = _shown(detail["input"])
    wanted = list(dict.fromkeys(filter(None, map(_wanted, details))))
    if wanted:
        words = [word for each in details for word in _literals(each)]
        near = suggestion(detail["input"], words)
        return f"{path}: got {got}; expected {' or '.join(wanted)}{near}"
    message = detail["msg"]
    return f"{path}: got {got}; {message[:1].lower()}{message[1:]}"


def _wanted(detail: Detail) -> str:
    """What was expected; empty where pydantic's own words have to do."""
    words = _literals(detail)
    if words:
        return f"one of {listing(words)}" if len(words) > 1 else words[0]
    context = {name: _plain(value) for name, value in detail.get("ctx", {}).items()}
    return _EXPECTED.get(detail["type"], "").format(**context)


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
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than": "less than {lt}",
    "less_than_equal": "{le} or less",
    "list_type": "a list",
    "model_type": "a mapping",
    "string_type": "text",
    "too_long": "at most {max_length} entries",
    "too_short": "{min_length} or more entries",
    "tuple_type": "a list",
}


def _literals(detail: Detail) -> list[str]:
    if detail["type"] != "literal_error":
        return []
    expected = str(detail["ctx"]["expected"])
    return [word.strip().strip("'") for word in expected.replace(" or ", ", ").split(",")]


def _plain(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shown(value: object, most: int = 60) -> str:
    text = " ".join(map(str.strip, repr(value).splitlines()))
    return text if len(text) <= most else text[: most - 1] + "…"


def _followed(loc: Sequence[str | int], model: type[BaseModel]) -> tuple[Path, list[str]]:
    """The fields, keys and indices of a pydantic location, and the fields that it leads to.

    The location also names the form of each union that was tried, which no user ever wrote: the
    tag of a tagged one, else the name of a type.
    """
    schema = model.__pydantic_core_schema__
    definitions = {each["ref"]: each for each in schema.get("definitions", ())}
    path: list[str] = []
    here = list(_opened(schema, definitions))
    for number, part in enumerate(loc):
        forms = [form for schema in here for form in _form(schema, part, definitions)]
        if not forms and not (part == _KEY and number == len(loc) - 1):
            path.append(str(part))
            forms = [inner for schema in here for inner in _below(schema, part, definitions)]
        here = [inner for form in forms for inner in _opened(form, definitions)]
    return tuple(path), sorted({name for schema in here for name in _fields(schema, definitions)})


def _fields(schema: Schema, definitions: Mapping[str, Schema]) -> Iterator[str]:
    """The fields of a model, or of every form of a union."""
    yield from schema.get("fields", ())
    for form in _forms(schema):
        for inner in _opened(form, definitions):
            yield from _fields(inner, definitions)


def _opened(schema: Schema, definitions: Mapping[str, Schema]) -> Iterator[Schema]:
    """The schema inside those that add nothing to a location."""
    while True:
        if schema["type"] == "definition-ref":
            schema = definitions[schema["schema_ref"]]
        elif "schema" in schema:
            schema = schema["schema"]
        else:
            yield schema
            return


def _form(schema: Schema, part: str | int, definitions: Mapping[str, Schema]) -> list[Schema]:
    """The forms of a union that a part of a location names."""
    if schema["type"] == "tagged-union":
        return [schema["choices"][part]] if part in schema["choices"] else []
    return [form for form in _forms(schema) if _is_label(str(part), form, definitions)]


def _forms(schema: Schema) -> list[Schema]:
    if schema["type"] == "tagged-union":
        return list(schema["choices"].values())
    if schema["type"] != "union":
        return []
    return [each[0] if isinstance(each, tuple) else each for each in schema["choices"]]


def _is_label(part: str, form: Schema, definitions: Mapping[str, Schema]) -> bool:
    """Whether a part is pydantic's name of a form: `Engine`, `constrained-int`, `dict[…]`."""
    if form["type"] == "definition-ref":
        form = definitions[form["schema_ref"]]
    name = form["cls"].__name__ if form["type"] == "model" else form["type"]
    return part in (name, f"constrained-{name}") or part.startswith(f"{name}[")


def _below(schema: Schema, part: str | int, definitions: Mapping[str, Schema]) -> Iterator[Schema]:
    """What stands at a field, key or index of a schema, in any of its forms."""
    for form in _forms(schema):
        for inner in _opened(form, definitions):
            yield from _below(inner, part, definitions)
    if part in schema.get("fields", {}):
        yield schema["fields"][part]
    elif "extras_schema" in schema:
        yield schema["extras_schema"]
    elif schema["type"] == "dict":
        yield schema["values_schema"]
    elif schema["type"] in ("tuple", "list") and isinstance(part, int):
        items = schema["items_schema"]
        yield items[min(part, len(items) - 1)] if isinstance(items, list) else items
