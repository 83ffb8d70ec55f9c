"""Equal units at a local minimum that is not global: what makes it one, its proof, its claims."""

import json

import numpy as np
import pytest
import torch
import xarray as xr
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import Outcome
from schemas.errors import SpecError
from tasks import TASKS
from tasks.students.balls import balls
from tasks.wide import yu_chen_claims
from tasks.wide.certificate import DERIVATIVES, _OneUnit, prove_trap
from tasks.wide.network import ACTIVATIONS
from tasks.wide.parameters import conditions
from tasks.wide.trap import derivatives, make_trap
from tasks.wide.yu_chen_measures import equal_units
from tasks.wide.yu_chen_scans import FULL, QUICK, SCALES, yu_chen_scans
from tests.test_tasks.test_wide_task import TRAP, build, loss, numbers

HOLDS, REFUTED, INCONCLUSIVE = Outcome.HOLDS, Outcome.REFUTED, Outcome.INCONCLUSIVE
CLAIMS = {claim.name: claim for claim in yu_chen_claims.yu_chen_claims((10,))}


def made(samples=10, d=2, units=10, activation="sigmoid", sign=1.0, seed=0):
    random = np.random.default_rng(seed)
    inputs = random.standard_normal((samples, d))
    return inputs, make_trap(inputs, units, activation, sign, random)


def proof_of(inputs, trap, activation="sigmoid", **changed):
    given = {"targets": trap.targets, "unit": trap.unit, "outputs": trap.outputs, **changed}
    return prove_trap(inputs, **given, activation=activation)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivatives_are_those_of_the_units(activation):
    at = torch.linspace(-6, 6, 41, dtype=torch.float64, requires_grad=True)
    value = ACTIVATIONS[activation]()(at)
    (slope,) = torch.autograd.grad(value.sum(), at, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), at)
    expected = [each.detach().numpy() for each in (value, slope, bend)]
    points = at.detach().numpy()
    for found, known in zip(derivatives(activation, points), expected, strict=True):
        np.testing.assert_allclose(found, known, rtol=1e-11, atol=1e-15)
    for point, *known in zip(points, *expected, strict=True):
        enclosed = DERIVATIVES[activation](arb(float(point)))
        assert [float(each.mid()) for each in enclosed] == pytest.approx(known, abs=1e-14)


@settings(max_examples=30, deadline=None)
@given(
    d=st.integers(1, 3),
    more=st.integers(0, 8),
    units=st.integers(1, 12),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    sign=st.sampled_from([1.0, -1.0]),
    seed=st.integers(0, 1000),
)
def test_the_residuals_meet_their_equations(d, more, units, activation, sign, seed):
    samples = conditions(d) + more
    inputs, trap = made(samples, d, units, activation, sign, seed)
    value, slope, bend = derivatives(activation, inputs @ trap.unit)
    e, size = trap.residuals, np.abs(trap.residuals).max() * samples
    assert trap.outputs.tolist() == [1.0] * units
    np.testing.assert_allclose(units * value - e, trap.targets, atol=1e-15 * size)
    assert e @ value == pytest.approx(0, abs=1e-13 * size)
    np.testing.assert_allclose((e * slope) @ inputs, 0, atol=1e-12 * size)
    curvature = (inputs.T * (e * bend)) @ inputs
    np.testing.assert_allclose(curvature, sign * samples * np.eye(d), atol=1e-11 * size)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("data", ["trap", "saddle"])
def test_equal_units_are_critical_and_the_hessian_knows_which(activation, data):
    landscape = build(activation=activation, bias=False, data=data)
    origin = numbers(landscape.section.origin)
    split = landscape.objective.splits["train"]

    def error(theta):
        units = ACTIVATIONS[activation]()(split.inputs @ theta[:20].reshape(10, 2).T)
        return (units @ theta[20:] - split.targets).square().mean()

    here = torch.from_numpy(origin)
    assert torch.autograd.functional.jacobian(error, here).norm() < 1e-12
    hessian = torch.autograd.functional.hessian(error, here)
    eigenvalues = torch.linalg.eigvalsh(hessian).numpy()
    if data == "trap":
        # Flat but where the sum of the output weights changes, or a unit does.
        np.testing.assert_allclose(eigenvalues[:9], 0, atol=1e-12)
        assert eigenvalues[9] > 0.5
    else:
        assert (eigenvalues[:18] < -1.9).all()
    random = np.random.default_rng(0)
    level = loss(landscape, origin)
    moved = [loss(landscape, origin + 0.01 * random.standard_normal(30)) for _ in range(200)]
    assert level == pytest.approx(equal_units(tree(landscape)).loss)
    assert (min(moved) > level) is (data == "trap")


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("samples", "d"), [(4, 1), (10, 2), (30, 4)])
def test_the_local_minimum_is_proved_and_the_saddle_is_not(samples, d, activation):
    inputs, trap = made(samples, d, samples, activation)
    proof = proof_of(inputs, trap, activation)
    assert proof.proved
    assert proof.radius < 1e-11
    assert proof.curvature == pytest.approx(1, abs=1e-8)
    level = np.square(trap.residuals).mean()
    assert proof.loss_lower <= level * (1 + 1e-14)
    assert proof.loss_lower == pytest.approx(level, rel=1e-9)
    saddle = proof_of(*made(samples, d, samples, activation, -1.0), activation)
    assert saddle.radius is not None
    assert saddle.curvature < -0.9
    assert not saddle.local_minimum
    assert not saddle.proved


