"""The permutation symmetries of a module, found from one traced evaluation."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from schemas.errors import SpecError
from tasks.alignment.axes import Axis, fix, leaves
from tasks.alignment.calls import POSITION, Axes, Call, Operand, Rule, Unsupported
from tasks.alignment.layer_rules import LAYER_RULES
from tasks.alignment.shape_rules import SHAPE_RULES, elementwise

_RULES: Mapping[str, Rule] = {**SHAPE_RULES, **LAYER_RULES}


@dataclass(frozen=True)
class Symmetry:
    """Which axes of a module's tensors permute together.

    Attributes:
        axes: of each tensor by name; their free leaves are the groups.
        groups: the leaves of two or more units that may be permuted, in the order of the tensors.
    """

    axes: Mapping[str, Axes]
    groups: tuple[Axis, ...]

    def fixed(self) -> dict[str, list[str]]:
        """Why units stay where they are → the axes they are on, as `name[axis]`."""
        found: dict[str, list[str]] = {}
        for name, axes in self.axes.items():
            for dim, axis in enumerate(axes):
                for why in dict.fromkeys(leaf.fixed for leaf in leaves(axis) if leaf.size > 1):
                    if why not in (None, POSITION):
                        found.setdefault(str(why), []).append(f"{name}[{dim}]")
        return found

    def places(self, group: Axis) -> list[str]:
        """The axes that a group of units is on, as `name[axis]`."""
        return [
            f"{name}[{dim}]"
            for name, axes in self.axes.items()
            for dim, axis in enumerate(axes)
            if any(leaf is group for leaf in leaves(axis))
        ]


def symmetry_of(module: nn.Module, tensors: Mapping[str, Tensor], inputs: Tensor) -> Symmetry:
    """The symmetries of a module in eval mode with these parameters and buffers.

    Raises:
        SpecError: it cannot be traced.
    """
    traced = _traced(module, tensors, inputs)
    places = [node for node in traced.graph.nodes if node.op == "placeholder"]
    values: dict[fx.Node, Any] = {}
    axes: dict[str, Axes] = {}
    for name, place in zip(tensors, places, strict=False):
        why = None if place.users else "no operation uses it"
        axes[name] = tuple(Axis(size, why) for size in tensors[name].shape)
        values[place] = Operand(axes[name])
    values[places[-1]] = _fixed(tuple(inputs.shape), "the module's inputs")
    for node in traced.graph.nodes:
        if node.op == "output":
            _fix_all(pytree.tree_map_only(fx.Node, values.get, node.args), "the module's outputs")
        elif node not in values:
            values[node] = _result(node, values, traced)
    groups = {
        leaf: None
        for own in axes.values()
        for axis in own
        for leaf in leaves(axis)
        if leaf.fixed is None and leaf.size > 1
    }
    return Symmetry(axes, tuple(groups))


def _traced(module: nn.Module, tensors: Mapping[str, Tensor], inputs: Tensor) -> fx.GraphModule:
    def evaluate(values: list[Tensor], x: Tensor) -> Any:  # noqa: ANN401 - the module's own
        return functional_call(module, dict(zip(tensors, values, strict=True)), (x,))

    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = make_fx(evaluate, pre_dispatch=True, tracing_mode="real")(
                list(tensors.values()), inputs
            )
    except Exception as error:  # noqa: BLE001 - a module may raise anything
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise SpecError(
            f"model: {type(module).__name__} cannot be traced in float64 ({reason}); alignment "
            "needs a module that does not branch on values; leave it out"
        ) from None
    traced.graph.eliminate_dead_code()
    return traced


def _result(node: fx.Node, values: Mapping[fx.Node, Any], traced: fx.GraphModule) -> Any:  # noqa: ANN401
    """The operand, or the list of operands, that a node gives."""
    if node.op == "get_attr":
        held = getattr(traced, str(node.target))
        return _fixed(tuple(held.shape), "a constant") if isinstance(held, Tensor) else None
    given = pytree.tree_map_only(fx.Node, values.get, (node.args, node.kwargs))
    if node.target is operator.getitem and isinstance(given[0][0], list):
        return given[0][0][given[0][1]]
    shapes = [
        tuple(part.shape)
        for part in pytree.tree_leaves(node.meta.get("val"))
        if isinstance(part, Tensor)
    ]
    several = not isinstance(node.meta.get("val"), Tensor)
    results = [Operand(axes) for axes in _ruled(node, given, shapes)]
    return results if several else results[0]


def _ruled(node: fx.Node, given: Any, shapes: Sequence[tuple[int, ...]]) -> Sequence[Axes]:  # noqa: ANN401
    target = node.target
    name = target._schema.name if isinstance(target, torch._ops.OpOverload) else str(target)
    try:
        if isinstance(target, torch._ops.OpOverload):
            pointwise = torch.Tag.pointwise in target.tags
            rule = elementwise if pointwise else _RULES.get(name.removeprefix("aten::"))
            if rule is not None:
                result = rule(Call(target, _bound(target, *given), shapes))
                if [tuple(axis.size for axis in axes) for axes in result] == list(shapes):
                    return result
    except (Unsupported, IndexError, KeyError, TypeError, ValueError):
        # Another overload of the name, or a use that the rule does not foresee.
        pass
    why = f"operation {name.split('::')[-1]}"
    _fix_all(given, why)
    return [_fixed(shape, why).axes for shape in shapes]


def _bound(
    target: torch._ops.OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    schema = target._schema.arguments
    passed = {**dict(zip((part.name for part in schema), args, strict=False)), **kwargs}
    return {part.name: passed.get(part.name, part.default_value) for part in schema}


def _fixed(shape: tuple[int, ...], why: str) -> Operand:
    return Operand(tuple(Axis(size, why) for size in shape))


def _fix_all(values: Any, why: str) -> None:  # noqa: ANN401 - any nest of operands
    for operand in pytree.tree_leaves(values):
        if isinstance(operand, Operand):
            for axis in operand.axes:
                fix(axis, why)
