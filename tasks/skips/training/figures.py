"""The figures of trained networks of the study `no-bad-valleys`.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749, section 4.
"""

from __future__ import annotations

import numpy as np

from schemas.study import Figure, Series
from tasks.facts import Trees
from tasks.skips.training import measures
from tasks.skips.training.claims import CURVES, DEEP
from tasks.skips.training.scans import (
    ARMS,
    DEEP_PLAIN,
    DEEP_SKIP,
    SHALLOW,
    TrainingSizes,
    arm_name,
)


def training_figures(sizes: TrainingSizes) -> dict[str, Figure]:
    """Training errors of the deepest networks by epoch, and test accuracies of all the others."""
    return {
        DEEP: Figure(
            f"{sizes.deep_layers} layers of 10 units",
            f"Training error of dense softplus networks, {sizes.deep_layers} layers deep with "
            "skip units and without, and of a shallow one without; each at the best of four "
            "learning rates.",
            "epochs",
            "training error [%]",
            lambda scans: [
                _errors(scans, DEEP_SKIP, "with skip units"),
                _errors(scans, DEEP_PLAIN, "plain"),
                _errors(scans, SHALLOW, "plain, shallow"),
            ],
        ),
        CURVES: Figure(
            "Other images along the training",
            "Test accuracy of the convolutional networks, mean over seeds, with the least and the "
            "greatest. The trainings differ in length.",
            "part of the training",
            "test accuracy [%]",
            lambda scans: [_accuracies(scans, *arm) for arm in ARMS],
        ),
    }


def _errors(scans: Trees, scan: str, label: str) -> Series:
    tree = scans[scan]
    errors = 100 * (1 - measures.accuracies(tree, measures.TRAIN).mean(axis=0))
    return Series(label, measures.epochs_kept(tree).tolist(), errors.tolist())


def _accuracies(scans: Trees, activation: str, connections: str) -> Series:
    tree = scans[arm_name(activation, connections)]
    found = 100 * measures.accuracies(tree, measures.TEST)
    return Series(
        f"{activation}, {connections}",
        np.asarray(tree["t"], dtype=np.float64).tolist(),
        found.mean(axis=0).tolist(),
        "line",
        found.min(axis=0).tolist(),
        found.max(axis=0).tolist(),
    )
