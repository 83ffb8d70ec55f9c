"""The networks and data sets of the examples."""

from __future__ import annotations

from pathlib import Path

import torch
from sklearn.datasets import load_diabetes
from torch import Tensor, nn
from torch.nn import functional

LICENCE = Path(__file__).parent.parent / "LICENSE"
LETTERS = sorted(set(LICENCE.read_text()))


def mlp(width: int = 32) -> nn.Module:
    """8×8 digits, flat → 10 classes."""
    return nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)
    ).eval()


class Block(nn.Module):
    """Two convolutions with batch normalisation beside a shortcut (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, height, width), both ways."""
        inner = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(x + self.bn2(self.conv2(inner)))


def resnet(channels: int = 12, blocks: int = 2) -> nn.Module:
    """Digits (N, 1, 8, 8) → 10 classes."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        *(Block(channels) for _ in range(blocks)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, 10),
    ).eval()


class Transformer(nn.Module):
    """A transformer encoder with dropout over a sequence of vectors or of letters.

    Attributes:
        causal: whether a position sees only those before it, and every position is predicted.
    """

    def __init__(self, embedding: nn.Module, length: int, outputs: int, causal: bool) -> None:
        super().__init__()
        width = 32
        self.embedding = embedding
        self.position = nn.Parameter(0.02 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(
            width, 4, 64, dropout=0.1, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, outputs)
        self.causal = causal
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        self.register_buffer("mask", mask if causal else None, persistent=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, length, …) → logits (N, outputs), or (N, length, outputs) of a causal one."""
        hidden = self.embedding(x) + self.position
        hidden = self.encoder(hidden, mask=self.mask, is_causal=self.causal)
        return {"logits": self.head(hidden if self.causal else hidden.mean(dim=1))}


def transformer() -> nn.Module:
    """Digits (N, 8, 8) as eight rows → 10 classes."""
    return Transformer(nn.Linear(8, 32), 8, 10, causal=False).eval()


def as_rows(inputs: Tensor) -> Tensor:
    """Flat digits (N, 64) → (N, 8, 8)."""
    return inputs.reshape(-1, 8, 8)


def language_model() -> nn.Module:
    """Letters (N, 32) → logits of the next letter (N, 32, letters)."""
    return Transformer(nn.Embedding(len(LETTERS), 32), 32, len(LETTERS), causal=True).eval()


def text(length: int = 32) -> dict[str, Tensor]:
    """The licence in pieces of so many letters (N, length), every fifth one for testing."""
    codes = torch.tensor([LETTERS.index(letter) for letter in LICENCE.read_text()])
    pieces = codes[: len(codes) // length * length].reshape(-1, length)
    held_out = torch.arange(len(pieces)) % 5 == 4
    return {"train": pieces[~held_out], "test": pieces[held_out]}


def regression() -> nn.Module:
    """Ten measurements of a patient → the disease's progression, standardised."""
    return nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 1)).eval()


def diabetes() -> dict[str, tuple[Tensor, Tensor]]:
    """The 442 patients of scikit-learn's diabetes data, inputs and targets standardised."""
    table = load_diabetes()
    inputs = torch.from_numpy(table.data).float()
    targets = torch.from_numpy(table.target).float()
    inputs, targets = ((t - t.mean(dim=0)) / t.std(dim=0) for t in (inputs, targets))
    held_out = torch.arange(len(inputs)) % 5 == 4
    return {
        "train": (inputs[~held_out], targets[~held_out]),
        "test": (inputs[held_out], targets[held_out]),
    }


def exclusive_or(width: int = 2) -> nn.Module:
    """Two inputs → one, through `width` hidden units."""
    return nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, 1)).eval()


def truth_table() -> dict[str, tuple[Tensor, Tensor]]:
    """The four cases of exclusive or, −1 and 1 for false and true."""
    inputs = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    return {"train": (inputs, -inputs.prod(dim=1, keepdim=True))}
