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
            trains=True,
        ),
        Task(
            name="pattern-theorem2",
            summary="A pattern T embedded along the biases of the first units, the other units "
            "seeing the data, with its least value near the global minimum.",
            source=f"{_CZARNECKI}, Theorem 2",
            parameters="tasks.patterns.parameters:PatternParameters",
            build="tasks.patterns.build:build_theorem2",
            claims="tasks.patterns.claims:theorem2_claims",
            trains=True,
        ),
        Task(
            name="deep-linear",
            summary="A deep linear network on Gaussian data of any rank, as a function of all its "
            "weights: its least loss is known in closed form; with a ReLU inserted on request.",
            source="Kawaguchi 2016, arXiv:1605.07110",
            parameters="tasks.linear.deep_parameters:DeepLinearParameters",
            build="tasks.linear.deep:build_deep_linear",
            claims="tasks.linear.deep_scan_claims:claims_on",
        ),
        Task(
            name="single-neuron",
            summary="The error of one neuron, summed over its examples, as a function of its "
            "weights: exponentially many local minima, or a convex loss, or one rising from its "
            "teacher.",
            source="Auer, Herbster & Warmuth 1995, NIPS 8",
            parameters="tasks.neuron.parameters:SingleNeuronParameters",
            build="tasks.neuron.single:build_single_neuron",
        ),
        Task(
            name="relu-neuron",
            summary="A ReLU neuron that learns another one from normal inputs: the population "
            "loss in closed form, and that of a sample.",
            source="Tian 2017, arXiv:1703.00560",
            parameters="tasks.neuron.parameters:ReluNeuronParameters",
            build="tasks.neuron.relu:build_relu_neuron",
        ),
        Task(
            name="teacher-student",
            summary="ReLU neurons that learn other ones from normal inputs, as a function of all "
            "their weights: the population loss in closed form with its derivatives, and that of a "
            "sample.",
            source="Safran & Shamir 2018, arXiv:1712.08968",
            parameters="tasks.students.parameters:TeacherStudentParameters",
            build="tasks.students.task:build_teacher_student",
        ),
        Task(
            name="wide-layer",
            summary="A network with one output on a few samples, a hidden layer as wide as these: "
            "starts, random features, and a local minimum that is not global.",
            source="Yu & Chen 1995, IEEE Trans. Neural Networks 6; Nguyen & Hein 2017, "
            "arXiv:1704.08045",
            parameters="tasks.wide.parameters:WideLayerParameters",
            build="tasks.wide.task:build_wide_layer",
        ),
        Task(
            name="piecewise-cells",
            summary="A network of ReLUs, leaky ones or linear units on a few samples: its "
            "activation cells along lines and planes, and between minima of one cell or of two.",
            source="He, Wang & Tao 2020, arXiv:2003.12236",
            parameters="tasks.piecewise.cells_parameters:PiecewiseCellsParameters",
            build="tasks.piecewise.cells_task:build_piecewise_cells",
        ),
        Task(
            name="skip-net",
            summary="A dense network whose hidden units also lead straight to the outputs, or the "
            "same one without: random planes, and the path on which the loss falls to nearly zero.",
            source="Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749",
            parameters="tasks.skips.parameters:SkipNetParameters",
            build="tasks.skips.task:build_skip_net",
        ),
        Task(
            name="skip-training",
            summary="A deep network, dense or convolutional, along its training by SGD: plain, "
            "with connections from its hidden units to the outputs, or with those trained alone.",
            source="Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749, section 4",
            parameters="tasks.skips.training.parameters:SkipTrainingParameters",
            build="tasks.skips.training.task:build_skip_training",
            trains=True,
        ),
        Task(
            name="symmetry-net",
            summary="A network without biases on what a smaller one puts out: subspaces on which "
            "the two are equal, and paths along which its units change places.",
            source="Şimşek et al. 2021, arXiv:2105.12221",
            parameters="tasks.symmetry.parameters:SymmetryNetParameters",
            build="tasks.symmetry.task:build_symmetry_net",
        ),
        Task(
            name="piecewise-net",
            summary="A network of piecewise-linear units on a few samples, with its local minima "
            "that are not global, and points that are lower.",
            source="Yun, Sra & Jadbabaie 2019, arXiv:1802.03487; He, Wang & Tao 2020, "
            "arXiv:2003.12236",
            parameters="tasks.piecewise.parameters:PiecewiseNetParameters",
            build="tasks.piecewise.task:build_piecewise_net",
        ),
        Task(
            name="linear-residual",
            summary="A linear residual network as a function of all its weights, by its population "
            "risk: with an explicit global minimum of small norm, and starts in the unit ball.",
            source="Hardt & Ma 2016, arXiv:1611.04231",
            parameters="tasks.linear.residual_parameters:ResidualParameters",
            build="tasks.linear.residual:build_residual",
            claims="tasks.linear.residual_inequality:claims_on",
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
        StudyEntry(
            name="deep-linear",
            summary="Deep linear networks have no spurious minima, yet saddles as flat as they are "
            "deep.",
            module="tasks.linear.deep_study:deep_linear_study",
        ),
        StudyEntry(
            name="linear-resnet",
            summary="Linear residual networks have no bad critical point in the unit ball; their "
            "gradient inequality, printed and corrected.",
            module="tasks.linear.residual_study:residual_study",
        ),
        StudyEntry(
            name="single-neuron",
            summary="One neuron can have exponentially many local minima; with its matching loss, "
            "a teacher, or normal inputs and a ReLU it has no bad one.",
            module="tasks.neuron.study:single_neuron_study",
        ),
        StudyEntry(
            name="teacher-student",
            summary="Descents of ReLU students end in spurious minima, proved to be such, as often "
            "as is published, and hardly ever with one student more.",
            module="tasks.students.study:teacher_student_study",
        ),
        StudyEntry(
            name="wide-layer",
            summary="As many units as samples leave bad local minima, proved; critical points are "
            "global where features have full rank.",
            module="tasks.wide.study:wide_layer_study",
        ),
        StudyEntry(
            name="no-bad-valleys",
            summary="With connections from enough hidden units to the outputs the loss can fall to "
            "nearly zero from anywhere; planes and trainings with and without.",
            module="tasks.skips.study:no_bad_valleys_study",
        ),
        StudyEntry(
            name="symmetry",
            summary="Copies of hidden units make connected subspaces of zero loss, as many as are "
            "counted, and critical points that are saddles or plateaus of minima.",
            module="tasks.symmetry.study:symmetry_study",
        ),
        StudyEntry(
            name="piecewise-linear",
            summary="Networks of piecewise-linear units have bad local minima at any depth, proved "
            "with a radius; within an activation cell every minimum is as low as any.",
            module="tasks.piecewise.study:piecewise_study",
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
