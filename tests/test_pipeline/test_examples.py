"""The examples that survey a model, run from their files on few points, against plain torch."""

import copy
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
from safetensors.torch import load_file
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from pipeline import analyse, run
from pipeline.cli import main
from schemas import load_spec
from schemas.layout import DescentOutcome
from tests.straight import loss_of, moved, section_of

EXAMPLES = Path(__file__).parents[2] / "examples"
CHECKPOINTS = EXAMPLES / "checkpoints"
# What is changed of each: few points, 0 and 1 among them.
FEWER = {
    "aligned": ["axes.t={start: 0, stop: 1, num: 11}"],
    "curve": ["axes.t.num=11"],
    "language-model": ["axes.alpha.num=3"],
    "mlp": ["axes.alpha.num=5", "axes.beta.num=3"],
    "regression": ["axes.steepest.num=5", "axes.flattest.num=3"],
    "resnet": ["axes.alpha.num=3", "axes.beta.num=3"],
    "resnet-path": ["axes.t.num=3"],
    "starts": ["starts.num=24"],
    "trajectory": ["axes.first.num=6", "axes.second.num=3"],
    "transformer": ["axes.alpha.num=3", "axes.beta.num=3"],
    "unaligned": ["axes.t={start: 0, stop: 1, num: 11}"],
}


