"""`cartograd tasks NAME`: every field once for all forms that share it, in a user's words."""

import json
import os
import pty
import re
import subprocess
import sys
from typing import Annotated, Literal

import pytest
from pydantic import Field

from pipeline.cli import main
from pipeline.cli.parameters import sections_of
from tasks import TASKS
from tasks.registry import Parameters

MODEL = TASKS["model"].parameter_model().model_json_schema()


class Inner(Parameters):
    """A mapping within."""

    depth: int = Field(3, description="How deep.")


class Circle(Parameters):
    """Round."""

    kind: Literal["circle"]
    radius: float
    colour: str = Field("red", description="Of the line.")
    inner: Inner | None = None


class Square(Parameters):
    """Not round.

    Nothing of this is printed.
    """

    kind: Literal["square", "box"]
    colour: str = Field("red", description="Of the line.")


class Dot(Parameters):
    """Small."""

    kind: Literal["dot"]
    colour: str = Field("red", description="Of the line.")


class Drawing(Parameters):
    """A drawing."""

    note: str | None = None
    shape: Annotated[Circle | Square | Dot, Field(discriminator="kind")]
    also: tuple[Inner, ...] = ()
    sizes: int | tuple[int, ...] = 1


def sections(model):
    return {section.title: section for section in sections_of(model.model_json_schema())}


def printed(arguments, columns):
    """What the command prints on a terminal of that width, without its colours."""
    primary, secondary = pty.openpty()
    command = [sys.executable, "-m", "pipeline.cli", *arguments]
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    with subprocess.Popen(command, stdout=secondary, env=environment) as process:
        os.close(secondary)
        text = b""
        while True:
            try:
                part = os.read(primary, 65536)
            except OSError:
                break
            if not part:
                break
            text += part
        process.wait()
    os.close(primary)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", text.decode()).replace("\r", "")


def test_each_form_has_a_section_and_what_all_share_has_one():
    found = sections(Drawing)
    assert list(found) == [
        "Parameters",
        "shape, with kind: circle",
        "shape, with kind: square or box",
        "shape, with kind: dot",
        "shape, in every form",
        "also and shape.inner",
    ]
    assert [row[0] for row in found["shape, with kind: circle"].rows] == ["radius", "inner"]
    assert found["shape, in every form"].rows == (("colour", "text; default red", "Of the line."),)
    assert found["shape, with kind: square or box"].meaning == "Not round."


def test_what_must_be_given_comes_first_and_types_are_words():
    rows = sections(Drawing)["Parameters"].rows
    assert rows[0][0] == "shape"
    values = {name: value for name, value, _ in rows}
    assert values["shape"] == "mapping with kind; required"
    assert values["sizes"] == "whole number, or a list of these; default 1"
    assert values["note"] == "text"
    assert values["also"] == "list of mapping (depth); default []"


def test_no_field_of_any_task_is_left_out():
    def told(schema):
        found = sections_of(schema)
        # What tells the forms apart is in the title of each.
        forms = {word for section in found for word in re.findall(r", with (\w+): ", section.title)}
        return forms | {row[0] for section in found for row in section.rows}

    for task in TASKS.values():
        schema = task.parameter_model().model_json_schema()
        every = [schema, *schema.get("$defs", {}).values()]
        wanted = {name for part in every for name in part.get("properties", {})}
        assert wanted <= told(schema)
    assert "depth" not in told(MODEL)


def test_no_class_name_shows():
    for task in TASKS.values():
        schema = task.parameter_model().model_json_schema()
        names = [schema["title"], *schema.get("$defs", {})]
        text = repr(sections_of(schema))
        assert not [name for name in names if re.search(rf"\b{name}\b", text)]


@pytest.mark.parametrize("columns", [80, 120])
def test_lines_fit_the_terminal_and_words_are_whole(columns):
    text = printed(["tasks", "model"], columns)
    lines = text.splitlines()[2:]
    assert columns - 10 < max(map(len, lines)) <= columns
    assert "data, with torchvision" in lines
    # A narrow column would cut them.
    for word in ("test_fraction", "learning_rate", "interpolated", "arXiv:2209.04836"):
        assert word in text


def test_the_json_is_the_schema_itself(capsys):
    with pytest.raises(SystemExit):
        main(["tasks", "model", "--json"])
    assert json.loads(capsys.readouterr().out)["parameters"] == json.loads(json.dumps(MODEL))
