"""Starts and descents in a spec: what they are, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import SpecError, parse_spec
from schemas.layout import METRICS, DescentOutcome
from schemas.starts import Descent, StartAxis, descent_rules, start_generator

MINIMAL = {"task": "quadratic", "starts": {"num": 700}}
AXES = {"a": {"start": 0, "stop": 1, "num": 5}}


def spec(**changes):
    return parse_spec({**MINIMAL, **changes})


def test_starts_stand_in_the_place_of_axes():
    parsed = spec(descent={})
    assert parsed.axes == {}
    assert parsed.dimensions == {"start": StartAxis(700)}
    assert parsed.grid().shape == (700,)
    assert parsed.measured[0] == "loss"
    assert "outcome" in parsed.measured
    assert "end_parameters" not in parsed.measured
    assert spec(descent={"keep_parameters": True}).measured[-1] == "end_parameters"
    assert spec().measured == ("loss",)


@given(num=st.integers(1, 10**6))
def test_a_shard_of_descents_is_worth_its_overhead(num):
    (chunk,) = spec(starts={"num": num}, descent={}).chunk_shape()
    assert min(num, 256) <= chunk <= max(512, num // 64 + 1)


@pytest.mark.parametrize(
    "change",
    [
        {"starts": {"num": 701}},
        {"starts": {"num": 700, "scale": 2}},
        {"starts": {"num": 700, "distribution": "uniform"}},
        {"descent": {"tolerance": 1e-9}},
        {"descent": {"target": 0.0}},
        {"descent": {"then": {"method": "lm"}}},
        {"descent": None},
        {"seed": 1},
    ],
)
def test_what_changes_a_start_or_its_end_changes_the_fingerprint(change):
    assert spec(**{"descent": {}, **change}).fingerprint() != spec(descent={}).fingerprint()


def test_what_a_descent_does_not_use_is_not_in_its_identity():
    """Stores of other methods, begun before these fields were there, are continued."""
    first = {"method", "tolerance", "step", "target", "max_iterations", "keep_parameters"}
    for method in ("gd", "lbfgs", "lm", "newton"):
        assert set(spec(descent={"method": method}).identity()["descent"]) == first
    adam = {"method": "adam", "step": 1e-3, "decay_every": 5, "then": {"method": "lm"}}
    parsed = spec(descent=adam)
    assert set(parsed.identity()["descent"]) == first | {"decay_every", "then"}
    assert parse_spec(parsed.model_dump(mode="json")) == parsed


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"axes": AXES}, "expected axes or starts, and both are given"),
        ({"starts": None}, "expected axes or starts, and neither is"),
        ({"starts": {"num": 0}}, "starts.num: got 0; expected 1 or more"),
        ({"starts": {}}, "starts.num: is missing"),
        ({"starts": {"num": 3, "scale": 0}}, "starts.scale: got 0; expected more than 0"),
        ({"starts": {"num": 3, "distribution": "gauss"}}, "expected one of auto, normal, uniform"),
        ({"starts": 100}, "starts: got 100; expected a mapping"),
        ({"chunks": {"start": 701}}, "chunks.start: 701 exceeds the axis's 700 points"),
        ({"chunks": {"a": 7}}, "chunks.a: no such axis; expected one of start"),
        ({"chunks": {"start": 8}, "shards": {"start": 20}}, "use 24"),
        (
            {"descent": {"method": "sgd"}},
            "descent.method: got 'sgd'; expected one of adam, gd, lbfgs, lm, newton",
        ),
        ({"descent": {"method": "adam"}}, "descent.step: is missing; expected the learning rate"),
        ({"descent": {"method": "adam", "step": 0}}, "descent.step: got 0; expected more than 0"),
        (
            {"descent": {"method": "gd", "decay_every": 5}},
            "descent.decay_every: got 5 with method gd; expected it with adam alone; use method: "
            "adam or leave decay_every out",
        ),
        (
            {"descent": {"method": "adam", "step": 1, "decay_every": 0}},
            "descent.decay_every: got 0; expected 1 or more",
        ),
        ({"descent": {"then": "lm"}}, "descent.then: got 'lm'; expected a mapping"),
        ({"descent": {"then": {}}}, "descent.then.method: is missing"),
        (
            {"descent": {"then": {"method": "adam"}}},
            "descent.then.method: got 'adam'; expected one of gd, lbfgs, lm, newton",
        ),
        ({"descent": {"tolerance": 0}}, "descent.tolerance: got 0; expected more than 0"),
        ({"descent": {"tol": 1}}, "descent.tol: unknown field"),
        ({"descent": {"method": "gd", "step": 0}}, "descent.step: got 0; expected more than 0"),
        (
            {"descent": {"step": 0.1}},
            "descent.step: got 0.1 with method lbfgs; expected a fixed step with gd or adam alone; "
            "use method: gd or leave step out",
        ),
        ({"descent": {"target": "low"}}, "descent.target: got 'low'; expected a number"),
        ({"descent": {"target": float("-inf")}}, "descent.target: got -inf; expected a finite"),
        ({"metrics": ["loss", "end_loss"]}, "metrics.1: got 'end_loss'"),
        ({"starts": None, "axes": {"start": AXES["a"]}}, "axis name 'start' is reserved"),
    ],
)
def test_bad_input_gets_one_clear_line(changes, complaint):
    with pytest.raises(SpecError) as error:
        spec(**changes)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@settings(deadline=None)
@given(seed=st.integers(0, 2**62), number=st.integers(0, 10**9))
def test_a_start_follows_from_its_seed_and_number_alone(seed, number):
    first, again, next_one, other = (
        start_generator(*of).random(4)
        for of in ((seed, number), (seed, number), (seed, number + 1), (seed + 1, number))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, next_one)
    assert not np.array_equal(first, other)


def test_the_rules_name_the_numbers_they_go_by():
    told = descent_rules(Descent(method="newton", tolerance=1e-3, max_iterations=7))
    assert (told["method"], told["tolerance"], told["max_iterations"]) == ("newton", 1e-3, 7)
    assert "below -0.01 max" in str(told["saddle_if"])
    assert "1e-06" in str(told["global_if"])
    assert "below -1e-09 max" in str(descent_rules(Descent(tolerance=1e-12))["saddle_if"])
    assert not {"step", "begins_again_if", "target", "low_enough_if"} & set(told)
    fixed = descent_rules(Descent(method="gd", step=0.1, target=1e-3))
    assert (fixed["step"], fixed["target"]) == (0.1, 1e-3)
    assert "above 10000" in str(fixed["begins_again_if"])
    assert "at most the target" in str(fixed["low_enough_if"])
    assert str(fixed["not_converged_if"]).endswith("and the loss is above the target")
    two = {"method": "adam", "step": 0.1, "decay_every": 9, "then": {"method": "lm"}}
    told = descent_rules(Descent(**two))
    assert (told["method"], told["step"], told["decay_every"]) == ("adam, then lm", 0.1, 9)
    assert (told["betas"], told["epsilon"], told["max_iterations_then"]) == (
        "0.9, 0.999",
        1e-8,
        1000,
    )
    assert "begins_again_if" not in told
    flags = METRICS["outcome"].flags
    assert flags[DescentOutcome.LOW_ENOUGH] == "low_enough"
    assert flags[DescentOutcome.NOT_CONVERGED] == "not_converged"


@pytest.mark.parametrize(
    ("compute", "given", "tolerance"),
    [
        ({}, {}, 1e-4),
        ({"dtype": "bfloat16"}, {}, 1e-4),
        ({"dtype": "float64"}, {}, 1e-8),
        ({}, {"tolerance": 1e-8}, 1e-8),
    ],
)
def test_a_descent_goes_as_far_as_its_dtype_can(compute, given, tolerance):
    raw = {"task": "quadratic", "starts": {"num": 3}, "descent": given, "compute": compute}
    assert parse_spec(raw).descent.tolerance == tolerance
