"""The figures of the study `teacher-student`.

Safran & Shamir 2018, arXiv:1712.08968.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from schemas.study import Figure, Series
from tasks.facts import Trees, facts_of
from tasks.students import cell_measures as measures
from tasks.students.cells import cell_of, families_of
from tasks.students.passes import rise_of_line
from tasks.students.published import PUBLISHED, RUNS, interval
from tasks.students.tables import Cells

_ASIDE = 0.15
"""How far published points stand beside ours."""


def figures(cells: Cells, betweens: Sequence[int]) -> dict[str, Figure]:
    """Percentages and means by k, the losses of the families, and the lines between minima."""
    equal = {at: scan for at, scan in cells.items() if at[0] == at[1]}
    more = {at: scan for at, scan in cells.items() if at[0] < at[1]}
    return {
        "percentages": Figure(
            "How often descents end in a spurious minimum",
            "Share of runs that end at a loss of 10⁻³ or more, with 95 % intervals, beside what "
            "is published.",
            "teachers k",
            "bad runs [%]",
            lambda scans: [
                *_shares(scans, equal, "n = k"),
                *(_shares(scans, more, "n = k + 1") if more else []),
            ],
        ),
        "means": Figure(
            "Curvature at the spurious minima",
            "Mean over the bad runs of the least eigenvalue of the Hessian, with two standard "
            "errors, and the mean that is published.",
            "teachers k",
            "λ_min",
            lambda scans: _means(scans, equal),
        ),
        "family-losses": Figure(
            "Families of spurious minima",
            "Losses of the families found with as many students as teachers. The largest family "
            "is marked apart.",
            "teachers k",
            "F",
            lambda scans: _losses(scans, equal),
        ),
        "lines": Figure(
            "From a spurious minimum to the nearest global one",
            "Loss along the straight line, with the spurious minimum at 0 and the global one at 1.",
            "t",
            "F",
            lambda scans: [_line(scans, k) for k in betweens],
        ),
    }


def _shares(scans: Trees, cells: Cells, label: str) -> list[Series]:
    found = [cell_of(scans[scan]).bad for scan in cells.values()]
    ends = [interval(int(bad.sum()), len(bad)) for bad in found]
    known = {k: PUBLISHED[k, n].bad / RUNS for k, n in cells if (k, n) in PUBLISHED}
    errors = [interval(PUBLISHED[at].bad, RUNS) for at in cells if at in PUBLISHED]
    return [
        Series(
            label,
            [float(k) for k, _ in cells],
            [100 * float(bad.mean()) for bad in found],
            "line",
            [100 * low for low, _ in ends],
            [100 * high for _, high in ends],
        ),
        Series(
            f"{label}, published",
            [k + _ASIDE for k in known],
            [100 * share for share in known.values()],
            "points",
            [100 * low for low, _ in errors],
            [100 * high for _, high in errors],
        ),
    ]


def _means(scans: Trees, cells: Cells) -> list[Series]:
    found = {
        k: measures.mean_of_bad(scans, scan)["least_eigenvalue"]
        for (k, _), scan in cells.items()
        if cell_of(scans[scan]).bad.any()
    }
    known = {k: PUBLISHED[k, k].least_eigenvalue for k in found if (k, k) in PUBLISHED}
    errors = [2 * (0.0 if np.isnan(error) else error) for _, error in found.values()]
    values = [mean for mean, _ in found.values()]
    return [
        Series(
            "measured",
            [float(k) for k in found],
            values,
            "line",
            [value - error for value, error in zip(values, errors, strict=True)],
            [value + error for value, error in zip(values, errors, strict=True)],
        ),
        Series(
            "published",
            [k + _ASIDE for k in known],
            [value for value in known.values() if value is not None],
            "points",
        ),
    ]


def _losses(scans: Trees, cells: Cells) -> list[Series]:
    first: list[tuple[float, float]] = []
    other: list[tuple[float, float]] = []
    for (k, _), scan in cells.items():
        points = [(float(k), family.loss) for family in families_of(scans[scan])]
        first += points[:1]
        other += points[1:]
    return [
        Series(label, [x for x, _ in points], [y for _, y in points], "points")
        for label, points in (("other families", other), ("largest family", first))
    ]


def _line(scans: Trees, k: int) -> Series:
    t, rise = rise_of_line(scans[f"between-{k}"])
    least = facts_of(scans[f"between-{k}"])[0]["spurious_loss"]
    return Series(f"k = {k}", t.tolist(), (rise + least).tolist())
