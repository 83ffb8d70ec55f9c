"""What Python callers hold: pairs of arrays, Datasets and DataLoaders, read once into a split.

Shape legend: N = samples.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from schemas.errors import SpecError, listing
from tasks.objective import Split
from tasks.sources.convert import as_tensor, chosen_pair, is_array, split_of
from tasks.sources.images import pixels
from tasks.sources.rows import Rows, tensor_rows

MOST_STREAMED = 2**20
"""Samples after which a stream without a length is taken to be endless."""
MOST_STREAMED_BYTES = 8 * 2**30
"""Bytes after which it is."""

_FORMS = "a pair (inputs, targets) of tensors or arrays, a Dataset or a DataLoader"
ToTensor = Callable[[object, str], Tensor]


def as_split(value: object, what: str) -> Split:
    """Everything that the value gives, read once and in its order, as one split.

    Random numbers that a data set or a shuffling loader draws from torch's global generator are
    the same each time; the generator itself is left as it was.

    Args:
        value: a Split; a pair (inputs (N, …), targets (N, …)) of tensors or arrays, or a mapping
            that holds them under usual names; token ids alone; a map-style or iterable Dataset of
            such pairs or mappings, one a sample; a DataLoader of batches of them. Samples must
            have one shape. The dtypes are those of `tasks.sources.convert`.
        what: with which error lines begin.

    Raises:
        SpecError: it is something else, samples differ in shape, inputs and targets in number,
            there are none, or a stream without a length does not end within MOST_STREAMED samples
            or MOST_STREAMED_BYTES.
    """
    return as_rows(value, what).take(None)


def as_rows(value: object, what: str, to_tensor: ToTensor | None = None) -> Rows:
    """As `as_split`, but samples of a map-style Dataset are read only when they are taken.

    `to_tensor` makes a tensor of a sample's inputs; by default of numbers, arrays and images.
    """
    if isinstance(value, Split):
        return tensor_rows(value.inputs, value.targets, what)
    pair = _pair(value, what)
    if pair is not None:
        return tensor_rows(*pair, what)
    if isinstance(value, Mapping) or value is None or isinstance(value, (str, bytes, type)):
        raise SpecError(f"{what}: got {_shown(value)}; expected {_FORMS}")
    if isinstance(value, tuple):
        kinds = listing(type(entry).__name__ for entry in value) or "nothing"
        raise SpecError(
            f"{what}: got a tuple of {kinds}; expected {_FORMS}; several splits go into a mapping "
            "such as {'train': …, 'test': …}"
        )
    to_tensor = to_tensor or _leaf
    if isinstance(value, DataLoader):
        return _rows_of_stream(value, what, to_tensor, batched=True)
    if hasattr(value, "__getitem__") and not isinstance(value, IterableDataset):
        return _rows_of_dataset(value, what, to_tensor)
    if isinstance(value, Iterable):
        return _rows_of_stream(value, what, to_tensor, batched=False)
    raise SpecError(f"{what}: got {type(value).__name__}; expected {_FORMS}")


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return f"a mapping of {listing(map(str, value)) or 'nothing'}"
    return repr(value)[:60]


def _pair(value: object, what: str) -> tuple[Tensor, Tensor | None] | None:
    """Inputs and targets that are whole already; None if the value is not of that kind."""
    parts: tuple[object, object | None]
    if isinstance(value, TensorDataset) and len(value.tensors) <= 2:
        parts = (value.tensors[0], value.tensors[1] if len(value.tensors) == 2 else None)
    elif is_array(value):
        parts = (value, None)
    elif isinstance(value, (tuple, list)) and len(value) == 2 and is_array(value[0]):
        parts = (value[0], value[1])
        if not (is_array(value[1]) or value[1] is None):
            raise SpecError(
                f"{what}: got a pair of {type(value[0]).__name__} and {type(value[1]).__name__}; "
                "expected two tensors or arrays"
            )
    elif isinstance(value, Mapping) and any(is_array(part) for part in value.values()):
        names = [str(name) for name, part in value.items() if is_array(part)]
        inputs, targets = chosen_pair(names, None, None, what)
        parts = (value[inputs], None if targets is None else value[targets])
    else:
        return None
    second = None if parts[1] is None else as_tensor(parts[1], f"{what}.targets")
    return as_tensor(parts[0], f"{what}.inputs"), second


def _leaf(value: object, what: str) -> Tensor:
    if isinstance(value, Image.Image):
        return pixels(value, None, None, what)
    return as_tensor(value, what)


def _rows_of_dataset(dataset: Any, what: str, to_tensor: ToTensor) -> Rows:  # noqa: ANN401
    """Samples of a map-style data set, read when they are taken."""
    try:
        count = len(dataset)
    except (TypeError, NotImplementedError):
        raise SpecError(
            f"{what}: {type(dataset).__name__} has no length; give it __len__, or make it an "
            "IterableDataset"
        ) from None

    def take(index: Tensor | None) -> Split:
        positions = range(count) if index is None else index.tolist()
        return _gathered((dataset[i] for i in positions), what, to_tensor, batched=False)

    return Rows(count, take, lambda: take(None).targets)


def _rows_of_stream(
    stream: Iterable[object], what: str, to_tensor: ToTensor, batched: bool
) -> Rows:
    """Samples, or batches of them, that are read here and now."""
    endless = not _has_length(stream)
    split = _gathered(stream, what, to_tensor, batched=batched, endless=endless)
    return tensor_rows(split.inputs, split.targets, what)


def _has_length(stream: object) -> bool:
    try:
        len(stream)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError):
        return False
    return True


def _gathered(
    items: Iterable[object],
    what: str,
    to_tensor: ToTensor,
    *,
    batched: bool,
    endless: bool = False,
) -> Split:
    """One split of samples, or of batches; `endless` if the items may never end."""
    inputs, targets = _Column(f"{what}.inputs"), _Column(f"{what}.targets")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        for item in _told(items, what, "batch" if batched else "sample"):
            where = f"{what}: sample {inputs.count}"
            first, second = _entries(item, where)
            inputs.add(to_tensor(first, where), batched)
            if second is not None:
                # A picture as a target is a map of classes: its numbers stay as they are.
                targets.add(as_tensor(second, f"{where}, targets"), batched)
            if endless and _too_much(inputs):
                raise SpecError(
                    f"{what}: has no length and gave {inputs.count:,} samples without an end; "
                    "cut it with itertools.islice, or give it __len__"
                )
    if not inputs.count:
        raise SpecError(f"{what}: gave no samples; expected at least one")
    return split_of(inputs.whole(), targets.whole() if targets.count else None, what)


def _too_much(column: _Column) -> bool:
    return column.count >= MOST_STREAMED or column.nbytes >= MOST_STREAMED_BYTES


class _Column:
    """Tensors (n, …) one after the other, of one shape but for their n."""

    def __init__(self, what: str) -> None:
        self.count = 0
        self.nbytes = 0
        self._what = what
        self._parts: list[Tensor] = []

    def add(self, tensor: Tensor, batched: bool) -> None:
        part = tensor if batched else tensor[None]
        if part.dim() == 0:
            raise SpecError(
                f"{self._what}: sample {self.count}: a batch is a single number; expected samples "
                "along its first dimension; give the DataLoader a batch_size"
            )
        if self._parts and part.shape[1:] != self._parts[0].shape[1:]:
            raise SpecError(
                f"{self._what}: sample {self.count} has shape {tuple(part.shape[1:])} and sample 0 "
                f"{tuple(self._parts[0].shape[1:])}; pad or resize the samples to one shape"
            )
        self._parts.append(part)
        self.count += len(part)
        self.nbytes += part.numel() * part.element_size()

    def whole(self) -> Tensor:
        return torch.cat(self._parts)


def _entries(item: object, where: str) -> tuple[object, object | None]:
    """Inputs and targets of a sample or a batch; None where there are no targets."""
    if isinstance(item, Mapping):
        inputs, targets = chosen_pair(map(str, item), None, None, where)
        return item[inputs], None if targets is None else item[targets]
    if not isinstance(item, (tuple, list)):
        return item, None
    if len(item) not in (1, 2):
        kinds = listing(type(entry).__name__ for entry in item)
        raise SpecError(
            f"{where}: gives {len(item)} entries ({kinds}); expected inputs and targets; return "
            "these two"
        )
    return item[0], item[1] if len(item) == 2 else None


def _told(items: Iterable[object], what: str, unit: str) -> Iterator[object]:
    """The items; what the user's code raises on the way becomes one line."""
    iterator: Iterator[object] | None = None
    for position in itertools.count():
        try:
            iterator = iter(items) if iterator is None else iterator
            item = next(iterator)
        except StopIteration:
            return
        except SpecError:
            raise
        except Exception as error:  # noqa: BLE001 - a user's own code may raise anything
            lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
            # An error from a worker process is told last in the text that it brings along.
            told = lines[-1] if "Traceback" in str(error) else lines[0]
            remedy = "; pad the samples to one shape" if "equal size" in told else ""
            raise SpecError(
                f"{what}: reading {unit} {position} raised {type(error).__name__}: {told[:300]}"
                f"{remedy}"
            ) from None
        yield item
