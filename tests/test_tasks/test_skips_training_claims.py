"""Claims, tables and figures of trained networks: trees where each must say yes, and where no."""

import json
import math

import numpy as np
import pytest
import xarray as xr

from schemas import Outcome
from schemas.scan import parse_spec
from tasks import TASKS, normalised
from tasks.skips.training import measures
from tasks.skips.training import scans as scans_of
from tasks.skips.training.claims import training_claims
from tasks.skips.training.figures import training_figures
from tasks.skips.training.published import PUBLISHED
from tasks.skips.training.scans import (
    DEEP_PLAIN,
    DEEP_SKIP,
    FEW,
    FULL,
    QUICK,
    SHALLOW,
    SHUFFLED,
    arm_name,
    training_scans,
)
from tasks.skips.training.tables import training_tables

SIGMOID, SOFTPLUS, PLAIN, SKIP, RANDOM = (
    scans_of.SIGMOID,
    scans_of.SOFTPLUS,
    scans_of.PLAIN,
    scans_of.SKIP,
    scans_of.RANDOM,
)
SPECS = training_scans(FULL)
AS_EXPECTED = {
    arm_name(SIGMOID, PLAIN): (0.1, 0.1),
    arm_name(SIGMOID, SKIP): (1.0, 0.9),
    arm_name(SIGMOID, RANDOM): (1.0, 0.84),
    arm_name(SOFTPLUS, PLAIN): (1.0, 0.905),
    arm_name(SOFTPLUS, SKIP): (1.0, 0.91),
    arm_name(SOFTPLUS, RANDOM): (1.0, 0.87),
    SHUFFLED: (1.0, 0.1),
    FEW: (0.7, 0.65),
    DEEP_SKIP: (1.0, 0.85),
    DEEP_PLAIN: (0.11, 0.1),
    SHALLOW: (1.0, 0.85),
}
"""Accuracies on train and test after the training."""


def tree(scan, train, test, **changed):
    """A scan whose accuracies rise to the ends (R,) at the last but one checkpoint."""
    spec = SPECS[scan]
    parameters = TASKS["skip-training"].parse(spec["parameters"])
    train, test = np.broadcast_arrays(np.atleast_1d(train), np.atleast_1d(test))
    part = np.minimum(np.linspace(0, 1, 6) / 0.8, 1.0)
    rows = np.stack([train, test])[:, :, None] * part
    data = xr.Dataset(
        {"accuracy": (("split", "replicate", "t"), rows.astype(np.float32))},
        {"split": ["train", "test"], "t": np.linspace(0, 1, 6)},
    )
    if len(train) == 1:
        data = data.isel(replicate=0)
    facts = {
        **parameters.model_dump(mode="json"),
        "skips": parameters.units,
        "hidden_layers": parameters.hidden_layers,
        "parameters": 123,
        "learning_rate": parameters.learning_rates[0],
        "checkpoints": np.linspace(0, parameters.epochs, 6).tolist(),
        **changed,
    }
    return xr.DataTree(data.assign_attrs(facts=json.dumps([facts] * len(train))))


def trees(**changes):
    """All scans as expected, but for those named, with underscores for hyphens."""
    found = {scan: tree(scan, *ends) for scan, ends in AS_EXPECTED.items()}
    for scan, ends in changes.items():
        name = scan.replace("_", "-")
        accuracies, facts = ends if isinstance(ends[-1], dict) else (ends, {})
        found[name] = tree(name, *accuracies, **facts)
    return found


def verdicts(scans, sizes=FULL):
    return {claim.name: claim.judge(scans) for claim in training_claims(sizes)}


def test_every_claim_is_as_expected_where_all_is_as_published():
    found = verdicts(trees())
    assert len(found) == 19
    assert [name for name, verdict in found.items() if not verdict.as_expected] == []
    controls = [name for name, verdict in found.items() if verdict.control]
    assert len(controls) == 8