def test_what_is_not_proved():
    inputs, trap = made()
    assert proof_of(inputs, trap).proved
    random = np.random.default_rng(5)
    elsewhere = proof_of(inputs, trap, unit=trap.unit + 0.05)
    assert elsewhere.radius is None
    assert not elsewhere.local_minimum
    other = proof_of(inputs, trap, targets=trap.targets + random.standard_normal(10))
    assert other.radius is None
    # Output weights that sum to the same: critical as well, but with one negative no minimum.
    negative = proof_of(inputs, trap, outputs=np.array([1.0] * 7 + [-1.0, 2.0, 2.0]))
    assert negative.radius is not None
    assert negative.curvature > 0
    assert not negative.outputs_positive
    assert not negative.local_minimum
    # Fewer units than samples, or a sample twice: zero is not proved to be reached.
    narrow = proof_of(*made(units=9))
    assert (narrow.local_minimum, narrow.features_nonsingular, narrow.proved) == (
        True,
        False,
        False,
    )
    twice, units = np.vstack([inputs, inputs[:1]]), np.full(11, 10 / 11)
    targets = np.append(trap.targets, trap.targets[0])
    again = proof_of(twice, trap, targets=targets, outputs=units)
    assert not again.features_nonsingular
    with pytest.raises(SpecError, match="inputs: got shape"):
        proof_of(inputs[:, :1], trap)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_derivatives_of_the_equations_are_enclosed(activation):
    inputs, trap = made(activation=activation)
    x, y = torch.from_numpy(inputs), torch.from_numpy(trap.targets)
    unit = ACTIVATIONS[activation]()

    def error(point):
        return (point[2] * unit(x @ point[:2]) - y).square().sum() / 2

    # The gradient of the loss of one unit is (s·Σeσ'x, Σeσ).
    point = np.append(trap.unit + 0.1, 3.0)
    here = torch.from_numpy(point)
    slope = torch.autograd.functional.jacobian(error, here).numpy()
    hessian = torch.autograd.functional.hessian(error, here).numpy()
    one = _OneUnit(balls(inputs), balls(trap.targets), DERIVATIVES[activation])
    scale = np.array([3.0, 3.0, 1.0])
    found = one.equations(balls(point)).astype(float)
    np.testing.assert_allclose(found, slope / scale, rtol=1e-9)
    expected = hessian / scale[:, None]
    expected[:2, 2] -= found[:2] / 3
    np.testing.assert_allclose(one.jacobian(balls(point)).astype(float), expected, rtol=1e-9)


def test_the_radius_holds_the_exact_critical_point():
    inputs, trap = made()
    random = np.random.default_rng(1)
    targets = trap.targets * (1 + 1e-4 * random.standard_normal(10))
    proof = proof_of(inputs, trap, targets=targets)
    assert proof.proved
    x, y = torch.from_numpy(inputs), torch.from_numpy(targets)

    def error(point):
        return (point[2] * torch.sigmoid(x @ point[:2]) - y).square().sum()

    start = torch.from_numpy(np.append(trap.unit, 10.0))
    point = start.clone()
    for _ in range(20):
        slope = torch.autograd.functional.jacobian(error, point)
        step = torch.linalg.solve(torch.autograd.functional.hessian(error, point), slope)
        point = point - step
    away = (point - start).abs().max().item()
    assert 1e-6 < away < proof.radius
    # At the moved targets it is proved about that point, in a box that is as small as rounding.
    unit, total = point[:2].numpy(), point[2].item()
    exact = proof_of(inputs, trap, targets=targets, unit=unit, outputs=np.full(10, total / 10))
    assert exact.proved
    assert exact.radius < 1e-11


