"""Extreme eigenvalues against known spectra and whole matrices."""

import numpy as np
import pytest
import torch
from torch import nn

from schemas.errors import WorkError
from tasks import spectrum
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split, cross_entropy
from tasks.section import directions_as_section
from tasks.spectrum import extreme_eigenvalues
from tests.derivatives import EIGENVALUES, SPLITS, difference, measured


class Bowl(nn.Module):
    """Outputs whose mean square has the Hessian that is asked for."""

    def __init__(self, eigenvalues):
        super().__init__()
        torch.manual_seed(0)
        n = len(eigenvalues)
        rotation = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64))[0]
        self.register_buffer("matrix", rotation @ torch.diag(eigenvalues) @ rotation.T)
        self.weight = nn.Parameter(torch.randn(n, dtype=torch.float64))

    def forward(self, x):
        return (0.5 * self.weight @ self.matrix @ self.weight).expand(len(x), 1)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-6)])
@pytest.mark.parametrize("n", [5, 64, 65, 400])
def test_the_spectrum_of_a_quadratic_is_known(n, dtype, tolerance):
    eigenvalues = torch.linspace(-3.0, 7.0, n, dtype=torch.float64)
    model = Bowl(eigenvalues)
    direction = {"weight": torch.ones(n, dtype=torch.float64)}
    data = {s: Split(torch.zeros(3, 1), torch.zeros(3, 1)) for s in SPLITS}
    section = directions_as_section(dict(model.named_parameters()), [direction])
    one = Landscape(EmpiricalRisk(model, lambda outputs, _: outputs[:, 0], data), section)
    found = measured(one, (*EIGENVALUES, "section_hessian"), dtype, points=np.array([[0.7]]))
    assert np.abs(found[EIGENVALUES[0]] + 3).max() < 7 * tolerance
    assert np.abs(found[EIGENVALUES[1]] - 7).max() < 7 * tolerance
    expected = float(direction["weight"] @ model.matrix @ direction["weight"])
    assert np.abs(found["section_hessian"] - expected).max() < 1e-4 * n


@pytest.mark.parametrize("block", [None, 5])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-8), ("float32", 1e-6)])
def test_lanczos_agrees_with_the_whole_matrix(monkeypatch, dtype, tolerance, block):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 18), nn.Tanh(), nn.Linear(18, 4))
    splits = {s: Split(torch.randn(15, 8), torch.randint(0, 4, (15,))) for s in SPLITS}
    origin = dict(model.named_parameters())
    section = directions_as_section(origin, [{n: torch.randn_like(p) for n, p in origin.items()}])
    one = Landscape(EmpiricalRisk(model, cross_entropy, splits), section)
    point = np.array([[0.5]])
    # A basis far smaller than the matrix, so that Lanczos restarts.
    monkeypatch.setattr(spectrum, "BASIS", 20)
    found = measured(one, EIGENVALUES, dtype, block, points=point)
    monkeypatch.setattr(spectrum, "DENSE", 10_000)
    dense = measured(one, EIGENVALUES, "float64", points=point)
    worst = difference(found, dense)
    assert max(worst.values()) < tolerance
    assert (dense[EIGENVALUES[0]] < -1e-3).all()


def products(matrix):
    return lambda vector: matrix @ vector


@pytest.mark.parametrize(
    "eigenvalues",
    [
        np.zeros(200),
        np.full(200, 3.0),
        np.r_[np.zeros(190), np.arange(1.0, 11.0)],
        np.r_[-5.0, np.zeros(198), 2.0],
        -np.linspace(1.0, 2.0, 200),
        np.r_[-np.geomspace(1e-4, 1e-2, 400), np.geomspace(1e-2, 1.0, 90), np.arange(2.0, 12.0)],
    ],
    ids=["zero", "multiple of one", "low rank", "two ends", "negative", "long tail"],
)
def test_spectra_of_every_kind(eigenvalues):
    n = len(eigenvalues)
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((n, n)))[0]
    product = products((turn * eigenvalues) @ turn.T)
    found = extreme_eigenvalues(product, n, 1e-10)
    assert found == extreme_eigenvalues(product, n, 1e-10)
    scale = np.abs(eigenvalues).max() or 1.0
    assert found == pytest.approx((eigenvalues.min(), eigenvalues.max()), rel=0, abs=1e-10 * scale)


def test_lanczos_that_does_not_converge_says_so(monkeypatch):
    monkeypatch.setattr(spectrum, "BASIS", 20)
    monkeypatch.setattr(spectrum, "_MOST_RESTARTS", 3)
    product = products(np.diag(np.geomspace(1e-8, 1.0, 400)))
    with pytest.raises(WorkError, match=r"no convergence in 3 restarts.*leave the eigenv") as error:
        extreme_eigenvalues(product, 400, 1e-10)
    assert "\n" not in str(error.value)