@pytest.mark.parametrize(
    ("change", "refuted"),
    [
        ({"trained_sigmoid_plain": (0.1, 0.16)}, "sigmoid-plain-at-chance"),
        ({"trained_sigmoid_plain": (0.4, 0.1)}, "sigmoid-plain-at-chance"),
        ({"trained_sigmoid_plain": ([0.1, 0.1, 0.2], 0.1)}, "sigmoid-plain-at-chance"),
        ({"trained_sigmoid_skip": (0.998, 0.9)}, "sigmoid-skip-fits"),
        ({"trained_sigmoid_skip": ([1.0, 0.99], 0.9)}, "sigmoid-skip-fits"),
        ({"trained_softplus_random_features": (0.99, 0.8)}, "softplus-random-features-fits"),
        ({"trained_softplus_skip": (1.0, [0.9, 0.79])}, "softplus-skip-generalises"),
        ({"trained_softplus_random_features": (1.0, 0.905)}, "softplus-random-features-overfits"),
        ({"trained_sigmoid_skip": (1.0, 0.849)}, "sigmoid-random-features-overfits"),
        ({"deep_skip": (0.999, 0.9)}, "deep-skip-without-error"),
        ({"deep_plain": (0.51, 0.5)}, "deep-plain-fails"),
    ],
)
def test_each_claim_is_refuted_where_it_is_wrong(change, refuted):
    found = verdicts(trees(**change))
    assert found[refuted].verdict == Outcome.REFUTED
    assert not found[refuted].as_expected


@pytest.mark.parametrize(
    ("change", "control"),
    [
        ({"trained_softplus_plain": (0.1, 0.1)}, "softplus-plain-at-chance"),
        ({"trained_sigmoid_skip": (0.1, 0.1)}, "sigmoid-skip-at-chance"),
        ({"trained_few_features": (1.0, 0.8)}, "few-features-fits"),
        ({"trained_sigmoid_plain": (1.0, 0.8)}, "sigmoid-plain-fits"),
        ({"trained_shuffled": (1.0, 0.9)}, "trained-shuffled"),
        ({"trained_softplus_skip": (1.0, 0.8)}, "softplus-skip-overfits"),
        ({"deep_plain": (1.0, 0.8)}, "deep-plain-fails"),
        ({"shallow_plain": (0.3, 0.2)}, "shallow-plain-fails"),
    ],
)
def test_a_control_that_is_not_refuted_is_noticed(change, control):
    assert not verdicts(trees(**change))[control].as_expected


@pytest.mark.parametrize(
    ("change", "claim"),
    [
        ({"trained_sigmoid_plain": ((0.1, 0.1), {"hidden_layers": 4})}, "sigmoid-plain-at-chance"),
        (
            {"trained_sigmoid_plain": ((0.1, 0.1), {"activation": "x"})},
            "sigmoid-plain-at-chance",
        ),
        ({"trained_sigmoid_skip": ((1.0, 0.9), {"skips": 999})}, "sigmoid-skip-fits"),
        ({"trained_sigmoid_skip": ((1.0, 0.9), {"labels": "x"})}, "sigmoid-skip-generalises"),
        (
            {"trained_sigmoid_random_features": ((1.0, 0.8), {"connections": "skip"})},
            "sigmoid-random-features-overfits",
        ),
        ({"deep_skip": ((1.0, 0.8), {"samples": 1001})}, "deep-skip-without-error"),
        ({"deep_plain": ((0.1, 0.1), {"hidden_layers": 149})}, "deep-plain-fails"),
    ],
)
def test_nothing_is_said_where_the_hypothesis_is_not_met(change, claim):
    assert verdicts(trees(**change))[claim].verdict == Outcome.INCONCLUSIVE


def test_gains_are_means_over_seeds_of_pairs():
    found = trees(
        trained_sigmoid_skip=(1.0, [0.9, 0.8, 0.7]),
        trained_sigmoid_random_features=(1.0, [0.8, 0.8, 0.74]),
    )
    gain = measures.gain(arm_name(SIGMOID, SKIP), arm_name(SIGMOID, RANDOM))
    assert gain(found) == pytest.approx(0.02, abs=1e-6)


