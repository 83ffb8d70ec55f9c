"""A task's parameters for reading in a terminal, from their JSON Schema.

Mappings within mappings get sections of their own, each named for the places it stands at; where a
mapping has several forms, what all of them share is said once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

Schema = Mapping[str, Any]
Row = tuple[str, str, str]
"""Name of a field, what it takes, what it means."""

_WORDS = {
    "string": "text",
    "integer": "whole number",
    "boolean": "true or false",
    "object": "mapping",
    "array": "list",
}
_FEW = 3
_ANY_NAME = "any other name"


@dataclass(frozen=True)
class Section:
    """Fields of one mapping: where it stands, what it is, and its rows."""

    title: str
    meaning: str
    rows: tuple[Row, ...]


def print_sections(sections: Sequence[Section]) -> None:
    """The sections on stdout as aligned columns, as wide as the terminal or 120 characters."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    first = max(len(name) for section in sections for name, _, _ in section.rows)
    for section in sections:
        console.print()
        console.print(Text(section.title, style="bold"))
        if section.meaning:
            console.print(Text(section.meaning))
        if not section.rows:
            continue
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(width=first + 2, no_wrap=True)
        table.add_column(width=max(22, console.width // 4))
        table.add_column()
        for name, value, meaning in section.rows:
            table.add_row(Text(f"  {name}"), Text(value), Text(meaning))
        console.print(table)
    click.echo()


def sections_of(schema: Schema) -> list[Section]:
    """The parameters of a JSON Schema, outermost first; each mapping within them once."""
    words = _Words(schema.get("$defs", {}))
    found = [Section("Parameters", "", words.rows(schema))]
    for names, places in words.mappings(schema).items():
        forms = [words.definitions[name] for name in names]
        if len(forms) > 1:
            found += words.forms(forms, places)
        else:
            meaning = _one_line(forms[0].get("description", ""))
            found.append(Section(_listed(places, "and"), meaning, words.rows(forms[0])))
    return found


class _Words:
    """Schemas in a user's words."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self.definitions = definitions

    def mappings(self, schema: Schema) -> dict[tuple[str, ...], list[str]]:
        """What is to be described, by its definitions: the dotted places it stands at."""
        found: dict[tuple[str, ...], list[str]] = {}
        self._visit(schema, "", found)
        return {names: sorted(places, key=_depth) for names, places in found.items()}

    def _visit(self, schema: Schema, prefix: str, found: dict[tuple[str, ...], list[str]]) -> None:
        for name, field in _fields(schema):
            place = f"{prefix}{name}"
            names = tuple(dict.fromkeys(_references(field)))
            if names in found:
                found[names] += [place] if place not in found[names] else []
            elif names and not self._is_told(names, found):
                found[names] = [place]
                for inner in names:
                    self._visit(self.definitions[inner], f"{place}.", found)

    def _is_told(self, names: tuple[str, ...], found: Mapping[tuple[str, ...], object]) -> bool:
        """Whether every form of a mapping has no field that one described already has not."""
        told = [dict(_fields(self.definitions[name])) for known in found for name in known]
        return all(
            any(dict(_fields(self.definitions[name])).items() <= other.items() for other in told)
            for name in names
        )

    def forms(self, forms: Sequence[Schema], places: Sequence[str]) -> Iterator[Section]:
        """A mapping of several forms: each one's own fields, then those that several share."""
        place = _listed(places, "and")
        members: dict[str, tuple[str, Schema, list[int]]] = {}
        for number, form in enumerate(forms):
            for name, field in _fields(form):
                key = json.dumps([name, field], sort_keys=True)
                members.setdefault(key, (name, field, []))[2].append(number)
        shared: dict[tuple[int, ...], list[tuple[str, Schema]]] = {}
        for name, field, numbers in members.values():
            if len(numbers) >= _FEW:
                shared.setdefault(tuple(numbers), []).append((name, field))
        for number, form in enumerate(forms):
            others = {
                name for those, common in shared.items() if number in those for name, _ in common
            }
            rows = self.rows(form, leaving_out=others)
            meaning = _one_line(form.get("description", ""))
            yield Section(f"{place}, with {self.leading(form)}", meaning, rows)
        for those, common in sorted(shared.items(), key=lambda entry: len(entry[0])):
            names = [self.leading(forms[number]) for number in those]
            everywhere = len(those) == len(forms)
            which = "in every form" if everywhere else f"with {_listed(names, 'or')}"
            yield Section(f"{place}, {which}", "", tuple(self.row(*field) for field in common))

    def leading(self, form: Schema) -> str:
        """The field that tells a form from others, with its value where that does."""
        properties = form.get("properties", {})
        for name, field in properties.items():
            if "const" in field:
                return f"{name}: {field['const']}"
            if "enum" in field and name == "kind":
                return f"{name}: {_listed(field['enum'], 'or')}"
        return next((name for name in properties if name in form.get("required", ())), _ANY_NAME)

    def rows(self, schema: Schema, leaving_out: Sequence[str] | set[str] = ()) -> tuple[Row, ...]:
        """The fields of a mapping."""
        required = schema.get("required", ())
        return tuple(
            self.row(name, field, needed=name in required)
            for name, field in _fields(schema)
            # A constant is in the title.
            if name not in leaving_out and "const" not in field
        )

    def row(self, name: str, field: Schema, needed: bool = False) -> Row:
        """One field."""
        value = self.value(field)
        if needed:
            value += "; required"
        elif field.get("default") is not None:
            default = field["default"]
            shown = default if isinstance(default, str) else json.dumps(default)
            value += f"; default {shown}"
        return name, value, _one_line(field.get("description", ""))

    def value(self, field: Schema) -> str:
        """What a field takes."""
        kinds = list(dict.fromkeys(self._kinds(field)))
        # A list of what may also stand alone.
        lists = [kind for kind in kinds if kind.startswith("list of ")]
        single = [kind for kind in kinds if kind not in lists]
        if len(lists) == 1 and single and lists[0] == f"list of {_listed(single, 'or')}":
            return f"{_listed(single, 'or')}, or a list of these"
        return _listed(kinds, "or")

    def _kinds(self, field: Schema) -> Iterator[str]:
        options = field.get("anyOf") or field.get("oneOf")
        if options:
            forms = [option for option in options if "$ref" in option]
            alone = forms if len(forms) == 1 else []
            for option in options:
                if "$ref" not in option or alone:
                    yield from self._kinds(option)
            if forms and not alone:
                leads = [self.leading(self.definitions[_name(form["$ref"])]) for form in forms]
                alike = list(dict.fromkeys(lead.partition(":")[0] for lead in leads))
                yield f"mapping with {_listed(alike, 'or')}"
        elif "enum" in field or "const" in field:
            yield from map(str, field.get("enum", [field.get("const")]))
        elif field.get("type") != "null":
            yield self._container(field)

    def _container(self, field: Schema) -> str:
        """A mapping, a list, or a plain value."""
        if "$ref" in field:
            names = list(self.definitions[_name(field["$ref"])].get("properties", {}))
            return f"mapping ({', '.join(names)})" if len(names) <= _FEW else "mapping"
        if field.get("prefixItems"):
            parts = field["prefixItems"]
            return f"list of {len(parts)}, each {self.value(parts[0])}"
        if isinstance(field.get("items"), Mapping):
            return f"list of {self.value(field['items'])}"
        if isinstance(field.get("additionalProperties"), Mapping):
            return f"mapping from name to {self.value(field['additionalProperties'])}"
        kind = str(field.get("type", "anything"))
        return _WORDS.get(kind, kind)


def _fields(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """The fields of a mapping, what must be given first; those of any further name last."""
    required = schema.get("required", ())
    yield from sorted(
        schema.get("properties", {}).items(), key=lambda field: field[0] not in required
    )
    extra = schema.get("additionalProperties")
    if isinstance(extra, Mapping) and "properties" in schema:
        yield _ANY_NAME, extra


def _references(field: object) -> Iterator[str]:
    """The definitions a field leads to, whatever lists and unions they stand in."""
    if isinstance(field, Mapping):
        if "$ref" in field:
            yield _name(field["$ref"])
        for key in ("anyOf", "oneOf", "allOf", "items", "prefixItems", "additionalProperties"):
            yield from _references(field.get(key))
    elif isinstance(field, list):
        for part in field:
            yield from _references(part)


def _depth(place: str) -> int:
    return place.count(".")


def _name(reference: str) -> str:
    return reference.rpartition("/")[2]


def _listed(names: Sequence[Any], last: str) -> str:
    """`a, b or c`."""
    shown = [str(name) for name in names]
    return f"{', '.join(shown[:-1])} {last} {shown[-1]}" if len(shown) > 1 else "".join(shown)


def _one_line(text: str) -> str:
    """The first paragraph."""
    return " ".join(text.partition("\n\n")[0].split())
