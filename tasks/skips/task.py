"""The task `skip-net`: dense networks whose hidden units also lead straight to the outputs.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749.
"""

from __future__ import annotations

from typing import Any

import torch

from schemas.errors import SpecError, listing
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split, cross_entropy
from tasks.registry import BuildContext
from tasks.skips.assumption import check_assumption
from tasks.skips.networks import images_of, network_of
from tasks.skips.parameters import SkipNetParameters
from tasks.skips.problem import Problem
from tasks.skips.sections import section_of
from tasks.skips.wrapper import SkipToOutput
from tasks.threads import one_thread

TRAIN = "train"


def build_skip_net(parameters: SkipNetParameters, context: BuildContext) -> Landscape:
    """The mean cross-entropy on the split `train`, over the section that is asked for.

    Raises:
        SpecError: there is another split than `train`, starts instead of axes, more samples than
            images, or a number of axes that does not fit the section.
        WorkError: Ψ cannot be brought to full rank, or no solution can be trained.
    """
    others = [split for split in context.splits if split != TRAIN]
    if others:
        raise SpecError(
            f"splits: got {listing(others)}; this task has the split {TRAIN} alone; use [{TRAIN}]"
        )
    images = images_of(parameters, context.seed)
    module = network_of(parameters, images.inputs.shape[1], context.seed)
    problem = Problem(module, images.inputs.to(torch.float64), images.targets)
    with one_thread():
        looked = section_of(parameters, problem, context)
    return Landscape(
        EmpiricalRisk(module, cross_entropy, {TRAIN: Split(problem.inputs, problem.targets)}),
        looked.section,
        fields=looked.fields,
        facts={**_facts(parameters), "assumption_unmet": _unmet(problem), **looked.facts},
    )


def _unmet(problem: Problem) -> list[str]:
    """Why assumption 3.1 is not met; nothing where it is."""
    if not isinstance(problem.module, SkipToOutput):
        return ["there are no skip units"]
    found = check_assumption(problem.module, problem.inputs)
    return [each.reason for each in found if not each.met]


def _facts(parameters: SkipNetParameters) -> dict[str, Any]:
    return {
        "samples": parameters.samples,
        "repeated": parameters.repeated,
        "hidden": list(parameters.hidden),
        "hidden_units": parameters.units,
        "activation": parameters.activation,
        "skips": parameters.skips or 0,
        "start": parameters.start,
        "section": parameters.section,
        "epsilon": parameters.epsilon,
    }
