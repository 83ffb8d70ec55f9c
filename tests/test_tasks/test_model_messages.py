"""What is said of mistakes in the parameters of the task `model`: paths as they were written."""

import pytest

from schemas import SpecError
from tasks import TASKS

GOOD = {"model": "nets.py:Net", "data": "digits"}
FILE = "unknown field; expected one of file, key; did you mean 'file'?"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"directions": {"kind": "filter", "count": 0}}, "directions.0.count: got 0; expected 1 or "
         "more"),
        ({"directions": ["filter", {"kind": "checkpoint", "to": {"fil": "b.pt"}}]},
         f"directions.1.to.fil: {FILE}"),
        ({"directions": {"kind": "plane", "through": ["b.pt", 3]}},
         "directions.0.through.1: got 3; expected text"),
        ({"directions": {"kind": "plane", "through": ["b.pt", "c.pt", "d.pt"]}},
         "directions.0.through: got ['b.pt', 'c.pt', 'd.pt']; expected at most 2 entries"),
        ({"directions": [{"kind": "filter", "count": 0}, {"kind": "hessian", "top": -1}]},
         "directions.0.count: got 0; expected 1 or more (and 1 more field wrong)"),
        ({"path": {"to": {"fil": "b.pt"}}}, f"path.to.fil: {FILE}"),
        ({"path": {"kind": "bezier"}}, "path.to: is missing; add it"),
        ({"path": {"to": "b.pt", "training": {"optimiser": "adm"}}}, "path.training.optimiser: got "
         "'adm'; expected one of adam, sgd; did you mean 'adam'?"),
        ({"path": {"to": "b.pt"}, "directions": "filter"},
         "path: stands beside directions; keep one of the two"),
        ({"data": {"name": "digits", "normalise": {"mean": 0, "sd": 1}}}, "data.normalise.sd: "
         "unknown field; expected one of mean, std; did you mean 'std'?"),
        ({"data": {"int": {"file": 3}}}, "data.int.file: got 3; expected text"),
        ({"data": {"train": {"file": "a.npz", "inptus": "x"}}}, "data.train.inptus: unknown field; "
         "expected one of file, inputs, targets; did you mean 'inputs'?"),
        ({"batchnorm": "stord"}, "batchnorm.policy: got 'stord'; expected one of stored, "
         "interpolated, reestimated; did you mean 'stored'?"),
        ({"batchnorm": {"policy": "reestimated", "batch": 1}},
         "batchnorm.batch: got 1; expected 2 or more"),
        ({"trajectories": {"str": [3]}}, "trajectories.str.0: got 3; expected text"),
        ({"trajectories": {"sgd": ["a.pt", {"fil": "b.pt"}]}}, f"trajectories.sgd.1.fil: {FILE}"),
        ({"checkpoint": {"fil": "a.pt"}}, f"checkpoint.fil: {FILE}"),
        ({"checkpoint": {"file": "a.pt", "key": 3}}, "checkpoint.key: got 3; expected text"),
        ({"output": 1.5}, "output: got 1.5; expected text or a whole number"),
        ({"model": 3, "align": "x"}, "align: got 'x'; expected true or false (and 1 more field "
         "wrong)"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_by_the_path_that_was_written(wrong, said):
    with pytest.raises(SpecError) as error:
        TASKS["model"].parse(GOOD | wrong)
    assert str(error.value) == f"parameters.{said}"


def test_what_is_right_is_read():
    assert TASKS["model"].parse(GOOD).model == "nets.py:Net"