def tree(landscape, **arrays):
    """The tree of a scan of this landscape with these arrays along its points."""
    root = xr.Dataset({name: (("split", "point"), [values]) for name, values in arrays.items()})
    return xr.DataTree(root.assign_attrs(facts=json.dumps([landscape.facts])))


def scanned(data="trap", section="random", z=None, **arrays):
    return tree(build(z, bias=False, data=data, section=section), **arrays)


def judged(name, scan):
    """The verdict on a claim, all scans being this one."""
    names = {*yu_chen_scans(FULL)}
    return CLAIMS[name].judge(dict.fromkeys(names, scan))


def test_a_proof_refutes_what_is_printed():
    verdict = judged("no-bad-minimum-10", scanned())
    assert (verdict.verdict, verdict.as_expected, verdict.hypothesis_met) == (REFUTED, True, True)
    assert judged("no-bad-minimum-10", scanned("saddle")).verdict is INCONCLUSIVE
    narrow = tree(build(widths=(9,), **TRAP))
    assert judged("no-bad-minimum-10", narrow).hypothesis_met is False
    assert judged("minimum-proved", scanned()).verdict is HOLDS
    assert judged("minimum-proved-nearby", scanned()).verdict is HOLDS
    for name in ("saddle-proved", "saddle-proved-nearby"):
        assert judged(name, scanned("saddle")).as_expected
        assert not judged(name, scanned()).as_expected


def test_one_loss_below_refutes():
    level = equal_units(scanned()).loss
    for name, array in (("perturbed-is-higher", "loss"), ("descents-come-back", "end_loss")):
        assert judged(name, scanned(**{array: [level, level * (1 + 1e-13)]})).verdict is HOLDS
        assert judged(name, scanned(**{array: [level, level * 0.999]})).verdict is REFUTED
        saddle = judged(name, scanned("saddle", **{array: [level]}))
        assert (saddle.verdict, saddle.hypothesis_met) == (INCONCLUSIVE, False)
    assert judged("perturbed-is-higher", scanned(loss=[level, 2 * level])).verdict is HOLDS
    assert judged("descents-come-back", scanned(end_loss=[2 * level])).verdict is REFUTED


def test_derivatives_decide():
    level = equal_units(scanned()).loss
    flat = {"section": "flat", "z": 1}
    for name, array, good, bad in (
        ("minimum-is-critical", "gradient_norm", 1e-14, 1e-11),
        ("minimum-is-convex", "hessian_eigenvalue_min", -1e-13, -1e-6),
        ("minimum-is-not-strict", "loss", level, level * (1 + 1e-9)),
    ):
        assert judged(name, scanned(**flat, **{array: [good, good]})).verdict is HOLDS
        assert judged(name, scanned(**flat, **{array: [good, bad]})).verdict is REFUTED
    for name in ("minimum-is-critical", "minimum-is-not-strict"):
        assert judged(name, scanned(gradient_norm=[0.0], loss=[level])).hypothesis_met is False


def test_ranks_and_random_features():
    assert judged("minimum-is-degenerate", scanned()).verdict is HOLDS
    random = judged("elsewhere-is-degenerate", tree(build()))
    assert (random.value, random.as_expected) == (10.0, True)
    squares = np.square(build(**TRAP).facts["targets"]).mean()
    for share, verdict in ((1e-14, HOLDS), (1e-8, REFUTED)):
        assert judged("zero-is-reached", scanned(loss=[0.0, share * squares])).verdict is verdict
    for name, landscape in (
        ("narrow-reaches-zero", build(widths=(9,), **TRAP)),
        ("repeated-reaches-zero", build(data="repeated", bias=False)),
    ):
        assert judged(name, tree(landscape, loss=[0.1 * squares])).as_expected


@pytest.mark.parametrize("sizes", [FULL, QUICK])
def test_the_scans_have_what_the_claims_ask_for(sizes):
    scans = yu_chen_scans(sizes)
    for raw in scans.values():
        TASKS["wide-layer"].parse(raw["parameters"])
    assert len({raw["seed"] for raw in scans.values()}) == len(scans)
    figures = yu_chen_claims.yu_chen_figures(sizes.widths)
    for claim in yu_chen_claims.yu_chen_claims(sizes.widths):
        assert claim.figure in {*scans, *figures}
    assert sum(raw["parameters"]["data"] == "trap" for raw in scans.values()) > len(SCALES)
