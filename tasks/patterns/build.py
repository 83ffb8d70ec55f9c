"""Builders of the pattern tasks: from a target and data to a landscape that contains it.

Czarnecki et al. 2019, arXiv:1912.07559, Theorems 1 and 2. Shape legend: P = points, z = axes,
N = samples, C = classes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tasks.cache import cached
from tasks.landscape import FieldVariable, Floats, Landscape
from tasks.objective import EmpiricalRisk, Split, loss_named
from tasks.patterns.fields import LossOfCoordinates, PredictedDifference, Scaling, TargetLoss
from tasks.patterns.network import PatternNetwork, make_network
from tasks.patterns.parameters import PatternParameters
from tasks.patterns.preimage import Marginal, marginal_of, sample_preimage
from tasks.patterns.splits import CLASSES, make_splits
from tasks.patterns.targets import Target, make_target
from tasks.patterns.training import Draw, Schedule, balanced, train
from tasks.registry import BuildContext
from tasks.section import Section
from tasks.tensors import tensor_hash, tensors_in_double

_TRAINING_VERSION = 3
"""Raised when the training changes, so that nothing older is taken from a cache."""
_LEAST_LEVEL = 0.02
"""Least loss asked of Theorem 2 with cross-entropy, where 0 would need infinite outputs."""
_MOST_RANGE = 10.0
"""A T of a greater range is scaled: logits and outputs would be too large to learn."""
_CHECKED_POINTS = {"theorem 1": 20_000, "theorem 2": 64}
"""Random coordinates of the reported error; Theorem 2 needs all samples at each."""
_STEPS = {"function": 3000, "image": 6000, "array": 6000}
_REFINEMENT = {"cross_entropy": 1200, "mse": 2000}
_FREQUENCY = {"function": 8.0, "image": 60.0, "array": 24.0}


@dataclass(frozen=True)
class Pattern:
    """Everything a builder needs at hand."""

    parameters: PatternParameters
    context: BuildContext
    target: Target
    scaling: Scaling
    marginals: dict[str, Marginal]
    splits: dict[str, Split]

    @property
    def kind(self) -> str:
        """How the target was given: function, image or array."""
        given = self.parameters.target
        kinds = {"function": given.function, "image": given.image, "array": given.array}
        return next(kind for kind, value in kinds.items() if value is not None)

    def wanted_loss(self, h: Tensor) -> Tensor:
        """target_loss at coordinates (P, z) of the cube, float64 (P,)."""
        return torch.from_numpy(self.scaling(self.target.function(h.double().numpy())))


def build_theorem1(parameters: PatternParameters, context: BuildContext) -> Landscape:
    """T on the biases of a first layer whose weights are zero: L = σ(q(h)).

    The section's origin has bias 0 and direction i is the i-th bias. The loss aims at
    floor + T − min(0, min T), whose difference from T is the theorem's constant a.

    Raises:
        SpecError: the target, the network or a split does not fit.
    """
    pattern = _pattern(parameters, context, blind=True)
    network = _network(pattern, blind=True)
    marginal = pattern.marginals["train"]

    def example(h: Tensor) -> tuple[Tensor, Tensor]:
        excess = (pattern.wanted_loss(h) - marginal.floor).clamp(min=0.0)
        return network.of_coordinates(h), marginal.preimage(excess).float()

    draw = balanced(context.axes, _drawing(context), pattern.wanted_loss)
    trained = list(network.rest.parameters())
    _train(pattern, network, trained, example, "theorem 1", _schedule(pattern), draw)
    known = {
        f"predicted_{split}": FieldVariable(
            PredictedDifference(_double(network), pattern.marginals[split], marginal),
            f"loss of {split} minus loss of train, predicted from the label marginals alone",
        )
        for split in context.splits
        if split != "train"
    }
    loss_of = LossOfCoordinates(_double(network), marginal)
    facts = _facts(pattern, loss_of, _CHECKED_POINTS["theorem 1"])
    return _landscape(pattern, network, known, facts, {"section_floor": marginal.floor})


def build_theorem2(parameters: PatternParameters, context: BuildContext) -> Landscape:
    """T on the biases of the first z units; the others see the data through random weights.

    The rest is trained to put out ℓ_i^{-1}(T(h)) on every training sample, so the loss is T(h)
    itself, and its minimum near the global one. Nothing is promised on other data.

    Raises:
        SpecError: the target, the network or a split does not fit.
    """
    pattern = _pattern(parameters, context, blind=False)
    network = _network(pattern, blind=False)
    data = pattern.splits["train"]
    with torch.no_grad():
        seen = network.first(data.inputs)
    drawn = torch.Generator().manual_seed(context.seed + 1)

    def example(h: Tensor) -> tuple[Tensor, Tensor]:
        samples = torch.randint(len(data), (len(h),), generator=drawn)
        labels = data.targets[samples]
        wanted = sample_preimage(parameters.loss, pattern.wanted_loss(h), labels, CLASSES)
        return network.after_first(_with_coordinates(seen[samples], h)), wanted.float()

    # L-BFGS needs a fixed objective, and here each call draws other samples.
    adam_only = replace(_schedule(pattern), refinement=0)
    draw = balanced(context.axes, _drawing(context), pattern.wanted_loss)
    trained = list(network.rest.parameters())
    _train(pattern, network, trained, example, "theorem 2", adam_only, draw)

    def loss_of(points: Floats) -> Floats:
        loss = loss_named(parameters.loss)
        with torch.no_grad():
            outputs = (
                network.after_first(_with_coordinates(seen, h.expand(len(data), -1)))
                for h in torch.from_numpy(points).float()
            )
            return np.array([loss(output, data.targets).double().mean() for output in outputs])

    facts = _facts(pattern, loss_of, _CHECKED_POINTS["theorem 2"])
    return _landscape(pattern, network, {}, facts, {})


def _with_coordinates(pre_activation: Tensor, h: Tensor) -> Tensor:
    """The first layer's pre-activations with coordinates in place of the first z units."""
    pre = pre_activation.clone()
    z = h.shape[1]
    pre[:, :z] = h.reshape(*h.shape, *[1] * (pre.dim() - 2))
    return pre


