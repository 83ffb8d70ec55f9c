"""The task `piecewise-net`: the mean squared error of a network of piecewise-linear units.

Yun, Sra & Jadbabaie 2019, arXiv:1802.03487; He, Wang & Tao 2020, arXiv:2003.12236.
Shape legend: N = samples, m = outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from schemas.errors import SpecError, listing, suggestion
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split, squared_error
from tasks.piecewise.data import Samples, draw_samples
from tasks.piecewise.network import network
from tasks.piecewise.parameters import PiecewiseNetParameters
from tasks.piecewise.sections import NormalWeights, orthonormal
from tasks.registry import BuildContext
from tasks.section import Section, whole_section

TRAIN = "train"
_ORIGIN, _DIRECTIONS = 2, 3
"""Keep the random numbers of the section apart from those of the data of the same seed."""


def build_piecewise_net(parameters: PiecewiseNetParameters, context: BuildContext) -> Landscape:
    """The mean squared error on the split `train`, over all samples and outputs.

    The risk of the papers is ½‖F − Y‖², the error times the fact `risk_per_loss`.

    Raises:
        SpecError: there is another split, or the axes do not fit the section.
    """
    for split in context.splits:
        if split != TRAIN:
            raise SpecError(
                f"splits: got {split!r}; expected {listing([TRAIN])}{suggestion(split, [TRAIN])}"
            )
    samples = draw_samples(parameters, context.seed)
    module = network(
        parameters.dimensions,
        parameters.widths,
        parameters.outputs,
        parameters.function or str(parameters.activation),
        parameters.bias,
    )
    draw = NormalWeights(module)
    origin = draw(np.random.default_rng([context.seed, _ORIGIN]), 1.0)
    if context.z is None:
        section = whole_section(draw.named(origin))
    else:
        random = np.random.default_rng([context.seed, _DIRECTIONS])
        axes = orthonormal(random, len(origin), context.z)
        section = Section(draw.named(origin), tuple(draw.named(axis) for axis in axes))
    train = Split(torch.from_numpy(samples.inputs), torch.from_numpy(samples.targets))
    return Landscape(
        EmpiricalRisk(module, squared_error, {TRAIN: train}),
        section,
        facts=_facts(parameters, samples),
        draw=draw,
    )


def _facts(parameters: PiecewiseNetParameters, samples: Samples) -> dict[str, Any]:
    said = parameters.model_dump(mode="json", exclude={"samples"})
    return {
        **said,
        "risk_per_loss": samples.targets.size / 2,
        "inputs": samples.inputs.tolist(),
        "targets": samples.targets.tolist(),
    }
