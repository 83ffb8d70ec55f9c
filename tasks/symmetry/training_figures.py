"""The figures of the study `symmetry` on students of growing width.

Şimşek et al. 2021, arXiv:2105.12221, section 5.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.study import Figure, Series
from tasks.facts import Trees
from tasks.students.published import interval
from tasks.symmetry.training_claims import REACHED
from tasks.symmetry.training_measures import KNOWN, ZERO, share_of_subspaces, trained
from tasks.symmetry.training_scans import TAUGHT, Training, trainings

LOSSES = "training-losses"
_ASIDE = 0.12
_LOWEST = 1e-34
"""Losses are shown from here on."""


def training_figures(quick: bool) -> dict[str, Figure]:
    """How often zero loss is reached by width, and the losses of the ends."""
    sizes = trainings(quick)
    longer = [each for each in sizes.known if each not in sizes.growing]
    return {
        REACHED: Figure(
            "How often training reaches zero loss",
            f"Share of trainings that end below {ZERO:g}, with 95 % intervals (Clopper and "
            "Pearson). Broken: the share that subspaces of global minima have of them and of those "
            "of critical points of smaller widths, T/(T + Σ_k G). Nothing says that trainings "
            "choose among subspaces evenly.",
            "student's units m",
            "share",
            lambda scans: [
                _shares(scans, "sigmoid", sizes.growing, 0.0),
                *([_shares(scans, "sigmoid, 20,000 steps", longer, _ASIDE)] if longer else []),
                *([_shares(scans, "asymmetric", sizes.others, -_ASIDE)] if sizes.others else []),
                _known(),
                _counted([each.units for each in sizes.growing if each.units >= TAUGHT]),
            ],
        ),
        LOSSES: Figure(
            "Where trainings end",
            "Losses of the ends of sigmoid students. Broken: what counts as zero loss.",
            "student's units m",
            "loss",
            lambda scans: [
                _ends(scans, sizes.growing, zero=True),
                _ends(scans, sizes.growing, zero=False),
                Series(
                    "counts as zero",
                    (sizes.growing[0].units, sizes.growing[-1].units),
                    (ZERO, ZERO),
                    "bound",
                ),
            ],
            y_scale="log",
        ),
    }


def _shares(scans: Trees, label: str, students: Sequence[Training], aside: float) -> Series:
    found = [trained(scans[each.name]).zero for each in students]
    ends = [interval(int(zero.sum()), len(zero)) for zero in found]
    return Series(
        label,
        [each.units + aside for each in students],
        [float(zero.mean()) for zero in found],
        "points",
        [low for low, _ in ends],
        [high for _, high in ends],
    )


def _known() -> Series:
    ends = [interval(known.reached, known.runs) for known in KNOWN.values()]
    return Series(
        "sigmoid, other trainings",
        [units + 2 * _ASIDE for units in KNOWN],
        [known.reached / known.runs for known in KNOWN.values()],
        "points",
        [low for low, _ in ends],
        [high for _, high in ends],
    )


def _counted(widths: Sequence[int]) -> Series:
    every = range(min(widths), max(widths) + 1)
    shares = [share_of_subspaces(units) for units in every]
    return Series("share of subspaces", [float(units) for units in every], shares, "bound")


def _ends(scans: Trees, students: Sequence[Training], *, zero: bool) -> Series:
    points = [
        (float(each.units), max(float(loss), _LOWEST))
        for each in students
        for loss in trained(scans[each.name]).losses
        if (loss < ZERO) == zero
    ]
    label = "at zero loss" if zero else "above it"
    return Series(label, [x for x, _ in points], [y for _, y in points], "points")
