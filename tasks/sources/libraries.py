"""Data sets on disk as torchvision and the package `datasets` keep them. Nothing is downloaded."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from schemas.errors import SpecError, listing, suggestion
from tasks.objective import Split
from tasks.sources.convert import as_tensor, chosen_pair, split_of
from tasks.sources.images import pixels, stacked
from tasks.sources.kinds import HuggingFaceSource, TorchvisionSource
from tasks.sources.loaders import as_rows
from tasks.sources.rows import Offer, Rows

# They keep pickles beside the data and read them without a check.
_UNSAFE = ("LSUN", "LSUNClass")
_RESERVED = ("root", "download", "transform", "target_transform", "transforms", "loader")
_TRAIN_FLAG = {"train": True, "test": False}


def torchvision_offer(
    source: TorchvisionSource, wanted: Sequence[str], base: Path, what: str
) -> Offer:
    """The splits that the class tells apart by `train` or by `split`, else all of it.

    Raises:
        SpecError: torchvision is missing or broken, has no such class, or the class refuses its
            arguments or what it finds on disk.
    """
    library = _library("torchvision.datasets", "vision", f"{what}.torchvision")
    name, known = source.torchvision, list(library.__all__)
    if name not in known or name in _UNSAFE:
        told = "it unpickles files" if name in known else "no such data set in torchvision.datasets"
        near = "; use another source" if name in known else suggestion(name, known)
        raise SpecError(f"{what}.torchvision: got {name!r}; {told}{near}")
    kind = getattr(library, name)
    takes = _parameters_of(kind)
    _check_arguments(source.arguments, takes, f"{what}.arguments")

    def open_with(selector: Mapping[str, object]) -> Rows:
        return _torchvision_rows(source, kind, takes, selector, base, what)

    chooser = next((word for word in ("train", "split") if word in takes), None)
    if chooser is None or chooser in source.arguments:
        return Offer(whole=partial(open_with, {}))
    if chooser == "train":
        flags: Mapping[str, object] = _TRAIN_FLAG
    else:
        flags = {split: split for split in wanted}
    return Offer({split: partial(open_with, {chooser: flag}) for split, flag in flags.items()})


def huggingface_offer(source: HuggingFaceSource, base: Path, what: str) -> Offer:
    """The splits of a saved dictionary of data sets, or all of a saved data set.

    Raises:
        SpecError: the package `datasets` is missing, or there is no saved data set.
    """
    library = _library("datasets", "huggingface", f"{what}.huggingface")
    path = (base / source.huggingface).resolve()
    if not path.is_dir():
        raise SpecError(
            f"{what}.huggingface: no directory {path}; save one with "
            "datasets.load_dataset(…).save_to_disk(directory)"
        )
    try:
        found = library.load_from_disk(str(path))
    except Exception as error:  # noqa: BLE001 - a library's many ways to refuse a damaged directory
        raise SpecError(
            f"{what}.huggingface: {path} is no data set saved by save_to_disk "
            f"({type(error).__name__}: {_first_line(error)}); save it again"
        ) from None
    if not isinstance(found, library.DatasetDict):
        return Offer(whole=lambda: huggingface_rows(found, source, what))
    return Offer(
        {
            str(name): partial(huggingface_rows, part, source, f"{what}[{str(name)!r}]")
            for name, part in found.items()
        }
    )


def huggingface_rows(dataset: Any, source: HuggingFaceSource, what: str) -> Rows:  # noqa: ANN401
    """Two columns of a `datasets.Dataset`, or one of token ids.

    Raises:
        SpecError: no such columns, or no samples.
    """
    inputs, targets = chosen_pair(dataset.column_names, source.inputs, source.targets, what)
    if not len(dataset):
        raise SpecError(f"{what}: holds no samples; expected at least one")

    as_inputs = partial(_picture, side=source.side, grey=source.grey)

    def column(name: str, index: Tensor | None, read: Callable[[object, str], Tensor]) -> Tensor:
        rows = dataset if index is None else dataset.select(index.tolist())
        return _column(rows, name, read, f"{what}: column {name!r}")

    def take(index: Tensor | None) -> Split:
        # A picture as a target is a map of classes: its numbers stay as they are.
        second = None if targets is None else column(targets, index, as_tensor)
        return split_of(column(inputs, index, as_inputs), second, what)

    return Rows(len(dataset), take, lambda: column(targets or inputs, None, as_tensor))


def _column(
    rows: Any,  # noqa: ANN401 - a datasets.Dataset
    name: str,
    read: Callable[[object, str], Tensor],
    what: str,
) -> Tensor:
    feature = rows.features[name]
    if type(feature).__name__ == "Image":
        named = ((f"{what}, row {row}", value) for row, value in enumerate(rows[name]))
        return stacked(((where, read(value, where)) for where, value in named), len(rows))
    # Left to itself the format makes every float a float32 and every whole number an int64.
    while hasattr(feature, "feature"):
        feature = feature.feature
    dtype = getattr(torch, str(getattr(feature, "dtype", "")), None)
    options = {"dtype": dtype} if isinstance(dtype, torch.dtype) else {}
    values = rows.with_format("torch", columns=[name], **options)[:][name]
    if isinstance(values, Tensor):
        return values
    first = as_tensor(values[0], f"{what}, row 0")
    for row, value in enumerate(values):
        shape = as_tensor(value, f"{what}, row {row}").shape
        if shape != first.shape:
            raise SpecError(
                f"{what}: row {row} has shape {tuple(shape)} and row 0 {tuple(first.shape)}; pad "
                "the rows to one length"
            )
    return torch.stack(list(values))


def _torchvision_rows(
    source: TorchvisionSource,
    kind: Callable[..., object],
    takes: frozenset[str],
    selector: Mapping[str, object],
    base: Path,
    what: str,
) -> Rows:
    root = base / source.root
    # Some classes download unless they are told not to.
    quiet = {"download": False} if "download" in takes else {}
    place = {"root": str(root)} if "root" in takes else {}
    try:
        dataset = kind(**place, **quiet, **selector, **source.arguments)
    except Exception as error:  # noqa: BLE001 - each class refuses in its own way
        given = "".join(f", {name}={value!r}" for name, value in selector.items())
        raise SpecError(
            f"{what}.torchvision: {source.torchvision}({str(root)!r}{given}) raised "
            f"{type(error).__name__}: {_first_line(error)}; nothing is downloaded here: fetch it "
            "with torchvision first, or name another root or arguments"
        ) from None
    read = partial(_picture, side=source.side, grey=source.grey)
    return as_rows(dataset, f"{what}.torchvision", read)


def _picture(value: object, what: str, *, side: int | None, grey: bool | None) -> Tensor:
    if isinstance(value, Image.Image):
        return pixels(value, side, grey, what)
    return as_tensor(value, what)


def _parameters_of(kind: type) -> frozenset[str]:
    """Names that the constructor takes; those it hands on to its bases with **kwargs as well."""
    names: set[str] = set()
    for ancestor in kind.__mro__[:-1]:
        if "__init__" not in vars(ancestor):
            continue
        parameters = inspect.signature(vars(ancestor)["__init__"]).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return frozenset(names - {"self"})


def _check_arguments(arguments: Mapping[str, object], takes: frozenset[str], what: str) -> None:
    for name in arguments:
        if name in _RESERVED:
            hint = "transform: beside the source" if "transform" in name else "root: of the source"
            remedy = "fetch the data first" if name == "download" else f"use {hint}"
            raise SpecError(f"{what}.{name}: cannot be set here; {remedy}")
        if name not in takes:
            allowed = sorted(takes - set(_RESERVED))
            raise SpecError(
                f"{what}.{name}: unknown argument; expected some of {listing(allowed) or 'none'}"
                f"{suggestion(name, allowed)}"
            )


def _library(module: str, extra: str, what: str) -> Any:  # noqa: ANN401 - modules are untyped
    package = module.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        raise SpecError(
            f"{what}: the package {package} is not installed; pip install 'cartograd[{extra}]'"
        )
    try:
        return importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 - a build that does not fit raises anything
        raise SpecError(
            f"{what}: the package {package} is installed but cannot be imported "
            f"({type(error).__name__}: {_first_line(error)}); install a build of it that fits "
            f"torch {torch.__version__}: pip install 'cartograd[{extra}]'"
        ) from None


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:200]
