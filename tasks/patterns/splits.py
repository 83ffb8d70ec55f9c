"""The splits that the pattern tasks offer.

- `train`, `test`: the data set, stratified.
- `other`: a different real data set with exactly the label counts of `train`.
- `random`: random inputs with exactly the label counts of `train`.
- `shifted`: images of `test` under a clearly different label marginal.

Shape legend: N = samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from schemas.errors import SpecError, listing, suggestion
from tasks.data import DATA, Images, class_counts, stratified, with_label_counts
from tasks.objective import Split
from tasks.patterns.parameters import PatternParameters

CLASSES = 10
SPLITS = ("train", "test", "other", "random", "shifted")
_OTHER = {"digits": "mnist-subset", "mnist-subset": "digits"}


def make_splits(parameters: PatternParameters, names: Sequence[str], seed: int) -> dict[str, Split]:
    """The named splits; SpecError for a name that is not offered."""
    for name in names:
        if name not in SPLITS:
            raise SpecError(
                f"splits: got {name!r}; expected some of {listing(SPLITS)}"
                f"{suggestion(name, SPLITS)}"
            )
    data = DATA[parameters.data]()
    train, test = stratified(data, seed)
    makers: Mapping[str, Callable[[], Images]] = {
        "train": lambda: train,
        "test": lambda: test,
        "other": lambda: _other(parameters.data, train, seed),
        "random": lambda: _random(train, seed),
        "shifted": lambda: _shifted(test),
    }
    flat = parameters.network.kind == "mlp"
    return {name: makers[name]().split(flat) for name in dict.fromkeys(names)}


def _other(name: str, train: Images, seed: int) -> Images:
    other = DATA[_OTHER[name]]().resized(train.images.shape[-1])
    counts = class_counts(train.labels, CLASSES)
    available = class_counts(other.labels, CLASSES)
    if bool((available < counts).any()):
        # A smaller data set keeps the marginal exactly by repeating its images.
        repeats = int((counts / available).ceil().max())
        other = Images(other.images.repeat(repeats, 1, 1), other.labels.repeat(repeats))
    return with_label_counts(other, counts, seed)


def _random(train: Images, seed: int) -> Images:
    generator = torch.Generator().manual_seed(seed)
    return Images(torch.rand(train.images.shape, generator=generator), train.labels)


def _shifted(test: Images) -> Images:
    """The first half of the classes in full, one in eight of the others."""
    keep = test.labels < CLASSES // 2
    others = torch.nonzero(~keep).flatten()[::8]
    return test.take(torch.cat([torch.nonzero(keep).flatten(), others]))
