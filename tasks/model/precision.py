"""Modules and losses whose own code makes float32 tensors, made to follow the precision asked for.

A recurrent state from `torch.zeros`, a call of `.float()` or a loss's class weights are float32
whatever the parameters are; in another precision a matrix product would refuse them.

Shape legend: N = samples.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from schemas.errors import SpecError
from tasks.objective import LOSSES, SampleLoss, Split, per_sample
from tasks.trial import trial


class InPrecision(TorchFunctionMode):
    """Within, what would be float32 is of another dtype: new tensors, casts and arguments."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype
        self._before = torch.float32

    def __enter__(self) -> Self:
        self._before = torch.get_default_dtype()
        torch.set_default_dtype(self._dtype)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        torch.set_default_dtype(self._before)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        _types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - torch's own signature
        """The function of arguments that are of the dtype."""
        if func is Tensor.float:
            return args[0].to(self._dtype)
        given, named = tree_map(self._of_dtype, (args, kwargs or {}))
        return func(*given, **named)

    def _of_dtype(self, value: object) -> object:
        if value is torch.float32:
            return self._dtype
        if isinstance(value, Tensor) and value.dtype == torch.float32:
            # A parameter would be a leaf of its own.
            return torch._C.TensorBase.to(value, self._dtype)
        return value


@dataclass
class _Entering:
    """Hooks of a module: the forward pass is in the precision of its parameters."""

    modes: list[InPrecision | None] = field(default_factory=list)

    def before(self, module: nn.Module, _inputs: object) -> None:
        dtype = next(module.parameters()).dtype
        mode = None if dtype == torch.float32 else InPrecision(dtype)
        self.modes.append(mode)
        if mode is not None:
            mode.__enter__()

    def after(self, _module: nn.Module, _inputs: object, _outputs: object) -> None:
        mode = self.modes.pop()
        if mode is not None:
            mode.__exit__(None, None, None)


@dataclass(frozen=True)
class FollowingLoss:
    """A loss in the precision of the outputs."""

    loss: SampleLoss

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses (N, …) of outputs (N, …) and targets (N, …)."""
        if outputs.dtype == torch.float32:
            return self.loss(outputs, targets)
        with InPrecision(outputs.dtype):
            return self.loss(outputs, targets)


def following(module: nn.Module, loss: SampleLoss, split: Split) -> tuple[nn.Module, SampleLoss]:
    """The module and the loss; where they fail in float64, a copy that follows the precision.

    What fails all the same is left to the checks before a scan.
    """
    inputs = split.inputs[:2]
    double = {
        name: tensor.detach().double()
        for name, tensor in module.named_parameters()
        if tensor.is_floating_point()
    }
    outputs = _tried(lambda: trial(module, inputs, double))
    if outputs is None:
        own = copy.deepcopy(module)
        hooks = _Entering()
        own.register_forward_pre_hook(hooks.before, prepend=True)
        own.register_forward_hook(hooks.after, always_call=True)
        # Should it fail again, then not for its precision, and that is what is to be told.
        module = own
        outputs = _tried(lambda: trial(own, inputs, double))
    if not isinstance(outputs, Tensor) or loss in LOSSES.values():
        return module, loss
    found = outputs
    targets = split.targets[:2].to(found.device)
    targets = targets.double() if targets.is_floating_point() else targets
    if _tried(lambda: per_sample(loss, found, targets)) is None:
        loss = FollowingLoss(loss)
    return module, loss


def _tried(evaluate: Callable[[], object]) -> object | None:
    """What is evaluated; None where a user's code fails."""
    try:
        with torch.no_grad():
            return evaluate()
    except SpecError:
        raise
    except Exception:  # noqa: BLE001 - whatever a user's model or loss raises is told by the checks
        return None
