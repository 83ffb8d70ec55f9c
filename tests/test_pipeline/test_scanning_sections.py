"""`scan` of every kind of section, policy and data, against losses computed straight with torch."""

import copy
import json
import sys
from collections import namedtuple

import numpy as np
import pytest
import torch
import xarray as xr
import yaml
import zarr
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from pipeline import run, scan
from pipeline.ledger import Ledger, ShardReport
from pipeline.running import resume
from pipeline.store import consolidate
from schemas import SpecError, StoreMismatch, load_spec
from schemas.layout import ShardStatus
from tests.straight import loss_of, moved, section_of

LINE = {"a": (-1, 1, 3)}
PLANE = {"a": (0, 1, 3), "b": (-1, 1, 3)}


def mlp(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)).eval()


def with_batchnorm(seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    for _ in range(20):
        net(torch.randn(64, 5) * (1 + seed) + seed)
    return net.eval()


@pytest.fixture
def data():
    torch.manual_seed(9)
    return torch.randn(40, 5), torch.randint(0, 3, (40,))


def train(dataset, **at):
    return dataset["loss"].sel(split="train", **at).item()


def mix(*weighted):
    """The network whose tensors are Σ weight · tensor of the networks."""
    own = copy.deepcopy(weighted[0][1]).double()
    states = [(weight, model.double().state_dict()) for weight, model in weighted]
    own.load_state_dict(
        {
            name: sum(weight * state[name] for weight, state in states)
            for name, tensor in own.state_dict().items()
            if tensor.is_floating_point()
        },
        strict=False,
    )
    return own


# Directions.


@pytest.mark.parametrize(
    ("directions", "axes"),
    [
        (None, PLANE),
        ("random", LINE),
        ("filter", PLANE),
        ("layer", LINE),
        ("parameter", LINE),
        ("gradient", LINE),
        ("hessian", PLANE),
        ({"kind": "filter", "ignore": "nothing", "scale": 0.5}, LINE),
        ({"kind": "random", "parameters": "2.*"}, LINE),
        ({"kind": "hessian", "top": 1, "bottom": 1}, PLANE),
        (["gradient", "filter"], PLANE),
        (["gradient", {"kind": "random", "orthogonal": True}], PLANE),
        ([{"2.bias": torch.tensor([1.0, 0, 0])}], LINE),
        ([{"2.bias": torch.ones(3).double()}, {"0.weight": torch.ones(6, 5).half()}], PLANE),
        ({"kind": "checkpoint", "to": mlp(1)}, LINE),
        (mlp(1), LINE),
        (mlp(1).state_dict(), LINE),
        ([mlp(1), "filter"], PLANE),
        ({"kind": "pca", "checkpoints": [mlp(s).state_dict() for s in (1, 2, 3)]}, PLANE),
        ({"kind": "plane", "through": [mlp(1), mlp(2).state_dict()]}, PLANE),
    ],
)
def test_every_direction_is_followed(directions, axes, data, tmp_path):
    found = scan(mlp(), data, directions=directions, axes=axes, store=tmp_path / "s.zarr").load()
    origin, rows = section_of(tmp_path / "s.zarr")
    assert len(rows) == len(axes)
    own = dict(mlp().named_parameters())
    for name, tensor in origin.items():
        torch.testing.assert_close(tensor, own[name].detach().double(), rtol=0, atol=0)
    for indices in np.ndindex(*found["loss"].shape[1:]):
        at = [found[name].values[i] for name, i in zip(axes, indices, strict=True)]
        expected = loss_of(moved(mlp(), rows, at), data)
        assert found["loss"].values[(0, *indices)] == pytest.approx(expected, rel=1e-5)


def test_the_kinds_are_what_they_are_called(data, tmp_path):
    def direction(kind, **axes):
        store = tmp_path / f"{kind}.zarr"
        scan(mlp(), data, directions=kind, axes=LINE, store=store)
        return section_of(store)[1][0]

    model = mlp().double()
    functional.cross_entropy(model(data[0].double()), data[1]).backward()
    gradient = {name: p.grad for name, p in model.named_parameters()}
    length = sum(float(g.square().sum()) for g in gradient.values()) ** 0.5
    for name, tensor in direction("gradient").items():
        torch.testing.assert_close(tensor, gradient[name] / length, rtol=1e-6, atol=1e-9)
    own = {name: p.detach() for name, p in model.named_parameters()}
    for name, tensor in direction("layer").items():
        assert tensor.norm().item() == pytest.approx(own[name].norm().item())
    assert set(direction("filter")) == {"0.weight", "2.weight"}
    assert set(direction("random")) == set(own)


def test_a_plane_holds_the_three_models(data):
    b, c = mlp(1), mlp(2)
    directions = {"kind": "plane", "through": [b, c.state_dict()]}
    found = scan(mlp(), data, directions=directions, axes={"u": (0, 1, 3), "v": (0, 1, 2)})
    for (u, v), model in {(0, 0): mlp(), (1, 0): b, (0, 1): c}.items():
        assert train(found, u=u, v=v) == pytest.approx(loss_of(model, data), rel=1e-5)
    between = mix((-0.5, mlp()), (0.5, b), (1, c))
    assert train(found, u=0.5, v=1) == pytest.approx(loss_of(between, data), rel=1e-5)


def test_principal_components_of_states_in_memory_span_them(data, tmp_path):
    states = [mix((1 - w, mlp()), (w, mlp(1))).state_dict() for w in (0.3, 0.7, 1)]
    store = tmp_path / "pca.zarr"
    scan(mlp(), data, directions={"kind": "pca", "checkpoints": states}, axes=LINE, store=store)
    runs = xr.open_zarr(store, group="trajectories").load()
    distance = sum(
        float((mlp(1).state_dict()[n] - tensor).double().square().sum())
        for n, tensor in mlp().state_dict().items()
    )
    expected = distance**0.5 * np.array([0.3, 0.7, 1])
    np.testing.assert_allclose(np.abs(runs["coordinate"].values[:, 0]), expected, rtol=1e-5)
    np.testing.assert_allclose(runs["explained"], 1, rtol=1e-6)
    assert runs["loss"].sel(split="train")[-1].item() == pytest.approx(
        loss_of(mlp(1), data), rel=1e-5
    )


# Paths.


@pytest.mark.parametrize("to", [mlp(1), mlp(1).state_dict(), {"to": mlp(1), "kind": "linear"}])
def test_a_path_leads_to_the_other_model(to, data):
    found = scan(mlp(), data, path=to, axes={"t": (-0.5, 1, 4)})
    for t in (-0.5, 0, 0.5, 1):
        expected = loss_of(mix((1 - t, mlp()), (t, mlp(1))), data)
        assert train(found, t=t) == pytest.approx(expected, rel=1e-5)
    assert scan(mlp(), data, path=to)["loss"].shape == (1, 101)


def test_a_trained_curve_is_kept_beside_the_store_and_continued(data, tmp_path):
    torch.manual_seed(3)
    path = {"to": mlp(1), "kind": "bezier", "training": {"steps": 60, "batch_size": 20}}
    told = []

    def tell(step, done, total, note=""):
        told.append(step)

    def survey(seed=0):
        told.clear()
        return scan(
            mlp(), data, path=path, axes={"t": (0, 1, 9)}, store=tmp_path / "s.zarr", seed=seed,
            display=tell,
        ).load()  # fmt: skip

    first = survey()
    trained = [step for step in set(told) if "train" in step]
    assert trained
    for t, model in ((0, mlp()), (1, mlp(1))):
        assert train(first, t=t) == pytest.approx(loss_of(model, data), rel=1e-5)
    line = scan(mlp(), data, path=mlp(1), axes={"t": (0, 1, 9)})
    assert first["loss"].mean() < line["loss"].mean()
    xr.testing.assert_identical(survey(), first)
    assert not set(told) & set(trained)
    ledger = Ledger(tmp_path / "s.zarr")
    ledger.record(ShardReport(0, ShardStatus.DAMAGED, 1))
    ledger.flush()
    zarr.open_group(tmp_path / "s.zarr", mode="r+")["loss"][:] = 7
    xr.testing.assert_identical(survey(), first)
    assert not set(told) & set(trained)


def test_aligning_undoes_a_permutation(data):
    other = mlp()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    with torch.no_grad():
        other[0].weight.copy_(other[0].weight[order])
        other[0].bias.copy_(other[0].bias[order])
        other[2].weight.copy_(other[2].weight[:, order])
    axes = {"t": (0, 1, 5)}
    aligned = scan(mlp(), data, path=other, axes=axes, align=True)["loss"]
    np.testing.assert_allclose(aligned, loss_of(mlp(), data), rtol=1e-5)
    as_it_is = scan(mlp(), data, path=other, axes=axes)["loss"]
    assert abs(as_it_is - loss_of(mlp(), data)).max() > 1e-2
    # The module that was given is not permuted.
    assert torch.equal(other[0].weight, mlp()[0].weight[order])


# Batch normalisation.


def reestimated(model, inputs, batch):
    own = copy.deepcopy(model).double().train()
    own[1].reset_running_stats()
    own[1].momentum = None
    with torch.no_grad():
        for part in torch.tensor_split(inputs.double(), -(-len(inputs) // batch)):
            own(part)
    return own.eval()


def test_running_statistics_follow_the_policy(data):
    one, two = with_batchnorm(), with_batchnorm(1)
    axes = {"t": (0, 1, 5)}
    middle = mix((0.75, one), (0.25, two))
    stored = copy.deepcopy(middle)
    for name in ("running_mean", "running_var"):
        setattr(stored[1], name, getattr(one[1], name).double())
    expected = {
        "stored": stored,
        "interpolated": middle,
        "reestimated": reestimated(middle, data[0], 256),
    }
    losses = {}
    for policy, model in expected.items():
        found = scan(with_batchnorm(), data, path=with_batchnorm(1), batchnorm=policy, axes=axes)
        losses[policy] = train(found, t=0.25)
        assert losses[policy] == pytest.approx(loss_of(model, data), rel=1e-5)
    assert len({round(loss, 4) for loss in losses.values()}) == 3
    few = {"policy": "reestimated", "samples": 12, "batch": 5}
    found = scan(with_batchnorm(), data, path=with_batchnorm(1), batchnorm=few, axes=axes)
    again = reestimated(middle, data[0][:12], 5)
    assert train(found, t=0.25) == pytest.approx(loss_of(again, data), rel=1e-5)


# Trajectories.


def test_runs_are_projected_into_the_section_and_kept(data, tmp_path):
    def at(a, b, rest):
        model = mlp()
        with torch.no_grad():
            model[0].weight += a
            model[2].bias += torch.tensor([b, 0, 0])
            model[2].weight[0, 0] += rest
        return model

    directions = [{"0.weight": torch.ones(6, 5)}, {"2.bias": torch.tensor([1.0, 0, 0])}]
    torch.save(at(0.1, 0.2, 0).state_dict(), tmp_path / "end.pt")
    runs = {"sgd": [at(0.5, -1, 2), at(0.2, 1, 0).state_dict()], "adam": tmp_path / "end.pt"}
    store = tmp_path / "s.zarr"
    scan(mlp(), data, directions=directions, axes=PLANE, trajectories=runs, store=store)
    found = xr.open_zarr(store, group="trajectories").load()
    assert found["run"].values.tolist() == ["sgd", "sgd", "adam"]
    assert found["axis"].values.tolist() == ["a", "b"]
    expected = [[0.5, -1], [0.2, 1], [0.1, 0.2]]
    np.testing.assert_allclose(found["coordinate"], expected, rtol=1e-5)
    np.testing.assert_allclose(found["distance"], [2, 0, 0], atol=1e-5)
    inside = 30 * 0.25 + 1
    np.testing.assert_allclose(found["explained"], [inside / (inside + 4), 1, 1], rtol=1e-5)
    for k, model in enumerate((at(0.5, -1, 2), at(0.2, 1, 0), at(0.1, 0.2, 0))):
        loss = found["loss"].sel(split="train")[k].item()
        assert loss == pytest.approx(loss_of(model, data), rel=1e-5)
    # The first lies off the plane: its projection has another loss.
    assert loss_of(at(0.5, -1, 0), data) != pytest.approx(loss_of(at(0.5, -1, 2), data), rel=1e-3)


# Data.


class Pairs(Dataset):
    def __init__(self, pair):
        self.pair = pair

    def __len__(self):
        return len(self.pair[0])

    def __getitem__(self, index):
        return self.pair[0][index], int(self.pair[1][index])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda pair: pair,
        lambda pair: (pair[0].numpy(), pair[1].numpy()),
        lambda pair: (pair[0].numpy(), pair[1].numpy().astype(np.int32)),
        lambda pair: TensorDataset(*pair),
        Pairs,
        lambda pair: DataLoader(Pairs(pair), batch_size=7),
        lambda pair: DataLoader(TensorDataset(*pair), batch_size=7, shuffle=True),
        lambda pair: {"train": Pairs(pair), "test": pair},
    ],
)
def test_data_of_any_form_gives_the_same_losses(wrap, data):
    found = scan(mlp(), wrap(data), axes=LINE)
    expected = scan(mlp(), data, axes=LINE)
    for split in found["split"].values:
        np.testing.assert_allclose(
            found["loss"].sel(split=split), expected["loss"].sel(split="train"), rtol=1e-6
        )


# Axes.


def test_an_axis_reaches_to_where_the_loss_has_risen(data):
    found = scan(mlp(), data, axes={"a": {"rise": 3, "num": 5}, "b": (0, 1, 2)})
    own = loss_of(mlp(), data)
    ends = [train(found, a=a, b=0) for a in found["a"].values[[0, -1]]]
    assert found["a"].values[2] == 0
    assert found["a"].values[0] == -found["a"].values[-1]
    assert min(ends) <= 3 * own * 1.01
    assert max(ends) >= 3 * own * 0.99


# Outputs and losses.

Several = namedtuple("Several", ["features", "logits"])


class Telling(nn.Module):
    """A module that gives more than its logits, in the form that is asked for."""

    def __init__(self, form):
        super().__init__()
        self.net, self.form = mlp(), form

    def forward(self, x):
        features = self.net[1](self.net[0](x))
        return self.form(features, self.net[2](features))


@pytest.mark.parametrize(
    ("form", "output"),
    [
        (lambda f, y: {"features": f, "logits": y}, None),
        (lambda f, y: {"features": f, "scores": y}, "scores"),
        (lambda f, y: {"features": f, "scores": y}, 1),
        (lambda f, y: (y, f), None),
        (lambda f, y: (f, y), 1),
        (lambda f, y: [f, y], -1),
        (Several, None),
        (Several, "logits"),
    ],
)
def test_the_output_that_counts_is_taken(form, output, data):
    found = scan(Telling(form).eval(), data, axes=LINE, output=output, metrics=("loss", "accuracy"))
    assert train(found, a=0) == pytest.approx(loss_of(mlp(), data), rel=1e-5)
    hits = (mlp()(data[0]).argmax(dim=1) == data[1]).double().mean().item()
    assert found["accuracy"].sel(split="train", a=0).item() == pytest.approx(hits)


def test_another_output_gives_another_loss(data):
    model = Telling(lambda f, y: (f, y)).eval()
    features = scan(model, data, axes=LINE, output=0)
    assert train(features, a=0) != pytest.approx(loss_of(mlp(), data), rel=1e-2)


def test_a_language_model_predicts_the_next_token():
    torch.manual_seed(4)
    model = nn.Sequential(nn.Embedding(7, 5), nn.Tanh(), nn.Linear(5, 7)).eval()
    tokens = torch.randint(0, 7, (12, 6))

    def shifted(outputs, targets):
        return functional.cross_entropy(outputs[:, :-1].flatten(0, 1), targets[:, 1:].flatten())

    for form in (tokens, (tokens, tokens)):
        found = scan(model, form, loss="next_token", axes=LINE, metrics=("loss", "accuracy"))
        expected = loss_of(model, (tokens, tokens), shifted)
        assert train(found, a=0) == pytest.approx(expected, rel=1e-5)
        hits = (model(tokens)[:, :-1].argmax(-1) == tokens[:, 1:]).double().mean().item()
        assert found["accuracy"].sel(split="train", a=0).item() == pytest.approx(hits, rel=1e-6)


# What is refused.


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = mlp()

    def forward(self, x):
        return self.net(x) + torch.rand(())


class Branching(nn.Module):
    """A module whose operations depend on values, so that it cannot be traced."""

    def __init__(self):
        super().__init__()
        self.net = mlp()

    def forward(self, x):
        return self.net(x) if float(x.sum()) > 0 else -self.net(x)


def training(p):
    return nn.Sequential(nn.Linear(5, 6), nn.Dropout(p), nn.Linear(6, 3)).train()


@pytest.mark.parametrize(
    ("model", "changes", "complaint"),
    [
        (lambda: training(0.5), {}, r"train mode and its 1 drops out with p = 0\.5.*call eval\(\)"),
        (Noisy, {}, "other outputs each time.*random numbers"),
        (mlp, {"directions": "filtr"}, "kind 'filtr'.*did you mean 'filter'"),
        (mlp, {"directions": "filter", "path": mlp(1)}, "path: stands beside directions"),
        (mlp, {"path": mlp(1)}, "axes: got 2; a path needs 1"),
        (mlp, {"path": {"kind": "bezier"}}, r"path\.to: is missing"),
        (mlp, {"directions": [nn.Linear(5, 6), "filter"]}, "of the model's 4 tensors are missing"),
        (mlp, {"directions": {"kind": "plane", "through": [mlp(1)]}}, r"through\.1: is missing"),
        (with_batchnorm, {"directions": {"kind": "plane", "through": [mlp(1), mlp(2)]}},
         "batchnorm: is missing.*choose stored, interpolated or reestimated"),
        (mlp, {"batchnorm": "reestimated"}, "no running statistics; leave it out"),
        (Branching, {"directions": {"kind": "plane", "through": [Branching(), Branching()]},
                     "align": True}, "trace"),
        (lambda: Telling(lambda f, y: {"scores": y}), {"output": "score"},
         r"without 'score'.*expected one of scores; did you mean 'scores'"),
        (lambda: Telling(lambda f, y: (f, y)), {"output": 2}, "expected a number from 0 to 1"),
        (mlp, {"axes": {"a": {"rise": 0.5, "num": 3}}}, r"axes\.a\.rise: got 0\.5"),
        (mlp, {"trajectories": {"sgd": "nowhere/*.pt"}}, "matches no file.*mend the pattern"),
        (mlp, {"metrics": ("loss", "accurcy")}, "did you mean 'accuracy'"),
    ],
)  # fmt: skip
def test_what_cannot_be_scanned_is_refused_in_one_line(model, changes, complaint, data):
    with pytest.raises(SpecError, match=complaint) as error:
        scan(model(), data, **{"axes": PLANE, **changes})
    assert "\n" not in str(error.value)


def test_dropout_in_eval_mode_or_of_nothing_is_no_matter(data):
    inert = scan(training(0.0), data, axes=LINE)
    assert np.isfinite(inert["loss"]).all()
    model = training(0.5).eval()
    assert train(scan(model, data, axes=LINE), a=0) == pytest.approx(loss_of(model, data), rel=1e-5)


@pytest.mark.parametrize(
    ("targets", "changes", "complaint"),
    [
        (torch.full((40,), 3), {}, r"targets: hold classes 3 to 3; .*offer 0 to 2"),
        (torch.randn(40), {}, "loss: cannot be evaluated on outputs"),
        (torch.randn(40, 3), {"loss": "mse", "metrics": ("loss", "accuracy")}, "accuracy.*class"),
        (torch.randint(0, 3, (39,)), {}, "40 inputs and targets of shape"),
        (torch.full((40, 3), torch.nan), {"loss": "mse"}, "sample 0 holds NaN"),
        (torch.zeros(40, 2), {"loss": "mse"}, r"outputs have shape \(2, 3\) and targets \(2, 2\)"),
    ],
)
def test_targets_that_do_not_fit_are_refused_in_one_line(targets, changes, complaint, data):
    with pytest.raises(SpecError, match=complaint) as error:
        scan(mlp(), (data[0], targets), axes=LINE, **changes)
    assert "\n" not in str(error.value)


def test_a_flat_loss_does_not_rise(data):
    def constant(outputs, targets):
        return 1 + 0 * outputs.sum(dim=1)

    with pytest.raises(SpecError, match=r"axes\.a: the loss stays below 2 times"):
        scan(mlp(), data, loss=constant, axes={"a": {"rise": 2, "num": 3}})


# A task, its files, and interruptions.

USERS_FILE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Linear(5, width)
        self.outer = nn.Linear(width, 3)

    def forward(self, x):
        return scaled(self.outer(self.inner(x).tanh()))

def scaled(outputs):
    return 2 * outputs

def samples():
    torch.manual_seed(9)
    pair = torch.randn(40, 5), torch.randint(0, 3, (40,))
    return {"train": pair, "test": pair}

def margin(outputs, targets):
    return (1 - outputs.gather(1, targets[:, None])[:, 0]).clamp(min=0)
"""


@pytest.fixture
def users(tmp_path):
    """A folder with a user's own file, checkpoints of its model, and a spec."""
    (tmp_path / "mynets.py").write_text(USERS_FILE)
    state = {"inner.weight": (6, 5), "inner.bias": (6,), "outer.weight": (3, 6), "outer.bias": (3,)}
    torch.manual_seed(7)
    for epoch in range(4):
        tensors = {name: torch.randn(shape) for name, shape in state.items()}
        torch.save(tensors, tmp_path / f"epoch-{epoch}.pt")
    spec = {
        "task": "model",
        "parameters": {
            "model": "mynets.py:Net",
            "checkpoint": "epoch-3.pt",
            "data": {"factory": "mynets.py:samples"},
            "loss": "mynets.py:margin",
            "directions": [{"kind": "pca", "checkpoints": ["epoch-*.pt"]}, "hessian"],
            "trajectories": {"run": "epoch-*.pt"},
        },
        "axes": {"a": {"start": -1, "stop": 1, "num": 6}, "b": {"start": 0, "stop": 1, "num": 4}},
        "chunks": {"a": 2, "b": 2},
        "compute": {"workers": 0, "engine": {"name": "loop"}},
        "store": str(tmp_path / "scan.zarr"),
    }
    (tmp_path / "scan.yaml").write_text(yaml.safe_dump(spec))
    return tmp_path


def test_an_interrupted_scan_with_trajectories_is_continued_to_the_same_bits(users):
    store = users / "scan.zarr"
    run(users / "scan.yaml")
    whole = xr.open_zarr(store).load()
    groups = {g: xr.open_zarr(store, group=g).load() for g in ("section", "trajectories")}
    group = zarr.open_group(store, mode="r+")
    lost = [0, 3, 5]
    ledger = Ledger(store)
    for shard in lost:
        ledger.record(ShardReport(shard, ShardStatus.PENDING, 0))
    ledger.flush()
    group["loss"][:, :2, :2] = np.nan
    # As if the run had ended while it evaluated the checkpoints.
    del group["trajectories"]
    consolidate(store)
    assert resume(store).counts.pending == 0
    xr.testing.assert_identical(xr.open_zarr(store).load(), whole)
    for name, before in groups.items():
        xr.testing.assert_identical(xr.open_zarr(store, group=name).load(), before)
    assert np.isfinite(whole["loss"]).all()


def test_a_changed_checkpoint_is_not_continued(users):
    run(users / "scan.yaml")
    before = xr.open_zarr(users / "scan.zarr").load()
    ledger = Ledger(users / "scan.zarr")
    ledger.record(ShardReport(0, ShardStatus.PENDING, 0))
    ledger.flush()
    tensors = torch.load(users / "epoch-3.pt", weights_only=True)
    torch.save({name: tensor + 1 for name, tensor in tensors.items()}, users / "epoch-3.pt")
    with pytest.raises(StoreMismatch, match="builds different parameters"):
        resume(users / "scan.zarr")
    xr.testing.assert_identical(xr.open_zarr(users / "scan.zarr").load(), before)


@pytest.mark.usefixtures("ray_here")
def test_a_users_own_classes_reach_the_workers(users):
    run(users / "scan.yaml")
    alone = xr.open_zarr(users / "scan.zarr").load()
    overrides = ("compute.workers=2", f"store={users / 'spread.zarr'}")
    run(load_spec(users / "scan.yaml", overrides), base=users)
    spread = xr.open_zarr(users / "spread.zarr").load()
    np.testing.assert_array_equal(spread["loss"], alone["loss"])
    assert "mynets" not in sys.modules
    workers = xr.open_zarr(users / "spread.zarr", group="ledger")["worker"].load()
    assert (workers >= 0).all()
    facts = json.loads(spread.attrs["facts"])[0]
    assert [axis["kind"] for axis in facts["directions"]["axes"]] == ["pca", "hessian"]


@pytest.mark.usefixtures("ray_here")
def test_workers_give_the_same_path(data):
    path = {"to": mlp(1), "kind": "polygon", "training": {"steps": 20}}
    axes = {"t": (0, 1, 9)}
    here = scan(mlp(), data, path=path, axes=axes, dtype="float64")
    there = scan(mlp(), data, path=path, axes=axes, dtype="float64", workers=2)
    np.testing.assert_allclose(there["loss"], here["loss"], rtol=1e-12)
