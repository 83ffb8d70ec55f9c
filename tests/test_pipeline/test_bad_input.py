"""Bad input: one line that names the value, what was expected and the remedy; exit code 2."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from pipeline import run, verify
from pipeline.cli import main
from schemas import parse_spec

AXES = {"h1": {"start": 0, "stop": 1, "num": 8}, "h2": {"start": 0, "stop": 1, "num": 8}}
QUADRATIC = {"task": "quadratic", "axes": AXES, "compute": {"workers": 0}}
PATTERN = {
    "task": "pattern-theorem1",
    "axes": AXES,
    "parameters": {"target": {"function": "two-well"}},
    "compute": {"workers": 0},
}


def axis(**changes):
    return {"axes": {"h1": {**AXES["h1"], **changes}}}


def pattern(**changes):
    return {**PATTERN, "parameters": {**PATTERN["parameters"], **changes}}


def residual(**parameters):
    return {"task": "linear-residual", "parameters": parameters, "splits": ["population"]}


def deep(**parameters):
    return {"task": "deep-linear", "parameters": parameters, "splits": ["train"]}


# What a user has beside the spec.
NETS = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)).eval()

def scalar():
    return nn.Linear(5, 1)

def batchnorm():
    return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).eval()

class Stubborn(nn.Linear):
    def reset_parameters(self):
        if hasattr(self, "made"):
            raise ValueError("never")
        self.made = super().reset_parameters() is None

def stubborn():
    return Stubborn(5, 3)

class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(5, 3))

    def forward(self, x):
        return x @ self.weight

class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(5, 4)
        self.outer = nn.Linear(4, 3)

    def forward(self, x):
        hidden = self.inner(x)
        return self.outer(hidden.relu() if float(hidden.sum()) > 0 else hidden.tanh())

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(5, 3)

    def forward(self, x):
        return {"scores": self.inner(x), "features": x}

def data(samples=12, labels=12, classes=3):
    pair = torch.randn(samples, 5), torch.arange(labels) % classes
    return {"train": pair, "test": pair}

def real():
    return {name: (torch.randn(12, 5), torch.randn(12)) for name in ("train", "test")}

def flat(outputs, targets):
    return 1 + 0 * outputs.sum(dim=1)

def total(outputs, targets):
    return outputs.sum()
"""


class Malicious:
    """What writes a file when it is unpickled."""

    def __reduce__(self):
        return Path.write_text, (Path("executed"), "it ran")


def write_checkpoints():
    """Files that fit `net`, and some that do not."""
    state = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3)).state_dict()
    torch.save(state, "good.pt")
    weight = state.pop("2.weight")
    torch.save(state, "missing.pt")
    torch.save({**state, "2.weigth": weight}, "renamed.pt")
    torch.save({**state, "2.weight": weight, "3.bias": torch.zeros(3)}, "unexpected.pt")
    torch.save({**state, "2.weight": weight.T}, "transposed.pt")
    torch.save({"model": state, "extra": Malicious()}, "malicious.pt")
    Path("text.pt").write_text("these are no weights")


def model(axes=None, splits=("train", "test"), metrics=("loss",), **changes):
    return {
        "task": "model",
        "axes": axes or AXES,
        "splits": list(splits),
        "metrics": list(metrics),
        "parameters": {"model": "nets.py:net", "data": {"factory": "nets.py:data"}, **changes},
    }


def on_data(**arguments):
    return model(data={"factory": "nets.py:data", "arguments": arguments})


def starting(descent=None, metrics=("loss",), **changes):
    spec = model(metrics=metrics, **changes) | {"starts": {"num": 4}, "descent": descent}
    del spec["axes"]
    return spec


