"""Checkpoints: what is read, what is refused, and that no file ever runs anything."""

import io
import json
import os
import pickle
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn

from schemas.errors import SpecError
from schemas.messages import first_complaint
from tasks.model.checkpoint_parameters import Checkpoint, CheckpointParameters
from tasks.model.checkpoints import fitted, load_checkpoint, read_checkpoint
from tasks.registry import Parameters


def network(seed=0, width=4):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 2))


@pytest.fixture
def state():
    return network().state_dict()


def legacy(value, path):
    torch.save(value, path, _use_new_zipfile_serialization=False)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# Files that are read


def write_sharded(state, folder):
    names = list(state)
    parts = {"model-1-of-2.safetensors": names[:4], "model-2-of-2.safetensors": names[4:]}
    for file, part in parts.items():
        save_file({name: state[name] for name in part}, folder / file)
    places = {name: file for file, part in parts.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


@pytest.mark.parametrize("ending", ["pt", "pth", "bin", "ckpt", "pth.tar", "safetensors", "legacy"])
def test_a_state_dict_comes_back_as_it_was_written(tmp_path, state, ending):
    path = tmp_path / f"net.{ending}"
    {"safetensors": save_file, "legacy": legacy}.get(ending, torch.save)(state, path)
    assert same(read_checkpoint(path.name, tmp_path), state)
    assert same(read_checkpoint(CheckpointParameters(file=path.name), tmp_path), state)
    assert not same(read_checkpoint(path.name, tmp_path), network(1).state_dict())


@pytest.mark.parametrize("name", ["", "model.safetensors.index.json"])
def test_the_parts_of_a_sharded_checkpoint_are_put_together(tmp_path, state, name):
    (tmp_path / "net").mkdir()
    write_sharded(state, tmp_path / "net")
    assert same(read_checkpoint(f"net/{name}", tmp_path), state)


def test_a_repacked_archive_gives_the_same_numbers(tmp_path, state):
    torch.save(state, tmp_path / "a.pt")
    with (
        zipfile.ZipFile(tmp_path / "a.pt") as old,
        zipfile.ZipFile(tmp_path / "b.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert same(read_checkpoint("b.pt", tmp_path), state)


def test_an_archive_without_checksums_is_read(tmp_path, state):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(state, tmp_path / "a.pt")
    finally:
        torch.serialization.set_crc32_options(True)
    assert same(read_checkpoint("a.pt", tmp_path), state)


# Where the state dict is


def optimiser_of(model):
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.randn(5, 3)).sum().backward()
    optimiser.step()
    return optimiser.state_dict()


@pytest.mark.parametrize("name", ["state_dict", "model", "net", "model_state_dict", "anything"])
def test_a_state_dict_beside_an_optimisers_is_found(tmp_path, name):
    model = network()
    training = {"epoch": 3, "optimizer": optimiser_of(model), "best": torch.tensor(0.5)}
    torch.save({**training, name: model.state_dict(), "args": {"lr": 0.1}}, tmp_path / "a.pt")
    assert same(read_checkpoint("a.pt", tmp_path), model.state_dict())


def test_one_usual_name_comes_before_others(tmp_path, state):
    torch.save({"discriminator": network(1).state_dict(), "model": state}, tmp_path / "a.pt")
    assert same(read_checkpoint("a.pt", tmp_path), state)


@pytest.mark.parametrize(
    ("content", "places"),
    [
        ({"model": 0, "model_ema": 1}, "model, model_ema"),
        ({"left": 0, "right": 1}, "left, right"),
        ({"nets": [0, 1]}, r"nets\.0, nets\.1"),
        ({"a": {"model": 0}, "b": {"model": 1}}, r"a\.model, b\.model"),
    ],
)
def test_of_several_the_key_says_which(tmp_path, content, places):
    states = [network(0).state_dict(), network(1).state_dict()]

    def filled(value):
        if isinstance(value, int):
            return states[value]
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        made = {name: filled(part) for name, part in pairs}
        return made if isinstance(value, dict) else list(made.values())

    torch.save(filled(content), tmp_path / "a.pt")
    with pytest.raises(
        SpecError, match=rf"^origin: a\.pt holds 2 state dicts; add key: .*{places}"
    ):
        read_checkpoint("a.pt", tmp_path, "origin")
    for key, state in zip(places.replace("\\", "").split(", "), states, strict=True):
        named = CheckpointParameters(file="a.pt", key=key)
        assert same(read_checkpoint(named, tmp_path), state)


def test_a_key_selects_names_that_begin_alike(tmp_path, state):
    both = {f"unet.{name}": tensor for name, tensor in state.items()}
    save_file({**both, "vae.weight": torch.ones(2)}, tmp_path / "a.safetensors")
    named = CheckpointParameters(file="a.safetensors", key="unet")
    assert same(read_checkpoint(named, tmp_path), state)


def test_a_wrong_key_is_refused_with_the_places_there_are(tmp_path, state):
    torch.save({"model": state, "epoch": 3}, tmp_path / "a.pt")
    torch.save(state, tmp_path / "b.pt")
    expected = {
        ("a.pt", "modle"): r"no state dict at key 'modle'; expected one of model; .*mean 'model'\?",
        ("a.pt", "epoch"): r"no state dict at key 'epoch'; expected one of model",
        ("b.pt", "model"): r"no state dict at key 'model'; it holds one state dict; leave the key",
    }
    for (file, key), message in expected.items():
        with pytest.raises(SpecError, match=message):
            read_checkpoint(CheckpointParameters(file=file, key=key), tmp_path)


# Files that are refused, and never run


class Payload:
    """A pickle of it makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class Nested:
    """As Payload, but through `eval`, and with state that is set afterwards."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return eval, (f"open({str(self.path)!r}, 'w').close()",), {"a": 1}


def in_zip_of_protocol_4(value, path):
    torch.save(value, path, pickle_protocol=4)


def bare(protocol):
    return lambda value, path: path.write_bytes(pickle.dumps(value, protocol))


def as_numpy(value, path):
    stream = io.BytesIO()
    np.savez(stream, weight=np.array([value], dtype=object))
    path.write_bytes(stream.getvalue())


def in_disguise(value, path):
    """A zip of torch.save's shape whose pickle is our own."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps(value, 2))
        archive.writestr("a/version", "3\n")
        archive.writestr("a/byteorder", "little")


WRITERS = {
    "zip": torch.save,
    "legacy": legacy,
    "zip of protocol 4": in_zip_of_protocol_4,
    "zip in disguise": in_disguise,
    "pickle 0": bare(0),
    "pickle 2": bare(2),
    "pickle 4": bare(4),
    "pickle 5": bare(5),
    "numpy": as_numpy,
}


@pytest.mark.parametrize("payload", [Payload, Nested])
@pytest.mark.parametrize("key", [None, "state_dict", "evil"])
@pytest.mark.parametrize("ending", ["pt", "npz", "safetensors"])
@pytest.mark.parametrize("writer", WRITERS)
def test_a_malicious_file_runs_nothing(tmp_path, state, writer, ending, key, payload):
    mark = tmp_path / "ran"
    path = tmp_path / f"evil.{ending}"
    value = payload(mark) if key is None else {"state_dict": state, "evil": payload(mark)}
    WRITERS[writer](value, path)
    checkpoint = CheckpointParameters(file=path.name, key=key)
    with pytest.raises(SpecError) as caught:
        read_checkpoint(checkpoint, tmp_path)
    message = str(caught.value)
    assert message.startswith("checkpoint: evil.")
    assert "\n" not in message
    assert len(message) < 400
    assert not mark.exists()
    if ending != "safetensors" and writer not in ("pickle 0", "numpy"):
        named = "posix.system" if payload is Payload else "eval"
        assert re.search(rf"holds Python objects \(.*{named}", message)
        assert "torch.save(model.state_dict(), 'weights.pt')" in message


@pytest.mark.parametrize("writer", WRITERS)
def test_the_malicious_files_would_run_if_they_were_unpickled(tmp_path, writer):
    # The negative control: without it, the test above might watch harmless files.
    mark = tmp_path / "ran"
    path = tmp_path / "evil.pt"
    WRITERS[writer](Payload(mark), path)
    if writer == "numpy":
        with np.load(path, allow_pickle=True) as archive:
            archive["weight"]
    elif writer.startswith("pickle"):
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize("save", [torch.save, legacy])
def test_a_whole_model_is_refused_with_the_remedy(tmp_path, save):
    save(network(), tmp_path / "a.pt")
    with pytest.raises(SpecError, match=r"a\.pt holds a whole model \(torch\.nn\..*\), and .*sta"):
        read_checkpoint("a.pt", tmp_path)


def test_a_number_of_numpys_beside_the_weights_is_refused_by_name(tmp_path, state):
    torch.save({"model": state, "accuracy": np.float64(0.9)}, tmp_path / "a.pt")
    with pytest.raises(SpecError, match=r"holds Python objects \(numpy\._core\.multiarray\.scalar"):
        read_checkpoint("a.pt", tmp_path)


@pytest.mark.parametrize("write", [in_zip_of_protocol_4, bare(4)])
def test_a_pickle_of_another_protocol_is_refused_with_the_remedy(tmp_path, state, write):
    write(state, tmp_path / "a.pt")
    with pytest.raises(SpecError, match=r"a\.pt is a pickle of another protocol than 2, .*save"):
        read_checkpoint("a.pt", tmp_path)


def test_an_index_may_only_name_files_beside_it(tmp_path, state):
    (tmp_path / "net").mkdir()
    write_sharded(state, tmp_path / "net")
    index = tmp_path / "net" / "model.safetensors.index.json"
    wrong = {
        '{"weight_map": {"a": "../secret.safetensors"}}': r"names '\.\./secret\.safetensors'",
        '{"weight_map": {"a": "/etc/passwd"}}': r"names '/etc/passwd'; expected a file beside",
        '{"weight_map": {"a": "gone.safetensors"}}': r"no file 'gone\.safetensors'",
        '{"weight_map": {"a": "model-1-of-2.safetensors"}}': r"has no tensor 'a', which net puts",
        '{"weight_map": {"a": "model.safetensors.index.json"}}': r"expected a file beside it",
        '{"weight_map": [1]}': r"is no index of tensors",
        "{": r"is no index of tensors",
    }
    for text, message in wrong.items():
        index.write_text(text)
        with pytest.raises(SpecError, match=message):
            read_checkpoint("net", tmp_path)


def flipped(content):
    place = content.index(b"data/0") + 100
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def broken_files(folder):
    state = network().state_dict()
    torch.save(state, folder / "good.pt")
    legacy(state, folder / "old.pt")
    save_file(state, folder / "good.safetensors")
    content, old, safe = (
        (folder / name).read_bytes() for name in ("good.pt", "old.pt", "good.safetensors")
    )
    (folder / "half.pt").write_bytes(content[: len(content) // 2])
    (folder / "flipped.pt").write_bytes(flipped(content))
    (folder / "oldhalf.pt").write_bytes(old[:-10])
    (folder / "oldstart.pt").write_bytes(old[:300])
    (folder / "half.safetensors").write_bytes(safe[:-10])
    (folder / "start.safetensors").write_bytes(safe[:40])
    (folder / "zip.safetensors").write_bytes(content)
    (folder / "empty.pt").write_bytes(b"")
    (folder / "text.pt").write_text("these are not weights")
    (folder / "plain.pt").write_bytes(pickle.dumps({"a": 1}, 2))
    np.savez(folder / "arrays.npz", a=np.ones(2))
    (folder / "folder").mkdir()
    torch.save(torch.ones(2), folder / "tensor.pt")
    torch.save({"epoch": 3}, folder / "nothing.pt")
    torch.save({}, folder / "empty_dict.pt")
    with zipfile.ZipFile(folder / "other.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    with zipfile.ZipFile(folder / "script.pt", "w") as archive:
        archive.writestr("a/data.pkl", "")
        archive.writestr("a/constants.pkl", "")


BROKEN = {
    "half.pt": r"half\.pt is damaged, or of another kind \(BadZipFile.*; copy it again, or save",
    "flipped.pt": r"is damaged: good/data/0 in it does not have its checksum; copy it again",
    "oldhalf.pt": r"oldhalf\.pt is damaged",
    "oldstart.pt": r"oldstart\.pt is damaged",
    "half.safetensors": r"half\.safetensors is damaged",
    "start.safetensors": r"start\.safetensors is damaged",
    "zip.safetensors": r"zip\.safetensors is no safetensors file; it is a zip file; write it with",
    "empty.pt": r"empty\.pt is empty; save",
    "text.pt": r"text\.pt was written neither by torch\.save nor by safetensors; save",
    "plain.pt": r"plain\.pt is damaged, or of another kind",
    "arrays.npz": r"arrays\.npz is a NumPy archive; save",
    "folder": r"folder is a directory \(empty\); name a file in it",
    ".": r"\. is a directory \(arrays\.npz, .*\); name a file in it",
    "tensor.pt": r"holds no state dict, but a Tensor; expected tensors by name",
    "nothing.pt": r"holds no state dict, but keys epoch; expected tensors by name",
    "empty_dict.pt": r"holds no state dict, but ",
    "other.zip": r"other\.zip is a zip file that torch\.save did not write",
    "script.pt": r"script\.pt is a TorchScript program, not a state dict",
    "goood.pt": r"no file 'goood\.pt'; did you mean 'good\.pt'\?",
    "no/such/folder.pt": r"no file 'no/such/folder\.pt'",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_checkpoint_is_refused_in_one_line(tmp_path, name):
    broken_files(tmp_path)
    read_checkpoint("good.pt", tmp_path)
    with pytest.raises(SpecError, match=BROKEN[name]) as caught:
        read_checkpoint(name, tmp_path)
    assert str(caught.value).startswith("checkpoint: ")
    assert "\n" not in str(caught.value)


# How a state dict fits a module


def below(start, state):
    return {f"{start}{name}": tensor for name, tensor in state.items()}


def wrapped(model):
    outer = nn.Module()
    outer.module = model
    return outer


STARTS = ["", "module.", "_orig_mod.", "model.", "module._orig_mod.", "_orig_mod.module.model.net."]


@pytest.mark.parametrize("start", STARTS)
def test_what_every_name_begins_with_is_taken_away_or_put_in_front(state, start):
    assert same(fitted(below(start, state), network(1), "checkpoint"), ordered(state))
    expected = below("module.", ordered(state))
    assert same(fitted(below(start, state), wrapped(network(1)), "checkpoint"), expected)


def ordered(state):
    """Parameters, then buffers."""
    buffers = [name for name in state if "running" in name or "tracked" in name]
    return {name: state[name] for name in [*(n for n in state if n not in buffers), *buffers]}


def test_a_common_beginning_of_the_models_own_names_is_kept():
    model = nn.Sequential(nn.Linear(2, 2))
    assert same(fitted(model.state_dict(), model, "c"), model.state_dict())
    plain = {"weight": torch.ones(2, 2), "bias": torch.ones(2)}
    assert same(fitted(plain, model, "c"), below("0.", plain))
    assert same(fitted(below("module.0.", plain), model, "c"), below("0.", plain))


def test_a_compiled_part_goes_by_its_own_name(state):
    inner = {name.replace("0.", "0._orig_mod."): tensor for name, tensor in state.items()}
    assert any("_orig_mod" in name for name in inner)
    assert same(fitted(inner, network(1), "c"), ordered(state))


def test_an_averaged_model_goes_by_the_models_names(state):
    averaged = torch.optim.swa_utils.AveragedModel(network())
    averaged.update_parameters(network())
    assert "n_averaged" in averaged.state_dict()
    assert same(fitted(averaged.state_dict(), network(1), "c"), ordered(state))


def test_a_counter_of_batches_may_be_missing_but_no_statistics(state):
    model = network(1)
    model[1].num_batches_tracked.fill_(7)
    without = {name: t for name, t in state.items() if "tracked" not in name}
    assert int(fitted(without, model, "c")["1.num_batches_tracked"]) == 7
    del without["1.running_var"]
    with pytest.raises(SpecError, match=r"1 of the model's 9 tensors are missing .*1\.running_var"):
        fitted(without, model, "c")


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("mask", torch.full((2,), -torch.inf))
        self.register_buffer("cache", torch.zeros(2), persistent=False)


def test_tied_weights_have_the_name_of_the_parameter():
    model, one = Tied(), torch.arange(15.0).reshape(5, 3)
    mask = model.mask
    expected = {"embedding.weight": one, "mask": mask}
    for names in (["embedding.weight", "head.weight"], ["embedding.weight"], ["head.weight"]):
        given = {name: one.clone() for name in names}
        assert same(fitted({**given, "mask": mask}, model, "c"), expected)
    with pytest.raises(SpecError, match=r"embedding\.weight and head\.weight are tied .*; untie"):
        fitted({"embedding.weight": one, "head.weight": one + 1, "mask": mask}, model, "c")


def test_a_buffer_that_is_no_longer_kept_does_no_harm():
    state = {**Tied().state_dict(), "cache": torch.ones(2)}
    assert "cache" not in fitted(state, Tied(), "c")
    with pytest.raises(SpecError, match="cachet"):
        fitted({**state, "cachet": torch.ones(2)}, Tied(), "c")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_float_is_kept_as_it_is(state, dtype):
    cast = {n: t.to(dtype) if t.is_floating_point() else t for n, t in state.items()}
    assert fitted(cast, network(1), "c")["0.weight"].dtype == dtype


def test_the_result_shares_no_memory(tmp_path, state):
    torch.save(state, tmp_path / "a.pt")
    read = read_checkpoint("a.pt", tmp_path)
    result = fitted(read, network(1), "c")
    kept = result["0.weight"].clone()
    read["0.weight"].zero_()
    assert torch.equal(result["0.weight"], kept)
    assert same(read_checkpoint("a.pt", tmp_path), state)  # nor does the file change


def changed(state, **changes):
    return {**state, **{name.replace("_", ".", 1): tensor for name, tensor in changes.items()}}


def without(state, name):
    return {other: tensor for other, tensor in state.items() if other != name}


MISFITS = {
    "a name is missing": (
        lambda s: without(s, "3.bias"),
        r"^origin: 1 of the model's 9 tensors are missing in the file \(3\.bias\); build the model",
    ),
    "a name is unexpected": (
        lambda s: {**s, "4.bias": torch.ones(2)},
        r"^origin: 1 of the file's 10 are not the model's \(4\.bias\); build the model",
    ),
    "a name is another": (
        lambda s: {**without(s, "3.weight"), "3.weights": s["3.weight"]},
        r"missing in the file \(3\.weight, nearest 3\.weights\) and 1 of the file's 9 are n",
    ),
    "all names are others": (
        lambda s: {f"x{index}.y": tensor for index, tensor in enumerate(s.values())},
        r"8 of the model's 9 tensors are missing .*; and 5 more\) and 9 of the file's 9 are not",
    ),
    "the model is a part": (
        lambda s: {**below("model.", s), "teacher.weight": torch.ones(2)},
        r"all are there below model; name that in key",
    ),
    "a shape is another": (
        lambda s: {**s, "3.weight": torch.ones(5, 4), "3.bias": torch.ones(5)},
        r"3\.weight is \(5, 4\) in the file and \(2, 4\) in the model, 3\.bias is \(5,\) in the f",
    ),
    "integers": (
        lambda s: {**s, "3.bias": torch.ones(2, dtype=torch.int64)},
        r"3\.bias is torch\.int64 in the file and torch\.float32 in the model; expected real numb",
    ),
    "fractions for a count": (
        lambda s: {**s, "1.num_batches_tracked": torch.tensor(0.5)},
        r"num_batches_tracked is torch\.float32 in the file and torch\.int64 in the model",
    ),
    "NaN": (
        lambda s: {**s, "3.bias": torch.tensor([1.0, torch.nan])},
        r"3\.bias is NaN or infinite at 1 of its 2 entries; .*use an earlier checkpoint",
    ),
    "infinity": (
        lambda s: {**s, "3.bias": torch.tensor([torch.inf, -torch.inf])},
        r"3\.bias is NaN or infinite at 2 of its 2 entries",
    ),
    "NaN in statistics": (
        lambda s: {**s, "1.running_mean": torch.full((4,), torch.nan)},
        r"1\.running_mean is NaN or infinite at 4 of its 4",
    ),
    "sparse": (
        lambda s: {**s, "3.weight": s["3.weight"].to_sparse()},
        r"3\.weight is a sparse, quantised or meta tensor",
    ),
    "meta": (
        lambda s: {**s, "3.weight": s["3.weight"].to("meta")},
        r"3\.weight is a sparse, quantised or meta tensor",
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_what_does_not_fit_is_refused_and_leaves_the_module_as_it_was(state, case):
    change, message = MISFITS[case]
    model = network(1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for function in (
        lambda: fitted(change(state), model, "origin"),
        lambda: load_checkpoint(model, change(state), "origin"),
    ):
        with pytest.raises(SpecError, match=message) as caught:
            function()
        assert "\n" not in str(caught.value)
    assert same(model.state_dict(), before)


def test_a_model_without_shapes_is_refused():
    with pytest.raises(SpecError, match=r"the model's weight, bias has no shape before its first"):
        fitted({"weight": torch.ones(2, 2)}, nn.LazyLinear(2), "c")


def test_a_loaded_module_computes_what_the_saved_one_did(tmp_path):
    model, other = network(), network(1)
    model(torch.randn(8, 3, generator=torch.Generator().manual_seed(0)))  # moves the statistics
    torch.save({"state_dict": below("module.", model.state_dict())}, tmp_path / "a.pt")
    inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))
    weight = other[0].weight
    assert not torch.equal(model.eval()(inputs), other.eval()(inputs))
    load_checkpoint(other, read_checkpoint("a.pt", tmp_path), "checkpoint")
    assert torch.equal(model(inputs), other(inputs))
    assert other[0].weight is weight
    assert weight.requires_grad


def test_double_precision_is_rounded_into_a_single_precision_module(state):
    model = network(1)
    load_checkpoint(model, {n: t.double() if t.is_floating_point() else t
                            for n, t in state.items()}, "c")  # fmt: skip
    assert model[0].weight.dtype == torch.float32
    assert same(model.state_dict(), state)


def test_naming_a_checkpoint_needs_no_torch():
    program = (
        "import sys, tasks.model.checkpoint_parameters; assert 'torch' not in sys.modules;"
        "import tasks.model.checkpoints; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


class Holder(Parameters):
    origin: Checkpoint
    others: dict[str, Checkpoint] | None = None


def test_a_checkpoint_in_a_spec_is_a_path_or_a_mapping():
    holder = Holder(origin="a.pt", others={"b": {"file": "a.pt", "key": "model"}})
    assert holder.origin == "a.pt"
    assert holder.others["b"] == CheckpointParameters(file="a.pt", key="model")
    assert Holder.model_validate(holder.model_dump(mode="json")) == holder


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (3, "origin: got 3; expected text"),
        ("", "origin: got ''; string should have at least 1 character"),
        ({"fil": "a.pt"}, "origin.fil: unknown field; expected one of file, key; did you mean 'f"),
        ({"key": "model"}, "origin.file: is missing; add it"),
        ({"file": "a.pt", "key": 3}, "origin.key: got 3; expected text"),
    ],
)
def test_a_wrong_checkpoint_in_a_spec_is_one_line(wrong, expected):
    with pytest.raises(ValidationError) as caught:
        Holder(origin=wrong)
    assert first_complaint(caught.value, Holder).startswith(expected)
