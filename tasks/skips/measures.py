"""Statistics of paths and surfaces of networks with skip units.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749. Over replicates the worst one counts.
Shape legend: R = replicates, T = points of a path, N = samples, M = skip units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from schemas.layout import AXIS, AXIS_OTHER, REPLICATE, SPLIT
from schemas.study import Hypothesis, Statistic
from tasks.facts import Trees, facts_of
from tasks.skips.bounds import zero_error_below

if TYPE_CHECKING:
    import xarray as xr

Floats: TypeAlias = npt.NDArray[np.float64]

CURVATURE = "output_curvature"
_WHOLE = 1 - 1e-9
"""An accuracy above is 1."""


def along(tree: xr.DataTree, metric: str = "loss", split: str = "train") -> Floats:
    """A metric on a split along a path, (R, T)."""
    values = tree[metric].sel({SPLIT: split})
    if REPLICATE in values.dims:
        values = values.transpose(REPLICATE, ...)
    found: Floats = np.atleast_2d(np.asarray(values.values, dtype=np.float64))
    return found


def greatest_rise(*scans: str) -> Statistic:
    """Greatest rise of the loss between points that follow each other, relative to 1 + loss."""
    return lambda trees: max(_rise(along(trees[scan])) for scan in scans)


def _rise(loss: Floats) -> float:
    return float((np.diff(loss) / (1 + loss[:, :-1])).max())


def greatest_end(*scans: str) -> Statistic:
    """The greatest loss at the end of a path."""
    return lambda trees: max(float(along(trees[scan])[:, -1].max()) for scan in scans)


def least_accuracy(*scans: str) -> Statistic:
    """The least accuracy at the end of a path."""
    return lambda trees: min(float(along(trees[scan], "accuracy")[:, -1].min()) for scan in scans)


def wrong_below(scans: tuple[str, ...], factor: float) -> Statistic:
    """Points with a loss below factor·log 2/N where not all samples are classified right.

    None where no point has so small a loss.
    """

    def statistic(trees: Trees) -> float | None:
        below = wrong = 0
        for scan in scans:
            small = _small(trees[scan], factor)
            below += int(small.sum())
            wrong += int((small & (along(trees[scan], "accuracy") < _WHOLE)).sum())
        return float(wrong) if below else None

    return statistic


def _small(tree: xr.DataTree, factor: float) -> npt.NDArray[np.bool_]:
    bound = factor * zero_error_below(facts_of(tree)[0]["samples"])
    found: npt.NDArray[np.bool_] = along(tree) < bound
    return found


def by_lemma(scans: tuple[str, ...], factor: float) -> Hypothesis:
    """The losses that are looked at are below the bound of Lemma 2.1."""

    def met(trees: Trees) -> bool:
        return not any(
            (_small(trees[scan], factor) & ~_small(trees[scan], 1.0)).any() for scan in scans
        )

    return Hypothesis("all losses that count are below log 2/N", met)


def assumption_met(*scans: str) -> Hypothesis:
    """There are as many skip units as samples, of which assumption 3.1 holds."""

    def met(trees: Trees) -> bool:
        return all(
            not facts["assumption_unmet"] and facts["skips"] >= facts["samples"]
            for scan in scans
            for facts in facts_of(trees[scan])
        )

    return Hypothesis(
        "assumption 3.1, checked unit by unit: no fewer skip units than samples, no two images "
        "equal, activations analytic and increasing",
        met,
    )


def least_rank(*scans: str) -> Statistic:
    """Rank of Ψ at the start over N, the least; singular values up to rounding are zero."""

    def statistic(trees: Trees) -> float:
        found = [each for scan in scans for each in facts_of(trees[scan])]
        return min(float(each["rank_at_start"]) / float(each["samples"]) for each in found)

    return statistic


def curvature_error(scan: str, per_sample: bool) -> Statistic:
    """Greatest error, relative to its greatest value, of the second derivative by V.

    Of the closed form, a mean over samples, or with `per_sample` false of their sum, N times it.
    """

    def statistic(trees: Trees) -> float:
        tree = trees[scan]
        known = np.asarray(tree[CURVATURE].values, dtype=np.float64)
        if not per_sample:
            known = known * facts_of(tree)[0]["samples"]
        found = _hessians(tree)[..., 0, 0]
        return float(np.abs(found - known).max() / found.max())

    return statistic


def least_eigenvalue(*scans: str) -> Statistic:
    """The least eigenvalue of the second derivatives in a plane, over the greatest one."""

    def statistic(trees: Trees) -> float:
        found = []
        for scan in scans:
            values = np.linalg.eigvalsh(_hessians(trees[scan]))
            found.append(float(values.min() / np.abs(values).max()))
        return min(found)

    return statistic


def least_curvature(*scans: str) -> Statistic:
    """The least of the greatest curvatures in a plane at its points: above 0, none is a maximum."""

    def statistic(trees: Trees) -> float:
        return min(
            float(np.linalg.eigvalsh(_hessians(trees[scan]))[..., -1].min()) for scan in scans
        )

    return statistic


def _hessians(tree: xr.DataTree) -> Floats:
    """Second derivatives on the train split, (..., z, z)."""
    values = tree["section_hessian"].sel({SPLIT: "train"}).transpose(..., AXIS, AXIS_OTHER)
    found: Floats = np.asarray(values.values, dtype=np.float64)
    return found


def moves(kind: str, *scans: str) -> Hypothesis:
    """The section is of that kind."""
    words = {"output": "the plane moves V alone", "random": "the plane moves V as well"}
    return Hypothesis(
        words[kind],
        lambda trees: all(
            facts["section"] == kind for scan in scans for facts in facts_of(trees[scan])
        ),
    )


def bad_part(tree: xr.DataTree) -> float:
    """The part of a plane that lies in bad valleys, the greatest over replicates."""
    found = tree["analysis"].to_dataset()["shape_bad_valleys"].sel({SPLIT: "train"})
    return float(np.asarray(found.values).max())


def more_bad(first: str, second: str) -> Statistic:
    """By how much more of the first plane lies in bad valleys than of the second."""
    return lambda trees: bad_part(trees[first]) - bad_part(trees[second])


def in_bad_valleys(*scans: str) -> Statistic:
    """The greatest part of a plane that lies in bad valleys."""
    return lambda trees: max(bad_part(trees[scan]) for scan in scans)


def skips_and_plain(first: str, second: str) -> Hypothesis:
    """The first network has skip units enough, the second none; all else is the same."""
    shared = ("samples", "hidden", "activation", "start", "section", "repeated")

    def met(trees: Trees) -> bool:
        one, other = facts_of(trees[first])[0], facts_of(trees[second])[0]
        return bool(
            not one["assumption_unmet"]
            and not other["skips"]
            and all(one[key] == other[key] for key in shared)
        )

    return Hypothesis(
        "the first network meets assumption 3.1, the second is the same one without skip units", met
    )


def rises_of_lines(tree: xr.DataTree) -> Floats:
    """How far each line rises above the higher of its ends, (R,)."""
    loss = along(tree)
    found: Floats = loss.max(axis=1) - np.maximum(loss[:, 0], loss[:, -1])
    return found


def summary(tree: xr.DataTree) -> dict[str, Any]:
    """What the table tells of a scan along paths."""
    facts, loss = facts_of(tree), along(tree)
    return {
        **facts[0],
        "replicates": len(facts),
        "moved_count": sum(bool(each["moved"]) for each in facts),
        "least_margin": min(float(each["margin"]) for each in facts),
        "least_rank": min(int(each["rank_at_start"]) for each in facts),
        "greatest_norm": max(float(each["readout_norm"]) for each in facts),
        "greatest_rise": _rise(loss),
        "least_end": float(loss[:, -1].min()),
        "greatest_end": float(loss[:, -1].max()),
        "least_accuracy": float(along(tree, "accuracy")[:, -1].min()),
    }
