"""The public door is complete, the packages are this checkout's, and start-up imports little."""

import importlib
import inspect
import json
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import jsonschema
import pytest
import yaml

import pipeline
from pipeline.cli import main
from schemas import load_spec
from tasks import TASKS, normalised, spec_schema

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))


@pytest.mark.parametrize("name", ["schemas", "tasks", "pipeline"])
def test_a_package_is_this_checkouts_and_nobody_elses(name):
    package = importlib.import_module(name)
    assert Path(package.__file__).parent == ROOT / name
    owners = packages_distributions().get(name, [])
    assert set(owners) <= {"cartograd"}
    assert distribution("cartograd").metadata["Name"] == "cartograd"


def test_the_door_is_complete_and_documented():
    assert set(dir(pipeline)) == set(pipeline.__all__)
    for name in pipeline.__all__:
        function = getattr(pipeline, name)
        assert inspect.isfunction(function)
        assert function.__name__ == name
        assert inspect.getdoc(function)
        assert function.__annotations__["return"]
    with pytest.raises(AttributeError, match="no attribute 'scann'"):
        pipeline.scann  # noqa: B018


def test_no_public_function_shadows_a_module():
    modules = {path.stem for path in (ROOT / "pipeline").iterdir()}
    assert not modules & set(pipeline.__all__)


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [(["--help"], {"torch", "ray", "zarr", "numpy"}), (["tasks"], {"torch", "ray", "zarr"})],
)
def test_what_needs_little_imports_little(arguments, heavy):
    code = (
        "import sys\nfrom pipeline.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid_also_for_an_editor(path):
    spec = normalised(load_spec(path), TASKS)
    assert spec.spanning(dict.fromkeys(spec.rising, 1.0)).grid().n_points > 0
    schema = spec_schema(TASKS)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(path.read_text()), schema)


def test_the_schema_refuses_what_the_parser_refuses():
    schema = spec_schema(TASKS)
    raw = yaml.safe_load((ROOT / "examples" / "pattern.yaml").read_text())
    for wrong in (
        {**raw, "axs": {}},
        {**raw, "task": "quadratik"},
        {**raw, "parameters": {"target": {"functions": "two-well"}}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


@pytest.mark.parametrize(
    "arguments",
    [["schema"], ["tasks", "--json"], ["tasks", "pattern-theorem1", "--json"], ["study", "--json"],
     ["plan", str(ROOT / "examples" / "quadratic.yaml"), "--json"]],
)  # fmt: skip
def test_json_is_one_document_and_nothing_else(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("arguments", [["tasks"], ["tasks", "pattern-theorem2"], ["study"]])
def test_tables_name_what_there_is(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert "pattern" in out
