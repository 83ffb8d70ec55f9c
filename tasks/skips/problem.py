"""The loss of a network as a function of its parameters, and of those that are linear in it.

Shape legend: N = samples, M = columns of Ψ, m = outputs, P = points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from tasks.skips.networks import OUTPUT, SKIP
from tasks.skips.wrapper import SkipToOutput

Point: TypeAlias = Mapping[str, Tensor]
"""Parameters by name, float64."""


@dataclass(frozen=True)
class Problem:
    """Mean cross-entropy of a network on samples (N, pixels) with classes (N,), in float64."""

    module: nn.Module
    inputs: Tensor
    targets: Tensor

    @property
    def has_skips(self) -> bool:
        """Whether V is that of the skip units, not the last layer's."""
        return isinstance(self.module, SkipToOutput)

    @cached_property
    def wanted(self) -> Tensor:
        """Y, (N, m): 1 at each sample's class."""
        classes = self.parts(dict(self.module.named_parameters()))[0].shape[1]
        return functional.one_hot(self.targets, classes).to(self.inputs.dtype)

    def loss(self, point: Point) -> Tensor:
        """Φ, a scalar that can be differentiated."""
        outputs = functional_call(self.module, dict(point), (self.inputs,))
        return functional.cross_entropy(outputs, self.targets)

    @torch.no_grad()
    def losses(self, first: Point, last: Point, parts: Tensor) -> Tensor:
        """Φ (P,) on the straight line between two points, at these parts (P,) of it."""

        def at(part: Tensor) -> Tensor:
            return self.loss({name: torch.lerp(first[name], last[name], part) for name in first})

        return vmap(at)(parts)

    @torch.no_grad()
    def parts(self, point: Point) -> tuple[Tensor, Tensor]:
        """What the outputs ΨV are added to, (N, m), and Ψ, (N, M).

        Without skip units V is the last layer's weights and, below them, its bias; nothing is added
        to ΨV then.
        """
        point = {name: tensor.detach() for name, tensor in point.items()}
        if self.has_skips:
            bare = {**point, SKIP: torch.zeros_like(point[SKIP])}
            named = {f"module.{name}": tensor for name, tensor in bare.items()}
            parts: tuple[Tensor, Tensor] = functional_call(
                _Parts(cast("SkipToOutput", self.module)), named, (self.inputs,)
            )
            return parts
        hidden = cast("nn.Sequential", self.module)[:-1]
        own = {name: tensor for name, tensor in point.items() if not name.startswith(OUTPUT)}
        values = functional_call(hidden, own, (self.inputs,))
        features = torch.cat([values, torch.ones_like(values[:, :1])], dim=1)
        return torch.zeros(
            len(values), point[f"{OUTPUT}.bias"].numel(), dtype=values.dtype
        ), features

    def readout(self, point: Point) -> Tensor:
        """V, (M, m)."""
        if self.has_skips:
            return point[SKIP].detach()
        weight, bias = point[f"{OUTPUT}.weight"], point[f"{OUTPUT}.bias"]
        return torch.cat([weight.T, bias[None]]).detach()

    def with_readout(self, point: Point, readout: Tensor) -> dict[str, Tensor]:
        """The point with another V, (M, m)."""
        if self.has_skips:
            return {**point, SKIP: readout}
        return {
            **point,
            f"{OUTPUT}.weight": readout[:-1].T.contiguous(),
            f"{OUTPUT}.bias": readout[-1],
        }


class _Parts(nn.Module):
    """A network's outputs and features, as functional_call wants them."""

    def __init__(self, module: SkipToOutput) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs (N, m) and Ψ (N, M)."""
        return self.module.outputs_and_features(x)
