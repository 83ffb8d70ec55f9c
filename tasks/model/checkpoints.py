"""Checkpoints: the state dict in a file, and how it fits a module.

A fitted checkpoint goes by the module's own names, whatever wrappers either was saved with.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from schemas.errors import SpecError, listing
from tasks.model.checkpoint_files import checkpoint_content
from tasks.model.checkpoint_parameters import Checkpoint, CheckpointParameters
from tasks.model.state_dicts import entries_at, is_state_dict, only_state_dict, places_known

# Parts of a name that torch's own wrappers put anywhere in it.
_WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
_COUNTER = "num_batches_tracked"
# The count that torch.optim.swa_utils.AveragedModel keeps beside the weights.
_AVERAGED = "n_averaged"
_MOST = 3


def read_checkpoint(
    checkpoint: Checkpoint, base: Path, what: str = "checkpoint"
) -> dict[str, Tensor]:
    """The state dict of a checkpoint, by the names in the file, on the CPU.

    Nothing in the file is run. The tensors may share memory with the file.

    Args:
        checkpoint: a path, or a file and the place in it.
        base: the folder that paths are relative to.
        what: the field of the spec, with which error lines begin.

    Raises:
        SpecError: no such file, a file that is damaged, of another kind or holds objects other
            than tensors, numbers and text; no state dict in it, or more than one.
    """
    given = checkpoint if isinstance(checkpoint, CheckpointParameters) else None
    shown = given.file if given else str(checkpoint)
    content = checkpoint_content(base / shown, shown, what)
    if given is not None and given.key is not None:
        found = entries_at(content, given.key)
        if not is_state_dict(found):
            raise SpecError(
                f"{what}: {shown} has no state dict at key {given.key!r}"
                f"{places_known(content, given.key)}"
            )
    else:
        found = only_state_dict(content, shown, what)
    return {name: tensor for name, tensor in found.items() if isinstance(tensor, Tensor)}


def fitted(tensors: Mapping[str, Tensor], module: nn.Module, what: str) -> dict[str, Tensor]:
    """A state dict by the module's own names: its parameters, then its persistent buffers.

    Wrappers' names (`module.`, `_orig_mod.`, or whatever all names begin with) are taken away or
    put in front as the module needs. Tied weights have the one name that
    `module.named_parameters()` gives. The tensors are copies, of the shapes of the module's and of
    the file's dtypes; `num_batches_tracked` is the module's own where the file has none.

    Raises:
        SpecError: names are missing or unexpected, shapes or kinds of numbers differ, weights that
            are tied in the module differ, or a value is not finite.
    """
    own, canonical = _persistent(module, what)
    renamed = _renamed([name for name in tensors if name in own or name != _AVERAGED], list(own))
    given = {new: tensors[old] for old, new in renamed.items()}
    _check_names(given, tensors, own, canonical, module, what)
    given = {name: tensor for name, tensor in given.items() if name in own}
    _check_shapes(given, own, what)
    parameters = {
        canonical[name] for name, tensor in own.items() if isinstance(tensor, nn.Parameter)
    }
    for name, tensor in given.items():
        _check_numbers(name, tensor, own[name], canonical[name] in parameters, what)
    result: dict[str, Tensor] = {}
    for name, tensor in given.items():
        first = canonical[name]
        if first in result and not torch.equal(result[first], tensor):
            raise SpecError(
                f"{what}: {first} and {name} are tied in the model but differ in the file; untie "
                "them in the model, or keep one of them in the file"
            )
        result.setdefault(first, tensor.detach().clone())
    order = dict.fromkeys(canonical[name] for name in own)
    ordered = sorted(order, key=lambda name: name not in parameters)
    return {name: result.get(name, own[name].detach().clone()) for name in ordered}


def load_checkpoint(module: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Copy a state dict into a module's parameters and buffers, in place, in their own dtypes.

    Raises:
        SpecError: as `fitted`; the module is then unchanged.
    """
    values = fitted(tensors, module, what)
    own, canonical = _persistent(module, what)
    with torch.no_grad():
        for name, tensor in own.items():
            if name == canonical[name]:
                tensor.copy_(values[name])


