"""Mistakes that surveys of loss landscapes have been found to make, and that must not occur here.

One section a mistake, through the real scan; the controls show what the mistake would look like.
"""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pipeline import run, scan
from pipeline.ledger import Ledger, ShardReport
from pipeline.running import run_built
from schemas import parse_spec
from schemas.layout import ShardStatus
from tasks.landscape import Landscape
from tasks.objective import ClosedForm
from tasks.section import coordinate_section
from tests.straight import loss_of, moved, section_of

# Neither square nor symmetric, in several chunks, and with another curvature along each axis.
X, Y = np.linspace(-1, 1, 7), np.linspace(-1, 2, 4)
KNOWN = (X[:, None] - 0.25) ** 2 + 3 * (Y[None, :] - 0.75) ** 2 - 2


@pytest.fixture(scope="module")
def bowl(tmp_path_factory):
    """Losses (7, 4) of a quadratic, as stored."""
    store = tmp_path_factory.mktemp("bowl") / "scan.zarr"
    spec = {
        "task": "quadratic",
        "parameters": {"curvature": [1, 3], "centre": [0.25, 0.75], "offset": -2},
        "axes": {
            "x": {"start": -1, "stop": 1, "num": 7},
            "y": {"start": -1, "stop": 2, "num": 4},
        },
        "splits": ["train"],
        "chunks": {"x": 3, "y": 3},
        "compute": {"workers": 0, "dtype": "float64"},
        "store": str(store),
    }
    run(parse_spec(spec))
    return xr.open_zarr(store)["loss"].sel(split="train").load()


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).eval()


def normalised_net():
    """A network with batch normalisation whose statistics and weights are not those of a new one;
    its biases are zero."""
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    net(torch.randn(64, 5) * 2 + 1)
    with torch.no_grad():
        net[1].running_var.mul_(0.3)
        net[1].weight.uniform_(0.5, 1.5)
    return net.eval()


def samples(count=60):
    torch.manual_seed(2)
    return torch.randn(count, 5), torch.randint(0, 3, (count,))


# Odd rows of a serpentine walk that start at the wrong end.


def test_every_row_starts_at_the_same_end(bowl):
    np.testing.assert_allclose(bowl, KNOWN, rtol=1e-14, atol=1e-14)
    serpentine = KNOWN.copy()
    serpentine[1::2] = serpentine[1::2, ::-1]
    assert not np.allclose(bowl, serpentine)


# Non-square grids that are stored transposed.


def test_the_first_axis_is_the_first_dimension(bowl):
    assert bowl.dims == ("x", "y")
    assert bowl.shape == (7, 4)
    for at in ((0, 0), (0, 3), (6, 0), (6, 3), (2, 1)):
        assert bowl.sel(x=X[at[0]], y=Y[at[1]]).item() == pytest.approx(KNOWN[at])
    refilled = KNOWN.T.reshape(KNOWN.shape)
    assert not np.allclose(bowl, refilled)


def test_swapped_axes_are_swapped_dimensions():
    ahead = {"0.weight": torch.ones(8, 5)}
    aside = {"2.bias": torch.tensor([3.0, 0.0, -1.0])}
    one = scan(mlp(), samples(), directions=[ahead, aside], axes={"a": (-1, 1, 5), "b": (0, 2, 3)})
    two = scan(mlp(), samples(), directions=[aside, ahead], axes={"b": (0, 2, 3), "a": (-1, 1, 5)})
    np.testing.assert_allclose(one["loss"], two["loss"].transpose("split", "a", "b"), rtol=1e-5)
    assert not np.allclose(one["loss"], two["loss"].values.reshape(1, 5, 3), rtol=1e-3)


# Steps that are added up: they drift, and never sample the centre.


