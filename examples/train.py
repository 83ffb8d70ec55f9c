"""Trains the checkpoints of the examples: `python examples/train.py`, about two minutes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import models
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from tasks.sources.parameters import BuiltInData
from tasks.sources.read import read_splits

FOLDER = Path(__file__).parent / "checkpoints"
Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def digits(flat: bool) -> tuple[Tensor, Tensor]:
    """The train split of the examples' specs."""
    split = read_splits(BuiltInData(name="digits", flat=flat), ["train"], FOLDER, 0)["train"]
    return split.inputs, split.targets


def train(
    make: Callable[[], nn.Module],
    data: tuple[Tensor, Tensor],
    loss: Loss,
    *,
    seed: int,
    epochs: int,
    after: Callable[[int, nn.Module], None] = lambda _epoch, _model: None,
) -> nn.Module:
    """A model trained by Adam; `after` is called with every epoch's model."""
    torch.manual_seed(seed)
    model = make().train()
    inputs, targets = data
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    after(0, model)
    for epoch in range(epochs):
        for batch in torch.randperm(len(inputs)).split(64):
            optimiser.zero_grad()
            loss(model, inputs[batch], targets[batch]).backward()
            optimiser.step()
        after(epoch + 1, model)
    return model.eval()


def keep(name: str, model: nn.Module) -> None:
    """Write a model's parameters and buffers."""
    path = FOLDER / f"{name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.clone() for key, value in model.state_dict().items()}, path)
    print(f"{path}: {path.stat().st_size / 1024:.0f} KiB")  # noqa: T201


def classes(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of a classifier."""
    outputs = model(inputs)
    logits = outputs["logits"] if isinstance(outputs, dict) else outputs
    return functional.cross_entropy(logits, targets)


def next_letter(model: nn.Module, inputs: Tensor, _targets: Tensor) -> Tensor:
    """Cross-entropy of a language model."""
    logits = model(inputs)["logits"][:, :-1]
    return functional.cross_entropy(logits.flatten(0, 1), inputs[:, 1:].flatten())


def error(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error of a regression."""
    return functional.mse_loss(model(inputs)[:, 0], targets)


def main() -> None:
    """Train them all."""
    torch.set_num_threads(1)
    for run, seed in (("a", 1), ("b", 2)):

        def after(epoch: int, model: nn.Module, run: str = run) -> None:
            if epoch % 2 == 0:
                keep(f"runs/{run}/epoch-{epoch}", model)

        model = train(
            lambda: models.mlp(32), digits(True), classes, seed=seed, epochs=20, after=after
        )
        keep(f"mlp-{run}", model)
    keep("resnet-a", train(models.resnet, digits(False), classes, seed=1, epochs=15))
    keep("resnet-b", train(models.resnet, digits(False), classes, seed=2, epochs=15))
    rows = (models.as_rows(digits(True)[0]), digits(True)[1])
    keep("transformer", train(models.transformer, rows, classes, seed=1, epochs=30))
    letters = models.text()["train"]
    keep(
        "language-model",
        train(models.language_model, (letters, letters), next_letter, seed=1, epochs=150),
    )
    patients = models.diabetes()["train"]
    keep("regression", train(models.regression, patients, error, seed=1, epochs=60))


if __name__ == "__main__":
    main()
