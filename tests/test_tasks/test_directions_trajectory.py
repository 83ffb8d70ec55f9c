"""Principal components of a trajectory against the singular vectors of the whole matrix."""

import tracemalloc

import numpy as np
import pytest

from schemas.errors import SpecError
from tasks.directions import trajectory
from tasks.directions.trajectory import principal_components


def displacements(checkpoints, size, seed=0):
    generator = np.random.default_rng(seed)
    steps = generator.standard_normal((checkpoints, size)) * np.linspace(1, 2, size)
    return np.cumsum(steps, axis=0)[::-1].copy()


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("columns", [2**26, 8 * 7 * 3])
def test_components_are_the_singular_vectors(monkeypatch, centred, columns):
    monkeypatch.setattr(trajectory, "_COLUMN_BYTES", columns)
    rows = displacements(7, 40)
    found = principal_components(iter(rows), 7, 40, 3, centred=centred)
    matrix = rows - rows.mean(axis=0) if centred else rows
    _, singular, right = np.linalg.svd(matrix, full_matrices=False)
    assert found.explained == pytest.approx((singular**2 / (singular**2).sum())[:3], rel=1e-12)
    assert np.abs(found.vectors @ right[:3].T) == pytest.approx(np.eye(3), abs=1e-12)
    assert found.vectors @ found.vectors.T == pytest.approx(np.eye(3), abs=1e-14)
    strongest = np.abs(found.vectors).argmax(axis=1)
    assert (found.vectors[range(3), strongest] > 0).all()


def test_centring_matters():
    rows = displacements(7, 40) + 30.0
    plain, centred = (principal_components(rows, 7, 40, 1, centred=c) for c in (False, True))
    assert abs(float(plain.vectors[0] @ centred.vectors[0])) < 0.9


def test_planted_components_are_found_and_of_the_order_of_their_variance():
    directions = np.linalg.qr(np.random.default_rng(1).standard_normal((50, 2)))[0].T
    time = np.linspace(0, 1, 20)
    rows = np.outer(0.1 * np.sin(9 * time), directions[0]) + np.outer(1 - time, directions[1])
    found = principal_components(rows, 20, 50, 2, centred=False)
    overlap = np.abs(found.vectors @ directions.T)
    assert overlap[0, 1] > 0.99
    assert overlap[1, 0] > 0.99
    assert found.explained.sum() == pytest.approx(1, abs=1e-12)
    assert found.explained[0] > 0.95


@pytest.mark.parametrize(("count", "span"), [(3, 2), (1, 0)])
def test_more_components_than_the_trajectory_spans_are_refused(count, span):
    rows = displacements(5, 30)
    rows[span:] = 0.0
    with pytest.raises(SpecError, match=rf"{count} principal.*span {span} dimensions; give") as e:
        principal_components(rows, 5, 30, count, centred=False)
    assert "\n" not in str(e.value)
    if span:
        assert len(principal_components(rows, 5, 30, span, centred=False).vectors) == span


def test_checkpoints_are_never_all_in_memory(monkeypatch):
    monkeypatch.setattr(trajectory, "_COLUMN_BYTES", 2**18)
    checkpoints, size = 60, 50_000
    whole = 8 * checkpoints * size
    asked = []

    def one_by_one():
        for number in range(checkpoints):
            asked.append(number)
            yield np.random.default_rng(number).standard_normal(size)

    tracemalloc.start()
    try:
        principal_components(one_by_one(), checkpoints, size, 2, centred=False)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        kept = np.stack(list(one_by_one()))
        control = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert asked == [*range(checkpoints)] * 2
    assert peak < whole / 5
    assert kept.nbytes == whole
    assert control > whole


def test_a_full_disk_is_told_before_anything_is_read(monkeypatch):
    class Usage:
        free = 100

    monkeypatch.setattr(trajectory.shutil, "disk_usage", lambda _folder: Usage)

    def unread():
        raise AssertionError
        yield

    with pytest.raises(SpecError, match=r"3 checkpoints take .* free; set TMPDIR to a larger disk"):
        principal_components(unread(), 3, 1000, 1, centred=False)
