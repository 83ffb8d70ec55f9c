"""Data sources on disk, and what is done with their samples."""

import os
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import save_file

from schemas.errors import SpecError
from schemas.messages import first_complaint
from tasks.registry import Parameters
from tasks.sources.parameters import DataParameters
from tasks.sources.read import read_splits


class Spec(Parameters):
    data: DataParameters


KINDS = {"BuiltIn", "File", "Array", "Folder", "Torchvision", "HuggingFace", "Factory", "Splits"}


def read(text, base, wanted=("train", "test"), seed=0):
    return read_splits(Spec(data=yaml.safe_load(text)).data, wanted, base, seed)


def line(text, base, wanted=("train", "test")):
    with pytest.raises(SpecError) as caught:
        read(text, base, wanted)
    message = str(caught.value)
    assert "\n" not in message
    return message


def complaint(text):
    with pytest.raises(ValidationError) as caught:
        Spec(data=yaml.safe_load(text))
    return first_complaint(caught.value, Spec)


@pytest.fixture
def base(tmp_path):
    """Files of 20 and 10 samples with 3 features and 4 classes."""
    random = np.random.default_rng(0)
    arrays = {}
    for name, count in (("train", 20), ("test", 10)):
        arrays[f"x_{name}"] = random.normal(size=(count, 3)).astype(np.float32)
        arrays[f"y_{name}"] = np.arange(count) % 4
        np.savez(tmp_path / f"{name}.npz", x=arrays[f"x_{name}"], y=arrays[f"y_{name}"])
        np.save(tmp_path / f"x_{name}.npy", arrays[f"x_{name}"])
        np.save(tmp_path / f"y_{name}.npy", arrays[f"y_{name}"])
    np.savez(tmp_path / "all.npz", **arrays)
    np.savez(tmp_path / "one.npz", x=arrays["x_train"], y=arrays["y_train"])
    np.save(tmp_path / "ids.npy", random.integers(0, 50, (12, 5)).astype(np.uint16))
    return tmp_path


# What a spec may say.


@pytest.mark.parametrize(
    "text",
    [
        "digits",
        "{name: mnist-subset, flat: false, side: 14, test_fraction: 0.3, samples: 1000}",
        "{train: {file: a.npz, inputs: x}, test: {inputs: a.npy}, samples: {train: 4}}",
        "{folder: 'images/{split}', side: 32, grey: false, normalise: standard}",
        "{torchvision: CIFAR10, root: d, arguments: {train: true}}",
        "{huggingface: d, inputs: image, normalise: {mean: 0, std: [1, 2]}}",
        "{factory: 'a.b:c', arguments: {n: 3}, transform: 't.py:f'}",
        "{inputs: {file: a.npz}}",  # a split may have any name
    ],
)
def test_a_spec_with_its_defaults_filled_in_reads_back_the_same(text):
    spec = Spec(data=yaml.safe_load(text))
    assert Spec(**spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("digts", "did you mean 'digits'"),
        ("{folder: x, sdie: 3}", "data.sdie: unknown field; .*did you mean 'side'"),
        ("{folder: x, side: many}", "data.side: got 'many'; expected a whole number$"),
        ("{train: {file: x, sdie: 3}}", "data.train.sdie: unknown field"),
        ("{train: {fil: x}}", "data.train: .*did you mean 'file'"),
        ("{fil: x.npz}", "data.fil: got 'x.npz'; .*did you mean 'file'"),
        ("{train: x.npz}", "data.train: got 'x.npz'; .*{file: train.npz}"),
        ("{train: {file: x}, normalize: standard}", "did you mean 'normalise'"),
        ("{train: {file: x, normalise: standard}}", "data.train.normalise: .*beside the splits"),
        ("{train: {file: x}, test_fraction: 0.2}", "data.test_fraction: .*leave it out"),
        ("{file: x, folder: y}", "data: got file, folder together"),
        ("{file: x, normalise: std}", "data.normalise: got 'std'; expected standard, or"),
        ("{file: x, normalise: {mean: 0}}", "data.normalise.std: is missing"),
        ("{file: x, normalise: {mean: 0, std: [1, 0]}}", "data.normalise.std: got 0; a standard"),
        ("{file: x, samples: 0}", "data.samples: got 0; expected a whole number"),
        ("{file: x, samples: {train: true}}", "data.samples: got True"),
        ("{file: x, test_fraction: 1}", "data.test_fraction: got 1; expected less than 1"),
        ("{samples: 3}", "data: got the fields samples; expected one of name, file"),
        ("{}", "data: got no fields"),
        ("7", "data: got 7; expected a name, or a mapping"),
        ("{torchvision: MNIST}", "data.root: is missing"),
    ],
)
def test_a_wrong_spec_is_refused_in_a_line_that_names_the_field(text, told):
    message = complaint(text)
    assert re.search(told, message), message
    assert "\n" not in message


