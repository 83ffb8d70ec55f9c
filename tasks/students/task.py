"""The task `teacher-student`: ReLU students that learn ReLU teachers from normal inputs.

Safran & Shamir 2018, arXiv:1712.08968. Shape legend: n = students, k = teachers, d = inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks.landscape import Landscape
from tasks.neuron.sample import SampleLoss, outputs
from tasks.objective import ClosedForm
from tasks.registry import BuildContext
from tasks.students.parameters import TeacherStudentParameters
from tasks.students.population import PopulationLoss
from tasks.students.printed import PrintedLoss
from tasks.students.sections import UnitStudents, draw_of, section_of

POPULATION = "population"
SAMPLE = "sample"
PRINTED = "printed"

_SAMPLES = 1
"""Keeps the inputs' random numbers apart from those of the starts of the same seed."""
_UNIT = 1e-12


def build_teacher_student(parameters: TeacherStudentParameters, context: BuildContext) -> Landscape:
    """The loss on the splits `population`, in closed form, `sample`, and `printed`, a wrong form.

    The reference `global_minimum` is 0 where it is reached: with no fewer students than teachers,
    or, of unit students, with as many of them as unit teachers in their plane.

    Raises:
        SpecError: the axes do not fit the section.
    """
    teacher = _teacher(parameters)
    section, known = section_of(parameters, context.z)
    reached = _reached(parameters, teacher) and context.splits[0] != PRINTED
    return Landscape(
        _objective(parameters, teacher, context.seed),
        section,
        reference={"global_minimum": 0.0} if reached else {},
        facts={**_facts(parameters, teacher), **known},
        draw=draw_of(parameters),
    )


def _teacher(parameters: TeacherStudentParameters) -> Tensor:
    """V, (k, d)."""
    if parameters.teacher is None:
        return torch.eye(parameters.teachers, parameters.inputs, dtype=torch.float64)
    return torch.tensor(parameters.teacher, dtype=torch.float64)


def _objective(parameters: TeacherStudentParameters, teacher: Tensor, seed: int) -> ClosedForm:
    population = PopulationLoss(teacher)
    random = np.random.default_rng([seed, _SAMPLES])
    rows = torch.from_numpy(random.standard_normal((parameters.samples, parameters.inputs)))
    sample = SampleLoss(rows, outputs(rows, teacher.reshape(1, -1)))
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        POPULATION: population,
        SAMPLE: sample,
        PRINTED: PrintedLoss(population),
    }
    if parameters.section != "angles":
        return ClosedForm(
            functions,
            {SAMPLE: sample.residuals},
            {POPULATION: population.slopes},
            {POPULATION: population.hessians},
        )
    d = parameters.inputs
    return ClosedForm(
        {split: UnitStudents(function, d) for split, function in functions.items()},
        {SAMPLE: UnitStudents(sample.residuals, d)},
    )


def _reached(parameters: TeacherStudentParameters, teacher: Tensor) -> bool:
    """Whether some parameters are known to have a loss of 0."""
    if parameters.section != "angles":
        return parameters.students >= parameters.teachers
    # The mean output of unit students is their number, so that more of them learn no less.
    in_plane = not teacher[:, 2:].any()
    unit = bool(((teacher.norm(dim=1) - 1).abs() <= _UNIT).all())
    return parameters.students == parameters.teachers and in_plane and unit


def _facts(parameters: TeacherStudentParameters, teacher: Tensor) -> dict[str, Any]:
    return {
        "teacher": teacher.tolist(),
        "students": parameters.students,
        "teachers": parameters.teachers,
        "dimensions": parameters.inputs,
        "samples": parameters.samples,
        "section": parameters.section,
    }