LINE = {"t": {"start": 0, "stop": 1, "num": 3}}
PATH = {"to": "good.pt", "kind": "linear"}
RISING = {"h1": {"rise": 2, "num": 3}, "h2": AXES["h2"]}
MODELS = {
    "starts: beside directions": (
        starting(directions="filter"),
        r"directions: is given beside starts.*leave directions out, or give axes",
    ),
    "starts: beside a path": (starting(path={"to": "good.pt"}), r"path: is given beside starts"),
    "starts: beside trajectories": (
        starting(trajectories={"sgd": ["good.pt"]}),
        r"trajectories: is given beside starts",
    ),
    "starts: aligned": (starting(align=True), r"align: is given beside starts"),
    "starts: interpolated statistics": (
        starting(model="nets.py:batchnorm", batchnorm="interpolated"),
        r"batchnorm: got interpolated, but starts lie between no checkpoints; use stored",
    ),
    "starts: a metric along axes": (
        starting(metrics=("loss", "section_gradient")),
        r"metrics: got 'section_gradient'; .*starts have none; leave it out",
    ),
    "starts: a layer that cannot be reset": (
        starting(model="nets.py:stubborn"),
        r"starts\.distribution: reset_parameters of Stubborn raised ValueError: never; use normal",
    ),
    "starts: nothing random": (
        starting(model="nets.py:Constant"),
        r"starts\.distribution: auto makes the same start every time, .*; use normal or uniform",
    ),
    "descent: no sum of squares": (
        starting({"method": "lm"}),
        r"descent\.method: lm needs a loss that is a sum of squares, such as mse; use lbfgs",
    ),
    "descent: statistics measured anew": (
        starting({}, model="nets.py:batchnorm", batchnorm="reestimated"),
        r"descent: with batchnorm: reestimated .*use batchnorm: stored or leave descent out",
    ),
    "model: no such file": (model(model="net.py:net"), r"model: no file 'net\.py'.*'nets\.py'"),
    "model: no such name": (model(model="nets.py:nte"), r"has no 'nte'; did you mean 'net'"),
    "model: no module": (model(model="nets.py:data"), r"gave dict; expected a torch\.nn\.Module"),
    "model: no such argument": (
        model(arguments={"width": 3}),
        r"model: nets\.py:net has no argument 'width'; it takes \(\)",
    ),
    "checkpoint: no such file": (
        model(checkpoint="god.pt"),
        r"checkpoint: no file 'god\.pt'; did you mean 'good\.pt'",
    ),
    "checkpoint: a tensor is missing": (
        model(checkpoint="missing.pt"),
        r"checkpoint: 1 of the model's 4 tensors are missing in the file \(2\.weight\)",
    ),
    "checkpoint: a tensor has another name": (
        model(checkpoint="renamed.pt"),
        r"missing in the file \(2\.weight, nearest 2\.weigth\) and 1 of the file's 4 are not",
    ),
    "checkpoint: a tensor too many": (
        model(checkpoint="unexpected.pt"),
        r"checkpoint: 1 of the file's 5 are not the model's \(3\.bias\)",
    ),
    "checkpoint: another shape": (
        model(checkpoint="transposed.pt"),
        r"2\.weight is \(4, 3\) in the file and \(3, 4\) in the model",
    ),
    "checkpoint: a malicious pickle": (
        model(checkpoint="malicious.pt"),
        r"checkpoint: malicious\.pt holds Python objects \(.*pathlib\.Path.*save the weights alone",
    ),
    "checkpoint: no weights": (
        model(checkpoint="text.pt"),
        r"text\.pt was written neither by torch\.save nor by safetensors",
    ),
    "checkpoint: wrong key": (
        model(checkpoint={"file": "good.pt", "key": "model"}),
        r"checkpoint: good\.pt has no state dict at key 'model'; .*leave the key out",
    ),
    "checkpoint: wrong field": (
        model(checkpoint={"fil": "good.pt"}),
        r"parameters\.checkpoint\.fil: unknown field; .*did you mean 'file'\?$",
    ),
    "data: unknown name": (model(data="digts"), r"data: got 'digts'.*did you mean 'digits'"),
    "data: none": (model(data=None), r"parameters\.data: got None"),
    "data: no such factory": (
        model(data={"factory": "nets.py:dta"}),
        r"data\.factory: nets\.py has no 'dta'; did you mean 'data'",
    ),
    "data: fewer labels than samples": (on_data(labels=11), r"12 inputs and targets of shape"),
    "data: labels beyond the outputs": (
        on_data(classes=4),
        r"data\['train'\]\.targets: hold classes 0 to 3; .*offer 0 to 2",
    ),
    "data: another split": (
        model(splits=["train", "valid"]),
        r"splits: got 'valid'; data has train, test",
    ),
    "data: numbers have no classes": (
        model(
            model="nets.py:scalar",
            data={"factory": "nets.py:real"},
            loss="mse",
            metrics=["loss", "accuracy"],
        ),
        r"metrics: .*accuracy.*class",
    ),
    "loss: unknown": (model(loss="mes"), r"loss: got 'mes'.*did you mean 'mse'"),
    "loss: imports nothing": (
        model(loss="nets.py:nothing"),
        r"loss: nets\.py has no 'nothing'",
    ),
    "loss: no such module": (model(loss="lossses:mse"), r"loss: no module 'lossses'"),
    "loss: one number": (model(loss="nets.py:total"), r"loss: gave shape \(\) for .*reduction"),
    "output: no such key": (
        model(model="nets.py:Two", output="logits"),
        r"output: .*without 'logits'; expected one of scores, features",
    ),
    "directions: unknown kind": (
        model(directions="filtre"),
        r"directions: got kind 'filtre'.*did you mean 'filter'",
    ),
    "directions: unknown field": (
        model(directions={"kind": "filter", "ingore": "nothing"}),
        r"kind 'filter' has no field 'ingore'.*did you mean 'ignore'",
    ),
    "directions: too few": (model(directions="gradient"), r"axes: got 2; .*needs 1"),
    "directions: count of none": (
        model(directions={"kind": "filter", "count": 0}),
        r"parameters\.directions\.0\.count: got 0; expected 1 or more$",
    ),
    "path beside directions": (
        model(LINE, path=PATH, directions="filter"),
        r"path: stands beside directions; keep one",
    ),
    "path: two axes": (model(path=PATH), r"axes: got 2; a path needs 1"),
    "path: no end": (model(LINE, path={"kind": "linear"}), r"path\.to: is missing; add it$"),
    "path: to another model's": (
        model(LINE, path={"to": "missing.pt", "kind": "linear"}),
        r"checkpoint missing\.pt: 1 of the model's 4 tensors are missing",
    ),
    "directions: to another model's": (
        model({"a": AXES["h1"]}, directions={"kind": "checkpoint", "to": "missing.pt"}),
        r"checkpoint missing\.pt: 1 of the model's 4 tensors are missing",
    ),
    "path: bends of a line": (
        model(LINE, path={**PATH, "bends": 2}),
        r"path: got bends for a linear path.*give kind: polygon or bezier",
    ),
    "batchnorm is missing": (
        model(LINE, model="nets.py:batchnorm", path=PATH),
        r"batchnorm: is missing; .*choose stored, interpolated or reestimated",
    ),
    "batchnorm of a model without": (
        model(batchnorm="reestimated"),
        r"batchnorm: got reestimated, but the model has no running statistics",
    ),
    "batchnorm: unknown policy": (
        model(batchnorm="stord"),
        r"parameters\.batchnorm\.policy: got 'stord'.*did you mean 'stored'",
    ),
    "align: not traceable": (
        model(LINE, model="nets.py:Branching", path={"to": "branching.pt"}, align=True),
        r"model: Branching cannot be traced .*alignment needs .*leave it out",
    ),
    "rise of a flat loss": (
        model(RISING, loss="nets.py:flat"),
        r"axes\.h1: the loss stays below 2 times .*give start, stop and num",
    ),
    "trajectories: nothing matches": (
        model(trajectories={"sgd": "runs/*.pt"}),
        r"trajectories\.sgd: runs/\*\.pt matches no file.*mend the pattern",
    ),
    "trajectories: no run": (
        model(trajectories="runs/*.pt"),
        r"trajectories: got 'runs/\*\.pt'; expected a mapping from the name of a run",
    ),
    "trajectories: another model's": (
        model(trajectories={"sgd": ["good.pt", "missing.pt"]}),
        r"checkpoint missing\.pt: 1 of the model's 4 tensors are missing",
    ),
}


