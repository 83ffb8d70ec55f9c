"""Every claim says `holds` on what fulfils it and `refuted` on what does not."""

import numpy as np
import pytest
import xarray as xr

from schemas import Outcome, parse_spec
from tasks.patterns import claims
from tasks.patterns.study import patterns_study


def tree(**values):
    analysis = {
        "target_range": 1.0,
        "gap_to_section_floor": 0.01,
        "gap_to_global_minimum": 0.02,
        "fidelity_sup_after_constant": ("split", [0.01, 0.01]),
        "fidelity_rmse_after_constant": ("split", [0.005, 0.005]),
        "fidelity_mae": ("split", [0.01, 3.0]),
        "transfer_sup": ("compared", [0.0]),
        "transfer_rms": ("compared", [0.0]),
        "transfer_prediction_error": ("compared", [1e-7]),
    }
    descent = {"descent_loss_start": 0.05, "descent_loss_end": 0.0}
    for name, value in values.items():
        group = descent if name in descent else analysis
        group[name] = (group[name][0], value) if isinstance(group[name], tuple) else value
    coordinates = {"split": ["train", "other"], "compared": ["other"]}
    return xr.DataTree.from_dict(
        {"/analysis": xr.Dataset(analysis, coords=coordinates), "/descent": xr.Dataset(descent)}
    )


CASES = [
    (claims.contains_smooth("s", "T"), {}, {"fidelity_sup_after_constant": [0.03, 0.0]}),
    (
        claims.contains_on_average("s", "T", 0.08),
        {},
        {"fidelity_rmse_after_constant": [0.09, 0.0]},
    ),
    (claims.transfers_as_predicted("s", "other"), {}, {"transfer_prediction_error": [2e-5]}),
    (claims.transfers_plainly("s", "other", "others"), {}, {"transfer_sup": [2e-5]}),
    (claims.respects_floor("s", "mse"), {}, {"gap_to_section_floor": -1e-5}),
    (claims.contains_exactly("s"), {}, {"fidelity_mae": [0.06, 0.0]}),
    (claims.near_global("s"), {}, {"gap_to_global_minimum": 0.2}),
    (claims.little_to_gain("s"), {}, {"descent_loss_start": 0.2}),
    (claims.unlike_elsewhere("s", "other", "others"), {"transfer_rms": [0.2]}, {}),
]


@pytest.mark.parametrize(("claim", "good", "bad"), CASES, ids=[c[0].name for c in CASES])
def test_a_claim_can_hold_and_can_be_refuted(claim, good, bad):
    assert claim.judge({"s": tree(**good)}).verdict is Outcome.HOLDS
    assert claim.judge({"s": tree(**bad)}).verdict is Outcome.REFUTED


def test_nan_and_missing_statistics_are_inconclusive():
    claim = claims.near_global("s")
    assert claim.judge({"s": tree(gap_to_global_minimum=np.nan)}).verdict is Outcome.INCONCLUSIVE
    unpredicted = tree()
    unpredicted["analysis"] = xr.DataTree(
        unpredicted["analysis"].to_dataset().drop_vars("transfer_prediction_error")
    )
    claim = claims.transfers_as_predicted("s", "other")
    assert claim.judge({"s": unpredicted}).verdict is Outcome.INCONCLUSIVE


def test_the_worst_replicate_counts():
    replicated = tree()
    analysis = replicated["analysis"].to_dataset().expand_dims(replicate=2).copy(deep=True)
    analysis["fidelity_sup_after_constant"][1] = 0.5
    scans = {"s": xr.DataTree.from_dict({"/analysis": analysis})}
    assert claims.contains_smooth("s", "T").judge(scans).verdict is Outcome.REFUTED


@pytest.mark.parametrize("quick", [True, False])
def test_the_study_is_whole(quick):
    study = patterns_study(quick)
    names = [claim.name for claim in study.claims]
    assert len(set(names)) == len(names)
    assert {claim.figure for claim in study.claims} <= set(study.scans)
    controls = [claim for claim in study.claims if claim.control]
    assert len(controls) >= 3
    assert all(claim.expected is Outcome.REFUTED for claim in controls)
    assert all("arXiv:1912.07559" in claim.source for claim in study.claims)


def test_a_single_scan_has_claims_of_its_own():
    raw = {
        "task": "pattern-theorem1",
        "axes": {"h": {"start": 0, "stop": 1, "num": 4}},
        "parameters": {"target": {"image": "x.png"}, "loss": "mse"},
    }
    first = claims.theorem1_claims(parse_spec(raw))
    assert [claim.threshold for claim in first] == [claims.IMAGE_RMS, claims.TRANSFER, claims.FLOOR]
    second = claims.theorem2_claims(parse_spec({**raw, "splits": ["train", "random"]}))
    assert len(second) == 3
