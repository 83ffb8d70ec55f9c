"""Layers in sequence: activations, normalisation, convolutions."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from tests.models.zoo import (
    CLASSES,
    WIDTH,
    case,
    images,
    mlp,
    responses,
)

# --- layers in sequence


@case()
def mlp_relu():
    return mlp(nn.ReLU, WIDTH, 16, 12, CLASSES)


@case(z=3)
def mlp_tanh():
    return mlp(nn.Tanh, WIDTH, 16, 12, CLASSES)


@case(z=1)
def mlp_gelu():
    return mlp(nn.GELU, WIDTH, 16, 12, CLASSES)


@case()
def mlp_without_bias():
    return mlp(nn.SiLU, WIDTH, 16, CLASSES, bias=False)


@case(targets=responses, loss="mse")
def deep_linear():
    return mlp(nn.Identity, WIDTH, 10, 10, CLASSES)


@case(z=1, targets=responses, loss="mse")
def deep_linear_without_bias():
    return mlp(nn.Identity, WIDTH, 10, 10, 10, CLASSES, bias=False)


@case()
def dropout():
    return nn.Sequential(
        nn.Linear(WIDTH, 16), nn.Dropout(0.5), nn.AlphaDropout(0.2), nn.Linear(16, CLASSES)
    )


@case()
def prelu():
    return nn.Sequential(nn.Linear(WIDTH, 16), nn.PReLU(16), nn.Linear(16, CLASSES))


# --- normalisation


@case(z=3)
def batchnorm_after_linear():
    return nn.Sequential(
        nn.Linear(WIDTH, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, CLASSES)
    )


@case()
def batchnorm_before_linear():
    return nn.Sequential(
        nn.BatchNorm1d(WIDTH), nn.Linear(WIDTH, 16), nn.ReLU(), nn.BatchNorm1d(16),
        nn.Linear(16, CLASSES),
    )  # fmt: skip


@case()
def batchnorm_without_parameters():
    return nn.Sequential(
        nn.Linear(WIDTH, 16), nn.Tanh(), nn.Linear(16, CLASSES),
        nn.BatchNorm1d(CLASSES, affine=False),
    )  # fmt: skip


@case()
def layernorm():
    return nn.Sequential(nn.Linear(WIDTH, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, CLASSES))


@case(inputs=images)
def groupnorm():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.ReLU(), nn.Flatten(), nn.Linear(288, CLASSES)
    )


@case()
def weight_normalised():
    return nn.Sequential(
        weight_norm(nn.Linear(WIDTH, 16)), nn.Tanh(), weight_norm(nn.Linear(16, CLASSES))
    )


# --- convolutions


@case(inputs=images)
def conv_batchnorm_pool():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES),
    )  # fmt: skip


@case(inputs=images, z=1)
def pools():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.MaxPool2d(3, stride=2, padding=1), nn.ReLU(),
        nn.AvgPool2d(2), nn.Conv2d(6, 6, 1), nn.AdaptiveAvgPool2d((1, 2)), nn.Flatten(),
        nn.Linear(12, CLASSES),
    )  # fmt: skip


@case(inputs=images)
def depthwise_and_dilated():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=2, dilation=2, padding_mode="reflect"), nn.Hardswish(),
        nn.Conv2d(6, 12, 3, groups=6, stride=2), nn.ReLU6(), nn.ConvTranspose2d(12, 2, 2),
        nn.Flatten(), nn.Linear(32, CLASSES),
    )  # fmt: skip


class Residual(nn.Module):
    """A block of a residual network: stride, and a 1×1 convolution on the shortcut."""

    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.inner = nn.Sequential(
            nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip
        self.shortcut = nn.Identity()
        if stride > 1 or channels_in != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x):
        out = self.inner(x)
        out += self.shortcut(x)
        return torch.relu(out)


@case(inputs=images)
def residual_network():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True),
        Residual(6, 6, 1), Residual(6, 8, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, CLASSES),
    )  # fmt: skip
