"""How a spec names its directions, and what it is told when it names them wrongly."""

import re
import subprocess
import sys

import pytest
from pydantic import Field, ValidationError

from schemas.messages import first_complaint
from tasks.directions.parameters import KINDS, Directions, GradientParameters, RandomParameters
from tasks.model.checkpoint_parameters import CheckpointParameters
from tasks.registry import Parameters


class Spec(Parameters):
    directions: Directions = Field("filter", validate_default=True)


def items(directions):
    return Spec.model_validate({"directions": directions}).directions


def test_a_name_a_mapping_and_a_list_mean_the_same():
    one = RandomParameters(kind="filter")
    assert Spec().directions == (one,)
    assert items("filter") == items({"kind": "filter"}) == items(["filter"]) == (one,)
    assert items([{"kind": "random"}, "gradient"]) == (
        RandomParameters(kind="random"),
        GradientParameters(kind="gradient"),
    )


def test_what_is_written_out_is_read_again():
    given = [
        "hessian",
        {"kind": "checkpoint", "to": {"file": "other.pt", "key": "model"}, "parameters": "fc*"},
        {"kind": "pca", "checkpoints": ["a.pt", "b.pt"], "scale": -2, "orthogonal": True},
    ]
    spec = Spec.model_validate({"directions": given})
    assert Spec.model_validate(spec.model_dump(mode="json")) == spec
    assert spec.directions[1].to == CheckpointParameters(file="other.pt", key="model")
    assert spec.directions[1].parameters == ("fc*",)


def test_biases_move_in_plain_random_directions_and_not_in_normalised_ones():
    moving = {kind: items(kind)[0].vectors for kind in ("random", "filter", "layer", "parameter")}
    assert moving == {"random": True, "filter": False, "layer": False, "parameter": False}
    assert not items({"kind": "random", "ignore": "biasbn"})[0].vectors
    assert items({"kind": "filter", "ignore": "nothing"})[0].vectors


@pytest.mark.parametrize(
    ("directions", "said"),
    [
        ("filtre", "directions: got kind 'filtre'; expected one of .*; did you mean 'filter'"),
        (3, "directions: got 3; expected a kind's name, or a mapping"),
        ([], r"directions: got \[\]; expected 1 or more entries"),
        ({"count": 2}, "directions: got no kind; expected one of random"),
        ({"kind": ["filter"]}, r"directions: got kind \['filter'\]"),
        ({"kind": "filter", "cuont": 2}, "'filter' has no field 'cuont'; .*did you mean 'count'"),
        ({"kind": "gradient", "count": 2}, "'gradient' has no field 'count'"),
        ({"kind": "filter", "count": 0}, "count: got 0; expected 1 or more"),
        ({"kind": "filter", "scale": 0}, "scale: got 0; expected another number"),
        ({"kind": "filter", "scale": float("nan")}, "scale: got nan; expected a finite number"),
        ({"kind": "filter", "parameters": []}, r"parameters: got \[\]; expected 1 or more entries"),
        ({"kind": "hessian", "top": 0}, "got top 0 and bottom 0; give at least one"),
        ({"kind": "plane", "through": ["a.pt"]}, "through.1: is missing"),
        ({"kind": "pca"}, "checkpoints: is missing"),
        ({"kind": "random", "ignore": "biases"}, "ignore: got 'biases'; expected one of biasbn"),
    ],
)
def test_a_mistake_gets_one_line(directions, said):
    with pytest.raises(ValidationError) as error:
        items(directions)
    line = first_complaint(error.value, Spec)
    assert "\n" not in line
    assert re.search(said, line), line


def test_an_editor_is_told_of_every_kind():
    schema = Spec.model_json_schema()
    assert set(KINDS) == {
        "random", "filter", "layer", "parameter", "checkpoint", "plane", "pca", "hessian",
        "gradient", "file",
    }  # fmt: skip
    name, item, several = schema["properties"]["directions"]["anyOf"]
    assert "filter" in name["enum"]
    assert set(item["discriminator"]["mapping"]) == set(KINDS)
    assert several["type"] == "array"


def test_validating_directions_imports_no_torch():
    code = (
        "import sys, tasks.directions.parameters; assert 'torch' not in sys.modules; "
        "from tasks.directions import filter_normalised; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
