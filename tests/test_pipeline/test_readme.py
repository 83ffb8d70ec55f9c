"""What the README shows runs: its sessions on a small scan, its spec through the parser."""

import re
from pathlib import Path

import torch
import yaml
from torch import nn

from pipeline.concluding import conclude
from pipeline.running import run
from schemas import parse_spec
from tasks import TASKS, normalised

README = (Path(__file__).parents[2] / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_spec_is_valid():
    (spec,) = blocks("yaml")
    assert normalised(parse_spec(yaml.safe_load(spec)), TASKS).grid().n_points == 256 * 256


def test_the_sessions_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    of_a_model, of_a_store = blocks("python")
    names = {
        "model": nn.Linear(4, 3),
        "x": torch.randn(9, 4),
        "y": torch.randint(0, 3, (9,)),
        "x_test": torch.randn(5, 4),
        "y_test": torch.randint(0, 3, (5,)),
    }
    exec(of_a_model.replace("51)", "5)"), names)
    assert names["dataset"]["loss"].dims == ("split", "alpha", "beta")
    raw = yaml.safe_load(blocks("yaml")[0])
    raw["parameters"] |= {"training": {"steps": 0}, "network": {"hidden": [8, 8]}}
    raw["axes"] = {name: {**axis, "num": 9} for name, axis in raw["axes"].items()}
    store = run(parse_spec({**raw, "compute": {"workers": 0}})).store
    conclude(store)
    exec(of_a_store, names)
    assert float(names["statistics"]["transfer_pearson"][0]) > 0.99