@pytest.mark.parametrize("number", [3, 51, 101, 1001])
def test_the_centre_and_the_ends_are_sampled_exactly(number):
    direction = {"2.bias": torch.tensor([1.0, 0.0, 0.0])}
    data = samples(4)
    found = scan(
        mlp(), data, directions=[direction], axes={"a": (-1.1, 1.1, number)}, dtype="float64"
    )
    along = found["a"].values
    assert along[number // 2] == 0.0
    assert (along[0], along[-1]) == (-1.1, 1.1)
    np.testing.assert_array_equal(along, -along[::-1])
    for at in (0, number // 2, -1):
        expected = loss_of(moved(mlp(), [direction], [along[at]]), data)
        assert found["loss"].values[0, at] == pytest.approx(expected, rel=1e-14)


def test_added_up_steps_would_miss_the_centre():
    walked = np.cumsum([-1.1, *[2.2 / 100] * 100])
    assert 0 not in walked


# Losses of zero or less that are taken for missing, and computed again at every continuation.


class Recorded:
    """A loss that is negative, zero and positive, and notes each point in a file."""

    def __init__(self, path):
        self.path = path

    def __call__(self, theta):
        with self.path.open("a") as file:
            file.writelines(f"{x}\n" for x in theta[:, 0].tolist())
        return theta[:, 0]

    def points(self):
        return [float(line) for line in self.path.read_text().splitlines()]


def test_a_continued_scan_computes_what_is_missing_and_nothing_else(tmp_path):
    loss, store = Recorded(tmp_path / "points"), tmp_path / "scan.zarr"
    raw = {
        "task": "recorded",
        "axes": {"a": {"start": -4, "stop": 4, "num": 9}},
        "splits": ["train"],
        "chunks": {"a": 3},
        "compute": {"workers": 0, "dtype": "float64", "batch": 1},
    }
    spec = parse_spec(raw)

    def build():
        return [Landscape(ClosedForm({"train": loss}), coordinate_section(1))]

    run_built(spec, store, build)
    whole = xr.open_zarr(store)["loss"].load()
    assert (whole <= 0).sum() == 5
    before = len(loss.points())
    assert run_built(spec, store, build).plan is None
    assert len(loss.points()) == before
    ledger = Ledger(store)
    ledger.record(ShardReport(1, ShardStatus.DAMAGED, 1))
    ledger.flush()
    run_built(spec, store, build)
    # The plan is calibrated on the first point; of the others only those lost are computed again.
    assert [x for x in loss.points()[before:] if x != -4] == [-1, 0, 1]
    xr.testing.assert_identical(xr.open_zarr(store)["loss"].load(), whole)


# Noise that is added at the maximum, and NaN that is stored as the mean.


def test_the_maximum_is_exact_and_nan_stays_nan(tmp_path):
    spec = {
        "task": "quadratic",
        "parameters": {"nan_above": 0.5, "infinite_below": -0.9, "offset": 1},
        "axes": {"x": {"start": -1, "stop": 1, "num": 9}, "y": {"start": 0, "stop": 3, "num": 5}},
        "splits": ["train"],
        "compute": {"workers": 0, "dtype": "float64"},
        "store": str(tmp_path / "scan.zarr"),
    }
    run(parse_spec(spec))
    loss = xr.open_zarr(tmp_path / "scan.zarr")["loss"].sel(split="train").load()
    x, y = loss["x"].values[:, None], loss["y"].values[None, :]
    expected = np.where(x > 0.5, np.nan, np.where(x < -0.9, np.inf, 1 + x**2 + y**2))
    np.testing.assert_array_equal(loss, expected)
    finite = loss.where(np.isfinite(loss))
    assert finite.max().item() == 1 + 0.75**2 + 3.0**2
    assert np.isnan(expected).sum() == 10
    assert not np.isclose(finite.mean().item(), expected[0, 0])


# A network that is never perturbed at all, so that its surface is flat.


class Rebuilding(nn.Module):
    """A module whose forward passes its weights on to functions instead of calling layers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.parts = nn.ParameterList([torch.randn(8, 5), torch.randn(3, 8)])

    def forward(self, x):
        for weight in self.parts:
            x = nn.functional.linear(x, weight).tanh()
        return x


class Tied(nn.Module):
    """A module that uses one tensor under two names."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.encode, self.decode = nn.Linear(5, 5), nn.Linear(5, 5)
        self.decode.weight = self.encode.weight

    def forward(self, x):
        return self.decode(self.encode(x).tanh())


def reparametrised():
    torch.manual_seed(5)
    return nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(5, 8)), nn.Tanh(), nn.Linear(8, 3)
    ).eval()


