"""What realistic models, data and losses do to a scan: each was wrong once."""

import copy
import pickle

import numpy as np
import pytest
import torch
import zarr
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from pipeline import export, open_scan, scan
from pipeline.engine.choice import make_evaluator
from pipeline.engine.contract import EngineChoice
from pipeline.engine.reference import evaluate_reference
from pipeline.ledger import Ledger, ShardReport
from pipeline.report import write_report
from schemas import SpecError, StoreMismatch
from schemas.errors import ScanIncomplete
from schemas.layout import ShardStatus
from tasks.given import given_landscape
from tasks.objective import Split, binary_cross_entropy

AXES = {"a": (-1, 1, 3)}
ORIGIN = 1


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(24, 6, generator=generator),
        torch.randint(0, 4, (24,), generator=generator),
    )


def mlp(last=4):
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, last)).eval()


def at_origin(found, metric="loss"):
    return found[metric].values[0, ORIGIN]


class FailsFarAway(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 4)

    def forward(self, x):
        if float(self.inner.weight.detach().abs().max()) > 1e3:
            raise RuntimeError("the solver diverged")
        return self.inner(x)


def test_a_scan_in_memory_whose_points_fail_says_so_instead_of_giving_nan(data):
    far = [{"inner.weight": torch.full((4, 6), 1e4)}]
    with pytest.raises(ScanIncomplete, match="shards failed: RuntimeError: the solver diverged"):
        scan(FailsFarAway(), data, directions=far, axes=AXES)
    with pytest.raises(SpecError, match=r"solver diverged at -?\d\S* on a, so no span can be"):
        scan(FailsFarAway(), data, directions=far, axes={"a": {"rise": 1e30, "num": 5}})
    near = [{"inner.weight": torch.full((4, 6), 1.0)}]
    assert np.isfinite(scan(FailsFarAway(), data, directions=near, axes=AXES)["loss"]).all()


def test_wrappers_of_parallel_and_of_compiled_models_are_taken_off(data):
    model = mlp()
    expected = scan(model, data, axes=AXES, metrics=["loss", "gradient_norm"])
    for wrapped in (nn.DataParallel(model), torch.compile(model, backend="eager")):
        found = scan(wrapped, data, axes=AXES, metrics=["loss", "gradient_norm"])
        assert found.drop_attrs().equals(expected.drop_attrs())


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: nn.Sequential(nn.LazyLinear(8), nn.Linear(8, 4)), "no shape before its first"),
        (lambda: mlp().to("meta"), "on the meta device"),
        (lambda: torch.export.export(mlp(), (torch.zeros(2, 6),)).module(), "a compiled program"),
        (lambda: nn.ReLU(), "has no parameters"),
        (lambda: "model.pt", "got str; expected a torch.nn.Module"),
    ],
    ids=["lazy", "meta", "exported", "without parameters", "text"],
)
def test_what_cannot_be_scanned_is_refused_in_one_line(data, make, told):
    with pytest.raises(SpecError, match=told) as caught:
        scan(make(), data, axes=AXES)
    assert "\n" not in str(caught.value)


def test_a_model_that_holds_nan_is_named_before_its_directions_are_made(data):
    model = mlp()
    model[2].weight.data[1, 3] = float("nan")
    with pytest.raises(SpecError, match=r"^model: parameter '2\.weight' holds NaN"):
        scan(model, data, axes=AXES)


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.frozen = nn.BatchNorm1d(6).eval()
        self.head = nn.Linear(6, 4)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        self.calls += 1
        return self.head(self.frozen(x))


def test_a_module_keeps_its_buffers_and_the_modes_of_its_parts(data):
    model = Counting()
    before = copy.deepcopy(model.state_dict())
    scan(model, data, axes=AXES)
    assert model.training
    assert not model.frozen.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_statistics_of_the_batch_alone_are_those_of_the_whole_split(data):
    norm = nn.BatchNorm1d(8, track_running_stats=False)
    model = nn.Sequential(nn.Linear(6, 8), norm, nn.ReLU(), nn.Linear(8, 4)).eval()
    expected = functional.cross_entropy(model(data[0]), data[1]).item()
    assert at_origin(scan(model, data, axes=AXES)) == pytest.approx(expected, rel=1e-6)


