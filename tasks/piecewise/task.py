"""The task `piecewise-net`: the mean squared error of a network of piecewise-linear units.

Yun, Sra & Jadbabaie 2019, arXiv:1802.03487; He, Wang & Tao 2020, arXiv:2003.12236.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from schemas.errors import SpecError, listing, suggestion
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split, squared_error
from tasks.piecewise.case import Case
from tasks.piecewise.constructed import construct
from tasks.piecewise.data import Samples, draw_samples
from tasks.piecewise.network import as_parameters, network
from tasks.piecewise.parameters import PiecewiseNetParameters
from tasks.piecewise.sections import NormalWeights, section_of
from tasks.piecewise.smooth import smooth_case
from tasks.registry import BuildContext
from tasks.section import whole_section

TRAIN = "train"
_ORIGIN = 2
"""Keeps the random numbers of the origin apart from those of the data of the same seed."""


def build_piecewise_net(parameters: PiecewiseNetParameters, context: BuildContext) -> Landscape:
    """The mean squared error on the split `train`, over all samples and outputs.

    The risk of the papers is ½‖F − Y‖², the error times the fact `risk_per_loss`.

    Raises:
        SpecError: there is another split, the axes do not fit the section, or there is no lower
            point to go to.
    """
    for split in context.splits:
        if split != TRAIN:
            raise SpecError(
                f"splits: got {split!r}; expected {listing([TRAIN])}{suggestion(split, [TRAIN])}"
            )
    samples = draw_samples(parameters, context.seed)
    case = _case(parameters, samples)
    module = network(
        parameters.dimensions,
        parameters.widths,
        parameters.outputs,
        parameters.function or str(parameters.activation),
    )
    draw = NormalWeights(module)
    origin = _origin(parameters.at, case, draw, context.seed)
    if context.z is None:
        section = whole_section(origin)
    else:
        section = section_of(parameters.section, case, origin, draw, context)
    train = Split(torch.from_numpy(samples.inputs), torch.from_numpy(samples.targets))
    return Landscape(
        EmpiricalRisk(module, squared_error, {TRAIN: train}),
        section,
        facts=_facts(parameters, samples, case),
        draw=draw,
    )


def _case(parameters: PiecewiseNetParameters, samples: Samples) -> Case:
    broken = parameters.at == "broken"
    if parameters.function is None:
        return smooth_case(str(parameters.activation), samples, broken=broken)
    constructed = construct(samples, parameters.widths, parameters.function)
    return constructed.case(parameters.scale, broken=broken)


def _origin(at: str, case: Case, draw: NormalWeights, seed: int) -> dict[str, Tensor]:
    if at == "start":
        return draw.named(draw(np.random.default_rng([seed, _ORIGIN]), 1.0))
    layers = {"minimum": case.minimum, "broken": case.broken, "lower": case.lower}[at]
    if layers is None:
        raise SpecError(
            f"at: there is no lower point: {case.missing}; use at: minimum, or other data"
        )
    return as_parameters(layers)


def _facts(parameters: PiecewiseNetParameters, samples: Samples, case: Case) -> dict[str, Any]:
    said = parameters.model_dump(mode="json", exclude={"samples"})
    return {
        **said,
        **case.facts,
        "risk_per_loss": samples.targets.size / 2,
        "radius": case.radius,
        "proof": None if case.proof is None else case.proof.as_json(),
        "missing": case.missing if case.lower is None else None,
        "inputs": samples.inputs.tolist(),
        "targets": samples.targets.tolist(),
    }
