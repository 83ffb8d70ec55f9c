"""References to a user's own code: what they find, what they refuse, and what reaches a worker."""

import subprocess
import sys

import cloudpickle
import pytest
import torch

from tasks.model.importing import call

NET = """
import torch
import blocks
from blocks import Block

WIDTH = 3


class Net(torch.nn.Module):
    class Head(torch.nn.Linear):
        pass

    def __init__(self, width, depth=1):
        super().__init__()
        self.layers = torch.nn.Sequential(*[Block(width) for _ in range(depth)])
        self.head = self.Head(width, WIDTH)

    def forward(self, x):
        return blocks.scaled(self.head(self.layers(x)))
"""
BLOCKS = """
import torch


class Block(torch.nn.Linear):
    def __init__(self, width):
        super().__init__(width, width)

    def forward(self, x):
        return super().forward(x).tanh()


def scaled(x):
    return 2 * x
"""


@pytest.fixture
def base(tmp_path):
    (tmp_path / "nets.py").write_text(NET)
    (tmp_path / "blocks.py").write_text(BLOCKS)
    return tmp_path


def elsewhere(value, tmp_path, code):
    """What `code` prints of `value` in a process that cannot import from the user's folder."""
    file = tmp_path / "value.pickle"
    file.write_bytes(cloudpickle.dumps(value))
    program = f"import pickle, torch; v = pickle.load(open({str(file)!r}, 'rb')); {code}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd="/", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("reference", ["nets.py:Net", "nets:Net"])
def test_a_model_reaches_a_process_that_does_not_have_its_files(base, tmp_path, reference):
    torch.manual_seed(0)
    model = call(reference, base, "model", {"width": 4, "depth": 2})
    printed = elsewhere(model, tmp_path, "print(float(v(torch.ones(4)).sum().detach()))")
    assert float(printed) == pytest.approx(float(model(torch.ones(4)).sum().detach()), rel=1e-6)
    assert str(base) not in sys.path
