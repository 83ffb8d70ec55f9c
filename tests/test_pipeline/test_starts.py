"""Multi-start scans: starts that depend on nothing but their number, descents, and their store."""

import copy
import json
import signal

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from pipeline import run, scan, verify, verifying
from pipeline.analysis import statistics
from pipeline.building import replicate_seed
from pipeline.contents import scan_contents
from pipeline.ledger import Ledger
from pipeline.manifest import read_stored
from pipeline.planning import make_plan
from pipeline.points import scan_points
from pipeline.running import run_built
from schemas import PlanError, StoreMismatch, parse_spec
from schemas.errors import Interrupted
from schemas.layout import DescentOutcome
from schemas.starts import start_generator
from tasks.landscape import Landscape
from tasks.objective import ClosedForm
from tasks.section import whole_section
from tests.landscapes import DEEPEST, TILT, largest, wells

N = 3
DESCENT = {"tolerance": 1e-8, "keep_parameters": True}
# Far out such a step diverges, and is halved.
FIXED = {"method": "gd", "step": 0.1, "target": 0.5, "tolerance": 1e-6}


def make_spec(num=40, chunk=7, **changes):
    return parse_spec(
        {
            "task": "wells",
            "starts": {"num": num, "scale": 1.5},
            "descent": DESCENT,
            "splits": ["train"],
            "chunks": {"start": chunk},
            "compute": {"dtype": "float64", "workers": 0, "engine": ENGINE},
            **changes,
        }
    )


# Chosen by the memory of the machine, a block could differ.
ENGINE = {"name": "closed-form", "point_block": 4}


def store_of(folder, spec, **options):
    path = folder / "scan.zarr"
    run_built(spec, path, lambda: [wells(N) for _ in range(spec.replicates)], **options)
    return path


def opened(path):
    return xr.open_zarr(path).load()


def assert_same_bits(one, other):
    assert set(one.variables) == set(other.variables)
    for name in one.variables:
        assert one[name].values.tobytes() == other[name].values.tobytes(), name


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return opened(store_of(tmp_path_factory.mktemp("undisturbed"), make_spec()))


def drawn(spec, replicate=0, landscape=None):
    """All starts of a replicate, as the shards of the spec's grid give them."""
    points, landscape = scan_points(spec), landscape or wells(N)
    blocks = [spec.grid().shard(k) for k in range(spec.grid().n_shards)]
    return np.concatenate([points.of(landscape, replicate, block) for block in blocks])


@settings(max_examples=20, deadline=None)
@given(
    num=st.integers(1, 60),
    chunk=st.integers(1, 60),
    batch=st.integers(1, 9),
    seed=st.integers(0, 2**62),
    replicate=st.integers(0, 3),
)
def test_a_start_does_not_depend_on_its_shard_or_batch(num, chunk, batch, seed, replicate):
    spec = make_spec(num, min(chunk, num), seed=seed)
    points, landscape, grid = scan_points(spec), wells(N), spec.grid()
    parts = [
        points.of(landscape, replicate, block, lo, hi)
        for block in map(grid.shard, range(grid.n_shards))
        for lo, hi in grid.batches(block, batch)
    ]
    own = replicate_seed(seed, replicate)
    expected = [1.5 * start_generator(own, number).standard_normal(N) for number in range(num)]
    np.testing.assert_array_equal(np.concatenate(parts), np.array(expected))


def test_the_first_of_many_starts_are_those_of_a_few(undisturbed, tmp_path):
    np.testing.assert_array_equal(drawn(make_spec(1000, 100))[:100], drawn(make_spec(100, 30)))
    fewer = opened(store_of(tmp_path, make_spec(10, 5)))
    first = undisturbed.isel(start=slice(10))
    np.testing.assert_array_equal(fewer["loss"], first["loss"])
    np.testing.assert_array_equal(fewer["outcome"], first["outcome"])
    np.testing.assert_allclose(fewer["end_loss"], first["end_loss"], rtol=1e-9)
    np.testing.assert_allclose(fewer["end_parameters"], first["end_parameters"], atol=1e-7)


