"""Starts, seeded random points instead of a grid; descents, from these or any other points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import (
    Field,
    PositiveFloat,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from schemas.compute import Count, SpecPart

TOLERANCES = {"float64": 1e-8, "float32": 1e-4}
"""Gradient norms that descents usually reach, by dtype."""


class Starts(SpecPart):
    """Random points in the space of all parameters, each drawn from its own seed.

    A start follows from the seed of its replicate and its number alone: the first hundred of a
    thousand starts are those of a scan of a hundred.
    """

    num: Count = Field(description="How many.")
    distribution: Literal["auto", "normal", "uniform"] = Field(
        "auto",
        description="normal: independent normal numbers of standard deviation `scale` about the "
        "landscape's origin; uniform: from -scale to scale about it; auto: as the task says, "
        "else normal.",
    )
    scale: PositiveFloat = Field(1.0, description="How far they spread.")


class Polish(SpecPart):
    """A second descent, from where a first one ends, to the same tolerance and target."""

    method: Literal["gd", "lbfgs", "lm", "newton"] = Field(description="As of a descent.")
    max_iterations: Count = Field(1000, description="Iterations after which it is given up.")


class Descent(SpecPart):
    """A descent over all parameters from every point, on each split."""

    method: Literal["adam", "gd", "lbfgs", "lm", "newton"] = Field(
        "lbfgs",
        description="adam: Adam with a given step; gd: gradient descent with line search; lbfgs: "
        "limited-memory BFGS; lm: Levenberg-Marquardt, of a sum of squares; newton: to a critical "
        "point of any kind.",
    )
    tolerance: PositiveFloat = Field(
        TOLERANCES["float64"],
        description="Gradient norm at which a descent has converged; by default 1e-8 in float64 "
        "and 1e-4 in less.",
    )
    step: PositiveFloat | None = Field(
        None,
        validate_default=True,
        description="adam: its learning rate. gd: a fixed step instead of a line search; where a "
        "descent diverges, beyond a norm of 10^4 of the parameters, it begins again with half the "
        "step.",
    )
    decay_every: Count | None = Field(
        None,
        description="adam: the step is step/(1 + i) in the i-th block, from 0, of so many "
        "iterations.",
    )
    target: float | None = Field(
        None, description="Loss at or below which a descent ends as well, whatever its gradient."
    )
    max_iterations: Count = Field(1000, description="Iterations after which it is given up.")
    then: Polish | None = Field(
        None, description="A second descent from where this one ends; its end is what counts."
    )
    keep_parameters: bool = Field(
        False, description="Whether the parameters at which it ends are stored."
    )

    @field_validator("step")
    @classmethod
    def _step_of_its_method(cls, step: float | None, info: ValidationInfo) -> float | None:
        method = info.data.get("method", "gd")
        if step is not None and method not in ("adam", "gd"):
            raise ValueError(
                f"got {step:g} with method {method}; expected a fixed step with gd or adam alone; "
                "use method: gd or leave step out"
            )
        if step is None and method == "adam":
            raise ValueError("is missing; expected the learning rate of adam, such as 1e-3; add it")
        return step

    @field_validator("decay_every")
    @classmethod
    def _decay_of_adam(cls, every: int | None, info: ValidationInfo) -> int | None:
        method = info.data.get("method", "adam")
        if every is not None and method != "adam":
            raise ValueError(
                f"got {every} with method {method}; expected it with adam alone; use method: adam "
                "or leave decay_every out"
            )
        return every

    @model_serializer(mode="wrap")
    def _as_used(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what came after the first stores and is not used: their identity stays."""
        plain: dict[str, Any] = handler(self)
        return {
            name: value
            for name, value in plain.items()
            if value is not None or name not in _LEFT_OUT_UNUSED
        }

    @property
    def stages(self) -> tuple[Descent, ...]:
        """The descents that follow one another, none of them with a second one."""
        if self.then is None:
            return (self,)
        second = Descent(
            method=self.then.method,
            tolerance=self.tolerance,
            target=self.target,
            max_iterations=self.then.max_iterations,
        )
        return (self.model_copy(update={"then": None}), second)


_LEFT_OUT_UNUSED = frozenset({"decay_every", "then"})
TOGETHER = 512
"""Points of a chunk with descents: one descent alone takes nearly as long as many together."""
BETAS = (0.9, 0.999)
"""Of Adam: how much of the mean gradient, and of its mean square, is kept at a step."""
EPSILON = 1e-8
"""Of Adam: what is added to the root of the mean square."""
FAR = 1e4
"""A descent of a fixed step has diverged where the norm of its parameters is greater."""
RELATIVE = 1e-6
"""A loss is above the global minimum by more than this share."""
_LEAST_CURVATURE = 1e-9
_CURVATURE_FACTOR = 10


def resolved_curvature(tolerance: float) -> float:
    """The share of the greatest eigenvalue beyond which a negative one makes a saddle.

    Where the gradient is known to a tolerance, eigenvalues that are zero at the minimum near by may
    be as far from it; below 10⁻⁹ it is their own rounding.
    """
    return max(_LEAST_CURVATURE, _CURVATURE_FACTOR * tolerance)


def descent_rules(descent: Descent) -> dict[str, str | float | int]:
    """How a descent was made and its outcome judged, as attributes of the stored outcome."""
    stepped: dict[str, str | float | int] = {}
    if descent.method == "adam":
        stepped = _rules_of_adam(descent)
    elif descent.step is not None:
        stepped = {
            "step": descent.step,
            "begins_again_if": f"the norm of the parameters is above {FAR:g}, or it, the loss or "
            "the gradient is not finite; with half its step",
        }
    aimed: dict[str, str | float | int] = {}
    if descent.target is not None:
        aimed = {
            "target": descent.target,
            "low_enough_if": "it has not converged, and the loss is at most the target",
        }
    above = "" if descent.target is None else ", and the loss is above the target"
    last = descent.stages[-1].max_iterations
    of_last = "" if descent.then is None else " of the last descent that takes a step"
    return {
        "method": ", then ".join(stage.method for stage in descent.stages),
        **stepped,
        "tolerance": descent.tolerance,
        **aimed,
        "max_iterations": descent.max_iterations,
        **({} if descent.then is None else {"max_iterations_then": last}),
        "not_converged_if": f"the gradient norm is above the tolerance, or not finite{above}",
        "saddle_if": "the least eigenvalue of the Hessian is below "
        f"-{resolved_curvature(descent.tolerance):g} max(1, |greatest eigenvalue|)",
        "global_if": "the global minimum of the first split is known and the loss is at most "
        f"{RELATIVE:g} max(|global minimum|, loss at the start{of_last} - global minimum) above "
        "it; spurious if it is more; minimum if it is not known",
    }


def _rules_of_adam(descent: Descent) -> dict[str, str | float | int]:
    rate = {} if descent.step is None else {"step": descent.step}
    decay = {} if descent.decay_every is None else {"decay_every": descent.decay_every}
    return {**rate, **decay, "betas": f"{BETAS[0]:g}, {BETAS[1]:g}", "epsilon": EPSILON}


@dataclass(frozen=True)
class StartAxis:
    """The numbers 0 … num−1 of the starts, as the one axis of a multi-start scan."""

    num: int

    def coordinates(self, lo: int, hi: int) -> npt.NDArray[np.int64]:
        """Numbers lo … hi−1, shape (hi−lo,)."""
        return np.arange(lo, hi, dtype=np.int64)


def start_generator(seed: int, number: int) -> np.random.Generator:
    """The random numbers of one start of a replicate of that seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