# what is asked for → a pattern that the one line must match
SPECS = {
    "starts and axes": ({"starts": {"num": 4}}, r"expected axes or starts, and both are given"),
    "starts of no size": (
        {"axes": {}, "starts": {"num": 4}},
        r"parameters\.curvature: is one number, and starts do not say for how many variables",
    ),
    "starts in a pattern": (
        pattern() | {"axes": {}, "starts": {"num": 4}},
        r"starts: this task is scanned along axes; give axes instead",
    ),
    "no starts": ({"axes": {}, "starts": {"num": 0}}, r"starts\.num: got 0; expected 1 or more"),
    "starts as a number": (
        {"axes": {}, "starts": 4},
        r"starts: got 4; expected a mapping, such as \{num: 100\}",
    ),
    "a descent by name": (
        {"descent": "lbfgs"},
        r"descent: got 'lbfgs'; expected a mapping, such as \{method: lbfgs\}",
    ),
    "starts infinitely far": (
        {"axes": {}, "starts": {"num": 4, "scale": float("inf")}},
        r"starts\.scale: got inf; expected a finite number",
    ),
    "a tolerance that all meet": (
        {"descent": {"tolerance": float("inf")}},
        r"descent\.tolerance: got inf; expected a finite number",
    ),
    "chunks longer than the starts": (
        {"axes": {}, "starts": {"num": 4}, "chunks": {"start": 5}},
        r"chunks\.start: 5 exceeds the axis's 4 points; use 4 or less",
    ),
    "an unknown descent": (
        {"descent": {"method": "sgd"}},
        r"descent\.method: got 'sgd'; expected one of adam, gd, lbfgs, lm, newton; .* mean 'gd'",
    ),
    "a descent that never converges": (
        {"descent": {"tolerance": 0}},
        r"descent\.tolerance: got 0; expected more than 0",
    ),
    "unknown key": ({"axs": 1}, r"axs: unknown field.*did you mean 'axes'"),
    "unknown axis key": (axis(nmu=3), r"axes\.h1\.nmu: unknown field.*did you mean 'num'"),
    "text for a number": (axis(num="many"), r"axes\.h1\.num: got 'many'; expected a whole number"),
    "a fraction of points": (axis(num=2.5), r"axes\.h1\.num: got 2\.5; expected a whole number"),
    "a boolean of points": (axis(num=True), r"axes\.h1\.num: got True; expected a whole number"),
    "no points": (axis(num=0), r"axes\.h1\.num: got 0; expected 1 or more"),
    "nan end": (axis(stop=float("nan")), r"axes\.h1\.stop: got nan; expected a finite number"),
    "infinite end": (axis(start=float("inf")), r"axes\.h1\.start: got inf; expected a finite"),
    "points coincide": (axis(stop=0), r"axes\.h1: start and stop are both 0.*different stop"),
    "unknown scale": (axis(scale="cubic"), r"axes\.h1\.scale: got 'cubic'; expected .*linear, log"),
    "log through zero": (axis(scale="log"), r"axes\.h1: a log axis needs .*use scale: linear"),
    "repeated values": ({"axes": {"h1": {"values": [1, 1]}}}, r"strictly increasing"),
    "no values": (
        {"axes": {"h1": {"values": []}}},
        r"axes\.h1\.values: got \[\]; expected 1 or more entries",
    ),
    "no axes": ({"axes": {}}, r"expected axes or starts, and neither is; give one of them"),
    "a list of axes": ({"axes": [1]}, r"axes: got \[1\]; expected a mapping"),
    "a number for an axis": ({"axes": {"h1": 3}}, r"axes\.h1: got 3; expected a mapping"),
    "reserved axis name": ({"axes": {"loss": AXES["h1"]}}, r"'loss' is reserved; rename it"),
    "bad axis name": ({"axes": {"h 1": AXES["h1"]}}, r"'h 1' must be letters"),
    "unknown task": ({"task": "quadratik"}, r"task: got 'quadratik'.*did you mean 'quadratic'"),
    "unknown metric": ({"metrics": ["los"]}, r"metrics\.0: got 'los'.*did you mean 'loss'"),
    "no loss": ({"metrics": ["accuracy"]}, r"metrics: got \[accuracy\]; .*use \[loss, accuracy\]"),
    "metric twice": ({"metrics": ["loss", "loss"]}, r"metrics: loss is given twice"),
    "metric not on offer": (
        {"metrics": ["loss", "accuracy"]},
        r"metrics: got 'accuracy'; a closed form",
    ),
    "text for splits": ({"splits": "train"}, r"splits: got 'train'; expected a list"),
    "unknown split": ({"splits": ["trian"]}, r"splits: .*'trian'.*did you mean 'train'"),
    "negative seed": ({"seed": -1}, r"seed: got -1; expected 0 or more"),
    "no replicates": ({"replicates": 0}, r"replicates: got 0; expected 1 or more"),
    "negative workers": ({"compute": {"workers": -1}}, r"compute\.workers: got -1; expected"),
    "unknown device": (
        {"compute": {"device": "gpu"}},
        r"compute\.device: got 'gpu'; expected one of",
    ),
    "no GPU here": (
        {"compute": {"device": "cuda", "workers": 0}},
        r"no GPU was found; use auto or cpu",
    ),
    "GPUs on a CPU": (
        {"compute": {"device": "cpu", "gpus_per_worker": 1}},
        r"gpus_per_worker is 1 but device is cpu; set device: cuda",
    ),
    "unknown dtype": ({"compute": {"dtype": "float16"}}, r"compute\.dtype: got 'float16'.*float32"),
    "memory in words": (
        {"compute": {"memory_per_worker": "lots"}},
        r"memory_per_worker: got 'lots'; expected a size such as",
    ),
    "too little memory": (
        {"compute": {"workers": 0, "memory_per_worker": "1KiB"}},
        r"a worker needs .* above its limit of 1 KiB; .*would fit",
    ),
    "chunk of no axis": ({"chunks": {"h3": 2}}, r"chunks\.h3: no such axis; expected .*h1, h2"),
    "chunk too long": ({"chunks": {"h1": 9}}, r"chunks\.h1: 9 exceeds .*use 8 or less"),
    "chunks in words": ({"chunks": "big"}, r"chunks: got 'big'; expected a mapping"),
    "shard not of whole chunks": (
        {"chunks": {"h1": 4}, "shards": {"h1": 6}},
        r"shards\.h1: 6 is not a multiple of the chunk length 4; use 8",
    ),
    "unknown parameter": ({"parameters": {"curvatur": 1}}, r"parameters\.curvatur: unknown field"),
    "pattern: no target": ({**PATTERN, "parameters": {}}, r"parameters\.target: is missing"),
    "pattern: unknown function": (
        pattern(target={"function": "two-wells"}),
        r"parameters\.target.*'two-wells'.*did you mean 'two-well'",
    ),
    "pattern: no such image": (
        pattern(target={"image": "nowhere.png"}),
        r"nowhere\.png: no such file",
    ),
    "pattern: not an image": (pattern(target={"image": "text.png"}), r"text\.png.*image"),
    "pattern: pickled array": (pattern(target={"array": "pickled.npy"}), r"pickled\.npy"),
    "pattern: wrong dimensions": (pattern(target={"array": "cube.npy"}), r"3.*2|2.*3"),
    "pattern: infinite array": (
        pattern(target={"array": "infinite.npy"}),
        r"infinite\.npy.*finite",
    ),
    "pattern: unknown data": (pattern(data="digit"), r"data: got 'digit'.*did you mean 'digits'"),
    "pattern: unknown loss": (pattern(loss="mes"), r"loss: got 'mes'.*did you mean 'mse'"),
    "deep: one width": (deep(widths=[4]), r"parameters\.widths: .*2"),
    "deep: too great a rank": (
        deep(widths=[4, 4, 3], map_rank=4),
        r"parameters\.map_rank is 4; expected at most 3, the full rank",
    ),
    "deep: a ReLU at the end": (
        deep(relu_after=3),
        r"relu_after is 3; expected a layer before the last of 3",
    ),
    "deep: no such split": (
        {**deep(relu_after=1), "splits": ["rise"]},
        r"splits: got 'rise'; expected some of train, test",
    ),
    "residual: unknown origin": (residual(origin="edge"), r"origin: got 'edge'; expected one of"),
    "residual: no such construction": (
        residual(origin="construction", target={"kind": "given", "rows": [[1, 0], [0, -1]]}),
        r"parameters\.origin: construction needs .* positive determinant, got -1; use another",
    ),
    "residual: wrong matrix": (
        residual(target={"kind": "given", "rows": [[1, 0]]}),
        r"target\.rows: got 1 rows of \[2\] numbers; expected 2 rows of 2",
    ),
    "residual: no covariance": (
        residual(covariance={"kind": "given", "rows": [[1, 2], [2, 1]]}),
        r"covariance\.rows: the least eigenvalue is -1; expected a positive definite",
    ),
    "residual: two axes for one direction": (
        residual(directions="identity"),
        r"axes: got 2; directions: identity needs 1",
    ),
    "residual: no such split": (
        {**residual(), "splits": ["train"]},
        r"splits: got 'train'; expected some of population, excess",
    ),
}