def test_distributions_are_about_the_origin():
    there = Landscape(wells(N).objective, whole_section({"theta": torch.tensor([5.0, 0.0, -5.0])}))
    uniform = make_spec(500, starts={"num": 500, "scale": 0.5, "distribution": "uniform"})
    found = drawn(uniform, landscape=there) - [5, 0, -5]
    assert np.abs(found).max() <= 0.5
    assert found.max(axis=0).min() > 0.45
    assert found.min(axis=0).max() < -0.45
    normal = drawn(make_spec(500), landscape=there) - [5, 0, -5]
    np.testing.assert_allclose(normal.std(axis=0), 1.5, rtol=0.15)
    assert np.abs(normal.mean(axis=0)).max() < 0.3
    own = Landscape(
        there.objective,
        there.section,
        draw=lambda random, scale: np.full(N, scale * random.random()),
    )
    assert len(np.unique(drawn(make_spec(5, 5), landscape=own))) == 5
    np.testing.assert_array_equal(
        drawn(make_spec(5, 5, starts={"num": 5, "distribution": "normal"}), landscape=own),
        drawn(make_spec(5, 5, starts={"num": 5}), landscape=there),
    )


def test_every_descent_ends_where_its_outcome_says(undisturbed):
    starts, ends = drawn(make_spec()), undisturbed["end_parameters"].values[0].T
    value = lambda points: (np.square(points**2 - 1) + TILT * points).sum(axis=1)  # noqa: E731
    slopes = np.linalg.norm(4 * ends * (ends**2 - 1) + TILT, axis=1)
    curvature = 12 * ends**2 - 4
    one = undisturbed.sel(split="train")
    np.testing.assert_allclose(one["loss"], value(starts), rtol=1e-13)
    np.testing.assert_array_equal(one["largest"], largest(starts))
    np.testing.assert_allclose(one["end_loss"], value(ends), rtol=1e-13)
    np.testing.assert_allclose(one["end_gradient_norm"], slopes, atol=1e-12)
    np.testing.assert_allclose(one["end_hessian_eigenvalue_min"], curvature.min(axis=1), rtol=1e-9)
    np.testing.assert_allclose(one["end_hessian_eigenvalue_max"], curvature.max(axis=1), rtol=1e-9)
    assert (slopes <= DESCENT["tolerance"]).all()
    lowest = (ends < 0).all(axis=1)
    assert 0 < lowest.sum() < len(ends)
    found = np.where(lowest, DescentOutcome.GLOBAL, DescentOutcome.SPURIOUS)
    np.testing.assert_array_equal(one["outcome"], found)
    np.testing.assert_allclose(one["end_loss"].values[lowest], N * DEEPEST, rtol=1e-12)


def test_the_store_explains_itself(undisturbed):
    assert undisturbed["loss"].dims == ("split", "start")
    assert undisturbed["end_parameters"].dims == ("split", "number", "start")
    assert undisturbed["start"].dtype == np.int64
    assert undisturbed["start"].attrs["long_name"] == "number of the start"
    assert undisturbed.attrs["section"] == "starts"
    told = undisturbed["outcome"].attrs
    meanings = dict(zip(told["flag_values"], told["flag_meanings"].split(), strict=True))
    assert meanings == {each.value: each.name.lower() for each in DescentOutcome}
    assert (told["method"], told["tolerance"]) == ("lbfgs", DESCENT["tolerance"])
    assert "max(1, |greatest eigenvalue|)" in told["saddle_if"]


def test_a_store_says_what_it_was_made_for(tmp_path):
    spec = make_spec(replicates=2)
    stored = read_stored(store_of(tmp_path, spec))
    assert stored.spec == spec
    assert stored.contents == scan_contents(spec, stored.contents.fields, N)
    assert set(stored.contents.fields) == {"largest"}


def test_replicates_have_starts_of_their_own(undisturbed, tmp_path):
    both = opened(store_of(tmp_path, make_spec(replicates=2)))
    assert both["end_parameters"].dims == ("replicate", "split", "number", "start")
    first = both.isel(replicate=0, drop=True)[[*undisturbed]]
    assert_same_bits(first, undisturbed)
    assert not np.isin(both["loss"][1], both["loss"][0]).any()


def stopping(after):
    """A display that ends the run, as a signal does, once so many starts are done."""

    def display(step, done, total, note=""):
        if step == "scanning points" and done >= after:
            raise Interrupted("ended by SIGINT", signal.SIGINT)

    return display


@pytest.mark.parametrize("after", [7, 28])
def test_an_interrupted_scan_is_continued_to_the_same_bits(undisturbed, tmp_path, after):
    with pytest.raises(Interrupted, match="continue with: cartograd resume"):
        store_of(tmp_path, make_spec(), display=stopping(after))
    kept = Ledger(tmp_path / "scan.zarr").counts()
    assert kept.done == after // 7
    assert kept.pending
    store = store_of(tmp_path, make_spec())
    assert_same_bits(opened(store), undisturbed)


