"""Landscapes as bytes and arrays, so that workers on one node share their large parts.

Every tensor becomes a numpy buffer outside the pickle: Ray keeps such buffers in its object store
and maps them into each worker without a copy.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from tasks.landscape import Landscape
from tasks.objective import ClosedForm
from tasks.tensors import raw_bytes, tensor_hash


@dataclass(frozen=True)
class Packed:
    """A landscape taken apart: what is small in `body`, the tensors' memory in `buffers`."""

    body: bytes
    buffers: list[npt.NDArray[np.uint8]]

    @property
    def nbytes(self) -> int:
        """Bytes of all parts."""
        return len(self.body) + sum(buffer.nbytes for buffer in self.buffers)


def pack(landscape: Landscape) -> Packed:
    """Take a landscape apart, all but its trajectories. Tensors are moved to the CPU."""
    buffers: list[npt.NDArray[np.uint8]] = []

    def keep(buffer: pickle.PickleBuffer) -> None:
        buffers.append(np.frombuffer(buffer.raw(), dtype=np.uint8))

    stream = io.BytesIO()
    _TensorPickler(stream, protocol=5, buffer_callback=keep).dump(
        replace(landscape, trajectories=None)
    )
    return Packed(stream.getvalue(), buffers)


def unpack(packed: Packed) -> Landscape:
    """The landscape again; its tensors share the memory of the buffers and must not be written."""
    landscape = pickle.loads(packed.body, buffers=packed.buffers)  # noqa: S301 - our own bytes
    if not isinstance(landscape, Landscape):
        raise TypeError(f"expected a Landscape, got {type(landscape).__name__}")
    return landscape


def landscape_hash(landscape: Landscape) -> str:
    """SHA-256 over every tensor of a landscape: parameters, buffers, directions and data."""
    text = json.dumps(part_hashes(landscape), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def part_hashes(landscape: Landscape) -> dict[str, Any]:
    """SHA-256 of the parts of a landscape: `origin`, `directions`, and each of the `splits`; of a
    module's risk `buffers`, and of `reestimation` and `trajectories` where there are any.

    What a split of a closed form holds is what can be found of its function: if that is a
    dataclass, its fields.
    """
    section, objective = landscape.section, landscape.objective
    hashes: dict[str, Any] = {
        "origin": tensor_hash(sorted(section.origin.items())),
        "directions": [tensor_hash(sorted(part.items())) for part in section.directions],
    }
    if isinstance(objective, ClosedForm):
        hashes["splits"] = {
            name: tensor_hash(_held(function)) for name, function in objective.functions.items()
        }
    else:
        hashes["buffers"] = tensor_hash(sorted(objective.module.named_buffers()))
        hashes["splits"] = {
            name: tensor_hash([("inputs", split.inputs), ("targets", split.targets)])
            for name, split in objective.splits.items()
        }
        again = objective.reestimation
        if again is not None:
            own = [("inputs", again.inputs), ("batch", torch.tensor(again.batch))]
            hashes["reestimation"] = tensor_hash(own)
    if landscape.trajectories is not None:
        at = torch.from_numpy(landscape.trajectories.coordinates)
        hashes["trajectories"] = tensor_hash([("coordinates", at)])
    return hashes


def _held(value: object, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors and numbers in a dataclass, and in those it holds, by where they stand."""
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(np.array(value))
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, (bool, int, float)):
        yield path, torch.tensor(value)
    elif isinstance(value, str):
        yield f"{path}={value}", torch.empty(0)
    elif is_dataclass(value):
        for part in fields(value):
            yield from _held(getattr(value, part.name), f"{path}.{part.name}")
    elif isinstance(value, (tuple, list)):
        for index, part in enumerate(value):
            yield from _held(part, f"{path}[{index}]")


class _TensorPickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:  # noqa: ANN401 - pickle's own signature
        if isinstance(obj, Tensor):
            flat = raw_bytes(obj)
            learns = obj.requires_grad
            is_parameter = isinstance(obj, nn.Parameter)
            return _tensor, (flat, obj.dtype, tuple(obj.shape), is_parameter, learns)
        if isinstance(obj, nn.Module) and is_parametrized(obj):
            # Their class refuses to be pickled; its bytes never leave this run.
            return _bare, (type(obj),), obj.__dict__
        return super().reducer_override(obj)


def _bare(kind: type[nn.Module]) -> nn.Module:
    return kind.__new__(kind)


def _tensor(
    flat: npt.NDArray[np.uint8],
    dtype: torch.dtype,
    shape: tuple[int, ...],
    is_parameter: bool,
    learns: bool,
) -> Tensor:
    with warnings.catch_warnings():
        # Shared memory is read-only, and nothing here writes to it.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        tensor = torch.from_numpy(flat).view(dtype).reshape(shape)
    return nn.Parameter(tensor, requires_grad=learns) if is_parameter else tensor