def of_models():
    specs = {path.stem: yaml.safe_load(path.read_text()) for path in EXAMPLES.glob("*.yaml")}
    return {name for name, spec in specs.items() if spec["task"] == "model"}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def models():
    spec = importlib.util.spec_from_file_location("the_examples_models", EXAMPLES / "models.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Surveyed:
    """A scan of an example: its store, its dataset and its statistics."""

    def __init__(self, store):
        self.store = store
        self.statistics = analyse(store)
        self.dataset = xr.open_zarr(store).load()
        self.facts = json.loads(self.dataset.attrs["facts"])[0]

    def loss(self, split="train", **at):
        return self.dataset["loss"].sel(split=split, **at).item()

    def barrier(self):
        return self.statistics["barrier"].sel(split="train").item()


@pytest.fixture(scope="module")
def surveyed(tmp_path_factory):
    folder, done = tmp_path_factory.mktemp("examples"), {}

    def survey(name):
        if name not in done:
            store = folder / f"{name}.zarr"
            overrides = [*FEWER[name], "compute.workers=0", f"store={store}"]
            run(load_spec(EXAMPLES / f"{name}.yaml", overrides), base=EXAMPLES)
            done[name] = Surveyed(store)
        return done[name]

    return survey


def loaded(model, name):
    model.load_state_dict(load_file(CHECKPOINTS / f"{name}.safetensors"))
    return model


def all_digits():
    """Every digit (1797, 8, 8) and its class."""
    bunch = load_digits()
    return torch.from_numpy(bunch.images / 16.0).float(), torch.from_numpy(bunch.target).long()


def over_all_digits(found, **at):
    """The mean loss over train and test together, which does not depend on how they are split."""
    counts = found.facts["samples"]
    assert sum(counts.values()) == 1797
    return sum(n * found.loss(split, **at) for split, n in counts.items()) / 1797


def test_every_example_of_a_model_is_run_here():
    assert of_models() == set(FEWER)


@pytest.mark.parametrize("name", sorted(FEWER))
def test_every_example_runs_and_is_finite(surveyed, name):
    found = surveyed(name)
    values = found.dataset["loss"]
    assert np.isfinite(values).all()
    assert (values.max() > values.min() + 1e-3).item()
    if "accuracy" in found.dataset:
        assert found.dataset["accuracy"].min() >= 0
        assert found.dataset["accuracy"].max() <= 1
        assert found.dataset["accuracy"].max() > 0.4


@pytest.mark.parametrize(
    ("name", "make", "checkpoint", "shape", "at"),
    [
        ("mlp", "mlp", "mlp-a", (64,), {"alpha": 0, "beta": 0}),
        ("unaligned", "mlp", "mlp-a", (64,), {"t": 0}),
        ("unaligned", "mlp", "mlp-b", (64,), {"t": 1}),
        ("aligned", "mlp", "mlp-b", (64,), {"t": 1}),
        ("curve", "mlp", "mlp-a", (64,), {"t": 0}),
        ("curve", "mlp", "mlp-b", (64,), {"t": 1}),
        ("trajectory", "mlp", "mlp-a", (64,), {"first": 0, "second": 0}),
        ("resnet", "resnet", "resnet-a", (1, 8, 8), {"alpha": 0, "beta": 0}),
        ("transformer", "transformer", "transformer", (8, 8), {"alpha": 0, "beta": 0}),
    ],
)
def test_a_checkpoint_has_its_own_loss(surveyed, models, name, make, checkpoint, shape, at):
    model = loaded(getattr(models, make)(), checkpoint)
    inputs, targets = all_digits()

    def loss(outputs, targets):
        logits = outputs["logits"] if isinstance(outputs, dict) else outputs
        return functional.cross_entropy(logits, targets)

    expected = loss_of(model, (inputs.reshape(-1, *shape), targets), loss)
    assert over_all_digits(surveyed(name), **at) == pytest.approx(expected, rel=1e-5)
    untrained = loss_of(getattr(models, make)(), (inputs.reshape(-1, *shape), targets), loss)
    assert abs(untrained - expected) > 0.5


def test_every_point_is_origin_and_directions(surveyed, models):
    found = surveyed("mlp")
    model = loaded(models.mlp(), "mlp-a")
    inputs, targets = all_digits()
    directions = section_of(found.store)[1]
    alpha, beta = found.dataset["alpha"].values, found.dataset["beta"].values
    for i, j in ((0, 0), (0, 2), (4, 0), (4, 2), (3, 1)):
        there = moved(model, directions, (alpha[i], beta[j]))
        expected = loss_of(there, (inputs.flatten(1), targets))
        got = over_all_digits(found, alpha=alpha[i], beta=beta[j])
        assert got == pytest.approx(expected, rel=1e-5)
    # The axes reach to where the loss is ten times that of the checkpoint.
    ends = [found.loss(alpha=a, beta=0) for a in alpha[[0, -1]]]
    assert 10 * found.loss(alpha=0, beta=0) == pytest.approx(min(ends), rel=0.02)


def test_aligning_lowers_the_barrier_and_a_curve_goes_around_it(surveyed):
    straight, aligned, curve = (surveyed(n).barrier() for n in ("unaligned", "aligned", "curve"))
    assert straight > 0.4
    assert 0 <= aligned < straight / 2
    assert 0 <= curve < 0.01
    moves = surveyed("aligned").facts["alignment"]["checkpoints/mlp-b.safetensors"]
    assert moves["distance_after"] < moves["distance_before"]
    line = surveyed("unaligned").loss(t=0.5)
    middle = {
        name: tensor.lerp(load_file(CHECKPOINTS / "mlp-b.safetensors")[name], 0.5)
        for name, tensor in load_file(CHECKPOINTS / "mlp-a.safetensors").items()
    }
    assert line == pytest.approx(straight_loss_of(middle, surveyed("unaligned")), rel=1e-5)


def train_digits():
    """The train split as it was read for the scans."""
    from tasks.sources.parameters import BuiltInData
    from tasks.sources.read import read_splits

    split = read_splits(BuiltInData(name="digits"), ["train"], EXAMPLES, 0)["train"]
    return split.inputs, split.targets


def straight_loss_of(tensors, found):
    inputs, targets = train_digits()
    assert len(inputs) == found.facts["samples"]["train"]
    model = nn.Sequential(
        nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10)
    )
    model.load_state_dict(tensors)
    return loss_of(model, (inputs, targets))


