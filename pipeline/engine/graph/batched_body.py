"""A program's body for many points at once: operations on (P, h, B) instead of (B, h).

Shape legend: P = points, B = samples of a block, h = features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, fx
from torch.nn import functional

from pipeline.engine.cells import ELEMENTWISE_PIECES
from pipeline.engine.cells_together import IN_FLOAT
from pipeline.engine.graph.elementwise import ELEMENTWISE, IN_PLACE, REDUCTION, TRANSPARENT
from pipeline.engine.graph.program import Program
from pipeline.engine.graph.tracing import Argument, Untraceable, arguments

aten = torch.ops.aten

_FEATURES = (1, -1)


class Unbatchable(Untraceable):
    """The body has an operation with no form for many points at once."""


def batched_body(program: Program, points: int) -> fx.GraphModule:
    """The body for so many points: takes frontier, held, fixed and parameter-only values.

    Raises:
        Unbatchable: it is not MLP-like.
    """
    builder = _Builder(program, points)
    given = (*program.frontier, *program.held, *program.fixed, *program.transformed)
    for node in given:
        builder.take(node)
    for node in program.body:
        builder.add(node)
    return builder.finish(program.results)


def samples_last(value: Tensor) -> Tensor:
    """(B, …) → (…, B)."""
    return value.movedim(0, -1)


class _Builder:
    def __init__(self, program: Program, points: int) -> None:
        self._program = program
        self._points = points
        self._graph = fx.Graph()
        self._made: dict[fx.Node, fx.Node] = {}
        self._rules: Mapping[Any, Callable[[fx.Node], fx.Node]] = {
            aten.linear.default: self._linear,
            aten.addmm.default: self._addmm,
            aten.mm.default: self._mm,
            aten.matmul.default: self._mm,
            aten.cross_entropy_loss.default: self._cross_entropy,
            aten.nll_loss_nd.default: self._nll,
            aten.gather.default: self._gathered,
            aten.layer_norm.default: self._layer_norm,
            aten.softmax.int: self._over_features,
            aten.log_softmax.int: self._over_features,
            aten.mean.dim: self._reduced,
            aten.sum.dim_IntList: self._reduced,
            aten.cat.default: self._joined,
            aten.squeeze.dim: self._transparent,
            aten.unsqueeze.default: self._transparent,
        }

    def take(self, node: fx.Node) -> None:
        """A placeholder for a value from outside the body."""
        self._made[node] = self._graph.placeholder(node.name)
        if self._is_data(node):
            self._rank(node)

    def add(self, node: fx.Node) -> None:
        """The operations that stand for a node of the body."""
        rule = self._rules.get(node.target)
        if node.target in ELEMENTWISE or node.target in ELEMENTWISE_PIECES:
            rule = self._elementwise
        elif node.target in TRANSPARENT:
            rule = self._transparent
        if rule is None:
            raise Unbatchable(f"{node.target} has no form for many points at once")
        self._rank(node)
        self._made[node] = rule(node)

    def finish(self, results: tuple[fx.Node, ...]) -> fx.GraphModule:
        """The module; each result is expanded to all points if it does not depend on them."""
        self._graph.output(tuple(self._at_all_points(node) for node in results))
        self._graph.lint()
        return fx.GraphModule({}, self._graph)

    def _call(self, function: Callable[..., Any], *args: Argument, **kwargs: Argument) -> fx.Node:
        return self._graph.call_function(function, args, kwargs)

    def _is_data(self, node: fx.Node) -> bool:
        return self._program.traits[node].data

    def _moves(self, node: Argument) -> bool:
        return isinstance(node, fx.Node) and self._program.traits[node].moving

    def _rank(self, node: fx.Node) -> int:
        """Rank of a value over samples, 1 or 2; Unbatchable if the samples are not its rows."""
        shape = _shape(node)
        if len(shape) not in (1, 2) or shape[0] != self._program.risk.samples:
            raise Unbatchable(f"{node.target} has shape {shape}; only rows of samples batch")
        return len(shape)

    def _at_all_points(self, node: fx.Node) -> fx.Node:
        """A data value with its points first, whether it depends on them or not."""
        made = self._made[node]
        if self._moves(node):
            return made
        rank = len(_shape(node))
        return self._call(torch.Tensor.expand, made, self._points, *[-1] * rank)

    def _beside(self, argument: Argument, rank: int) -> Argument:
        """An argument in the form that broadcasts against (P, h, B), or (P, B) for rank 1."""
        if not isinstance(argument, fx.Node):
            return argument
        made = self._made[argument]
        if self._is_data(argument):
            if self._rank(argument) != rank:
                raise Unbatchable("rows and vectors of samples are mixed")
            return made
        shape = _shape(argument)
        features = shape[-1] if shape else 1
        if shape and (rank == 1 or any(size != 1 for size in shape[:-1])):
            raise Unbatchable(f"a parameter of shape {shape} beside samples")
        lead = (self._points,) if self._moves(argument) else ()
        if not shape and not lead:
            return made
        tail = (features, 1) if rank == 2 else (1,)
        return self._call(torch.Tensor.view, made, *lead, *tail)

    def _elementwise(self, node: fx.Node) -> fx.Node:
        rank, target = self._rank(node), cast("Any", node.target)
        position = REDUCTION.get(target)
        given = arguments(node)
        if position is not None and (len(given) <= position or given[position] != 0):
            raise Unbatchable(f"{target} reduces")
        first = given[0]
        if isinstance(first, fx.Node) and self._may_change(first) and target in IN_PLACE:
            return self._call(IN_PLACE[target], self._made[first])
        args = [self._beside(argument, rank) for argument in given]
        return self._call(IN_FLOAT.get(target, target), *args, **dict(node.kwargs))

    def _may_change(self, node: fx.Node) -> bool:
        """Whether a value is fresh and nobody else will read it."""
        fresh = node in self._program.frontier or node.target in _FRESH
        return fresh and len(node.users) == 1

    def _linear(self, node: fx.Node) -> fx.Node:
        x, weight, *bias = arguments(node)
        return self._product(node, x, weight, bias[0] if bias else None, transposed=False)

    def _addmm(self, node: fx.Node) -> fx.Node:
        if node.kwargs:
            raise Unbatchable("addmm with factors")
        bias, x, weight = arguments(node)
        return self._product(node, x, weight, bias, transposed=True)

    def _mm(self, node: fx.Node) -> fx.Node:
        return self._product(node, arguments(node)[0], arguments(node)[1], None, transposed=True)

    def _product(
        self, node: fx.Node, x: Argument, weight: Argument, bias: Argument, *, transposed: bool
    ) -> fx.Node:
        if self._is_data(weight) or not self._is_data(x) or len(_shape(weight)) != 2:
            raise Unbatchable(f"{node.target} of samples with samples")
        matrix = self._at_all_points(weight)
        if transposed:
            matrix = self._call(torch.transpose, matrix, 1, 2)
        rows = self._at_all_points(x)
        if bias is None:
            return self._call(torch.bmm, matrix, rows)
        return self._call(torch.baddbmm, self._beside(bias, self._rank(node)), matrix, rows)

    def _cross_entropy(self, node: fx.Node) -> fx.Node:
        names = ("input", "target", "weight", "reduction", "ignore_index", "label_smoothing")
        given = dict(zip(names, arguments(node), strict=False)) | dict(node.kwargs)
        weight = given.get("weight")
        if (
            given.get("reduction", 1) != 0
            or self._rank(given["input"]) != 2
            or (self._moves(weight) or self._moves(given["target"]))
        ):
            raise Unbatchable("a cross-entropy that is not of rows of logits")
        return self._call(
            functional.cross_entropy,
            self._at_all_points(given["input"]),
            self._at_all_points(given["target"]),
            weight=self._made[weight] if weight is not None else None,
            reduction="none",
            ignore_index=given.get("ignore_index", -100),
            label_smoothing=given.get("label_smoothing", 0.0),
        )

    def _nll(self, node: fx.Node) -> fx.Node:
        scores, targets, *rest = arguments(node)
        weight, reduction, ignored = list(rest) + [None, 1, -100][len(rest) :]
        if reduction != 0 or self._moves(weight) or self._rank(scores) != 2:
            raise Unbatchable("a negative log-likelihood that is not of rows of scores")
        return self._call(
            functional.nll_loss,
            self._at_all_points(scores),
            self._at_all_points(targets),
            weight=self._made[weight] if weight is not None else None,
            reduction="none",
            ignore_index=ignored,
        )

    def _gathered(self, node: fx.Node) -> fx.Node:
        values, dim, index = arguments(node)[:3]
        if dim not in _FEATURES or self._rank(values) != 2 or not self._is_data(index):
            raise Unbatchable("a gather over samples")
        return self._call(torch.gather, self._at_all_points(values), 1, self._at_all_points(index))

    def _layer_norm(self, node: fx.Node) -> fx.Node:
        x, shape, *rest = arguments(node)
        weight, bias, eps, *_ = list(rest) + [None, None, 1e-5][len(rest) :]
        if len(shape) != 1 or self._rank(x) != 2:
            raise Unbatchable("a layer norm over more than the features")
        value = self._call(_normalised, self._at_all_points(x), eps)
        if weight is not None:
            value = self._call(torch.mul, value, self._beside(weight, 2))
        if bias is not None:
            value = self._call(torch.add, value, self._beside(bias, 2))
        return value

    def _over_features(self, node: fx.Node) -> fx.Node:
        if arguments(node)[1] not in _FEATURES or self._rank(node) != 2:
            raise Unbatchable(f"{node.target} over samples")
        function = torch.softmax if node.target is aten.softmax.int else torch.log_softmax
        return self._call(function, self._at_all_points(arguments(node)[0]), 1)

    def _reduced(self, node: fx.Node) -> fx.Node:
        x, dims, *keep = arguments(node)
        if list(dims) not in ([1], [-1]) or self._rank(x) != 2 or node.kwargs:
            raise Unbatchable(f"{node.target} over samples")
        function = torch.mean if node.target is aten.mean.dim else torch.sum
        return self._call(function, self._at_all_points(x), 1, bool(keep and keep[0]))

    def _joined(self, node: fx.Node) -> fx.Node:
        parts, *dim = arguments(node)
        if not dim or dim[0] not in _FEATURES or not all(self._is_data(p) for p in parts):
            raise Unbatchable("samples are joined with something else")
        return self._call(torch.cat, [self._at_all_points(part) for part in parts], 1)

    def _transparent(self, node: fx.Node) -> fx.Node:
        x = arguments(node)[0]
        before, after = _shape(x), _shape(node)
        made = self._at_all_points(x)
        if before == (*after, 1):
            made = self._call(torch.squeeze, made, 1)
        elif after == (*before, 1):
            made = self._call(torch.unsqueeze, made, 1)
        elif before != after:
            raise Unbatchable(f"{node.target} from {before} to {after}")
        dtype = node.meta["val"].dtype
        return made if dtype == x.meta["val"].dtype else self._call(torch.Tensor.to, made, dtype)


_FRESH = frozenset({aten.linear.default, aten.mm.default, aten.addmm.default, aten.matmul.default})


def _shape(node: fx.Node) -> tuple[int, ...]:
    value = node.meta.get("val")
    if not isinstance(value, Tensor):
        raise Unbatchable(f"{node.target} gives more than one tensor")
    return tuple(value.shape)


def _normalised(x: Tensor, eps: float) -> Tensor:
    variance, mean = torch.var_mean(x, dim=1, correction=0, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + eps)
