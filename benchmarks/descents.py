"""Descents a second: many at once, beside one start after another, on one thread in float64.

Baselines: a plain loop over the starts with `torch.optim.LBFGS` and strong Wolfe conditions, and
`scipy.optimize.minimize` with L-BFGS-B and torch's gradients, both of the module as a user would
write it, with the same ten pairs in memory. Each round runs every contender once, and times are the
processor's, which others on the machine lengthen least. The baselines take some of the starts, and
stop where the greatest entry of the gradient is within the tolerance to which ours brings the norm.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from benchmarks.recording import save, table
from pipeline.engine.descents.descend import descend
from pipeline.engine.descents.functions import over_parameters
from pipeline.engine.descents.memory import MOST_TOGETHER
from tasks.landscape import Landscape
from tasks.objective import EmpiricalRisk, Split, squared_error
from tasks.section import whole_section

ROUNDS = 5
_ONE_BY_ONE = 16
_SAMPLES = 64
_MOST_ITERATIONS = 1000
_MEMORY = 10
_NEAR = 1e-6
_ALLOWED = 0.15


@dataclass(frozen=True)
class Problem:
    """A module on data, and how far to go down.

    Attributes:
        name: that is printed.
        module: in float64.
        inputs, targets: of the squared error.
        tolerance: of the gradient.
        spread: standard deviation of the starts.
        number: of starts.
    """

    name: str
    module: nn.Module
    inputs: Tensor
    targets: Tensor
    tolerance: float
    spread: float
    number: int

    def loss(self) -> Tensor:
        """The mean loss at the module's parameters."""
        return squared_error(self.module(self.inputs), self.targets).mean()

    def starts(self) -> Tensor:
        """Starts (P, n)."""
        n = sum(p.numel() for p in self.module.parameters())
        generator = torch.Generator().manual_seed(1)
        return self.spread * torch.randn(self.number, n, dtype=torch.float64, generator=generator)


@dataclass(frozen=True)
class Run:
    """Processor seconds of a descent, losses at the ends, and iterations of each."""

    seconds: float
    losses: Tensor
    iterations: Tensor


Descents = Callable[[Problem, Tensor], Run]


def deep_linear() -> Problem:
    """Three square layers of four without biases, on noisy data of a linear map."""
    torch.manual_seed(0)
    layers = [nn.Linear(4, 4, bias=False) for _ in range(3)]
    inputs = torch.randn(_SAMPLES, 4, dtype=torch.float64)
    targets = inputs @ torch.randn(4, 4, dtype=torch.float64)
    targets = targets + 0.1 * torch.randn_like(targets)
    return Problem("deep linear", nn.Sequential(*layers).double(), inputs, targets, 1e-8, 0.5, 4096)


def teacher_and_student() -> Problem:
    """Three tanh units that learn from two."""
    torch.manual_seed(0)
    inputs = torch.randn(_SAMPLES, 3, dtype=torch.float64)
    student = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    first, second = torch.randn(3, 2, dtype=torch.float64), torch.randn(2, 1, dtype=torch.float64)
    targets = (inputs @ first).tanh() @ second
    targets = targets + 0.1 * torch.randn_like(targets)
    return Problem("teacher and student", student, inputs, targets, 1e-5, 1.0, 2048)


def together(problem: Problem, starts: Tensor) -> Run:
    """In blocks of as many as a worker takes together."""
    split = Split(problem.inputs, problem.targets)
    objective = EmpiricalRisk(problem.module, squared_error, {"train": split})
    origin = {name: p.detach() for name, p in problem.module.named_parameters()}
    landscape = Landscape(objective, whole_section(origin))
    begin = time.process_time()
    function = over_parameters(landscape, "train", torch.device("cpu"), torch.float64)
    ends = [
        descend(function, block, "lbfgs", problem.tolerance, _MOST_ITERATIONS)
        for block in torch.split(starts, MOST_TOGETHER)
    ]
    taken = (time.process_time() - begin) / len(starts)
    iterations = torch.cat([one.iterations for one in ends]).double()
    return Run(taken, torch.cat([one.loss for one in ends]), iterations)


def plain_loop(problem: Problem, starts: Tensor) -> Run:
    """One after another by torch's own L-BFGS."""
    losses, iterations = [], []
    parameters = list(problem.module.parameters())
    begin = time.process_time()
    for start in starts[:_ONE_BY_ONE]:
        nn.utils.vector_to_parameters(start.clone(), parameters)
        optimiser = torch.optim.LBFGS(
            parameters,
            max_iter=_MOST_ITERATIONS,
            max_eval=2 * _MOST_ITERATIONS,
            tolerance_grad=problem.tolerance,
            tolerance_change=0.0,
            history_size=_MEMORY,
            line_search_fn="strong_wolfe",
        )

        def closure(optimiser: torch.optim.LBFGS = optimiser) -> float:
            optimiser.zero_grad()
            loss = problem.loss()
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.item()

        optimiser.step(closure)
        iterations.append(optimiser.state[parameters[0]]["n_iter"])
        with torch.no_grad():
            losses.append(problem.loss().item())
    return _run(begin, losses, iterations)


