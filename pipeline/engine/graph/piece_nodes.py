"""The pieces of a traced objective's piecewise-linear units, as nodes of its graph.

Shape legend: B = samples of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from pipeline.engine.cells import COMPOSITE_PIECES, PIECES, above_zero
from pipeline.engine.graph.tracing import TracedRisk, Untraceable, arguments

aten = torch.ops.aten


def with_pieces(
    risk: TracedRisk, expected: Sequence[Tensor], axes: Sequence[int | None]
) -> TracedRisk:
    """The same objective, with a node for the pieces of every operation that has such.

    `expected` are the pieces that the plain forward pass notes for the same block of samples, and
    `axes` their axes of samples: hashes agree only if the graph has the same ones.

    Raises:
        Untraceable: it has others, as where an operation is made of several in the graph, or some
            are of no sample.
    """
    if None in axes:
        raise Untraceable("it has piecewise-linear units of parameters alone")
    graph = risk.module.graph
    found: list[fx.Node] = []
    for node in list(graph.nodes):
        function = _function(node)
        if function is not None:
            found.append(_add(graph, node, function))
    shapes = [tuple(node.meta["val"].shape) for node in found]
    if shapes != [tuple(pieces.shape) for pieces in expected]:
        raise Untraceable("its graph does not show all of its piecewise-linear units")
    risk.module.recompile()
    return replace(risk, pieces=tuple(found), piece_axes=tuple(a for a in axes if a is not None))


def _function(node: fx.Node) -> Callable[..., Tensor] | None:
    if not isinstance(node.target, torch._ops.OpOverload):
        return None
    name = node.target._schema.name.removeprefix("aten::")
    function = PIECES.get(name) or COMPOSITE_PIECES.get(name)
    floating = function is not None and arguments(node)[0].meta["val"].is_floating_point()
    return function if floating else None


def _add(graph: fx.Graph, node: fx.Node, function: Callable[..., Tensor]) -> fx.Node:
    """A node for the pieces, beside that of the unit."""
    args: tuple[Any, ...] = arguments(node)
    with graph.inserting_after(node):
        if node.target is aten.relu.default:
            # Of its output, which is above zero where its input is: that may then be overwritten.
            args = (node,)
        elif function is above_zero:
            args = args[:1]
        made = graph.call_function(function, args)
    made.meta["val"] = function(*fx.map_arg(args, lambda n: n.meta["val"]))
    return made
