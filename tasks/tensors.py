"""Tensors as bytes, as hashes, and in double precision."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


def raw_bytes(tensor: Tensor) -> npt.NDArray[np.uint8]:
    """A tensor's values as bytes, in C order; shares their memory where it can."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy()


def tensor_hash(named: Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 over names, dtypes, shapes and values, in the order given."""
    digest = hashlib.sha256()
    for name, tensor in named:
        digest.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)};".encode())
        digest.update(raw_bytes(tensor).data)
    return digest.hexdigest()


def tensors_in_double(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Detached float64 copies on the CPU, free of gradients."""
    return {name: t.detach().to("cpu", torch.float64, copy=True) for name, t in tensors.items()}
