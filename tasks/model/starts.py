"""Starts of a module: its parameters initialised anew.

Shape legend: n = numbers of all parameters, one parameter after another.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from schemas.errors import SpecError

_RESETS = ("reset_parameters", "_reset_parameters")


@dataclass(frozen=True)
class FreshParameters:
    """Draws a module's parameters as its layers initialise them.

    Every layer's own `reset_parameters` is called, inner layers first, as when the module was made.
    Parameters that none of them sets are drawn as independent normal numbers with the mean and the
    standard deviation of their values at the origin. All are multiplied by the scale.
    """

    module: nn.Module
    origin: Mapping[str, Tensor]

    def __call__(self, random: np.random.Generator, scale: float) -> npt.NDArray[np.float64]:
        """One start (n,), in the origin's order.

        Raises:
            SpecError: a layer cannot be initialised.
        """
        module = copy.deepcopy(self.module)
        if any(parameter.device.type != "cpu" for parameter in module.parameters()):
            module = module.to("cpu")
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int(random.integers(2**63)))
            for parameter in module.parameters():
                # Whatever is not overwritten shows.
                parameter.fill_(torch.nan)
            module.apply(_reset)
        found = dict(module.named_parameters())
        parts = [_filled(found[name], origin, random) for name, origin in self.origin.items()]
        return scale * np.concatenate(parts)


def _reset(layer: nn.Module) -> None:
    # The tensors of a parametrised layer are computed from others, which a reset does not reach.
    resets = [] if is_parametrized(layer) else [getattr(layer, name, None) for name in _RESETS]
    reset = next(filter(callable, resets), None)
    if reset is None:
        return
    try:
        reset()
    except Exception as error:  # noqa: BLE001 - a user's layer may raise anything
        told = (str(error).splitlines() or [""])[0]
        raise SpecError(
            f"starts.distribution: reset_parameters of {type(layer).__name__} raised "
            f"{type(error).__name__}: {told}; use normal or uniform"
        ) from None


def _filled(tensor: Tensor, origin: Tensor, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """The numbers of a parameter, drawn after the origin's where no layer has set them."""
    numbers = tensor.detach().double().reshape(-1).numpy()
    if not np.isnan(numbers).any():
        return numbers
    own = origin.detach().double().cpu().numpy()
    drawn = own.mean() + own.std() * random.standard_normal(numbers.size)
    return np.where(np.isnan(numbers), drawn, numbers)
