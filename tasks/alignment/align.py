"""Permutation alignment of two checkpoints of one network.

Hidden units can be permuted without changing the function, so two trained networks are compared
up to permutation (Entezari et al. 2021, arXiv:2110.06296, conjecture 1). The permutations are
found by weight matching (Ainsworth, Hayase & Srinivasa 2022, arXiv:2209.04836, section 3.2).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils import _pytree as pytree

from schemas.errors import SpecError, WorkError, listing, suggestion
from tasks.alignment.matching import Orders, WeightMatching, permuted
from tasks.alignment.symmetry import symmetry_of

_TOLERANCE = 1e-8


@dataclass(frozen=True)
class Permutation:
    """One group of hidden units.

    Attributes:
        places: the axes that permute together, as `name[axis]`.
        order: (n,) int64; unit order[i] of the other checkpoint now stands at place i.
    """

    places: tuple[str, ...]
    order: Tensor


@dataclass(frozen=True)
class Alignment:
    """A checkpoint whose hidden units stand in the order that is nearest to a reference.

    Attributes:
        tensors: the other checkpoint's parameters and buffers, permuted; the same values and
            dtypes.
        permutations: one for each group of units that may be permuted.
        facts: provenance as plain JSON values: `groups` (their sizes, places and how many units
            moved), `fixed` (why units stay → where they are), the distance of all parameters
            `distance_before` and `distance_after`, `rounds` of the descent that was best, `seed`.
    """

    tensors: dict[str, Tensor]
    permutations: tuple[Permutation, ...]
    facts: dict[str, Any]


def align(
    module: nn.Module,
    reference: Mapping[str, Tensor],
    other: Mapping[str, Tensor],
    inputs: Tensor,
    *,
    seed: int,
) -> Alignment:
    """The other checkpoint, its hidden units permuted to be nearest to the reference.

    The symmetries follow from the operations of the module, traced in eval mode in float64 on
    the inputs (N, …), of which a few suffice; an operation of unknown symmetries fixes what it
    touches. The result never is farther from the reference than it was. Computed on the CPU.

    Args:
        module: the network; it is not changed.
        reference: its parameters and buffers by name.
        other: those of the checkpoint that is permuted.
        inputs: samples on which the permuted network must agree with the other.
        seed: of the order in which groups are matched.

    Raises:
        SpecError: a checkpoint that does not fit the module, or a module that cannot be traced.
        WorkError: the permuted network is not the same function; nothing is handed back.
    """
    own = copy.deepcopy(module).to("cpu", torch.float64).eval().requires_grad_(False)
    inputs = inputs.detach().to("cpu", torch.float64 if inputs.is_floating_point() else None)
    named = {**dict(own.named_parameters()), **dict(own.named_buffers())}
    stored = [name for name in named if name in own.state_dict()]
    for what, tensors in (("reference", reference), ("other", other)):
        _refuse_misfits(what, tensors, named, stored)
    symmetry = symmetry_of(own, {name: named[name] for name in other}, inputs)
    parameters = [name for name, _ in own.named_parameters()]
    matching = WeightMatching(
        symmetry.axes,
        symmetry.groups,
        {name: reference[name].detach().to("cpu", torch.float64) for name in parameters},
        {name: other[name].detach().to("cpu", torch.float64) for name in parameters},
    )
    unmoved: Orders = {group: torch.arange(group.size) for group in symmetry.groups}
    orders, rounds = matching.descend(unmoved, torch.Generator().manual_seed(seed))
    result = {
        name: permuted(tensor.detach(), symmetry.axes[name], orders)
        for name, tensor in other.items()
    }
    _refuse_other_function(own, other, result, inputs, seed)
    permutations = tuple(
        Permutation(tuple(symmetry.places(group)), orders[group]) for group in symmetry.groups
    )
    facts = {
        "groups": [_facts(permutation) for permutation in permutations],
        "fixed": symmetry.fixed(),
        "distance_before": matching.distance(unmoved),
        "distance_after": matching.distance(orders),
        "rounds": rounds,
        "seed": seed,
    }
    return Alignment(result, permutations, facts)


def _facts(permutation: Permutation) -> dict[str, Any]:
    order = permutation.order
    return {
        "size": len(order),
        "places": list(permutation.places),
        "moved": int((order != torch.arange(len(order))).sum()),
    }


def _refuse_misfits(
    what: str, tensors: Mapping[str, Tensor], named: Mapping[str, Tensor], stored: Iterable[str]
) -> None:
    for name, tensor in tensors.items():
        if name not in named:
            raise SpecError(
                f"{what}: the model has no parameter or buffer {name!r}; expected {listing(named)}"
                f"{suggestion(name, named)}"
            )
        if tensor.shape != named[name].shape:
            raise SpecError(
                f"{what}[{name!r}]: shape {tuple(tensor.shape)}; expected the model's "
                f"{tuple(named[name].shape)}"
            )
    missing = [name for name in stored if name not in tensors]
    if missing:
        raise SpecError(
            f"{what}: lacks {listing(missing)}; expected every parameter and buffer of the model"
        )


def _refuse_other_function(
    module: nn.Module,
    other: Mapping[str, Tensor],
    result: Mapping[str, Tensor],
    inputs: Tensor,
    seed: int,
) -> None:
    expected = _outputs(module, other, inputs, seed)
    found = _outputs(module, result, inputs, seed)
    for one, two in zip(expected, found, strict=True):
        size = float(one.nan_to_num(0, 0, 0).abs().max()) if one.numel() else 0.0
        if not torch.allclose(two, one, _TOLERANCE, _TOLERANCE * size, equal_nan=True):
            apart = float((one - two).abs().max())
            raise WorkError(
                f"alignment: the permuted {type(module).__name__} differs from the original by "
                f"{apart:.3g}; expected the same function; compare the checkpoints unaligned"
            )


def _outputs(
    module: nn.Module, tensors: Mapping[str, Tensor], inputs: Tensor, seed: int
) -> list[Tensor]:
    double = {
        name: tensor.detach().to("cpu", torch.float64 if tensor.is_floating_point() else None)
        for name, tensor in tensors.items()
    }
    # What is drawn in the forward pass is the same in both.
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        outputs = functional_call(module, double, (inputs,))
    leaves = pytree.tree_leaves(outputs)
    return [leaf.to(torch.float64) for leaf in leaves if isinstance(leaf, Tensor)]
