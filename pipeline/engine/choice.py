"""The choice of an evaluator for a landscape.

Shape legend: S = splits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from pipeline.engine.autograd import AutogradEvaluator
from pipeline.engine.cells import CELL_METRICS
from pipeline.engine.charted import ChartedEvaluator, evaluated_metrics, flat, flat_work
from pipeline.engine.closed_form import CLOSED_FORM_METRICS, ClosedFormEvaluator
from pipeline.engine.contract import EngineChoice, Evaluator, Work, activation_numbers, item_bytes
from pipeline.engine.descents.descend import no_sum_of_squares
from pipeline.engine.descents.evaluator import DescentEvaluator
from pipeline.engine.descents.functions import is_sum_of_squares
from pipeline.engine.descents.memory import descent_bytes, most_together
from pipeline.engine.footprint import footprint
from pipeline.engine.graph.polynomial import PolynomialEvaluator
from pipeline.engine.graph.traced import TracedEvaluator
from pipeline.engine.graph.tracing import Untraceable
from pipeline.engine.loop import LoopEvaluator
from pipeline.engine.preflight import samples_are_independent
from pipeline.engine.shrinking import ShrinkingEvaluator
from pipeline.engine.totals import FAST_METRICS
from pipeline.engine.tuning import tune
from schemas.errors import SpecError, listing, suggestion
from schemas.layout import END_PARAMETERS, OF_DESCENT
from schemas.starts import Descent
from tasks.directions.selection import is_statistic
from tasks.landscape import Landscape
from tasks.objective import ClosedForm, EmpiricalRisk

# Activations of one block of samples should stay in a core's cache; on a GPU they should fill it.
_BLOCK_BYTES = {"cpu": 2 * 2**20, "cuda": 512 * 2**20}
_LEAST_BLOCK = 64
_TRACED_METRICS = FAST_METRICS.union(CELL_METRICS)
_SHARE_KEPT = 0.5
_SHARE_OF_BLOCK = 0.25
_SHARE_OF_DESCENTS = 0.5


def choose_engine(
    landscape: Landscape, device: str, dtype: str, threads: int, work: Work | None = None
) -> EngineChoice:
    """The engine for a landscape: by its kind, by the metrics, and by timing a few blocks.

    Without `work` nothing is timed and the loss of all splits is taken to be wanted. With a
    descent nothing is timed either: an evaluation is nothing beside it.
    """
    if work is not None and work.descent is not None:
        return _with_descents(landscape, device, dtype, threads, work, work.descent)
    objective = landscape.objective
    if isinstance(objective, ClosedForm):
        return EngineChoice("closed-form", device, dtype, threads, None)
    if work is not None:
        work = flat_work(work, landscape.section.chart)
    landscape = flat(landscape)
    splits = work.splits if work else tuple(objective.splits)
    metrics = work.metrics if work else ("loss",)
    check_offer(landscape, splits, metrics)
    name = "loop" if FAST_METRICS.issuperset(metrics) else "autograd"
    plain = EngineChoice(name, device, dtype, threads, None)
    if not all(samples_are_independent(landscape, split) for split in splits):
        return plain
    per_sample = activation_numbers(objective) * item_bytes(plain.torch_dtype)
    block = max(_LEAST_BLOCK, _BLOCK_BYTES[device] // max(per_sample, 1))
    if work is None:
        return replace(plain, sample_block=block)
    most = int(work.room * _SHARE_OF_BLOCK) // max(per_sample, 1)
    plain = replace(plain, sample_block=max(1, min(block, most)))
    if _may_be_traced(landscape, metrics, plain):
        plain = tune(landscape, work, plain, make_evaluator)
    return _keeping(landscape, work, plain)


def _may_be_traced(landscape: Landscape, metrics: Sequence[str], plain: EngineChoice) -> bool:
    """Whether evaluators of the traced objective measure the same, and no worse."""
    if landscape.section.whole or _reestimates(landscape.objective):
        return False
    # The general path finds cells in float32 where the network is computed in bfloat16.
    cells = plain.dtype != "bfloat16" and _TRACED_METRICS.issuperset(metrics)
    return plain.name == "loop" or cells


def _with_descents(
    landscape: Landscape, device: str, dtype: str, threads: int, work: Work, descent: Descent
) -> EngineChoice:
    """The general path for the metrics, and as many descents together as the room allows."""
    check_offer(landscape, work.splits, work.metrics, descent)
    measured = without_descent(work.metrics)
    alone = replace(work, metrics=measured, total=0, descent=None)
    choice = choose_engine(landscape, device, dtype, threads, alone)
    one = descent_bytes(landscape, work.splits, descent)
    return replace(choice, point_block=most_together(one, int(work.room * _SHARE_OF_DESCENTS)))


def _keeping(landscape: Landscape, work: Work, choice: EngineChoice) -> EngineChoice:
    """Keep what is prepared between batches if it takes no more than its share of the room."""
    needed = footprint(landscape, work.splits, work.metrics, choice).prepared
    return replace(choice, keep=needed <= _SHARE_KEPT * work.room)


def make_evaluator(
    landscape: Landscape,
    splits: Sequence[str],
    metrics: Sequence[str],
    choice: EngineChoice,
    descent: Descent | None = None,
) -> ShrinkingEvaluator:
    """The evaluator that a choice names, with the descent from each point that is asked for.

    Raises:
        SpecError: a split or metric is not on offer, or the descent's method is not.
    """
    check_offer(landscape, splits, metrics, descent)
    torch.set_num_threads(choice.threads)
    measured = without_descent(metrics)

    def make(smaller: EngineChoice) -> Evaluator:
        if descent is None:
            return _charted(landscape, splits, measured, smaller)
        plain = _charted(landscape, splits, measured, smaller) if measured else None
        return DescentEvaluator(plain, landscape, splits, metrics, descent, smaller)

    # Other descents beside it would change a descent's last digits, and so where it ends.
    return ShrinkingEvaluator(make, choice, whole_blocks=descent is not None)


def without_descent(metrics: Sequence[str]) -> tuple[str, ...]:
    """The metrics that are measured at the points themselves."""
    return tuple(name for name in metrics if name not in (*OF_DESCENT, END_PARAMETERS))


def _charted(
    landscape: Landscape, splits: Sequence[str], metrics: tuple[str, ...], choice: EngineChoice
) -> Evaluator:
    chart = landscape.section.chart
    if chart is None:
        return _evaluator(landscape, splits, metrics, choice)
    needed = evaluated_metrics(metrics, chart)
    return ChartedEvaluator(_evaluator(flat(landscape), splits, needed, choice), chart, metrics)


def _evaluator(
    landscape: Landscape, splits: Sequence[str], metrics: Sequence[str], choice: EngineChoice
) -> Evaluator:
    objective, section = landscape.objective, landscape.section
    if isinstance(objective, ClosedForm):
        return ClosedFormEvaluator(objective, section, splits, choice, metrics)
    if choice.name == "polynomial":
        direct = lambda: _direct(landscape, splits, metrics, choice)  # noqa: E731
        return PolynomialEvaluator(objective, section, splits, choice, direct)
    evaluators: dict[str, Callable[..., Evaluator]] = {
        "loop": LoopEvaluator,
        "traced": TracedEvaluator,
        "batched": TracedEvaluator,
        "autograd": AutogradEvaluator,
    }
    return evaluators[choice.name](objective, section, splits, metrics, choice)


def _direct(
    landscape: Landscape, splits: Sequence[str], metrics: Sequence[str], choice: EngineChoice
) -> Evaluator:
    """What evaluates the points at which a polynomial loses digits."""
    direct = replace(choice, name="batched", degree=1, outer=())
    try:
        return _evaluator(landscape, splits, metrics, direct)
    except Untraceable:
        return _evaluator(landscape, splits, metrics, replace(direct, name="traced"))


def check_forced(landscape: Landscape, metrics: Sequence[str], choice: EngineChoice) -> None:
    """SpecError unless an evaluator that a spec names fits the landscape and the metrics."""
    objective = landscape.objective
    closed = isinstance(objective, ClosedForm)
    if closed != (choice.name == "closed-form"):
        expected = "closed-form" if closed else "an evaluator of modules"
        raise SpecError(
            f"compute.engine.name: got {choice.name!r}; this task needs {expected}; "
            "use engine: auto"
        )
    section = landscape.section
    if section.whole and choice.name not in ("loop", "autograd", "closed-form"):
        raise SpecError(
            f"compute.engine.name: {choice.name!r} evaluates along axes, and starts have none; "
            "use engine: auto"
        )
    slow = [metric for metric in without_descent(metrics) if metric not in FAST_METRICS]
    if choice.name == "polynomial":
        slow = [metric for metric in metrics if metric != "loss"]
    if choice.name in ("traced", "batched") and choice.dtype != "bfloat16":
        slow = [metric for metric in slow if metric not in CELL_METRICS]
    if slow and choice.name not in ("autograd", "closed-form"):
        raise SpecError(
            f"compute.engine.name: {choice.name!r} does not measure {listing(slow)}; "
            "use engine: auto"
        )
    if _reestimates(objective) and choice.name != "loop":
        raise SpecError(
            f"compute.engine.name: got {choice.name!r}; batchnorm: reestimated needs loop; "
            "use engine: auto"
        )
    axes = range(len(section.directions))
    if any(axis not in axes for axis in choice.outer):
        raise SpecError(
            f"compute.engine.outer: got {list(choice.outer)}; expected numbers of axes, "
            f"0 to {len(axes) - 1}"
        )


def check_offer(
    landscape: Landscape,
    splits: Sequence[str],
    metrics: Sequence[str],
    descent: Descent | None = None,
) -> None:
    """SpecError unless the landscape offers these splits and metrics, and descents if asked for."""
    objective = landscape.objective
    offered = objective.functions if isinstance(objective, ClosedForm) else objective.splits
    for split in splits:
        if split not in offered:
            raise SpecError(
                f"splits: got {split!r}; expected some of {listing(offered)}"
                f"{suggestion(split, offered)}"
            )
    for metric in without_descent(metrics):
        reason = _not_measured(landscape, splits, metric)
        if reason:
            raise SpecError(f"metrics: got {metric!r}; {reason}")
    if descent is not None:
        _check_descent(objective, splits, descent)
    elif len(without_descent(metrics)) < len(metrics):
        raise ValueError(f"{listing(metrics)} are measured by a descent, and there is none")


def _check_descent(
    objective: EmpiricalRisk | ClosedForm, splits: Sequence[str], descent: Descent
) -> None:
    if _reestimates(objective):
        raise SpecError(
            "descent: with batchnorm: reestimated the statistics depend on the point, and a loss "
            "has no gradient; use batchnorm: stored or leave descent out"
        )
    squares = all(is_sum_of_squares(objective, split) for split in splits)
    if not squares and any(stage.method == "lm" for stage in descent.stages):
        raise no_sum_of_squares()


def _not_measured(landscape: Landscape, splits: Sequence[str], metric: str) -> str | None:
    """Why a landscape does not offer a metric, and what to do."""
    objective = landscape.objective
    if metric.startswith("section_") and landscape.section.whole:
        return "it is measured along axes, and starts have none; leave it out"
    if isinstance(objective, ClosedForm):
        offered = metric in CLOSED_FORM_METRICS
        return None if offered else f"a closed form offers {listing(sorted(CLOSED_FORM_METRICS))}"
    numbers = [s for s in splits if objective.splits[s].targets.is_floating_point()]
    if metric == "accuracy" and numbers:
        return f"data[{numbers[0]!r}].targets are numbers, not classes; leave it out"
    if _reestimates(objective) and metric not in FAST_METRICS:
        return (
            "with batchnorm: reestimated the statistics depend on the point, and only "
            f"{listing(sorted(FAST_METRICS))} are defined; use batchnorm: stored or leave it out"
        )
    if metric.startswith("section_") and any(map(is_statistic, landscape.section.touched)):
        return (
            "with batchnorm: interpolated the axes move running statistics, which have no "
            "derivative; leave it out"
        )
    return None


def _reestimates(objective: EmpiricalRisk | ClosedForm) -> bool:
    return isinstance(objective, EmpiricalRisk) and objective.reestimation is not None
