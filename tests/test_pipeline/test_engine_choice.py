"""The choice of an evaluator: planned, recorded, forced, reported; and objectives refused."""

import json

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import pipeline
from pipeline.cli import main
from pipeline.engine.preflight import check_objective, samples_are_independent
from pipeline.ledger import Ledger
from pipeline.manifest import read_stored
from pipeline.planning import make_plan
from pipeline.running import run, run_built
from schemas.errors import SpecError
from schemas.layout import ShardStatus
from schemas.scan import parse_spec
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split, cross_entropy, squared_error
from tasks.section import directions_as_section
from tests.models import CASES

AXES = {"a": {"start": -1, "stop": 1, "num": 12}, "b": {"start": -1, "stop": 1, "num": 6}}
BATCHED = {"name": "batched", "sample_block": 16, "point_block": 4, "degree": 1}


def spec_of(**changes):
    compute = {"workers": 0, **changes.pop("compute", {})}
    return parse_spec(
        {"task": "zoo", "axes": AXES, "chunks": {"a": 4, "b": 6}, "compute": compute, **changes}
    )


def test_a_forced_evaluator_is_planned_recorded_and_reported(tmp_path):
    landscape = CASES["mlp_relu"]().landscape
    spec = spec_of(compute={"engine": BATCHED})
    run_built(spec, tmp_path / "s.zarr", lambda: [landscape])
    stored = read_stored(tmp_path / "s.zarr")
    assert (stored.engine.name, stored.engine.point_block, stored.engine.sample_block) == (
        "batched", 4, 16,
    )  # fmt: skip
    reports = list(Ledger(tmp_path / "s.zarr").reports(ShardStatus.DONE))
    assert {report.engine for report in reports} == {
        "batched float32, 4 points × 16 samples, degree 1"
    }


def test_the_recorded_choice_is_taken_when_a_scan_goes_on(tmp_path, monkeypatch):
    landscape = CASES["mlp_relu"]().landscape
    spec = spec_of(compute={"engine": BATCHED})
    run_built(spec, tmp_path / "whole.zarr", lambda: [landscape])
    run_built(spec, tmp_path / "s.zarr", lambda: [landscape])
    ledger = Ledger(tmp_path / "s.zarr")
    first = next(ledger.reports(ShardStatus.DONE))
    ledger.record(type(first)(first.shard, ShardStatus.DAMAGED, 1))
    ledger.flush()
    # Without the engine in the spec it would be chosen anew; the store knows better.
    run_built(spec_of(), tmp_path / "s.zarr", lambda: [landscape])
    assert next(Ledger(tmp_path / "s.zarr").reports(ShardStatus.DONE)).engine == first.engine
    xr.testing.assert_identical(
        xr.open_zarr(tmp_path / "s.zarr").loss.load(),
        xr.open_zarr(tmp_path / "whole.zarr").loss.load(),
    )


def test_a_forced_evaluator_that_cannot_be_is_refused():
    landscape = CASES["lstm"]().landscape
    spec = spec_of(compute={"engine": BATCHED})
    with pytest.raises(SpecError, match=r"compute\.engine\.name: 'batched' .*use engine: auto"):
        make_plan(spec, landscape, workers=0, device="cpu")
    polynomial = spec_of(compute={"engine": {"name": "polynomial", "degree": 9}})
    with pytest.raises(SpecError, match=r"'polynomial' cannot evaluate .*no polynomial"):
        make_plan(polynomial, landscape, workers=0, device="cpu")
    gradient = spec_of(compute={"engine": BATCHED}, metrics=["loss", "gradient_norm"])
    with pytest.raises(SpecError, match="'batched' does not measure gradient_norm"):
        make_plan(gradient, CASES["mlp_relu"]().landscape, workers=0, device="cpu")


def test_axes_that_are_not_there_cannot_be_outer():
    spec = spec_of(compute={"engine": {**BATCHED, "outer": [2]}})
    with pytest.raises(SpecError, match=r"compute\.engine\.outer: got \[2\]; .*0 to 1"):
        make_plan(spec, CASES["mlp_relu"]().landscape, workers=0, device="cpu")


def test_metrics_declare_their_cost_to_the_plan():
    landscape = CASES["mlp_relu"]().landscape
    plain = make_plan(spec_of(), landscape, workers=0, device="cpu", calibrate=False)
    metrics = ["loss", "accuracy", "section_gradient", "section_hessian"]
    dear = make_plan(spec_of(metrics=metrics), landscape, workers=0, device="cpu", calibrate=False)
    assert plain.cost_factor == 1
    assert dear.cost_factor > 5
    assert dear.engine.name == "autograd"


def test_bfloat16_reports_its_error_and_stores_float32(tmp_path):
    landscape = CASES["mlp_relu"]().landscape
    spec = spec_of(compute={"dtype": "bfloat16"})
    result = run_built(spec, tmp_path / "s.zarr", lambda: [landscape])
    assert 1e-6 < result.plan.error < 5e-2
    dataset = xr.open_zarr(tmp_path / "s.zarr")
    assert dataset.loss.dtype == np.float32
    assert dataset.attrs["bfloat16_error"] == result.plan.error
    exact = run_built(spec_of(), tmp_path / "f.zarr", lambda: [landscape])
    assert exact.plan.error is None
    difference = (
        abs(dataset.loss / xr.open_zarr(tmp_path / "f.zarr").loss - 1).max().compute().item()
    )
    assert difference < 3 * result.plan.error


def status(folder, *options):
    with pytest.raises(SystemExit) as end:
        main(["status", str(folder / "q.zarr"), *options])
    assert end.value.code == 0


