"""Evaluating a module to see what it does, without a trace left in it.

Shape legend: N = samples.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call


def trial(
    module: nn.Module, inputs: Tensor, parameters: Mapping[str, Tensor] | None = None
) -> object:
    """What a module gives for inputs (N, …) in eval mode, on its own device and without gradients.

    Its buffers, the modes of its parts and the inputs are left as they were. Floating inputs take
    the dtype of its parameters, or of `parameters`, which may stand in for them.
    """
    given = dict(parameters or {})
    like = next(iter(given.values()), next(module.parameters(), inputs))
    dtype = like.dtype if inputs.is_floating_point() else inputs.dtype
    for name, buffer in module.named_buffers():
        given[name] = buffer.to(like.dtype if buffer.is_floating_point() else None, copy=True)
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            return functional_call(module, given, (inputs.to(like.device, dtype, copy=True),))
    finally:
        for part, training in modes:
            part.training = training