def test_descents_of_a_fixed_step_are_continued_to_the_same_bits(tmp_path):
    spec = make_spec(descent=FIXED)
    whole = opened(store_of(tmp_path / "whole", spec))
    with pytest.raises(Interrupted):
        store_of(tmp_path / "parts", spec, display=stopping(21))
    assert_same_bits(opened(store_of(tmp_path / "parts", spec)), whole)
    assert {*whole["outcome"].values.ravel()} == {
        DescentOutcome.SPURIOUS,
        DescentOutcome.LOW_ENOUGH,
    }
    low = whole["outcome"].values == DescentOutcome.LOW_ENOUGH
    assert (whole["end_loss"].values[low] <= 0.5).all()


def test_a_deep_linear_net_descends_in_fixed_steps(tmp_path):
    spec = {
        "task": "deep-linear",
        "parameters": {"widths": [2, 2, 2]},
        "starts": {"num": 6, "scale": 0.5},
        "descent": {"method": "gd", "step": 0.1, "tolerance": 1e-6, "target": -1.0},
        "splits": ["train"],
        "compute": {"dtype": "float64", "workers": 0},
        "store": str(tmp_path / "scan.zarr"),
    }
    found = opened(run(parse_spec(spec)).store)
    assert (found["outcome"] == DescentOutcome.GLOBAL).all()
    assert found["iterations"].min() > 20
    told = found["outcome"].attrs
    assert (told["method"], told["step"], told["target"]) == ("gd", 0.1, -1.0)
    assert "half its step" in told["begins_again_if"]
    assert statistics(found, {})["ends_low_enough"].item() == 0
    assert verify(tmp_path / "scan.zarr").ok


@pytest.mark.parametrize("changes", [{"num": 41}, {"descent": {"tolerance": 1e-7}}, {"seed": 1}])
def test_another_scan_does_not_continue_it(tmp_path, changes):
    store_of(tmp_path, make_spec())
    with pytest.raises(StoreMismatch, match="holds a different scan"):
        store_of(tmp_path, make_spec(**changes))


QUADRATIC = {
    "task": "quadratic",
    "parameters": {"curvature": [1, 4, 0.5], "centre": [1, 0, -1], "test_offset": 2.0},
    "starts": {"num": 30},
    "descent": {"tolerance": 1e-9},
    "chunks": {"start": 8},
    "compute": {"dtype": "float64", "workers": 0},
}


def test_verify_evaluates_the_starts_again_and_finds_damage(tmp_path, monkeypatch):
    spec = parse_spec({**QUADRATIC, "store": str(tmp_path / "scan.zarr")})
    store = run(spec).store
    before = opened(store)
    assert (before["outcome"].sel(split="train") == DescentOutcome.GLOBAL).all()
    assert (before["outcome"].sel(split="test") == DescentOutcome.MINIMUM).all()
    found = verify(store)
    assert found.ok
    assert found.spot_checks == 32
    other = scan_points(spec.model_copy(update={"seed": 1}))
    with monkeypatch.context() as patched:
        patched.setattr(verifying, "scan_points", lambda _: other)
        assert not verify(store).ok
    victim = sorted((store / "end_loss" / "c").rglob("*"))[-1]
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 4
    victim.write_bytes(content)
    assert len(verify(store).damaged) == 1
    run(spec)
    assert_same_bits(opened(store), before)


def test_descents_from_the_points_of_a_grid(tmp_path):
    spec = {**QUADRATIC, "axes": {"a": {"start": -1, "stop": 1, "num": 5}}}
    spec |= {"parameters": {"curvature": -1.0, "nan_above": 0.7}, "store": str(tmp_path / "g.zarr")}
    del spec["starts"], spec["chunks"]
    spec["descent"] = {"method": "newton", "keep_parameters": True}
    found = opened(run(parse_spec(spec)).store).sel(split="train")
    assert found["end_parameters"].dims == ("number", "a")
    np.testing.assert_array_equal(found["loss"], [-1, -0.25, 0, -0.25, np.nan])
    saddle, failed = DescentOutcome.SADDLE, DescentOutcome.NOT_CONVERGED
    np.testing.assert_array_equal(found["outcome"], [saddle] * 4 + [failed])
    np.testing.assert_allclose(found["end_parameters"][0, :4], 0, atol=1e-9)
    np.testing.assert_allclose(found["end_hessian_eigenvalue_max"][:4], -2)


class Square:
    def __call__(self, theta):
        return theta.square().sum(dim=1)


