"""Activation cells: which linear piece each piecewise-linear unit of a module is in.

A network of piecewise-linear units is affine in its inputs within a cell, and a polynomial in its
parameters (Montúfar et al. 2014, arXiv:1402.1869; Hanin and Rolnick 2019, arXiv:1906.00904).

Shape legend: N = samples, U = units of one operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from schemas.errors import SpecError

CELL_METRICS = ("activation_cell", "activation_changes")


def above_zero(x: Tensor, *_settings: object) -> Tensor:
    """1 above 0 and 0 elsewhere."""
    return x > 0


def _between(
    x: Tensor, low: Tensor | float | None = None, high: Tensor | float | None = None
) -> Tensor:
    """0 below `low`, 1 between, 2 above `high`."""
    pieces = torch.zeros_like(x, dtype=torch.uint8)
    for bound in (low, high):
        if bound is not None:
            pieces = pieces + (x > bound)
    return pieces


def _unit_interval(x: Tensor, low: float = -1.0, high: float = 1.0) -> Tensor:
    return _between(x, low, high)


def _below(x: Tensor, high: float) -> Tensor:
    return _between(x, None, high)


def _above(x: Tensor, threshold: float, _value: float) -> Tensor:
    return x > threshold


def _within_three(x: Tensor) -> Tensor:
    return _between(x, -3.0, 3.0)


def _within_six(x: Tensor) -> Tensor:
    return _between(x, 0.0, 6.0)


def _outside(x: Tensor, reach: float = 0.5) -> Tensor:
    return _between(x, -reach, reach)


def _winner(x: Tensor, other: Tensor) -> Tensor:
    return x > other


def _greatest(x: Tensor, dims: Sequence[int] = (), _keep: bool = False) -> Tensor:
    """Where along the dimensions, all of them by default, the greatest entry is."""
    over = {dim % x.dim() for dim in dims} or set(range(x.dim()))
    rest = [dim for dim in range(x.dim()) if dim not in over]
    return x.permute(*rest, *sorted(over)).flatten(len(rest)).argmax(dim=-1)


def _least(x: Tensor, *dims: Any) -> Tensor:  # noqa: ANN401 - as of the operation
    return _greatest(-x, *dims)


PIECES: Mapping[str, Callable[..., Tensor]] = {
    "relu": above_zero,
    "leaky_relu": above_zero,
    "rrelu_with_noise": above_zero,
    "_prelu_kernel": above_zero,
    "abs": above_zero,
    "hardtanh": _unit_interval,
    "clamp": _between,
    "clamp_min": _between,
    "clamp_max": _below,
    "threshold": _above,
    "hardsigmoid": _within_three,
    "hardshrink": _outside,
    "softshrink": _outside,
    "maximum": _winner,
    "minimum": _winner,
    "fmax": _winner,
    "fmin": _winner,
    "amax": _greatest,
    "amin": _least,
}
"""Aten operations, without the underscore of those that work in place → pieces."""
COMPOSITE_PIECES: Mapping[str, Callable[..., Tensor]] = {"prelu": above_zero, "relu6": _within_six}
"""Operations that are seen before they are taken apart, as in a traced graph."""
ELEMENTWISE_PIECES = frozenset(
    function
    for function in (*PIECES.values(), *COMPOSITE_PIECES.values())
    if function not in (_greatest, _least)
)
"""Those that give one piece, of at most three, for each number."""
# Operations whose second output is the index of the input that was taken: the piece.
_INDEXED = frozenset(
    {"max_pool2d_with_indices", "max_pool3d_with_indices"}
    | {"adaptive_max_pool2d", "adaptive_max_pool3d", "max.dim", "min.dim"}
)


class PieceRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the pieces of every piecewise-linear operation that runs within the context.

    Seen are relu, leaky_relu, prelu, rrelu, relu6, hardtanh, clamp, threshold, hardsigmoid, abs,
    maximum, minimum, hardshrink, softshrink, max pooling and max or min along dimensions.

    Attributes:
        pieces: for each operation, in the order in which they ran, integers or booleans.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pieces: list[Tensor] = []

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - torch's own signature
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        name = func.name().removeprefix("aten::")
        pieces = PIECES.get(name.partition(".")[0].rstrip("_"))
        if pieces is not None and args[0].is_floating_point():
            # Before the operation, which may write over its input.
            self.pieces.append(pieces(*args))
        outputs = func(*args, **(kwargs or {}))
        if name in _INDEXED and outputs[0].is_floating_point():
            self.pieces.append(outputs[1])
        return outputs


class Cells:
    """Hashes and comparisons of the linear pieces that a module's forward pass is in.

    A unit's samples lie along the axis whose length follows the number of samples; where it is
    longer than that, the entries of one sample must stand together. Units that no sample reaches,
    such as activations of parameters alone, count once and not once a sample.

    Attributes:
        axes: of each operation's pieces, the axis of the samples; None where no sample reaches it.
    """

    def __init__(self, run: Callable[[Tensor], object], inputs: Tensor, metric: str) -> None:
        """`run` is the forward pass; it is tried on the first of the samples `inputs` (N, …).

        Raises:
            SpecError: it has no piecewise-linear unit.
        """
        # Two and three copies of a sample: modules may treat a single one in their own way.
        two, three = (recorded(run, inputs[:1].repeat_interleave(n, dim=0)) for n in (2, 3))
        if not two:
            raise SpecError(
                f"metrics: got {metric!r}; expected a model with a piecewise-linear unit, such as "
                "a ReLU; leave the metric out"
            )
        self.axes = [_sample_axis(a.shape, b.shape) for a, b in zip(two, three, strict=True)]

    def hash(self, pieces: Sequence[Tensor], samples: int, before: int) -> int:
        """What a block of samples adds to the cell's hash, a sum modulo 2^64.

        `before` samples of the split are in earlier blocks. Each unit has a 64-bit weight, and a
        sample's part mixes the sum of weight times piece with the sample's number. Two points in
        different cells agree by chance with a probability of about 2^-64.
        """
        device = pieces[0].device
        own = torch.zeros(samples, dtype=torch.int64, device=device)
        shared = torch.zeros(1, dtype=torch.int64, device=device)
        unit = 0
        for part, axis in zip(pieces, self.axes, strict=True):
            rows = _rows(part, axis, samples)
            weights = mixed(torch.arange(unit, unit + rows.shape[1], device=device))
            unit += rows.shape[1]
            (shared if axis is None else own).add_((rows * weights).sum(dim=1))
        numbers = torch.arange(before, before + samples, device=device)
        total = mixed(own + mixed(~numbers)).sum()
        if before == 0:
            total = total + mixed(shared).sum()
        return int(total) % 2**64

    def changes(self, pieces: Sequence[Tensor], others: Sequence[Tensor], before: int) -> int:
        """Pairs of unit and sample of such a block whose pieces differ."""
        return sum(
            int((part != other).sum())
            for part, other, axis in zip(pieces, others, self.axes, strict=True)
            if before == 0 or axis is not None
        )


def recorded(run: Callable[[Tensor], object], inputs: Tensor) -> list[Tensor]:
    """The pieces of a forward pass, operation by operation; no gradients."""
    recorder = PieceRecorder()
    with torch.no_grad(), recorder:
        run(inputs)
    return recorder.pieces


def _sample_axis(two: torch.Size, three: torch.Size) -> int | None:
    """The axis that grows with the number of samples."""
    grown = (axis for axis, (a, b) in enumerate(zip(two, three, strict=True)) if a != b)
    return next(grown, None)


def _rows(pieces: Tensor, axis: int | None, samples: int) -> Tensor:
    """The pieces of each sample (N, U), or of no sample (1, U)."""
    if axis is None:
        return pieces.reshape(1, -1)
    return pieces.movedim(axis, 0).reshape(samples, -1)


def mixed(x: Tensor) -> Tensor:
    """64 well-mixed bits for each int64: SplitMix64 (Steele, Lea and Flood 2014, OOPSLA)."""
    x = x - 0x61C8864680B583EB  # + 0x9E3779B97F4A7C15 modulo 2^64
    x = (x ^ _shifted(x, 30)) * -0x40A7B892E31B1A47  # 0xBF58476D1CE4E5B9
    x = (x ^ _shifted(x, 27)) * -0x6B2FB644ECCEEE15  # 0x94D049BB133111EB
    mixed: Tensor = x ^ _shifted(x, 31)
    return mixed


def _shifted(x: Tensor, bits: int) -> Tensor:
    """The bits moved to the right and zeros in their place; int64 would keep the sign."""
    moved: Tensor = (x >> bits) & (2 ** (64 - bits) - 1)
    return moved
