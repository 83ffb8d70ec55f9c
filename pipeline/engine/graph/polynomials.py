"""Nodes of a graph that are polynomials in the coordinates: their degrees and coefficients.

A parameter is affine in α. Linear maps keep the degree, products add degrees, so everything before
the first nonlinearity is a polynomial whose coefficients do not depend on α.

Shape legend: M = monomials, P = points, z = axes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx

from pipeline.engine.graph.tracing import Argument, arguments

aten = torch.ops.aten
Exponents: TypeAlias = tuple[int, ...]

_LINEAR_MAPS = frozenset(
    {
        aten.view.default, aten.reshape.default, aten.permute.default, aten.transpose.int,
        aten.t.default, aten.numpy_T.default, aten.flatten.using_ints, aten.unflatten.int,
        aten.unsqueeze.default, aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims,
        aten.expand.default, aten.slice.Tensor, aten.select.int, aten.narrow.default,
        aten.clone.default, aten.contiguous.default, aten.detach.default, aten.alias.default,
        aten.neg.default, aten.sum.default, aten.sum.dim_IntList, aten.mean.default,
        aten.mean.dim, aten.avg_pool1d.default, aten.avg_pool2d.default, aten.avg_pool3d.default,
        aten.adaptive_avg_pool1d.default, aten.adaptive_avg_pool2d.default,
        aten.adaptive_avg_pool3d.default, aten.cat.default, aten.stack.default,
    }
)  # fmt: skip
# Linear in the first argument and in the second; a third, where there is one, is added.
_BILINEAR = frozenset(
    {
        aten.linear.default, aten.conv1d.default, aten.conv2d.default, aten.conv3d.default,
        aten.mm.default, aten.bmm.default, aten.matmul.default, aten.mul.Tensor, aten.mv.default,
    }
)  # fmt: skip
_SUMS = frozenset({aten.add.Tensor, aten.sub.Tensor, aten.add.Scalar, aten.sub.Scalar})
_SQUARES = frozenset({aten.square.default, aten.pow.Tensor_Scalar})
_QUOTIENTS = frozenset({aten.div.Tensor, aten.div.Scalar, aten.mul.Scalar})


def degree(node: fx.Node, of: Callable[[Any], int | None]) -> int | None:
    """Degree of a node's value in α, given those of its arguments; None if not a polynomial."""
    degrees = [of(argument) for argument in node.all_input_nodes]
    if not any(degrees) and None not in degrees:
        return 0
    target, args = node.target, arguments(node)
    if None in degrees:
        return None
    if target in _LINEAR_MAPS:
        return max(d or 0 for d in degrees)
    if target in _SUMS and len(args) == 2:
        return max(of(args[0]) or 0, of(args[1]) or 0)
    if target in _BILINEAR:
        bias = of(args[2]) if len(args) > 2 else 0
        return max((of(args[0]) or 0) + (of(args[1]) or 0), bias or 0)
    if target in _QUOTIENTS and not of(args[1]):
        return of(args[0])
    if target is aten.square.default or (target is aten.pow.Tensor_Scalar and args[1] == 2):
        return 2 * (of(args[0]) or 0)
    if target is aten.mse_loss.default and len(args) > 2 and args[2] == 0:
        return 2 * max(of(args[0]) or 0, of(args[1]) or 0)
    return None


class Polynomial(dict[Exponents, Tensor]):
    """Coefficients of a polynomial in α by the exponents of its monomials."""

    def map(self, function: Callable[[Tensor], Tensor]) -> Polynomial:
        """The polynomial under a linear map of its values."""
        return Polynomial({exponents: function(part) for exponents, part in self.items()})


def monomials(z: int, degree: int) -> list[Exponents]:
    """Exponents of all monomials of z variables up to a degree, the constant first."""
    found = []
    for total in range(degree + 1):
        for chosen in combinations_with_replacement(range(z), total):
            found.append(tuple(chosen.count(axis) for axis in range(z)))
    return found


def monomial_values(
    points: npt.NDArray[np.float64], exponents: Sequence[Exponents]
) -> npt.NDArray[np.float64]:
    """Values (P, M) of monomials at points (P, z)."""
    highest = max(max(one, default=0) for one in exponents)
    powers = [np.ones_like(points)]
    for _ in range(highest):
        powers.append(powers[-1] * points)
    result = np.ones((len(points), len(exponents)))
    for column, one in enumerate(exponents):
        for axis, power in enumerate(one):
            if power:
                result[:, column] *= powers[power][:, axis]
    return result


