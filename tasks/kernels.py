"""Kernels that autograd can go through twice, and that a dispatch mode can see into."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def open_kernels(module: nn.Module) -> Iterator[None]:
    """No fused attention or transformer layer, and no recurrent network of cuDNN's, meanwhile."""
    backends: Any = torch.backends
    fast, cudnn = backends.mha.get_fastpath_enabled(), backends.cudnn.enabled
    # cuDNN's recurrent networks have no backward pass in eval mode.
    if any(isinstance(part, nn.RNNBase) for part in module.modules()):
        backends.cudnn.enabled = False
    backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        backends.mha.set_fastpath_enabled(fast)
        backends.cudnn.enabled = cudnn
