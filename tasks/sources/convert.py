"""Arrays of any origin as the tensors of a split.

Inputs: bytes (uint8) are image intensities and become float32 in [0, 1]; other whole numbers are
token ids and become int64; floats stay float32 or float64, shorter ones, and Python's own, become
float32.
Targets: whole numbers are classes and become int64; floats as for inputs; booleans become int64
classes when they are one a sample, and float32 zeros and ones (several labels) when they are more.

Shape legend: N = samples.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from schemas.errors import SpecError, listing, suggestion
from tasks.objective import Split

INPUT_NAMES = (
    "inputs",
    "input",
    "x",
    "data",
    "features",
    "images",
    "image",
    "img",
    "pixel_values",
    "input_ids",
    "tokens",
)
TARGET_NAMES = ("targets", "target", "y", "labels", "label")
_BYTE = 255.0


def chosen(
    names: Iterable[str], given: str | None, usual: tuple[str, ...], what: str
) -> str | None:
    """The given name, or the one usual name among `names`; None where there is no usual one.

    Raises:
        SpecError: the given name is not among them, or several usual ones are.
    """
    names = list(names)
    if given is not None:
        if given not in names:
            raise SpecError(
                f"{what}: no {given!r}; there is {listing(names) or 'nothing'}"
                f"{suggestion(given, names)}"
            )
        return given
    found = [name for name in names if name.lower() in usual]
    if len(found) > 1:
        raise SpecError(f"{what}: {listing(found)} are all candidates; name one of them")
    return found[0] if found else None


def chosen_pair(
    names: Iterable[str], inputs: str | None, targets: str | None, what: str
) -> tuple[str, str | None]:
    """Names of the inputs and, if there are any, of the targets.

    Raises:
        SpecError: as `chosen`, or no name is a usual one of inputs.
    """
    names = list(names)
    first = chosen(names, inputs, INPUT_NAMES, f"{what}.inputs")
    if first is None:
        raise SpecError(
            f"{what}.inputs: is missing, and {listing(names) or 'nothing'} is there, none a usual "
            f"name ({listing(INPUT_NAMES)}); name one of them"
        )
    return first, chosen(names, targets, TARGET_NAMES, f"{what}.targets")


def is_array(value: object) -> bool:
    """Whether it is a tensor or a numpy array."""
    return isinstance(value, (Tensor, np.ndarray))


def as_tensor(value: object, what: str) -> Tensor:
    """A tensor, numpy array, number or list of numbers as a tensor on the CPU, without a copy
    where that can be.

    Raises:
        SpecError: it is something else, or of a dtype that no tensor has.
    """
    if isinstance(value, Tensor):
        if value.layout is not torch.strided:
            raise SpecError(f"{what}: is a {value.layout} tensor; make it dense with .to_dense()")
        return value.detach().as_subclass(Tensor).cpu()
    try:
        array = np.asarray(value)
    except ValueError:
        raise SpecError(f"{what}: lists of different lengths; pad them to one length") from None
    if array.dtype.kind not in "biuf":
        kind = type(value).__name__ if array.dtype.kind == "O" else f"dtype {array.dtype}"
        raise SpecError(f"{what}: got {kind}; expected numbers")
    if array.dtype == np.float64 and not isinstance(value, (np.ndarray, np.generic)):
        array = array.astype(np.float32)
    return _from_numpy(array)


def _from_numpy(array: npt.NDArray[np.generic]) -> Tensor:
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    elif array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    elif not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if any(stride < 0 for stride in array.strides):
        array = array.copy()
    if array.flags.writeable:
        return torch.from_numpy(array)
    with warnings.catch_warnings():
        # Arrays mapped from a file are read-only, and nothing here writes to them.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def split_of(inputs: Tensor, targets: Tensor | None, what: str) -> Split:
    """Inputs (N, …) and targets (N, …) in the dtypes that this module's docstring lists.

    Without targets, token ids are their own: whoever computes the loss shifts them.

    Raises:
        SpecError: no samples, different numbers of inputs and targets, complex numbers, or no
            targets for inputs that are not token ids.
    """
    check_counts(inputs, targets, what)
    converted = _inputs(inputs, f"{what}.inputs")
    if targets is None:
        if converted.is_floating_point():
            raise SpecError(
                f"{what}.targets: is missing; only token ids (whole numbers) can be their own "
                f"targets, and the inputs are {inputs.dtype}; give targets"
            )
        return Split(converted, converted)
    return Split(converted, _targets(targets, f"{what}.targets"))


def check_counts(inputs: Tensor, targets: Tensor | None, what: str) -> None:
    """SpecError unless there are samples, and as many targets as inputs (or none at all)."""
    if inputs.dim() == 0 or len(inputs) == 0:
        raise SpecError(
            f"{what}: inputs of shape {tuple(inputs.shape)} hold no samples; expected at least one"
        )
    if targets is not None and (targets.dim() == 0 or len(targets) != len(inputs)):
        raise SpecError(
            f"{what}: {len(inputs)} inputs and targets of shape {tuple(targets.shape)}; expected "
            "one target for each input"
        )


def _inputs(tensor: Tensor, what: str) -> Tensor:
    if tensor.dtype == torch.uint8:
        return tensor.to(torch.float32).div_(_BYTE)
    if tensor.dtype == torch.bool:
        return tensor.to(torch.float32)
    return _number(tensor, what)


def _targets(tensor: Tensor, what: str) -> Tensor:
    if tensor.dtype == torch.bool:
        return tensor.to(torch.int64 if tensor.dim() == 1 else torch.float32)
    return _number(tensor, what)


def _number(tensor: Tensor, what: str) -> Tensor:
    if tensor.is_complex() or tensor.is_quantized:
        raise SpecError(f"{what}: dtype {tensor.dtype}; expected real numbers; convert them")
    if not tensor.is_floating_point():
        return tensor.to(torch.int64)
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.to(torch.float32)
