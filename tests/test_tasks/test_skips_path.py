"""The path of Theorem 3.4: the loss never rises on it and ends where it should, from any start."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from schemas.errors import WorkError
from tasks.skips.networks import images_of, network_of, start_of
from tasks.skips.parameters import SkipNetParameters
from tasks.skips.path import ALLOWED, conditioning, descending_path, target_scale
from tasks.skips.problem import Problem

SMALL = {"samples": 20, "hidden": (40, 10), "skips": 36}


def problem_of(seed=0, **parameters):
    said = SkipNetParameters(**{**SMALL, **parameters})
    images = images_of(said, seed)
    module = network_of(said, images.inputs.shape[1], seed)
    problem = Problem(module, images.inputs.double(), images.targets)
    return problem, start_of(module, said, seed)


def outputs_by_hand(problem, point, activation, skips=True):
    """G for inputs, layer by layer."""
    prefix = "network." if skips else ""
    values, hidden = problem.inputs.numpy(), []
    for number in (1, 2):
        weight, bias = (point[f"{prefix}layer{number}.{w}"].numpy() for w in ("weight", "bias"))
        z = values @ weight.T + bias
        values = 1 / (1 + np.exp(-z)) if activation == "sigmoid" else np.logaddexp(0, 20 * z) / 20
        hidden.append(values)
    last = (
        values @ point[f"{prefix}output.weight"].numpy().T + point[f"{prefix}output.bias"].numpy()
    )
    if not skips:
        return last
    features = np.concatenate(hidden, axis=1)[:, problem.module.positions.numpy()]
    return last + features @ point["skip"].numpy()


def losses(problem, points, activation, **more):
    """Loss and accuracy along straight lines through the points, twenty steps each."""
    found = []
    for first, last in itertools.pairwise(points):
        for part in np.linspace(0, 1, 21):
            at = {name: first[name] * (1 - part) + last[name] * part for name in first}
            g = torch.from_numpy(outputs_by_hand(problem, at, activation, **more))
            hit = (g.argmax(dim=1) == problem.targets).double().mean()
            found.append((float(cross_entropy(g, problem.targets)), float(hit)))
    return np.array(found).T


@given(st.floats(1e-8, 4.0), st.integers(2, 12))
def test_outputs_of_that_scale_have_half_of_epsilon_as_loss(epsilon, outputs):
    scale = target_scale(epsilon, outputs)
    g = scale * torch.eye(outputs, dtype=torch.float64)
    loss = cross_entropy(g, torch.arange(outputs))
    assert loss.item() == pytest.approx(epsilon / 2, rel=1e-6)


@pytest.mark.parametrize("activation", ["sigmoid", "softplus"])
@pytest.mark.parametrize("start", ["normal", "equal", "zero"])
@pytest.mark.parametrize("epsilon", [1e-1, 1e-6])
def test_the_loss_never_rises_and_ends_at_half_of_epsilon(activation, start, epsilon):
    problem, point = problem_of(1, activation=activation, start=start)
    path = descending_path(problem, point, epsilon, 1)
    loss, accuracy = losses(problem, (path.start, path.full_rank, path.end), activation)
    assert np.diff(loss).max() <= 1e-9 * (1 + loss.max())
    assert loss[-1] == pytest.approx(epsilon / 2, rel=1e-3)
    assert accuracy[-1] == 1 or epsilon / 2 >= math.log(2) / 20
    facts = path.facts
    assert facts["moved"] == (start != "normal")
    assert (facts["rank_at_start"] == 20) == (start == "normal")
    assert facts["rank"] == 20
    assert [facts[f"loss_at_{at}"] for at in ("start", "full_rank", "end")] == pytest.approx(
        [loss[0], loss[20], loss[-1]], rel=1e-9
    )
    if start == "normal":
        assert path.full_rank == path.start


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10**6))
def test_it_does_so_from_any_seed(seed):
    problem, point = problem_of(seed, start="equal")
    path = descending_path(problem, point, 1e-3, seed)
    loss, accuracy = losses(problem, (path.start, path.full_rank, path.end), "sigmoid")
    assert np.diff(loss).max() <= 1e-9 * (1 + loss.max())
    assert loss[-1] <= 1e-3
    assert accuracy[-1] == 1


def test_only_v_moves_after_full_rank_and_the_target_is_the_least_norm_solution():
    problem, point = problem_of(2, start="equal")
    path = descending_path(problem, point, 1e-3, 2)
    assert [n for n in path.end if not torch.equal(path.end[n], path.full_rank[n])] == ["skip"]
    added, features = problem.parts(path.end)
    wanted = target_scale(1e-3, 10) * torch.eye(10, dtype=torch.float64)[problem.targets]
    known = np.linalg.pinv(features.numpy()) @ (wanted - added).numpy()
    np.testing.assert_allclose(path.end["skip"], known, rtol=1e-6, atol=1e-6 * np.abs(known).max())


def test_it_stops_where_the_loss_is_least():
    problem, point = problem_of(3)
    # All samples but one are classified right by far, more than the loss ε/2 asks for.
    start = descending_path(problem, point, 1e-6, 3).end
    added, features = problem.parts(start)
    outputs = added + features @ start["skip"]
    outputs[0] = -outputs[0] / 4
    start["skip"] = torch.linalg.lstsq(features, outputs - added, driver="gelsd").solution
    path = descending_path(problem, start, 2.0, 3)
    assert 0.05 < path.facts["stopped_at"] < 0.95
    loss, _ = losses(problem, (path.full_rank, path.end), "sigmoid")
    assert np.diff(loss).max() <= 0
    assert loss[-1] < 1.0
    beyond = {n: path.start[n] + 1.05 * (path.end[n] - path.start[n]) for n in path.end}
    assert float(problem.loss(beyond)) > loss[-1]


def test_it_stays_where_the_loss_is_less_than_is_asked_for():
    problem, point = problem_of(3)
    low = descending_path(problem, point, 1e-6, 3).end
    path = descending_path(problem, low, 1.0, 3)
    assert path.facts["stopped_at"] == 0.0
    assert path.facts["loss_at_end"] == path.facts["loss_at_start"] < 1e-6


def test_without_descent_the_rise_is_within_what_is_allowed():
    # With as many samples of each class, equal units and the best V there is no slope at all.
    problem, point = problem_of(4, start="zero")
    order = torch.arange(20) % 10
    problem = Problem(problem.module, problem.inputs, order)
    path = descending_path(problem, point, 1e-3, 4)
    assert path.facts["loss_at_full_rank"] <= math.log(10) + ALLOWED * (1 + math.log(10))
    assert path.facts["rank"] == 20
    loss, _ = losses(problem, (path.start, path.full_rank, path.end), "sigmoid")
    assert np.diff(loss).max() <= 1e-9
    assert loss[-1] <= 1e-3


def test_what_cannot_have_full_rank_is_refused_or_led_as_far_as_it_falls():
    problem, point = problem_of(5, repeated=True)
    with pytest.raises(WorkError, match=r"samples have rank 19 after 10 moves.*distinct samples"):
        descending_path(problem, point, 1e-3, 5)
    path = descending_path(problem, point, 1e-3, 5, attainable=False)
    loss, accuracy = losses(problem, (path.start, path.full_rank, path.end), "sigmoid")
    assert np.diff(loss).max() <= 1e-9
    # Of two labels of one image at least one is wrong: 2 log 2 over the samples.
    assert loss[-1] >= 2 * math.log(2) / 20
    assert accuracy[-1] < 1
    assert not path.facts["moved"]


def test_without_skip_units_v_is_the_last_layer():
    problem, point = problem_of(6, skips=None)
    added, features = problem.parts(point)
    by_hand = outputs_by_hand(problem, point, "sigmoid", skips=False)
    np.testing.assert_allclose(features @ problem.readout(point) + added, by_hand, rtol=1e-12)
    path = descending_path(problem, point, 1e-3, 6, attainable=False)
    moved = [name for name in point if not torch.equal(path.end[name], point[name])]
    assert moved == ["output.weight", "output.bias"]
    loss, _ = losses(problem, (path.start, path.end), "sigmoid", skips=False)
    assert np.diff(loss).max() <= 1e-9
    assert 1e-3 < loss[-1] < loss[0]
    assert path.facts["rank"] == 11


def test_conditioning_counts_what_is_above_rounding():
    wide = torch.diag(torch.tensor([1.0, 1e-3, 1e-20], dtype=torch.float64))
    assert conditioning(wide).rank == 2
    found = conditioning(wide[:2])
    assert found.rank == 2
    assert found.margin == pytest.approx(1e-3 / (3 * 2**-52))
    assert conditioning(wide[:, :2]).margin == 0
