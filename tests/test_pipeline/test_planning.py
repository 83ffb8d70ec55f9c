"""Plans: what a scan will cost, refused when it does not fit, free however large the grid."""

import tracemalloc

import pytest

from pipeline import plan
from pipeline.planning import size
from schemas import PlanError, parse_spec

PATTERN = {
    "task": "pattern-theorem1",
    "parameters": {"target": {"function": "two-well"}, "network": {"hidden": [8, 8]}},
}
QUADRATIC = {"task": "quadratic"}
LOOP = {"engine": {"name": "loop", "sample_block": 64}}
"""What is chosen by timing may differ from one plan to the next."""
ENGINE = {"pattern-theorem1": LOOP, "quadratic": {}}


def spec(base, num, z=2, **changes):
    axes = {f"a{k}": {"start": 0, "stop": 1, "num": num} for k in range(z)}
    return parse_spec({**base, "axes": axes, **changes})


def test_a_plan_counts_points_shards_and_bytes():
    made = plan(spec(PATTERN, 100, metrics=["loss", "accuracy"], compute={"workers": 3}))
    told = made.as_json()
    assert told["points"] == 10_000
    assert told["workers"] == 3
    # two metrics on two splits, and three known fields, in float32
    assert told["bytes"] == 10_000 * (2 * 2 + 3) * 4
    assert told["shards"] == made.contents.n_shards
    assert told["seconds_per_point"] > 0
    assert told["projected_seconds"] == pytest.approx(told["seconds_per_point"] * 10_000 / 3)


def test_a_plan_is_frozen():
    made = plan(spec(QUADRATIC, 10))
    with pytest.raises(AttributeError):
        made.batch = 7


def test_a_trillion_points_are_planned_at_no_cost():
    plan(spec(QUADRATIC, 10))  # what is imported on first use is not counted
    tracemalloc.start()
    made = plan(spec(QUADRATIC, 1000, z=4))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made.contents.n_points == 10**12
    assert peak < 20e6  # a batch to calibrate on, not a grid


@pytest.mark.parametrize("base", [PATTERN, QUADRATIC])
def test_what_the_message_says_would_fit_does_fit(base):
    engine = ENGINE[base["task"]]
    generous = plan(spec(base, 64, chunks={}, compute={"batch": 4096, **engine}))
    memory = generous.memory
    limit = memory.total(8, generous.shard_points)
    tight = {"batch": 4096, "memory_per_worker": limit, **engine}
    with pytest.raises(PlanError, match=r"with compute\.batch: (\d+) it would fit") as error:
        plan(spec(base, 64, chunks={}, compute=tight))
    batch = int(str(error.value).split("compute.batch: ")[1].split()[0])
    assert batch >= 8
    plan(spec(base, 64, chunks={}, compute={**tight, "batch": batch}))
    with pytest.raises(PlanError):
        plan(spec(base, 64, chunks={}, compute={**tight, "batch": batch + 8}))


def test_a_shard_that_is_too_large_is_refused_with_one_that_fits():
    room = plan(spec(QUADRATIC, 64, chunks={})).memory.total(1, 100)
    with pytest.raises(PlanError, match=r"chunks of (\d+) along each of 2 axes") as error:
        plan(spec(QUADRATIC, 64, chunks={}, compute={"memory_per_worker": room}))
    side = int(str(error.value).split("chunks of ")[1].split()[0])
    small = {"memory_per_worker": room, "batch": 1}
    plan(spec(QUADRATIC, 64, chunks={"a0": side, "a1": side}, compute=small))


def test_a_model_that_does_not_fit_says_how_much_it_needs():
    with pytest.raises(PlanError, match=r"the model, data and activations alone need .* raise the"):
        plan(spec(PATTERN, 8, compute={"memory_per_worker": "1KiB"}))


def test_an_automatic_batch_fits_the_limit():
    limit = plan(spec(PATTERN, 64, compute=LOOP)).memory.total(40, 16)
    tight = {"memory_per_worker": limit, **LOOP}
    made = plan(spec(PATTERN, 64, compute=tight, chunks={"a0": 4, "a1": 4}))
    assert made.worker_bytes <= limit


@pytest.mark.parametrize(
    ("number", "text"),
    [(12, "12 B"), (2048, "2 KiB"), (3 * 2**30, "3 GiB"), (5 * 2**50, "5.12e+03 TiB")],
)
def test_sizes_are_readable(number, text):
    assert size(number) == text