def _persistent(module: nn.Module, what: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A module's tensors by each of their names, and for each name the first of its tensor."""
    state = module.state_dict(keep_vars=True)
    own = {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}
    lazy = [name for name, tensor in own.items() if is_lazy(tensor)]
    if lazy:
        raise SpecError(
            f"{what}: the model's {listing(lazy, _MOST)} has no shape before its first call; "
            "build it with sizes, or call it once"
        )
    first = {id(t): name for name, t in (*module.named_parameters(), *module.named_buffers())}
    return own, {name: first.get(id(tensor), name) for name, tensor in own.items()}


def _renamed(names: Sequence[str], own: Sequence[str]) -> dict[str, str]:
    """For each name of a file the module's, as far as a common beginning tells them apart."""
    plain, own_plain = _unwrapped(names), _unwrapped(own)
    real = dict(zip(own_plain, own, strict=True))
    best, most = (0, ""), -1
    for cut in _beginnings(plain):
        for start in _beginnings(own_plain):
            count = sum(f"{start}{name[len(cut) :]}" in real for name in plain)
            if count > most:
                best, most = (len(cut), start), count
    length, start = best
    moved = [f"{start}{name[length:]}" for name in plain] if most else plain
    return {old: real.get(new, new) for old, new in zip(names, moved, strict=True)}


def _unwrapped(names: Sequence[str]) -> list[str]:
    plain = [".".join(p for p in name.split(".") if p not in _WRAPPERS) for name in names]
    return plain if len(set(plain)) == len(plain) else list(names)


def _beginnings(names: Sequence[str]) -> list[str]:
    """`""`, `"module."`, `"module.model."`: all that every name begins with."""
    found = [""]
    for level in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(level)) > 1:
            break
        found.append(f"{found[-1]}{level[0]}.")
    return found


def _check_names(
    given: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    canonical: Mapping[str, str],
    module: nn.Module,
    what: str,
) -> None:
    here = {canonical[name] for name in given if name in canonical}
    every = dict.fromkeys(canonical.values())
    missing = [n for n in every if n not in here and n.rpartition(".")[2] != _COUNTER]
    # Buffers that the module no longer keeps in its state dict do no harm in an older file.
    known = {*own, *(name for name, _ in module.named_buffers(remove_duplicate=False))}
    extra = [n for n in given if n not in known and n.rpartition(".")[2] != _COUNTER]
    told = []
    if missing:
        told.append(
            f"{len(missing)} of the model's {len(every)} tensors are missing in the file "
            f"({_with_nearest(missing, extra)})"
        )
    if extra:
        told.append(
            f"{len(extra)} of the file's {len(tensors)} are not the model's "
            f"({_with_nearest(extra, missing)})"
        )
    if told:
        below = _place_of_all(tensors, [n for n in every if n.rpartition(".")[2] != _COUNTER])
        remedy = (
            f"all are there below {below}; name that in key"
            if below
            else ("build the model that the file was saved from, or rename the file's tensors")
        )
        raise SpecError(f"{what}: {' and '.join(told)}; {remedy}")


def _with_nearest(names: Sequence[str], others: Collection[str]) -> str:
    shown = []
    for name in names[:_MOST]:
        near = difflib.get_close_matches(name, others, n=1, cutoff=0.5)
        shown.append(f"{name}, nearest {near[0]}" if near else name)
    more = len(names) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _place_of_all(names: Collection[str], wanted: Sequence[str]) -> str:
    """What stands before every wanted name in a file that also holds others."""
    for name in names:
        start, dot, _ = name.partition(wanted[0]) if wanted else ("", "", "")
        if start.endswith(".") and dot and all(f"{start}{other}" in names for other in wanted):
            return start[:-1]
    return ""


def _check_shapes(given: Mapping[str, Tensor], own: Mapping[str, Tensor], what: str) -> None:
    wrong = [name for name, tensor in given.items() if tensor.shape != own[name].shape]
    if wrong:
        shown = ", ".join(
            f"{name} is {tuple(given[name].shape)} in the file and {tuple(own[name].shape)} in the "
            "model"
            for name in wrong[:_MOST]
        )
        more = f" and {len(wrong) - _MOST} more differ" if len(wrong) > _MOST else ""
        raise SpecError(
            f"{what}: {shown}{more}; build the model with the sizes it was trained with"
        )


def _check_numbers(name: str, tensor: Tensor, own: Tensor, is_parameter: bool, what: str) -> None:
    if tensor.is_meta or tensor.is_quantized or tensor.layout != torch.strided:
        raise SpecError(
            f"{what}: {name} is a sparse, quantised or meta tensor; save it dense, as floats"
        )
    if _kind(tensor) != _kind(own):
        raise SpecError(
            f"{what}: {name} is {tensor.dtype} in the file and {own.dtype} in the model; expected "
            f"{_kind(own)} numbers; convert it before saving"
        )
    if _kind(tensor) == "whole":
        return
    # Not every operation knows the floats of eight bits.
    values = tensor if tensor.element_size() > 1 else tensor.float()
    # A mask among the buffers may well be infinite.
    bad = ~torch.isfinite(values) if is_parameter else torch.isnan(values)
    count = int(bad.sum())
    if count:
        raise SpecError(
            f"{what}: {name} is NaN or infinite at {count} of its {tensor.numel()} entries; the "
            "training has diverged; use an earlier checkpoint"
        )


def _kind(tensor: Tensor) -> str:
    if tensor.is_complex():
        return "complex"
    return "real" if tensor.is_floating_point() else "whole"