class OfFloat32(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.LSTM(6, 5, batch_first=True)
        self.scale = torch.linspace(1, 2, 5)
        self.head = nn.Linear(5, 4)

    def forward(self, x):
        x = x.float()[:, None]
        state = torch.zeros(1, len(x), 5), torch.zeros(1, len(x), 5)
        return self.head(self.cell(x, state)[0][:, -1] @ torch.diag(self.scale))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_a_module_that_makes_float32_tensors_follows_the_precision_asked_for(data, dtype):
    model = OfFloat32().eval()
    found = scan(model, data, axes=AXES, dtype=dtype)
    expected = functional.cross_entropy(model(data[0]), data[1]).item()
    assert at_origin(found) == pytest.approx(expected, rel=2e-2 if dtype == "bfloat16" else 1e-6)
    assert torch.get_default_dtype() == torch.float32


def test_a_module_that_follows_the_precision_is_in_full_double_precision(data):
    model = OfFloat32().eval()
    slope = scan(model, data, axes=AXES, dtype="float64", directions="gradient",
                 metrics=["loss", "section_gradient", "gradient_norm"])  # fmt: skip
    along = slope["section_gradient"].values[0, 0, ORIGIN]
    assert along == pytest.approx(at_origin(slope, "gradient_norm"), rel=1e-10)


class FailsAlways(OfFloat32):
    def forward(self, x):
        return super().forward(x) @ torch.zeros(3, 3)


def test_a_module_that_fails_in_every_precision_says_why(data):
    with pytest.raises(SpecError, match=r"cannot be evaluated on .* shapes cannot be multiplied"):
        scan(FailsAlways(), data, axes=AXES)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_class_weights_of_a_loss_follow_the_precision(data, dtype):
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    model = mlp()
    expected = functional.cross_entropy(model(data[0]), data[1], weight=weight, reduction="none")
    for loss in (
        nn.CrossEntropyLoss(weight=weight, reduction="none"),
        lambda outputs, targets: functional.cross_entropy(
            outputs, targets, weight=weight, reduction="none"
        ),
    ):
        found = at_origin(scan(model, data, loss=loss, axes=AXES, dtype=dtype))
        assert found == pytest.approx(expected.mean().item(), rel=1e-6)


def test_whole_numbers_are_regressed_on_where_there_is_one_output(data):
    model = mlp(1)
    expected = (model(data[0])[:, 0] - data[1]).square().mean().item()
    assert at_origin(scan(model, data, loss="mse", axes=AXES)) == pytest.approx(expected, rel=1e-6)
    one_hot = functional.one_hot(data[1], 4)
    expected = (mlp_of_four := mlp())(data[0]).sub(one_hot).square().mean().item()
    found = at_origin(scan(mlp_of_four, data, loss="mse", axes=AXES))
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shape", [(24,), (24, 1)])
def test_the_accuracy_of_labels_is_that_of_the_outputs_sign(data, shape):
    model = mlp(1)
    labels = (data[0][:, 0] > 0).long()
    found = scan(model, (data[0], labels.reshape(shape)), loss="binary_cross_entropy",
                 axes=AXES, metrics=["loss", "accuracy"])  # fmt: skip
    hits = (model(data[0])[:, 0] > 0) == (labels == 1)
    assert at_origin(found, "accuracy") == pytest.approx(hits.double().mean().item())
    assert 0 < hits.double().mean() < 1


def test_positions_that_do_not_count_are_left_out_of_the_accuracy_too():
    model = nn.Conv2d(3, 5, 1).eval()
    images, classes = torch.randn(6, 3, 4, 4), torch.randint(0, 5, (6, 4, 4))
    classes[:, :2] = -100
    found = scan(model, (images, classes), axes=AXES, metrics=["loss", "accuracy"])
    hits = (model(images).argmax(dim=1) == classes)[:, 2:].double()
    assert at_origin(found, "accuracy") == pytest.approx(hits.mean().item())
    expected = functional.cross_entropy(model(images), classes).item()
    assert at_origin(found) == pytest.approx(expected, rel=1e-6)


def test_a_sample_none_of_whose_positions_count_is_named():
    images, classes = torch.randn(6, 3, 4, 4), torch.randint(0, 5, (6, 4, 4))
    classes[2] = -100
    with pytest.raises(SpecError, match=r"targets: sample 2 is of class -100 at every position"):
        scan(nn.Conv2d(3, 5, 1).eval(), (images, classes), axes=AXES)


def test_classes_the_outputs_do_not_offer_are_told_before_the_loss_fails(data):
    with pytest.raises(SpecError, match="hold classes 3 to 6"):
        scan(mlp(), (data[0], torch.arange(24) % 4 + 3), axes=AXES)


def test_hooks_of_precision_can_be_pickled(data):
    from tasks.model.precision import following
    from tasks.objective import Split, cross_entropy

    model, _ = following(OfFloat32().eval(), cross_entropy, Split(*data))
    again = pickle.loads(pickle.dumps(model)).double()
    assert again(data[0].double()).dtype == torch.float64


@pytest.mark.parametrize("bends", [0, 2])
def test_a_path_with_derivatives_is_stored_reported_and_exported(data, tmp_path, bends):
    store = tmp_path / "s.zarr"
    path = {"to": mlp(), "kind": "bezier" if bends else "linear"}
    if bends:
        path |= {"bends": bends, "training": {"steps": 2}}
    metrics = ["loss", "section_gradient", "section_hessian"]
    scan(mlp(), data, path=path, axes={"t": (0, 1, 5)}, metrics=metrics, store=store)
    tree = open_scan(store)
    assert tree["section_gradient"].dims == ("split", "axis", "t")
    norms = tree["section"]["norm"]
    assert norms.dims == ("control_point",)
    assert norms.size == bends + 1
    assert np.all(norms > 0)
    report = write_report(tree, (), tmp_path / "report", title="a path", store=str(store))
    assert "control_1" in report.page.read_text()
    exported = load_file(export(store, tmp_path / "d", format="safetensors").files[0])
    ends = {name for name in exported if name.startswith(f"control_{bends + 1}.")}
    assert ends == {f"control_{bends + 1}.{name}" for name in mlp().state_dict()}


class Scaled(nn.Module):
    factor = 1.0

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(6, 4)

    def forward(self, x):
        return self.factor * self.inner(x)


def test_a_scan_whose_code_has_changed_is_not_continued(data, tmp_path, monkeypatch):
    store = tmp_path / "s.zarr"
    model = Scaled().eval()
    expected = scan(model, data, axes=AXES, store=store)["loss"].load()

    def undo():
        ledger = Ledger(store)
        ledger.record(ShardReport(0, ShardStatus.PENDING, 0, 0.0))
        ledger.flush()
        zarr.open_group(store, mode="r+")["loss"][:] = 7

    undo()
    monkeypatch.setattr(Scaled, "factor", 2.0)
    with pytest.raises(StoreMismatch, match="now give another loss than when the scan began"):
        scan(model, data, axes=AXES, store=store)
    monkeypatch.setattr(Scaled, "factor", float("nan"))
    with pytest.raises(StoreMismatch, match="now give another loss"):
        scan(model, data, axes=AXES, store=store)
    monkeypatch.setattr(Scaled, "factor", 1.0)
    assert scan(model, data, axes=AXES, store=store)["loss"].load().equals(expected)


def several_positions():
    classes = torch.randint(0, 5, (10, 4))
    classes[:, :2] = -100
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 20), nn.Unflatten(1, (5, 4)))
    return model, Split(torch.randn(10, 6), classes), "cross_entropy"


