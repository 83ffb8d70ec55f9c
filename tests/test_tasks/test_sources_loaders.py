"""Pairs, Datasets, DataLoaders and factories as splits."""

import itertools
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from schemas.errors import SpecError
from tasks.objective import Split
from tasks.sources import loaders
from tasks.sources.loaders import as_split
from tests.test_tasks.test_sources import line, read

X = torch.arange(21.0).reshape(7, 3)
Y = torch.tensor([0, 1, 2, 0, 1, 2, 0])


class Pairs(Dataset):
    """Map-style; counts what is read."""

    def __init__(self, make=lambda x, y: (x, y)):
        self.make, self.read = make, 0

    def __len__(self):
        return len(X)

    def __getitem__(self, i):
        self.read += 1
        return self.make(X[i], int(Y[i]))


class Stream(IterableDataset):
    def __init__(self, items):
        self.items = items

    def __iter__(self):
        return iter(self.items())


class Sized(Stream):
    def __len__(self):
        return len(X)


def refusal(value):
    with pytest.raises(SpecError) as caught:
        as_split(value, "data['train']")
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("data['train']")
    return message


@pytest.mark.parametrize(
    "value",
    [
        (X, Y),
        [X.numpy(), Y.numpy().astype(np.int16)],
        {"images": X, "labels": Y, "name": "seven"},
        Split(X, Y),
        TensorDataset(X, Y),
        Pairs(),
        Pairs(lambda x, y: {"x": x.tolist(), "label": np.int32(y), "text": "a"}),
        Stream(lambda: zip(X, Y, strict=True)),
        Sized(lambda: zip(X, Y, strict=True)),
        list(zip(X.numpy(), Y.tolist(), strict=True)),
        DataLoader(Pairs(), batch_size=3),
        DataLoader([(X[:4], Y[:4]), (X[4:], Y[4:])], batch_size=None),
        DataLoader(Pairs(lambda x, y: {"input": x, "target": y}), batch_size=2),
        DataLoader(Stream(lambda: zip(X, Y, strict=True)), batch_size=4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_form_gives_the_same_split(value):
    split = as_split(value, "data")
    assert torch.equal(split.inputs, X)
    assert torch.equal(split.targets, Y)
    assert (split.inputs.dtype, split.targets.dtype) == (torch.float32, torch.int64)


def test_a_loader_is_read_once_and_a_shuffling_one_gives_the_same_order_each_time():
    data = Pairs()
    state = torch.get_rng_state()
    first = as_split(DataLoader(data, batch_size=2, shuffle=True), "data")
    assert data.read == len(X)
    torch.rand(5)
    second = as_split(DataLoader(Pairs(), batch_size=2, shuffle=True), "data")
    assert torch.equal(first.inputs, second.inputs)
    assert not torch.equal(first.inputs, X)
    assert torch.equal(first.inputs.sort(0).values, X)
    torch.set_rng_state(state)
    before = torch.rand(1)
    torch.set_rng_state(state)
    as_split(DataLoader(Pairs(), shuffle=True), "data")
    assert torch.equal(torch.rand(1), before)  # the caller's generator is as it was


def test_a_loader_with_workers_is_read_in_order():
    loader = DataLoader(Pairs(), batch_size=2, num_workers=1, multiprocessing_context="fork")
    assert torch.equal(as_split(loader, "data").inputs, X)


def test_token_ids_alone_are_their_own_targets():
    ids = torch.randint(0, 9, (4, 6), dtype=torch.int32)
    for value in (ids, ids.numpy(), (ids, None), TensorDataset(ids), {"input_ids": ids}, list(ids)):
        split = as_split(value, "data")
        assert split.inputs.dtype == torch.int64
        assert torch.equal(split.inputs, split.targets)
        assert split.inputs.tolist() == ids.tolist()
    assert "only token ids" in refusal(X)
    assert "only token ids" in refusal(list(X))


def test_images_of_pillow_become_arrays_of_channels():
    pictures = [(Image.new(mode, (4, 2), 51), 0) for mode in ("RGB", "RGB")]
    split = as_split(pictures, "data")
    assert split.inputs.shape == (2, 3, 2, 4)
    torch.testing.assert_close(split.inputs[0, 0], torch.full((2, 4), 51 / 255))


def test_a_picture_as_a_target_keeps_its_numbers():
    classes = np.array([[0, 2, 255], [1, 1, 0]], dtype=np.uint8)
    mask = Image.fromarray(classes)
    mask.putpalette([7] * 768)
    split = as_split([(Image.new("RGB", (3, 2)), mask)], "data")
    assert split.targets.dtype == torch.int64
    assert split.targets[0].tolist() == classes.tolist()


def lengths(*shapes):
    return [(torch.zeros(shape), 0) for shape in shapes]


class NoLength(Dataset):
    def __getitem__(self, i):
        return X[i], Y[i]


class Broken(Pairs):
    def __getitem__(self, i):
        if i == 4:
            raise OSError("no such picture\nand more")
        return super().__getitem__(i)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ((X, Y[:5]), r"7 inputs and targets of shape \(5,\); expected one target for each"),
        ((X[:0], Y[:0]), "hold no samples"),
        ((X, "labels"), "got a pair of Tensor and str; expected two tensors"),
        ((X.to_sparse(), Y), r"\.inputs: is a torch.sparse_coo tensor; make it dense"),
        ((X.to(torch.complex64), Y), r"\.inputs: dtype torch.complex64; expected real"),
        (((X, Y), (X, Y)), "got a tuple of tuple, tuple; .*mapping such as {'train'"),
        ((DataLoader(Pairs()), DataLoader(Pairs())), "got a tuple of DataLoader, DataLoader"),
        ({"a": X, "b": Y}, r"\.inputs: is missing, and a, b is there"),
        ({"train": (X, Y)}, "got a mapping of train; expected a pair"),
        (None, "got None; expected a pair"),
        ("x.npy", "got 'x.npy'; expected a pair"),
        (7, "got int; expected a pair"),
        (Pairs, "got <class .*; expected a pair"),
        (NoLength(), "NoLength has no length; give it __len__"),
        (Broken(), "reading sample 4 raised OSError: no such picture$"),
        (DataLoader(Broken(), batch_size=2), "reading batch 2 raised OSError: no such picture$"),
        (lengths((3,), (3,), (4,)), r"sample 2 has shape \(4,\) and sample 0 \(3,\); pad"),
        (DataLoader(lengths((3,), (4,))), r"sample 1 has shape \(4,\) and sample 0 \(3,\); pad"),
        (DataLoader(lengths((3,), (4,)), batch_size=2), "equal size.*at entry 1; pad the samples"),
        ([(X[0], [0]), (X[1], [0, 1])], r"\.targets: sample 1 has shape \(2,\).*pad"),
        ([(X[0], [[0], [0, 1]])], "lists of different lengths; pad"),
        (Pairs(lambda x, y: (x, y, 0)), r"sample 0: gives 3 entries \(Tensor, int, int\)"),
        (DataLoader(Pairs(lambda x, y: {"a": x, "b": y})), "sample 0.inputs: is missing, and a, b"),
        (Pairs(lambda x, y: (x, "cat")), "sample 0, targets: got dtype <U3; expected numbers"),
        (Pairs(lambda x, y: ({"ids": x}, y)), "sample 0: got dict; expected numbers"),
        (Pairs(lambda x, y: (None, y)), "sample 0: got NoneType; expected numbers"),
        (DataLoader(Pairs(), batch_size=None), "a batch is a single number"),
        ([(X[0], 0), (X[1],)], r"2 inputs and targets of shape \(1,\)"),
        (Stream(list), "gave no samples"),
        ([], "gave no samples"),
    ],
)
def test_what_is_no_split_is_refused_in_one_line(value, told):
    message = refusal(value)
    assert re.search(told, message), message


@pytest.mark.parametrize("limit", ["MOST_STREAMED", "MOST_STREAMED_BYTES"])
def test_an_endless_stream_is_stopped_and_a_long_finite_one_is_not(monkeypatch, limit):
    monkeypatch.setattr(loaders, limit, 50)

    def endless():
        return ((torch.zeros(1), i) for i in itertools.count())

    for value in (Stream(endless), DataLoader(Stream(endless), batch_size=7)):
        assert re.search("has no length and gave .* samples without an end", refusal(value))
    finite = Sized(lambda: itertools.islice(endless(), 60))
    assert len(as_split(finite, "data")) == 60


# Factories.

FACTORY = """
import torch
from torch.utils.data import DataLoader, TensorDataset
def splits(n=6):
    made = {}
    for name, count in (("train", n), ("test", 4)):
        made[name] = (torch.ones(count, 2), torch.zeros(count, dtype=torch.int64))
    made["test"] = DataLoader(TensorDataset(*made["test"]), batch_size=3)
    return made
def one(): return TensorDataset(torch.ones(8, 2), torch.arange(8) % 2)
def named(): return {"inputs": torch.ones(8, 2), "targets": torch.arange(8) % 2}
def noisy(): return torch.rand(5, 2), torch.zeros(5)
def pair(): return splits()["test"], splits()["test"]
def broken(): raise ValueError("no data\\nat all")
def nothing(): return None
def empty(): return {}
"""


@pytest.fixture
def base(tmp_path):
    (tmp_path / "make.py").write_text(FACTORY)
    return tmp_path


def test_a_factory_gives_splits_or_one(base):
    text = "{factory: 'make.py:splits', arguments: {n: 9}}"
    assert {name: len(split) for name, split in read(text, base).items()} == {"train": 9, "test": 4}
    for name in ("one", "named"):
        assert len(read(f"{{factory: 'make.py:{name}'}}", base, ("train",))["train"]) == 8
        text = f"{{factory: 'make.py:{name}', test_fraction: 0.25}}"
        assert read(text, base)["test"].targets.sort().values.tolist() == [0, 1]
    text = "{train: {factory: 'make.py:one'}, test: {factory: 'make.py:splits'}, samples: 3}"
    assert {len(split) for split in read(text, base).values()} == {3}


def test_what_a_factory_draws_follows_from_the_seed(base):
    text = "{factory: 'make.py:noisy'}"
    first, other = (read(text, base, ("train",), seed=seed)["train"].inputs for seed in (0, 1))
    torch.rand(3)
    assert torch.equal(read(text, base, ("train",), seed=0)["train"].inputs, first)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("factory", "told"),
    [
        ("make.py:spltis", "data.factory: .*did you mean 'splits'"),
        ("make.py:broken", "data.factory: make.py:broken raised ValueError: no data"),
        ("make.py:pair", "data.factory: got a tuple of DataLoader, DataLoader"),
        ("make.py:nothing", "data.factory: got None; expected a pair"),
        ("make.py:empty", "splits: got 'train'; data has none"),
        ("make.py:one', arguments: {m: 2}, transform: 'x", "data.factory: .*no argument 'm'"),
        ("gone.py:one", "data.factory: "),
    ],
)
def test_a_wrong_factory_is_refused_in_one_line(base, factory, told):
    message = line(f"{{factory: '{factory}'}}", base, ("train",))
    assert re.search(told, message), message


def test_a_dataset_is_read_only_where_samples_are_drawn(base):
    (base / "count.py").write_text(
        "read = []\n"
        "class Data:\n"
        "    def __len__(self): return 1000\n"
        "    def __getitem__(self, i):\n"
        "        read.append(i)\n"
        "        return [float(i)], 0\n"
    )
    split = read("{factory: 'count.py:Data', samples: 5}", base, ("train",))["train"]
    from tasks.model.importing import imported

    assert imported("count.py:read", base, "x") == split.inputs.flatten().tolist()
    assert len(split) == 5
