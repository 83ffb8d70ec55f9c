"""Gradient and Hessian of a split's mean loss at one point of parameter space.

Everything is float64, on the CPU, and summed over blocks of samples, so that neither a large split
nor the Hessian is ever held. Running statistics of batch normalisation are constants: those of the
module, or those measured at the point itself where the objective measures them anew.

Shape legend: N = samples, B = samples of a block, n = numbers in the chosen parameters.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call

from schemas.errors import SpecError, listing, suggestion
from tasks.batchnorm import reestimate
from tasks.directions.selection import is_statistic
from tasks.kernels import open_kernels
from tasks.objective import EmpiricalRisk, Split, per_sample
from tasks.spectrum import TOLERANCE, Floats, NotFiniteError, end_eigenpairs

_BLOCK_BYTES = 256 * 2**20
# What the backward pass keeps is kept again for each of its own two passes.
_SECOND_ORDER_COPIES = 3


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenvalues of a Hessian, and unit eigenvectors by parameter name, in the same order."""

    values: tuple[float, ...]
    vectors: tuple[Mapping[str, Tensor], ...]


def mean_loss_gradient(
    objective: EmpiricalRisk, split: str, origin: Mapping[str, Tensor], names: Sequence[str]
) -> dict[str, Tensor]:
    """The gradient of a split's mean loss at the origin by the parameters `names`, float64.

    Raises:
        SpecError: the objective has no such split, or the gradient is not finite.
    """
    risk = _Risk(objective, split, origin, names)
    total = {name: torch.zeros_like(leaf) for name, leaf in risk.leaves.items()}
    with open_kernels(risk.module):
        for block in risk.blocks():
            for name, slope in risk.slopes(block).items():
                total[name] += slope
    gradient = {name: slope / risk.samples for name, slope in total.items()}
    if not all(bool(slope.isfinite().all()) for slope in gradient.values()):
        raise _not_finite("gradient", split)
    return gradient


def hessian_product(
    objective: EmpiricalRisk, split: str, origin: Mapping[str, Tensor], names: Sequence[str]
) -> Callable[[Floats], Floats]:
    """Multiply a vector by the Hessian of a split's mean loss at the origin: v (n,) → Hv (n,).

    Vectors hold the parameters `names` one after another. Exact up to rounding, by a second pass
    through the graph of the gradient (Pearlmutter 1994, Neural Computation 6(1), 147–160).

    Raises:
        SpecError: the objective has no such split.
    """
    risk = _Risk(objective, split, origin, names)
    # The graph of a single block serves all products.
    with open_kernels(risk.module):
        kept = risk.slopes(next(risk.blocks()), twice=True) if risk.block >= risk.samples else None

    def product(vector: Floats) -> Floats:
        direction = risk.named(torch.from_numpy(vector))
        total = torch.zeros(len(vector), dtype=torch.float64)
        with open_kernels(risk.module):
            for block in risk.blocks():
                slopes = kept or risk.slopes(block, twice=True)
                along = torch.stack([(s * direction[n]).sum() for n, s in slopes.items()]).sum()
                bends = _by(along, risk.leaves, keep=kept is not None)
                total += torch.cat([bend.reshape(-1) for bend in bends.values()])
        image: Floats = (total / risk.samples).numpy()
        return image

    return product


def extreme_eigenpairs(
    objective: EmpiricalRisk,
    split: str,
    origin: Mapping[str, Tensor],
    names: Sequence[str],
    k_top: int,
    k_bottom: int,
    multiplied: Callable[[int], None] = lambda _products: None,
) -> Eigenpairs:
    """The greatest and the least eigenvalues of the Hessian by the parameters `names`.

    First the `k_top` greatest, from the greatest down, then the `k_bottom` least, from the least
    up. Each vector's entry of greatest magnitude is positive. `multiplied` is told the number of
    Hessian products so far.

    Raises:
        SpecError: no such split, fewer than k_top + k_bottom numbers, or a Hessian that is not
            finite.
        WorkError: Lanczos does not converge.
    """
    size = sum(origin[name].numel() for name in names)
    if k_top + k_bottom > size:
        raise SpecError(
            f"directions: {k_top} + {k_bottom} eigenvectors of a Hessian of {size} rows; ask for "
            f"at most {size} in all"
        )
    product = hessian_product(objective, split, origin, names)
    products = itertools.count(1)

    def counted(vector: Floats) -> Floats:
        image = product(vector)
        multiplied(next(products))
        return image

    try:
        values, vectors = end_eigenpairs(counted, size, TOLERANCE[torch.float64], k_top, k_bottom)
    except NotFiniteError:
        raise _not_finite("Hessian", split) from None
    named = [_named(torch.from_numpy(vector), origin, names) for vector in vectors]
    return Eigenpairs(tuple(values.tolist()), tuple(named))


