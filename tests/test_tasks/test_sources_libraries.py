"""Data sets on disk as torchvision and the package `datasets` keep them."""

import importlib
import importlib.util
import re
import struct
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from tests.test_tasks.test_sources import line, read, write_images

has_torchvision = importlib.util.find_spec("torchvision") is not None
has_datasets = importlib.util.find_spec("datasets") is not None
needs_datasets = pytest.mark.skipif(not has_datasets, reason="the package datasets is optional")


@pytest.fixture(scope="module")
def torchvision():
    """The real library, also where its compiled operators are of another build than torch."""
    if not has_torchvision:
        pytest.skip("torchvision is optional")
    library = torch.library.Library("torchvision", "FRAGMENT")
    try:
        importlib.import_module("torchvision.datasets")
    except RuntimeError:
        signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        for name in ("nms", "qnms"):
            if not hasattr(torch.ops.torchvision, name):
                library.define(name + signature)
        importlib.import_module("torchvision.datasets")
    return library


def write_idx(folder, count, seed):
    """MNIST's own format: images (count, 28, 28) and labels (count,)."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    labels = random.integers(0, 10, count, dtype=np.uint8)
    prefix = "train" if seed == 0 else "t10k"
    head = struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28)
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(head + images.tobytes())
    head = struct.pack(">4BI", 0, 0, 8, 1, count)
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())
    return images, labels


@pytest.fixture
def mnist(tmp_path, torchvision):
    raw = tmp_path / "sets/MNIST/raw"
    written = {"train": write_idx(raw, 12, 0), "test": write_idx(raw, 5, 1)}
    return tmp_path, written


def test_the_splits_of_a_torchvision_set_are_its_own(mnist):
    base, written = mnist
    splits = read("{torchvision: MNIST, root: sets}", base)
    for name, (images, labels) in written.items():
        assert splits[name].inputs.shape == (len(images), 1, 28, 28)
        np.testing.assert_allclose(splits[name].inputs[:, 0].numpy(), images / 255, rtol=1e-6)
        assert splits[name].targets.tolist() == labels.tolist()
    small = read("{torchvision: MNIST, root: sets, side: 7, grey: false, samples: 3}", base)
    assert small["test"].inputs.shape == (3, 3, 7, 7)
    text = "{train: {torchvision: MNIST, root: sets}, seen: {torchvision: MNIST, root: sets, "
    text += "arguments: {train: true}}}"
    both = read(text, base, ("train", "seen"))
    assert torch.equal(both["train"].inputs, both["seen"].inputs)
    assert not torch.equal(both["seen"].inputs[:5], splits["test"].inputs)


def test_a_set_with_a_split_argument_gets_the_name_of_the_split(tmp_path, torchvision):
    for folder, seed in (("train", 0), ("valid", 1)):
        write_images(tmp_path / "rendered-sst2" / folder, ["positive", "negative"], 2, seed=seed)
    text = "{torchvision: RenderedSST2, root: .}"
    splits = read(text, tmp_path, ("train", "val"))
    assert splits["val"].inputs.shape == (4, 3, 5, 6)
    assert not torch.equal(splits["train"].inputs, splits["val"].inputs)
    message = line(text, tmp_path, ("train", "validation"))
    assert re.search("split='validation'.* raised ValueError: Unknown value 'validation'", message)


def test_a_set_without_splits_can_be_divided(tmp_path, torchvision):
    write_images(tmp_path / "im", ["a", "b"], count=5)
    text = "{torchvision: ImageFolder, root: im, test_fraction: 0.2}"
    assert read(text, tmp_path)["test"].targets.sort().values.tolist() == [0, 1]
    assert "data has train; set test_fraction" in line(
        "{torchvision: ImageFolder, root: im}", tmp_path
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{torchvision: MINST, root: sets}", "data.torchvision: .*did you mean 'MNIST'"),
        ("{torchvision: MNIST, root: other}", "raised RuntimeError: Dataset not found.*fetch it"),
        ("{torchvision: LSUN, root: sets}", "data.torchvision: got 'LSUN'; it unpickles files"),
        ("{torchvision: MNIST, root: sets, arguments: {download: true}}", "arguments.download: ca"),
        ("{torchvision: MNIST, root: sets, arguments: {tarin: true}}", "did you mean 'train'"),
        ("{torchvision: MNIST, root: sets, arguments: {transform: x}}", "transform: beside the s"),
        ("{torchvision: ImageFolder, root: sizes}", "pad or resize|set side:"),
        ("{torchvision: MNIST, root: sets, test_fraction: 0.1}", "splits of its own .train, test"),
    ],
)
def test_a_wrong_torchvision_set_is_refused_in_one_line(mnist, text, told):
    base, _ = mnist
    write_images(base / "sizes", ["a"])
    write_images(base / "sizes", ["b"], size=(7, 7))
    message = line(text, base, ("train",))
    assert re.search(told, message), message


def test_a_split_that_a_flag_cannot_name_is_refused(mnist):
    text = "{torchvision: MNIST, root: sets}"
    assert "got 'val'; data has train, test" in line(text, mnist[0], ("val",))


def test_nothing_is_downloaded(tmp_path, torchvision, monkeypatch):
    from torchvision.datasets import SEMEION

    def download(self):
        raise AssertionError("it was asked to download")

    monkeypatch.setattr(SEMEION, "download", download)
    with pytest.raises(AssertionError):
        SEMEION(tmp_path)  # by itself it would
    assert "Dataset not found" in line("{torchvision: SEMEION, root: .}", tmp_path, ("train",))


def without(monkeypatch, package):
    for name in list(sys.modules):
        if name == package or name.startswith(f"{package}."):
            monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    ("package", "text", "extra"),
    [
        ("torchvision", "{torchvision: MNIST, root: .}", "vision"),
        ("datasets", "{huggingface: '.'}", "huggingface"),
    ],
)
def test_a_missing_or_broken_package_ends_in_one_line(tmp_path, monkeypatch, package, text, extra):
    without(monkeypatch, package)
    monkeypatch.setitem(sys.modules, package, None)
    install = re.escape(f"pip install 'cartograd[{extra}]'")
    told = f"the package {package} is not installed; {install}"
    assert re.search(told, line(text, tmp_path, ("train",)))
    monkeypatch.delitem(sys.modules, package)
    (tmp_path / package).mkdir()
    broken = tmp_path / package / "__init__.py"
    broken.write_text("raise RuntimeError('operator does not exist\\nat all')")
    monkeypatch.syspath_prepend(tmp_path)
    message = line(text, tmp_path, ("train",))
    assert re.search(
        rf"cannot be imported \(RuntimeError: operator does not exist\).*{install}", message
    )


# Hugging Face's datasets.


@pytest.fixture
def saved(tmp_path):
    import datasets

    datasets.disable_progress_bars()
    random = np.random.default_rng(0)

    def made(count):
        pixels = random.integers(0, 256, (count, 5, 4, 3), dtype=np.uint8)
        columns = {
            "image": [Image.fromarray(p) for p in pixels],
            "label": [i % 3 for i in range(count)],
            "input_ids": random.integers(0, 99, (count, 6)).tolist(),
            "ragged": [[1] * (2 + (i == 2)) for i in range(count)],
            "double": random.normal(size=(count, 2)).tolist(),
            "bytes": pixels[:, 0].tolist(),
            "text": ["a"] * count,
        }
        features = datasets.Features(
            {
                "image": datasets.Image(),
                "label": datasets.ClassLabel(names=["a", "b", "c"]),
                "input_ids": datasets.List(datasets.Value("int32")),
                "ragged": datasets.List(datasets.Value("int64")),
                "double": datasets.List(datasets.Value("float64"), length=2),
                "bytes": datasets.Array2D((4, 3), "uint8"),
                "text": datasets.Value("string"),
            }
        )
        return datasets.Dataset.from_dict(columns, features=features), pixels

    parts = {name: made(count) for name, count in (("train", 9), ("test", 4))}
    dictionary = datasets.DatasetDict({name: part for name, (part, _) in parts.items()})
    dictionary.save_to_disk(str(tmp_path / "both"))
    parts["train"][0].save_to_disk(str(tmp_path / "single"))
    return tmp_path, {name: pixels for name, (_, pixels) in parts.items()}


@needs_datasets
def test_a_saved_dictionary_gives_its_splits(saved):
    base, pixels = saved
    splits = read("{huggingface: both, inputs: image}", base)
    for name, expected in pixels.items():
        found = splits[name].inputs
        np.testing.assert_allclose(found.numpy(), expected.transpose(0, 3, 1, 2) / 255, rtol=1e-6)
        assert splits[name].targets.tolist() == [i % 3 for i in range(len(expected))]
    small = read("{huggingface: both, inputs: image, side: 2, grey: true, samples: 3}", base)
    assert small["train"].inputs.shape == (3, 1, 2, 2)
    placed = read("{huggingface: 'both/{split}', inputs: image}", base)
    nested = (
        "{train: {huggingface: single, inputs: image}, test: {huggingface: both, inputs: image}}"
    )
    for other in (placed, read(nested, base)):
        assert torch.equal(other["test"].inputs, splits["test"].inputs)
        assert torch.equal(other["train"].inputs, splits["train"].inputs)


@needs_datasets
def test_a_saved_set_is_one_that_can_be_divided(saved):
    base, _ = saved
    text = "{huggingface: single, inputs: double, targets: label, test_fraction: 0.34}"
    splits = read(text, base)
    assert splits["train"].inputs.dtype == torch.float64
    assert splits["test"].targets.sort().values.tolist() == [0, 1, 2]
    assert len(splits["train"]) == 6
    tokens = read("{huggingface: single, inputs: input_ids, targets: input_ids}", base, ("train",))
    assert tokens["train"].inputs.shape == (9, 6)
    assert torch.equal(tokens["train"].inputs, tokens["train"].targets)
    bytes_ = read("{huggingface: single, inputs: bytes}", base, ("train",))["train"].inputs
    assert bytes_.dtype == torch.float32
    assert 0.5 < float(bytes_.max()) <= 1


@needs_datasets
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{huggingface: both}", "data.*inputs: image, input_ids are all candidates"),
        ("{huggingface: both, inputs: imgae}", "no 'imgae'.*did you mean 'image'"),
        ("{huggingface: single, inputs: text}", r"column 'text', row 0: got dtype <U1"),
        ("{huggingface: single, inputs: ragged}", r"row 2 has shape \(3,\) and row 0 \(2,\); pad"),
        ("{huggingface: nowhere}", "data.huggingface: no directory .*save_to_disk"),
        ("{huggingface: empty}", "is no data set saved by save_to_disk"),
        ("{huggingface: both, inputs: image, test_fraction: 0.2}", "splits of its own"),
        ("{train: {huggingface: both}, val: {huggingface: both}}", "none of them is 'val'"),
    ],
)
def test_a_wrong_saved_set_is_refused_in_one_line(saved, text, told):
    base, _ = saved
    (base / "empty").mkdir()
    message = line(text, base, ("val",) if "val:" in text else ("train",))
    assert re.search(told, message), message


@needs_datasets
def test_a_dataset_of_the_library_is_one_for_python_callers_too(saved):
    import datasets

    from tasks.sources.loaders import as_split

    base, _ = saved
    dataset = datasets.load_from_disk(str(base / "single")).select_columns(["image", "label"])
    split = as_split(dataset, "data")
    assert torch.equal(
        split.inputs, read("{huggingface: both, inputs: image}", base)["train"].inputs
    )
    assert split.targets.tolist() == [i % 3 for i in range(9)]
