"""Targets: named functions, the orientation of images, arrays, and files that are wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from schemas.errors import SpecError
from tasks import TASKS
from tasks.patterns.parameters import TargetParameters
from tasks.patterns.targets import make_target

MINIMISERS = [
    ("two-well", 1, [0.25]),
    ("two-well", 2, [0.75, 0.75]),
    ("two-well", 4, [0.25] * 4),
    ("rastrigin", 3, [0.5] * 3),
    ("rosenbrock", 3, [0.75] * 3),
    ("ackley", 2, [0.5] * 2),
    ("himmelblau", 2, [0.8, 0.7]),
]
DIMENSIONS = [*((name, z) for name, z, _ in MINIMISERS), ("ripples", 1)]


def target(tmp_path, z=2, **given):
    return make_target(TargetParameters(**given), z, tmp_path)


@pytest.mark.parametrize(("name", "z", "minimiser"), MINIMISERS)
def test_a_named_function_is_least_at_its_known_minimiser(tmp_path, name, z, minimiser):
    here = target(tmp_path, z, function=name)
    least = here(np.array([minimiser]))[0]
    around = np.random.default_rng(0).random((20_000, z))
    assert least == pytest.approx(0, abs=1e-4)
    assert least <= here(around).min() + 1e-6


@pytest.mark.parametrize(("name", "z"), DIMENSIONS)
def test_a_named_function_stays_in_the_unit_interval(tmp_path, name, z):
    low, high = target(tmp_path, z, function=name).range()
    assert low >= -1e-4
    assert high <= 1 + 1e-9
    assert high - low > 0.5


@given(side=st.sampled_from([-1, 1]), axis=st.integers(0, 1), beyond=st.floats(1e-9, 10))
def test_a_target_is_nan_outside_the_cube(side, axis, beyond):
    here = make_target(TargetParameters(function="two-well"), 2, None)
    point = np.full((1, 2), 0.5)
    point[0, axis] = 1 + beyond if side > 0 else -beyond
    assert np.isnan(here(point)[0])


def test_an_image_has_h1_to_the_right_and_h2_upwards(tmp_path):
    pixels = np.array([[10, 20, 30], [40, 50, 60]], dtype=np.uint8)  # top row first
    Image.fromarray(pixels).save(tmp_path / "small.png")
    here = target(tmp_path, image="small.png")
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0], [0.5, 0.5]])
    expected = np.array([40, 60, 10, 30, 50, 35]) / 255
    np.testing.assert_allclose(here(corners), expected, atol=1e-12)


def test_a_deep_grey_image_is_scaled_and_not_cut_off(tmp_path):
    pixels = np.array([[0, 65535], [32768, 1000]], dtype=np.uint16)
    Image.fromarray(pixels).save(tmp_path / "deep.png")
    here = target(tmp_path, image="deep.png")
    np.testing.assert_allclose(here(np.array([[0, 0], [1, 1]])), [32768 / 65535, 1], atol=1e-6)


def test_an_image_is_resized(tmp_path):
    Image.fromarray(np.tile(np.uint8([0, 255]), (8, 4))).save(tmp_path / "fine.png")
    low, high = target(tmp_path, image="fine.png", size=4).range()
    assert (low, high) == pytest.approx((0.5, 0.5), abs=0.01)


@pytest.mark.parametrize("z", [1, 2, 3])
def test_index_i_of_an_array_runs_along_coordinate_i(tmp_path, z):
    drawn = np.random.default_rng(z)
    values = drawn.normal(size=(3, 4, 5)[:z])
    np.save(tmp_path / "a.npy", values)
    here = target(tmp_path, z, array="a.npy")
    index = np.array([drawn.integers(n) for n in values.shape])
    at = index / (np.array(values.shape) - 1)
    assert here(at[None])[0] == pytest.approx(values[tuple(index)])
    assert here.range() == (values.min(), values.max())
    assert len(here.sources) == 1


def test_the_range_of_many_dimensions_needs_little_memory(tmp_path):
    low, high = target(tmp_path, 16, function="ackley").range()
    assert 0 <= low < high <= 1


BAD_FILES = [
    ({"image": "missing.png"}, 2, "no such file"),
    ({"image": "text.png"}, 2, "not an image"),
    ({"image": "good.png"}, 3, "an image has 2 dimensions; got 3 axes"),
    ({"array": "missing.npy"}, 2, "no such file"),
    ({"array": "objects.npy"}, 2, "not a .npy file of numbers"),
    ({"array": "text.png"}, 2, "not a .npy file of numbers"),
    ({"array": "nan.npy"}, 2, "must be finite"),
    ({"array": "words.npy"}, 2, "real numbers"),
    ({"array": "line.npy"}, 2, "has 1 dimensions; got 2 axes"),
    ({"array": "thin.npy"}, 2, "expected 2 or more"),
    ({"function": "himmelblau"}, 3, "himmelblau has 2 dimensions; got 3 axes"),
    ({"function": "ripples"}, 2, "ripples has 1 dimensions; got 2 axes"),
]


@pytest.mark.parametrize(("given_", "z", "says"), BAD_FILES)
def test_a_bad_target_is_refused_in_one_line(tmp_path, given_, z, says):
    (tmp_path / "text.png").write_text("hello")
    Image.new("L", (4, 4)).save(tmp_path / "good.png")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "nan.npy", np.array([[0.0, np.nan], [0, 0]]))
    np.save(tmp_path / "words.npy", np.array([["a", "b"]]))
    np.save(tmp_path / "line.npy", np.zeros(4))
    np.save(tmp_path / "thin.npy", np.zeros((1, 4)))
    with pytest.raises(SpecError) as caught:
        target(tmp_path, z, **given_)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


BAD_PARAMETERS = [
    ({}, "target: is missing"),
    ({"target": {}}, "give exactly one of function, image, array"),
    ({"target": {"function": "two-well", "image": "a.png"}}, "got function and image"),
    ({"target": {"function": "two-wel"}}, "did you mean 'two-well'"),
    ({"target": {"function": "two-well", "size": 8}}, "no image to resize"),
    ({"target": {"function": "two-well"}, "losss": "mse"}, "did you mean 'loss'"),
    ({"target": {"function": "two-well"}, "loss": "hinge"}, "expected one of cross_entropy, mse"),
    ({"target": {"function": "two-well"}, "training": {"steps": -1}}, "steps: got -1"),
    ({"target": {"function": "two-well"}, "network": {"hidden": []}}, "hidden: got []"),
]


@pytest.mark.parametrize(("raw", "says"), BAD_PARAMETERS)
def test_bad_parameters_are_refused_in_one_line(raw, says):
    with pytest.raises(SpecError) as caught:
        TASKS["pattern-theorem1"].parse(raw)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