class _Risk:
    """The mean loss of a split near a point, as a function of the parameters `names`."""

    def __init__(
        self,
        objective: EmpiricalRisk,
        split: str,
        origin: Mapping[str, Tensor],
        names: Sequence[str],
    ) -> None:
        if split not in objective.splits:
            raise SpecError(
                f"split: got {split!r}; expected one of {listing(objective.splits)}"
                f"{suggestion(split, objective.splits)}"
            )
        self._split = objective.splits[split]
        self._loss = objective.loss
        self.samples = len(self._split)
        self.module = copy.deepcopy(objective.module).eval().requires_grad_(False)
        self.module.to("cpu", torch.float64)
        with torch.no_grad():
            for name, tensor in origin.items():
                self.module.get_parameter(name).copy_(tensor)
        if objective.reestimation is not None:
            reestimate(self.module, (_double(b) for b in objective.reestimation.batches))
        self.leaves = {
            name: self.module.get_parameter(name).detach().clone().requires_grad_()
            for name in names
        }
        self.block = min(self.samples, _block_samples(self.module, self._split))

    def blocks(self) -> Iterator[Split]:
        """The split in blocks of at most `block` samples."""
        for low in range(0, self.samples, self.block):
            part = slice(low, low + self.block)
            # A module may write into its inputs.
            inputs = _double(self._split.inputs[part]).clone()
            yield Split(inputs, _double(self._split.targets[part]))

    def slopes(self, block: Split, *, twice: bool = False) -> dict[str, Tensor]:
        """The gradient of a block's summed loss; as a graph of its own if `twice`."""
        outputs = functional_call(self.module, self.leaves, (block.inputs,))
        losses = per_sample(self._loss, outputs, block.targets)
        return _by(losses.sum(), self.leaves, twice=twice, keep=twice)

    def named(self, vector: Tensor) -> dict[str, Tensor]:
        """A vector (n,) as tensors by parameter name."""
        return _named(vector, self.leaves, list(self.leaves))


def _named(vector: Tensor, like: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
    parts = torch.split(vector, [like[name].numel() for name in names])
    return {n: part.reshape(like[n].shape) for n, part in zip(names, parts, strict=True)}


def _by(
    value: Tensor, leaves: Mapping[str, Tensor], *, twice: bool = False, keep: bool = False
) -> dict[str, Tensor]:
    """The gradient of a number by each leaf; zero where it does not depend on it."""
    if not value.requires_grad:
        return {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
    slopes = torch.autograd.grad(
        value, list(leaves.values()), create_graph=twice, retain_graph=keep, materialize_grads=True
    )
    return dict(zip(leaves, slopes, strict=True))


def _double(tensor: Tensor) -> Tensor:
    tensor = tensor.cpu()
    return tensor.double() if tensor.is_floating_point() else tensor


def _block_samples(module: nn.Module, split: Split) -> int:
    """Samples whose second derivatives fit into _BLOCK_BYTES, by what autograd keeps of the first.

    It follows from the module and the data alone, and so do the bits of the sums.
    """
    leaves = {
        name: parameter.detach().requires_grad_(parameter.is_floating_point())
        for name, parameter in module.named_parameters()
        if not is_statistic(name)
    }
    own = {leaf.untyped_storage().data_ptr() for leaf in leaves.values()}
    kept: dict[int, int] = {}

    def weigh(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    sample = _double(split.inputs[:1]).clone()
    with open_kernels(module), saved_tensors_hooks(weigh, lambda tensor: tensor):
        # Held until the count is done, lest memory be given out twice.
        outputs = functional_call(module, leaves, (sample,))
    room = _BLOCK_BYTES // (_SECOND_ORDER_COPIES * max(1, sum(kept.values())))
    del outputs
    return max(1, room)


def _not_finite(what: str, split: str) -> SpecError:
    return SpecError(
        f"directions: the {what} of the {split} loss is not finite at the checkpoint; choose "
        "another kind of direction, or a checkpoint whose loss is smooth there"
    )
