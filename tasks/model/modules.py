"""A module as it is given: without its wrappers, or refused."""

from __future__ import annotations

import torch
from torch import fx, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import is_lazy

from schemas.errors import SpecError, listing

_SHOWN = 3


def plain_module(module: object) -> nn.Module:
    """The module without what `torch.compile` and data parallelism wrap around it.

    Raises:
        SpecError: it is no module, has no parameters, or parameters without numbers in them, such
            as lazy ones; or it was compiled to a form that takes no other parameters.
    """
    while True:
        if isinstance(module, (DataParallel, DistributedDataParallel)):
            module = module.module
        elif isinstance(module, nn.Module) and "_orig_mod" in module._modules:
            module = module._modules["_orig_mod"]
        else:
            break
    if not isinstance(module, nn.Module):
        raise SpecError(f"model: got {type(module).__name__}; expected a torch.nn.Module")
    kind = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule) or _is_exported(module):
        raise SpecError(
            f"model: {kind} is a compiled program; give the torch.nn.Module that it was made from"
        )
    _check_parameters(module, kind)
    return module


def _check_parameters(module: nn.Module, kind: str) -> None:
    parameters = dict(module.named_parameters())
    if not parameters:
        raise SpecError(f"model: {kind} has no parameters; there is nothing to scan")
    lazy = [name for name, tensor in parameters.items() if is_lazy(tensor)]
    if lazy:
        raise SpecError(
            f"model: {listing(lazy, _SHOWN)} of {kind} has no shape before its first call; "
            "build it with sizes, or call it once"
        )
    for name, tensor in (*parameters.items(), *module.named_buffers()):
        if tensor.is_meta:
            raise SpecError(
                f"model: {name!r} of {kind} is on the meta device and holds no numbers; build it "
                "on the CPU"
            )
    for name, tensor in parameters.items():
        if not bool(torch.isfinite(tensor).all()):
            raise SpecError(
                f"model: parameter {name!r} holds NaN or infinite values; use a checkpoint from "
                "before the training diverged"
            )


def _is_exported(module: nn.Module) -> bool:
    # torch.export puts a method in its place that refuses.
    return isinstance(module, fx.GraphModule) and "train" in vars(module)
