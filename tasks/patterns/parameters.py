"""Parameters of the pattern tasks. Importing this module imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, model_validator

from tasks.registry import Parameters

FunctionName = Literal["two-well", "rastrigin", "rosenbrock", "ackley", "himmelblau", "ripples"]
Width = Annotated[int, Field(ge=1, strict=True)]


class TargetParameters(Parameters):
    """The pattern T on [0,1]^z: exactly one of a function, an image and an array."""

    function: FunctionName | None = Field(
        None, description="A named function; two-well is the paper's."
    )
    image: str | None = Field(
        None, description="PNG or JPEG, for z = 2: grey values, h1 to the right, h2 upwards."
    )
    size: Annotated[int, Field(ge=2, le=4096, strict=True)] | None = Field(
        None, description="Pixels along each side to which the image is resized first."
    )
    array: str | None = Field(
        None, description=".npy file with z dimensions, interpolated linearly; index i is axis i."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = [n for n in ("function", "image", "array") if getattr(self, n) is not None]
        if len(given) != 1:
            said = " and ".join(given) or "none"
            raise ValueError(f"got {said}; give exactly one of function, image, array")
        if self.size is not None and self.image is None:
            raise ValueError(f"size is {self.size} but there is no image to resize; leave it out")
        return self


class NetworkParameters(Parameters):
    """The network: first layer, activation, and the sub-network that is trained."""

    kind: Literal["mlp", "cnn"] = Field(
        "mlp", description="A fully connected or a convolutional first layer."
    )
    hidden: tuple[Width, ...] = Field(
        (64, 64, 64),
        min_length=1,
        description="Widths of the hidden layers; of an MLP the first is the first layer's.",
    )
    channels: Width = Field(16, description="Feature maps of a convolutional first layer.")
    activation: Literal["sine", "tanh", "relu", "gelu", "silu"] = Field(
        "sine", description="Activation of every hidden layer; sine learns the finest patterns."
    )


class TrainingParameters(Parameters):
    """Observation 2: least squares of the sub-network on the preimage of T."""

    steps: Annotated[int, Field(ge=0, strict=True)] | None = Field(
        None, description="Adam steps; 0 leaves the sub-network untrained; by default as T needs."
    )
    refinement: Annotated[int, Field(ge=0, strict=True)] | None = Field(
        None,
        description="L-BFGS iterations after Adam (Theorem 1); by default, for functions, 1200, "
        "or 2000 with mse; none for images and arrays, nor when steps is 0.",
    )
    batch: Width = Field(1024, description="Coordinates h drawn for each Adam step.")
    learning_rate: PositiveFloat = Field(0.01, description="Of Adam, decaying to 0 as a cosine.")
    frequency: PositiveFloat | None = Field(
        None,
        description="Standard deviation of the first trained weights on h: higher for finer "
        "patterns; by default 8 for functions, 60 for images, 24 for arrays.",
    )


class PatternParameters(Parameters):
    """A pattern T, the data and loss it is embedded in, and the network that carries it."""

    target: TargetParameters = Field(description="The pattern T.")
    data: Literal["digits", "mnist-subset"] = Field(
        "digits", description="scikit-learn's 1,797 digits (8×8) or 5,000 MNIST images (28×28)."
    )
    loss: Literal["cross_entropy", "mse"] = Field(
        "cross_entropy", description="mse compares the outputs with one-hot labels."
    )
    network: NetworkParameters = Field(default_factory=lambda: NetworkParameters())
    training: TrainingParameters = Field(default_factory=lambda: TrainingParameters())
