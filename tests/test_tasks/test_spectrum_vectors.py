"""Eigenvectors of the ends of a spectrum, against matrices whose spectra are known."""

import numpy as np
import pytest

from schemas.errors import WorkError
from tasks import spectrum
from tasks.spectrum import NotFiniteError, end_eigenpairs


def matrix_of(eigenvalues):
    n = len(eigenvalues)
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((n, n)))[0]
    return (turn * eigenvalues) @ turn.T


def pairs(matrix, top, bottom, tolerance=1e-9):
    return end_eigenpairs(lambda v: matrix @ v, len(matrix), tolerance, top, bottom)


@pytest.mark.parametrize(
    "eigenvalues",
    [
        np.arange(20.0) - 7,
        np.zeros(150),
        np.full(150, 3.0),
        np.r_[np.zeros(148), 1.0, 5.0],
        np.r_[-4.0, -4.0, np.linspace(-1, 1, 146), 7.0, 7.0],
        np.r_[-5.0, np.zeros(198), 2.0],
        -np.linspace(1.0, 2.0, 150),
        1e-9 * np.linspace(-1.0, 2.0, 150),
        1e6 + np.linspace(-1.0, 2.0, 150),
    ],
    ids=["small", "zero", "identity", "low rank", "twofold", "two ends", "negative", "tiny", "far"],
)
def test_both_ends_are_found_as_often_as_they_occur(eigenvalues):
    matrix = matrix_of(eigenvalues)
    values, vectors = pairs(matrix, top=3, bottom=2)
    ordered = np.sort(eigenvalues)
    expected = [*ordered[:-4:-1], *ordered[:2]]
    scale = np.abs(eigenvalues).max() or 1.0
    assert values == pytest.approx(expected, rel=0, abs=1e-9 * scale)
    assert vectors @ vectors.T == pytest.approx(np.eye(5), rel=0, abs=1e-7)
    residual = np.linalg.norm(vectors @ matrix - values[:, None] * vectors, axis=1)
    assert residual.max() < 1e-7 * scale
    strongest = np.abs(vectors).argmax(axis=1)
    assert (vectors[range(5), strongest] > 0).all()


def test_the_same_call_gives_the_same_bits():
    matrix = matrix_of(np.linspace(-2, 9, 100))
    first, again = pairs(matrix, 2, 1), pairs(matrix, 2, 1)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])


def test_one_krylov_space_may_miss_the_second_copy_of_an_eigenvalue():
    """The negative control: the space of one start vector holds one vector of each eigenspace."""
    eigenvalues = np.r_[np.linspace(-1, 1, 118), 7.0, 7.0]
    matrix = np.diag(eigenvalues)
    start = np.random.default_rng(0).standard_normal(120)
    space = [start / np.linalg.norm(start)]
    for _ in range(14):
        image = matrix @ space[-1]
        for _ in range(2):
            image -= np.stack(space).T @ (np.stack(space) @ image)
        space.append(image / np.linalg.norm(image))
    basis = np.stack(space)
    ritz = np.linalg.eigvalsh(basis @ matrix @ basis.T)
    assert ritz[-1] == pytest.approx(7, abs=1e-6)
    assert ritz[-2] < 1.1
    assert pairs(matrix, 2, 0)[0] == pytest.approx([7, 7])


def test_two_iterations_are_not_enough_and_these_are():
    """A peer's default of two Lanczos iterations gives 2.57 where the eigenvalue is 4.33."""
    eigenvalues = np.r_[np.zeros(90), np.linspace(0.1, 2.0, 9), 4.33]
    matrix = matrix_of(eigenvalues)
    start = np.random.default_rng(1).standard_normal(100)
    basis = np.linalg.qr(np.stack([start, matrix @ start], axis=1))[0]
    assert np.linalg.eigvalsh(basis.T @ matrix @ basis)[-1] < 3.6
    assert pairs(matrix, 1, 0)[0] == pytest.approx([4.33], abs=1e-10)


def test_well_separated_ends_take_few_products():
    matrix = matrix_of(np.r_[np.linspace(-0.1, 0.1, 497), 3.0, 7.0, -5.0])
    count = [0]

    def product(vector):
        count[0] += 1
        return matrix @ vector

    end_eigenpairs(product, 500, 1e-9, 2, 1)
    assert count[0] < 150


@pytest.mark.parametrize("n", [4, 100])
def test_products_that_are_not_finite_are_refused(n):
    with pytest.raises(NotFiniteError):
        end_eigenpairs(lambda v: v * np.nan, n, 1e-8, 1, 0)


def test_lanczos_that_does_not_converge_says_so(monkeypatch):
    monkeypatch.setattr(spectrum, "BASIS", 20)
    monkeypatch.setattr(spectrum, "_MOST_RESTARTS", 3)
    matrix = np.diag(np.geomspace(1e-8, 1.0, 400))
    with pytest.raises(WorkError, match=r"no convergence in 3 restarts.*; ask for fewer") as error:
        pairs(matrix, 0, 2)
    assert "\n" not in str(error.value)


def test_more_pairs_than_rows_are_a_mistake():
    with pytest.raises(ValueError, match="2 \\+ 1 eigenpairs of a matrix of 2 rows"):
        pairs(np.eye(2), 2, 1)
