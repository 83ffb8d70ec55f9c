"""Cells at many points at once against those that one forward pass after another finds."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.engine.cells_together import CellTotals
from pipeline.engine.choice import check_forced, choose_engine, make_evaluator
from pipeline.engine.contract import EngineChoice, Work
from pipeline.engine.graph.tracing import Untraceable
from schemas import SpecError
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split, squared_error
from tasks.section import directions_as_section

METRICS = ("loss", "activation_cell", "activation_changes")
SAMPLES = 13
AXES = 2
POINTS = np.random.default_rng(1).uniform(-1, 1, (11, AXES)) * np.geomspace(1e-3, 3, 11)[:, None]


def network(first=None, second=None):
    first, second = first or nn.ReLU(), second or nn.ReLU()
    return nn.Sequential(nn.Linear(4, 7), first, nn.Linear(7, 6), second, nn.Linear(6, 2))


def landscape(model, moved=((), ()), inputs=None):
    """A plane of random directions; each moves the parameters of the layers named, or all."""
    inputs = torch.randn(SAMPLES, 4) if inputs is None else inputs
    origin = {name: p.detach() for name, p in model.named_parameters()}
    directions = [
        {n: torch.randn_like(p) for n, p in origin.items() if not own or n.split(".")[0] in own}
        for own in moved
    ]
    with torch.no_grad():
        targets = torch.zeros_like(model(inputs))
    risk = EmpiricalRisk(model, squared_error, {"train": Split(inputs, targets)})
    return Landscape(risk, directions_as_section(origin, directions))


def measured(one, name, points=POINTS, metrics=METRICS, dtype="float64", block=5, **more):
    choice = EngineChoice(name, "cpu", dtype, 1, block, **more)
    return make_evaluator(one, ("train",), metrics, choice).evaluate(points)


def assert_same(found, expected, metrics=METRICS):
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-12)
    for name in metrics[1:]:
        assert found[name].dtype == expected[name].dtype
        np.testing.assert_array_equal(found[name], expected[name])


UNITS = [
    (nn.ReLU(), nn.LeakyReLU(0.1)),
    (nn.Hardtanh(-0.3, 0.4), nn.ReLU6()),
    (nn.Threshold(0.1, 0.0), nn.Hardsigmoid()),
    (nn.PReLU(), nn.ReLU(inplace=True)),
]


@pytest.mark.parametrize("units", UNITS, ids=str)
def test_every_unit_in_a_graph_has_the_same_hashes_and_changes(units):
    torch.manual_seed(2)
    one = landscape(network(*units))
    expected = measured(one, "autograd", block=None)
    assert len(np.unique(expected["activation_cell"])) > 5
    assert_same(measured(one, "traced", degree=1), expected)
    if not isinstance(units[0], nn.PReLU):
        assert_same(measured(one, "batched", point_block=4, degree=1), expected)


@pytest.mark.parametrize("moved", [(("0",), ("4",)), (("0", "2"), ("2",))])
@pytest.mark.parametrize("name", ["traced", "batched"])
def test_layers_that_do_not_move_and_axes_that_vary_slowest(moved, name):
    torch.manual_seed(3)
    one = landscape(network(), moved)
    grid = np.stack(np.meshgrid([0.0, 0.3, 2.0], [0.0, -0.5, 1.0]), -1).reshape(-1, AXES)
    expected = measured(one, "autograd", grid)
    for outer in ((), (0,)):
        assert_same(measured(one, name, grid, outer=outer, degree=0), expected)
    assert expected["activation_changes"][0, 0] == 0


def test_accuracy_beside_cells_and_either_cell_metric_alone():
    torch.manual_seed(4)
    model = network()
    inputs = torch.randn(SAMPLES, 4)
    one = landscape(model, inputs=inputs)
    classes = {"train": Split(inputs, torch.arange(SAMPLES) % 2)}
    risk = EmpiricalRisk(model, squared_error, classes)
    one = replace(one, objective=risk)
    for cells in METRICS[1:]:
        metrics = ("loss", "accuracy", cells)
        expected = measured(one, "autograd", metrics=metrics)
        for name in ("traced", "batched"):
            found = measured(one, name, metrics=metrics, point_block=4)
            assert_same(found, expected, ("loss", cells))
            np.testing.assert_array_equal(found["accuracy"], expected["accuracy"])


def test_in_float32_points_differ_only_where_a_value_is_near_a_wall():
    torch.manual_seed(5)
    one = landscape(network())
    points = np.random.default_rng(5).uniform(-2, 2, (200, AXES))
    exact = measured(one, "batched", points, point_block=8)
    found = measured(one, "batched", points, dtype="float32", point_block=8)
    # 169 values a point, each within 1e-6 of a wall once in about a million.
    assert (found["activation_cell"] != exact["activation_cell"]).mean() <= 0.01
    away = found["activation_changes"] - exact["activation_changes"]
    assert np.abs(away).max() <= 1


def reference(pieces, weights):
    return [(int(w) * int(p)) % 2**64 for w, p in zip(weights, pieces, strict=True)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.int64])
@pytest.mark.parametrize("units", [1, 3, 700])
def test_sums_of_weights_are_exact(dtype, units):
    """Against Python's integers, with pieces all at their greatest, where sums are greatest."""
    from pipeline.engine.cells import mixed
    from pipeline.engine.cells_together import _weighted

    most = 1 if dtype == torch.float32 else 2
    pieces = torch.full((2, units, 3), most, dtype=dtype)
    pieces[1, : units // 2] = 0
    weights = mixed(torch.arange(units)).tolist()
    for point in range(2):
        expected = sum(reference(pieces[point, :, 0].tolist(), weights)) % 2**64
        assert int(_weighted([pieces])[point, 0]) % 2**64 == expected


def test_changes_of_every_kind_are_counted():
    pieces = torch.tensor([[[0.0, 1, 1]], [[1, 1, 0]]])
    wide = torch.tensor([[[0, 1, 2]], [[2, 2, 2]]], dtype=torch.uint8)
    totals = CellTotals(1, 2, torch.device("cpu"))
    totals.add_changes(0, slice(0, 2), [pieces, wide], [pieces[:1], wide[:1]])
    assert totals.values()["activation_changes"].tolist() == [[0, 2 + 2]]


def test_what_a_graph_does_not_show_is_left_to_the_general_path():
    torch.manual_seed(6)
    model = nn.Sequential(nn.Linear(4, 8), nn.Unflatten(1, (2, 4)), nn.MaxPool1d(2), nn.Flatten())
    one = landscape(model)
    with pytest.raises(Untraceable, match="piecewise-linear"):
        measured(one, "traced")
    work = Work(("train",), METRICS, np.zeros((64, AXES)), 10**6, 2**30)
    assert choose_engine(one, "cpu", "float32", 1, work).name == "autograd"


def test_an_engine_may_be_forced_where_it_measures_cells():
    one = landscape(network())
    choice = EngineChoice("batched", "cpu", "float32", 1, None)
    check_forced(one, METRICS, choice)
    for refused in (replace(choice, name="loop"), replace(choice, dtype="bfloat16")):
        with pytest.raises(SpecError, match="does not measure activation_cell"):
            check_forced(one, METRICS, refused)
