"""What the documentation shows runs: its sessions on small scans, its specs through the parser."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from pipeline.concluding import conclude
from pipeline.exporting import FORMATS
from pipeline.running import run
from schemas import SpecError, parse_spec
from schemas.files import load_spec
from schemas.scan import ScanSpec
from schemas.statistics import SURFACE
from tasks import TASKS, normalised
from tasks.directions.parameters import KINDS
from tasks.model.parameters import ModelParameters

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "docs" / "models.md").read_text()
OWN = {
    "task": "model",
    "parameters": {"model": "models.py:mlp", "data": "digits"},
    "axes": {"alpha": {"start": -1, "stop": 1, "num": 3}},
}


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def whole(fragment):
    """A spec, or part of one put into a small spec of a model."""
    if "task" in fragment:
        return fragment
    outer = {key: value for key, value in fragment.items() if key in ScanSpec.model_fields}
    inner = {key: value for key, value in fragment.items() if key not in outer}
    return {**OWN, **outer, "parameters": {**OWN["parameters"], **inner}}


def specs(text):
    return [part for block in blocks(text, "yaml") for part in yaml.safe_load_all(block)]


@pytest.fixture
def in_memory():
    torch.manual_seed(0)
    return {
        "model": nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)),
        "other": nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)),
        "x": torch.randn(9, 4),
        "y": torch.randint(0, 3, (9,)),
        "x_test": torch.randn(5, 4),
        "y_test": torch.randint(0, 3, (5,)),
    }


def scanned(example, folder, **changes):
    """A small scan of an example, where the documentation has the whole one."""
    spec = load_spec(ROOT / "examples" / f"{example}.yaml")
    raw = spec.model_dump(mode="json", exclude_unset=True)
    raw["parameters"] = {**raw["parameters"], **changes}
    raw["axes"] = {name: {**axis, "num": 3} for name, axis in raw["axes"].items()}
    raw |= {"compute": {"workers": 0}, "store": str(folder)}
    return run(parse_spec(raw), base=ROOT / "examples").store


@pytest.mark.parametrize("text", [README, GUIDE], ids=["README", "models"])
def test_every_spec_and_every_part_of_one_is_valid(text):
    found = specs(text)
    assert len(found) > 1
    for part in found:
        normalised(parse_spec(whole(part)), TASKS)


@pytest.mark.parametrize(
    "part", [{"directionz": "filter"}, {"directions": {"kind": "filtre"}}, {"data": {"fil": "x"}}]
)
def test_a_wrong_part_of_a_spec_would_be_found(part):
    with pytest.raises(SpecError):
        normalised(parse_spec(whole(part)), TASKS)


def test_the_guides_first_spec_is_the_example():
    example = yaml.safe_load((ROOT / "examples" / "mlp.yaml").read_text())
    example["parameters"]["loss"] = "cross_entropy"
    assert specs(GUIDE)[0] == example


def test_the_readmes_sessions_run(tmp_path, monkeypatch, in_memory):
    monkeypatch.chdir(tmp_path)
    of_a_model, of_a_store = blocks(README, "python")
    exec(of_a_model.replace("51)", "5)"), in_memory)
    assert in_memory["dataset"]["loss"].dims == ("split", "alpha", "beta")
    assert in_memory["line"]["loss"].dims == ("split", "t")
    (raw,) = [spec for spec in specs(README) if spec["task"] == "pattern-theorem1"]
    assert parse_spec(raw).grid().n_points == 256 * 256
    raw["parameters"] |= {"training": {"steps": 0}, "network": {"hidden": [8, 8]}}
    raw["axes"] = {name: {**axis, "num": 9} for name, axis in raw["axes"].items()}
    store = run(parse_spec({**raw, "compute": {"workers": 0}})).store
    conclude(store)
    exec(of_a_store, in_memory)
    assert float(in_memory["statistics"]["transfer_pearson"][0]) > 0.99


def test_the_guides_sessions_run(tmp_path, monkeypatch, in_memory, capsys):
    monkeypatch.chdir(tmp_path)
    of_policies, of_runs, of_a_model, of_skips = blocks(GUIDE, "python")
    few = {"name": "digits", "flat": False, "samples": 64}
    for policy in ("stored", "interpolated", "reestimated"):
        scanned("resnet-path", f"scans/path-{policy}.zarr", data=few, batchnorm=policy)
    exec(of_policies, {})
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    accuracy = {policy: float(line.split()[-1]) for policy, line in lines.items()}
    assert accuracy["stored"] < 0.5 < 0.9 < accuracy["interpolated"]
    assert accuracy["reestimated"] > 0.9

    scanned("trajectory", "scans/trajectory.zarr", data={"name": "digits", "samples": 64})
    exec(of_runs, {})
    assert "epoch-20" in capsys.readouterr().out

    exec(of_a_model, in_memory)
    assert in_memory["dataset"]["loss"].dims == ("split", "t")
    assert in_memory["plane"]["loss"].dims == ("split", "steepest", "towards")
    assert Path("curve.csv").read_text().count("\n") > 101
    assert "test" in capsys.readouterr().out

    exec(of_skips.replace("21)", "3)"), skips := {})
    assert skips["surface"]["loss"].dims == ("split", "alpha", "beta")
    *findings, rank = capsys.readouterr().out.splitlines()
    assert [finding.split()[1] for finding in findings] == ["True"] * 6
    assert rank.startswith("Rank(rank=100, smallest=1.8")


def test_the_guide_names_every_kind_format_and_statistic():
    missing = [kind for kind in KINDS if f"| `{kind}` |" not in GUIDE]
    missing += [name for name in FORMATS if not re.search(f"(`|--format ){name}\\b", GUIDE)]
    groups = {name.split("_")[0] for name in SURFACE}
    assert missing + [group for group in groups if f"`{group}" not in GUIDE] == []


def test_the_guide_names_every_field_of_a_model():
    for field in ModelParameters.model_fields:
        assert re.search(rf"\b{field}\b", GUIDE), field


@pytest.mark.parametrize("text", [README, GUIDE], ids=["README", "models"])
def test_every_link_leads_somewhere(text):
    base = ROOT if text is README else ROOT / "docs"
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        assert (base / path).exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", (base / path).read_text(), re.MULTILINE)
            assert anchor in [heading.lower().replace(" ", "-") for heading in headings], link


def test_every_example_that_is_named_is_there():
    named = re.findall(r"examples/[\w/-]+\.(?:yaml|py)", README + GUIDE)
    assert len(set(named)) >= 5
    assert all((ROOT / path).is_file() for path in named)