@pytest.mark.parametrize("make", [mlp, Rebuilding, Tied, reparametrised, normalised_net])
def test_every_network_is_perturbed_as_it_says(make, tmp_path):
    model, data = make(), samples()
    found = scan(
        model, data, directions="filter", axes={"a": (-1, 1, 3), "b": (0, 1, 2)},
        store=tmp_path / "scan.zarr", batchnorm="stored" if make is normalised_net else None,
    )  # fmt: skip
    directions = section_of(tmp_path / "scan.zarr")[1]
    loss = found["loss"].sel(split="train").load()
    for a, b in ((-1, 0), (1, 0), (0, 1), (1, 1)):
        expected = loss_of(moved(model, directions, (a, b)), data)
        assert loss.sel(a=a, b=b).item() == pytest.approx(expected, rel=1e-5)
        assert abs(expected - loss_of(model, data)) > 1e-3


# Batch normalisation's running statistics that are perturbed, or reset.


def test_running_statistics_stay_those_of_the_checkpoint(tmp_path):
    model, data = normalised_net(), samples()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    axes = {"a": (-1, 1, 5), "b": (-1, 1, 5)}
    found = scan(model, data, directions="random", axes=axes, store=tmp_path / "scan.zarr")
    loss = found["loss"].sel(split="train").load()
    assert np.isfinite(loss).all()
    directions = section_of(tmp_path / "scan.zarr")[1]
    assert not any("running" in name for direction in directions for name in direction)
    there = moved(model, directions, (0.5, -1))
    assert loss.sel(a=0.5, b=-1).item() == pytest.approx(loss_of(there, data), rel=1e-5)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    # What the mistakes would give instead.
    with torch.no_grad():
        there[1].reset_running_stats()
        assert loss.sel(a=0.5, b=-1).item() != pytest.approx(loss_of(there, data), rel=1e-2)
        there[1].running_var.sub_(2)
        assert np.isnan(loss_of(there, data))


# Division by the norm of a direction that has none, where the bias of a layer is zero.


@pytest.mark.parametrize("ignore", ["biasbn", "nothing"])
def test_zero_biases_do_not_disturb_filter_normalisation(ignore, tmp_path):
    model = normalised_net()
    with torch.no_grad():
        model[0].bias.zero_()
        model[0].weight[3] = 0
    assert not model[1].bias.any()
    direction = {"kind": "filter", "ignore": ignore}
    found = scan(
        model, samples(), directions=direction, axes={"a": (-1, 1, 3), "b": (-1, 1, 3)},
        store=tmp_path / "scan.zarr",
    )  # fmt: skip
    assert np.isfinite(found["loss"]).all()
    for direction in section_of(tmp_path / "scan.zarr")[1]:
        weight = direction["0.weight"]
        expected = model[0].weight.detach().double().norm(dim=1)
        torch.testing.assert_close(weight.norm(dim=1), expected)
        assert not weight[3].any()
        assert ("1.weight" in direction) == (ignore == "nothing")
        assert not direction.get("1.bias", torch.zeros(1)).any()


def test_a_norm_taken_filter_by_filter_after_the_whole_would_divide_by_zero():
    draw, bias = torch.randn(8), torch.zeros(8)
    draw = draw * (bias.norm() / draw.norm())
    with pytest.raises(ZeroDivisionError):
        _ = [abs(float(b)) / abs(float(d)) for b, d in zip(bias, draw, strict=True)]


# A default number of batches after which the loss is silently taken to be known.


@pytest.mark.parametrize("wrap", [DataLoader, lambda data, batch_size: data])
def test_all_of_the_data_counts(wrap):
    inputs, targets = samples(200)
    loader = wrap(TensorDataset(inputs, targets), batch_size=10)
    found = scan(mlp(), loader, axes={"a": (0, 1, 2)})["loss"].sel(split="train", a=0).item()
    assert found == pytest.approx(loss_of(mlp(), (inputs, targets)), rel=1e-5)
    assert found != pytest.approx(loss_of(mlp(), (inputs[:80], targets[:80])), rel=1e-3)


