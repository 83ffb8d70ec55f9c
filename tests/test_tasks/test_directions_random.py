"""Random directions and their rescaling, against the published definition and other code."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tasks.directions import filter_normalised, random_directions
from tasks.directions.random import layer_normalised, parameter_normalised

RESCALINGS = [filter_normalised, layer_normalised, parameter_normalised]


def network():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 4)
    )
    model.register_parameter("temperature", nn.Parameter(torch.tensor(0.7)))
    return {name: p.detach().double() for name, p in model.named_parameters()}


def test_draws_are_the_same_bits_whatever_else_is_drawn():
    origin = network()
    one, two = random_directions(origin, 1, 5), random_directions(origin, 2, 5)
    assert all(torch.equal(one[0][name], two[0][name]) for name in origin)
    assert not torch.equal(two[0]["4.weight"], two[1]["4.weight"])
    other = random_directions(origin, 1, 6)
    assert not torch.equal(one[0]["4.weight"], other[0]["4.weight"])


def test_draws_are_standard_normal():
    [drawn] = random_directions({"weight": torch.zeros(400, 500)}, 1, 0)
    entries = drawn["weight"]
    # Four standard errors of 200,000 entries.
    assert abs(float(entries.mean())) < 4 / 200_000**0.5
    assert abs(float(entries.var()) - 1) < 4 * (2 / 200_000) ** 0.5
    assert abs(float((entries**4).mean()) - 3) < 4 * (96 / 200_000) ** 0.5


def test_each_filter_takes_the_norm_of_the_origins():
    origin = network()
    [drawn] = random_directions(origin, 1, 0)
    found = filter_normalised(drawn, origin)
    assert list(found) == ["0.weight", "4.weight"]
    for name, tensor in found.items():
        for d, raw, theta in zip(tensor, drawn[name], origin[name], strict=True):
            assert torch.allclose(d, raw * theta.norm() / raw.norm(), rtol=1e-14)


def test_each_layer_takes_the_norm_of_the_origins_and_its_filters_do_not():
    origin = network()
    [drawn] = random_directions(origin, 1, 0)
    found = layer_normalised(drawn, origin)
    for name, tensor in found.items():
        assert float(tensor.norm()) == pytest.approx(float(origin[name].norm()), rel=1e-14)
        assert torch.allclose(tensor / tensor.norm(), drawn[name] / drawn[name].norm())
    filters = found["4.weight"].norm(dim=1) / origin["4.weight"].norm(dim=1)
    assert (filters - 1).abs().max() > 1e-2


def test_each_parameter_is_multiplied_by_the_origins():
    origin = network()
    [drawn] = random_directions(origin, 1, 0)
    found = parameter_normalised(drawn, origin)
    assert torch.equal(found["4.weight"], drawn["4.weight"] * origin["4.weight"])


@pytest.mark.parametrize("rescaled", RESCALINGS)
def test_vectors_stay_unless_they_are_asked_to_move(rescaled):
    origin = network()
    one, other = (rescaled(d, origin, vectors=True) for d in random_directions(origin, 2, 0))
    still = rescaled(random_directions(origin, 1, 0)[0], origin)
    assert set(one) == set(origin)
    assert set(still) == {"0.weight", "4.weight"}
    assert all(torch.equal(still[name], one[name]) for name in still)
    # They are drawn, and not the origin itself.
    assert not torch.allclose(one["4.bias"].abs(), other["4.bias"].abs())
    if rescaled is not parameter_normalised:
        for name in ("0.bias", "1.weight", "4.bias", "temperature"):
            assert float(one[name].norm()) == pytest.approx(float(origin[name].norm()))


@pytest.mark.parametrize("rescaled", RESCALINGS)
def test_what_is_zero_does_not_move(rescaled):
    origin = network()
    assert not origin["1.bias"].any()  # batch normalisation starts with a bias of zero
    origin["4.weight"][2] = 0.0
    drawn = random_directions(origin, 1, 0)[0]
    drawn["0.weight"][1] = 0.0
    found = rescaled(drawn, origin, vectors=True)
    assert all(tensor.isfinite().all() for tensor in found.values())
    assert not found["1.bias"].any()
    assert not found["0.weight"][1].any()
    assert found["0.weight"][0].any()
    if rescaled is not layer_normalised:
        assert not found["4.weight"][2].any()


@given(
    st.lists(st.integers(1, 4), min_size=2, max_size=4),
    st.floats(1e-6, 1e6),
    st.integers(0, 2**32 - 1),
)
def test_filter_normalisation_forgets_the_size_of_the_draw_and_follows_the_origins(
    shape, factor, seed
):
    generator = torch.Generator().manual_seed(seed)
    origin, drawn = (
        {"w": torch.randn(shape, generator=generator, dtype=torch.float64)} for _ in range(2)
    )
    found = filter_normalised(drawn, origin)["w"]
    inner = tuple(range(1, len(shape)))
    norm = torch.linalg.vector_norm
    assert torch.allclose(norm(found, dim=inner), norm(origin["w"], dim=inner), rtol=1e-12)
    scaled = filter_normalised({"w": factor * drawn["w"]}, origin)["w"]
    assert torch.allclose(scaled, found, rtol=1e-12)
    larger = filter_normalised(drawn, {"w": factor * origin["w"]})["w"]
    assert torch.allclose(larger, factor * found, rtol=1e-12)


def test_matrices_agree_with_the_package_loss_landscapes():
    package = pytest.importorskip("loss_landscapes.model_interface.model_parameters")
    origin = {name: t for name, t in network().items() if t.dim() >= 2}
    [drawn] = random_directions(origin, 1, 0)
    theirs = package.ModelParameters([t.clone() for t in drawn.values()])
    theirs.filter_normalize_(package.ModelParameters(list(origin.values())))
    ours = filter_normalised(drawn, origin)
    for their, our in zip(theirs.parameters, ours.values(), strict=True):
        assert torch.allclose(their, our, rtol=1e-13)
        assert not torch.allclose(their, our.roll(1, 0), rtol=1e-2)


def test_where_biases_move_the_package_loss_landscapes_divides_by_a_zero_bias_and_we_do_not():
    package = pytest.importorskip("loss_landscapes.model_interface.model_parameters")
    origin = network()
    [drawn] = random_directions(origin, 1, 0)
    theirs = package.ModelParameters([drawn["1.bias"].clone()])
    with pytest.raises(ZeroDivisionError):
        theirs.filter_normalize_(package.ModelParameters([origin["1.bias"]]))
    assert not filter_normalised(drawn, origin, vectors=True)["1.bias"].any()
