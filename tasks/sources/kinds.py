"""The kinds of sources, and the options beside them. Importing this module imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, FiniteFloat

from tasks.registry import Parameters

BuiltInName = Literal["digits", "mnist-subset"]
Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1, strict=True)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Numbers = FiniteFloat | tuple[FiniteFloat, ...]


def _entries(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _numbers(value: object) -> object:
    entries = _entries(value)
    if not entries or not all(_is_number(entry) for entry in entries):
        raise ValueError(f"got {value!r}; expected a number, or a list with one for each channel")
    return value


def _positive_numbers(value: object) -> object:
    for entry in _entries(_numbers(value)):
        if entry <= 0:
            raise ValueError(f"got {entry}; a standard deviation is more than 0")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


class Normalisation(Parameters):
    """(inputs − mean) / std, for every channel or feature alike, or for each its own."""

    mean: Annotated[Numbers, BeforeValidator(_numbers)] = Field(description="What is subtracted.")
    std: Annotated[Numbers, BeforeValidator(_positive_numbers)] = Field(
        description="What is divided by."
    )


def _normalisation(value: object) -> object:
    if value is None or value == "standard" or isinstance(value, Normalisation):
        return value
    if isinstance(value, Mapping):
        return Normalisation.model_validate(dict(value))
    raise ValueError(f"got {value!r}; expected standard, or a mapping with mean and std")


def _samples(value: object) -> object:
    counts = value.values() if isinstance(value, Mapping) else [value]
    for count in counts:
        whole = isinstance(count, int) and not isinstance(count, bool)
        if value is not None and not (whole and cast("int", count) >= 1):
            raise ValueError(
                f"got {count!r}; expected a whole number, 1 or more, or such a number for each "
                "split, such as {train: 1000}"
            )
    return value


class Options(Parameters):
    """What is done with the samples, whichever source they come from."""

    samples: Annotated[Count | dict[str, Count] | None, BeforeValidator(_samples)] = Field(
        None,
        description="How many samples of each split are kept, drawn without replacement from "
        "`seed` and in the order of the source: one number, or one for each split.",
    )
    normalise: Annotated[
        Literal["standard"] | Normalisation | None, BeforeValidator(_normalisation)
    ] = Field(
        None,
        description="standard: mean 0 and standard deviation 1 over the train split, for each "
        "channel (dimension 1 of the inputs); or given numbers. After `transform`.",
    )
    seed: Annotated[int, Field(ge=0, strict=True)] = Field(
        0,
        description="What is drawn, and how one source is divided into train and test; the seed of "
        "the scan has no part in it.",
    )
    transform: Text | None = Field(
        None,
        description="A function, as package.module:name or file.py:name, called once for each "
        "split with all its inputs, or with inputs and targets if it takes two arguments.",
    )


class OneSourceOptions(Options):
    """Options of a source that stands alone."""

    test_fraction: Fraction | None = Field(
        None,
        description="Share of a source without splits that becomes `test`, the rest is `train`; "
        "stratified when the targets are classes.",
    )


class ImageOptions(Parameters):
    """How images become arrays (channels, height, width)."""

    side: Count | None = Field(None, description="Pixels to which both sides are resized.")
    grey: bool | None = Field(
        None, description="true: one channel; false: three; by default as the image is."
    )


class FileSource(Parameters):
    """Named arrays of a .npz or .safetensors file."""

    file: Text = Field(description="Path; {split} in it stands for the split's name.")
    inputs: Text | None = Field(None, description="Name of the inputs; by default a usual one.")
    targets: Text | None = Field(
        None,
        description="Name of the targets; by default a usual one; without any, token ids are their "
        "own targets.",
    )


class ArraySource(Parameters):
    """Two .npy files, mapped into memory."""

    inputs: Text = Field(description="Path; {split} in it stands for the split's name.")
    targets: Text | None = Field(
        None, description="Path; without it, token ids are their own targets."
    )


class FolderSource(ImageOptions):
    """Images in folders named for their classes; classes are numbered in the order of names."""

    folder: Text = Field(description="Path; {split} in it stands for the split's name.")


class TorchvisionSource(ImageOptions):
    """A data set of torchvision.datasets that is on disk; nothing is downloaded."""

    torchvision: Text = Field(description="Name of the class, such as CIFAR10.")
    root: Text = Field(description="Its root directory.")
    arguments: dict[str, Any] = Field(default_factory=dict, description="Further arguments.")


class HuggingFaceSource(ImageOptions):
    """A data set saved by `save_to_disk` of the package `datasets`."""

    huggingface: Text = Field(description="Directory of the data set, or of a dictionary of them.")
    inputs: Text | None = Field(None, description="Column of the inputs; by default a usual one.")
    targets: Text | None = Field(
        None,
        description="Column of the targets; by default a usual one; without any, token ids are "
        "their own targets.",
    )


class FactorySource(Parameters):
    """What a function of the user's own gives."""

    factory: Text = Field(
        description="package.module:name or file.py:name; gives a pair (inputs, targets), a "
        "Dataset or a DataLoader, or a mapping from split to such."
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="Its keyword arguments.")


class BuiltInData(Options):
    """A data set that comes with an installed package."""

    name: BuiltInName = Field(description="digits: 1,797 of 8×8 pixels; mnist-subset: 5,000.")
    flat: bool = Field(True, description="Inputs (N, pixels), else (N, 1, height, width).")
    side: Count | None = Field(None, description="Pixels to which both sides are averaged.")
    test_fraction: Fraction = Field(
        0.2, description="Share of each class that becomes `test`; the rest is `train`."
    )


class FileData(OneSourceOptions, FileSource):
    """A file for all splits, or one for each."""


class ArrayData(OneSourceOptions, ArraySource):
    """.npy files for all splits, or some for each."""


class FolderData(OneSourceOptions, FolderSource):
    """A folder for all splits, or one for each."""


class TorchvisionData(OneSourceOptions, TorchvisionSource):
    """The splits of a data set of torchvision."""


class HuggingFaceData(OneSourceOptions, HuggingFaceSource):
    """The splits of a saved data set."""


class FactoryData(OneSourceOptions, FactorySource):
    """The splits that a function gives."""
