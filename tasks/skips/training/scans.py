"""The scans of trained networks of the study `no-bad-valleys`, as plain specs.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749, section 4.

With sigmoids, gradient descent is slow: what the skip units put out is nearly constant over the
samples. Their published trainings take some hundred thousand steps or millions; here the learning
rates are greater, and so is the momentum where the problem is convex in all that is trained.
Hence also 1,000 samples to train on, and the other 4,000 to test. The dense networks have the
published learning rates, which do not fall.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PLAIN, SKIP, RANDOM = "plain", "skip", "random-features"
SIGMOID, SOFTPLUS = "sigmoid", "softplus"
ARMS = tuple(
    (activation, connections)
    for activation in (SIGMOID, SOFTPLUS)
    for connections in (PLAIN, SKIP, RANDOM)
)
"""The rows of the tables: (activation, connections)."""
DEEP_SKIP, DEEP_PLAIN, SHALLOW = "deep-skip", "deep-plain", "shallow-plain"
SHUFFLED, FEW = "trained-shuffled", "trained-few-features"
"""Scans by name."""

_SETTINGS: Mapping[tuple[str, str], tuple[tuple[float, ...], float]] = {
    (SIGMOID, PLAIN): ((1e-2, 1e-1, 1.0), 0.9),
    (SIGMOID, SKIP): ((0.1,), 0.9),
    (SIGMOID, RANDOM): ((0.5,), 0.99),
    (SOFTPLUS, PLAIN): ((0.05,), 0.9),
    (SOFTPLUS, SKIP): ((0.05,), 0.9),
    (SOFTPLUS, RANDOM): ((0.05,), 0.99),
}
"""Learning rates and momentum."""
_DEEP_RATES = (1e-2, 1e-3, 1e-4, 1e-5)
_BATCH = 100
_SEED, _DEEP_SEED, _SHUFFLED_SEED, _FEW_SEED, _SHALLOW_SEED = 7, 107, 207, 307, 407
_SHALLOW_LAYERS = 3
"""Of the control, which is no deep network."""
_FEW_PART = 20
"""Samples for each random feature of the control."""


@dataclass(frozen=True)
class TrainingSizes:
    """How much is trained.

    Attributes:
        data, side, samples: as parameters of the task `skip-training`.
        layers, width: of the convolutional networks.
        epochs: of each of the arms.
        seeds: replicates of each.
        deep_layers, deep_samples: of the dense networks.
        deep_epochs: within which the one with skip units should have no training error.
        plain_epochs: of the one without.
        checkpoints: of each training.
        workers: of all.
    """

    data: str
    side: int
    samples: int
    layers: int
    width: int
    epochs: Mapping[tuple[str, str], int]
    seeds: int
    deep_layers: int
    deep_samples: int
    deep_epochs: int
    plain_epochs: int
    checkpoints: int
    workers: int | str


FULL = TrainingSizes(
    data="mnist-subset",
    side=14,
    samples=1000,
    layers=6,
    width=8,
    epochs={
        (SIGMOID, PLAIN): 300,
        (SIGMOID, SKIP): 600,
        (SIGMOID, RANDOM): 1000,
        (SOFTPLUS, PLAIN): 60,
        (SOFTPLUS, SKIP): 60,
        (SOFTPLUS, RANDOM): 300,
    },
    seeds=4,
    deep_layers=150,
    deep_samples=1000,
    deep_epochs=200,
    plain_epochs=1000,
    checkpoints=41,
    workers="auto",
)
QUICK = TrainingSizes(
    data="digits",
    side=8,
    samples=200,
    layers=4,
    width=8,
    epochs={
        (SIGMOID, PLAIN): 30,
        (SIGMOID, SKIP): 500,
        (SIGMOID, RANDOM): 800,
        (SOFTPLUS, PLAIN): 60,
        (SOFTPLUS, SKIP): 100,
        (SOFTPLUS, RANDOM): 500,
    },
    seeds=1,
    deep_layers=30,
    deep_samples=200,
    deep_epochs=120,
    plain_epochs=120,
    checkpoints=11,
    workers=0,
)


def arm_name(activation: str, connections: str) -> str:
    """The scan of one of the arms."""
    return f"trained-{activation}-{connections}"


def training_scans(sizes: TrainingSizes) -> dict[str, dict[str, Any]]:
    """Every scan of a training by its name.

    The arms of the table share their seeds: the same images, starts and order of the samples, so
    that they differ in their connections alone.
    """
    arms = {arm_name(*arm): _arm(sizes, arm) for arm in ARMS}
    shuffled = {**_arm(sizes, (SOFTPLUS, SKIP), labels="shuffled"), "seed": _SHUFFLED_SEED}
    few = _arm(sizes, (SOFTPLUS, RANDOM), skips=sizes.samples // _FEW_PART)
    return {
        **arms,
        SHUFFLED: shuffled,
        FEW: {**few, "seed": _FEW_SEED},
        DEEP_SKIP: _deep(sizes, SKIP, sizes.deep_layers, sizes.deep_epochs, _DEEP_SEED),
        DEEP_PLAIN: _deep(sizes, PLAIN, sizes.deep_layers, sizes.plain_epochs, _DEEP_SEED),
        SHALLOW: _deep(sizes, PLAIN, _SHALLOW_LAYERS, sizes.plain_epochs, _SHALLOW_SEED),
    }


def _arm(sizes: TrainingSizes, arm: tuple[str, str], **changes: object) -> dict[str, Any]:
    rates, momentum = _SETTINGS[arm]
    epochs = sizes.epochs[arm]
    parameters = {
        "data": sizes.data,
        "samples": sizes.samples,
        "side": sizes.side,
        "network": "conv",
        "layers": sizes.layers,
        "width": sizes.width,
        "activation": arm[0],
        "connections": arm[1],
        "epochs": epochs,
        "batch": min(_BATCH, sizes.samples // 2),
        "learning_rates": rates,
        "falls": [epochs // 2, 3 * epochs // 4],
        "momentum": momentum,
        "checkpoints": sizes.checkpoints,
        **changes,
    }
    return {**_along(sizes, parameters), "seed": _SEED, "replicates": sizes.seeds}


def _deep(
    sizes: TrainingSizes, connections: str, layers: int, epochs: int, seed: int
) -> dict[str, Any]:
    parameters = {
        "data": "mnist-subset",
        "samples": sizes.deep_samples,
        "network": "dense",
        "layers": layers,
        "activation": SOFTPLUS,
        "connections": connections,
        "epochs": epochs,
        "batch": min(_BATCH, sizes.deep_samples // 2),
        "learning_rates": _DEEP_RATES,
        "checkpoints": sizes.checkpoints,
    }
    return {**_along(sizes, parameters), "seed": seed}


def _along(sizes: TrainingSizes, parameters: dict[str, object]) -> dict[str, Any]:
    """A scan at the checkpoints alone."""
    return {
        "task": "skip-training",
        "parameters": parameters,
        "axes": {"t": {"start": 0.0, "stop": 1.0, "num": sizes.checkpoints}},
        "splits": ["train", "test"],
        "metrics": ["loss", "accuracy"],
        "compute": {"workers": sizes.workers},
    }
