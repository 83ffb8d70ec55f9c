"""What each kind of source offers: splits by name, or one whole."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import torch

from schemas.errors import SpecError, listing
from tasks.model.importing import call
from tasks.sources.arrays import array_names, array_rows, file_rows
from tasks.sources.convert import INPUT_NAMES
from tasks.sources.images import class_names, folder_rows
from tasks.sources.kinds import (
    ArraySource,
    FactorySource,
    FileSource,
    FolderSource,
    HuggingFaceSource,
    TorchvisionSource,
)
from tasks.sources.libraries import huggingface_offer, torchvision_offer
from tasks.sources.loaders import as_rows
from tasks.sources.parameters import AnySource
from tasks.sources.rows import Offer, Rows

OnDisk: TypeAlias = FileSource | ArraySource | FolderSource | HuggingFaceSource
_PLACE = "{split}"


def offer_of(source: AnySource, wanted: Sequence[str], base: Path, seed: int, what: str) -> Offer:
    """What a source offers, opened no further than it takes to tell.

    Args:
        source: where the samples are.
        wanted: splits that are asked for, for libraries that do not tell which they have.
        base: the folder that paths are relative to.
        seed: of torch's global generator while a factory is called.
        what: with which error lines begin.

    Raises:
        SpecError: the source is missing or of another kind.
    """
    if isinstance(source, TorchvisionSource):
        return torchvision_offer(source, wanted, base, what)
    if isinstance(source, FactorySource):
        return _factory_offer(source, base, seed, what)
    placed = _fields_with_place(source)
    if placed:
        names = _split_names(source, placed, base, what)
        return Offer({name: partial(_rows_at, source, name, names, base, what) for name in names})
    if isinstance(source, HuggingFaceSource):
        return huggingface_offer(source, base, what)
    return Offer(whole=partial(_rows, source, base, None, what))


def train_classes(source: AnySource | None, base: Path) -> list[str] | None:
    """The classes of a folder of images, which number those of other splits; None if unknown."""
    if not isinstance(source, FolderSource):
        return None
    folder = base / source.folder.replace(_PLACE, "train")
    return class_names(folder) if folder.is_dir() else None


def rows_of_split(
    source: AnySource, split: str, classes: Sequence[str] | None, base: Path, seed: int, what: str
) -> Rows:
    """The samples of a split that has a source of its own.

    Raises:
        SpecError: as `offer_of`, or the source has several splits and none of that name.
    """
    if isinstance(source, FolderSource):
        return _rows(_at(source, split), base, classes, what)
    offer = offer_of(source, (split,), base, seed, what)
    if offer.whole is not None:
        return offer.whole()
    if split not in offer.splits:
        raise SpecError(
            f"{what}: the source has the splits {listing(offer.splits) or 'none'}; none of them is "
            f"{split!r}; name another source for it"
        )
    return offer.splits[split]()


def _rows(source: OnDisk, base: Path, classes: Sequence[str] | None, what: str) -> Rows:
    if isinstance(source, FileSource):
        return file_rows(source, base, what)
    if isinstance(source, ArraySource):
        return array_rows(source, base, what)
    if isinstance(source, FolderSource):
        folder = base / source.folder
        return folder_rows(folder, source.side, source.grey, classes, f"{what}.folder")
    offer = huggingface_offer(source, base, what)
    if offer.whole is None:
        raise SpecError(
            f"{what}.huggingface: {source.huggingface} has splits of its own "
            f"({listing(offer.splits)}); leave {_PLACE} out"
        )
    return offer.whole()


def _rows_at(source: OnDisk, split: str, names: Sequence[str], base: Path, what: str) -> Rows:
    classes = train_classes(source, base) if "train" in names else None
    return _rows(_at(source, split), base, classes, what)


def _at(source: OnDisk, split: str) -> OnDisk:
    changes = {
        name: getattr(source, name).replace(_PLACE, split) for name in _fields_with_place(source)
    }
    return source.model_copy(update=changes)


def _fields_with_place(source: OnDisk) -> list[str]:
    return [
        name
        for name in ("file", "folder", "huggingface", "inputs", "targets")
        if _PLACE in (getattr(source, name, None) or "")
    ]


def _split_names(source: OnDisk, placed: Sequence[str], base: Path, what: str) -> list[str]:
    """The splits that there are for a source with {split} in some of its fields."""
    if isinstance(source, FileSource) and "file" not in placed:
        names = array_names(base / source.file, f"{what}.file")
        pattern, there = getattr(source, placed[0]), f"the names {listing(names)}"
        found = _matches(pattern, names)
    else:
        kinds = {ArraySource: "inputs", FileSource: "file", FolderSource: "folder"}
        path = next((f for kind, f in kinds.items() if isinstance(source, kind)), "huggingface")
        if path not in placed:
            raise SpecError(
                f"{what}.{placed[0]}: has {_PLACE} and {path}: has not; write it in both, or name "
                "one source for each split"
            )
        pattern, there = getattr(source, path), str(base)
        full = str(base / pattern)
        found = _matches(full, glob.glob("*".join(map(glob.escape, full.split(_PLACE)))))
    if not found:
        raise SpecError(
            f"{what}.{placed[0]}: nothing in {there} fits {pattern!r}; {_PLACE} stands for the "
            "name of a split, such as train"
        )
    return found


def _matches(pattern: str, names: Iterable[str]) -> list[str]:
    """What stands in the place of {split}, the same in each of its places."""
    first, *others = map(re.escape, pattern.split(_PLACE))
    expression = re.compile(first + r"([^/\\]+)" + r"\1".join(others))
    return sorted(match[1] for name in names if (match := expression.fullmatch(name)))


def _factory_offer(source: FactorySource, base: Path, seed: int, what: str) -> Offer:
    what = f"{what}.factory"
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        value = call(source.factory, base, what, source.arguments)
    if isinstance(value, Mapping) and not any(str(k).lower() in INPUT_NAMES for k in value):
        return Offer(
            {str(name): partial(as_rows, part, f"{what}[{name!r}]") for name, part in value.items()}
        )
    return Offer(whole=partial(as_rows, value, what))
