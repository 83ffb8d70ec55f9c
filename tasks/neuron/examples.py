"""The examples of a single neuron: given, in geometric sequences, or of a teacher.

Shape legend: N = examples, d = inputs, n = parameters (d, and one more with a bias).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from schemas.errors import SpecError
from tasks.neuron.activations import ACTIVATIONS, Floats, check_targets
from tasks.neuron.parameters import GeometricData, GivenData, SingleNeuronParameters, TeacherData

_INPUTS, _ROTATION, _RAY, _TEACHER, _NOISE = range(5)
"""What a generator of a neuron is for."""


@dataclass(frozen=True)
class Examples:
    """Inputs with their targets y = φ(a).

    Attributes:
        inputs: (N, n), before any rotation; those of a bias are 1.
        targets: (N,).
        sums: a, (N,), infinite for targets at the ends of a sigmoid's range; NaN where φ is no
            sigmoid and the target was given.
        rotation: (n, n), orthogonal: the neuron sees inputs · rotationᵀ.
        teacher: w₀ (n,) in the rotated inputs' space, if there is one.
        scales: by axis of the geometric sequences how many examples it has; empty for other data.
    """

    inputs: Floats
    targets: Floats
    sums: Floats
    rotation: Floats
    teacher: Floats | None = None
    scales: tuple[int, ...] = field(default=())

    @property
    def seen(self) -> Floats:
        """The inputs as the neuron sees them, (N, n)."""
        return self.inputs @ self.rotation.T


def generator(seed: int, purpose: int) -> np.random.Generator:
    """The random numbers of one purpose of a replicate's seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, purpose)))


def ray_direction(seed: int, n: int) -> Floats:
    """A unit vector (n,) in a random direction."""
    found: Floats = generator(seed, _RAY).standard_normal(n)
    found /= np.linalg.norm(found)
    return found


def make_examples(parameters: SingleNeuronParameters, dimensions: int, seed: int) -> Examples:
    """The examples of a neuron of that many inputs.

    Raises:
        SpecError: the data do not fit the inputs, the bias or the activation.
    """
    data = parameters.data
    if isinstance(data, TeacherData):
        found = _of_teacher(parameters, data, dimensions, seed)
    elif isinstance(data, GeometricData):
        found = _geometric(parameters, data, dimensions)
    else:
        inputs = np.array([inputs for inputs, _ in data.examples])
        targets = np.array([target for _, target in data.examples])
        found = _with_sums(parameters, inputs, targets)
    return _rotated(found, dimensions, seed) if parameters.rotated else found


def dimensions_of(parameters: SingleNeuronParameters, z: int | None) -> int:
    """How many inputs the neuron has, of a scan with z axes or of starts.

    Raises:
        SpecError: it is not said, or said in two ways.
    """
    data, bias = parameters.data, int(parameters.bias)
    said: dict[str, int] = {}
    if parameters.dimensions is not None:
        said["parameters.dimensions"] = parameters.dimensions
    if isinstance(data, GivenData):
        said["parameters.data.examples"] = len(data.examples[0][0])
    if isinstance(data, TeacherData) and data.teacher is not None:
        said["parameters.data.teacher"] = len(data.teacher) - bias
    if z is not None and parameters.section != "ray":
        said["axes"] = z - bias
    if not said:
        raise SpecError(
            "parameters.dimensions: neither axes nor data say how many inputs the neuron has; give "
            "it"
        )
    if len({*said.values()}) > 1:
        shown = " and ".join(f"{count} by {name}" for name, count in said.items())
        with_bias = ", and one more number for the bias" if bias else ""
        raise SpecError(
            f"parameters.dimensions: the neuron has {shown} inputs; make them agree{with_bias}"
        )
    found = next(iter(said.values()))
    if found < 1:
        raise SpecError("axes: the bias takes one and no input is left; give an axis for each")
    return found


def _with_sums(parameters: SingleNeuronParameters, inputs: Floats, targets: Floats) -> Examples:
    """Examples of given inputs (N, d) and targets (N,), with the bias's input."""
    check_targets(parameters.activation, targets)
    phi = ACTIVATIONS[parameters.activation]
    sums = np.full_like(targets, np.nan)
    if phi.slope is not None:
        share = (targets - phi.shift) / phi.slope
        with np.errstate(divide="ignore"):
            sums = (np.log(share) - np.log1p(-share)) / phi.slope
    if parameters.bias:
        inputs = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    return Examples(inputs, targets, sums, np.eye(inputs.shape[1]))


def _geometric(
    parameters: SingleNeuronParameters, data: GeometricData, dimensions: int
) -> Examples:
    paired = parameters.bias
    phi = ACTIVATIONS[parameters.activation]
    if paired and not phi.sigmoidal:
        raise SpecError(
            f"parameters.bias: geometric data need φ to be symmetric about φ(0), got "
            f"{parameters.activation}; use sigmoid or tanh"
        )
    least = dimensions * (2 if paired else 1)
    if data.examples < least or (paired and data.examples % 2):
        even = ", and an even number, since they come in pairs" if paired else ""
        raise SpecError(
            f"parameters.data.examples: got {data.examples} for {dimensions} inputs; expected "
            f"{least} or more{even}"
        )
    own = data.examples // (2 if paired else 1)
    scales = tuple(own // dimensions + (i < own % dimensions) for i in range(dimensions))
    inputs = np.zeros((own, dimensions))
    row = 0
    for axis, count in enumerate(scales):
        inputs[row : row + count, axis] = data.ratio ** -np.arange(count, dtype=np.float64)
        row += count
    targets = np.full(own, data.target)
    if paired:
        inputs = np.concatenate([inputs, -inputs])
        targets = np.concatenate([targets, 2 * float(phi.value(np.zeros(1))[0]) - targets])
    made = _with_sums(parameters, inputs, targets)
    return Examples(made.inputs, made.targets, made.sums, made.rotation, scales=scales)


def _of_teacher(
    parameters: SingleNeuronParameters, data: TeacherData, dimensions: int, seed: int
) -> Examples:
    inputs = generator(seed, _INPUTS).standard_normal((data.examples, dimensions))
    if parameters.bias:
        inputs = np.concatenate([inputs, np.ones((data.examples, 1))], axis=1)
    n = inputs.shape[1]
    teacher = np.asarray(generator(seed, _TEACHER).standard_normal(n))
    if data.teacher is not None:
        teacher = np.asarray(data.teacher, dtype=np.float64)
    sums = inputs @ teacher + data.noise * generator(seed, _NOISE).standard_normal(len(inputs))
    targets = ACTIVATIONS[parameters.activation].value(sums)
    return Examples(inputs, targets, sums, np.eye(n), teacher)


def _rotated(examples: Examples, dimensions: int, seed: int) -> Examples:
    """The same examples, their inputs turned, but not that of the bias."""
    rotation = np.eye(examples.inputs.shape[1])
    rotation[:dimensions, :dimensions] = random_rotation(generator(seed, _ROTATION), dimensions)
    teacher = None if examples.teacher is None else rotation @ examples.teacher
    return Examples(
        examples.inputs, examples.targets, examples.sums, rotation, teacher, examples.scales
    )


def random_rotation(random: np.random.Generator, d: int) -> Floats:
    """A rotation (d, d), uniform over SO(d): Stewart 1980, SIAM J. Numer. Anal. 17, 403."""
    basis, triangle = np.linalg.qr(random.standard_normal((d, d)))
    rotation: Floats = basis * np.sign(np.diag(triangle))
    if np.linalg.det(rotation) < 0:
        rotation[:, 0] = -rotation[:, 0]
    return rotation
