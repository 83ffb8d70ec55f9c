"""What is claimed of trained networks with skip units and without.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749, section 4. The statistics are in
`measures`. The thresholds were set after trials at full size with other seeds, and at the
quick sizes.
"""

from __future__ import annotations

from schemas.study import Claim, Hypothesis
from tasks.skips.training import measures
from tasks.skips.training.measures import Facts, enough_units, supposed
from tasks.skips.training.scans import (
    DEEP_PLAIN,
    DEEP_SKIP,
    FEW,
    PLAIN,
    RANDOM,
    SHALLOW,
    SHUFFLED,
    SIGMOID,
    SKIP,
    SOFTPLUS,
    TrainingSizes,
    arm_name,
)

PAPER = "Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749"
TABLES, DEEP_FIGURE = f"{PAPER}, Tables 1 and 2", f"{PAPER}, section 4 and its 150-layer figure"
TABLE, CURVES, DEEP = "trained", "training-curves", "deep-training"
"""A table and two figures of the study."""

CHANCE = 0.15
"""Most accuracy of ten classes that counts as chance."""
FITTED = 0.999
LEARNT = 0.8
CLEARLY = 0.01
STUCK = 0.5
_DEEP_LAYERS = 5
"""Hidden layers of a network that is deep."""


def training_claims(sizes: TrainingSizes) -> list[Claim]:
    """Every claim on the trainings, with its controls."""
    return [*at_chance(), *fits(), *generalises(), *overfits(), *deep(sizes)]


def at_chance() -> list[Claim]:
    """A deep sigmoid network does not learn; with softplus, or with skip units, it does."""

    def claim(activation: str, connections: str) -> Claim:
        scan = arm_name(activation, connections)
        return Claim(
            name=f"{activation}-{connections}-at-chance",
            statement=f"{_words(activation, connections)} stays at chance: greatest accuracy on "
            "either split over seeds",
            source=TABLES,
            statistic=measures.greatest_accuracy(scan),
            threshold=CHANCE,
            sense="at most",
            figure=CURVES,
            hypothesis=supposed(
                f"the activation is the sigmoid, there are no skip units, and {_DEEP_LAYERS} "
                "hidden layers or more",
                scan,
                lambda facts: (
                    facts["activation"] == SIGMOID
                    and facts["connections"] == PLAIN
                    and facts["hidden_layers"] >= _DEEP_LAYERS
                ),
            ),
        )

    return [
        claim(SIGMOID, PLAIN),
        claim(SOFTPLUS, PLAIN).as_control(),
        claim(SIGMOID, SKIP).as_control(),
    ]


def fits() -> list[Claim]:
    """With as many skip units as samples SGD finds all of them, U trained or drawn."""

    def claim(name: str, words: str, scan: str) -> Claim:
        return Claim(
            name=f"{name}-fits",
            statement=f"{words} has learnt its training samples: least accuracy over seeds",
            source=TABLES,
            statistic=measures.least_accuracy(scan, measures.TRAIN),
            threshold=FITTED,
            sense="at least",
            figure=TABLE,
            hypothesis=_as_many_units(scan),
        )

    arms = [(a, c) for a in (SIGMOID, SOFTPLUS) for c in (SKIP, RANDOM)]
    few = "a network of softplus units with fewer random features"
    return [
        *(claim(f"{a}-{c}", _words(a, c), arm_name(a, c)) for a, c in arms),
        claim(f"{SIGMOID}-{PLAIN}", _words(SIGMOID, PLAIN), arm_name(SIGMOID, PLAIN)).as_control(),
        claim("few-features", few, FEW).as_control(),
    ]


