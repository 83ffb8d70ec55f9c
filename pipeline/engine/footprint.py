"""The memory that an evaluator takes beside the landscape itself.

Shape legend: P = points, B = samples of a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.engine.blocks import split_blocks
from pipeline.engine.contract import EngineChoice, activation_numbers, item_bytes
from pipeline.engine.descents.memory import data_bytes, descent_bytes, spectrum_bytes
from pipeline.engine.graph.traced import programs
from pipeline.engine.graph.tracing import Untraceable
from schemas.starts import Descent
from tasks.landscape import Landscape
from tasks.objective import ClosedForm, EmpiricalRisk, Split
from tasks.spectrum import BASIS

# A backward pass holds activations, their gradients, and the graph of both for second derivatives.
_AUTOGRAD_COPIES = 4
_DOUBLE = 8
_LANCZOS_VECTORS = 4


@dataclass(frozen=True)
class Footprint:
    """Bytes of an evaluator.

    Attributes:
        model: its copy of the module, and origin and directions in the form it uses.
        prepared: what is kept of all blocks of samples between batches.
        block: a block of samples in work.
        per_point: for each point of a batch.
    """

    model: int
    prepared: int
    block: int
    per_point: int

    @property
    def fixed(self) -> int:
        """Bytes whatever the batch."""
        return self.model + self.prepared + self.block


def footprint(
    landscape: Landscape,
    splits: Sequence[str],
    metrics: Sequence[str],
    choice: EngineChoice,
    descent: Descent | None = None,
) -> Footprint:
    """The bytes that the evaluator of a choice will take, and a descent from each point."""
    plain = _plain_footprint(landscape, splits, metrics, choice)
    if descent is None:
        return plain
    # It begins when the plain evaluator's block is done with.
    block = choice.point_block * descent_bytes(landscape, splits, descent)
    return replace(
        plain,
        prepared=plain.prepared + data_bytes(landscape, splits, choice.sum_dtype),
        block=max(plain.block, block + spectrum_bytes(landscape, choice.point_block)),
    )


def _plain_footprint(
    landscape: Landscape, splits: Sequence[str], metrics: Sequence[str], choice: EngineChoice
) -> Footprint:
    item, section = item_bytes(choice.torch_dtype), landscape.section
    moved = sum(section.origin[name].numel() for name in section.touched)
    objective = landscape.objective
    if isinstance(objective, ClosedForm):
        # A closed form works on copies of its parameters.
        return Footprint(0, 0, 0, moved * (4 * _DOUBLE + item) + _DOUBLE * section.z)
    model = sum(p.numel() for p in objective.module.parameters()) * item
    data = [objective.splits[split] for split in splits]
    if any(metric.startswith("hessian_eigenvalue") for metric in metrics):
        numbers = sum(p.numel() for p in objective.module.parameters())
        model += numbers * _DOUBLE * (BASIS + _LANCZOS_VECTORS)
    if choice.name in ("loop", "autograd"):
        longest = max(len(split) for split in data)
        samples = min(choice.sample_block or longest, longest)
        if objective.reestimation is not None:
            samples = max(samples, objective.reestimation.batch)
        copies = _AUTOGRAD_COPIES if choice.name == "autograd" else 1
        block = samples * (copies * activation_numbers(objective) * item)
        block += samples * max(_sample_bytes(split, choice) for split in data)
        own = sum(len(split) * _converted_bytes(split, choice) for split in data)
        model += copies * model
        return Footprint(model, own if choice.keep else 0, block, moved * (2 * _DOUBLE + item))
    return _traced_footprint(objective, landscape, splits, metrics, choice, model)


def _traced_footprint(
    objective: EmpiricalRisk,
    landscape: Landscape,
    splits: Sequence[str],
    metrics: Sequence[str],
    choice: EngineChoice,
    model: int,
) -> Footprint:
    traced = choice
    if choice.name == "polynomial":
        traced = replace(choice, dtype="float64", outer=())
    item, wide = item_bytes(traced.torch_dtype), item_bytes(traced.sum_dtype)
    blocks = split_blocks(objective, splits, traced)
    made = programs(objective, landscape.section, blocks, metrics, traced)
    if choice.name == "polynomial" and not all(program.is_polynomial for program in made):
        raise Untraceable("the loss is no polynomial in the coordinates")
    per_sample = [program.prepared_numbers() * wide for program in made]
    data = [_sample_bytes(objective.splits[split], traced) for split in splits]
    # Coefficients are built from as many temporaries again.
    one = max((2 * p + d) * b.size for p, d, b in zip(per_sample, data, blocks, strict=True))
    work = max(p.live_numbers() * b.size for p, b in zip(made, blocks, strict=True))
    kept = choice.keep and not choice.outer and choice.name != "polynomial"
    prepared = sum(p * b.size * b.count for p, b in zip(per_sample, blocks, strict=True))
    section = landscape.section
    moved = sum(section.origin[name].numel() for name in section.touched)
    return Footprint(
        model + (section.z + 1) * moved * _DOUBLE,
        prepared if kept else 0,
        one + work * choice.point_block * item,
        moved * (_DOUBLE + 2 * wide),
    )


def _sample_bytes(split: Split, choice: EngineChoice) -> int:
    """Bytes of one sample's inputs and targets on the device."""
    total = 0
    for tensor in (split.inputs, split.targets):
        own = item_bytes(choice.sum_dtype if tensor.is_floating_point() else tensor.dtype)
        total += tensor[0].numel() * own
    return total


def _converted_bytes(split: Split, choice: EngineChoice) -> int:
    """Bytes of one sample that are copied because they are not on the device in that dtype."""
    total = 0
    for tensor in (split.inputs, split.targets):
        wanted = choice.sum_dtype if tensor.is_floating_point() else tensor.dtype
        if tensor.dtype != wanted or tensor.device.type != choice.device:
            total += tensor[0].numel() * item_bytes(wanted)
    return total