def labels():
    inputs = torch.randn(10, 6)
    return mlp(1), Split(inputs, (inputs[:, 0] > 0).long()), "binary_cross_entropy"


@pytest.mark.parametrize(
    ("name", "make"),
    [
        *((name, make) for name in ("traced", "autograd") for make in (several_positions, labels)),
        ("batched", labels),
    ],
)
def test_every_evaluator_measures_the_same_accuracy(make, name):
    model, split, loss = make()
    landscape = given_landscape(
        model.eval(), {"train": split}, loss=loss, directions=None, origin=None, z=2, seed=0
    )
    points = np.random.default_rng(0).uniform(-1, 1, (6, 2))
    metrics = ("loss", "accuracy")
    choice = EngineChoice(name, "cpu", "float64", 1, 4, 4 if name == "batched" else 1)
    found = make_evaluator(landscape, ("train",), metrics, choice).evaluate(points)
    expected = evaluate_reference(landscape, points, ("train",), metrics)
    for metric in metrics:
        np.testing.assert_allclose(found[metric], expected[metric], rtol=1e-12)
    assert len(np.unique(expected["accuracy"])) > 1


def test_the_cross_entropy_of_sure_labels_keeps_its_digits():
    outputs = torch.tensor([[-40.0, 40.0, 0.0, -40.0]], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[0.0, 1.0, 1.0, 1.0]], dtype=torch.float64)
    expected = functional.binary_cross_entropy_with_logits(outputs, labels, reduction="none")
    for k in range(4):
        found = binary_cross_entropy(outputs[:, k], labels[:, k])
        assert found.item() == pytest.approx(expected[0, k].item(), rel=1e-14)
    slope = torch.autograd.grad(binary_cross_entropy(outputs, labels).sum(), outputs)[0]
    np.testing.assert_allclose(slope, (torch.sigmoid(outputs) - labels).detach() / 4, atol=1e-17)
