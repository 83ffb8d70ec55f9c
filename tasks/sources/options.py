"""Transforms and normalisation of whole splits.

Shape legend: N = samples, C = channels or features.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from schemas.errors import SpecError
from tasks.model.importing import imported
from tasks.model.user_modules import importable
from tasks.objective import Split
from tasks.sources.convert import as_tensor, is_array, split_of
from tasks.sources.kinds import Normalisation, Numbers

_BLOCK_BYTES = 64 * 2**20
_CONSTANT = 1e-12


def transformed(split: Split, reference: str, base: Path, what: str) -> Split:
    """What the named function makes of the inputs, or of (inputs, targets) if it takes two.

    It is called once, with copies, so that it may work in place.

    Raises:
        SpecError: there is no such function, it raises, or gives other than tensors or arrays with
            as many targets as inputs.
    """
    function = imported(reference, base, what)
    if not callable(function) or isinstance(function, type):
        raise SpecError(
            f"{what}: {reference} is of type {type(function).__name__}; expected a function of "
            "(inputs) or (inputs, targets)"
        )
    both = _takes_two(function)
    arguments = (split.inputs.clone(), split.targets.clone())
    try:
        with importable((base.resolve(),)):
            given = function(*arguments) if both else function(arguments[0])
    except Exception as error:  # noqa: BLE001 - a user's own code may raise anything
        first = str(error).split("\n")[0]
        raise SpecError(
            f"{what}: {reference} raised {type(error).__name__}: {first}, on inputs of shape "
            f"{tuple(split.inputs.shape)}"
        ) from None
    pair = given if both else (given, split.targets)
    if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and all(map(is_array, pair))):
        wanted = "a pair of tensors (inputs, targets)" if both else "a tensor"
        raise SpecError(
            f"{what}: {reference} gave {type(given).__name__}; expected {wanted}; return it"
        )
    inputs, targets = (as_tensor(part, what) for part in pair)
    return split_of(inputs, targets, what)


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in parameters if p.kind in positional and p.default is p.empty]
    return len(needed) == 2


def normalised(
    splits: Mapping[str, Split], normalisation: Normalisation | None, what: str
) -> dict[str, Split]:
    """All splits as (inputs − mean) / std, with the channels along dimension 1 of the inputs.

    Args:
        splits: with `train` among them if there is no normalisation given.
        normalisation: given numbers; None for the mean and the population standard deviation of
            `train`, over its samples and all dimensions after the channels, in float64. A channel
            that is constant there is only centred.
        what: with which error lines begin.

    Raises:
        SpecError: inputs are token ids, hold NaN, or have another number of channels.
    """
    for name, split in splits.items():
        if not split.inputs.is_floating_point():
            raise SpecError(f"{what}: the inputs of {name} are token ids; leave it out")
    if normalisation is None:
        mean, std = _statistics(splits["train"].inputs, what)
    else:
        mean, std = _given(normalisation.mean), _given(normalisation.std)
    return {
        name: Split(_scaled(split.inputs, mean, std, f"{what}: {name}"), split.targets)
        for name, split in splits.items()
    }


def _given(numbers: Numbers) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def _blocks(inputs: Tensor) -> Iterator[slice]:
    rows = max(1, _BLOCK_BYTES // max(1, 8 * inputs[0].numel()))
    return (slice(low, low + rows) for low in range(0, len(inputs), rows))


def _statistics(inputs: Tensor, what: str) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, (C,) or () for inputs (N,)."""
    others = [d for d in range(inputs.dim()) if d != 1]
    number = inputs.numel() / (inputs.shape[1] if inputs.dim() > 1 else 1)
    mean = _total(inputs, lambda block: block.sum(others)) / number
    centre = _along_channels(mean, inputs.dim())
    variance = _total(inputs, lambda block: (block - centre).square().sum(others)) / number
    if not bool(torch.isfinite(mean).all() and torch.isfinite(variance).all()):
        raise SpecError(
            f"{what}: the inputs of train hold NaN or infinite values; leave such samples out"
        )
    spread = variance.sqrt()
    # The mean of equal numbers is not always that number to the last digit.
    constant = spread <= _CONSTANT * mean.abs()
    return mean, torch.where(constant, torch.ones_like(spread), spread)


def _total(inputs: Tensor, summed: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.stack([summed(inputs[rows].double()) for rows in _blocks(inputs)]).sum(0)


def _along_channels(numbers: Tensor, dimensions: int) -> Tensor:
    return numbers if numbers.dim() == 0 else numbers.reshape(-1, *[1] * (dimensions - 2))


def _scaled(inputs: Tensor, mean: Tensor, std: Tensor, what: str) -> Tensor:
    channels = inputs.shape[1] if inputs.dim() > 1 else 1
    for numbers, name in ((mean, "mean"), (std, "std")):
        if numbers.dim() and len(numbers) != channels:
            raise SpecError(
                f"{what}: inputs of shape {tuple(inputs.shape)} have {channels} channels "
                f"(dimension 1) and {name} has {len(numbers)} numbers; give one number, or one "
                "for each channel"
            )
    centre, spread = (_along_channels(numbers, inputs.dim()) for numbers in (mean, std))
    result = torch.empty(inputs.shape, dtype=inputs.dtype)
    for rows in _blocks(inputs):
        result[rows] = (inputs[rows].double() - centre) / spread
    return result
