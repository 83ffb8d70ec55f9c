"""What is claimed of critical points that copies of units make.

Fukumizu & Amari 2000, "Local minima and plateaus in hierarchical structures of multilayer
perceptrons", Neural Networks 13; Şimşek et al. 2021, arXiv:2105.12221. The statistics are in
`critical_measures`; a control is the same claim where its hypothesis is broken. Thresholds: 10⁻¹²,
10⁻¹⁰ and 10⁻⁹ are for rounding, of losses near 10⁻² and of descents that end with a gradient of
10⁻⁸. Eigenvalues below −10⁻⁶ of U's count as negative; those that should be 0 are so within 10⁻¹².
Trials had been seen when these were set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from schemas.study import Claim, Outcome
from tasks.symmetry import critical_measures as measures
from tasks.symmetry.critical_scans import (
    FULL,
    OFF,
    PLATEAU,
    QUICK,
    REVERSED,
    SADDLE,
    Copied,
    embedded_name,
    near_points,
)
from tasks.symmetry.curvature import Nature

COPIES = "Fukumizu & Amari 2000, Neural Networks 13; Şimşek et al. 2021, arXiv:2105.12221"
SIGN = f"{COPIES}; the curvature is μ(1 − μ)vᵀUv along ways v on which copies part"
CURVES, ENDS, KINDS = "copies-curvature", "copies-ends", "critical-points"
"""Figures, and the table of what copies are."""

ROUNDING = 1e-12
FORMULA = 1e-10
SAME_END = 1e-9
NEGATIVE = -1e-6
LEFT = 0.5


def critical_claims(quick: bool) -> list[Claim]:
    """Every claim on the scans of `critical_scans`."""
    sizes = QUICK if quick else FULL
    ends = _ends([copied.near(place) for copied, place in near_points(quick)])
    return [
        *_embedded([embedded_name(*pair) for pair in sizes.embedded]),
        *_formula(sizes.units),
        *_readings(sizes.units),
        *_conditions([copied for copied in sizes.units if copied not in (PLATEAU, REVERSED)]),
        *([] if quick else _reversed()),
        *_proofs(),
        *ends,
    ]


def _embedded(names: Sequence[str]) -> list[Claim]:
    def critical(excess: float = 0.0, away: float = 0.0) -> Claim:
        return Claim(
            name="copies-are-critical",
            statement="every way to make the units of a wide network copies of those of a narrow "
            "one, at a critical point of the narrow one, is a critical point, with any shares: "
            "greatest norm of the gradient",
            source=COPIES,
            statistic=measures.greatest_gradient(names, excess, away),
            threshold=ROUNDING,
            sense="at most",
            figure=names[0],
            hypothesis=measures.are_copies(names, excess, away),
        )

    def equal(excess: float = 0.0, away: float = 0.0) -> Claim:
        return replace(
            critical(excess, away),
            name="copies-have-the-loss",
            statement="the loss there is that of the narrow network: greatest change, relative to "
            "it",
            statistic=measures.greatest_change(names, excess, away),
        )

    return [
        critical(),
        critical(excess=OFF).as_control("other-shares-are-critical", "with shares of a sum of 3/2"),
        critical(away=OFF).as_control("moved-copies-are-critical", "with one copy moved"),
        equal(),
        equal(excess=OFF).as_control("other-shares-have-the-loss", "with shares of a sum of 3/2"),
    ]


def _formula(units: Sequence[Copied]) -> list[Claim]:
    def formula(apart: float) -> Claim:
        return Claim(
            name="curvature-of-copies",
            statement="of a unit and its copy, with shares μ and 1 − μ of its output weight, the "
            "second derivatives are μ(1 − μ)vᵀUv where they part along v, and 0 along μ: greatest "
            "difference, relative to U",
            source=SIGN,
            statistic=measures.formula_differs(units, apart),
            threshold=FORMULA,
            sense="at most",
            figure=CURVES,
            hypothesis=measures.together(units, apart),
        )

    return [
        formula(0.0),
        formula(OFF).as_control("curvature-of-parted-copies", "where the copies have parted"),
    ]


def _readings(units: Sequence[Copied]) -> list[Claim]:
    """What is often read, which holds for some units and not for others."""
    by_unit = Claim(
        name="copies-are-saddles",
        statement="a unit and its copy, with equal shares, are a strict saddle (as often read; it "
        "depends on the unit): least eigenvalue of the Hessian, relative to U",
        source=COPIES,
        statistic=measures.by_unit(units, measures.half),
        threshold=NEGATIVE,
        sense="at most",
        expected=Outcome.CONDITIONAL,
        figure=CURVES,
    )
    return [
        by_unit,
        replace(
            by_unit,
            name="all-copies-are-saddles",
            statement="a unit and its copy are a strict saddle whatever the unit and the shares "
            "within (0, 1) (as often read; refuted): greatest of the least eigenvalues of the "
            "Hessian, relative to U",
            statistic=measures.greatest_curvature(units, measures.inside),
            expected=Outcome.REFUTED,
        ),
    ]


def _conditions(indefinite: Sequence[Copied]) -> list[Claim]:
    """By the sign of U: a saddle for all shares, or within (0, 1) a minimum and a saddle beyond."""

    def saddle(units: Sequence[Copied]) -> Claim:
        return _saddle(
            "indefinite-are-saddles",
            "copies of a unit with U indefinite are a strict saddle for all μ but 0 and 1",
            units,
            measures.everywhere,
        )

    def minimum(unit: Copied) -> Claim:
        return _minimum(
            "definite-are-no-saddles",
            "copies of a unit with U positive definite have, for μ in (0, 1), no negative "
            "curvature",
            unit,
            measures.inside,
        )

    beyond = "copies of a unit with U positive definite are a strict saddle for μ outside [0, 1]"
    return [
        saddle(indefinite),
        saddle([PLATEAU]).as_control("definite-are-saddles", "of a unit with U positive definite"),
        minimum(PLATEAU),
        minimum(SADDLE).as_control("indefinite-are-no-saddles", "of a unit with U indefinite"),
        _saddle("definite-beyond-are-saddles", beyond, [PLATEAU], measures.outside),
        _saddle("definite-beyond-are-saddles", beyond, [PLATEAU], measures.inside).as_control(
            "definite-between-are-saddles", "for μ in (0, 1)"
        ),
    ]


def _reversed() -> list[Claim]:
    """U negative definite: the reverse."""
    within = "copies of a unit with U negative definite are a strict saddle for μ in (0, 1)"
    beyond = "copies of a unit with U negative definite have, for μ outside [0, 1], no negative "
    beyond += "curvature"
    return [
        _saddle("negative-are-saddles", within, [REVERSED], measures.inside),
        _saddle("negative-are-saddles", within, [REVERSED], measures.outside).as_control(
            "negative-beyond-are-saddles", "for μ outside [0, 1]"
        ),
        _minimum("negative-beyond-are-no-saddles", beyond, REVERSED, measures.outside),
        _minimum("negative-beyond-are-no-saddles", beyond, REVERSED, measures.inside).as_control(
            "negative-are-no-saddles", "for μ in (0, 1)"
        ),
    ]


def _saddle(name: str, statement: str, units: Sequence[Copied], part: measures.Part) -> Claim:
    return Claim(
        name=name,
        statement=f"{statement}: greatest of the least eigenvalues of the Hessian, relative to U",
        source=SIGN,
        statistic=measures.greatest_curvature(units, part),
        threshold=NEGATIVE,
        sense="at most",
        figure=CURVES,
        hypothesis=measures.of_nature(units, part, Nature.SADDLE),
    )


def _minimum(name: str, statement: str, unit: Copied, part: measures.Part) -> Claim:
    return Claim(
        name=name,
        statement=f"{statement}: least eigenvalue of the Hessian, relative to U",
        source=SIGN,
        statistic=measures.lowest_curvature([unit], part),
        threshold=-FORMULA,
        sense="at least",
        figure=CURVES,
        hypothesis=measures.of_nature([unit], part, Nature.MINIMUM),
    )


def _proofs() -> list[Claim]:
    def proved(unit: Copied) -> Claim:
        return Claim(
            name="plateau-proved",
            statement="that copies with any μ in (0, 1) are local minima of a loss above 0 is "
            "proved in ball arithmetic, by the Hessian of the narrow network and by U: share of "
            "the units",
            source=f"{COPIES}; the proof is ours",
            statistic=measures.share_proved([unit]),
            threshold=1.0,
            sense="at least",
            figure=KINDS,
            hypothesis=measures.of_nature([unit], measures.inside, Nature.MINIMUM),
        )

    return [
        proved(PLATEAU),
        proved(SADDLE).as_control("saddle-proved-a-plateau", "of a unit with U indefinite"),
    ]


def _ends(names: Sequence[str]) -> list[Claim]:
    """What descents from near by make of it."""
    minima = [name for name in names if name in MINIMA]
    saddles = [name for name in names if name not in MINIMA]

    def stay(scans_of: Sequence[str]) -> Claim:
        return Claim(
            name="descents-stay-at-the-plateau",
            statement="neither perturbations of 0.001 of a local minimum made of copies nor "
            "descents from them come to a lower loss: least change, relative to it",
            source=COPIES,
            statistic=measures.least_change(scans_of),
            threshold=-SAME_END,
            sense="at least",
            figure=ENDS,
            hypothesis=measures.about(scans_of, Nature.MINIMUM),
        )

    def leave(scans_of: Sequence[str]) -> Claim:
        return replace(
            stay(scans_of),
            name="descents-leave-the-saddle",
            statement="all descents from perturbations of 0.001 of a saddle made of copies come "
            "to less than half its loss: greatest end, relative to it",
            statistic=measures.greatest_end(scans_of),
            threshold=LEFT,
            sense="at most",
            hypothesis=measures.about(scans_of, Nature.SADDLE),
        )

    return [
        stay(minima),
        stay(saddles).as_control("descents-stay-at-the-saddle", "at strict saddles instead"),
        leave(saddles),
        leave(minima).as_control("descents-leave-the-plateau", "at local minima instead"),
    ]


MINIMA = {PLATEAU.near("between"), REVERSED.near("beyond")}
"""The starts about local minima; the others are about saddles."""
