"""The tables of the study `no-bad-valleys` but for those of trainings.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749.
"""

from __future__ import annotations

import numpy as np

from schemas.layout import SPLIT
from schemas.study import Cell, Column, Table
from tasks.facts import Trees, facts_of
from tasks.skips import scans
from tasks.skips.measures import bad_part, summary


def tables(near: bool) -> dict[str, Table]:
    """The paths, and the planes, with those `near` a start if there are any."""
    return {"paths": _paths(), "planes": _planes(near)}


def _paths() -> Table:
    shown = (
        *scans.skip_paths(),
        scans.PATH_LOOSE,
        scans.PATH_TIGHT,
        scans.PATH_PLAIN,
        scans.PATH_REPEATED,
    )
    return Table(
        "Paths of Theorem 3.4",
        "Each row is a scan: N samples, M skip units, at how many starts U was moved first, the "
        "least rank of the features at a start, the least singular value at full rank in units of "
        "rounding, the greatest norm of V*, and what the scan shows of the loss.",
        (
            Column("scan"),
            Column("paths"),
            Column("N"),
            Column("M"),
            Column("ε"),
            Column("moved"),
            Column("least rank"),
            Column("margin"),
            Column("norm of V*"),
            Column("greatest rise"),
            Column("least end"),
            Column("greatest end"),
            Column("least accuracy", decimals=4),
        ),
        lambda trees: [_path(trees, scan) for scan in shown],
    )


def _path(trees: Trees, scan: str) -> list[Cell]:
    found = summary(trees[scan])
    keys = (
        *("replicates", "samples", "skips", "epsilon", "moved_count", "least_rank", "least_margin"),
        *("greatest_norm", "greatest_rise", "least_end", "greatest_end", "least_accuracy"),
    )
    return [scan, *(found[key] for key in keys)]


def _planes(near: bool) -> Table:
    others = (scans.NEAR_SKIPS, scans.NEAR_PLAIN) if near else ()
    shown = (*scans.surfaces(), *others, scans.HIDDEN_SKIPS, scans.HIDDEN_PLAIN)
    return Table(
        "Random planes",
        "Pairs from the same start, zero or a normal one, along the same directions. Bad valleys "
        "are those of the plane, at its resolution: the part of its points from which its least "
        "loss cannot be reached without climbing, and the greatest climb.",
        (
            Column("scan"),
            Column("moved"),
            Column("start"),
            Column("skip units"),
            Column("reach"),
            Column("points an axis"),
            Column("least loss"),
            Column("greatest loss"),
            Column("local minima"),
            Column("in bad valleys", "%", 2),
            Column("depth"),
        ),
        lambda trees: [_plane(trees, scan) for scan in shown],
    )


def _plane(trees: Trees, scan: str) -> list[Cell]:
    tree = trees[scan]
    facts, found = facts_of(tree)[0], tree["analysis"].to_dataset().sel({SPLIT: "train"})
    loss = np.asarray(tree["loss"].values)
    moved = "hidden layers" if facts["section"] == "hidden" else "all"
    return [
        scan,
        moved,
        facts["start"],
        facts["skips"],
        float(np.asarray(tree["a"].values).max()),
        loss.shape[-1],
        float(loss.min()),
        float(loss.max()),
        int(found["shape_minima"]) + int(found["shape_minima_at_edge"]),
        100 * bad_part(tree),
        float(found["shape_bad_valley_depth"]),
    ]