def test_validating_a_spec_imports_no_torch():
    code = (
        "import sys; from pydantic import TypeAdapter; "
        "from tasks.sources.parameters import DataParameters; "
        "TypeAdapter(DataParameters).validate_python({'file': 'x.npz'}); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_json_schema_tells_every_form():
    schema = Spec.model_json_schema()
    forms = schema["properties"]["data"]["anyOf"]
    assert {"enum": ["digits", "mnist-subset"], "type": "string"} in forms
    named = {form["$ref"].rpartition("/")[2] for form in forms if "$ref" in form}
    assert named == {f"{kind}Data" for kind in KINDS}
    splits = schema["$defs"]["SplitsData"]["additionalProperties"]["anyOf"]
    assert {form["$ref"].rpartition("/")[2] for form in splits} == {
        f"{kind}Source" for kind in KINDS - {"BuiltIn", "Splits"}
    }


# Files.


def test_every_form_of_a_file_gives_the_same_splits(base):
    save_file(
        {n: torch.from_numpy(np.load(base / f"{n}_train.npy")) for n in "xy"},
        base / "train.safetensors",
    )
    forms = [
        "{train: {file: train.npz}, test: {file: test.npz, inputs: x, targets: y}}",
        "{file: '{split}.npz'}",
        "{file: all.npz, inputs: 'x_{split}', targets: 'y_{split}'}",
        "{inputs: 'x_{split}.npy', targets: 'y_{split}.npy'}",
        "{train: {file: train.safetensors}, test: {inputs: x_test.npy, targets: y_test.npy}}",
    ]
    for form in forms:
        splits = read(form, base)
        for name in ("train", "test"):
            expected = np.load(base / f"x_{name}.npy")
            assert torch.equal(splits[name].inputs, torch.from_numpy(expected)), form
            assert splits[name].targets.tolist() == np.load(base / f"y_{name}.npy").tolist()
    assert not torch.equal(read(forms[0], base)["test"].inputs, splits["train"].inputs[:10])


def test_an_npy_file_stays_mapped(base):
    splits = read("{train: {inputs: x_train.npy, targets: y_train.npy}}", base, ("train",))
    kept = read("{train: {file: train.npz}}", base, ("train",))
    written = np.load(base / "x_train.npy", mmap_mode="r+")
    written[3, 1] = 77
    written.flush()
    assert splits["train"].inputs[3, 1] == 77
    assert kept["train"].inputs[3, 1] != 77


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{file: tran.npz}", "data.file: no file .*did you mean 'train.npz'"),
        ("{file: x_train.npy}", "data.file: x_train.npy holds one array .*inputs: x_train.npy"),
        ("{inputs: train.npz}", "data.inputs: got train.npz; expected a .npy file"),
        ("{file: notes.txt}", "data.file: got notes.txt; expected .npz or .safetensors"),
        ("{file: sub}", "is a directory; expected a file"),
        ("{file: all.npz}", "data.inputs: is missing, and x_train, y_train, .*name one of them"),
        ("{file: train.npz, inputs: X}", "data.inputs: no 'X'; there is x, y"),
        ("{file: train.npz, targets: yy}", "data.targets: no 'yy'; .*did you mean 'y'"),
        ("{file: two.npz}", "data.inputs: x, image are all candidates"),
        ("{file: text.npz}", "data.inputs: got dtype <U1; expected numbers"),
        ("{file: cut.npz}", "data.file: cut.npz cannot be read"),
        ("{inputs: cut.npy, targets: y_train.npy}", "data.inputs: cut.npy cannot be read"),
        ("{file: cut.safetensors}", "data.file: cut.safetensors cannot be read"),
        ("{inputs: x_train.npy, targets: y_test.npy}", r"data: 20 inputs and .*\(10,\)"),
        ("{inputs: x_train.npy}", "data.targets: is missing; only token ids"),
        ("{inputs: none.npy, targets: none.npy}", "data: .*hold no samples"),
        ("{inputs: complex.npy, targets: y_train.npy}", "got dtype complex128; expected numbers"),
        ("{inputs: x_train.npy, targets: 'y_{split}.npy'}", "data.targets: has {split} and inputs"),
        ("{file: 'no_{split}.npz'}", "data.file: nothing in .* fits 'no_{split}.npz'"),
        ("{file: train.npz, samples: 21}", "data.samples: split 'train': got 21; there are 20"),
        ("{file: train.npz, samples: {trian: 2}}", "samples.trian: .*did you mean 'train'"),
        ("{file: '{split}.npz', test_fraction: 0.5}", "data.test_fraction: .*splits of its own"),
        ("{file: train.npz, test_fraction: 0.01}", "0.01 of 20 samples leaves test without any"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(base, text, told):
    (base / "sub").mkdir()
    (base / "notes.txt").write_text("x")
    np.savez(base / "two.npz", x=np.zeros((2, 2)), image=np.zeros((2, 2)), y=np.zeros(2))
    np.savez(base / "text.npz", x=np.array(["a", "b"]), y=np.zeros(2))
    np.save(base / "none.npy", np.zeros((0, 3)))
    np.save(base / "complex.npy", np.zeros((20, 3), dtype=complex))
    for name in ("train.npz", "x_train.npy"):
        content = (base / name).read_bytes()
        (base / f"cut{os.path.splitext(name)[1]}").write_bytes(content[: len(content) // 2])
    (base / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    message = line(text, base, ("train",))
    assert re.search(told, message), message


class Payload:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_no_file_is_ever_unpickled(base):
    mark = base / "ran"
    objects = np.array([Payload(mark)] * 3, dtype=object)
    np.save(base / "evil.npy", objects, allow_pickle=True)
    np.savez(base / "evil.npz", x=objects, y=np.zeros(3))
    for suffix in ("npy", "npz", "safetensors"):
        (base / f"plain.{suffix}").write_bytes(pickle.dumps(Payload(mark)))
    mark.unlink(missing_ok=True)
    asked = [
        "{inputs: evil.npy}",
        "{inputs: x_train.npy, targets: evil.npy}",
        "{inputs: plain.npy}",
        "{file: evil.npz}",
        "{file: plain.npz}",
    ]
    for text in asked:
        assert "Python objects, which are never unpickled" in line(text, base, ("train",))
    assert "cannot be read" in line("{file: plain.safetensors}", base, ("train",))
    assert not mark.exists()
    np.load(base / "evil.npy", allow_pickle=True)[0].close()  # the payload is a real one
    assert mark.exists()


# Splits.


def test_a_split_that_is_lacking_is_named_with_what_there_is(base):
    assert "splits: got 'test'; data has train; set test_fraction" in line("{file: one.npz}", base)
    both = "{train: {file: train.npz}, tets: {file: test.npz}}"
    assert "data has train, tets; did you mean 'tets'" in line(both, base)
    assert "splits: got 'other'; data has train, test" in line("digits", base, ("other",))
    assert list(read("{file: one.npz}", base, ("train",))) == ["train"]


def test_only_wanted_splits_are_read(base):
    (base / "broken.npz").write_bytes(b"nothing")
    text = "{train: {file: train.npz}, test: {file: broken.npz}}"
    assert list(read(text, base, ("train",))) == ["train"]
    assert "data.test.file: broken.npz is no file of numpy's" in line(text, base)


def test_one_source_is_divided_stratified_and_seeded(base):
    text = "{file: one.npz, test_fraction: 0.25}"
    splits, other = read(text, base), read(text, base, seed=1)
    assert torch.bincount(splits["train"].targets).tolist() == [4] * 4
    assert torch.bincount(splits["test"].targets).tolist() == [1] * 4
    joint = torch.cat([splits["train"].inputs, splits["test"].inputs])
    whole = torch.from_numpy(np.load(base / "x_train.npy"))
    assert torch.equal(joint.sort(0).values, whole.sort(0).values)
    assert torch.equal(splits["test"].inputs, read(text, base)["test"].inputs)
    assert not torch.equal(splits["test"].inputs, other["test"].inputs)


def test_built_in_sets_keep_the_stratified_split_and_take_sizes(base):
    from tasks.data import digits, stratified

    train, test = stratified(digits(), 3)
    splits = read("digits", base, seed=3)
    assert torch.equal(splits["train"].inputs, train.images.flatten(1))
    assert torch.equal(splits["test"].targets, test.labels)
    small = read("{name: digits, flat: false, side: 4, test_fraction: 0.5}", base)
    assert small["test"].inputs.shape[1:] == (1, 4, 4)
    assert abs(len(small["test"]) - 898) < 10


# Samples, transforms, normalisation.


def test_samples_are_drawn_once_from_the_seed_and_keep_their_order(base):
    text = "{file: '{split}.npz', samples: {train: 8}}"
    splits, again, other = read(text, base), read(text, base), read(text, base, seed=1)
    whole = torch.from_numpy(np.load(base / "x_train.npy"))
    rows = [int((whole == row).all(1).nonzero()) for row in splits["train"].inputs]
    assert rows == sorted(set(rows))
    assert len(rows) == 8
    assert len(splits["test"]) == 10
    assert splits["train"].targets.tolist() == [row % 4 for row in rows]
    assert torch.equal(splits["train"].inputs, again["train"].inputs)
    assert not torch.equal(splits["train"].inputs, other["train"].inputs)


def test_standard_normalisation_uses_train_for_all_splits(base):
    splits = read("{file: '{split}.npz', normalise: standard}", base)
    train = np.load(base / "x_train.npy").astype(np.float64)
    test = np.load(base / "x_test.npy").astype(np.float64)
    expected = (test - train.mean(0)) / train.std(0)
    np.testing.assert_allclose(splits["test"].inputs.numpy(), expected, rtol=1e-6, atol=1e-6)
    alone = read("{file: '{split}.npz', normalise: standard}", base, ("test",))
    assert list(alone) == ["test"]
    assert torch.equal(alone["test"].inputs, splits["test"].inputs)
    own = (test - test.mean(0)) / test.std(0)
    assert abs(splits["test"].inputs.numpy() - own).max() > 0.01


def test_channels_are_normalised_each_and_a_constant_one_is_only_centred(base):
    images = np.random.default_rng(1).normal(3, [[[2]], [[5]], [[0]]], size=(30, 3, 4, 5))
    images[:, 2] = 0.1  # no sum of these is exact
    np.savez(base / "images.npz", x=images, y=np.zeros(30))
    inputs = read("{file: images.npz, normalise: standard}", base, ("train",))["train"].inputs
    assert inputs.dtype == torch.float64
    torch.testing.assert_close(inputs.mean((0, 2, 3)), torch.zeros(3).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(inputs[:, :2].std((0, 2, 3), correction=0), torch.ones(2).double())
    assert float(inputs[:, 2].abs().max()) < 1e-12
    given = "{file: images.npz, normalise: {mean: [1, 2, 3], std: 2}}"
    inputs = read(given, base, ("train",))["train"].inputs
    np.testing.assert_allclose(inputs[:, 1].numpy(), (images[:, 1] - 2) / 2)


def test_normalisation_that_does_not_fit_is_refused(base):
    text = "{file: train.npz, normalise: {mean: [1, 2], std: 1}}"
    assert "have 3 channels (dimension 1) and mean has 2 numbers" in line(text, base, ("train",))
    text = "{inputs: ids.npy, normalise: standard}"
    assert "data.normalise: the inputs of train are token ids" in line(text, base, ("train",))
    text = "{test: {file: test.npz}, normalise: standard}"
    assert "data.normalise: standard needs the split train; data has test" in line(
        text, base, ("test",)
    )
    np.savez(base / "nan.npz", x=np.array([[0.0], [np.nan]]), y=np.zeros(2))
    text = "{file: nan.npz, normalise: standard}"
    assert "the inputs of train hold NaN" in line(text, base, ("train",))


TRANSFORMS = """
import numpy as np, torch
calls = []
def double(inputs):
    calls.append(len(inputs))
    inputs *= 2  # in place, on what may be a file
    return inputs
def swapped(inputs, targets):
    return inputs.flip(0), targets.flip(0)
def scaled(inputs, factor=3):
    return (inputs * factor).numpy()
def fewer(inputs): return inputs[1:]
def nothing(inputs): pass
def broken(inputs): raise KeyError("no")
class Flip: pass
"""


def test_a_transform_is_called_once_a_split_with_all_samples(base):
    (base / "t.py").write_text(TRANSFORMS)
    data = "inputs: 'x_{split}.npy', targets: 'y_{split}.npy'"
    plain = read(f"{{{data}}}", base)
    double = read(f"{{{data}, transform: 't.py:double', samples: 5}}", base)
    from tasks.model.importing import imported

    assert imported("t.py:calls", base, "x") == [5, 5]
    some = read(f"{{{data}, samples: 5}}", base)
    assert torch.equal(double["test"].inputs, 2 * some["test"].inputs)
    assert torch.equal(plain["test"].inputs, torch.from_numpy(np.load(base / "x_test.npy")))
    swapped = read(f"{{{data}, transform: 't.py:swapped'}}", base)["train"]
    assert torch.equal(swapped.inputs, plain["train"].inputs.flip(0))
    assert torch.equal(swapped.targets, plain["train"].targets.flip(0))
    scaled = read(f"{{{data}, transform: 't.py:scaled'}}", base)["train"]
    assert torch.equal(scaled.inputs, 3 * plain["train"].inputs)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fewer", r"data.transform: 19 inputs and targets of shape \(20,\)"),
        ("nothing", "data.transform: t.py:nothing gave NoneType; expected a tensor"),
        ("broken", r"data.transform: t.py:broken raised KeyError: .*inputs of shape \(20, 3\)"),
        ("Flip", "expected a function of"),
        ("duoble", "data.transform: .*did you mean 'double'"),
    ],
)
def test_a_wrong_transform_is_refused(base, name, told):
    (base / "t.py").write_text(TRANSFORMS)
    message = line(f"{{file: train.npz, transform: 't.py:{name}'}}", base, ("train",))
    assert re.search(told, message), message


# Dtypes.


def test_bytes_become_intensities_and_other_integers_stay_token_ids(base):
    image = np.arange(2 * 4, dtype=np.uint8).reshape(2, 4) * 32
    np.savez(base / "bytes.npz", x=image, y=np.array([0, 1], dtype=np.uint8))
    split = read("{file: bytes.npz}", base, ("train",))["train"]
    assert split.inputs.dtype == torch.float32
    np.testing.assert_allclose(split.inputs.numpy(), image / 255, rtol=1e-6)
    assert split.targets.dtype == torch.int64
    tokens = read("{inputs: ids.npy}", base, ("train",))["train"]
    assert tokens.inputs.dtype == tokens.targets.dtype == torch.int64
    assert tokens.inputs.tolist() == np.load(base / "ids.npy").tolist()
    assert torch.equal(tokens.inputs, tokens.targets)


def test_floats_keep_their_precision_and_booleans_become_labels(base):
    for dtype, kept in ((">f8", torch.float64), ("f4", torch.float32), ("f2", torch.float32)):
        values = np.linspace(0, 1, 6).reshape(3, 2).astype(dtype)[::-1]
        np.savez(base / "a.npz", x=values, y=values)
        split = read("{file: a.npz}", base, ("train",))["train"]
        assert split.inputs.dtype == split.targets.dtype == kept
        assert split.inputs.tolist() == values.tolist()
    for shape, expected in (((3,), torch.int64), ((3, 2), torch.float32)):
        np.savez(base / "b.npz", x=np.zeros((3, 1)), y=np.ones(shape, dtype=bool))
        targets = read("{file: b.npz}", base, ("train",))["train"].targets
        assert targets.dtype == expected
        assert bool((targets == 1).all())


# Folders of images.


def write_images(folder, classes, count=3, size=(6, 5), mode="RGB", seed=0):
    random = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).convert(mode).save(folder / name / f"{i}.png")


def test_a_folder_gives_images_by_class_in_the_order_of_names(tmp_path):
    write_images(tmp_path / "im/train", ["cat", "ant", "bee"])
    write_images(tmp_path / "im/test", ["cat", "bee"], count=2, seed=1)
    splits = read("{folder: 'im/{split}'}", tmp_path)
    assert splits["train"].inputs.shape == (9, 3, 5, 6)
    assert splits["train"].targets.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert splits["test"].targets.tolist() == [1, 1, 2, 2]  # numbered as in train
    alone = read("{train: {folder: im/train}, test: {folder: im/test}}", tmp_path, ("test",))
    assert alone["test"].targets.tolist() == [1, 1, 2, 2]
    pixels = np.array(Image.open(tmp_path / "im/train/bee/1.png")).transpose(2, 0, 1)
    np.testing.assert_allclose(splits["train"].inputs[4].numpy(), pixels / 255, rtol=1e-6)
    small = read("{folder: 'im/{split}', side: 4, grey: true, samples: 4}", tmp_path)
    assert small["train"].inputs.shape == (4, 1, 4, 4)
    divided = read("{folder: im/train, test_fraction: 0.34}", tmp_path)
    assert divided["test"].targets.sort().values.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{folder: im}", "the folders in .* are splits .*write im/{split}"),
        ("{folder: nowhere}", "data.folder: .* is not a folder"),
        ("{folder: im/train/ant}", "has no folders; expected one a class"),
        ("{folder: empty}", "data.folder: no images in"),
        ("{folder: sizes}", "shape .*the first image has .*set side:"),
        ("{folder: modes}", "shape .*the first image has .*set grey:"),
        ("{folder: deep}", "more than 8 bits"),
        ("{folder: broken}", "0.png cannot be read as an image"),
        ("{train: {folder: im/train}, test: {folder: more}}", "has the class 'dog', which train"),
    ],
)
def test_a_wrong_folder_is_refused_in_one_line(tmp_path, text, told):
    write_images(tmp_path / "im/train", ["ant", "bee"])
    write_images(tmp_path / "more", ["ant", "dog"])
    write_images(tmp_path / "sizes", ["a"])
    write_images(tmp_path / "sizes", ["b"], size=(7, 7))
    write_images(tmp_path / "modes", ["a"])
    write_images(tmp_path / "modes", ["b"], mode="L")
    (tmp_path / "empty/a").mkdir(parents=True)
    (tmp_path / "deep/a").mkdir(parents=True)
    Image.fromarray(np.zeros((4, 4), dtype=np.uint16)).save(tmp_path / "deep/a/0.png")
    (tmp_path / "broken/a").mkdir(parents=True)
    (tmp_path / "broken/a/0.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    wanted = ("train", "test") if "test:" in text else ("train",)
    message = line(text, tmp_path, wanted)
    assert re.search(told, message), message


def test_grey_and_palette_images_become_what_is_asked_for(tmp_path):
    write_images(tmp_path / "grey", ["a"], mode="L")
    write_images(tmp_path / "palette", ["a"], mode="P")
    for text, channels in (
        ("{folder: grey}", 1),
        ("{folder: grey, grey: false}", 3),
        ("{folder: palette}", 3),
        ("{folder: palette, grey: true}", 1),
    ):
        assert read(text, tmp_path, ("train",))["train"].inputs.shape == (3, channels, 5, 6)
