"""The study `patterns`: what Theorems 1 and 2 of Czarnecki et al. 2019 claim, and what they do not.

Thresholds stand well apart from what is measured on both sides: of the claims, and of the
controls, which break a hypothesis on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from schemas.scan import ScanSpec
from schemas.study import Claim, Outcome, Study
from tasks.patterns import statistics
from tasks.patterns.scans import study_scans

_PAPER = "Czarnecki et al. 2019, arXiv:1912.07559"
THEOREM_1 = f"{_PAPER}, Theorem 1"
THEOREM_2 = f"{_PAPER}, Theorem 2"
OBSERVATION_1 = f"{_PAPER}, Observation 1"

ROUNDING = 1e-5
"""Of a loss near 3 in float32; what a transfer that is exact may differ by."""
SUP = 0.02
SUP_QUICK = 0.06
RMS_OF_IMAGE = 0.08
RMS_OF_VOLUME = 0.04
MEAN_OF_THEOREM_2 = 0.05
NEAR_GLOBAL = 0.2
"""Loss, in nats, at what counts as near-global: chance has 2.3 on ten classes."""
PLAIN_TRANSFER = 0.1
MISS = 0.05


def theorem1_claims(spec: ScanSpec, scan: str = "scan") -> tuple[Claim, ...]:
    """What one scan of `pattern-theorem1` can decide: the pattern, the floor, each transfer."""
    others = [split for split in spec.splits if split != statistics.TRAIN]
    if spec.splits[0] != statistics.TRAIN:
        others = []  # differences are predicted from the train split, so it must be the reference
    return (
        *_contained(spec, scan),
        _floor(scan),
        *(_transfer(scan, split) for split in others),
    )


def theorem2_claims(spec: ScanSpec, scan: str = "scan") -> tuple[Claim, ...]:
    """What one scan of `pattern-theorem2` can decide: the pattern and its near-global minimum."""
    del spec
    return (
        Claim(
            f"{scan}: contains T",
            "The train loss follows the pattern itself, with no constant to be added: mean "
            "|L − target| over the target's range.",
            THEOREM_2,
            statistics.mean_error(scan),
            MEAN_OF_THEOREM_2,
            "at most",
            figure=scan,
        ),
        Claim(
            f"{scan}: near-global minimum",
            "The least train loss of the section is close to the global minimum, 0.",
            THEOREM_2,
            statistics.gap_to_global_minimum(scan),
            NEAR_GLOBAL,
            "at most",
            figure=scan,
        ),
        Claim(
            f"{scan}: the minimum is where T has it",
            "The train loss is least beside a minimiser of T.",
            THEOREM_2,
            statistics.miss_of_minimiser(scan),
            MISS,
            "at most",
            figure=scan,
        ),
    )


def patterns_study(quick: bool) -> Study:
    """The study, at its full sizes or at those that run in seconds."""
    scans = study_scans(quick)
    blind = [name for name in scans if name not in ("theorem2", "untrained")]
    claims = [
        *(claim for name in blind for claim in theorem1_claims(scans[name], name)),
        *theorem2_claims(scans["theorem2"], "theorem2"),
        *_controls(scans),
    ]
    return Study(
        "patterns",
        "Every low-dimensional pattern occurs in a loss surface. Along the biases of a layer that "
        "is blind to its inputs it depends on the data through the label marginal alone, and "
        "transfers exactly; beside units that see the data it can hold a near-global minimum, "
        "and does not transfer.",
        scans,
        tuple(claims),
    )


def _contained(spec: ScanSpec, scan: str) -> tuple[Claim, ...]:
    """The pattern is there: to its greatest error, or to the mean square where T is not smooth."""
    target: Mapping[str, Any] = spec.parameters["target"]
    smooth = target.get("function") is not None
    if smooth and len(spec.axes) <= 2:
        sup = SUP if _thorough(spec) else SUP_QUICK
        return (_contains(scan, statistics.sup_after_constant(scan), sup, "greatest |L − T − a|"),)
    rms = RMS_OF_VOLUME if smooth else RMS_OF_IMAGE
    measure = "root mean square of L − T − a"
    return (_contains(scan, statistics.rms_after_constant(scan), rms, measure),)


def _thorough(spec: ScanSpec) -> bool:
    """Whether the training is at least the default one."""
    training: Mapping[str, Any] = spec.parameters.get("training") or {}
    network: Mapping[str, Any] = spec.parameters.get("network") or {}
    return training.get("steps") is None and network.get("kind", "mlp") == "mlp"


def _contains(
    scan: str,
    statistic: Callable[[Mapping[str, Any]], float | None],
    threshold: float,
    measure: str,
    *,
    control: bool = False,
) -> Claim:
    of = "An untrained sub-network contains" if control else "The train loss contains"
    return Claim(
        f"{scan}: contains T",
        f"{of} the pattern up to the theorem's constant a: {measure} over the target's range.",
        THEOREM_1,
        statistic,
        threshold,
        "at most",
        expected=Outcome.REFUTED if control else Outcome.HOLDS,
        control=control,
        figure=scan,
    )


def _floor(scan: str) -> Claim:
    return Claim(
        f"{scan}: the floor is kept",
        "No loss is below that of the best constant output, the entropy (or variance) of the "
        "labels: least loss minus floor.",
        THEOREM_1,
        statistics.above_floor(scan),
        -1e-6,
        "at least",
    )


_NAMES = {
    "test": "held-out data",
    "other": "a different real data set with the same label counts",
    "random": "random inputs with the same label counts",
    "shifted": "data with another label marginal",
}


def _transfer(scan: str, split: str) -> Claim:
    # `other` and `random` have the label counts of train: their difference is predicted as 0.
    same = split in ("other", "random")
    statistic = (statistics.transfer_sup if same else statistics.prediction_error)(scan, split)
    measure = "greatest |difference of the losses"
    measure += "|" if same else " − difference predicted from the label marginals|"
    return Claim(
        f"{scan}: transfers to {split}",
        f"The loss on {_NAMES.get(split, split)} is that on train: {measure}.",
        OBSERVATION_1,
        statistic,
        ROUNDING,
        "at most",
        figure=scan,
    )


def _controls(scans: Mapping[str, ScanSpec]) -> tuple[Claim, ...]:
    unlike = [split for split in scans["theorem2"].splits if split != statistics.TRAIN]
    return (
        _contains(
            "untrained",
            statistics.sup_after_constant("untrained"),
            SUP_QUICK,
            "greatest |L − T − a|",
            control=True,
        ),
        _control(
            "two_well: transfers plainly to shifted",
            "The loss is the same under another label marginal: greatest |difference|.",
            OBSERVATION_1,
            statistics.transfer_sup("two_well", "shifted"),
            ROUNDING,
        ),
        _control(
            "two_well: near-global minimum",
            "A pattern of Theorem 1 has a near-global minimum.",
            THEOREM_2,
            statistics.gap_to_global_minimum("two_well"),
            NEAR_GLOBAL,
        ),
        _control(
            "theorem2: the floor of blind sections is kept",
            "Units that see the data keep to the floor of Theorem 1: least loss minus floor.",
            THEOREM_1,
            statistics.above_floor_of("theorem2", "two_well"),
            -1e-6,
            sense="at least",
        ),
        *(
            _control(
                f"theorem2: transfers to {split}",
                f"A pattern of Theorem 2 appears on {_NAMES[split]}, up to a constant: root mean "
                "square of the difference over the target's range.",
                THEOREM_2,
                statistics.transfer_rms("theorem2", split),
                PLAIN_TRANSFER,
            )
            for split in unlike
        ),
    )
