"""Parameters of a path between two checkpoints. Importing this module imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, PositiveFloat, model_validator

from tasks.registry import Parameters

Count = Annotated[int, Field(ge=1, strict=True)]
CountOrNone = Annotated[int, Field(ge=0, strict=True)]

_EPOCHS = 60
_LEARNING_RATE = {"adam": 0.01, "sgd": 0.1}
_MOMENTUM = 0.9


class BendTraining(Parameters):
    """How the inner control points are trained; the defaults suit small networks."""

    epochs: CountOrNone | None = Field(
        None,
        description=f"Passes over the training split, {_EPOCHS} by default; 0 trains nothing.",
    )
    steps: CountOrNone | None = Field(None, description="Batches, instead of epochs.")
    batch_size: Count = Field(128, description="Samples of a batch; each has a t of its own.")
    optimiser: Literal["adam", "sgd"] = Field(
        "adam", description="Its learning rate decays to 0 as a cosine."
    )
    learning_rate: Annotated[PositiveFloat, Field(le=1e30)] | None = Field(
        None, description="At the first step; by default 0.01 of adam and 0.1 of sgd."
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        None, description=f"Of sgd, {_MOMENTUM} by default."
    )
    weight_decay: Annotated[FiniteFloat, Field(ge=0)] = Field(
        0.0, description="Factor λ of the penalty λ/2·‖θ(t)‖² along the path."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.epochs is not None and self.steps is not None:
            raise ValueError(
                f"got epochs {self.epochs} and steps {self.steps}; give one of the two"
            )
        if self.momentum is not None and self.optimiser != "sgd":
            raise ValueError(
                f"got momentum {self.momentum:g} for {self.optimiser}, which has its own; leave it "
                "out, or give optimiser: sgd"
            )
        return self

    def total_steps(self, samples: int) -> int:
        """Batches to train on, given the number of samples; a pass leaves out a last short one."""
        if self.steps is not None:
            return self.steps
        epochs = _EPOCHS if self.epochs is None else self.epochs
        return epochs * max(1, samples // self.batch_size)

    @property
    def initial_rate(self) -> float:
        """The learning rate at the first step."""
        return self.learning_rate or _LEARNING_RATE[self.optimiser]

    @property
    def sgd_momentum(self) -> float:
        """The momentum of sgd."""
        return _MOMENTUM if self.momentum is None else self.momentum


class PathParameters(Parameters):
    """A path from one checkpoint (t = 0) to another (t = 1)."""

    kind: Literal["linear", "polygon", "bezier"] = Field(
        "bezier",
        description="A straight line; straight segments through trained points, reached at equal "
        "steps of t; or the Bézier curve that trained points pull to themselves.",
    )
    bends: Count = Field(
        1, description="Inner control points, which are trained; a linear path has none."
    )
    training: BendTraining = Field(
        default_factory=lambda: BendTraining(), description="How the bends are trained."
    )

    @model_validator(mode="after")
    def _nothing_to_train_on_a_line(self) -> Self:
        if self.kind != "linear":
            return self
        for name, default in (("bends", 1), ("training", BendTraining())):
            if getattr(self, name) != default:
                raise ValueError(
                    f"got {name} for a linear path, which has nothing to train; leave {name} out, "
                    "or give kind: polygon or bezier"
                )
        return self

    @property
    def inner_points(self) -> int:
        """Control points between the ends."""
        return 0 if self.kind == "linear" else self.bends