def test_a_last_batch_that_is_shorter_counts_by_its_samples():
    inputs, targets = samples(11)
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=10)
    found = scan(mlp(), loader, axes={"a": (0, 1, 2)})["loss"].sel(split="train", a=0).item()
    parts = [loss_of(mlp(), (inputs[rows], targets[rows])) for rows in (slice(10), slice(10, 11))]
    assert found == pytest.approx(loss_of(mlp(), (inputs, targets)), rel=1e-5)
    assert found != pytest.approx(np.mean(parts), rel=1e-3)


# A range that is inverted: a greater one reaches less far.


def test_a_range_twice_as_long_reaches_twice_as_far():
    direction = {"0.weight": torch.ones(8, 5), "2.bias": torch.tensor([1.0, 0.0, -1.0])}
    data = samples()
    for stop in (0.5, 1.0, 2.0):
        found = scan(
            mlp(), data, directions=[direction], axes={"a": (0, stop, 3)}, dtype="float64"
        )["loss"].sel(split="train")
        expected = loss_of(moved(mlp(), [direction], [stop]), data)
        assert found.sel(a=stop).item() == pytest.approx(expected, rel=1e-12)
        if stop != 1:
            inverted = loss_of(moved(mlp(), [direction], [1 / stop]), data)
            assert found.sel(a=stop).item() != pytest.approx(inverted, rel=1e-3)


def test_an_axis_may_run_backwards():
    found = scan(mlp(), samples(), axes={"a": (1, -1, 5)}, seed=3)
    other = scan(mlp(), samples(), axes={"a": (-1, 1, 5)}, seed=3)
    assert found["a"].values[0] == 1
    np.testing.assert_allclose(found["loss"][:, ::-1], other["loss"], rtol=1e-6)


# Lanczos with so few iterations that its eigenvalues are not those of the Hessian.


def dense_hessian(model, data):
    inputs, targets = data[0].double(), data[1]
    own = model.double()
    names, tensors = zip(*own.named_parameters(), strict=True)
    sizes = [tensor.numel() for tensor in tensors]
    shapes = [tensor.shape for tensor in tensors]

    def loss(flat):
        parts = torch.split(flat, sizes)
        named = {n: p.reshape(s) for n, p, s in zip(names, parts, shapes, strict=True)}
        outputs = torch.func.functional_call(own, named, (inputs,))
        return nn.functional.cross_entropy(outputs, targets)

    flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors])
    return torch.autograd.functional.hessian(loss, flat)


def few_iterations(matrix, iterations):
    """The greatest eigenvalue in a Krylov space of so many dimensions."""
    vector = torch.ones(len(matrix), dtype=matrix.dtype)
    powers = [vector]
    for _ in range(iterations - 1):
        powers.append(matrix @ powers[-1])
    basis = torch.linalg.qr(torch.stack(powers, dim=1)).Q
    return torch.linalg.eigvalsh(basis.T @ matrix @ basis)[-1].item()


def test_extreme_eigenvalues_are_those_of_the_hessian(tmp_path):
    data = samples()
    names = ("hessian_eigenvalue_min", "hessian_eigenvalue_max")
    found = scan(
        mlp(), data, directions={"kind": "hessian", "top": 1}, axes={"a": (-1, 1, 3)},
        metrics=("loss", "section_hessian", *names), dtype="float64",
    ).sel(split="train", a=0)  # fmt: skip
    matrix = dense_hessian(mlp(), data)
    values = torch.linalg.eigvalsh(matrix)
    assert found[names[0]].item() == pytest.approx(values[0].item(), rel=1e-6)
    assert found[names[1]].item() == pytest.approx(values[-1].item(), rel=1e-6)
    along = found["section_hessian"].sel(axis="a", axis_other="a").item()
    assert along == pytest.approx(values[-1].item(), rel=1e-6)
    assert few_iterations(matrix, 2) < 0.98 * values[-1].item()
