"""The tables of trained networks of the study `no-bad-valleys`.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749, Tables 1 and 2.
"""

from __future__ import annotations

import numpy as np

from schemas.study import Cell, Column, Table
from tasks.facts import Trees, facts_of
from tasks.skips.training import measures
from tasks.skips.training.claims import TABLE
from tasks.skips.training.published import PUBLISHED, Published
from tasks.skips.training.scans import (
    ARMS,
    DEEP_PLAIN,
    DEEP_SKIP,
    FEW,
    SHALLOW,
    SHUFFLED,
    arm_name,
)


def training_tables() -> dict[str, Table]:
    """The accuracies beside the published ones, and what each network was trained with."""
    return {TABLE: _accuracies(), "trainings": _trainings()}


def _accuracies() -> Table:
    return Table(
        "Trained networks",
        "Accuracies after the training, mean and standard deviation over seeds, which differ in "
        "images, start, skip units and order. Beside them what is published: test accuracies of "
        "larger networks on all of MNIST and CIFAR-10, with the deviation over 8 draws of the skip "
        "units. Random features: the weights of the skip units to the outputs alone are trained.",
        (
            Column("activation"),
            Column("connections"),
            Column("seeds"),
            Column("train", "%", 2),
            Column("train ±", "%", 2),
            Column("test", "%", 2),
            Column("test ±", "%", 2),
            *(Column(f"published: {network}", "%") for network in PUBLISHED),
        ),
        lambda scans: [_accuracy(scans, arm) for arm in ARMS],
    )


def _accuracy(scans: Trees, arm: tuple[str, str]) -> list[Cell]:
    tree = scans[arm_name(*arm)]
    cells: list[Cell] = []
    for split in (measures.TRAIN, measures.TEST):
        values = 100 * measures.ends(tree, split)
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        cells += [float(values.mean()), deviation]
    published = [_shown(known.get(arm)) for known in PUBLISHED.values()]
    return [*arm, len(facts_of(tree)), *cells, *published]


def _shown(known: Published | None) -> str | None:
    if known is None:
        return None
    mean = f"{known.mean:.2f}"
    return mean if known.deviation is None else f"{mean} ± {known.deviation:.2f}"


def _trainings() -> Table:
    return Table(
        "What they were trained with",
        "SGD with Nesterov's momentum. Of several learning rates that of "
        "the least training loss is shown, of the first seed. Accuracies are means over seeds.",
        (
            Column("scan"),
            Column("samples"),
            Column("skip units"),
            Column("hidden layers"),
            Column("parameters"),
            Column("epochs"),
            Column("batch"),
            Column("momentum"),
            Column("learning rates"),
            Column("shown"),
            Column("train", "%", 2),
            Column("test", "%", 2),
            Column("first epoch without training error"),
        ),
        lambda scans: [_training(scans, scan) for scan in _all_scans()],
    )


def _all_scans() -> list[str]:
    arms = [arm_name(*arm) for arm in ARMS]
    return [*arms, SHUFFLED, FEW, DEEP_SKIP, DEEP_PLAIN, SHALLOW]


def _training(scans: Trees, scan: str) -> list[Cell]:
    tree = scans[scan]
    facts = facts_of(tree)[0]
    without_error = measures.epochs_to_zero_error(scan)(scans)
    never = without_error is None or not np.isfinite(without_error)
    return [
        scan,
        facts["samples"],
        facts["skips"],
        facts["hidden_layers"],
        facts["parameters"],
        facts["epochs"],
        facts["batch"],
        facts["momentum"],
        ", ".join(f"{rate:g}" for rate in facts["learning_rates"]),
        facts["learning_rate"],
        100 * float(measures.ends(tree, measures.TRAIN).mean()),
        100 * float(measures.ends(tree, measures.TEST).mean()),
        None if never else without_error,
    ]
