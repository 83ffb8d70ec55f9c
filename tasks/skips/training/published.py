"""The published test accuracies of networks with skip units and without.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749, Tables 1 and 2. The training accuracy is 100 %
throughout, but for the plain sigmoid VGGs, where it is 10 %.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """Percent of the test set, its mean and, where 8 draws of skip units were made, deviation."""

    mean: float
    deviation: float | None = None


PUBLISHED: dict[str, dict[tuple[str, str], Published]] = {
    "CNN13, MNIST": {
        ("sigmoid", "plain"): Published(11.35),
        ("softplus", "plain"): Published(99.20),
        ("sigmoid", "skip"): Published(98.40, 0.07),
        ("softplus", "skip"): Published(99.14, 0.04),
    },
    "VGG11, CIFAR-10": {
        ("sigmoid", "plain"): Published(10.0),
        ("softplus", "plain"): Published(78.92),
        ("sigmoid", "random-features"): Published(62.81, 0.39),
        ("softplus", "random-features"): Published(64.49, 0.38),
        ("sigmoid", "skip"): Published(72.51, 0.35),
        ("softplus", "skip"): Published(80.57, 0.40),
    },
    "VGG13, CIFAR-10": {
        ("sigmoid", "plain"): Published(10.0),
        ("softplus", "plain"): Published(80.84),
        ("sigmoid", "random-features"): Published(61.50, 0.34),
        ("softplus", "random-features"): Published(61.42, 0.40),
        ("sigmoid", "skip"): Published(70.24, 0.39),
        ("softplus", "skip"): Published(81.94, 0.40),
    },
    "VGG16, CIFAR-10": {
        ("sigmoid", "plain"): Published(10.0),
        ("softplus", "plain"): Published(81.33),
        ("sigmoid", "random-features"): Published(61.57, 0.41),
        ("softplus", "random-features"): Published(61.46, 0.34),
        ("sigmoid", "skip"): Published(70.61, 0.36),
        ("softplus", "skip"): Published(81.91, 0.24),
    },
    "DenseNet121, CIFAR-10": {
        ("sigmoid", "plain"): Published(86.41),
        ("softplus", "plain"): Published(89.31),
        ("sigmoid", "random-features"): Published(52.07, 0.48),
        ("softplus", "random-features"): Published(55.39, 0.48),
        ("sigmoid", "skip"): Published(81.47, 1.03),
        ("softplus", "skip"): Published(86.76, 0.49),
    },
}
"""By network and data, and by (activation, connections)."""
