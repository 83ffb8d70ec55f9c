"""The pattern theorems: targets, preimages, networks, training, and what the landscapes say."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.engine.reference import evaluate_reference
from schemas import SpecError
from schemas.grid import LinearAxis
from tasks import BuildContext
from tasks.data import class_counts, digits, mnist_subset, stratified, with_label_counts
from tasks.patterns.build import build_theorem1, build_theorem2
from tasks.patterns.fields import LossOfCoordinates
from tasks.patterns.parameters import PatternParameters, TargetParameters
from tasks.patterns.preimage import (
    CrossEntropyMarginal,
    SquaredErrorMarginal,
    marginal_of,
    sample_preimage,
)
from tasks.patterns.splits import CLASSES
from tasks.patterns.targets import FUNCTIONS, make_target

TINY = {"hidden": [12, 16, 16]}
UNTRAINED = {"steps": 0}


def parameters(**changes):
    raw = {"target": {"function": "two-well"}, "network": TINY, "training": UNTRAINED, **changes}
    return PatternParameters.model_validate(raw)


def context(z=2, splits=("train", "test"), **changes):
    return BuildContext(z=z, seed=0, splits=splits, **changes)


def mesh(z, num):
    axis = LinearAxis(start=0, stop=1, num=num).coordinates(0, num)
    return np.stack(np.meshgrid(*[axis] * z, indexing="ij"), axis=-1).reshape(-1, z)


def target(raw, z, base=None):
    return make_target(TargetParameters.model_validate(raw), z, base)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_named_functions_lie_in_the_unit_interval(name):
    dimensions = FUNCTIONS[name][1] or (1, 2, 3, 4)
    for z in dimensions[:4]:
        low, high = target({"function": name}, z).range()
        # The paper's two wells overlap: T(h*) = −e^{−10} for z = 1.
        assert low >= -1e-4
        assert high <= 1 + 1e-12


@pytest.mark.parametrize("z", [1, 2, 3, 4])
def test_two_well_is_the_papers(z):
    wells = target({"function": "two-well"}, z)
    h = np.array([[0.25] * z, [0.75] * z, [0.5] * z])
    u = 2 * h - 1
    expected = 1 - sum(np.exp(-np.square(u - s * 0.5).sum(axis=1) / 0.1) for s in (-1, 1))
    np.testing.assert_allclose(wells(h), expected, rtol=1e-12, atol=1e-14)
    assert wells(h[:1]) == pytest.approx(wells(mesh(z, 9)).min(), abs=1e-14)


def test_a_target_is_not_defined_outside_the_cube():
    values = target({"function": "two-well"}, 2)(np.array([[0.5, 1.01], [-0.01, 0.5], [1.0, 0.0]]))
    assert np.isnan(values).tolist() == [True, True, False]


def test_an_image_stands_upright(tmp_path):
    picture = np.zeros((4, 6), dtype=np.uint8)
    picture[0, -1] = 255  # top right
    Image.fromarray(picture).save(tmp_path / "corner.png")
    shown = target({"image": "corner.png"}, 2, tmp_path)
    corners = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    assert shown(corners).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert len(next(iter(shown.sources.values()))) == 64


@given(z=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_an_array_is_met_at_its_own_points_in_any_dimension(tmp_path_factory, z, seed):
    random = np.random.default_rng(seed)
    values = random.normal(size=tuple(random.integers(2, 5, z)))
    folder = tmp_path_factory.mktemp("array")
    np.save(folder / "t.npy", values)
    axes = [np.linspace(0, 1, n) for n in values.shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, z)
    found = target({"array": "t.npy"}, z, folder)(points)
    np.testing.assert_allclose(found, values.ravel(), rtol=1e-12, atol=1e-12)


marginals = st.lists(st.floats(0.02, 1), min_size=2, max_size=10).map(
    lambda w: torch.tensor(w, dtype=torch.float64) / sum(w)
)


@given(pi=marginals, excess=st.lists(st.floats(0, 20), min_size=1, max_size=5))
@settings(deadline=None)
def test_the_preimage_has_the_loss_that_was_asked_for(pi, excess):
    wanted = torch.tensor(excess, dtype=torch.float64)
    for marginal in (CrossEntropyMarginal(pi), SquaredErrorMarginal(pi)):
        loss = marginal.sigma(marginal.preimage(wanted))
        torch.testing.assert_close(loss, marginal.floor + wanted, rtol=1e-9, atol=1e-9)
        # The floor is the least: no other output is below it.
        other = torch.randn(50, len(pi), dtype=torch.float64) * 3
        assert bool((marginal.sigma(other) >= marginal.floor - 1e-12).all())


def test_the_floor_of_balanced_labels_is_their_entropy():
    balanced = torch.full((10,), 0.1, dtype=torch.float64)
    assert CrossEntropyMarginal(balanced).floor == pytest.approx(math.log(10), rel=1e-14)
    assert SquaredErrorMarginal(balanced).floor == pytest.approx(0.09, rel=1e-14)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_sigma_is_the_loss_of_constant_outputs(loss):
    from tasks.objective import LOSSES

    labels = torch.randint(0, CLASSES, (200,), generator=torch.Generator().manual_seed(0))
    outputs = torch.randn(3, CLASSES, dtype=torch.float64)
    found = marginal_of(loss, labels, CLASSES).sigma(outputs)
    for output, sigma in zip(outputs, found, strict=True):
        direct = LOSSES[loss](output.expand(200, CLASSES), labels).mean()
        torch.testing.assert_close(sigma, direct, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_the_sample_preimage_has_the_loss_that_was_asked_for(loss):
    from tasks.objective import LOSSES

    level = torch.tensor([0.02, 0.5, 1.0, 3.0], dtype=torch.float64)
    labels = torch.tensor([0, 3, 9, 5])
    outputs = sample_preimage(loss, level, labels, CLASSES)
    torch.testing.assert_close(LOSSES[loss](outputs, labels), level, rtol=1e-12, atol=1e-12)


def test_data_sets_are_whole_and_their_labels_as_asked():
    assert len(digits().labels) == 1797
    assert class_counts(mnist_subset().labels, 10).tolist() == [500] * 10
    train, test = stratified(digits(), 0)
    assert len(train.labels) + len(test.labels) == 1797
    counts = class_counts(train.labels, 10)
    drawn = with_label_counts(mnist_subset(), counts, 0)
    assert torch.equal(class_counts(drawn.labels, 10), counts)
    for data in (digits(), mnist_subset(), mnist_subset().resized(8)):
        assert data.images.min() >= 0
        assert 0.5 < data.images.max() <= 1


def test_splits_share_or_shift_the_label_marginal():
    names = ("train", "test", "other", "random", "shifted")
    splits = build_theorem1(parameters(), context(splits=names)).objective.splits
    counts = {name: class_counts(split.targets, 10) for name, split in splits.items()}
    assert torch.equal(counts["other"], counts["train"])
    assert torch.equal(counts["random"], counts["train"])
    shifted = counts["shifted"] / counts["shifted"].sum()
    assert (shifted - 0.1).abs().max() > 0.05
    assert not torch.equal(splits["other"].inputs, splits["train"].inputs)


NETWORKS = {
    "mlp": TINY,
    "deep": {"hidden": [6, 5, 7, 9, 8]},
    "shallow": {"hidden": [6]},
    "relu": {"hidden": [8, 8], "activation": "relu"},
    "cnn": {"kind": "cnn", "channels": 6, "hidden": [8, 8]},
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("z", [1, 2, 3, 4])
def test_theorem1_is_blind_to_the_inputs_and_known_from_the_labels(network, loss, z):
    names = ("train", "test", "shifted")
    landscape = build_theorem1(parameters(network=NETWORKS[network], loss=loss), context(z, names))
    points = np.random.default_rng(0).random((4, z))
    found = evaluate_reference(landscape, points, names, ("loss",))["loss"]
    module = landscape.objective.module
    labels = landscape.objective.splits["train"].targets
    sigma = LossOfCoordinates(module.double(), marginal_of(loss, labels, CLASSES))(points)
    np.testing.assert_allclose(found[0], sigma, rtol=1e-12)
    for row, name in enumerate(names[1:], start=1):
        predicted = landscape.fields[f"predicted_{name}"].function(points)
        np.testing.assert_allclose(found[row] - found[0], predicted, atol=1e-12)
    assert np.ptp(found[0]) > 0
    assert found[0].min() >= landscape.reference["section_floor"] - 1e-12
    module.float()


def test_a_wrong_prediction_would_be_noticed():
    landscape = build_theorem1(parameters(), context(2, ("train", "shifted")))
    points = mesh(2, 3)
    found = evaluate_reference(landscape, points, ("train", "shifted"), ("loss",))["loss"]
    assert np.abs(found[1] - found[0]).max() > 1e-3


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_theorem2_sees_the_inputs_but_its_coordinates_do_not(network):
    landscape = build_theorem2(parameters(network=NETWORKS[network]), context())
    module = landscape.objective.module
    assert bool((module.first.weight[:2] == 0).all())
    assert bool((module.first.weight[2:] != 0).all())
    outputs = module(landscape.objective.splits["train"].inputs[:50])
    assert outputs.std(dim=0).min() > 0
    blind = build_theorem1(parameters(network=NETWORKS[network]), context()).objective
    assert blind.module(blind.splits["train"].inputs[:50]).std(dim=0).max() < 1e-6


def brief(**changes):
    return parameters(
        network={"hidden": [8, 32, 32]}, training={"steps": 300, "refinement": 60}, **changes
    )


def test_training_is_the_same_bits_twice_and_leaves_the_global_generator_alone(tmp_path):
    state = torch.random.get_rng_state()
    threads = torch.get_num_threads()
    one, two = (build_theorem1(brief(), context()) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    for name, tensor in one.section.origin.items():
        assert torch.equal(tensor, two.section.origin[name])
    other = build_theorem1(brief(), BuildContext(z=2, seed=1, splits=("train",)))
    weights = [landscape.section.origin["rest.0.weight"] for landscape in (one, other)]
    assert not torch.equal(*weights)


def test_a_trained_network_is_kept_and_a_damaged_one_trained_again(tmp_path):
    told = []
    watched = context(cache=tmp_path, progress=lambda *args: told.append(args))
    first = build_theorem1(brief(), watched)
    assert told
    told.clear()
    (kept,) = tmp_path.glob("*.safetensors")
    again = build_theorem1(brief(), watched)
    assert not told
    assert again.facts == first.facts
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    mended = build_theorem1(brief(), watched)
    assert told
    for name, tensor in first.section.origin.items():
        assert torch.equal(tensor, mended.section.origin[name])


def test_training_brings_the_pattern_in():
    trained = build_theorem1(brief(), context()).facts
    assert trained["approximation_rms"] < 0.05
    untrained = build_theorem1(parameters(), context()).facts
    assert untrained["approximation_rms"] > 0.2
    for facts in (trained, untrained):
        assert facts["scale"] == 1.0
        assert facts["offset"] == pytest.approx(math.log(10), abs=1e-3)


def test_theorem2_learns_the_loss_itself():
    settings = {"steps": 600, "batch": 256}
    landscape = build_theorem2(
        parameters(network={"hidden": [64, 64, 64]}, training=settings), context(1)
    )
    points = mesh(1, 9)
    loss = evaluate_reference(landscape, points, ("train",), ("loss",))["loss"][0]
    wanted = landscape.fields["target_loss"].function(points)
    assert np.abs(loss - wanted).mean() < 0.15
    untrained = build_theorem2(parameters(), context(1))
    far = evaluate_reference(untrained, points, ("train",), ("loss",))["loss"][0]
    assert np.abs(far - wanted).mean() > 1


def test_what_does_not_fit_is_scaled_and_said(tmp_path):
    np.save(tmp_path / "deep.npy", np.linspace(-3, 1, 20))
    np.save(tmp_path / "vast.npy", np.linspace(0, 5000, 20))
    at = context(1, base=tmp_path)
    deep = build_theorem1(parameters(target={"array": "deep.npy"}), at)
    floor = deep.reference["section_floor"]
    assert deep.facts["offset"] == pytest.approx(floor + 3)
    vast = build_theorem1(parameters(target={"array": "vast.npy"}), at)
    assert vast.facts["scale"] == pytest.approx(1 / 5000)
    assert "5000" in vast.facts["scaling_reason"]
    near = build_theorem2(parameters(target={"array": "deep.npy"}), at)
    values = near.fields["target_loss"].function(mesh(1, 20))
    assert values.min() == pytest.approx(0.02)
    assert np.ptp(values) == pytest.approx(4)


@pytest.mark.parametrize(
    ("changes", "z", "complaint"),
    [
        ({"network": {"hidden": [2, 8]}}, 3, r"hidden\[0\]: got 2; 3 axes need 3 or more"),
        ({"network": {"kind": "cnn", "channels": 2}}, 2, "channels: got 2; 2 axes need 3"),
        ({"target": {"function": "himmelblau"}}, 3, "himmelblau has 2 dimensions; got 3 axes"),
        ({"target": {"function": "rosenbrock"}}, 1, "rosenbrock has 2 or 3"),
    ],
)
def test_what_cannot_be_built_is_refused(changes, z, complaint):
    with pytest.raises(SpecError, match=complaint):
        build_theorem1(parameters(**changes), context(z))


def test_an_unknown_split_is_refused():
    with pytest.raises(SpecError, match="did you mean 'shifted'"):
        build_theorem1(parameters(), context(splits=("shiftd",)))


def test_the_reported_error_of_theorem2_is_that_of_the_loss():
    landscape = build_theorem2(parameters(), context())
    points = np.random.default_rng(0).random((64, 2))
    loss = evaluate_reference(landscape, points, ("train",), ("loss",))["loss"][0]
    error = loss - landscape.fields["target_loss"].function(points)
    facts = landscape.facts
    assert facts["approximation_sup"] == pytest.approx(np.abs(error).max(), rel=1e-5)
    assert facts["approximation_rms"] == pytest.approx(np.sqrt(np.square(error).mean()), rel=1e-5)
    # L* is what the training aims at, not a bound of the section.
    assert "section_floor" not in landscape.reference
