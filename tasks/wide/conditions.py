"""The conditions under which a critical point of a network with a wide layer is a global minimum.

Nguyen & Hein 2017, arXiv:1704.08045, Theorem 3.8: distinct samples; an analytic, strictly
increasing activation that is bounded, or grows no faster than in `QUALIFIED`; and for some hidden
layer k

- n_k ≥ N − 1 units, n_k ≥ N without biases;
- the Hessian of the loss by the weights and biases of the layers above k is nonsingular;
- W_l, n_{l−1} × n_l, has full column rank for l ≥ k + 2.

Two consequences, which are ours. The layers above k see the samples through [F_k, 1], of N rows and
n_k + 1 columns. The loss does not change where a column of W_{k+1}, its bias below it, moves in the
null space of that matrix, so the Hessian is singular at every point unless the columns are
independent: the theorem speaks of n_k = N − 1 alone, and only of points where [F_k, 1] has rank N.
And a point that meets the conditions has the loss 0, where the Hessian is a sum over the samples of
matrices of rank n_L or less. If there are two layers above k, they have more than N·n_L parameters,
as n_{k+1} ≥ … ≥ n_L for the ranks, and it is singular: the theorem speaks of the last hidden layer
alone.

What holds of any wider or deeper network is a step of its proof: at a critical point with
rank [F_k, 1] = N, and W_l of full column rank for l ≥ k + 2, the loss is 0. The gradient by layer
k + 1 is [F_k, 1]ᵀ Δ_{k+1}, so Δ_{k+1} = 0; and Δ_l = (Δ_{l+1} W_{l+1}ᵀ) ∘ σ'_l, so all Δ above are.

Shape legend: P = points, N = samples, d = inputs of each, n_l = units of layer l, n = all
parameters.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vmap

from tasks.landscape import Floats
from tasks.section import unflattened
from tasks.wide.network import features

Mask: TypeAlias = npt.NDArray[np.bool_]
Slope: TypeAlias = Callable[[Tensor], Tensor]
Condition: TypeAlias = Literal["width", "hessian", "weights", "features"]

THEOREM: tuple[Condition, ...] = ("width", "hessian", "weights")
"""What Theorem 3.8 asks of a point."""
STEP: tuple[Condition, ...] = ("features", "weights")
"""What the step of its proof asks."""
QUALIFIED: Mapping[str, str] = {
    "sigmoid": "analytic, σ' = σ(1 − σ) > 0, between 0 and 1",
    "tanh": "analytic, σ' = 1 − σ² > 0, between −1 and 1",
    "softplus": "analytic, σ' a sigmoid, σ(t) ≤ e^t for t < 0 and σ(t) ≤ t + log 2 for t ≥ 0",
}
"""Activations of which the theorem speaks, and why."""
_SLOPES: Mapping[type[nn.Module], Slope] = {
    nn.Sigmoid: lambda values: values * (1 - values),
    nn.Tanh: lambda values: 1 - values.square(),
    nn.Softplus: lambda values: -torch.expm1(-values),
}
"""σ' by the values of σ."""
NONSINGULAR = 1e-8
"""A Hessian is nonsingular if its least |eigenvalue| is at least this part of its greatest.

With one hidden layer and biases a gradient of 10⁻¹⁰ then bounds the loss by 10⁻¹²: the Hessian is
(2/N)[F, 1]ᵀ[F, 1], the gradient by the output's weights (2/N)[F, 1]ᵀe, and σ_max([F, 1]) ≥ √N, so
‖e‖²/N ≤ 10⁻²⁰/(4·10⁻⁸).
"""
RANK = 1e-4
"""The same of singular values: the root of NONSINGULAR, as that Hessian has their squares."""


@dataclass(frozen=True)
class LayerConditions:
    """What the conditions come to for one hidden layer, at points (P,).

    Attributes:
        layer: k.
        above: hidden layers above it.
        units: n_k.
        needed: units that the theorem asks for.
        hessian: least |eigenvalue| by the layers above, relative to the greatest, (P,).
        weights: the least, over l ≥ k + 2 and the samples, of the n_l-th singular values of W_l,
            its rows times the slopes σ' of the units below, (P,); 0 where n_l > n_{l−1}, infinite
            where there is no such layer. Slopes are positive, so the rank is that of W_l; but units
            that saturate, as a descent runs off to infinity, all but take it away.
        singular: singular values of the features, and the bias's ones, (N, n_k + 1), relative to
            the first, (P, s).
        samples: N.
    """

    layer: int
    above: int
    units: int
    needed: int
    hessian: Floats
    weights: Floats
    singular: Floats
    samples: int

    @property
    def ranks(self) -> npt.NDArray[np.int64]:
        """Of the features, and the bias's ones, (P,)."""
        found: npt.NDArray[np.int64] = np.count_nonzero(self.singular >= RANK, axis=1)
        return found

    def met(self, condition: Condition) -> Mask:
        """Where one condition is met, (P,)."""
        if condition == "width":
            return np.full(len(self.hessian), self.units >= self.needed)
        if condition == "hessian":
            return np.asarray(self.hessian >= NONSINGULAR)
        if condition == "weights":
            # Of one column the rank is 1 unless it is zero, so that these are not relative.
            return np.asarray(self.weights >= RANK)
        return np.asarray(self.ranks == self.samples)

    def meets(self, conditions: Collection[Condition]) -> Mask:
        """Where all of them are met, (P,)."""
        found: Mask = np.all([self.met(condition) for condition in conditions], axis=0)
        return found

    def why_not(self, point: int) -> tuple[str, ...]:
        """What keeps the theorem from speaking of a point by this layer; empty if nothing does."""
        words = {
            "width": f"layer {self.layer} has {self.units} units, fewer than {self.needed}",
            "hessian": f"the Hessian by the layers above {self.layer} is singular: least "
            f"|eigenvalue| {self.hessian[point]:.1e} of the greatest",
            "weights": f"some W_l, l ≥ {self.layer + 2}, lacks full column rank: least singular "
            f"value {self.weights[point]:.1e}, through the slopes below it",
        }
        return tuple(words[each] for each in THEOREM if not self.met(each)[point])


