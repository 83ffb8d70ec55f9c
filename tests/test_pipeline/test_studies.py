"""A small study from the command line: continued, failing, unexpected; one Ray for its scans."""

import json

import pytest

from pipeline.cli import main
from pipeline.devices import session, shared_ray
from pipeline.studies import run_study
from schemas import parse_spec
from schemas.compute import Compute
from schemas.errors import Interrupted
from schemas.study import Claim, Column, Figure, Hypothesis, Outcome, Series, Study, Table
from tasks import STUDIES
from tasks.registry import StudyEntry

pytestmark = pytest.mark.usefixtures("coarse")
SOURCE = "Nobody 1900, Theorem 1"


def scan(num, **more):
    axes = {"a": {"start": -1, "stop": 1, "num": num}}
    return parse_spec({"task": "quadratic", "axes": axes, "compute": {"workers": 0}, **more})


def least(name):
    return lambda scans: float(scans[name]["loss"].isel(split=0).min())


def curve(scans):
    row = scans["first"]["loss"].isel(split=0)
    return [Series("loss", row["a"].values, row.values)]


def depths(scans):
    return [[name, least(name)(scans)] for name in scans]


def centred(name):
    return Hypothesis("the centre is on the grid", lambda scans: scans[name].sizes["a"] % 2 == 1)


def tiny(quick, worst=0.01, **scans):
    """The loss of a parabola is small at its centre, and not at its rim."""
    claims = (
        Claim(
            *("rim", "the rim is deep", SOURCE, least("rim"), worst, "at most"),
            expected=Outcome.REFUTED,
            control=True,
            figure="rim",
            hypothesis=centred("rim"),
        ),
        Claim(
            *("centre", "the centre is deep", SOURCE, least("first"), worst, "at most"),
            figure="curve",
            hypothesis=centred("first"),
        ),
    )
    return Study(
        "tiny",
        "How deep is it?",
        {"first": scan(9 if quick else 17), "rim": scan(2), **scans},
        claims,
        {"curve": Figure("The curve", "Along a.", "a", "loss", curve)},
        {"depths": Table("Depths", "", (Column("scan"), Column("least", "loss")), depths)},
    )


def wrong(quick):
    """Everything is deep by this threshold, so that the control does not refute."""
    return tiny(quick, worst=2.0)


def failing(quick):
    return tiny(quick, rim=scan(2, parameters={"curvature": [1, 2]}))


@pytest.fixture
def rays(monkeypatch):
    """What becomes of Ray, which is not really started: its CPUs, and its end."""
    import ray

    from pipeline import cluster

    seen = []
    monkeypatch.setattr(ray, "is_initialized", lambda: bool(seen) and seen[-1] != "down")
    monkeypatch.setattr(ray, "shutdown", lambda: seen.append("down"))
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": seen[-1]})
    monkeypatch.setattr(cluster, "_start", lambda cpus, *_: seen.append(cpus))
    return seen


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """The exit code, stdout and stderr of `cartograd study NAME` for one of the above."""

    def call(name, *options):
        entry = StudyEntry("tiny", "How deep is it?", f"{__name__}:{name}")
        monkeypatch.setitem(STUDIES, "tiny", entry)
        with pytest.raises(SystemExit) as end:
            main(["study", "tiny", *options, "--folder", str(tmp_path)])
        said = capsys.readouterr()
        return end.value.code, said.out, said.err

    return call


def test_verdicts_are_printed_and_kept(command, tmp_path):
    code, out, _ = command("tiny", "--quick", "--json")
    document = json.loads(out)
    place = tmp_path / "tiny-quick"
    assert code == 0
    assert json.loads((place / "verdicts.json").read_text()) == document
    assert (document["study"], document["ok"], document["folder"]) == ("tiny", True, str(place))
    found = {verdict["claim"]: verdict for verdict in document["verdicts"]}
    assert found["centre"]["value"] == pytest.approx(0)
    assert found["rim"]["value"] == pytest.approx(1)
    assert [found[name]["hypothesis_met"] for name in ("centre", "rim")] == [True, False]
    assert [found[name]["verdict"] for name in ("centre", "rim")] == ["holds", "refuted"]
    for paths in (document, *document["scans"].values()):
        assert (place / paths["report"]).is_file()
    assert set(document["scans"]) == {"first", "rim"}
    assert all((place / paths["store"]).is_dir() for paths in document["scans"].values())
    html = (place / "report" / "index.html").read_text()
    assert f"cartograd study tiny --quick --folder {tmp_path}" in html
    assert (place / "report" / "figure_curve.png").is_file()
    assert document["tables"] == {"depths": "report/tables/depths.csv"}
    head, first, rim = (place / document["tables"]["depths"]).read_text().splitlines()
    assert (head, first.split(",")[0]) == ("scan,least [loss]", "first")
    assert rim == f"rim,{found['rim']['value']!r}"

    code, out, _ = command("tiny", "--quick")
    assert code == 0
    centre, rim = (line for line in out.splitlines() if "the centre" in line or "the rim" in line)
    assert "met" in centre
    assert "control: the rim" in rim
    assert "broken" in rim
    assert "hypothesis" in out
    assert "unexpected" not in out


def test_what_is_not_as_expected_ends_with_exit_code_1(command, tmp_path):
    code, out, _ = command("wrong")
    assert code == 1
    assert "(unexpected)" in out
    document = json.loads((tmp_path / "tiny" / "verdicts.json").read_text())
    assert document["ok"] is False


def test_a_scan_that_fails_is_named_in_one_line(command, tmp_path):
    code, out, error = command("failing", "--quick")
    assert (code, out) == (2, "")
    last = error.strip().splitlines()[-1]
    assert last.startswith("cartograd: study tiny, scan rim: parameters.curvature: ")
    assert not (tmp_path / "tiny-quick" / "verdicts.json").exists()


def test_an_interrupted_study_goes_on_where_it_was(rays, tmp_path):
    steps = []
    # Only what is complete asks for workers, so that no Ray is needed.
    on_ray = {"first": scan(9, compute={"workers": 2})}

    def interrupted(step, done, total, note=""):
        if step.startswith("rim: scanning"):
            raise Interrupted("ended by SIGINT", 2)

    with pytest.raises(Interrupted, match=r"^study tiny, scan rim: .* SIGINT") as end:
        run_study(tiny(True), tmp_path, quick=True, display=interrupted)
    assert end.value.exit_code == 130
    first = tmp_path / "tiny-quick" / "first.zarr"
    page = first.with_name("first.report") / "index.html"
    written = [path.stat().st_mtime_ns for path in (first / "ledger/status/c/0", page)]

    def told(step, done, total, note=""):
        steps.append(step)

    assert run_study(tiny(True, **on_ray), tmp_path, quick=True, display=told).ok
    assert rays == []
    assert "rim: scanning points" in steps
    assert "first: scanning points" not in steps
    assert [path.stat().st_mtime_ns for path in (first / "ledger/status/c/0", page)] == written


def test_scans_share_one_ray_that_has_room_for_each(rays):
    computes = [
        Compute(workers=0),
        Compute(workers=2),
        Compute(workers=2, cpus_per_worker=3),
        Compute(workers=1),
    ]
    workers = []
    with shared_ray(computes):
        for compute in computes:
            with session(compute, [], None, dashboard=False) as workforce:
                workers.append(workforce.workers)
    assert rays == [6, "down"]
    assert workers == [0, 2, 2, 1]


@pytest.mark.parametrize("computes", [[], [Compute(workers=0)]])
def test_no_ray_is_started_for_scans_that_need_none(rays, computes):
    with shared_ray(computes):
        pass
    assert rays == []
