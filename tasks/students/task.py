"""The task `teacher-student`: ReLU students that learn ReLU teachers from normal inputs.

Safran & Shamir 2018, arXiv:1712.08968. Shape legend: P = points, n = students, k = teachers,
d = inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tasks.landscape import Floats, Landscape
from tasks.objective import ClosedForm
from tasks.registry import BuildContext
from tasks.section import Section, axis_count_error, coordinate_section, whole_section
from tasks.students.parameters import TeacherStudentParameters
from tasks.students.population import PopulationLoss
from tasks.students.sample import SampleLoss, outputs

POPULATION = "population"
SAMPLE = "sample"

_SAMPLES = 10
"""What a generator is for."""


@dataclass(frozen=True)
class GaussianStudents:
    """Starts as in the paper's experiments: normal weights of standard deviation scale/√d."""

    students: int
    dimensions: int

    def __call__(self, random: np.random.Generator, scale: float) -> Floats:
        """Weights (n·d,)."""
        drawn: Floats = random.standard_normal(self.students * self.dimensions)
        return scale * drawn / np.sqrt(self.dimensions)


def build_teacher_student(parameters: TeacherStudentParameters, context: BuildContext) -> Landscape:
    """The loss on the splits `population`, in closed form, and `sample`.

    The reference `global_minimum` is 0 where there are no fewer students than teachers.

    Raises:
        SpecError: the axes do not fit the section.
    """
    teacher = _teacher(parameters)
    population = PopulationLoss(teacher)
    sample = _sample(parameters, context.seed)
    objective = ClosedForm(
        {POPULATION: population, SAMPLE: sample},
        {SAMPLE: sample.residuals},
        {POPULATION: population.slopes},
        {POPULATION: population.hessians},
    )
    realizable = parameters.students >= parameters.teachers
    return Landscape(
        objective,
        _section(parameters, context),
        reference={"global_minimum": 0.0} if realizable else {},
        facts=_facts(parameters),
        draw=GaussianStudents(parameters.students, parameters.inputs),
    )


def _teacher(parameters: TeacherStudentParameters) -> torch.Tensor:
    """V, (k, d)."""
    if parameters.teacher is None:
        return torch.eye(parameters.teachers, parameters.inputs, dtype=torch.float64)
    return torch.tensor(parameters.teacher, dtype=torch.float64)


def _sample(parameters: TeacherStudentParameters, seed: int) -> SampleLoss:
    random = np.random.default_rng([seed, _SAMPLES])
    rows = torch.from_numpy(random.standard_normal((parameters.samples, parameters.inputs)))
    return SampleLoss(rows, outputs(rows, _teacher(parameters).reshape(1, -1)))


def _section(parameters: TeacherStudentParameters, context: BuildContext) -> Section:
    count = parameters.students * parameters.inputs
    if context.z is None:
        return whole_section({"theta": torch.zeros(count, dtype=torch.float64)})
    if context.z != count:
        raise axis_count_error(context.z, count, "section: weights")
    return coordinate_section(count)


def _facts(parameters: TeacherStudentParameters) -> dict[str, Any]:
    return {
        "teacher": _teacher(parameters).tolist(),
        "students": parameters.students,
        "teachers": parameters.teachers,
        "dimensions": parameters.inputs,
        "samples": parameters.samples,
        "section": parameters.section,
    }