def test_the_first_checkpoint_without_error_of_the_slowest_seed_counts():
    statistic = measures.epochs_to_zero_error(DEEP_SKIP)
    assert statistic(trees()) == pytest.approx(160)
    assert statistic(trees(deep_skip=([1.0, 1.0], 0.9))) == pytest.approx(160)
    assert statistic(trees(deep_skip=([1.0, 0.999], 0.9))) == math.inf
    # One error in a thousand is one.
    assert statistic(trees(deep_skip=((0.999, 0.9), {"samples": 400}))) == pytest.approx(160)
    late = {"checkpoints": [0, 60, 120, 180, 201, 250]}
    verdict = verdicts(trees(deep_skip=((1.0, 0.9), late)))["deep-skip-without-error"]
    assert (verdict.value, verdict.verdict) == (201, Outcome.REFUTED)


def test_tables_show_means_and_deviations_beside_the_published():
    found = trees(trained_sigmoid_skip=(1.0, [0.9, 0.8]))
    shown = training_tables()
    rows = {tuple(row[:2]): row for row in shown["trained"].rows(found)}
    row = rows[SIGMOID, SKIP]
    assert len(row) == len(shown["trained"].columns) == 7 + len(PUBLISHED)
    assert row[2:7] == pytest.approx([2, 100, 0, 85, 50**0.5], abs=1e-4)
    assert row[7:9] == ["98.40 ± 0.07", "72.51 ± 0.35"]
    assert rows[SOFTPLUS, PLAIN][4] is None
    assert rows[SIGMOID, RANDOM][7:9] == [None, "62.81 ± 0.39"]
    trainings = {row[0]: row for row in shown["trainings"].rows(found)}
    assert set(trainings) == set(SPECS)
    assert all(len(row) == len(shown["trainings"].columns) for row in trainings.values())
    assert trainings[DEEP_SKIP][-1] == 160
    assert trainings[DEEP_PLAIN][-1] is None


def test_figures_show_errors_by_epoch_and_the_spread_of_seeds():
    shown = training_figures(FULL)
    errors = shown["deep-training"].series(trees())
    assert [one.label for one in errors] == ["with skip units", "plain", "plain, shallow"]
    assert errors[0].x[-1] == 200
    assert errors[1].x[-1] == 1000
    assert errors[0].y == pytest.approx([100, 75, 50, 25, 0, 0], abs=1e-4)
    curves = shown["training-curves"].series(trees(trained_sigmoid_skip=(1.0, [0.9, 0.7])))
    skip = next(one for one in curves if one.label == "sigmoid, skip")
    assert (skip.low[-1], skip.y[-1], skip.high[-1]) == pytest.approx((70, 80, 90), abs=1e-4)


@pytest.mark.parametrize("sizes", [FULL, QUICK])
def test_scans_are_at_the_checkpoints_and_paired(sizes):
    found = {
        name: normalised(parse_spec(raw), TASKS) for name, raw in training_scans(sizes).items()
    }
    assert set(found) == set(AS_EXPECTED)
    assert {claim.figure for claim in training_claims(sizes)} <= {
        *training_tables(),
        *training_figures(sizes),
    }
    for spec in found.values():
        assert spec.axes["t"].num == spec.parameters["checkpoints"]
        assert spec.compute.workers == sizes.workers
    arms = {
        name: found[name] for name in found if name.startswith("trained-s") and name != SHUFFLED
    }
    assert len({spec.seed for spec in arms.values()}) == 1
    assert found[DEEP_SKIP].seed == found[DEEP_PLAIN].seed
    seeds = {spec.seed for spec in found.values()}
    assert len(seeds) == 5
    shared = ("samples", "side", "layers", "width", "data", "batch")
    assert len({tuple(spec.parameters[key] for key in shared) for spec in arms.values()}) == 1