def distinct(inputs: Floats) -> bool:
    """Whether no two rows of the inputs (N, d) are equal."""
    return len(np.unique(inputs, axis=0)) == len(inputs)


def conditions_at(
    module: nn.Sequential, points: Floats, inputs: Floats, targets: Floats
) -> tuple[LayerConditions, ...]:
    """What the conditions come to for each hidden layer k = 1 … L−1.

    Args:
        module: a network of `network`.
        points: all its parameters one after another, (P, n).
        inputs: (N, d).
        targets: (N,), of the mean squared error.
    """
    named = unflattened(torch.from_numpy(points), dict(module.named_parameters()))
    rows, goal = torch.from_numpy(inputs), torch.from_numpy(targets)
    hidden = [each.detach() for each in vmap(lambda at: features(module, at, rows))(named)]
    slope = next(found for kind, found in _SLOPES.items() if isinstance(module.unit1, kind))
    bias = "layer1.bias" in named
    return tuple(
        LayerConditions(
            layer=layer,
            above=len(hidden) - layer,
            units=values.shape[2],
            needed=len(inputs) - bias,
            hessian=_curvature(module, layer, named, values, goal),
            weights=_column_ranks(named, hidden, layer + 2, slope),
            singular=_singular_values(values, bias),
            samples=len(inputs),
        )
        for layer, values in enumerate(hidden, start=1)
    )


def _curvature(
    module: nn.Sequential, layer: int, named: Mapping[str, Tensor], values: Tensor, goal: Tensor
) -> Floats:
    """Least |eigenvalue| of the Hessian by the layers above one, relative to the greatest (P,).

    `values` are the features of that layer, (P, N, n_k), which those above do not change.
    """
    above = {name: value for name, value in named.items() if _number(name) > layer}
    parts = [(name, part) for name, part in module.named_children() if _number(name) > layer]
    upper = nn.Sequential(OrderedDict(parts))
    flat = torch.cat([value.flatten(1) for value in above.values()], dim=1)
    like = {name: value[0] for name, value in above.items()}

    def loss(numbers: Tensor, seen: Tensor) -> Tensor:
        own = {name: value[0] for name, value in unflattened(numbers[None], like).items()}
        outputs: Tensor = functional_call(upper, own, (seen,))
        return (outputs.squeeze(1) - goal).square().mean()

    spectrum = torch.linalg.eigvalsh(vmap(jacrev(grad(loss)))(flat, values)).abs()
    return _numpy(spectrum.amin(1) / spectrum.amax(1))


def _number(name: str) -> int:
    """The layer of `layer3`, `unit3` or `layer3.weight`."""
    return int(name.partition(".")[0].removeprefix("layer").removeprefix("unit"))


def _column_ranks(
    named: Mapping[str, Tensor], hidden: Sequence[Tensor], first: int, slope: Slope
) -> Floats:
    """The least singular value of W_l seen through the slopes below it, over l ≥ first, (P,)."""
    points = len(hidden[0])
    least: Floats = np.full(points, np.inf)
    for layer in range(first, len(hidden) + 2):
        weights = named[f"layer{layer}.weight"]
        if weights.shape[1] > weights.shape[2]:
            return np.zeros(points)
        seen = weights[:, None] * slope(hidden[layer - 2])[:, :, None, :]
        least = np.minimum(least, _numpy(torch.linalg.svdvals(seen)[..., -1].amin(1)))
    return least


def _singular_values(values: Tensor, bias: bool) -> Floats:
    """Those of features (P, N, n_k), and the bias's ones, relative to the first, (P, s)."""
    if bias:
        values = torch.cat([values, values.new_ones((*values.shape[:2], 1))], dim=2)
    found = torch.linalg.svdvals(values)
    return _numpy(found / found[:, :1])


def _numpy(values: Tensor) -> Floats:
    found: Floats = values.detach().numpy()
    return found
