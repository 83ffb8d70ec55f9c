"""Gradients, Hessian products and eigenpairs against dense derivatives and known spectra."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from schemas.errors import SpecError
from tasks import curvature
from tasks.batchnorm import Reestimation
from tasks.curvature import extreme_eigenpairs, hessian_product, mean_loss_gradient
from tasks.objective import EmpiricalRisk, Split, cross_entropy, per_sample, squared_error


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small_net(activation=nn.Tanh):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 9), activation(), nn.Linear(9, 3))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.3, batch_first=True)
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        return self.out(self.layer(x[:, None, :].expand(-1, 3, -1)).mean(dim=1))


def risk_of(model, samples=23, loss=cross_entropy):
    torch.manual_seed(1)
    data = Split(torch.randn(samples, 4), torch.randint(0, 3, (samples,)))
    other = Split(torch.randn(8, 4), torch.randint(0, 3, (8,)))
    return EmpiricalRisk(model, loss, {"train": data, "test": other})


def origin_of(model):
    return {name: p.detach().double() + 0.01 for name, p in model.named_parameters()}


def dense(objective, split, origin, names):
    """Gradient (n,) and Hessian (n, n) of the mean loss, by torch's own whole derivatives."""
    module = objective.module.double().eval()
    data = objective.splits[split]
    sizes = [origin[name].numel() for name in names]

    def mean_loss(vector):
        parts = torch.split(vector, sizes)
        moved = {n: p.reshape(origin[n].shape) for n, p in zip(names, parts, strict=True)}
        with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
            outputs = functional_call(module, {**origin, **moved}, (data.inputs.double(),))
        return per_sample(objective.loss, outputs, data.targets).mean()

    start = torch.cat([origin[name].reshape(-1) for name in names])
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        slope = torch.autograd.functional.jacobian(mean_loss, start)
        bend = torch.autograd.functional.hessian(mean_loss, start)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    return slope.numpy(), bend.numpy()


def flat(named):
    return torch.cat([tensor.reshape(-1) for tensor in named.values()]).numpy()


@pytest.mark.parametrize("blocks", [1, 4])
@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("model", [small_net(), small_net(nn.ReLU), Attention()])
def test_gradient_and_products_are_those_of_the_dense_hessian(monkeypatch, model, split, blocks):
    objective = risk_of(model)
    origin = origin_of(model)
    if blocks > 1:
        samples = -(-len(objective.splits[split]) // blocks)
        monkeypatch.setattr(curvature, "_block_samples", lambda *_: samples)
    names = [name for name in origin if "bias" not in name]
    found = flat(mean_loss_gradient(objective, split, origin, names))
    product = hessian_product(objective, split, origin, names)
    vectors = np.random.default_rng(0).standard_normal((3, len(found)))
    images = [product(vector) for vector in vectors]
    slope, bend = dense(objective, split, origin, names)
    assert found == pytest.approx(slope, rel=0, abs=1e-14)
    assert np.stack(images) == pytest.approx(vectors @ bend, rel=0, abs=1e-13)
    assert np.abs(vectors @ bend).max() > 1e-2


@pytest.mark.parametrize("loss", [cross_entropy, squared_error])
@pytest.mark.parametrize("layers", ["all", "0.*"])
def test_eigenpairs_are_those_of_the_dense_hessian(loss, layers):
    model = small_net()
    objective, origin = risk_of(model, loss=loss), origin_of(model)
    names = [name for name in origin if layers == "all" or name.startswith("0.")]
    pairs = extreme_eigenpairs(objective, "train", origin, names, 3, 2)
    bend = dense(objective, "train", origin, names)[1]
    values, columns = np.linalg.eigh(bend)
    expected = [-1, -2, -3, 0, 1]
    assert pairs.values == pytest.approx(values[expected], rel=0, abs=1e-10)
    for vector, index in zip(pairs.vectors, expected, strict=True):
        assert list(vector) == names
        assert abs(flat(vector) @ columns[:, index]) == pytest.approx(1, abs=1e-6)
    # Of another point they are others.
    elsewhere = {name: tensor * 1.5 for name, tensor in origin.items()}
    other = extreme_eigenpairs(objective, "train", elsewhere, names, 1, 0)
    assert abs(other.values[0] - pairs.values[0]) > 1e-3


class Bowl(nn.Module):
    """½ wᵀAw with a known A; more rows than are formed as a whole."""

    def __init__(self, eigenvalues):
        super().__init__()
        n = len(eigenvalues)
        turn = np.linalg.qr(np.random.default_rng(3).standard_normal((n, n)))[0]
        self.register_buffer("matrix", torch.from_numpy((turn * eigenvalues) @ turn.T))
        self.weight = nn.Parameter(torch.zeros(n, dtype=torch.float64))

    def forward(self, x):
        return (0.5 * self.weight @ self.matrix @ self.weight).expand(len(x), 1)


def bowl(eigenvalues):
    model = Bowl(eigenvalues)
    data = {"train": Split(torch.zeros(5, 1), torch.zeros(5))}
    return EmpiricalRisk(model, lambda outputs, _: outputs[:, 0], data), origin_of(model)


def test_the_spectrum_of_a_quadratic_is_known():
    objective, origin = bowl(np.r_[-1.5, np.zeros(120), np.linspace(0.1, 2.0, 29), 4.33])
    pairs = extreme_eigenpairs(objective, "train", origin, ["weight"], 2, 1)
    assert pairs.values == pytest.approx([4.33, 2.0, -1.5], rel=0, abs=1e-9)
    matrix = objective.module.matrix
    for value, vector in zip(pairs.values, pairs.vectors, strict=True):
        assert torch.allclose(matrix @ vector["weight"], value * vector["weight"], atol=1e-7)


def test_blocks_are_small_where_a_sample_takes_much_memory(monkeypatch):
    wide = nn.Sequential(nn.Linear(4, 500), nn.Tanh(), nn.Linear(500, 3))
    data = risk_of(wide).splits["train"]
    double = wide.double()
    # The inputs, and what Tanh and the second layer keep: the 500 values that Tanh gives.
    per_one = 8 * (4 + 500)
    room = curvature._block_samples(double, data)
    assert room == curvature._BLOCK_BYTES // (curvature._SECOND_ORDER_COPIES * per_one)
    monkeypatch.setattr(curvature, "_BLOCK_BYTES", 1)
    assert curvature._block_samples(double, data) == 1


def test_the_module_given_is_not_changed():
    model = small_net().train()
    before = {name: p.clone() for name, p in model.state_dict().items()}
    objective = risk_of(model)
    hessian_product(objective, "train", origin_of(model), ["0.weight"])(np.ones(36))
    mean_loss_gradient(objective, "train", origin_of(model), ["0.weight"])
    assert model.training
    assert all(p.dtype == torch.float32 and p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], p) for name, p in model.state_dict().items())


