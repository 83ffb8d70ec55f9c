"""The task `relu-neuron`: a ReLU neuron that learns another one from normal inputs.

Tian 2017, arXiv:1703.00560; the expectation is the arc-cosine kernel of degree 1, Cho & Saul 2009,
"Kernel methods for deep learning", NIPS 22. Shape legend: P = points, N = samples, d = inputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from schemas.errors import SpecError
from tasks.arccosine import excess
from tasks.landscape import Floats, Landscape
from tasks.neuron.arithmetic import products, total
from tasks.neuron.examples import generator
from tasks.neuron.parameters import ReluNeuronParameters
from tasks.neuron.sample import SampleLoss, outputs
from tasks.objective import ClosedForm
from tasks.registry import BuildContext
from tasks.section import Section, axis_count_error, coordinate_section, whole_section

POPULATION = "population"
SAMPLE = "sample"

_TEACHER, _ACROSS, _SAMPLES = 10, 11, 12
"""What a generator is for."""


@dataclass(frozen=True)
class PopulationLoss:
    """L(w) = ½ E (relu(w·x) − relu(v·x))², x ~ N(0, I_d), of weights (P, d): (P,).

    With c = w·v̂, s = ‖w − c v̂‖ and θ the angle from v to w, E relu(w·x) relu(v·x) =
    ‖v‖ (s + (π−θ) c) / 2π, so that L(w) = ¼‖w−v‖² − ‖v‖ (s − θc) / 2π, which keeps its digits near
    the minimum w = v. The gradient is ½(w−v) + (θv − (‖v‖/‖w‖) sin θ · w)/2π (Tian 2017).

    At w = 0 the loss has no gradient. Along a unit vector at an angle θ to v it begins to change at
    the rate −‖v‖ (sin θ + (π−θ) cos θ)/2π, which is negative but for θ = π: w = 0 is no minimum.
    Opposite v it is ¼(‖w‖² + ‖v‖²), with the gradient ½w, so that a descent which begins exactly
    there ends at 0. Automatic differentiation at 0 gives −½v, the limit of the gradient along v.

    Attributes:
        teacher: v, (d,), not zero.
    """

    teacher: Tensor

    def __call__(self, theta: Tensor) -> Tensor:
        """Losses (P,), in the dtype of the weights."""
        norm = float(self.teacher.norm())
        unit = (self.teacher / norm).to(theta)
        along = products(unit[None], theta)[0]
        squared = total((theta - along[:, None] * unit).square().t())
        # The root has no derivative at 0, where it is not needed: every term is flat in s there.
        aside = squared > 0
        across = torch.where(aside, torch.where(aside, squared, 1.0).sqrt(), 0.0)
        distance = total((theta - self.teacher.to(theta)).square().t())
        return distance / 4 - norm / (2 * math.pi) * excess(across, along)


def build_relu_neuron(parameters: ReluNeuronParameters, context: BuildContext) -> Landscape:
    """The loss on the splits `population`, in closed form, and `sample`; least on both at w = v.

    Raises:
        SpecError: axes, dimensions and teacher do not fit together.
    """
    d = _dimensions(parameters, context)
    teacher = _teacher(parameters, d, context.seed)
    learned = torch.from_numpy(teacher)
    rows = torch.from_numpy(_inputs(parameters, d, context.seed))
    sample = SampleLoss(rows, outputs(rows, learned[None]))
    return Landscape(
        ClosedForm(
            {POPULATION: PopulationLoss(learned), SAMPLE: sample}, {SAMPLE: sample.residuals}
        ),
        _section(parameters, teacher, context),
        reference={"global_minimum": 0.0},
        facts={
            "teacher": teacher.tolist(),
            "samples": parameters.samples,
            "distribution": parameters.inputs,
        },
    )


def _inputs(parameters: ReluNeuronParameters, d: int, seed: int) -> Floats:
    """The sample's inputs (N, d)."""
    random, shape = generator(seed, _SAMPLES), (parameters.samples, d)
    if parameters.inputs == "signs":
        return random.choice([-1.0, 1.0], shape)
    return random.standard_normal(shape)


def _dimensions(parameters: ReluNeuronParameters, context: BuildContext) -> int:
    """How many inputs the neuron has."""
    said: dict[str, int] = {}
    if parameters.dimensions is not None:
        said["parameters.dimensions"] = parameters.dimensions
    if parameters.teacher is not None:
        said["parameters.teacher"] = len(parameters.teacher)
    if context.z is not None and parameters.section == "weights":
        said["axes"] = context.z
    if not said:
        raise SpecError(
            "parameters.dimensions: neither axes nor a teacher say how many inputs the neuron has; "
            "give it"
        )
    if len({*said.values()}) > 1:
        shown = " and ".join(f"{count} by {name}" for name, count in said.items())
        raise SpecError(f"parameters.dimensions: the neuron has {shown} inputs; make them agree")
    return next(iter(said.values()))


def _teacher(parameters: ReluNeuronParameters, d: int, seed: int) -> Floats:
    if parameters.teacher is not None:
        return np.asarray(parameters.teacher, dtype=np.float64)
    drawn: Floats = generator(seed, _TEACHER).standard_normal(d)
    return drawn / np.linalg.norm(drawn)


def _section(parameters: ReluNeuronParameters, teacher: Floats, context: BuildContext) -> Section:
    d = len(teacher)
    zero = torch.zeros(d, dtype=torch.float64)
    if context.z is None:
        return whole_section({"theta": zero})
    if parameters.section == "weights":
        return coordinate_section(d)
    if context.z != 2:
        raise axis_count_error(context.z, 2, "section: plane")
    if d < 2:
        raise SpecError(
            "parameters.section: a plane needs 2 inputs or more, got 1; use section: weights"
        )
    along = teacher / np.linalg.norm(teacher)
    across = generator(context.seed, _ACROSS).standard_normal(d)
    across = across - (across @ along) * along
    axes = (along, across / np.linalg.norm(across))
    return Section({"theta": zero}, tuple({"theta": torch.from_numpy(axis)} for axis in axes))