def scipy_loop(problem: Problem, starts: Tensor) -> Run:
    """One after another by L-BFGS-B."""
    parameters = list(problem.module.parameters())

    def slopes(at: np.ndarray) -> tuple[float, np.ndarray]:
        nn.utils.vector_to_parameters(torch.from_numpy(at), parameters)
        loss = problem.loss()
        found = torch.autograd.grad(loss, parameters)
        return loss.item(), torch.cat([part.reshape(-1) for part in found]).numpy()

    losses, iterations = [], []
    begin = time.process_time()
    for start in starts[:_ONE_BY_ONE]:
        found = minimize(
            slopes,
            start.numpy(),
            jac=True,
            method="L-BFGS-B",
            options={
                "maxcor": _MEMORY,
                "gtol": problem.tolerance,
                "ftol": 0.0,
                "maxiter": _MOST_ITERATIONS,
                "maxfun": 2 * _MOST_ITERATIONS,
            },
        )
        losses.append(float(found.fun))
        iterations.append(found.nit)
    return _run(begin, losses, iterations)


def _run(begin: float, losses: list[float], iterations: list[int]) -> Run:
    taken = (time.process_time() - begin) / len(losses)
    return Run(taken, torch.tensor(losses).double(), torch.tensor(iterations).double())


CONTENDERS: dict[str, Descents] = {
    "torch.optim.LBFGS, one by one": plain_loop,
    "scipy L-BFGS-B, one by one": scipy_loop,
    "cartograd": together,
}


def measured(problem: Problem) -> dict[str, Any]:
    """All contenders on one problem, in interleaved rounds.

    Raises:
        RuntimeError: ours ends at worse losses than the baselines, from the same starts.
    """
    starts = problem.starts()
    runs: dict[str, list[Run]] = {name: [] for name in CONTENDERS}
    for contender in CONTENDERS.values():
        contender(problem, starts[:1])  # torch imports parts of itself when they are first used
    for _ in range(ROUNDS):
        for name, contender in CONTENDERS.items():
            runs[name].append(contender(problem, starts))
    lowest = min(float(one[0].losses.min()) for one in runs.values())
    base = [run.seconds for run in runs["torch.optim.LBFGS, one by one"]]
    accounts = []
    for name, rounds in runs.items():
        losses = rounds[0].losses[:_ONE_BY_ONE]
        ratios = [b / run.seconds for b, run in zip(base, rounds, strict=True)]
        accounts.append(
            {
                "name": name,
                "starts": len(rounds[0].losses),
                "per_second": statistics.median(1 / run.seconds for run in rounds),
                "ratio_to_torch_loop": statistics.median(ratios),
                "ratios": ratios,
                "iterations": float(rounds[0].iterations.mean()),
                "share_at_lowest": float((losses - lowest <= _NEAR).double().mean()),
                "median_loss": float(losses.median()),
            }
        )
    *others, ours = accounts
    for other in others:
        if ours["share_at_lowest"] < other["share_at_lowest"] - _ALLOWED:
            raise RuntimeError(f"{problem.name}: ends at worse losses than {other['name']}")
    return {"problem": problem.name, "tolerance": problem.tolerance, "contenders": accounts}


def printed(result: dict[str, Any]) -> str:
    """A problem's results as a table."""
    rows = [
        [
            one["name"],
            f"{one['starts']}",
            f"{one['per_second']:.1f}",
            f"{one['ratio_to_torch_loop']:.1f}",
            f"{one['iterations']:.0f}",
            f"{one['share_at_lowest']:.0%}",
            f"{one['median_loss']:.6g}",
        ]
        for one in result["contenders"]
    ]
    title = f"{result['problem']}, gradient to {result['tolerance']:g}"
    header = [title, "starts", "descents/s", "ratio", "iterations", "at lowest", "median loss"]
    return table(header, rows)


def main() -> None:
    """Measure both problems on one thread, print tables, and write them down."""
    torch.set_num_threads(1)
    print(
        f"{ROUNDS} interleaved rounds on one thread, medians of processor time; ratio: to the loop "
        f"of torch.optim.LBFGS in the same round.\nat lowest: share of the first {_ONE_BY_ONE} "
        "starts that end at the lowest loss found by any."
    )
    results = []
    for build in (deep_linear, teacher_and_student):
        with threadpool_limits(1):
            results.append(measured(build()))
        print(f"\n{printed(results[-1])}", flush=True)
    path = save("descents", {"threads": 1, "rounds": ROUNDS, "problems": results})
    print(f"\nwritten to {path}")
