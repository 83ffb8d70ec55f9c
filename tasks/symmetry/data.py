"""Teachers and samples of the task `symmetry-net`.

Şimşek et al. 2021, arXiv:2105.12221. Shape legend: N = samples, d = inputs, c = outputs,
n_l = units of layer l.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from torch.nn import functional

from schemas.errors import SpecError
from tasks.data import mnist_subset, stratified
from tasks.landscape import Floats
from tasks.symmetry.network import Weights, outputs_of
from tasks.symmetry.parameters import CLASSES, SIDE, SymmetryNetParameters

PUBLISHED: Weights = (
    np.array([[0.6, 0.5], [-0.5, 0.5], [-0.2, -0.6], [0.1, -0.6]]),
    np.ones((1, 4)),
)
"""The teacher of the paper's experiments: rows of W* (4, 2), and a* (1, 4)."""
_REACH, _STEPS = 5.0, 41
_TEACHER, _INPUTS, _NOISE = 1, 2, 3
"""Keep the random numbers apart from each other and from those of starts of the same seed."""


@dataclass(frozen=True)
class Samples:
    """Inputs (N, d), targets (N, c), and the weights whose outputs these are but for noise."""

    inputs: Floats
    targets: Floats
    teacher: Weights | None


def grid_inputs() -> Floats:
    """The inputs of the paper's experiments, −5, −4.75, …, 5 along both axes: (1681, 2)."""
    axis = np.linspace(-_REACH, _REACH, _STEPS)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def random_teacher(sizes: Sequence[int], random: np.random.Generator) -> Weights:
    """Normal weights of layers of sizes n_0, n_1, …: irreducible with probability 1.

    Those of hidden layers have standard deviation 1; those of the output are of either sign and
    from ½ to 1½, so that none is nearly zero.
    """
    hidden = [random.standard_normal((units, inputs)) for inputs, units in pairwise(sizes[:-1])]
    shape = (sizes[-1], sizes[-2])
    output = random.choice([-1.0, 1.0], shape) * random.uniform(0.5, 1.5, shape)
    return (*hidden, output)


def is_irreducible(weights: Sequence[Floats]) -> bool:
    """Whether in every hidden layer units differ in what goes in, and none has nothing out."""
    for entering, leaving in pairwise(weights):
        if len(np.unique(entering, axis=0)) < len(entering) or not leaving.any(axis=0).all():
            return False
    return True


def draw_samples(parameters: SymmetryNetParameters, seed: int) -> Samples:
    """The samples of a seed.

    Raises:
        SpecError: there are fewer images than are asked for.
    """
    teacher: Weights | None
    if parameters.data == "images":
        inputs, targets = _images(parameters.samples, seed)
        teacher = None
    else:
        if parameters.data == "published":
            inputs, teacher = grid_inputs(), PUBLISHED
        else:
            random = np.random.default_rng([seed, _INPUTS])
            inputs = random.standard_normal((parameters.samples, parameters.inputs))
            sizes = [parameters.inputs, *parameters.teacher_units, parameters.outputs]
            teacher = random_teacher(sizes, np.random.default_rng([seed, _TEACHER]))
        targets = outputs_of(teacher, inputs, parameters.activation)
    if parameters.noise:
        random = np.random.default_rng([seed, _NOISE])
        targets = targets + parameters.noise * random.standard_normal(targets.shape)
    return Samples(inputs, targets, teacher)


def _images(count: int, seed: int) -> tuple[Floats, Floats]:
    """Digits (N, 196), and their classes as unit vectors (N, 10)."""
    known = mnist_subset()
    if count > len(known.labels):
        raise SpecError(
            f"parameters.samples: got {count}; expected at most {len(known.labels)} images; give "
            "fewer"
        )
    part = known
    if count < len(known.labels):
        _, part = stratified(known, seed, count / len(known.labels))
    flat = part.resized(SIDE).images.flatten(1)
    inputs: Floats = flat.double().numpy()
    targets: Floats = functional.one_hot(part.labels, CLASSES).double().numpy()
    return inputs, targets
