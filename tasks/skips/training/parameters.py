"""Parameters of the task `skip-training`. Importing this module imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, FiniteFloat, model_validator

from schemas.compute import Count
from tasks.registry import Parameters

Rate: TypeAlias = Annotated[FiniteFloat, Field(gt=0)]


class SkipTrainingParameters(Parameters):
    """A deep network, with skip units or without, along its training by SGD."""

    data: Literal["digits", "mnist-subset"] = Field(
        "digits", description="scikit-learn's 1,797 digits (8×8) or 5,000 MNIST images (28×28)."
    )
    samples: Annotated[int, Field(ge=2, strict=True)] = Field(
        1000, description="Images to train on, N, as many of each class; the others are `test`."
    )
    side: Count | None = Field(
        None, description="Pixels along each side after averaging over areas; by default all."
    )
    labels: Literal["true", "shuffled"] = Field(
        "true", description="shuffled: those of the split `train` are dealt out anew at random."
    )
    network: Literal["dense", "conv"] = Field(
        "dense",
        description="dense: layers of so many units; conv: 3×3 convolutions, of so many channels "
        "in the first half and twice as many in the second, each half beginning with a stride of "
        "2, and a dense layer of 8 times as many units.",
    )
    layers: Count = Field(150, description="Hidden dense layers, or convolutions.")
    width: Count = Field(10, description="Units of a dense layer, or channels.")
    activation: Literal["sigmoid", "softplus"] = Field(
        "softplus", description="Of the hidden units; softplus is log(1 + exp(20 x))/20."
    )
    connections: Literal["plain", "skip", "random-features"] = Field(
        "skip",
        description="plain: from layer to layer; skip: hidden units, drawn at random, lead "
        "straight to the outputs as well; random-features: they alone lead there, and only their "
        "weights to the outputs are trained.",
    )
    skips: Count | None = Field(
        None, description="Such units, M; by default as many as samples. Not for plain."
    )
    epochs: Count = Field(200, description="Passes over the samples.")
    batch: Count = Field(100, description="Samples of a step.")
    learning_rates: Annotated[tuple[Rate, ...], Field(min_length=1)] = Field(
        (1e-2, 1e-3, 1e-4, 1e-5),
        description="Each trains a network from the same start on the same batches; that of the "
        "least loss at the end is shown.",
    )
    falls: tuple[Count, ...] = Field(
        (), description="Epochs after which the learning rates fall to a tenth; by default none."
    )
    momentum: Annotated[FiniteFloat, Field(ge=0, lt=1)] = Field(
        0.9, description="Nesterov's; 0 for none."
    )
    checkpoints: Annotated[int, Field(ge=2, strict=True)] = Field(
        41,
        description="Networks kept, the first and the last among them, evenly in epochs; t runs "
        "from one to the next in equal steps, from 0 to 1.",
    )

    @property
    def units(self) -> int:
        """Skip units, M; 0 without."""
        if self.connections == "plain":
            return 0
        return self.samples if self.skips is None else self.skips

    @property
    def hidden_layers(self) -> int:
        """All of them, the dense one behind convolutions among them."""
        return self.layers + (self.network == "conv")

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.connections == "plain" and self.skips is not None:
            raise ValueError(
                f"skips is {self.skips} and connections is plain, which has none; leave skips out, "
                "or use connections: skip"
            )
        if self.batch > self.samples:
            raise ValueError(
                f"batch is {self.batch} and samples {self.samples}; give a batch of at most as many"
            )
        if self.checkpoints > self.epochs + 1:
            raise ValueError(
                f"checkpoints is {self.checkpoints} and epochs {self.epochs}; keep at most "
                f"{self.epochs + 1}, the start and one an epoch"
            )
        if self.network == "conv" and self.layers < 2:
            raise ValueError("layers is 1; expected 2 convolutions or more, one for each half")
        return self