def test_parameters_that_do_not_fit_are_refused_with_what_would():
    section = whole_section({"theta": torch.zeros(300_000)})
    huge = Landscape(ClosedForm({"train": Square()}), section)
    spec = make_spec(600, 600, compute={"dtype": "float64", "workers": 0})
    plan = make_plan(spec, huge, workers=0, device="cpu", calibrate=False)
    with pytest.raises(PlanError, match=r"chunks: \{start: \d+\}") as error:
        plan.validate()
    chunk = int(str(error.value).split("{start: ")[1].split("}")[0])
    assert 1 <= chunk < 600
    without = make_spec(600, 600, descent={}, compute={"dtype": "float64", "workers": 0})
    make_plan(without, huge, workers=0, device="cpu", calibrate=False).validate()


class Odd(nn.Module):
    """Layers that can be reset, a parameter that none of them sets, a frozen one."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 6)
        self.norm = nn.BatchNorm1d(6)
        self.shift = nn.Parameter(10 + torch.randn(6))
        self.outer = nn.Linear(6, 2)
        self.outer.bias.requires_grad_(False)

    def forward(self, x):
        return self.outer(torch.tanh(self.norm(self.inner(x)) + self.shift))


@pytest.fixture
def odd():
    torch.manual_seed(0)
    return Odd().eval(), {"train": (torch.randn(12, 4), torch.randint(0, 2, (12,)))}


def test_a_module_is_initialised_anew(odd):
    model, data = odd
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    descent = {"max_iterations": 1, "keep_parameters": True, "tolerance": 1e9}
    found = scan(model, data, starts={"num": 50, "scale": 2}, descent=descent, dtype="float64")
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    # With such a tolerance the ends are the starts.
    parts = np.split(found["end_parameters"].values[0], np.cumsum(sizes(model))[:-1])
    named = dict(zip(dict(model.named_parameters()), parts, strict=True))
    assert np.abs(named["inner.weight"]).max() <= 2 * 0.5
    assert np.abs(named["inner.weight"]).max() > 0.9
    assert len(np.unique(named["inner.weight"])) == named["inner.weight"].size
    assert (named["norm.weight"] == 2).all()
    own = model.shift.detach().numpy()
    assert abs(named["shift"].mean() / 2 - own.mean()) < 0.2
    assert abs(named["shift"].std() / 2 - own.std()) < 0.2
    frozen = model.outer.bias.detach().double().numpy()
    np.testing.assert_array_equal(named["outer.bias"], np.repeat(frozen[:, None], 50, axis=1))


def sizes(model):
    return [parameter.numel() for parameter in model.parameters()]


def test_the_ends_of_a_module_are_its_parameters_by_name(odd, tmp_path):
    model, data = odd
    store = tmp_path / "scan.zarr"
    arguments = {"starts": 6, "descent": {"keep_parameters": True, "max_iterations": 30}}
    scan(model, data, dtype="float64", store=store, **arguments)
    found, section = opened(store), xr.open_zarr(store, group="section").load()
    assert "direction" not in section
    ends = found["end_parameters"].sel(split="train").values
    tree = xr.open_datatree(store, engine="zarr", chunks={})
    assert tree["section"].sizes["number"] == len(ends)
    first = [*section["first"].values, len(ends)]
    inputs, targets = data["train"]
    for start in range(6):
        again = copy.deepcopy(model).double()
        with torch.no_grad():
            for row, name in enumerate(section["parameter"].values):
                numbers = torch.from_numpy(ends[first[row] : first[row + 1], start].copy())
                shape = json.loads(str(section["shape"].values[row]))
                again.get_parameter(str(name)).copy_(numbers.reshape(shape))
            loss = nn.functional.cross_entropy(again(inputs.double()), targets)
        assert loss.item() == pytest.approx(found["end_loss"].values[0, start], rel=1e-9)
    assert scan(model, data, dtype="float64", store=store, **arguments).load().equals(found)
    assert verify(store).ok


@pytest.mark.parametrize(("workers", "descent"), [(1, DESCENT), (2, FIXED)])
def test_workers_change_no_bit(tmp_path, ray_here, workers, descent):
    compute = {"dtype": "float64", "workers": workers, "engine": ENGINE}
    found = opened(store_of(tmp_path / "shared", make_spec(descent=descent, compute=compute)))
    assert_same_bits(found, opened(store_of(tmp_path / "alone", make_spec(descent=descent))))


def test_a_worker_that_is_killed_changes_no_bit(undisturbed, tmp_path, ray_here):
    victim, counter = drawn(make_spec())[23, 0], tmp_path / "deaths"
    compute = {"dtype": "float64", "workers": 2, "engine": ENGINE}
    landscape = wells(N, victim=float(victim), times=2, counter=counter)
    store = tmp_path / "scan.zarr"
    run_built(make_spec(compute=compute), store, lambda: [landscape])
    assert counter.stat().st_size == 2
    assert_same_bits(opened(store), undisturbed)
