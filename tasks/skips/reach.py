"""From which of the first layer's units there are paths to the skip units.

Sheets of zeros and ones, in the place of a batch of samples, go through the network: a layer gives
1 where a unit has a 1 among those that it is connected to. Shape legend: N = samples, M = skip
units.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from tasks.skips.activations import is_activation
from tasks.skips.patches import distinct_patches
from tasks.skips.wrapper import SkipToOutput

Layer: TypeAlias = nn.Linear | nn.Conv1d | nn.Conv2d
Value: TypeAlias = Any
"""Sheets (4, …), samples, or the sizes of either."""
_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
_SAME = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
_SHAPES = frozenset(
    {
        "flatten", "reshape", "view", "contiguous", "unsqueeze", "squeeze", "size", "getattr",
        "getitem",
    }
)  # fmt: skip
_MAXIMA = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
_MEANS = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
_ADDING: frozenset[Callable[..., Any]] = frozenset({operator.add, torch.add})
# The sheets. Free paths meet no skip unit, nor one that shares weights with one.
_FREE, _FREE_DISTINCT, _ANY_DISTINCT, _WEIGHTS = range(4)


class NotChecked(Exception):
    """Something on the way to the skip units is not known here; the message names it.

    Attributes:
        met: False where the theory is known not to hold with it, else None.
    """

    def __init__(self, message: str, met: bool | None = None) -> None:
        super().__init__(message)
        self.met = met


@dataclass(frozen=True)
class Reach:
    """What holds for each skip unit, in the order of the columns of Ψ.

    Attributes:
        modules: the module whose output each layer of skip units is, one for each tap.
        activations: all activations on the way to skip units, those of the taps included.
        free: (M,), whether a path leads there from the first layer that meets no other skip unit,
            nor one that shares weights with one.
        distinct: (M,), whether a path comes from a unit of the first layer to which all samples
            show different patches.
        free_distinct: (M,), whether a path does both.
        biases: (M,), equal numbers for units with one bias, −1 for units without.
        first: units of the first layer with patches that all differ, and all of them.
    """

    modules: tuple[nn.Module, ...]
    activations: tuple[nn.Module, ...]
    free: Tensor
    distinct: Tensor
    free_distinct: Tensor
    biases: Tensor
    first: tuple[int, int]


@dataclass(frozen=True)
class _Data:
    """Samples (N, …), possibly rearranged, before any layer."""

    values: Tensor


def reach(model: SkipToOutput, inputs: Tensor) -> Reach:
    """What paths lead to the skip units of a network, for samples (N, …).

    Raises:
        NotChecked: a layer, an operation or a use of them that is not known here.
    """
    return _Walk(model, inputs).run()


class _Walk:
    def __init__(self, model: SkipToOutput, inputs: Tensor) -> None:
        self._model = model
        self._inputs = inputs
        self._taken: set[str] = set()
        self._activations: list[nn.Module] = []
        self._biased: list[bool] = []
        self._first = [0, 0]

    def run(self) -> Reach:
        graph = self._model.network.graph
        end = next(node for node in graph.nodes if node.op == "output")
        taps = dict(
            zip(cast("tuple[fx.Node, ...]", end.args[0])[1:], self._model.taps, strict=True)
        )
        needed = needed_nodes(graph, list(taps))
        env: dict[fx.Node, Any] = {}
        found = []
        for node in needed:
            args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), lambda n: env[n])
            value = self._value(node, args, kwargs)
            if node in taps:
                if not isinstance(value, Tensor):
                    raise NotChecked(f"{node.target!r} is in front of the first layer")
                found.append(value.flatten(1)[:, taps[node].units])
                value = _blocked(value, taps[node].units)
            env[node] = value
        sheets = torch.cat(found, dim=1)
        weights = sheets[_WEIGHTS].long()
        biased = torch.tensor(self._biased)[weights]
        return Reach(
            modules=tuple(self._model.network.get_submodule(tap.node) for tap in taps.values()),
            activations=tuple(self._activations),
            free=sheets[_FREE] > 0,
            distinct=sheets[_ANY_DISTINCT] > 0,
            free_distinct=sheets[_FREE_DISTINCT] > 0,
            biases=torch.where(biased, weights, -1),
            first=(self._first[0], self._first[1]),
        )

    def _value(self, node: fx.Node, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Value:
        if node.op == "placeholder":
            return _Data(self._inputs)
        if node.op == "call_module":
            return self._of_module(node, args[0])
        name = str(getattr(node.target, "__name__", node.target))
        function = getattr(torch.Tensor, name, None) if node.op == "call_method" else node.target
        if name in _SHAPES and node.op in ("call_function", "call_method"):
            return _reshaped(cast("Callable[..., Any]", function), args, kwargs)
        if node.op == "call_function" and node.target in _ADDING:
            return _sum(args[0], args[1])
        if node.op == "call_function" and node.target is torch.cat:
            return _joined(*args, **kwargs)
        raise NotChecked(f"the operation {name} is not known here")

    def _of_module(self, node: fx.Node, x: Value) -> Value:
        name = str(node.target)
        module = self._model.network.get_submodule(name)
        if isinstance(module, _LAYERS):
            if name in self._taken:
                raise NotChecked(f"{name!r} is called twice, so layers share weights")
            self._taken.add(name)
            return self._layer(module, x)
        if is_activation(module):
            self._activations.append(module)
            return x
        if isinstance(module, _SAME):
            return x
        if isinstance(module, nn.Flatten):
            return _reshaped(module, (x,), {})
        if isinstance(x, _Data) and not list(module.parameters()):
            return _Data(module(x.values))
        called = f"{name!r}, {type(module).__name__},"
        if isinstance(module, _MAXIMA):
            raise NotChecked(f"{called} has no analytic units", met=False)
        if isinstance(module, _MEANS):
            raise NotChecked(f"{called} has units with fixed weights behind a layer")
        raise NotChecked(f"{called} is not known here")

    def _layer(self, layer: Layer, x: Tensor | _Data) -> Tensor:
        if not isinstance(layer, nn.Linear) and layer.padding_mode != "zeros":
            raise NotChecked(f"padding_mode {layer.padding_mode!r} is not known here")
        if isinstance(x, _Data):
            distinct = distinct_patches(layer, x.values)
            self._first[0] += int(distinct.sum())
            self._first[1] += distinct.numel()
            sheets = torch.ones(_WEIGHTS + 1, *distinct.shape)
            sheets[_FREE_DISTINCT] = sheets[_ANY_DISTINCT] = distinct.float()
        else:
            with torch.no_grad():
                counted = _connected(layer, x)
            sheets = (counted > 0).float()
        own = torch.arange(len(layer.weight)) + len(self._biased)
        self._biased += [layer.bias is not None] * len(layer.weight)
        places = 0 if isinstance(layer, nn.Linear) else layer.weight.dim() - 2
        sheets[_WEIGHTS] = own.view(-1, *[1] * places).expand_as(sheets[_WEIGHTS])
        return sheets


def needed_nodes(graph: fx.Graph, nodes: list[fx.Node]) -> list[fx.Node]:
    """Nodes on which some stand, and these, in order."""
    wanted = set(nodes)
    for node in reversed(graph.nodes):
        if node in wanted:
            wanted.update(node.all_input_nodes)
    return [node for node in graph.nodes if node in wanted]


def _connected(layer: Layer, sheets: Tensor) -> Tensor:
    """A layer that counts the ones that each of its units sees."""
    ones = torch.ones_like(layer.weight, dtype=torch.float32)
    if isinstance(layer, nn.Linear):
        return functional.linear(sheets, ones)
    convolve = functional.conv1d if isinstance(layer, nn.Conv1d) else functional.conv2d
    return convolve(sheets, ones, None, layer.stride, layer.padding, layer.dilation, layer.groups)


def _blocked(sheets: Tensor, units: Tensor) -> Tensor:
    """The sheets behind skip units, which free paths do not pass, nor what shares their weights."""
    flat = sheets.flatten(1).clone()
    weights = flat[_WEIGHTS]
    shared = torch.isin(weights, weights[units])
    flat[_FREE, shared] = 0
    flat[_FREE_DISTINCT, shared] = 0
    return flat.view_as(sheets)


def _reshaped(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Value:
    if isinstance(args[0], _Data):
        found = function(args[0].values, *args[1:], **kwargs)
        return _Data(found) if isinstance(found, Tensor) else found
    return function(*args, **kwargs)


def _sum(one: object, other: object) -> Tensor:
    """Either summand may bring a path, but a free one only if neither has met a skip unit.

    A sum has fixed weights, so that a skip unit in it stays in it.
    """
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        raise NotChecked("a sum with something else than units is not known here")
    sheets = torch.maximum(one, other)
    sheets[_FREE] = torch.minimum(one[_FREE], other[_FREE])
    sheets[_FREE_DISTINCT] *= sheets[_FREE]
    return sheets


def _joined(parts: object, dim: int = 0) -> Tensor:
    if not isinstance(parts, (list, tuple)) or not all(isinstance(p, Tensor) for p in parts):
        raise NotChecked("units joined with something else are not known here")
    return torch.cat(list(parts), dim)