def test_reestimated_statistics_are_those_of_the_point():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3))
    objective, origin = risk_of(model), origin_of(model)
    inputs = objective.splits["train"].inputs
    anew = EmpiricalRisk(model, cross_entropy, objective.splits, Reestimation(inputs, len(inputs)))
    names = ["3.weight"]
    found = mean_loss_gradient(anew, "train", origin, names)
    hidden = inputs.double() @ origin["0.weight"].T + origin["0.bias"]
    with torch.no_grad():
        model[1].running_mean.copy_(hidden.mean(0))
        model[1].running_var.copy_(hidden.var(0))
    expected = mean_loss_gradient(objective, "train", origin, names)
    assert torch.allclose(found["3.weight"], expected["3.weight"], rtol=1e-5)
    with torch.no_grad():
        model[1].running_var.fill_(1.0)
    stored = mean_loss_gradient(objective, "train", origin, names)
    assert not torch.allclose(found["3.weight"], stored["3.weight"], rtol=1e-2)


def test_a_parameter_that_the_loss_does_not_depend_on_has_no_slope_and_no_curvature():
    model = small_net()
    model.register_parameter("unused", nn.Parameter(torch.ones(2)))
    objective, origin = risk_of(model), origin_of(model)
    assert not mean_loss_gradient(objective, "train", origin, ["unused"])["unused"].any()
    assert not hessian_product(objective, "train", origin, ["unused"])(np.ones(2)).any()


def test_what_cannot_be_differentiated_is_said_in_one_line():
    model = small_net()
    objective, origin = risk_of(model), origin_of(model)
    with pytest.raises(SpecError, match="split: got 'tset'; expected one of train, test; did you"):
        mean_loss_gradient(objective, "tset", origin, ["0.weight"])
    with pytest.raises(SpecError, match=r"36 \+ 1 eigenvectors of a Hessian of 36 rows"):
        extreme_eigenpairs(objective, "train", origin, ["0.weight"], 36, 1)
    broken = {**origin, "0.weight": torch.full_like(origin["0.weight"], torch.inf)}
    with pytest.raises(SpecError, match="gradient of the train loss is not finite"):
        mean_loss_gradient(objective, "train", broken, ["2.weight"])
    with pytest.raises(SpecError, match="Hessian of the train loss is not finite"):
        extreme_eigenpairs(objective, "train", broken, list(origin), 1, 0)
