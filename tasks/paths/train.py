"""Train the bends of a path so that the loss stays low along it.

Minimises E_{t ~ U[0,1]} L(θ(t)) over the inner control points; the ends stay. Garipov et al. 2018,
arXiv:1802.10026, equation (2) and section 3.1: one t is drawn for each batch of samples.
Shape legend: N = samples, m = directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from schemas.errors import SpecError, WorkError, listing, suggestion
from tasks.batchnorm import batch_norms
from tasks.cache import cached
from tasks.directions.selection import is_statistic
from tasks.objective import EmpiricalRisk
from tasks.paths.charts import PathChart, path_chart, path_length
from tasks.paths.parameters import BendTraining, PathParameters
from tasks.paths.risk import PathRisk, batches, isolated
from tasks.registry import Progress
from tasks.tensors import tensor_hash, tensors_in_double

_VERSION = 1
"""Raised when the training changes, so that nothing older is taken from a cache."""
_SHOWN_EVERY = 50
_SMALLER = 10
STEP = "training the path"

Named = Mapping[str, Tensor]


def straight_bends(ends: tuple[Named, Named], bends: int) -> list[dict[str, Tensor]]:
    """Inner control points evenly spaced on the line between the ends, float64.

    With them a polygon and a Bézier curve both are that line, run through at constant speed.
    """
    first, last = (tensors_in_double(end) for end in ends)
    return [
        {name: first[name] + (j / (bends + 1)) * (last[name] - first[name]) for name in first}
        for j in range(1, bends + 1)
    ]


def train_bends(
    objective: EmpiricalRisk,
    split: str,
    ends: tuple[Named, Named],
    settings: PathParameters,
    *,
    seed: int,
    cache: Path | None,
    progress: Progress,
) -> tuple[list[dict[str, Tensor]], dict[str, Any]]:
    """The inner control points, from that of t nearest 0 on, and what is known of the path.

    They start on the straight line and are trained in float32, on the CPU and on one thread, so
    that the seed alone decides their bits. Parameters that the module holds fixed stay on the
    line, unless it holds all fixed. Batch normalisation uses the statistics of its batch, because
    running ones would be those of another point; where the ends hold some, theirs stay on the line.
    All else is in eval mode, as the path is evaluated, so dropout is off. The module itself does
    not change.

    Args:
        objective: its module gives every parameter that the ends do not hold.
        split: what to train on.
        ends: parameters by name at t = 0 and t = 1.
        settings: the kind of the path, its bends and their training.
        seed: decides the order of the samples, and t.
        cache: directory for trained bends; None keeps nothing.
        progress: told of the steps.

    Returns:
        Control points of the names of the ends, float64; and facts: the settings, `steps`,
        `loss_first` and `loss_last` (mean over the first and the last tenth of the steps, of the
        batch's loss at a random t, without the penalty), the `length` of the path and the
        `distance` of its ends, both Euclidean and without running statistics.

    Raises:
        SpecError: the split is unknown, an end does not fit the module, the loss has no
            gradient, or batches of one sample meet batch normalisation.
        WorkError: the loss, or a bend, is not finite.
    """
    _check_ends(objective, ends)
    if settings.inner_points:
        _check_data(objective, split, settings.training)
    chart = path_chart(settings.kind, settings.bends)
    bends = straight_bends(ends, settings.inner_points)
    steps = settings.training.total_steps(len(objective.splits[split])) if bends else 0
    facts: dict[str, Any] = {"settings": settings.model_dump(mode="json"), "steps": steps}
    if steps:
        with isolated(seed):
            risk = PathRisk(objective, split, ends)
            identity = _identity(risk, settings, ends, seed)
            kept = _kept(
                risk, identity, cache, lambda: _trained(risk, chart, settings, seed, progress)
            )
        for j, bend in enumerate(bends):
            bend |= {name: bend[name] + shift for name, shift in _shifts_of(kept, j).items()}
        facts["loss_first"], facts["loss_last"] = kept["losses"].tolist()
    gram = _gram([*bends, tensors_in_double(ends[1])], tensors_in_double(ends[0]))
    facts["length"] = path_length(chart, gram)
    facts["distance"] = math.sqrt(float(gram[-1, -1]))
    return bends, facts


def _check_ends(objective: EmpiricalRisk, ends: tuple[Named, Named]) -> None:
    own = dict(objective.module.named_parameters())
    unmatched = (ends[0].keys() ^ ends[1].keys()) | (ends[0].keys() - own.keys())
    if unmatched:
        raise SpecError(
            f"path: parameter {min(unmatched)!r} is not in the model and at both ends; expected "
            "the same parameters in each; give checkpoints of this model"
        )
    for end, at in zip(ends, ("t = 0", "t = 1"), strict=True):
        for name, tensor in end.items():
            if tensor.shape != own[name].shape:
                raise SpecError(
                    f"path: {name!r} at {at} has shape {tuple(tensor.shape)}; expected the "
                    f"model's {tuple(own[name].shape)}; give a checkpoint of this model"
                )


def _check_data(objective: EmpiricalRisk, split: str, training: BendTraining) -> None:
    if split not in objective.splits:
        raise SpecError(
            f"path: got {split!r} for the split to train on; expected one of "
            f"{listing(objective.splits)}{suggestion(split, objective.splits)}; add it to the "
            "data, or give kind: linear"
        )
    size = min(training.batch_size, len(objective.splits[split]))
    if size < 2 and batch_norms(objective.module):
        raise SpecError(
            f"path.training.batch_size: batches of {size} sample; batch normalisation needs 2 or "
            "more; give larger ones, or kind: linear"
        )


def _kept(
    risk: PathRisk,
    identity: Mapping[str, Any],
    cache: Path | None,
    make: Callable[[], dict[str, Tensor]],
) -> dict[str, Tensor]:
    """What is kept under this identity, if it was trained on the same function.

    Names do not tell what a module or a loss computes, and its author may have edited either.
    The comparison leaves room for what rounds differently on another machine.
    """
    probed = risk.probed()
    kept = cached(cache, identity, lambda: {**make(), "probed": probed})
    if torch.allclose(kept["probed"], probed, rtol=1e-3, atol=1e-6, equal_nan=True):
        return kept
    return cached(cache, {**identity, "probed": tensor_hash([("losses", probed)])}, make)


def _identity(
    risk: PathRisk, settings: PathParameters, ends: tuple[Named, Named], seed: int
) -> dict[str, Any]:
    module, data, training = risk.module, risk.data, settings.training
    fixed = {name: t for name, t in module.named_parameters() if name not in ends[0]}
    return {
        "version": _VERSION,
        "trained": "bends of a path",
        "kind": settings.kind,
        "bends": settings.inner_points,
        "training": training.model_dump(mode="json"),
        # What a default stands for may change.
        "resolved": [
            training.total_steps(len(data)),
            training.initial_rate,
            training.sgd_momentum,
        ],
        "ends": [tensor_hash(sorted(end.items())) for end in ends],
        "data": tensor_hash([("inputs", data.inputs), ("targets", data.targets)]),
        "module": [(name, _class_of(part)) for name, part in module.named_modules()],
        "shapes": {name: list(t.shape) for name, t in module.named_parameters()},
        "moved": sorted(risk.trained),
        "state": tensor_hash(chain(fixed.items(), module.named_buffers())),
        "seed": seed,
        "torch": torch.__version__,
    }


def _class_of(part: nn.Module) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"


def _trained(
    risk: PathRisk, chart: PathChart, settings: PathParameters, seed: int, progress: Progress
) -> dict[str, Tensor]:
    """Shifts of the bends from the straight line, `shift.<bend>.<name>`, float64, and `losses`."""
    training = settings.training
    steps = training.total_steps(len(risk.data))
    shifts = [
        {name: torch.zeros_like(risk.first[name]).requires_grad_() for name in risk.trained}
        for _ in range(settings.inner_points)
    ]
    optimiser = _optimiser([t for shift in shifts for t in shift.values()], training)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    generator = torch.Generator().manual_seed(seed)
    drawn = batches(len(risk.data), training.batch_size, generator)
    losses: list[float] = []
    for step in range(steps):
        t = float(torch.rand((), generator=generator, dtype=torch.float64))
        point = risk.point(t, chart.coordinates(np.array([[t]]))[0], shifts)
        loss = risk.loss(point, next(drawn))
        if not loss.requires_grad:
            raise SpecError(
                "path: the loss has no gradient with respect to the parameters; expected a "
                "differentiable one to train on; give another loss, or kind: linear"
            )
        losses.append(loss.item())
        _check_finite(losses, t, training)
        optimiser.zero_grad()
        (loss + _penalty(point, risk, training)).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        decay.step()
        if (step + 1) % _SHOWN_EVERY == 0 or step + 1 == steps:
            progress(STEP, step + 1, steps, f"loss {losses[-1]:.3g}")
    if not all(bool(t.isfinite().all()) for shift in shifts for t in shift.values()):
        raise _diverged("a bend is not finite after the last step", training)
    few = max(1, steps // 10)
    named = {f"shift.{j}.{name}": t for j, shift in enumerate(shifts) for name, t in shift.items()}
    ends_of_training = torch.tensor([np.mean(losses[:few]), np.mean(losses[-few:])])
    return {**tensors_in_double(named), "losses": ends_of_training.double()}


def _penalty(point: Named, risk: PathRisk, training: BendTraining) -> Tensor:
    """λ/2·‖θ(t)‖² over the parameters that are trained."""
    squares = torch.stack([point[name].square().sum() for name in risk.trained])
    return training.weight_decay / 2 * squares.sum()


def _optimiser(parameters: list[Tensor], training: BendTraining) -> torch.optim.Optimizer:
    if training.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=training.initial_rate, momentum=training.sgd_momentum)
    return torch.optim.Adam(parameters, lr=training.initial_rate)


def _check_finite(losses: Sequence[float], t: float, training: BendTraining) -> None:
    if math.isfinite(losses[-1]):
        return
    if len(losses) == 1:
        raise WorkError(
            f"path: the loss on the straight line is {losses[-1]} at t = {t:.3f}; expected a "
            "finite one to train on; check the checkpoints and the data"
        )
    raise _diverged(f"the loss is {losses[-1]} at step {len(losses)}", training)


def _diverged(what: str, training: BendTraining) -> WorkError:
    rate = training.initial_rate
    return WorkError(
        f"path.training.learning_rate: {what} with {rate:g}; expected training to converge; "
        f"choose a smaller one, such as {rate / _SMALLER:g}"
    )


def _shifts_of(kept: Named, bend: int) -> dict[str, Tensor]:
    prefix = f"shift.{bend}."
    return {key.removeprefix(prefix): t for key, t in kept.items() if key.startswith(prefix)}


def _gram(points: Sequence[Named], origin: Named) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Inner products of the points' displacements from the origin, (m, m), without statistics."""
    gram = np.zeros((len(points), len(points)))
    for name, start in origin.items():
        if is_statistic(name):
            continue
        arms = torch.stack([(point[name] - start).flatten() for point in points])
        gram += (arms @ arms.T).numpy()
    return gram
