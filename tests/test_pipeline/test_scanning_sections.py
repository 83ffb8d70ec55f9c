"""`scan` of every kind of section and policy, against losses computed straight with torch."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from torch.nn import functional

from pipeline import scan
from pipeline.ledger import Ledger, ShardReport
from schemas.layout import ShardStatus
from tests.straight import classes, loss_of, mlp, moved, section_of, train_loss, with_batchnorm

LINE = {"a": (-1, 1, 3)}
PLANE = {"a": (0, 1, 3), "b": (-1, 1, 3)}


@pytest.fixture
def data():
    return classes()


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
        assert train_loss(found, u=u, v=v) == pytest.approx(loss_of(model, data), rel=1e-5)
    between = mix((-0.5, mlp()), (0.5, b), (1, c))
    assert train_loss(found, u=0.5, v=1) == pytest.approx(loss_of(between, data), rel=1e-5)


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


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("make", [mlp, with_batchnorm])
def test_a_direction_from_a_file_is_followed_as_it_is(make, align, data, tmp_path):
    torch.manual_seed(5)
    direction = {name: torch.randn_like(p) for name, p in make().named_parameters()}
    torch.save(direction, tmp_path / "direction.pt")
    item = {"kind": "file", "file": tmp_path / "direction.pt"}
    found = scan(make(), data, directions=item, axes=LINE, align=align)
    for a in (-1, 1):
        expected = loss_of(moved(make(), [direction], [a]), data)
        assert train_loss(found, a=a) == pytest.approx(expected, rel=1e-5)


# Paths.


@pytest.mark.parametrize("to", [mlp(1), mlp(1).state_dict(), {"to": mlp(1), "kind": "linear"}])
def test_a_path_leads_to_the_other_model(to, data):
    found = scan(mlp(), data, path=to, axes={"t": (-0.5, 1, 4)})
    for t in (-0.5, 0, 0.5, 1):
        expected = loss_of(mix((1 - t, mlp()), (t, mlp(1))), data)
        assert train_loss(found, t=t) == pytest.approx(expected, rel=1e-5)
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
        assert train_loss(first, t=t) == pytest.approx(loss_of(model, data), rel=1e-5)
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


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_leads_to_a_file(kind, data, tmp_path):
    torch.save(mlp(1).state_dict(), tmp_path / "other.pt")
    found = scan(mlp(), data, path=kind(tmp_path / "other.pt"), axes={"t": (0, 1, 3)})
    there = scan(mlp(), data, path=mlp(1), axes={"t": (0, 1, 3)})
    np.testing.assert_allclose(found["loss"], there["loss"], rtol=1e-6)


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
        losses[policy] = train_loss(found, t=0.25)
        assert losses[policy] == pytest.approx(loss_of(model, data), rel=1e-5)
    assert len({round(loss, 4) for loss in losses.values()}) == 3
    few = {"policy": "reestimated", "samples": 12, "batch": 5}
    found = scan(with_batchnorm(), data, path=with_batchnorm(1), batchnorm=few, axes=axes)
    again = reestimated(middle, data[0][:12], 5)
    assert train_loss(found, t=0.25) == pytest.approx(loss_of(again, data), rel=1e-5)


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


# Workers.


@pytest.mark.usefixtures("ray_here")
def test_workers_give_the_same_path(data):
    path = {"to": mlp(1), "kind": "polygon", "training": {"steps": 20}}
    axes = {"t": (0, 1, 9)}
    here = scan(mlp(), data, path=path, axes=axes, dtype="float64")
    there = scan(mlp(), data, path=path, axes=axes, dtype="float64", workers=2)
    np.testing.assert_allclose(there["loss"], here["loss"], rtol=1e-12)