def reestimated(model, inputs):
    """The model with the statistics that torch itself accumulates over the train split."""
    model = copy.deepcopy(model).double().train()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None
    with torch.no_grad():
        for batch in torch.tensor_split(inputs.double(), -(-len(inputs) // 256)):
            model(batch)
    return model.eval()


def test_statistics_are_measured_anew_along_the_path_of_residual_networks(surveyed, models):
    found = surveyed("resnet-path")
    told = found.facts["batchnorm"]
    assert told == {"policy": "reestimated", "split": "train", "samples": 1438, "batch": 256}
    inputs, targets = train_digits()
    inputs = inputs.reshape(-1, 1, 8, 8)
    # A permuted network is the same function.
    for t, name in ((0, "resnet-a"), (1, "resnet-b")):
        model = loaded(models.resnet(), name)
        expected = loss_of(reestimated(model, inputs), (inputs, targets))
        assert found.loss(t=t) == pytest.approx(expected, rel=1e-5)
        assert abs(loss_of(model, (inputs, targets)) - expected) > 1e-4


def test_a_residual_networks_own_statistics_stay_where_it_is_stored(surveyed, models):
    found = surveyed("resnet")
    assert found.facts["batchnorm"] == {"policy": "stored"}
    there = moved(loaded(models.resnet(), "resnet-a"), section_of(found.store)[1], (1, -1))
    inputs, targets = all_digits()
    expected = loss_of(there, (inputs[:, None], targets))
    assert over_all_digits(found, alpha=1, beta=-1) == pytest.approx(expected, rel=1e-4)


def test_a_language_model_is_judged_by_the_next_letter(surveyed, models):
    found = surveyed("language-model")
    model = loaded(models.language_model(), "language-model")

    def shifted(outputs, letters):
        logits = outputs["logits"]
        return functional.cross_entropy(logits[:, :-1].flatten(0, 1), letters[:, 1:].flatten())

    def unshifted(outputs, letters):
        return functional.cross_entropy(outputs["logits"].flatten(0, 1), letters.flatten())

    for split, letters in models.text().items():
        expected = loss_of(model, (letters, letters), shifted)
        assert found.loss(split, alpha=0) == pytest.approx(expected, rel=1e-5)
        assert expected != pytest.approx(loss_of(model, (letters, letters), unshifted), rel=0.1)
        with torch.no_grad():
            logits = model(letters)["logits"][:, :-1]
        hits = (logits.argmax(-1) == letters[:, 1:]).double().mean().item()
        got = found.dataset["accuracy"].sel(split=split, alpha=0).item()
        assert got == pytest.approx(hits, abs=1e-4)


def test_the_curvature_of_the_regression_is_that_of_its_eigenvectors(surveyed, models):
    found = surveyed("regression")
    model = loaded(models.regression(), "regression")
    data = models.diabetes()["train"]

    def error(outputs, targets):
        return functional.mse_loss(outputs[:, 0], targets.double())

    expected = loss_of(model, data, error)
    assert found.loss(steepest=0, flattest=0) == pytest.approx(expected, rel=1e-5)
    first, last = (axis["eigenvalue"] for axis in found.facts["directions"]["axes"])
    here = found.dataset["section_hessian"].sel(split="train", steepest=0, flattest=0)
    np.testing.assert_allclose(here, np.diag([first, last]), atol=1e-3 * first)
    # The eigenvalues are those of the whole matrix.
    own, names = model.double(), [name for name, _ in model.named_parameters()]
    tensors = [tensor.detach() for tensor in own.parameters()]

    def loss(flat):
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        named = {n: p.reshape(t.shape) for n, p, t in zip(names, parts, tensors, strict=True)}
        return error(torch.func.functional_call(own, named, (data[0].double(),)), data[1])

    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    values = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, flat, vectorize=True))
    assert [last, first] == pytest.approx([values[0].item(), values[-1].item()], rel=1e-6)


