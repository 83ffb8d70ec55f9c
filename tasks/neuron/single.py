"""The task `single-neuron`: the error of one neuron as a function of its weights.

Auer, Herbster & Warmuth 1995, "Exponentially many local minima for single neurons", NIPS 8.
Shape legend: P = points, N = examples, d = inputs, n = parameters (d, and one more with a bias).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from schemas.errors import SpecError
from tasks.landscape import Floats, Landscape
from tasks.neuron.activations import ACTIVATIONS, sigmoid_deviation
from tasks.neuron.arithmetic import products, total
from tasks.neuron.examples import Examples, dimensions_of, make_examples, ray_direction
from tasks.neuron.one_dimensional import Line
from tasks.neuron.parameters import GeometricData, SingleNeuronParameters, TeacherData
from tasks.objective import ClosedForm
from tasks.registry import BuildContext
from tasks.section import Section, axis_count_error, whole_section

TRAIN = "train"
_BLOCK = 64


@dataclass(frozen=True)
class NeuronError:
    """Σ_t (φ(w·x_t) − y_t)² of weights (P, n): (P,), in their dtype.

    Attributes:
        inputs: (N, n).
        targets, others, sums: y, what is left of it to the top of φ's range, and φ⁻¹(y): (N, 1);
            the first two as shares of the range of a sigmoid.
        activation: φ by name.
    """

    inputs: Tensor
    targets: Tensor
    others: Tensor
    sums: Tensor
    activation: str

    def __call__(self, theta: Tensor) -> Tensor:
        """Errors (P,)."""
        return _over_blocks(self, theta)

    def block(self, theta: Tensor, start: int) -> Tensor:
        """Losses of a block of examples, (B, P)."""
        return self.deviations(theta, slice(start, start + _BLOCK)).square()

    def residuals(self, theta: Tensor) -> Tensor:
        """φ(w·x_t) − y_t, (P, N)."""
        return self.deviations(theta, slice(None)).t()

    def deviations(self, theta: Tensor, which: slice) -> Tensor:
        """φ(w·x_t) − y_t of some examples, (B, P)."""
        phi = ACTIVATIONS[self.activation]
        sums, targets = products(self.inputs[which], theta), self.targets[which].to(theta)
        if phi.slope is None:
            return phi.plain(sums) - targets
        logits, others = (phi.slope * self.sums[which]).to(theta), self.others[which].to(theta)
        return phi.slope * sigmoid_deviation(phi.slope * sums, logits, targets, others)


@dataclass(frozen=True)
class EntropicError:
    """Σ_t y ln(y/φ) + (1−y) ln((1−y)/(1−φ)), φ = σ(w·x_t), of weights (P, n): (P,).

    In terms of a = w·x_t it is y softplus(−a) + (1−y) softplus(a) minus the entropy of y, which is
    finite for every a. It is the matching loss of the sigmoid, ∫ (σ(z) − y) dz from σ⁻¹(y) to a,
    and so convex in w. `targets` and `others` are y and 1 − y, (N, 1).
    """

    inputs: Tensor
    targets: Tensor
    others: Tensor

    def __call__(self, theta: Tensor) -> Tensor:
        """Errors (P,)."""
        return _over_blocks(self, theta)

    def block(self, theta: Tensor, start: int) -> Tensor:
        """Losses of a block of examples, (B, P)."""
        which = slice(start, start + _BLOCK)
        sums = products(self.inputs[which], theta)
        y, rest = self.targets[which], self.others[which]
        entropy = -(torch.xlogy(y, y) + torch.xlogy(rest, rest)).to(sums)
        y, rest = y.to(sums), rest.to(sums)
        crossed = y * functional.logsigmoid(sums) + rest * functional.logsigmoid(-sums)
        return -crossed - entropy


def _over_blocks(error: NeuronError | EntropicError, theta: Tensor) -> Tensor:
    """The sum over all examples, of which a block is held at a time."""
    found = total(error.block(theta, 0))
    for start in range(_BLOCK, len(error.inputs), _BLOCK):
        found = found + total(error.block(theta, start))
    return found


@dataclass(frozen=True)
class DrawOverScales:
    """Starts over all scales of geometric data: log-uniform along each axis of the inputs.

    From half a step before the first example's fit to half a step behind the last one's, times the
    scale; the bias is normal with the scale as its standard deviation. `fitted` is φ⁻¹(y).
    """

    scales: tuple[int, ...]
    ratio: float
    fitted: float
    rotation: Floats

    def __call__(self, random: np.random.Generator, scale: float) -> Floats:
        """Parameters (n,)."""
        steps = random.uniform(-0.5, np.array(self.scales) - 0.5)
        weights = scale * self.fitted * self.ratio**steps
        biases = scale * random.standard_normal(len(self.rotation) - len(weights))
        drawn: Floats = self.rotation @ np.concatenate([weights, biases])
        return drawn


def build_single_neuron(parameters: SingleNeuronParameters, context: BuildContext) -> Landscape:
    """The error of a neuron on the split `train`.

    The reference has the `global_minimum` where it is known: 0 for a teacher without noise, and for
    examples on the axes of the inputs that of the functions of one weight that they add up to.

    Raises:
        SpecError: axes, data, bias and activation do not fit together.
    """
    examples = make_examples(parameters, dimensions_of(parameters, context.z), context.seed)
    lines = _lines(parameters, examples)
    realizable = isinstance(parameters.data, TeacherData) and parameters.data.noise == 0
    least = 0.0 if realizable else _least(lines, parameters.bias)
    error = _error(parameters, examples)
    squares = {TRAIN: error.residuals} if isinstance(error, NeuronError) else {}
    return Landscape(
        ClosedForm({TRAIN: error}, squares),
        _section(parameters, examples, context),
        reference={} if least is None else {"global_minimum": least},
        facts={
            **_facts(parameters, examples, lines),
            "realizable": realizable,
            "along_inputs": parameters.rotated == (parameters.section == "rotated"),
        },
        draw=_draw(parameters, examples),
    )


def _error(parameters: SingleNeuronParameters, examples: Examples) -> NeuronError | EntropicError:
    phi = ACTIVATIONS[parameters.activation]
    inputs = torch.from_numpy(examples.seen)
    targets, others = examples.targets, np.zeros_like(examples.targets)
    if phi.slope is not None:
        share, sigmoid = phi.slope * examples.sums, ACTIVATIONS["sigmoid"].value
        targets, others = sigmoid(share), sigmoid(-share)
    columns = [torch.from_numpy(part)[:, None] for part in (targets, others, examples.sums)]
    if parameters.loss == "entropic":
        return EntropicError(inputs, columns[0], columns[1])
    return NeuronError(inputs, columns[0], columns[1], columns[2], parameters.activation)


def _section(
    parameters: SingleNeuronParameters, examples: Examples, context: BuildContext
) -> Section:
    n = len(examples.rotation)
    zero = torch.zeros(n, dtype=torch.float64)
    if context.z is None:
        return whole_section({"theta": zero})
    if parameters.section == "ray":
        if context.z != 1:
            raise axis_count_error(context.z, 1, "section: ray")
        if examples.teacher is None:
            raise SpecError("parameters.section: ray begins at a teacher; use data.kind: teacher")
        direction = torch.from_numpy(ray_direction(context.seed, n))
        return Section({"theta": torch.from_numpy(examples.teacher)}, ({"theta": direction},))
    turned = parameters.section == "rotated"
    axes = torch.from_numpy(examples.rotation.T.copy() if turned else np.eye(n))
    return Section({"theta": zero}, tuple({"theta": axis} for axis in axes))


def _lines(parameters: SingleNeuronParameters, examples: Examples) -> list[Line]:
    """The functions of one weight of which the error is the sum; none if it is not known to be.

    With a bias in geometric data they are those at b = 0, where each pair of examples is one twice.
    """
    phi = ACTIVATIONS[parameters.activation]
    geometric = isinstance(parameters.data, GeometricData)
    if phi.slope is None or isinstance(parameters.data, TeacherData):
        return []
    if not geometric and (parameters.bias or examples.inputs.shape[1] > 1):
        return []
    if not examples.inputs.any(axis=1).all():
        return []
    shares = (examples.targets - phi.shift) / phi.slope
    lines = []
    for axis in range(len(examples.scales) if geometric else 1):
        own = examples.inputs[:, axis] > 0 if geometric else np.full(len(shares), True)
        lines.append(Line(examples.inputs[own, axis], shares[own], phi.slope, parameters.loss))
    return lines


def _least(lines: list[Line], bias: bool) -> float | None:
    """The global minimum of a sum of functions of one weight each; None if it is not known."""
    found = [line.least() for line in lines]
    known = [value for value in found if value is not None]
    return sum(known) if lines and len(known) == len(found) and not bias else None


def _facts(
    parameters: SingleNeuronParameters, examples: Examples, lines: list[Line]
) -> dict[str, Any]:
    """Plain values for the store.

    `minima` and `losses` are by axis of the inputs the local minima of the function of one weight,
    and its values there; with a bias the last axis has b = 0. `dips` are by axis the brackets of
    `Line.dips`, and `separation` the least of `Line.separation`, None for minus infinity.
    """
    facts: dict[str, Any] = {
        "examples": len(examples.targets),
        "inputs": len(examples.rotation) - int(parameters.bias),
        "bias": parameters.bias,
        "activation": parameters.activation,
        "monotone": ACTIVATIONS[parameters.activation].monotone,
        "loss": parameters.loss,
    }
    if examples.teacher is not None:
        facts["teacher"] = examples.teacher.tolist()
    if not lines:
        return facts
    twice = 2.0 if parameters.bias else 1.0
    minima = [line.minima() for line in lines]
    losses = [(twice * line.values(at)).tolist() for line, at in zip(lines, minima, strict=True)]
    separation = min(line.separation() for line in lines)
    dips = [line.dips() for line in lines]
    return {
        **facts,
        "minima": [at.tolist() for at in minima] + ([[0.0]] if parameters.bias else []),
        "losses": losses + ([[0.0]] if parameters.bias else []),
        "separation": separation if np.isfinite(separation) else None,
        "dips": dips if None not in dips else None,
    }


def _draw(parameters: SingleNeuronParameters, examples: Examples) -> DrawOverScales | None:
    """None, for normal starts, where the data have no scales or are fitted at 0 or infinity."""
    data = parameters.data
    if not isinstance(data, GeometricData):
        return None
    fitted = float(examples.sums[0])
    if not np.isfinite(fitted) or fitted == 0:
        return None
    return DrawOverScales(examples.scales, data.ratio, fitted, examples.rotation)
