"""Networks: shared parameters, sequences, code of the user's own."""

import torch
from torch import nn
from torch.nn import functional

from tests.models.zoo import (
    CLASSES,
    LENGTH,
    TOKENS,
    WIDTH,
    case,
    labelled_steps,
    mlp,
    series,
    signals,
    tokens,
)

# --- parameters used more than once, or not at all


class Twice(nn.Module):
    """One module used twice, and two modules that share one weight."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH)
        self.second.weight = self.first.weight
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        return self.head(torch.tanh(self.second(torch.tanh(self.first(self.first(x))))))


@case()
def shared_weight():
    return Twice()


class TiedTokens(nn.Module):
    """A language model whose output layer is its embedding."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, 8)
        self.inner = nn.Linear(8, 8)
        self.head = nn.Linear(8, TOKENS, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x):
        return self.head(torch.tanh(self.inner(self.embedding(x).mean(dim=1))))


@case(inputs=tokens)
def tied_embedding():
    return TiedTokens()


class Idle(nn.Module):
    """A parameter that the outputs do not depend on, and one without dimensions."""

    def __init__(self):
        super().__init__()
        self.inner = mlp(nn.ReLU, WIDTH, 12, CLASSES)
        self.unused = nn.Parameter(torch.randn(5))
        self.temperature = nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        return self.inner(x) * self.temperature


@case()
def unused_and_scalar_parameters():
    return Idle()


# --- sequences


class Attention(nn.Module):
    """Embedded tokens, one attention layer, and a parameter of the module's own."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, 8)
        self.position = nn.Parameter(0.1 * torch.randn(LENGTH, 8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, dropout=0.3)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x):
        x = self.embedding(x) + self.position
        x = x + self.attention(x, x, x, need_weights=False)[0]
        return self.head(x.mean(dim=1))


@case(inputs=tokens)
def attention():
    return Attention()


class Encoder(nn.Module):
    """A transformer encoder over signals."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 12, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        return self.head(self.encoder(x)[:, 0])


@case(inputs=signals)
def transformer():
    return Encoder()


class Recurrent(nn.Module):
    """The last state of a recurrent layer over signals."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(7, CLASSES)

    def forward(self, x):
        return self.head(self.layer(x)[0][:, -1])


@case(inputs=signals)
def lstm():
    return Recurrent(nn.LSTM(WIDTH, 7, num_layers=2, batch_first=True))


@case(inputs=signals)
def gru():
    return Recurrent(nn.GRU(WIDTH, 7, batch_first=True))


@case(inputs=tokens, z=1)
def embedding():
    return nn.Sequential(nn.Embedding(TOKENS, 8), nn.Flatten(), nn.Linear(8 * LENGTH, CLASSES))


@case(inputs=signals, targets=series, loss="mse")
def sequence_outputs():
    return mlp(nn.Tanh, WIDTH, 12, CLASSES)


def mean_step_loss(outputs, targets):
    """Cross-entropy of each step's class, averaged over the steps of a sample."""
    losses = functional.cross_entropy(outputs.transpose(1, 2), targets, reduction="none")
    return losses.mean(dim=1)


@case(inputs=signals, targets=labelled_steps, loss=mean_step_loss)
def class_at_each_step():
    return mlp(nn.ReLU, WIDTH, 12, CLASSES)


# --- code of the user's own


class Standardised(nn.Module):
    """Buffers that the outputs depend on: a shift, a mask over weights, and an integer index."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(WIDTH, 12)
        self.head = nn.Linear(12, CLASSES)
        self.register_buffer("shift", torch.randn(WIDTH))
        self.register_buffer("mask", (torch.rand(12, WIDTH) > 0.3).float())
        self.register_buffer("order", torch.randperm(WIDTH))

    def forward(self, x):
        x = (x - self.shift)[:, self.order]
        return self.head(
            torch.relu(functional.linear(x, self.inner.weight * self.mask, self.inner.bias))
        )


@case()
def buffers():
    return Standardised()


class Skips(nn.Module):
    """Functional operations, torch.cat, einsum and skip connections."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(WIDTH, 8)
        self.second = nn.Linear(8 + WIDTH, 8)
        self.head = nn.Linear(16 + WIDTH, CLASSES)
        self.form = nn.Parameter(0.2 * torch.randn(8, 8, 8))

    def forward(self, x):
        first = functional.leaky_relu(self.first(x), 0.1)
        second = functional.softplus(self.second(torch.cat([first, x], dim=-1))) + first
        mixed = torch.einsum("ni,nj,ijk->nk", first, second, self.form)
        joined = torch.cat([mixed.sigmoid(), second, x], dim=-1)
        return functional.log_softmax(self.head(joined), dim=-1)


@case()
def functional_skips():
    return Skips()


class ByInputs(nn.Module):
    """Python control flow on the inputs: the two splits take different branches."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(WIDTH, 12)
        self.head = nn.Linear(12, CLASSES)

    def forward(self, x):
        hidden = self.inner(x)
        hidden = torch.relu(hidden) if x.sum() > 0 else torch.tanh(hidden) - 0.5
        return self.head(hidden)


@case(shift={"train": 3.0, "test": -3.0})
def branch_on_inputs():
    return ByInputs()


class ByParameters(nn.Module):
    """Python control flow on a parameter: points of one section take different branches."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Parameter(torch.tensor([0.05, -0.02]))
        self.inner = nn.Linear(WIDTH, 12)
        self.head = nn.Linear(12, CLASSES)

    def forward(self, x):
        hidden = self.inner(x)
        hidden = torch.relu(hidden) if self.gate.sum() > 0 else torch.tanh(hidden) - 0.5
        return self.head(hidden)


@case(z=1)
def branch_on_parameters():
    return ByParameters()


class Contrast(nn.Module):
    """Outputs that depend on the other samples: each is compared with the mean of all."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(WIDTH, 12)
        self.head = nn.Linear(12, CLASSES)

    def forward(self, x):
        hidden = torch.relu(self.inner(x - x.mean(0)))
        return self.head(hidden - hidden.mean(0))


@case()
def depends_on_the_whole_batch():
    return Contrast()
