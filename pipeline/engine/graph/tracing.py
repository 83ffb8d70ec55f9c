"""A module and its loss as one graph of tensor operations.

The graph takes the parameters in the section's order, then a block of inputs and targets, and
gives the losses of the samples and the module's outputs. It holds for one number of samples.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

from tasks.objective import SampleLoss, per_sample

aten = torch.ops.aten


Argument: TypeAlias = Any
"""An argument of a node: another node, a number, or a list of them."""


class Untraceable(Exception):
    """The module cannot be traced; the message says why."""


@dataclass(frozen=True)
class TracedRisk:
    """A traced objective.

    Attributes:
        module: holds the graph and its constants.
        parameters: the placeholder of each parameter, by name.
        inputs, targets: the placeholders of a block of samples.
        losses, outputs: the nodes of the results, (N,) and (N, …).
        samples: N, the number of samples that the graph holds for.
        pieces: of each piecewise-linear operation, in their order, if they are wanted.
        piece_axes: their axes of samples.
    """

    module: fx.GraphModule
    parameters: Mapping[str, fx.Node]
    inputs: fx.Node
    targets: fx.Node
    losses: fx.Node
    outputs: fx.Node
    samples: int
    pieces: tuple[fx.Node, ...] = ()
    piece_axes: tuple[int, ...] = ()


def trace_risk(
    module: nn.Module,
    parameters: Mapping[str, Tensor],
    loss: SampleLoss,
    inputs: Tensor,
    targets: Tensor,
) -> TracedRisk:
    """Trace the losses of a block of samples; the module is in eval mode and keeps its tensors.

    Raises:
        Untraceable: it branches on values, has shapes that depend on them, draws random numbers,
            or mutates what is seen elsewhere.
    """

    def risk(values: list[Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        outputs = functional_call(module, dict(zip(parameters, values, strict=True)), (x,))
        # Losses are never less precise than float32.
        outputs = outputs.float() if outputs.dtype == torch.bfloat16 else outputs
        return per_sample(loss, outputs, y), outputs

    given = list(parameters.values())
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = make_fx(risk, pre_dispatch=True, tracing_mode="real")(given, inputs, targets)
    except Exception as error:  # noqa: BLE001 - whatever the module does, there is a general path
        raise Untraceable(f"{type(error).__name__}: {error}".splitlines()[0][:200]) from None
    _refuse_what_depends_on_values(traced.graph)
    _without_mutation(traced.graph)
    _without_dropout(traced.graph)
    _without_broadcasts(traced.graph)
    traced.graph.eliminate_dead_code()
    _note_values(traced, [*given, inputs, targets])
    _fold_batch_norms(traced)
    traced.graph.eliminate_dead_code()
    traced.graph.lint()
    _note_values(traced, [*given, inputs, targets])
    places = [node for node in traced.graph.nodes if node.op == "placeholder"]
    losses, outputs = _results(traced.graph)
    return TracedRisk(
        traced,
        dict(zip(parameters, places, strict=False)),
        places[-2],
        places[-1],
        losses,
        outputs,
        len(inputs),
    )


def arguments(node: fx.Node) -> tuple[Any, ...]:
    """A node's positional arguments: nodes, numbers, lists."""
    return node.args


def _results(graph: fx.Graph) -> tuple[fx.Node, fx.Node]:
    end = next(node for node in graph.nodes if node.op == "output")
    results = end.args[0]
    if not (isinstance(results, (tuple, list)) and all(isinstance(r, fx.Node) for r in results)):
        raise Untraceable("its outputs do not depend on its inputs")
    losses, outputs = results
    return losses, outputs


def _refuse_what_depends_on_values(graph: fx.Graph) -> None:
    for node in list(graph.nodes):
        if node.target is torch._C._set_grad_enabled:
            graph.erase_node(node)
        elif not isinstance(node.target, torch._ops.OpOverload):
            if node.op == "call_function" and node.target is not operator.getitem:
                raise Untraceable(f"operation {node.target}")
        elif torch.Tag.nondeterministic_seeded in node.target.tags and "dropout" not in str(
            node.target._schema
        ):
            # Attention and recurrent cells carry the tag for their dropout, which is off.
            raise Untraceable(f"{node.target} draws random numbers")
        elif _shape_depends_on_values(node):
            raise Untraceable(f"{node.target} gives a shape that depends on values")


_DROPOUTS = (aten.dropout.default, aten.feature_dropout.default, aten.alpha_dropout.default)


def _without_dropout(graph: fx.Graph) -> None:
    for node in list(graph.nodes):
        if node.target in _DROPOUTS and not node.args[2]:
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)


def _shape_depends_on_values(node: fx.Node) -> bool:
    """Whether the shape of a node's value follows from values other than constants."""
    given = arguments(node)
    if node.target is aten.one_hot.default:
        return len(given) < 2 or given[1] < 0
    if node.target is aten.index.Tensor:
        masks = [mask for mask in given[1] if isinstance(mask, fx.Node) and mask.op != "get_attr"]
        return any(mask.meta["val"].dtype == torch.bool for mask in masks)
    tags = cast("torch._ops.OpOverload", node.target).tags
    constant = all(argument.op == "get_attr" for argument in node.all_input_nodes)
    return torch.Tag.dynamic_output_shape in tags and not constant