def generalises() -> list[Claim]:
    """What SGD finds with skip units classifies other images; not where labels are random."""

    def claim(activation: str, scan: str) -> Claim:
        return Claim(
            name=f"{activation}-{SKIP}-generalises",
            statement=f"{_words(activation, SKIP)} classifies other images: least test accuracy "
            "over seeds",
            source=TABLES,
            statistic=measures.least_accuracy(scan, measures.TEST),
            threshold=LEARNT,
            sense="at least",
            figure=TABLE,
            hypothesis=supposed(
                "the labels are those of the images", scan, lambda facts: facts["labels"] == "true"
            ),
        )

    return [
        *(claim(activation, arm_name(activation, SKIP)) for activation in (SIGMOID, SOFTPLUS)),
        claim(SOFTPLUS, SHUFFLED).as_control(SHUFFLED, "with shuffled labels"),
    ]


def overfits() -> list[Claim]:
    """Random features fit as well and generalise less; the other way round it is not so."""

    def claim(activation: str, connections: str, other: str) -> Claim:
        scan = arm_name(activation, connections)
        return Claim(
            name=f"{activation}-{connections}-overfits",
            statement=f"{_words(activation, connections)} is worse on other images than "
            f"{_words(activation, other)}: loss of test accuracy, mean over seeds",
            source=TABLES,
            statistic=measures.gain(arm_name(activation, other), scan),
            threshold=CLEARLY,
            sense="at least",
            figure=TABLE,
            hypothesis=supposed(
                "the hidden layers are as drawn", scan, lambda facts: facts["connections"] == RANDOM
            ),
        )

    return [
        claim(SIGMOID, RANDOM, SKIP),
        claim(SOFTPLUS, RANDOM, SKIP),
        claim(SOFTPLUS, SKIP, RANDOM).as_control(),
    ]


def deep(sizes: TrainingSizes) -> list[Claim]:
    """The 150-layer figure."""

    def reaches(scan: str) -> Claim:
        return Claim(
            name=f"{scan}-without-error",
            statement=f"{_deep_words(scan, sizes)} reaches zero training error: after how many "
            "epochs",
            source=DEEP_FIGURE,
            statistic=measures.epochs_to_zero_error(scan),
            threshold=float(sizes.deep_epochs),
            sense="at most",
            figure=DEEP,
            hypothesis=_as_many_units(scan),
        )

    def fails(scan: str) -> Claim:
        return Claim(
            name=f"{scan}-fails",
            statement=f"{_deep_words(scan, sizes)} has not learnt its training samples after "
            f"{sizes.plain_epochs} epochs: accuracy",
            source=DEEP_FIGURE,
            statistic=measures.least_accuracy(scan, measures.TRAIN),
            threshold=STUCK,
            sense="at most",
            figure=DEEP,
            hypothesis=supposed(
                f"there are {sizes.deep_layers} hidden layers and no skip units",
                scan,
                lambda facts: _is_deep_and_plain(facts, sizes.deep_layers),
            ),
        )

    return [
        reaches(DEEP_SKIP),
        reaches(DEEP_PLAIN).as_control(),
        fails(DEEP_PLAIN),
        fails(SHALLOW).as_control(),
    ]


def _is_deep_and_plain(facts: Facts, layers: int) -> bool:
    return bool(facts["hidden_layers"] == layers and facts["connections"] == PLAIN)


def _as_many_units(scan: str) -> Hypothesis:
    return supposed("there are as many skip units as samples", scan, enough_units)


def _words(activation: str, connections: str) -> str:
    return {
        PLAIN: f"a plain deep {activation} network",
        SKIP: f"a deep {activation} network with skip units that is trained by SGD",
        RANDOM: f"a deep {activation} network whose skip units' weights alone are trained",
    }[connections]


def _deep_words(scan: str, sizes: TrainingSizes) -> str:
    return {
        DEEP_SKIP: f"a network of {sizes.deep_layers} layers of 10 units with skip units",
        DEEP_PLAIN: f"a plain network of {sizes.deep_layers} layers of 10 units",
        SHALLOW: "a plain network of few layers of 10 units",
    }[scan]