def test_runs_are_projected_and_have_their_own_losses(surveyed):
    found = surveyed("trajectory")
    runs = xr.open_zarr(found.store, group="trajectories").load()
    names = [f"epoch-{epoch}" for epoch in range(0, 21, 2)]
    assert runs["run"].values.tolist() == ["a"] * 11 + ["b"] * 11
    assert runs["name"].values.tolist() == names * 2
    losses = runs["loss"].sel(split="train")
    for k, (run_of, name) in enumerate(zip(runs["run"].values, names * 2, strict=True)):
        tensors = load_file(CHECKPOINTS / "runs" / run_of / f"{name}.safetensors")
        expected = straight_loss_of(tensors, found)
        assert losses[k].item() == pytest.approx(expected, rel=1e-5)
    # The run's last checkpoint is the scan's own, so nothing of a displacement is explained.
    last = runs.isel(checkpoint=10)
    np.testing.assert_allclose(last["coordinate"], 0, atol=1e-6)
    assert np.isnan(last["explained"])
    assert last["distance"].item() == pytest.approx(0, abs=1e-6)
    surface = found.loss(first=0, second=0)
    assert last["loss"].sel(split="train").item() == pytest.approx(surface, rel=1e-6)
    # The plane is the first run's: it explains that run and not the other.
    explained = runs["explained"].values
    assert np.nanmin(explained[:8]) > 0.8
    assert explained[11:].max() < 0.8
    displaced = {
        name: load_file(CHECKPOINTS / "runs/a/epoch-0.safetensors")[name].double() - tensor.double()
        for name, tensor in load_file(CHECKPOINTS / "mlp-a.safetensors").items()
    }
    directions = section_of(found.store)[1]
    expected = [sum(float((displaced[n] * d[n]).sum()) for n in d) for d in directions]
    np.testing.assert_allclose(runs["coordinate"][0], expected, rtol=1e-6)


def test_the_starts_end_where_plain_torch_finds_nothing_left_to_descend(surveyed, models):
    found = surveyed("starts").dataset.sel(split="train")
    inputs, targets = models.truth_table()["train"]
    torch.manual_seed(0)
    model = models.exclusive_or().double()
    assert (found["end_loss"] < found["loss"]).all()
    assert (found["outcome"] == DescentOutcome.MINIMUM).mean() > 0.9
    for start in range(24):
        nn.utils.vector_to_parameters(
            torch.from_numpy(found["end_parameters"].values[:, start].copy()), model.parameters()
        )
        loss = functional.mse_loss(model(inputs.double()), targets.double())
        slopes = torch.cat([g.ravel() for g in torch.autograd.grad(loss, [*model.parameters()])])
        assert loss.item() == pytest.approx(found["end_loss"].values[start], rel=1e-9, abs=1e-15)
        norm = found["end_gradient_norm"].values[start]
        assert slopes.norm().item() == pytest.approx(norm, rel=1e-6, abs=1e-12)


def test_the_command_runs_an_example_from_its_file(tmp_path, capsys, monkeypatch):
    # Away from the examples: what the file names is beside the file.
    monkeypatch.chdir(tmp_path)
    shutil.copytree(EXAMPLES / "checkpoints", tmp_path / "copy/checkpoints")
    for name in ("mlp.yaml", "models.py"):
        shutil.copy(EXAMPLES / name, tmp_path / "copy")
    (tmp_path / "LICENSE").write_text("abc")
    overrides = [f"--set={each}" for each in [*FEWER["mlp"], "compute.workers=0"]]
    with pytest.raises(SystemExit) as end:
        main(["run", "copy/mlp.yaml", *overrides, "--set=store=mine.zarr"])
    printed = capsys.readouterr()
    assert end.value.code == 0, printed.err
    assert "store:  mine.zarr" in printed.out
    loss = xr.open_zarr(tmp_path / "mine.zarr")["loss"].load()
    assert loss.shape == (2, 5, 3)
    assert np.isfinite(loss).all()
