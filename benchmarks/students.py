"""Gradient descent of ReLU students to their teacher: many at once, beside one run after another.

The protocol of Safran & Shamir (2018, arXiv:1712.08968): as many students as teachers and inputs,
an orthonormal teacher, students drawn normal with variance 1/d, and steps of 0.1 on the expected
loss until the gradient, times 2π, is at most 1e-9. The baseline is a plain loop for one run in
torch with the same closed form; unlike ours it neither computes the loss at each step nor looks for
runs that diverge. On one thread in float64; each round runs both, and times are the processor's.

Shape legend: P = runs, n = students, k = teachers, d = inputs; here n = k = d.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from benchmarks.recording import save, table
from pipeline.engine.descents.descend import descend
from pipeline.engine.descents.functions import Function
from tasks.students.population import PopulationLoss

ROUNDS = 3
SIZES = (6, 10, 14)
STEP = 0.1
TOLERANCE = 1e-9 / (2 * math.pi)
"""Of the whole gradient, which is not less than that of any student."""
_TOGETHER = 1000
_ONE_BY_ONE = 8
_MOST_ITERATIONS = 400_000
_NEAR = 1e-9


@dataclass(frozen=True)
class Run:
    """Processor seconds of all runs, losses at their ends (P,), and the steps of each (P,)."""

    seconds: float
    losses: Tensor
    steps: Tensor

    @property
    def per_run(self) -> float:
        """Seconds of a run."""
        return self.seconds / len(self.steps)

    @property
    def per_step(self) -> float:
        """Seconds of a step of one run."""
        return self.seconds / float(self.steps.sum())


def starts(size: int, number: int) -> Tensor:
    """Students (P, n, d)."""
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(number, size, size, dtype=torch.float64, generator=generator)
    return drawn / math.sqrt(size)


def together(students: Tensor, tolerance: float) -> Run:
    """All at once, as a worker takes them."""
    loss = PopulationLoss(torch.eye(students.shape[2], dtype=torch.float64))
    begin = time.process_time()
    function = Function(students[0].numel(), loss, slopes=loss.slopes)
    ends = descend(function, students.flatten(1), "gd", tolerance, _MOST_ITERATIONS, step=STEP)
    return Run(time.process_time() - begin, ends.loss, ends.iterations)


def one_by_one(students: Tensor, tolerance: float) -> Run:
    """One after another."""
    teacher = torch.eye(students.shape[2], dtype=torch.float64)
    ends, steps = [], []
    begin = time.process_time()
    for start in students:
        one, taken = start.clone(), 0
        gradient = _gradient(one, teacher)
        while gradient.norm().item() > tolerance and taken < _MOST_ITERATIONS:
            one -= STEP * gradient
            gradient = _gradient(one, teacher)
            taken += 1
        ends.append(one)
        steps.append(taken)
    taken_together = time.process_time() - begin
    losses = PopulationLoss(teacher)(torch.stack(ends).flatten(1))
    return Run(taken_together, losses, torch.tensor(steps))


def _gradient(students: Tensor, teacher: Tensor) -> Tensor:
    """Of the expected loss by the students (n, d)."""
    n = len(students)
    everyone = torch.cat([students, teacher])
    norms = everyone.norm(dim=1)
    units = everyone / norms[:, None]
    cosine = units[:n] @ units.T
    # By 1 − cos² it would lose the digits that the tolerance asks for.
    sine = (units - cosine[:, :, None] * units[:n, None]).norm(dim=2)
    supplement = math.pi - torch.atan2(sine, cosine)
    signed = torch.cat([norms[:n], -norms[n:]])
    own = sine @ signed / norms[:n]
    pulled = supplement[:, :n] @ students - supplement[:, n:] @ teacher
    return (own[:, None] * students + pulled) / (2 * math.pi)


CONTENDERS: dict[str, Callable[[Tensor, float], Run]] = {
    "plain loop, one by one": one_by_one,
    "cartograd": together,
}


def measured(
    size: int, number: int = _TOGETHER, alone: int = _ONE_BY_ONE, tolerance: float = TOLERANCE
) -> dict[str, Any]:
    """Both ways from the same starts, in interleaved rounds; the loop takes the first `alone`.

    Raises:
        RuntimeError: they do not take the same steps to the same ends.
    """
    drawn = starts(size, number)
    given = {"plain loop, one by one": drawn[:alone], "cartograd": drawn}
    for name, contender in CONTENDERS.items():
        contender(given[name][:2], 1.0)  # torch imports parts of itself when they are first used
    runs: dict[str, list[Run]] = {name: [] for name in CONTENDERS}
    for _ in range(ROUNDS):
        for name, contender in CONTENDERS.items():
            runs[name].append(contender(given[name], tolerance))
    base, ours = runs.values()
    _check(size, base[0], ours[0])
    accounts = []
    for name, rounds in runs.items():
        by_run = [b.per_run / run.per_run for b, run in zip(base, rounds, strict=True)]
        by_step = [b.per_step / run.per_step for b, run in zip(base, rounds, strict=True)]
        accounts.append(
            {
                "name": name,
                "runs": len(rounds[0].steps),
                "steps": float(rounds[0].steps.double().mean()),
                "most_steps": int(rounds[0].steps.max()),
                "microseconds_per_step": 1e6 * statistics.median(r.per_step for r in rounds),
                "seconds_per_run": statistics.median(r.per_run for r in rounds),
                "ratio_per_step": statistics.median(by_step),
                "ratio_per_run": statistics.median(by_run),
                "ratios_per_step": by_step,
                "ratios_per_run": by_run,
            }
        )
    return {"students": size, "tolerance": tolerance, "contenders": accounts}


def _check(size: int, base: Run, ours: Run) -> None:
    same = len(base.steps)
    apart = (base.losses - ours.losses[:same]).abs().max()
    # Rounding may bring one below the tolerance a step before the other.
    if apart > _NEAR or (base.steps - ours.steps[:same]).abs().max() > 1:
        raise RuntimeError(
            f"{size} students: ends are {apart:.1e} apart, after {base.steps.tolist()} steps "
            f"and {ours.steps[:same].tolist()}"
        )


def printed(result: dict[str, Any]) -> str:
    """A size's results as a table."""
    rows = [
        [
            one["name"],
            f"{one['runs']}",
            f"{one['steps']:.0f}",
            f"{one['microseconds_per_step']:.2f}",
            f"{one['seconds_per_run']:.4f}",
            f"{one['ratio_per_step']:.1f}",
            f"{one['ratio_per_run']:.1f}",
        ]
        for one in result["contenders"]
    ]
    title = f"{result['students']} students, gradient to {result['tolerance']:.2g}"
    header = [title, "runs", "steps", "µs a step", "s a run", "ratio a step", "ratio a run"]
    return table(header, rows)


def main() -> None:
    """Measure every size on one thread, print tables, and write them down."""
    torch.set_num_threads(1)
    print(
        f"{ROUNDS} interleaved rounds on one thread, medians of processor time; ratios: to the "
        "plain loop in the same round, of the time of one step of one run, and of one run."
    )
    results = []
    for size in SIZES:
        with threadpool_limits(1):
            results.append(measured(size))
        print(f"\n{printed(results[-1])}", flush=True)
    path = save("students", {"threads": 1, "rounds": ROUNDS, "step": STEP, "sizes": results})
    print(f"\nwritten to {path}")