def _without_broadcasts(graph: fx.Graph) -> None:
    """Losses broadcast their arguments first, which is nothing when the shapes agree."""
    for node in list(graph.nodes):
        if node.target is operator.getitem:
            source, index = arguments(node)
            if source.target is aten.broadcast_tensors.default:
                parts = arguments(source)[0]
                if len({tuple(part.meta["val"].shape) for part in parts}) == 1:
                    node.replace_all_uses_with(parts[index])
                    graph.erase_node(node)


def _without_mutation(graph: fx.Graph) -> None:
    """Turn operations in place into their pure forms, where no alias can see the difference."""
    for node in list(graph.nodes):
        if not isinstance(node.target, torch._ops.OpOverload) or not node.target._schema.is_mutable:
            continue
        pure = _pure_form(node.target)
        mutated = arguments(node)[0]
        if pure is None or not isinstance(mutated, fx.Node):
            raise Untraceable(f"{node.target} changes a tensor in place")
        if _is_view(mutated) or any(_is_view(user) for user in mutated.users):
            raise Untraceable(f"{node.target} changes a tensor that has views")
        node.target = pure


def _pure_form(target: torch._ops.OpOverload) -> Any:  # noqa: ANN401 - an overload or None
    name = target._schema.name.split("::")[1]
    packet = getattr(aten, name[:-1], None) if name.endswith("_") else None
    return getattr(packet, target._overloadname, None) if packet is not None else None


def _is_view(node: fx.Node) -> bool:
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return node.op == "call_function"
    return not target._schema.is_mutable and (
        any(result.alias_info is not None for result in target._schema.returns)
        # These give their argument itself, or a view of it, when there is nothing to copy.
        or target in (aten.reshape.default, aten.contiguous.default, aten.flatten.using_ints)
    )


def _note_values(traced: fx.GraphModule, arguments: list[Tensor]) -> None:
    """Run the graph once and keep each node's value, without its memory, in `meta["val"]`."""

    class Noting(fx.Interpreter):
        def run_node(self, node: fx.Node) -> Any:  # noqa: ANN401 - fx's own signature
            value = super().run_node(node)
            node.meta["val"] = value.to("meta") if isinstance(value, Tensor) else None
            return value

    with torch.no_grad():
        Noting(traced).run(*arguments)


def _fold_batch_norms(traced: fx.GraphModule) -> None:
    """Batch norm in eval mode is affine: scale·x + shift, put into the layer before it if any.

    scale = weight / sqrt(variance + eps), shift = bias − mean·scale (Ioffe & Szegedy 2015,
    arXiv:1502.03167, section 3.1). Scales stay functions of the weights, which may move.
    """
    graph = traced.graph
    for node in list(graph.nodes):
        if node.target is not aten.batch_norm.default:
            continue
        x, weight, bias, mean, variance, training, _, eps, _ = arguments(node)
        if training or mean is None:
            raise Untraceable("batch norm without running statistics sees the whole batch")
        with graph.inserting_before(node):
            scale = graph.call_function(aten.rsqrt.default, (_add(graph, variance, eps),))
            if weight is not None:
                scale = _mul(graph, scale, weight)
            shift = graph.call_function(aten.neg.default, (_mul(graph, mean, scale),))
            if bias is not None:
                shift = _add(graph, shift, bias)
            folded = _into_layer(graph, x, scale, shift)
            if folded is None:
                rank = len(x.meta["val"].shape)
                folded = _add(
                    graph, _mul(graph, x, _column(graph, scale, rank)), _column(graph, shift, rank)
                )
        folded.meta["val"] = node.meta["val"]
        node.replace_all_uses_with(folded)
        graph.erase_node(node)


_MATRIX = 2
_LAYERS = {
    aten.linear.default,
    aten.conv1d.default,
    aten.conv2d.default,
    aten.conv3d.default,
}


def _into_layer(graph: fx.Graph, layer: fx.Node, scale: fx.Node, shift: fx.Node) -> fx.Node | None:
    if layer.target not in _LAYERS or len(layer.users) != 1:
        return None
    x, weight, *rest = arguments(layer)
    if not isinstance(weight, fx.Node):
        return None
    if layer.target is aten.linear.default and len(layer.meta["val"].shape) != _MATRIX:
        # Over sequences the features of a linear layer are not the channels of a batch norm.
        return None
    bias = rest[0] if rest else None
    if isinstance(bias, fx.Node):
        shift = _add(graph, shift, _mul(graph, bias, scale))
    rank = len(weight.meta["val"].shape)
    rows = graph.call_function(aten.view.default, (scale, [-1, *[1] * (rank - 1)]))
    return graph.call_function(
        layer.target, (x, _mul(graph, weight, rows), shift, *rest[1:]), dict(layer.kwargs)
    )


def _column(graph: fx.Graph, vector: fx.Node, rank: int) -> fx.Node:
    shape = [1, -1, *[1] * (rank - 2)]
    return graph.call_function(aten.view.default, (vector, shape))


def _add(graph: fx.Graph, a: Any, b: Any) -> fx.Node:  # noqa: ANN401 - node or number
    overload = aten.add.Tensor if isinstance(b, fx.Node) else aten.add.Scalar
    return graph.call_function(overload, (a, b))


def _mul(graph: fx.Graph, a: Any, b: Any) -> fx.Node:  # noqa: ANN401 - node or number
    return graph.call_function(aten.mul.Tensor, (a, b))
