"""Complaints in one line: the path that was written, what was expected, how many others."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from schemas.messages import first_complaint
from schemas.scan import ScanSpec

SPEC = {"task": "quadratic", "axes": {"a": {"start": 0, "stop": 1, "num": 3}}}


def complaint(model, raw):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(raw)
    line = first_complaint(caught.value, model)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        # The names of the kinds of axes are names that an axis may have.
        ({"axes": {"linear": {"start": 0, "stop": "x", "num": 3}}}, "axes.linear.stop: got 'x'"),
        ({"axes": {"values": {"values": ["x"]}}}, "axes.values.values.0: got 'x'; expected a num"),
        ({"axes": {"rising": {"rise": 1, "num": 3}}}, "axes.rising.rise: got 1; expected more "),
        ({"axes": {3: {"values": [1]}}}, "axes.3: got 3; expected text"),
        ({"chunks": {"int": 0}}, "chunks.int: got 0; expected 1 or more"),
        ({"compute": {"engine": "fast"}}, "compute.engine: got 'fast'; expected a mapping or auto"),
        ({"compute": {"engine": {"nme": 1}}}, "compute.engine.nme: unknown field; expected one of"),
        (
            {"compute": {"engine": {"name": "loop", "outer": [0, -1]}}},
            "compute.engine.outer.1: got -1; expected 0 or more",
        ),
    ],
)
def test_a_path_holds_what_was_written_and_no_names_of_types(changes, said):
    assert complaint(ScanSpec, {**SPEC, **changes}).startswith(said)


def test_an_unknown_field_names_those_of_the_form_that_was_meant():
    line = complaint(ScanSpec, {**SPEC, "axes": {"a": {"values": [1], "vals": 3}}})
    assert line == "axes.a.vals: unknown field; expected one of values; did you mean 'values'?"
    line = complaint(ScanSpec, {**SPEC, "axes": {"a": {"rise": 3, "nmu": 5, "num": 5}}})
    assert "expected one of num, rise; did you mean 'num'?" in line


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    number: int
    text: str = ""


class Nested(BaseModel):
    """A model that holds itself, and its definition therefore apart."""

    value: int = 0
    inner: dict[str, "Nested"] | int | None = None


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    several: tuple[Inner, ...] = Field((), min_length=1)
    either: float | tuple[float, ...] | None = None
    word: Literal["one", "two"] | tuple[int, ...] = "one"
    nested: Nested = Nested()
    made: Annotated[Inner | str, BeforeValidator(lambda raw: Inner.model_validate(raw))] = ""


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        # One mistake: the key that was meant, and the one that is missing for it.
        ({"made": {"numbr": 1}}, "made.numbr: unknown field; expected one of number, text; did you "
         "mean 'number'?"),
        # Two: the names have nothing in common.
        ({"made": {"xyz": 1}}, "made.xyz: unknown field; expected one of number, text (and 1 more "
         "field wrong)"),
        # A list whose entries are wrong is not called too short as well.
        ({"several": [{"number": "x"}]}, "several.0.number: got 'x'; expected a whole number"),
        ({"several": [{"number": "x"}, {"number": 1}, {"number": "y", "text": 3}]},
         "several.0.number: got 'x'; expected a whole number (and 2 more fields wrong)"),
        ({"several": [], "either": "x"}, "several: got []; expected 1 or more entries (and 1 more "
         "field wrong)"),
        # Every form of a union complains of one and the same mistake.
        ({"either": "x"}, "either: got 'x'; expected a number or a list"),
        ({"either": [1, "x"]}, "either.1: got 'x'; expected a number"),
        ({"word": "on"}, "word: got 'on'; expected one of one, two or a list; did you mean "
         "'one'?"),
        ({"nested": {"inner": {"int": {"inner": {"a": {"value": "x"}}}}}},
         "nested.inner.int.inner.a.value: got 'x'; expected a whole number"),
    ],
)  # fmt: skip
def test_each_mistake_counts_once(raw, said):
    assert complaint(Outer, raw) == said


def test_a_value_of_several_lines_is_shown_in_one():
    class Layers:
        def __repr__(self):
            return "Layers(\n  (0): one\n)"

    line = complaint(Outer, {"several": Layers()})
    assert line == "several: got Layers( (0): one ); expected a list"


def test_a_field_whose_name_begins_like_the_first_ones_counts():
    class Alike(BaseModel):
        ab: int
        a: int

    assert complaint(Alike, {"ab": "x", "a": "x"}).endswith("(and 1 more field wrong)")
