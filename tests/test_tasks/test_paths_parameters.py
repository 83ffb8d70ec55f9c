"""A path's settings: what is refused, and what the defaults stand for."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from schemas.messages import first_complaint
from tasks.paths.parameters import BendTraining, PathParameters


def complaint(**raw):
    with pytest.raises(ValidationError) as caught:
        PathParameters.model_validate(raw)
    return first_complaint(caught.value, PathParameters)


def test_reading_settings_imports_no_torch():
    code = "import sys, tasks.paths.parameters; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_filled_in_spec_reads_back_as_the_same():
    for raw in ({}, {"kind": "linear"}, {"kind": "polygon", "training": {"steps": 5}}):
        settings = PathParameters.model_validate(raw)
        assert PathParameters.model_validate(settings.model_dump(mode="json")) == settings


def test_only_a_linear_path_has_no_inner_points():
    assert PathParameters(kind="linear").inner_points == 0
    assert PathParameters().inner_points == 1
    assert PathParameters(kind="polygon", bends=3).inner_points == 3


@pytest.mark.parametrize(("name", "value"), [("bends", 2), ("training", {"epochs": 3})])
def test_a_linear_path_with_something_to_train_is_refused(name, value):
    said = complaint(kind="linear", **{name: value})
    assert said.startswith(f"got {name} for a linear path")
    assert "kind: polygon or bezier" in said
    assert PathParameters.model_validate({"kind": "polygon", name: value})


def test_wrong_settings_are_refused_in_one_line():
    assert "did you mean 'bezier'?" in complaint(kind="bezer")
    assert complaint(bends=0) == "bends: got 0; expected 1 or more"
    assert "did you mean 'epochs'?" in complaint(training={"epoch": 3})
    assert complaint(training={"learning_rate": float("inf")}).startswith("training.learning_rate")
    both = complaint(training={"epochs": 3, "steps": 4})
    assert both == "training: got epochs 3 and steps 4; give one of the two"
    momentum = complaint(training={"momentum": 0.5})
    assert momentum.startswith("training: got momentum 0.5 for adam")
    assert BendTraining(optimiser="sgd", momentum=0.5).sgd_momentum == 0.5


def test_epochs_count_full_batches_and_steps_count_themselves():
    assert BendTraining(epochs=3, batch_size=10).total_steps(39) == 9
    assert BendTraining(epochs=3, batch_size=10).total_steps(4) == 3
    assert BendTraining(steps=7, batch_size=10).total_steps(39) == 7
    assert BendTraining(epochs=0).total_steps(39) == 0