FILES = {
    "not YAML": ("task: [", r"not valid YAML at line 1"),
    "a list": ("- 1\n", r"expected a mapping with task and axes or starts, got list"),
    "empty": ("", r"expected a mapping with task and axes or starts, got NoneType"),
    "a key twice": ("task: a\ntask: b\n", r"the key 'task' is given twice"),
    "a Python object": ("task: !!python/object/apply:os.system ['true']\n", r"not valid YAML"),
    "binary": (b"\xff\xfe\x00", r"is not UTF-8 text"),
}

OPTIONS = {
    "unknown command": (["rnu", "x.yaml"], r"No such command 'rnu'"),
    "unknown option": (["run", "good.yaml", "--worker", "2"], r"No such option"),
    "no spec": (["run"], r"Missing argument 'SPEC'"),
    "no such spec": (["plan", "nowhere.yaml"], r"nowhere\.yaml: no such file"),
    "a folder for a spec": (["plan", "."], r"is a directory"),
    "override without value": (["plan", "good.yaml", "--set", "seed"], r"expected key=value"),
    "override of no field": (["plan", "good.yaml", "--set", "sed=1"], r"did you mean 'seed'"),
    "override below a number": (["plan", "good.yaml", "--set", "task.x=1"], r"not a mapping"),
    "no such store": (["status", "nowhere.zarr"], r"nowhere\.zarr: no scan is stored here"),
    "resume of no store": (["resume", "nowhere.zarr"], r"no scan is stored here"),
    "verify of a file": (["verify", "good.yaml"], r"good\.yaml.*not a Zarr store"),
    "report of no store": (["report", "nowhere.zarr"], r"no scan is stored here"),
    "analyse a foreign folder": (["analyse", "foreign"], r"foreign.*not a Zarr store"),
    "run into a foreign folder": (
        ["run", "good.yaml", "--set", "store=foreign"],
        r"choose another",
    ),
    "no spot checks": (["verify", "nowhere.zarr", "--points", "0"], r"0 is not in the range"),
    "export of no store": (["export", "nowhere.zarr"], r"nowhere\.zarr: no scan is stored here"),
    "export in an unknown format": (
        ["export", "nowhere.zarr", "--format", "cvs"],
        r"cvs.*csv",
    ),
    "unknown study": (["study", "patern"], r"study: got 'patern'.*did you mean 'patterns'"),
    "a study and all": (["study", "patterns", "--all"], r"exclude each other"),
    "unknown task to describe": (["tasks", "patern"], r"task: got 'patern'"),
    "submit without address": (["submit", "good.yaml"], r"Missing option '--address'"),
    "submit to no URL": (
        ["submit", "good.yaml", "--address", "head", "--set", "store=/shared/scan.zarr"],
        r"http",
    ),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text(yaml.safe_dump(QUADRATIC))
    Path("text.png").write_text("this is no picture")
    Path("foreign").mkdir()
    Path("foreign/precious.txt").write_text("keep me")
    np.save("pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save("cube.npy", np.zeros((3, 3, 3)))
    np.save("infinite.npy", np.array([[0.0, np.inf], [1.0, 1.0]]))
    return tmp_path


@pytest.fixture
def users_folder(folder):
    Path("nets.py").write_text(NETS)
    write_checkpoints()
    state = {"inner.weight": (4, 5), "inner.bias": (4,), "outer.weight": (3, 4), "outer.bias": (3,)}
    torch.save({name: torch.ones(shape) for name, shape in state.items()}, "branching.pt")
    return folder


# Without a terminal, progress is a line now and then.
PROGRESS = re.compile(r"[a-zA-Z ]+: [0-9,]+ of [0-9,]+ \(.*\).*")


def assert_one_line(arguments, pattern, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    printed = capsys.readouterr()
    *before, complaint = printed.err.strip().splitlines()
    assert end.value.code == 2, complaint
    assert all(PROGRESS.fullmatch(line) for line in before)
    assert complaint.startswith("cartograd: ")
    assert "Traceback" not in complaint
    assert printed.out == ""
    assert re.search(pattern, complaint), complaint


@pytest.mark.parametrize("name", SPECS)
def test_a_broken_spec(name, folder, capsys):
    changes, pattern = SPECS[name]
    Path("scan.yaml").write_text(yaml.safe_dump({**QUADRATIC, **changes}))
    assert_one_line(["run", "scan.yaml"], pattern, capsys)
    assert not Path("scan.zarr").exists()


@pytest.mark.parametrize("name", MODELS)
def test_a_broken_model(name, users_folder, capsys):
    changes, pattern = MODELS[name]
    Path("scan.yaml").write_text(yaml.safe_dump({**changes, "compute": {"workers": 0}}))
    assert_one_line(["run", "scan.yaml"], pattern, capsys)
    assert not Path("scan.zarr").exists()
    assert not Path("executed").exists()


def test_the_malicious_file_would_write_if_it_were_unpickled(users_folder):
    torch.load("malicious.pt", weights_only=False)
    assert Path("executed").exists()


def test_the_models_files_are_right_but_for_what_is_broken(users_folder):
    trajectories = {"sgd": ["good.pt"]}
    spec = model(checkpoint="good.pt", trajectories=trajectories, metrics=("loss", "accuracy"))
    run(parse_spec({**spec, "compute": {"workers": 0}, "store": "scan.zarr"}))
    assert verify("scan.zarr").ok


@pytest.mark.parametrize("name", FILES)
def test_a_broken_file(name, folder, capsys):
    content, pattern = FILES[name]
    Path("scan.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert_one_line(["plan", "scan.yaml"], pattern, capsys)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_broken_option(name, folder, capsys):
    arguments, pattern = OPTIONS[name]
    assert_one_line(arguments, pattern, capsys)
    assert Path("foreign/precious.txt").read_text() == "keep me"


def test_a_different_spec_on_a_store_names_the_difference_and_loses_nothing(folder, capsys):
    from pipeline.running import run
    from pipeline.verifying import verify
    from schemas import load_spec

    run(load_spec(Path("good.yaml")))
    other = ["run", "good.yaml", "--set", "axes.h1.num=9", "--set", "seed=3"]
    assert_one_line(other, r"different scan: axes\.h1\.num is 8 there and 9 here", capsys)
    assert verify("good.zarr").ok


def test_there_are_at_least_forty_of_them():
    assert len(SPECS) + len(FILES) + len(OPTIONS) >= 40
