"""Bends trained between two checkpoints: known valleys, real networks, and what must not change."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from schemas import SpecError, WorkError
from tasks.batchnorm import statistics_as_parameters
from tasks.data import digits, stratified
from tasks.objective import EmpiricalRisk, Split, cross_entropy, squared_error
from tasks.paths.charts import path_chart
from tasks.paths.parameters import PathParameters
from tasks.paths.train import STEP, straight_bends, train_bends
from tasks.registry import silent


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def settings(kind="bezier", bends=1, **training):
    return PathParameters.model_validate({"kind": kind, "bends": bends, "training": training})


def trained(objective, ends, asked, *, seed=0, cache=None, progress=silent, split="train"):
    return train_bends(objective, split, ends, asked, seed=seed, cache=cache, progress=progress)


def same(left, right):
    return all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(left, right, strict=True)
    )


class Valley(nn.Module):
    """θ ∈ R² → θ₂ − θ₁² for every sample: its square is 0 along a parabola."""

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(2))

    def forward(self, inputs):
        return (self.theta[1] - self.theta[0].square()).expand(len(inputs), 1)


VALLEY_ENDS = ({"theta": torch.tensor([-1.0, 1.0])}, {"theta": torch.tensor([1.0, 1.0])})


def risk(module, width=1):
    zeros = torch.zeros(8, width)
    return EmpiricalRisk(module, squared_error, {"train": Split(zeros, zeros)})


# The Bézier curve is the parabola y = x²; of polygons, ∫ (y − x²)² dx is least with y(0) = −1/4.
@pytest.mark.parametrize(
    ("kind", "wanted", "least"), [("bezier", -1.0, 0.0), ("polygon", -0.25, 1 / 80)]
)
def test_a_known_valley_is_followed(kind, wanted, least):
    asked = settings(kind, steps=1000, learning_rate=0.03)
    (bend,), facts = trained(risk(Valley()), VALLEY_ENDS, asked)
    assert bend["theta"].dtype == torch.float64
    assert bend["theta"].tolist() == pytest.approx([0.0, wanted], abs=0.06)
    assert facts["loss_last"] == pytest.approx(least, abs=0.005)
    assert facts["loss_first"] > 0.05
    assert facts["length"] > facts["distance"] == pytest.approx(2.0)


class Bowl(nn.Module):
    """Outputs steepness · (θ − (4, 0)), so that the squared error is ½ ‖…‖²; `fixed` is unused."""

    def __init__(self, steepness):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(2))
        self.fixed = nn.Parameter(torch.zeros(2), requires_grad=False)
        self.steepness = steepness

    def forward(self, inputs):
        offset = self.theta - torch.tensor([4.0, 0.0])
        return self.steepness * offset.expand(len(inputs), 2)


BOWL_ENDS = tuple(
    {"theta": torch.tensor(theta), "fixed": torch.tensor([3.0, float(end)])}
    for end, theta in enumerate(([1.0, 0.0], [0.0, 2.0]))
)


# ∫ ‖(1−t)²a + 2t(1−t)b + t²c − q‖² dt is least at b = q − ¾ (a + c − 2q), and λ/2 ‖θ‖² moves the
# lowest point of ½ ‖θ − p‖² to q = p/(1 + λ). A penalty of the bend alone has its least at b = 0.
@pytest.mark.parametrize(
    ("steepness", "decay", "wanted"),
    [(0, 1.0, [-0.75, -1.5]), (1, 0.0, [9.25, -1.5]), (1, 1.0, [4.25, -1.5])],
)
def test_the_penalty_is_that_of_the_whole_path(steepness, decay, wanted):
    asked = settings(steps=1000, weight_decay=decay, learning_rate=0.05)
    (bend,), _ = trained(risk(Bowl(steepness), 2), BOWL_ENDS, asked)
    assert bend["theta"].tolist() == pytest.approx(wanted, abs=0.5)


def test_without_a_slope_or_a_penalty_nothing_moves():
    asked = settings(steps=20)
    assert same(trained(risk(Bowl(0), 2), BOWL_ENDS, asked)[0], straight_bends(BOWL_ENDS, 1))
    assert not same(trained(risk(Bowl(1), 2), BOWL_ENDS, asked)[0], straight_bends(BOWL_ENDS, 1))


def test_a_parameter_that_the_module_holds_fixed_stays_on_the_line():
    asked = settings(steps=20, weight_decay=1.0)
    (bend,), _ = trained(risk(Bowl(0), 2), BOWL_ENDS, asked)
    assert bend["fixed"].tolist() == [3.0, 0.5]
    assert bend["theta"].tolist() != [0.5, 1.0]
    frozen = Bowl(0).requires_grad_(False)
    (bend,), _ = trained(risk(frozen, 2), BOWL_ENDS, asked)
    assert bend["fixed"].tolist() != [3.0, 0.5]


def network(seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def fit(seed, data):
    module, generator = network(seed), torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(20):
        for batch in torch.randperm(len(data), generator=generator).split(128):
            optimiser.zero_grad()
            functional.cross_entropy(module(data.inputs[batch]), data.targets[batch]).backward()
            optimiser.step()
    return {name: tensor.detach() for name, tensor in module.named_parameters()}


@pytest.fixture(scope="module")
def data():
    return stratified(digits(), 0)[0].split(flat=True)


@pytest.fixture(scope="module")
def minima(data):
    return [fit(seed, data) for seed in range(4)]


def losses_along(kind, bends, ends, data):
    """Train loss at 17 points of the path, float64."""
    first, *others = [{n: t.double() for n, t in point.items()} for point in (ends[0], *bends)]
    others.append({name: tensor.double() for name, tensor in ends[1].items()})
    found = []
    for weights in path_chart(kind, len(bends)).coordinates(np.linspace(0, 1, 17)[:, None]):
        point = {
            name: start
            + sum(float(w) * (p[name] - start) for w, p in zip(weights, others, strict=True))
            for name, start in first.items()
        }
        with torch.no_grad():
            outputs = functional_call(network(0).double(), point, (data.inputs.double(),))
        found.append(functional.cross_entropy(outputs, data.targets).item())
    return np.array(found)


def barrier(losses):
    return losses.max() - max(losses[0], losses[-1])


@pytest.mark.parametrize("kind", ["bezier", "polygon"])
@pytest.mark.parametrize("pair", [(0, 1), (2, 3), (0, 3)])
def test_a_trained_curve_joins_two_minima_that_a_line_does_not(kind, pair, minima, data):
    ends = tuple(minima[which] for which in pair)
    objective = EmpiricalRisk(network(0), cross_entropy, {"train": data})
    line = losses_along("linear", [], ends, data)
    assert barrier(line) > 0.15
    bends, facts = trained(objective, ends, settings(kind, epochs=20), seed=pair[1])
    curve = losses_along(kind, bends, ends, data)
    assert barrier(curve) < 0.25 * barrier(line)
    assert curve.max() < 0.4 * line.max()
    assert curve[[0, -1]] == pytest.approx(line[[0, -1]], rel=1e-12)
    assert facts["loss_last"] < facts["loss_first"]
    assert facts["length"] > facts["distance"]


@pytest.mark.parametrize("kind", ["bezier", "polygon"])
def test_an_untrained_curve_is_the_line_with_its_barrier(kind, minima, data):
    ends = (minima[0], minima[1])
    objective = EmpiricalRisk(network(0), cross_entropy, {"train": data})
    bends, facts = trained(objective, ends, settings(kind, bends=2, epochs=0))
    assert same(bends, straight_bends(ends, 2))
    curve = losses_along(kind, bends, ends, data)
    line = losses_along("linear", [], ends, data)
    assert np.abs(curve - line).max() < 1e-12
    assert barrier(curve) > 0.15
    assert facts["length"] == pytest.approx(facts["distance"], rel=1e-12)
    assert facts["steps"] == 0
    assert "loss_first" not in facts


def test_a_linear_path_has_no_bends_and_needs_no_data(minima):
    asked = PathParameters(kind="linear")
    bends, facts = trained(EmpiricalRisk(network(0), cross_entropy, {}), minima[:2], asked)
    assert bends == []
    assert facts["length"] == pytest.approx(facts["distance"], rel=1e-12)


class Normalised(nn.Module):
    """Batch normalisation, dropout, and a buffer that it writes at each call."""

    def __init__(self, dropout=0.5, noise=0.0):
        super().__init__()
        self.first, self.norm = nn.Linear(4, 8), nn.BatchNorm1d(8)
        self.dropout, self.last = nn.Dropout(dropout), nn.Linear(8, 3)
        self.noise = noise
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, inputs):
        self.calls += 1
        hidden = self.dropout(self.norm(self.first(inputs)).relu())
        return self.last(hidden) + self.noise * torch.randn(3)


def normalised(samples=24, **kinds):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = Normalised(**kinds).train()
        inputs, targets = torch.randn(samples, 4), torch.randint(0, 3, (samples,))
        ends = tuple(
            {name: torch.randn_like(p) for name, p in module.named_parameters()} for _ in range(2)
        )
    return EmpiricalRisk(module, cross_entropy, {"train": Split(inputs, targets)}), ends


SHORT = settings(epochs=4, batch_size=8)


def test_training_changes_neither_the_module_nor_any_global_state():
    objective, ends = normalised(noise=0.1)
    before = copy.deepcopy(objective.module.state_dict())
    given = copy.deepcopy(ends)
    rng = torch.get_rng_state()
    torch.set_num_threads(2)
    bends, _ = trained(objective, ends, SHORT)
    assert same([objective.module.state_dict()], [before])
    assert same(ends, given)
    assert all(part.training for part in objective.module.modules())
    assert all(p.requires_grad and p.grad is None for p in objective.module.parameters())
    assert torch.equal(torch.get_rng_state(), rng)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert not same(bends, straight_bends(ends, 1))


def test_batch_normalisation_uses_its_batch_and_not_the_running_statistics():
    objective, ends = normalised()
    wanted = trained(objective, ends, SHORT)[0]
    objective.module.norm.running_mean += 5
    assert same(trained(objective, ends, SHORT)[0], wanted)
    objective.module.norm.eps = 1.0
    assert not same(trained(objective, ends, SHORT)[0], wanted)


def test_running_statistics_that_the_ends_hold_stay_on_the_line():
    objective, ends = normalised()
    wanted, facts = trained(objective, ends, SHORT)
    moved = copy.deepcopy(objective.module)
    names = statistics_as_parameters(moved)
    both = tuple({**end, **{name: torch.rand(8) for name in names}} for end in ends)
    for frozen in (False, True):
        asked = EmpiricalRisk(moved.requires_grad_(not frozen), cross_entropy, objective.splits)
        (bend,), held = trained(asked, both, SHORT)
        assert same([{name: bend.pop(name) for name in names}], [pick(both, names)])
        assert same([bend], wanted)
        assert held == facts


def pick(ends, names):
    (middle,) = straight_bends(ends, 1)
    return {name: middle[name] for name in names}


def test_dropout_is_off():
    with_dropout, without = (trained(*normalised(dropout=p), SHORT)[0] for p in (0.9, 0.0))
    assert same(with_dropout, without)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_seed_alone_decides_the_bits(noise):
    objective, ends = normalised(noise=noise)
    wanted = trained(objective, ends, SHORT, seed=1)[0]
    torch.rand(3)
    assert same(trained(objective, ends, SHORT, seed=1)[0], wanted)
    assert not same(trained(objective, ends, SHORT, seed=2)[0], wanted)


class Count:
    """A progress that counts how often it is told of a training."""

    def __init__(self):
        self.told = 0

    def __call__(self, step, done, total, note=""):
        assert step == STEP
        assert done <= total
        assert note.startswith("loss ")
        self.told += 1


def trains_anew(objective, ends, asked, **more):
    count = Count()
    trained(objective, ends, asked, progress=count, **more)
    return count.told > 0


def test_what_is_cached_comes_back_to_the_bit_and_is_not_trained_again(tmp_path):
    objective, ends = normalised()
    fresh, facts = trained(objective, ends, SHORT)
    assert trains_anew(objective, ends, SHORT, cache=tmp_path)
    assert not trains_anew(objective, ends, SHORT, cache=tmp_path)
    kept, kept_facts = trained(objective, ends, SHORT, cache=tmp_path)
    assert same(kept, fresh)
    assert kept_facts == facts


def test_whatever_decides_the_bends_misses_the_cache(tmp_path):
    objective, ends = normalised(samples=400)
    asked = settings(epochs=2, batch_size=100)
    trained(objective, ends, asked, cache=tmp_path)
    assert not trains_anew(objective, ends, asked, cache=tmp_path)
    longer = settings(epochs=3, batch_size=100)
    assert trains_anew(objective, ends, longer, cache=tmp_path)
    assert trains_anew(
        objective, ends, settings("polygon", epochs=2, batch_size=100), cache=tmp_path
    )
    assert trains_anew(objective, ends, asked, cache=tmp_path, seed=1)
    assert trains_anew(objective, ends[::-1], asked, cache=tmp_path)
    data = objective.splits["train"]
    other = {"train": Split(data.inputs, torch.cat([data.targets[:-1], 2 - data.targets[-1:]]))}
    relabelled = EmpiricalRisk(objective.module, cross_entropy, other)
    assert trains_anew(relabelled, ends, asked, cache=tmp_path)
    held = copy.deepcopy(objective.module)
    held.first.requires_grad_(False)
    frozen = EmpiricalRisk(held, cross_entropy, objective.splits)
    assert trains_anew(frozen, ends, asked, cache=tmp_path)


def test_ends_of_the_same_losses_are_told_apart_in_the_cache(tmp_path):
    asked = settings(steps=3)
    for ends in (VALLEY_ENDS, VALLEY_ENDS[::-1]):
        assert trains_anew(risk(Valley()), ends, asked, cache=tmp_path)
        assert not trains_anew(risk(Valley()), ends, asked, cache=tmp_path)


def test_a_module_or_loss_that_computes_something_else_misses_the_cache(tmp_path):
    objective, ends = normalised()
    trained(objective, ends, SHORT, cache=tmp_path)
    edited = copy.deepcopy(objective.module)
    edited.norm.eps = 1.0
    changed = [
        EmpiricalRisk(objective.module, squared_error, objective.splits),
        EmpiricalRisk(edited, cross_entropy, objective.splits),
    ]
    for other in changed:
        wanted = trained(other, ends, SHORT)[0]
        assert trains_anew(other, ends, SHORT, cache=tmp_path)
        assert not trains_anew(other, ends, SHORT, cache=tmp_path)
        assert same(trained(other, ends, SHORT, cache=tmp_path)[0], wanted)
    assert not trains_anew(objective, ends, SHORT, cache=tmp_path)


def test_training_that_diverges_says_to_learn_more_slowly():
    asked = settings(steps=60, optimiser="sgd", learning_rate=1e6)
    with pytest.raises(WorkError, match=r"^path.training.learning_rate: .* such as 100000$"):
        trained(risk(Valley()), VALLEY_ENDS, asked)
    last = settings(steps=1, optimiser="sgd", learning_rate=1e30)
    with pytest.raises(WorkError, match=r"learning_rate: a bend is not finite after the last step"):
        trained(risk(Valley()), tuple({"theta": 1e4 * e["theta"]} for e in VALLEY_ENDS), last)


def test_a_loss_that_is_not_finite_to_begin_with_blames_no_learning_rate():
    ends = (VALLEY_ENDS[0], {"theta": torch.tensor([torch.nan, 1.0])})
    with pytest.raises(WorkError, match=r"^path: the loss on the straight line is nan at t = 0\."):
        trained(risk(Valley()), ends, settings(steps=5))


def test_ends_and_data_that_do_not_fit_are_refused_in_one_line():
    objective = risk(Valley())
    first, last = VALLEY_ENDS
    with pytest.raises(SpecError, match=r"^path: 'theta' at t = 1 has shape \(3,\); .*\(2,\)"):
        trained(objective, (first, {"theta": torch.zeros(3)}), settings())
    more = last | {"phi": torch.zeros(1)}
    for ends in ((first, more), (first | more, more), (first, {})):
        with pytest.raises(SpecError, match=r"^path: parameter '(phi|theta)' is not in the model"):
            trained(objective, ends, settings())
    with pytest.raises(SpecError, match=r"^path: got 'trian'.*did you mean 'train'\?"):
        trained(objective, VALLEY_ENDS, settings(), split="trian")
    with pytest.raises(SpecError, match=r"batch_size: batches of 1 sample; batch normalisation"):
        trained(*normalised(), settings(batch_size=1))


def test_a_loss_without_a_gradient_is_refused():
    def counted(outputs, targets):
        return (outputs.argmax(dim=1) != targets).double()

    objective, ends = normalised()
    with pytest.raises(SpecError, match=r"^path: the loss has no gradient"):
        trained(EmpiricalRisk(objective.module, counted, objective.splits), ends, SHORT)
