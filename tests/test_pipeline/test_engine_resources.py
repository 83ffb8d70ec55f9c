"""Memory that runs out, blocks on their way to a device, and the timing of candidates."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.engine import EngineChoice, make_evaluator, shrinking
from pipeline.engine.blocks import Blocks
from pipeline.engine.contract import Work
from pipeline.engine.graph.tracing import Untraceable
from pipeline.engine.shrinking import ShrinkingEvaluator
from pipeline.engine.tuning import tune
from pipeline.verifying import relative_difference
from tasks.given import given_landscape
from tasks.objective import Split
from tests.models import CASES

PLAIN = EngineChoice("loop", "cpu", "float32", 1, 64)


def points_of(landscape, count=9):
    return np.random.default_rng(0).uniform(-1, 1, (count, landscape.section.z))


def losses(landscape, choice, points, splits=("train", "test")):
    return make_evaluator(landscape, splits, ("loss",), choice).evaluate(points)["loss"]


class Hungry:
    """Runs out of memory with more than two points at a time."""

    def __init__(self, choice, error):
        self.choice, self.error = choice, error

    def evaluate(self, points):
        if self.choice.point_block > 2:
            raise self.error
        return {"loss": np.full((1, len(points)), float(self.choice.point_block))}


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
)
def test_out_of_memory_halves_the_block_and_goes_on(error, caplog):
    start = replace(PLAIN, point_block=16)
    evaluator = ShrinkingEvaluator(lambda choice: Hungry(choice, error), start)
    assert evaluator.evaluate(np.zeros((3, 1)))["loss"].tolist() == [[2.0, 2.0, 2.0]]
    assert evaluator.choice == replace(start, point_block=2)
    assert "memory ran out" in caplog.text


def test_another_error_is_not_taken_for_a_lack_of_memory():
    broken = ShrinkingEvaluator(
        lambda choice: Hungry(choice, RuntimeError("shapes differ")), replace(PLAIN, point_block=4)
    )
    with pytest.raises(RuntimeError, match="shapes differ"):
        broken.evaluate(np.zeros((1, 1)))
    assert broken.choice.point_block == 4


def test_memory_that_never_suffices_is_an_error(monkeypatch):
    monkeypatch.setattr(shrinking, "_is_out_of_memory", lambda error: True)
    choice = replace(PLAIN, point_block=4, sample_block=2)

    class Never(Hungry):
        def evaluate(self, points):
            raise self.error

    evaluator = ShrinkingEvaluator(lambda choice: Never(choice, MemoryError("no")), choice)
    with pytest.raises(MemoryError):
        evaluator.evaluate(np.zeros((1, 1)))
    assert (evaluator.choice.point_block, evaluator.choice.sample_block) == (1, 1)


def test_half_blocks_give_the_same_values():
    landscape = CASES["mlp_relu"]().landscape
    points = points_of(landscape)
    choice = EngineChoice("batched", "cpu", "float64", 1, 16, 8, 1)
    whole = losses(landscape, choice, points)
    for smaller in (replace(choice, point_block=1), replace(choice, sample_block=3)):
        assert relative_difference(losses(landscape, smaller, points), whole) < 1e-13


class OnAnotherDevice(torch.Tensor):
    """A tensor that only notes that it was pinned and sent."""

    log: list = []  # noqa: RUF012

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function is torch.Tensor.pin_memory:
            cls.log.append("pinned")
            return args[0]
        if function is torch.Tensor.to:
            cls.log.append(("sent", str(args[1]), kwargs["non_blocking"]))
            return args[0].as_subclass(torch.Tensor)
        return super().__torch_function__(function, types, args, kwargs)


def test_blocks_for_a_gpu_are_pinned_and_sent_without_waiting():
    inputs = torch.arange(10.0).as_subclass(OnAnotherDevice)
    OnAnotherDevice.log.clear()
    blocks = Blocks(Split(inputs, torch.zeros(10)[:0].new_zeros(10)), 4, torch.device("cpu"),
                    torch.float32)  # fmt: skip
    assert [len(block.inputs) for block in blocks] == [4, 4, 4]
    assert "pinned" not in OnAnotherDevice.log
    on_gpu = Blocks(Split(inputs, inputs), 4, torch.device("cuda"), torch.float32)
    OnAnotherDevice.log.clear()
    block = on_gpu[2]
    assert (block.valid, block.before) == (2, 8)
    assert block.inputs.tolist() == [8.0, 9.0, 9.0, 9.0]
    assert OnAnotherDevice.log == ["pinned", ("sent", "cuda", True)] * 2


def test_the_fastest_evaluator_is_chosen_by_timing():
    landscape = CASES["mlp_relu"]().landscape
    work = Work(("train",), ("loss",), np.zeros((64, 2)), 10**9, 2**30)
    seconds = {"loop": 3e-3, "traced": 2e-3, "batched": 1e-3}
    asked = []

    class Timed:
        def __init__(self, choice):
            self.choice = choice

        def evaluate(self, points):
            import time

            asked.append(self.choice.name)
            time.sleep(seconds[self.choice.name] * len(points) / 16)
            return {"loss": np.zeros((1, len(points)))}

    chosen = tune(landscape, work, PLAIN, lambda _land, _split, _metrics, choice: Timed(choice))
    assert chosen.name == "batched"
    seconds |= {"batched": 8e-3, "traced": 8e-3}
    chosen = tune(landscape, work, PLAIN, lambda _land, _split, _metrics, choice: Timed(choice))
    assert chosen.name == "loop"
    asked.clear()
    short = replace(work, total=10)
    assert tune(landscape, short, PLAIN, lambda *args: Timed(args[3])) == PLAIN
    assert set(asked) == {"loop"}  # a short scan is not worth tracing


def test_a_candidate_that_is_wrong_is_never_chosen(caplog):
    landscape = CASES["mlp_relu"]().landscape
    work = Work(("train",), ("loss",), points_of(landscape), 10**9, 2**30)

    class Wrong:
        def __init__(self, evaluator):
            self.evaluator = evaluator

        def evaluate(self, points):
            return {"loss": 1.5 * self.evaluator.evaluate(points)["loss"]}

    def make(landscape, splits, metrics, choice):
        right = make_evaluator(landscape, splits, metrics, choice)
        return right if choice.name == "loop" else Wrong(right)

    assert tune(landscape, work, PLAIN, make).name == "loop"
    assert "differs from the plain loop; it is not used" in caplog.text
    caplog.clear()
    assert tune(landscape, work, PLAIN, make_evaluator).name == "batched"
    assert "differs" not in caplog.text


@pytest.mark.parametrize(("loss", "same"), [(1e-12, True), (1e-11, False)])
def test_losses_that_are_rounding_alone_agree(loss, same, caplog):
    landscape = CASES["mlp_relu"]().landscape
    work = Work(("train",), ("loss",), points_of(landscape), 10**9, 2**30)

    class Rounded:
        def __init__(self, choice):
            self.loss = 0.0 if choice.name == "loop" else loss

        def evaluate(self, points):
            return {"loss": np.full((1, len(points)), self.loss)}

    tune(landscape, work, PLAIN, lambda *args: Rounded(args[3]))
    assert ("differs" not in caplog.text) == same


class Masked(nn.Module):
    """Means over as many entries as are positive: a shape that depends on values."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        h = self.linear(x)
        return h - h[h > 0].mean() * 0


def test_shapes_that_depend_on_values_are_not_traced():
    landscape = given_landscape(
        Masked(), {"train": (torch.randn(8, 4), torch.randint(0, 3, (8,)))},
        loss="cross_entropy", directions="random", origin=None, z=1, seed=0,
    )  # fmt: skip
    choice = EngineChoice("traced", "cpu", "float32", 1, 8, 1, 1)
    with pytest.raises(Untraceable, match="shape that depends on values"):
        make_evaluator(landscape, ("train",), ("loss",), choice)
