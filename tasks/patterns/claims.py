"""What Theorems 1 and 2 claim of a scan, with their thresholds and sources.

Czarnecki et al. 2019, arXiv:1912.07559. The statistics are in `tasks.patterns.measures`.
"""

from __future__ import annotations

from schemas.scan import ScanSpec
from schemas.study import Claim, Outcome, Statistic
from tasks.patterns import measures

PAPER = "Czarnecki et al. 2019, arXiv:1912.07559"
THEOREM1 = f"{PAPER}, Theorem 1"
OBSERVATION1 = f"{PAPER}, Observation 1"
THEOREM2 = f"{PAPER}, Theorem 2"

SMOOTH_SUP = 0.02
IMAGE_RMS = 0.08
TRANSFER = 1e-5
FLOOR = 1e-6
MEAN_ERROR = 0.05
NEAR_GLOBAL = 0.15
UNLIKE = 0.1


def contains_smooth(
    scan: str, words: str, *, control: bool = False, name: str | None = None
) -> Claim:
    """T is contained: sup error after the constant."""
    return _claim(
        name or f"{scan}-contains-T",
        f"{words} is contained in the train surface: greatest error after a constant, "
        "relative to T's range",
        THEOREM1,
        measures.relative_sup(scan),
        SMOOTH_SUP,
        scan,
        control=control,
    )


def contains_on_average(scan: str, words: str, most: float) -> Claim:
    """T is contained: root mean square error after the constant."""
    return _claim(
        f"{scan}-contains-T",
        f"{words} is contained in the train surface: root mean square error after a constant, "
        "relative to T's range",
        THEOREM1,
        measures.relative_rms(scan),
        most,
        scan,
    )


def transfers_as_predicted(scan: str, split: str) -> Claim:
    """The label marginals alone say how a split's surface differs."""
    return _claim(
        f"{scan}-predicts-{split}",
        f"the {split} surface differs from the train surface exactly as their label marginals "
        "predict: greatest error of the prediction",
        OBSERVATION1,
        measures.prediction_error(scan, split),
        TRANSFER,
        scan,
    )


def transfers_plainly(
    scan: str, split: str, words: str, *, control: bool = False, name: str | None = None
) -> Claim:
    """The split's surface is the train surface."""
    return _claim(
        name or f"{scan}-transfers-to-{split}",
        f"the pattern transfers unchanged to {words}: greatest difference",
        OBSERVATION1,
        measures.plain_difference(scan, split),
        TRANSFER,
        scan,
        control=control,
    )


def respects_floor(scan: str, loss: str) -> Claim:
    """No loss lies below what constant outputs can reach."""
    floor = "the entropy of the labels" if loss == "cross_entropy" else "the variance of the labels"
    return _claim(
        f"{scan}-respects-floor",
        f"no loss lies below {floor}: how far the least lies below it",
        THEOREM1,
        measures.below_floor(scan),
        FLOOR,
        scan,
    )


def contains_exactly(scan: str) -> Claim:
    """Theorem 2: the loss itself is T, without a constant."""
    return _claim(
        f"{scan}-contains-T",
        "the train loss is T itself, without a constant: mean error relative to T's range",
        THEOREM2,
        measures.mean_error(scan),
        MEAN_ERROR,
        scan,
    )


def near_global(scan: str, *, control: bool = False, name: str | None = None) -> Claim:
    """Theorem 2: the pattern's minimum is near the global one."""
    return _claim(
        name or f"{scan}-near-global",
        "the least loss of the pattern is near the global minimum: the gap relative to T's range",
        THEOREM2,
        measures.above_global_minimum(scan),
        NEAR_GLOBAL,
        scan,
        control=control,
    )


def little_to_gain(scan: str, *, control: bool = False, name: str | None = None) -> Claim:
    """Theorem 2: training on from the pattern's minimum gains little."""
    return _claim(
        name or f"{scan}-little-to-gain",
        "training every parameter on from the pattern's minimum gains little, relative to T's "
        "range",
        THEOREM2,
        measures.gained_by_descent(scan),
        NEAR_GLOBAL,
        scan,
        control=control,
    )


def unlike_elsewhere(scan: str, split: str, words: str) -> Claim:
    """Theorem 2 does not transfer to other data with the same labels."""
    return _claim(
        f"{scan}-does-not-transfer-to-{split}",
        f"on {words} the surface is another one: root mean square difference relative to T's range",
        THEOREM2,
        measures.relative_difference(scan, split),
        UNLIKE,
        scan,
        at_least=True,
    )


def _claim(
    name: str,
    statement: str,
    source: str,
    statistic: Statistic,
    threshold: float,
    figure: str,
    *,
    at_least: bool = False,
    control: bool = False,
) -> Claim:
    """A claim; as a control it is expected to be refuted."""
    return Claim(
        name=name,
        statement=statement,
        source=source,
        statistic=statistic,
        threshold=threshold,
        sense="at least" if at_least else "at most",
        expected=Outcome.REFUTED if control else Outcome.HOLDS,
        control=control,
        figure=figure,
    )


def theorem1_claims(spec: ScanSpec) -> tuple[Claim, ...]:
    """What Theorem 1 claims of one scan, given its target, splits and loss."""
    scan = "scan"
    function = spec.parameters["target"].get("function")
    if function is None:
        contained = contains_on_average(scan, "the pattern", IMAGE_RMS)
    elif len(spec.axes) <= 2:
        contained = contains_smooth(scan, f"the pattern {function}")
    else:
        # Corners grow in number with z, so the greatest error says little of the surface there.
        contained = contains_on_average(scan, f"the pattern {function}", SMOOTH_SUP)
    others = [split for split in spec.splits if split != "train"]
    return (
        contained,
        *(transfers_as_predicted(scan, split) for split in others),
        respects_floor(scan, spec.parameters["loss"]),
    )


def theorem2_claims(spec: ScanSpec) -> tuple[Claim, ...]:
    """What Theorem 2 claims of one scan, given its splits."""
    scan = "scan"
    words = {
        "other": "a different data set with the same labels",
        "random": "random inputs with the same labels",
    }
    return (
        contains_exactly(scan),
        near_global(scan),
        *(unlike_elsewhere(scan, split, words[split]) for split in spec.splits if split in words),
    )