def apply(node: fx.Node, env: Mapping[fx.Node, Tensor | Polynomial], z: int) -> Polynomial:
    """The polynomial of a node whose arguments are polynomials or constants in `env`.

    The node must have a `degree`.
    """
    constant = (0,) * z

    def known(argument: Argument) -> Argument:
        return fx.map_arg(argument, lambda n: cast("Any", env[n]))

    def as_polynomial(value: Argument) -> Polynomial:
        return value if isinstance(value, Polynomial) else Polynomial({constant: value})

    # Coefficients may be expanded views, which have no other views.
    target: Any = aten.reshape.default if node.target is aten.view.default else node.target
    args = [known(argument) for argument in arguments(node)]
    kwargs = {key: known(value) for key, value in node.kwargs.items()}
    if target in (aten.cat.default, aten.stack.default):
        return _joined(target, [as_polynomial(part) for part in args[0]], args[1:])
    if target in _LINEAR_MAPS or (target in _QUOTIENTS and not isinstance(args[1], Polynomial)):
        return as_polynomial(args[0]).map(lambda part: target(part, *args[1:], **kwargs))
    if target in _SUMS:
        return _sum(args[0], args[1], target in (aten.sub.Tensor, aten.sub.Scalar), kwargs, z)
    if target in _SQUARES:
        return _product(aten.mul.Tensor, as_polynomial(args[0]), as_polynomial(args[0]))
    if target is aten.mse_loss.default:
        difference = _sum(args[0], args[1], True, {}, z)
        return _product(aten.mul.Tensor, difference, difference)
    bias = args[2] if len(args) > 2 else None
    product = _product(
        target, as_polynomial(args[0]), as_polynomial(args[1]), (None, *args[3:]), kwargs
    )
    if bias is None:
        return product
    rank = 0 if target is aten.linear.default else arguments(node)[1].meta["val"].dim() - 2
    return _sum(
        product, as_polynomial(bias).map(lambda b: b.reshape(-1, *[1] * rank)), False, {}, z
    )


def _product(
    operation: Callable[..., Tensor],
    a: Polynomial,
    b: Polynomial,
    rest: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Polynomial:
    if operation in (aten.mm.default, aten.bmm.default, aten.matmul.default, aten.mul.Tensor):
        rest = ()
    result = Polynomial()
    for left, x in a.items():
        for right, y in b.items():
            exponents = tuple(i + j for i, j in zip(left, right, strict=True))
            term = operation(x, y, *rest, **(kwargs or {}))
            result[exponents] = result[exponents] + term if exponents in result else term
    return result


def _sum(a: Argument, b: Argument, negate: bool, kwargs: Mapping[str, Any], z: int) -> Polynomial:
    factor = kwargs.get("alpha", 1) * (-1 if negate else 1)
    constant = (0,) * z
    first = a if isinstance(a, Polynomial) else Polynomial({constant: a})
    second = b if isinstance(b, Polynomial) else Polynomial({constant: b})
    result = Polynomial()
    shape = _broadcast_shape(first, second)
    for exponents in first.keys() | second.keys():
        parts = []
        if exponents in first:
            parts.append(torch.as_tensor(first[exponents]))
        if exponents in second:
            parts.append(torch.as_tensor(second[exponents]) * factor)
        # A term that only one side has keeps the shape of the sum.
        total = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        result[exponents] = total.expand(shape)
    return result


def _broadcast_shape(a: Polynomial, b: Polynomial) -> torch.Size:
    first, second = (torch.as_tensor(next(iter(p.values()))) for p in (a, b))
    return (first.to("meta") + second.to("meta")).shape


def _joined(operation: Argument, parts: list[Polynomial], rest: Sequence[Any]) -> Polynomial:
    present = sorted({exponents for part in parts for exponents in part})
    shapes = [next(iter(part.values())) for part in parts]
    return Polynomial(
        {
            exponents: operation(
                [
                    part.get(exponents, torch.zeros_like(like))
                    for part, like in zip(parts, shapes, strict=True)
                ],
                *rest,
            )
            for exponents in present
        }
    )
