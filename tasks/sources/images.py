"""Images as arrays of bytes, and folders of them.

Shape legend: N = samples, C = channels, 1 or 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from schemas.errors import SpecError, listing
from tasks.objective import Split
from tasks.sources.convert import split_of
from tasks.sources.rows import Rows

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp")
_SPLIT_NAMES = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})


def pixels(image: Image.Image, side: int | None, grey: bool | None, what: str) -> Tensor:
    """An image's bytes, (C, height, width) uint8.

    Args:
        image: of any mode of 8 bits; transparency is dropped.
        side: pixels of both sides after bilinear resizing over the area each new pixel covers.
        grey: one channel, or three; None as the image is.
        what: with which error lines begin.

    Raises:
        SpecError: the image has more than 8 bits a channel.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        raise SpecError(
            f"{what}: has more than 8 bits a channel; convert it, or give arrays as .npy"
        )
    if grey is None:
        grey = image.mode in ("1", "L", "LA", "La")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    image = image.convert("L" if grey else "RGB")
    if side is not None:
        image = image.resize((side, side), Image.Resampling.BILINEAR)
    array = np.array(image, dtype=np.uint8)
    return torch.from_numpy(array[None] if grey else array.transpose(2, 0, 1).copy())


def stacked(images: Iterable[tuple[str, Tensor]], number: int) -> Tensor:
    """Named images of one shape (C, height, width) as one tensor (number, C, height, width).

    Raises:
        SpecError: an image's shape is not that of the first one.
    """
    whole: Tensor | None = None
    for position, (name, image) in enumerate(images):
        if whole is None:
            whole = torch.empty((number, *image.shape), dtype=image.dtype)
        if image.shape != whole.shape[1:]:
            channels = len(image) != whole.shape[1]
            remedy = "set grey: true or false" if channels else "set side: to resize them all"
            raise SpecError(
                f"{name}: shape {tuple(image.shape)}; the first image has "
                f"{tuple(whole.shape[1:])}; {remedy}"
            )
        whole[position] = image
    return whole if whole is not None else torch.empty((0,), dtype=torch.uint8)


def class_names(folder: Path) -> list[str]:
    """The class folders in a folder, sorted."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())


def folder_rows(
    folder: Path, side: int | None, grey: bool | None, classes: Sequence[str] | None, what: str
) -> Rows:
    """The images below `folder/class name/`, in the order of their paths.

    Args:
        folder: the folder that holds a folder for each class.
        side: as in `pixels`.
        grey: as in `pixels`.
        classes: names of the classes in the order of their numbers; by default the folder's.
        what: with which error lines begin.

    Raises:
        SpecError: no such folder, no class folder or image in it, or a class that is not known.
    """
    own = _own_classes(folder, what)
    classes = own if classes is None else classes
    unknown = [name for name in own if name not in classes]
    if unknown:
        raise SpecError(
            f"{what}: {folder.name} has the class {unknown[0]!r}, which train lacks "
            f"({listing(classes)}); all splits need the same classes"
        )
    found = [(path, classes.index(name)) for name in own for path in _images_in(folder / name)]
    if not found:
        raise SpecError(f"{what}: no images in {folder}/*/; expected {listing(SUFFIXES)}")
    labels = torch.tensor([label for _, label in found])
    paths = [path for path, _ in found]

    def take(index: Tensor | None) -> Split:
        some = paths if index is None else [paths[i] for i in index.tolist()]
        read = partial(_read, side=side, grey=grey, what=what)
        images = stacked(((f"{what}: {path}", read(path)) for path in some), len(some))
        return split_of(images, labels if index is None else labels[index], what)

    return Rows(len(paths), take, lambda: labels)


def _own_classes(folder: Path, what: str) -> list[str]:
    if not folder.is_dir():
        raise SpecError(f"{what}: {folder} is not a folder; expected one folder a class in it")
    own = class_names(folder)
    if not own:
        raise SpecError(f"{what}: {folder} has no folders; expected one a class, with its images")
    if {name.lower() for name in own} <= _SPLIT_NAMES:
        raise SpecError(
            f"{what}: the folders in {folder} are splits ({listing(own)}), not classes; "
            f"write {folder.name}/{{split}}"
        )
    return own


def _images_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def _read(path: Path, side: int | None, grey: bool | None, what: str) -> Tensor:
    try:
        with Image.open(path) as image:
            return pixels(image, side, grey, f"{what}: {path}")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise SpecError(
            f"{what}: {path} cannot be read as an image ({type(error).__name__}); leave it out"
        ) from None
