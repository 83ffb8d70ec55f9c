"""Directions that touch some parameters, and losses."""

from torch import nn

from tests.models.zoo import (
    CLASSES,
    WIDTH,
    case,
    columns,
    images,
    mlp,
    responses,
    scalars,
)

# --- directions that touch some parameters


def first_only(_axis, name):
    return name.startswith("0.")


def last_only(_axis, name):
    return name.startswith("4.")


def all_but_the_first(_axis, name):
    return not name.startswith("0.")


def one_layer_an_axis(axis, name):
    return name.startswith(f"{2 * axis}.")


def weights_then_biases(axis, name):
    return name.endswith(("weight", "bias")[axis])


@case(moves=all_but_the_first)
def frozen_first_layer():
    module = mlp(nn.ReLU, WIDTH, 16, 12, CLASSES)
    module[0].requires_grad_(False)
    return module


@case(moves=first_only)
def first_layer_only():
    return mlp(nn.ReLU, WIDTH, 16, 12, CLASSES)


@case(moves=last_only)
def last_layer_only():
    return mlp(nn.ReLU, WIDTH, 16, 12, CLASSES)


@case(z=3, moves=one_layer_an_axis)
def a_layer_for_each_axis():
    return mlp(nn.Tanh, WIDTH, 16, 12, CLASSES)


@case(moves=weights_then_biases, targets=responses, loss="mse")
def weights_on_one_axis_biases_on_the_other():
    return mlp(nn.Identity, WIDTH, 10, 10, CLASSES)


@case(inputs=images, moves=last_only)
def last_convolution_only():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(6, 6, 2), nn.Flatten(), nn.Linear(24, CLASSES),
    )  # fmt: skip


# --- losses


@case(targets=columns, loss="mse")
def scalar_output():
    return mlp(nn.Tanh, WIDTH, 12, 1)


@case(loss="mse")
def classes_as_one_hot():
    return mlp(nn.ReLU, WIDTH, 12, CLASSES)


@case(targets=scalars, loss=nn.SmoothL1Loss(reduction="none", beta=0.5))
def smooth_l1():
    return nn.Sequential(*mlp(nn.Tanh, WIDTH, 12, 1), nn.Flatten(0))


def margin_loss(outputs, targets):
    """Multi-class hinge loss of each sample, written out."""
    own = outputs.gather(1, targets[:, None])
    return (1 - own + outputs).clamp(min=0).sum(dim=1) - 1


@case(loss=margin_loss)
def loss_written_out():
    return mlp(nn.ReLU, WIDTH, 12, CLASSES)
