"""Trained tensors kept on disk, named by a hash of all that they follow from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor


def cached(
    folder: Path | None,
    identity: Mapping[str, Any],
    make: Callable[[], dict[str, Tensor]],
) -> dict[str, Tensor]:
    """What `make` gives, from the folder if it is there; a damaged file is made again.

    `identity` holds, as plain JSON values, everything the tensors follow from.
    """
    if folder is None:
        return make()
    text = json.dumps(identity, sort_keys=True)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"
    kept = _read(path)
    if kept is not None:
        return kept
    made = make()
    _write(path, made)
    return made


def _read(path: Path) -> dict[str, Tensor] | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        body, checksum = content[:-32], content[-32:]
        if hashlib.sha256(body).digest() != checksum:
            return None
        return load(body)
    except SafetensorError:
        return None


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    body = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    # safetensors does not notice a flipped bit among the numbers.
    content = body + hashlib.sha256(body).digest()
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_bytes(content)
    partial.replace(path)
