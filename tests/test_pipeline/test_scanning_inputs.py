"""`scan` of data, axes, outputs and losses of every form, and what is refused."""

from collections import namedtuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from pipeline import scan
from schemas import SpecError
from tests.straight import classes, loss_of, mlp, train_loss, with_batchnorm

LINE = {"a": (-1, 1, 3)}
PLANE = {"a": (0, 1, 3), "b": (-1, 1, 3)}


@pytest.fixture
def data():
    return classes()


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
    ends = [train_loss(found, a=a, b=0) for a in found["a"].values[[0, -1]]]
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
    assert train_loss(found, a=0) == pytest.approx(loss_of(mlp(), data), rel=1e-5)
    hits = (mlp()(data[0]).argmax(dim=1) == data[1]).double().mean().item()
    assert found["accuracy"].sel(split="train", a=0).item() == pytest.approx(hits)


def test_another_output_gives_another_loss(data):
    model = Telling(lambda f, y: (f, y)).eval()
    features = scan(model, data, axes=LINE, output=0)
    assert train_loss(features, a=0) != pytest.approx(loss_of(mlp(), data), rel=1e-2)


def test_a_language_model_predicts_the_next_token():
    torch.manual_seed(4)
    model = nn.Sequential(nn.Embedding(7, 5), nn.Tanh(), nn.Linear(5, 7)).eval()
    tokens = torch.randint(0, 7, (12, 6))

    def shifted(outputs, targets):
        return functional.cross_entropy(outputs[:, :-1].flatten(0, 1), targets[:, 1:].flatten())

    for form in (tokens, (tokens, tokens)):
        found = scan(model, form, loss="next_token", axes=LINE, metrics=("loss", "accuracy"))
        expected = loss_of(model, (tokens, tokens), shifted)
        assert train_loss(found, a=0) == pytest.approx(expected, rel=1e-5)
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
        (mlp, {"trajectories": {"sgd": []}}, r"trajectories\.sgd: got \[\]; expected 1 or more"),
        (mlp, {"trajectories": mlp(1)}, "trajectories: got Sequential; expected a mapping"),
        (mlp, {"path": [mlp(1)]}, r"path: got \[Sequential\(.*; expected a mapping"),
        (mlp, {"path": "nowhere.pt", "axes": LINE}, r"no file 'nowhere\.pt'"),
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
    assert train_loss(scan(model, data, axes=LINE), a=0) == pytest.approx(
        loss_of(model, data), rel=1e-5
    )


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
