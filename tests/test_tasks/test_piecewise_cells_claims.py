"""Claims on activation cells: scans made by hand where each must say yes, and where no."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import xarray as xr

from schemas.study import Outcome
from tasks.piecewise import cells_claims, cells_figures, cells_scans
from tasks.piecewise.cells_joining import made_reversed
from tasks.piecewise.cells_line_measures import lines_of, steps_of
from tasks.piecewise.cells_measures import ends_of
from tasks.piecewise.cells_minima import minima
from tasks.piecewise.cells_network import draw_samples

HOLDS, REFUTED, INCONCLUSIVE = Outcome.HOLDS, Outcome.REFUTED, Outcome.INCONCLUSIVE
CLAIMS = {claim.name: claim for claim in cells_claims.cell_claims()}


def tree(data, **facts):
    """A scan with one replicate for each of the facts' entries; losses are of a single one."""
    rows = zip(*facts.values(), strict=True)
    replicates = [dict(zip(facts, values, strict=True)) for values in rows]
    dims = {
        "end_parameters": ["replicate", "start", "split", "number"],
        "activation_cell": ["replicate", "split", "t"],
        "loss": ["split", "t"],
    }
    variables = {name: (dims[name], np.asarray(data[name])) for name in data if name != "t"}
    coords = {"split": ["train"]} | ({"t": data["t"]} if "t" in data else {})
    dataset = xr.Dataset(variables, coords=coords, attrs={"facts": json.dumps(replicates)})
    return xr.DataTree(dataset)


@cache
def found(slope, units, cells=5):
    """Samples, and minima inside as many cells."""
    random = np.random.default_rng(3)
    inputs, targets = draw_samples(10, 3, random)
    nets = {}
    for net in minima(inputs, targets, units, slope, random):
        nets.setdefault(net.slopes(inputs).tobytes(), net)
        if len(nets) == cells or slope == 1.0:
            return inputs, targets, list(nets.values())
    raise AssertionError