def _pattern(parameters: PatternParameters, context: BuildContext, *, blind: bool) -> Pattern:
    target = make_target(parameters.target, context.axes, context.base)
    splits = make_splits(parameters, ("train", *context.splits), context.seed)
    marginals = {
        name: marginal_of(parameters.loss, split.targets, CLASSES) for name, split in splits.items()
    }
    scaling = _scaling(target, parameters.loss, marginals["train"].floor if blind else None)
    return Pattern(parameters, context, target, scaling, marginals, splits)


def _scaling(target: Target, loss: str, floor: float | None) -> Scaling:
    """The affine map from T to a loss that the objective can take."""
    low, high = target.range()
    scale, reason = 1.0, "none was needed"
    if high - low > _MOST_RANGE:
        scale = 1.0 / (high - low)
        reason = f"T ranges over {high - low:g}; the landscape over 1"
    if floor is not None:
        return Scaling(scale, floor - scale * min(0.0, low), f"{reason}; raised by the floor")
    least = _LEAST_LEVEL if loss == "cross_entropy" else 0.0
    if scale * low >= least:
        return Scaling(scale, 0.0, reason)
    return Scaling(
        scale, least - scale * low, f"{reason}; raised, for {loss} reaches {least:g} at the least"
    )


def _network(pattern: Pattern, *, blind: bool) -> PatternNetwork:
    parameters, context = pattern.parameters, pattern.context
    frequency = parameters.training.frequency or _FREQUENCY[pattern.kind]
    return make_network(
        parameters.network,
        z=context.axes,
        pixels=pattern.splits["train"].inputs[0].numel(),
        classes=CLASSES,
        frequency=frequency,
        blind=blind,
        generator=torch.Generator().manual_seed(context.seed),
    )