def test_losses_that_are_not_finite_are_counted_and_reported(tmp_path, capsys):
    spec = parse_spec(
        {
            "task": "quadratic",
            "axes": AXES,
            "parameters": {"nan_above": 0.5, "infinite_below": -0.9},
            "store": str(tmp_path / "q.zarr"),
            "compute": {"workers": 0},
        }
    )
    result = run(spec)
    stored = xr.open_zarr(tmp_path / "q.zarr").loss.values
    expected = int((~np.isfinite(stored)).sum())
    assert expected > 0
    assert np.isinf(stored).any()
    assert np.isnan(stored).any()
    assert result.counts.nonfinite == expected
    status(tmp_path, "--json")
    assert json.loads(capsys.readouterr().out)["nonfinite"] == expected
    status(tmp_path)
    assert f"{expected} losses are NaN or infinite" in capsys.readouterr().out


def test_a_model_that_cannot_be_traced_is_scanned_with_a_notice(monkeypatch, caplog):
    monkeypatch.setattr("pipeline.engine.tuning._LEAST_SECONDS", 0.0)
    landscape = CASES["branch_on_inputs"]().landscape
    plan = make_plan(spec_of(), landscape, workers=0, device="cpu", calibrate=False)
    assert plan.engine.name == "loop"
    assert "cannot be traced" in caplog.text


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x):
        return self.linear(x)


def objective(module=None, loss=cross_entropy, inputs=None, targets=None, names=None):
    module = module or Linear()
    inputs = torch.randn(5, 3) if inputs is None else inputs
    targets = torch.zeros(5, dtype=torch.long) if targets is None else targets
    parameters = dict(module.named_parameters())
    section = directions_as_section(
        parameters, [{n: torch.ones_like(p) for n, p in parameters.items()}]
    )
    return Landscape(EmpiricalRisk(module, loss, {"train": Split(inputs, targets)}), section)


def with_nan(tensor, at):
    tensor = tensor.clone()
    tensor[at] = torch.nan
    return tensor


def broken_weight():
    module = Linear()
    with torch.no_grad():
        module.linear.weight[0, 0] = torch.inf
    return module


def counting():
    module = Linear()
    module.count = nn.Parameter(torch.zeros(2, dtype=torch.int64), requires_grad=False)
    return module


class Pair(Linear):
    def forward(self, x):
        return self.linear(x), x


BAD = {
    "a loss that reduces": (
        lambda: objective(loss=nn.CrossEntropyLoss()),
        r"loss: gave shape \(\) for 2 samples; expected .*reduction='none'",
    ),
    "NaN in inputs": (
        lambda: objective(inputs=with_nan(torch.randn(5, 3), (3, 1))),
        r"data\['train'\]\.inputs: sample 3 holds NaN",
    ),
    "NaN in targets": (
        lambda: objective(loss=squared_error, targets=with_nan(torch.zeros(5, 2), (4, 0))),
        r"data\['train'\]\.targets: sample 4 holds NaN",
    ),
    "a parameter that is not finite": (
        lambda: objective(module=broken_weight()),
        r"model: parameter 'linear\.weight' holds NaN or infinite",
    ),
    "an integer parameter": (
        lambda: objective(module=counting()),
        r"model: parameter 'count' has dtype torch\.int64; expected a floating",
    ),
    "integer inputs for a linear layer": (
        lambda: objective(inputs=torch.zeros(5, 3, dtype=torch.uint8)),
        r"model: Linear cannot be evaluated on data\['train'\]\.inputs .*torch\.uint8",
    ),
    "inputs of another width": (
        lambda: objective(inputs=torch.randn(5, 4)),
        r"model: Linear cannot be evaluated on data\['train'\]\.inputs of shape \(5, 4\)",
    ),
    "several outputs": (lambda: objective(module=Pair()), r"model: Pair gives tuple; expected"),
    "float classes": (
        lambda: objective(targets=torch.zeros(5)),
        r"loss: cannot be evaluated on outputs \(2, 2\) and data\['train'\]\.targets",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_objective_is_refused_in_one_line(case):
    build, message = BAD[case]
    landscape = build()
    with pytest.raises(SpecError, match=message) as refused:
        check_objective(landscape, ("train",))
    assert "\n" not in str(refused.value)


def test_a_good_objective_passes():
    check_objective(objective(), ("train",))
    check_objective(objective(loss=nn.CrossEntropyLoss(reduction="none")), ("train",))


def test_a_bad_call_from_python_is_refused_before_anything_runs():
    with pytest.raises(SpecError, match="reduction='none'"):
        pipeline.scan(Linear(), (torch.randn(4, 3), torch.zeros(4, dtype=torch.long)),
                      loss=nn.CrossEntropyLoss(), axes={"a": (-1, 1, 3)})  # fmt: skip
    with pytest.raises(SpecError, match="has no parameters"):
        pipeline.scan(nn.ReLU(), (torch.randn(4, 3), torch.zeros(4, dtype=torch.long)))


def test_samples_that_depend_on_each_other_are_never_cut_into_blocks():
    together = CASES["depends_on_the_whole_batch"]().landscape
    assert not samples_are_independent(together, "train")
    assert samples_are_independent(CASES["transformer"]().landscape, "train")
    plan = make_plan(spec_of(), together, workers=0, device="cpu", calibrate=False)
    assert plan.engine.sample_block is None


def test_the_loss_of_a_torch_module_is_averaged_over_its_outputs():
    torch.manual_seed(0)
    inputs, targets = torch.randn(6, 3), torch.randn(6, 2)
    module = Linear()
    values = [
        pipeline.scan(module, (inputs, targets), loss=loss, axes={"a": (0, 0.5, 2)}, seed=3).loss
        for loss in ("mse", nn.MSELoss(reduction="none"))
    ]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-6)
    assert values[0].shape == (1, 2)