def ends_tree(slope, units, copies=3, stretch=1.0):
    """Ends in open cells, several of each, whose output weights are 1, 2 … times as great."""
    inputs, targets, nets = found(slope, units)
    points = [
        replace(net, hidden=stretch * net.hidden / k, outputs=k * net.outputs).numbers
        for net in nets * (5 // len(nets))
        for k in range(1, copies + 1)
    ]
    facts = {"inputs": [inputs.tolist()], "targets": [targets.tolist()]}
    points = np.array(points)[None, :, None]
    return tree({"end_parameters": points}, widths=[[units]], slope=[slope], **facts)


@pytest.fixture(scope="module")
def ends():
    return {
        cells_scans.RELU: ends_tree(0.0, 3),
        cells_scans.LEAKY: ends_tree(0.3, 2),
        cells_scans.LINEAR: ends_tree(1.0, 2),
        cells_scans.STOPPED: ends_tree(0.0, 3, stretch=1.1),
    }


def test_minima_are_optima_of_their_cells_and_others_are_not(ends):
    names = [
        "minima-are-cell-optima",
        "stopped-are-cell-optima",
        "minima-are-other-optima",
        "cells-have-bad-minima",
        "linear-has-bad-minima",
        "linear-minima-are-global",
        "relu-minima-are-linear",
    ]
    judged = {name: CLAIMS[name].judge(ends) for name in names}
    assert [one.claim for one in judged.values() if not one.as_expected] == []
    assert judged["minima-are-cell-optima"].value < 1e-12
    assert sum(one.verdict is HOLDS for one in judged.values()) == 3
    relu = ends_of(ends[cells_scans.RELU])
    assert relu.minima.all()
    assert len(set(relu.cells)) == 5


def test_too_few_minima_say_nothing(ends):
    few = {**ends, cells_scans.RELU: ends_tree(0.0, 3, copies=1)}
    assert CLAIMS["minima-are-cell-optima"].judge(few).verdict is INCONCLUSIVE
    assert CLAIMS["cells-have-bad-minima"].judge(few).verdict is INCONCLUSIVE


def test_a_minimum_on_a_wall_is_left_out():
    inputs, targets, (net, *_) = found(0.0, 3)
    hidden = net.hidden.copy()
    hidden[0] -= inputs[0] * (inputs[0] @ hidden[0]) / (inputs[0] @ inputs[0])
    points = replace(net, hidden=hidden).numbers[None, None, None]
    facts = {"inputs": [inputs.tolist()], "targets": [targets.tolist()]}
    scan = tree({"end_parameters": points}, widths=[[3]], slope=[0.0], **facts)
    assert (len(ends_of(scan).losses), ends_of(scan).descents) == (0, 1)


def way(one, other, losses, hashes, inputs, targets, slope):
    t = np.linspace(0, 1, len(losses))
    data = {"loss": [losses], "activation_cell": [[np.array(hashes, dtype=np.uint64)]], "t": t}
    return tree(
        data,
        widths=[[len(one.outputs)]],
        slope=[slope],
        inputs=[inputs.tolist()],
        targets=[targets.tolist()],
        minima=[[one.numbers.tolist(), other.numbers.tolist()]],
    )


def test_minima_are_joined_only_where_no_sign_must_turn():
    inputs, targets, one, other = made_reversed(0.5)
    same = (inputs, targets, 0.5)
    within = way(one, one, [2.0, 2.0, 2.0], [5, 5, 5], *same)
    across = way(one, other, [2.0, 2.5, 2.0], [5, 6, 5], *same)
    scans = {cells_scans.WITHIN: within, cells_scans.ACROSS: across, cells_scans.REVERSED: across}
    names = ["minima-of-a-cell-are-joined", "joined-inside-the-cell"]
    names += ["minima-of-two-cells-are-joined", "joined-inside-one-of-two-cells"]
    verdicts = [CLAIMS[name].judge(scans) for name in names]
    assert [one.verdict for one in verdicts] == [HOLDS, HOLDS, REFUTED, REFUTED]
    assert all(one.as_expected for one in verdicts)
    judged = CLAIMS["all-minima-of-a-cell-are-joined"].judge(scans)
    assert judged.verdict is Outcome.CONDITIONAL
    assert judged.value == pytest.approx(0.3, rel=1e-9)
    scans[cells_scans.WITHIN] = way(one, one, [2.0, 2.1, 2.0], [5, 7, 5], *same)
    assert [CLAIMS[name].judge(scans).verdict for name in names[:2]] == [REFUTED, REFUTED]


def line_tree(steps, miss=()):
    """Two lines through the weight of one unit with one input each, and the hashes on a grid."""
    t = np.linspace(-1, 1, steps + 1)
    walls = [np.linspace(-0.9, 0.85, 25), np.linspace(-0.83, 0.9, 25)]
    hashes = [np.searchsorted(np.delete(each, list(miss)), t).astype(np.uint64) for each in walls]
    # Before the unit: (w − wall·w…): with inputs (1, −wall) and weights (t, 1) it is t − wall.
    return tree(
        {"activation_cell": np.array(hashes)[:, None], "t": t},
        widths=[[1]] * 2,
        slope=[0.0] * 2,
        inputs=[[[1.0, -wall] for wall in each] for each in walls],
        origin=[[0.0, 1.0, 1.0]] * 2,
        directions=[[[1.0, 0.0, 0.0]]] * 2,
    )


def test_changes_of_a_grid_are_bracketed_by_walls():
    scans = {cells_scans.LINE: line_tree(2048)}
    (first, _) = lines_of(scans[cells_scans.LINE])
    np.testing.assert_allclose(first.walls, np.linspace(-0.9, 0.85, 25), atol=1e-12)
    counts = [first.cells(step) for step in steps_of(first)]
    assert counts[0] == 26
    assert counts == sorted(counts, reverse=True)
    names = [name for name in CLAIMS if CLAIMS[name].figure == cells_claims.WALLS]
    verdicts = [CLAIMS[name].judge(scans) for name in names]
    wrong = [one.claim for one in verdicts if not one.as_expected]
    # Walls this even are seen by a grid of 64 steps as well.
    assert wrong == ["coarse-grids-see-the-walls"]
    # A finer line does not make the coarse grid finer.
    fine = {cells_scans.LINE: line_tree(2**13)}
    coarse = CLAIMS["coarse-grids-see-the-walls"]
    assert coarse.statistic(fine) == coarse.statistic(scans)
    few = {cells_scans.LINE: line_tree(2048, miss=range(10))}
    assert CLAIMS["fine-grids-see-the-walls"].judge(few).verdict is REFUTED


def test_figures_and_the_table_show_what_the_scans_hold(ends):
    row, *_ = cells_figures.cell_tables()["cells-ends"].rows(ends)
    assert row[:5] == ["3 ReLUs", 15, 15, 15, 5]
    drawn = cells_figures.cell_figures()[cells_claims.MINIMA].series(ends)
    assert [len(one.x) for one in drawn] == [15, 15, 15, 15, 2]
    np.testing.assert_allclose(drawn[0].x, drawn[0].y, atol=1e-12)


@pytest.mark.parametrize("quick", [True, False])
def test_scans_have_seeds_of_their_own(quick):
    scans = cells_scans.cell_scans(quick)
    assert len({scan["seed"] for scan in scans.values()}) == len(scans)
