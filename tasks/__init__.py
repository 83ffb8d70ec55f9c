"""What is scanned: the registry of tasks and studies, and the vocabulary they share.

Importing this package imports no torch: a task's module is loaded when the task is used.
"""

from tasks.registry import (
    BuildContext,
    Parameters,
    StudyEntry,
    Task,
    find_study,
    find_task,
    normalised,
    spec_schema,
)

_CZARNECKI = "Czarnecki et al. 2019, arXiv:1912.07559"

TASKS = {
    task.name: task
    for task in (
        Task(
            name="quadratic",
            summary="A quadratic whose value at every coordinate is known, with NaN and infinite "
            "regions on request: the check of an installation or a cluster.",
            source="closed form",
            parameters="tasks.quadratic_parameters:QuadraticParameters",
            build="tasks.quadratic:build_quadratic",
        ),
        Task(
            name="model",
            summary="Your own model, checkpoints and data: random, PCA, Hessian and other "
            "directions, planes through checkpoints, and paths between them.",
            source="Li et al. 2018, arXiv:1712.09913",
            parameters="tasks.model.parameters:ModelParameters",
            build="tasks.model.build:build_model",
        ),
        Task(
            name="pattern-theorem1",
            summary="A pattern T embedded in the loss surface along the biases of a first layer "
            "whose weights are zero: it depends on the data through its labels' marginal alone.",
            source=f"{_CZARNECKI}, Theorem 1",
            parameters="tasks.patterns.parameters:PatternParameters",
            build="tasks.patterns.build:build_theorem1",
            claims="tasks.patterns.claims:theorem1_claims",
        ),
        Task(
            name="pattern-theorem2",
            summary="A pattern T embedded along the biases of the first units, the other units "
            "seeing the data, with its least value near the global minimum.",
            source=f"{_CZARNECKI}, Theorem 2",
            parameters="tasks.patterns.parameters:PatternParameters",
            build="tasks.patterns.build:build_theorem2",
            claims="tasks.patterns.claims:theorem2_claims",
        ),
    )
}
"""Every task, by name."""

STUDIES = {
    entry.name: entry
    for entry in (
        StudyEntry(
            name="patterns",
            summary="Every low-dimensional pattern occurs in a loss surface; which ones transfer.",
            module="tasks.patterns.study:patterns_study",
        ),
    )
}
"""Every study, by name."""

__all__ = [
    "STUDIES",
    "TASKS",
    "BuildContext",
    "Parameters",
    "StudyEntry",
    "Task",
    "find_study",
    "find_task",
    "normalised",
    "spec_schema",
]