def _train(
    pattern: Pattern,
    network: PatternNetwork,
    trained: list[nn.Parameter],
    example: Callable[[Tensor], tuple[Tensor, Tensor]],
    theorem: str,
    schedule: Schedule,
    draw: Draw,
) -> None:
    """Train in place, or load what the same training gave before."""
    context = pattern.context
    if not context.train or schedule.steps == 0:
        return

    def make() -> dict[str, Tensor]:
        train(
            trained,
            example,
            draw,
            schedule=schedule,
            progress=context.progress,
        )
        return {name: t.detach().clone() for name, t in network.state_dict().items()}

    data = pattern.splits["train"]
    identity = {
        "version": _TRAINING_VERSION,
        "theorem": theorem,
        "parameters": pattern.parameters.model_dump(mode="json"),
        "schedule": vars(schedule),
        "sources": list(pattern.target.sources.values()),
        "data": tensor_hash([("inputs", data.inputs), ("targets", data.targets)]),
        "z": context.axes,
        "seed": context.seed,
        "torch": torch.__version__,
    }
    network.load_state_dict(cached(context.cache, identity, make))


def _drawing(context: BuildContext) -> torch.Generator:
    """The generator of the coordinates to train on."""
    return torch.Generator().manual_seed(context.seed + 2)


def _schedule(pattern: Pattern) -> Schedule:
    asked = pattern.parameters.training
    steps = _STEPS[pattern.kind] if asked.steps is None else asked.steps
    # Of a finer pattern L-BFGS would fit its sample of points and not what is between them.
    usual = _REFINEMENT[pattern.parameters.loss] if pattern.kind == "function" else 0
    refinement = usual if asked.refinement is None else asked.refinement
    return Schedule(steps, refinement, asked.batch, asked.learning_rate)


def _landscape(
    pattern: Pattern,
    network: PatternNetwork,
    known: dict[str, FieldVariable],
    facts: dict[str, Any],
    known_values: dict[str, float],
) -> Landscape:
    context = pattern.context
    fields = {
        "target": FieldVariable(pattern.target, "T, the pattern"),
        "target_loss": FieldVariable(
            TargetLoss(pattern.target, pattern.scaling), "the loss that stands for T"
        ),
        **known,
    }
    reference = {"global_minimum": 0.0, **known_values}
    offered = {name: split for name, split in pattern.splits.items() if name in context.splits}
    objective = EmpiricalRisk(network.eval(), loss_named(pattern.parameters.loss), offered)
    return Landscape(objective, _section(network, context.axes), fields, reference, facts)


def _section(network: PatternNetwork, z: int) -> Section:
    origin = tensors_in_double(dict(network.named_parameters()))
    units = len(origin["first.bias"])
    directions = tuple({"first.bias": row} for row in torch.eye(units, dtype=torch.float64)[:z])
    return Section(origin, directions)


def _facts(
    pattern: Pattern, loss_of: Callable[[Floats], Floats], checked_points: int
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "target": pattern.target.name,
        "target_sources": dict(pattern.target.sources),
        "scale": pattern.scaling.scale,
        "offset": pattern.scaling.offset,
        "scaling_reason": pattern.scaling.reason,
        "samples": {name: len(split) for name, split in pattern.splits.items()},
        "label_marginals": {
            name: [round(float(p), 6) for p in marginal.marginal]
            for name, marginal in pattern.marginals.items()
        },
        "training_steps": _schedule(pattern).steps,
    }
    if pattern.context.train:
        random = np.random.default_rng(pattern.context.seed)
        points = random.random((checked_points, pattern.context.axes))
        error = loss_of(points) - pattern.scaling(pattern.target(points))
        facts["approximation_sup"] = float(np.abs(error).max())
        facts["approximation_rms"] = float(np.sqrt(np.square(error).mean()))
    return facts


def _double(network: PatternNetwork) -> PatternNetwork:
    return copy.deepcopy(network).double().eval().requires_grad_(False)
