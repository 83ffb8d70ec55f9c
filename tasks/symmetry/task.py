"""The task `symmetry-net`: students without biases that learn what a smaller network puts out.

Şimşek et al. 2021, arXiv:2105.12221.
"""

from __future__ import annotations

from typing import Any

import torch

from schemas.errors import SpecError, listing, suggestion
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split, squared_error
from tasks.registry import BuildContext
from tasks.section import whole_section
from tasks.symmetry.data import Samples, draw_samples
from tasks.symmetry.network import network
from tasks.symmetry.parameters import SymmetryNetParameters
from tasks.symmetry.problem import GlorotUniform, Looked, Problem
from tasks.symmetry.sections import SECTIONS

TRAIN = "train"


def build_symmetry_net(parameters: SymmetryNetParameters, context: BuildContext) -> Landscape:
    """The mean squared error on the split `train`.

    The reference `global_minimum` is 0 where the student has units enough in each layer of the
    teacher, and there is no noise.

    Raises:
        SpecError: there is another split, or the axes do not fit the section.
    """
    for split in context.splits:
        if split != TRAIN:
            raise SpecError(
                f"splits: got {split!r}; expected {listing([TRAIN])}{suggestion(split, [TRAIN])}"
            )
    problem = problem_of(parameters, context.seed)
    looked = _looked(problem, context)
    samples = problem.samples
    train = Split(torch.from_numpy(samples.inputs), torch.from_numpy(samples.targets))
    return Landscape(
        EmpiricalRisk(problem.module, squared_error, {TRAIN: train}),
        looked.section,
        reference={"global_minimum": 0.0} if parameters.realisable else {},
        facts={**_facts(parameters, samples), **looked.facts},
        draw=GlorotUniform(problem.sizes),
    )


def problem_of(parameters: SymmetryNetParameters, seed: int) -> Problem:
    """The student and the samples of a seed."""
    sizes = (parameters.input_count, *parameters.units, parameters.output_count)
    module = network(sizes, parameters.activation)
    return Problem(parameters, module, sizes, draw_samples(parameters, seed))


def _looked(problem: Problem, context: BuildContext) -> Looked:
    """The section that is asked for; of starts the space of all parameters, mostly about 0."""
    if context.z is None and problem.parameters.section != "duplicate":
        zeros = {name: torch.zeros_like(each) for name, each in problem.module.named_parameters()}
        return Looked(whole_section(zeros))
    return SECTIONS[problem.parameters.section](problem, context)


def _facts(parameters: SymmetryNetParameters, samples: Samples) -> dict[str, Any]:
    teacher = samples.teacher
    return {
        "units": list(parameters.units),
        "teacher_units": list(parameters.teacher_units) if parameters.has_teacher else None,
        "teacher": None if teacher is None else [matrix.tolist() for matrix in teacher],
        "activation": parameters.activation,
        "data": parameters.data,
        "samples": len(samples.inputs),
        "inputs": parameters.input_count,
        "outputs": parameters.output_count,
        "noise": parameters.noise,
        "section": parameters.section,
    }
