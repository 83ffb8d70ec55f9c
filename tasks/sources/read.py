"""From what a spec says of its data to splits.

Shape legend: N = samples.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from schemas.errors import SpecError, listing, suggestion
from tasks.data import DATA, stratified
from tasks.objective import Split
from tasks.sources.kinds import BuiltInData, Normalisation, OneSourceOptions, Options
from tasks.sources.offers import offer_of, rows_of_split, train_classes
from tasks.sources.options import normalised, transformed
from tasks.sources.parameters import AnyData, SplitsData
from tasks.sources.rows import Rows, drawn, halves, tensor_rows


def read_splits(
    data: AnyData, wanted: Sequence[str], base: Path, seed: int, what: str = "data"
) -> dict[str, Split]:
    """The wanted splits, in that order: inputs (N, …) and targets (N, …), on the CPU.

    Only these are read, and `train` if the others are to be normalised by it. The samples that are
    kept are drawn first; then comes the transform, then the normalisation. The dtypes are those
    of `tasks.sources.convert`. Arrays of .npy files stay mapped and must not be written.

    Args:
        data: a validated `data:` of a spec.
        wanted: names of the splits.
        base: the folder that paths are relative to.
        seed: decides what is drawn, and how one source is divided into train and test.
        what: with which error lines begin.

    Raises:
        SpecError: a source is missing, damaged or of another kind, lacks a wanted split, or gives
            what cannot be inputs and targets.
    """
    needed = list(dict.fromkeys(wanted))
    if data.normalise == "standard" and "train" not in needed:
        needed.append("train")
    counted = list(data.samples) if isinstance(data.samples, Mapping) else []
    offered = _offered(data, [*needed, *counted], base, seed, what)
    for name in needed:
        if name not in offered and name not in wanted:
            raise SpecError(
                f"{what}.normalise: standard needs the split {name}; {what} has "
                f"{listing(offered)}; give mean and std"
            )
        if name not in offered:
            raise SpecError(_lacking(name, offered, data, what))
    for name in counted:
        if name not in offered:
            raise SpecError(
                f"{what}.samples.{name}: there is no such split; there is {listing(offered)}"
                f"{suggestion(name, offered)}"
            )
    splits = {}
    for name in needed:
        rows = _sampled(offered[name](), data, name, seed, what)
        split = rows.take(None)
        if data.transform is not None:
            split = transformed(split, data.transform, base, f"{what}.transform")
        splits[name] = split
    if data.normalise is not None:
        given = data.normalise if isinstance(data.normalise, Normalisation) else None
        splits = normalised(splits, given, f"{what}.normalise")
    return {name: splits[name] for name in dict.fromkeys(wanted)}


def _lacking(name: str, offered: Mapping[str, object], data: Options, what: str) -> str:
    remedy = "name one source for each split"
    if isinstance(data, OneSourceOptions) and list(offered) == ["train"]:
        remedy = "set test_fraction: 0.2, write {split} in its path, or name a source for each"
    near = suggestion(name, offered) or f"; {remedy}"
    return f"splits: got {name!r}; {what} has {listing(offered) or 'none'}{near}"


def _sampled(rows: Rows, data: Options, split: str, seed: int, what: str) -> Rows:
    number = data.samples.get(split) if isinstance(data.samples, Mapping) else data.samples
    if number is None:
        return rows
    # Splits of one size do not draw the same positions.
    own = seed ^ zlib.crc32(split.encode())
    return drawn(rows, number, own, f"{what}.samples: split {split!r}")


def _offered(
    data: AnyData, needed: Sequence[str], base: Path, seed: int, what: str
) -> Mapping[str, Callable[[], Rows]]:
    """What opens each split that the data has."""
    if isinstance(data, BuiltInData):
        return _built_in(data, seed, what)
    if isinstance(data, SplitsData):
        classes = train_classes(data.sources.get("train"), base)
        return {
            name: partial(rows_of_split, source, name, classes, base, seed, f"{what}.{name}")
            for name, source in data.sources.items()
        }
    offer = offer_of(data, needed, base, seed, what)
    fraction = data.test_fraction
    if offer.whole is None:
        if fraction is not None:
            raise SpecError(
                f"{what}.test_fraction: got {fraction}; the source has splits of its own "
                f"({listing(offer.splits)}); leave it out"
            )
        return offer.splits
    if fraction is None:
        return {"train": offer.whole}
    parts = halves(offer.whole(), fraction, seed, f"{what}.test_fraction")
    return {name: partial(_same, rows) for name, rows in parts.items()}


def _same(rows: Rows) -> Rows:
    return rows


def _built_in(data: BuiltInData, seed: int, what: str) -> Mapping[str, Callable[[], Rows]]:
    images = DATA[data.name]()
    if data.side is not None:
        images = images.resized(data.side)
    parts = dict(zip(("train", "test"), stratified(images, seed, data.test_fraction), strict=True))

    def rows(name: str) -> Rows:
        split = parts[name].split(data.flat)
        return tensor_rows(split.inputs, split.targets, f"{what}: {name}")

    return {name: partial(rows, name) for name in parts}
