"""How a scan in the driver's own process ends when a signal comes, or when the model fails."""

import os
import signal

import pytest

from pipeline.ledger import Ledger
from pipeline.running import run_built
from schemas import Interrupted, ScanIncomplete, SpecError, parse_spec
from tasks.landscape import Landscape
from tasks.objective import ClosedForm
from tasks.section import coordinate_section
from tests.landscapes import faulty

AXES = {"a": {"start": 0, "stop": 1, "num": 41}}


def make_spec(axes=AXES):
    return parse_spec(
        {
            "task": "faulty",
            "axes": axes,
            "chunks": dict.fromkeys(axes, 2),
            "splits": ["train"],
            "compute": {"dtype": "float64", "workers": 0},
        }
    )


class Signalled:
    """A closed form during whose evaluation at 0.5 a signal comes."""

    def __init__(self, number):
        self.number = number

    def __call__(self, theta):
        if bool((theta[:, 0] == 0.5).any()):
            os.kill(os.getpid(), self.number)
        return theta.square().sum(dim=1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_a_point_ends_the_scan_and_fails_no_shard(tmp_path, number):
    store = tmp_path / "scan.zarr"
    landscape = Landscape(ClosedForm({"train": Signalled(number)}), coordinate_section(1))
    with pytest.raises(Interrupted, match="cartograd resume") as end:
        run_built(make_spec(), store, lambda: [landscape])
    assert end.value.exit_code == 128 + number
    counts = Ledger(store, writable=False).counts()
    assert (counts.done, counts.failed, counts.pending) == (10, 0, 11)


def test_a_model_that_fails_at_the_first_point_is_a_failed_shard(tmp_path):
    store = tmp_path / "scan.zarr"
    with pytest.raises(ScanIncomplete, match=r"1 of 21 shards failed \(0\); shard 0: RuntimeError"):
        run_built(make_spec(), store, lambda: [faulty("raise", 0.0, 99, tmp_path / "errors")])
    assert Ledger(store, writable=False).counts().done == 20


@pytest.mark.parametrize("name", ["number", "parameter", "norm", "control_point", "checkpoint"])
def test_an_axis_has_no_name_of_what_is_stored_beside_it(name):
    with pytest.raises(SpecError, match=f"axis name '{name}' is reserved"):
        make_spec({name: AXES["a"]})
