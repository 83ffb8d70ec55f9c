"""Any feed-forward module with connections from its hidden units straight to its outputs.

Nguyen, Mukkamala & Hein 2018, "On the loss landscape of a class of deep neural networks with no bad
local valleys", arXiv:1809.10749, section 2. Shape legend: N = samples, M = skip units, m = outputs.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, fx, nn
from torch.nn.modules import activation

from schemas.errors import SpecError, listing, suggestion

_OVER_UNITS = (
    nn.MultiheadAttention,
    nn.Softmax,
    nn.Softmax2d,
    nn.Softmin,
    nn.LogSoftmax,
    nn.GLU,
)
_ROWS = 2


@dataclass(frozen=True, eq=False)
class Tap:
    """Hidden units of one layer.

    Attributes:
        node: name of the submodule whose output they are, such as "2" or "features.3".
        units: their positions in its flattened output for one sample, int64 (k,), ascending.
        total: how many numbers that output has.
        call: which of the calls of the submodule, for one that is called several times.
    """

    node: str
    units: Tensor
    total: int
    call: int = 0


class SkipToOutput(nn.Module):
    """G(x) = network(x) + Ψ(x) V: the network's own outputs, and what its skip units add.

    Ψ (N, M) is what the skip units put out, V (M, m) the parameter `skip`. The paper's network
    gives ΨV alone. With outputs of its own all that is shown for it holds as well: these do not
    depend on V, so that the loss is convex in V, and where Ψ has rank N there is a V for any
    outputs that are wanted, ΨV = wanted − network(x).

    The parameters are `skip` and `network.<name>`, <name> as in the module that was wrapped.

    Attributes:
        network: x → the outputs and those of every submodule in `taps`.
        taps: the skip units, in the order of the columns of Ψ.
    """

    positions: Tensor

    def __init__(self, network: fx.GraphModule, taps: Sequence[Tap], outputs: Tensor) -> None:
        super().__init__()
        self.network = network
        self.taps = tuple(taps)
        starts = [sum(tap.total for tap in self.taps[:index]) for index in range(len(taps))]
        rows = [tap.units + start for tap, start in zip(self.taps, starts, strict=True)]
        self._sizes = [tap.total for tap in self.taps]
        positions = torch.cat(rows).to(outputs.device)
        self.register_buffer("positions", positions, persistent=False)
        self.skip = nn.Parameter(outputs.new_zeros(len(positions), outputs.shape[1]))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (N, m)."""
        outputs, *values = self.network(x)
        return cast("Tensor", outputs + self._added(values))

    def features(self, x: Tensor) -> Tensor:
        """Ψ (N, M)."""
        return self.outputs_and_features(x)[1]

    def outputs_and_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs (N, m), those of V included, and Ψ (N, M)."""
        outputs, *values = self.network(x)
        return outputs + self._added(values), self.chosen(values)

    def chosen(self, values: Sequence[Tensor]) -> Tensor:
        """Ψ (N, M) among the values that `network` gives beside its outputs."""
        together = torch.cat([value.flatten(1) for value in values], dim=1)
        return together if self._whole else together.index_select(1, self.positions)

    @property
    def _whole(self) -> bool:
        return len(self.positions) == sum(self._sizes)

    def _added(self, values: Sequence[Tensor]) -> Tensor:
        """ΨV, as a product of all the layers' units with V and zeros for those not chosen.

        The zeros cost little, and picking columns is nothing that the engine does for many points
        at once.
        """
        together = torch.cat([value.flatten(1) for value in values], dim=1)
        if self._whole:
            return together @ self.skip
        rows = self.skip.new_zeros(sum(self._sizes), self.skip.shape[1])
        return together @ rows.index_copy(0, self.positions, self.skip)


def with_skips(
    network: nn.Module,
    example: Tensor,
    *,
    after: Sequence[str] | None = None,
    units: int | None = None,
    seed: int = 0,
) -> SkipToOutput:
    """A copy of a network with connections from hidden units to its outputs, V at zero.

    It gives what the network gives, until V is moved. What its `forward` decides by looking at
    `self.training` is decided as in eval mode; parameters that it does not use are left out.

    Args:
        network: a module that torch.fx can trace, x (N, …) → outputs (N, m).
        example: some samples (N, …), for the shapes.
        after: names of the submodules whose outputs are hidden units; by default every activation
            module in front of the output.
        units: M, how many of these units are connected, chosen at random; by default all.
        seed: of that choice.

    Raises:
        SpecError: the network cannot be traced, a name is unknown, there are not so many units, or
            the outputs are not (N, m).
    """
    own = copy.deepcopy(network).eval()
    for module in own.modules():
        if isinstance(getattr(module, "inplace", None), bool):
            module.inplace = False  # type: ignore[assignment]
    _check_names(own, after)
    graph = _traced(own, after)
    calls = _calls(own, graph, after)
    outputs, values = _tried(own, graph, calls, example)
    taps = [
        Tap(str(node.target), torch.arange(value[0].numel()), value[0].numel(), _call(node))
        for node, value in zip(calls, values, strict=True)
    ]
    if units is not None:
        taps = _some(taps, units, seed)
    kept = [node for node, tap in zip(calls, taps, strict=True) if len(tap.units)]
    module = _with_results(own, graph, kept).train(network.training)
    skipping = SkipToOutput(module, [tap for tap in taps if len(tap.units)], outputs)
    return skipping.train(network.training)


def _check_names(network: nn.Module, after: Sequence[str] | None) -> None:
    names = [name for name, _ in network.named_modules() if name]
    if after is not None and not after:
        raise SpecError("after: got no names; name a submodule or leave it out for all activations")
    for name in after or ():
        if name not in names:
            raise SpecError(
                f"after: got {name!r}; expected some of {listing(names)}{suggestion(name, names)}"
            )


class _Tracer(fx.Tracer):
    """Takes the submodules that are asked for as one operation each, whatever they consist of."""

    def __init__(self, whole: Sequence[str]) -> None:
        super().__init__()
        self._own = frozenset(whole)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name in self._own or super().is_leaf_module(
            m, module_qualified_name
        )


def _traced(network: nn.Module, after: Sequence[str] | None) -> fx.Graph:
    try:
        return _Tracer(after or ()).trace(network)
    except Exception as error:  # noqa: BLE001 - whatever the user's forward does under tracing
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise SpecError(
            f"network: torch.fx cannot trace {type(network).__name__}: {first_line}; write its "
            "forward without decisions on values, or name a submodule that decides in after"
        ) from None


def _calls(network: nn.Module, graph: fx.Graph, after: Sequence[str] | None) -> list[fx.Node]:
    """The calls whose results are hidden units, in the order of execution."""
    calls = [node for node in graph.nodes if node.op == "call_module"]
    if after is None:
        calls = [node for node in calls if _is_hidden(network, node)]
        if not calls:
            raise SpecError(
                f"network: torch.fx finds no activation module in {type(network).__name__} in "
                "front of its output; name the submodules with hidden units in after"
            )
        return calls
    found = {str(node.target) for node in calls}
    for name in after:
        if name not in found:
            raise SpecError(
                f"after: submodule {name!r} is not called as a whole; expected some of "
                f"{listing(sorted(found))}"
            )
    return [node for node in calls if str(node.target) in after]


def _is_hidden(network: nn.Module, node: fx.Node) -> bool:
    module = network.get_submodule(str(node.target))
    of_torch = type(module).__module__ == activation.__name__
    elementwise = of_torch and not isinstance(module, _OVER_UNITS)
    return elementwise and any(user.op != "output" for user in node.users)


def _call(node: fx.Node) -> int:
    """How many calls of the same submodule come earlier."""
    before = [n for n in node.graph.nodes if n.op == "call_module" and n.target == node.target]
    return before.index(node)


def _with_results(network: nn.Module, graph: fx.Graph, calls: Sequence[fx.Node]) -> fx.GraphModule:
    """The network with the results of these calls beside its outputs; the graph is not changed."""
    changed = fx.Graph()
    copied: dict[fx.Node, fx.Node] = {}
    outputs = changed.graph_copy(graph, copied)
    changed.output((outputs, *(copied[node] for node in calls)))
    return fx.GraphModule(network, changed, type(network).__name__)


def _tried(
    network: nn.Module, graph: fx.Graph, calls: Sequence[fx.Node], example: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """The outputs (N, m) and the values of the calls, (N, …) each, for the example."""
    with torch.no_grad():
        try:
            outputs, *values = _with_results(network, graph, calls)(example)
        except Exception as error:  # noqa: BLE001 - whatever the user's forward raises
            first_line = (str(error).splitlines() or [type(error).__name__])[0]
            raise SpecError(
                f"example: {type(network).__name__} cannot be evaluated on shape "
                f"{tuple(example.shape)} and dtype {example.dtype}: {first_line}"
            ) from None
    if not isinstance(outputs, Tensor) or outputs.dim() != _ROWS or len(outputs) != len(example):
        found = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise SpecError(
            f"network: gives {found} for {len(example)} samples; expected a tensor (N, m); wrap "
            "it in a module that gives one row a sample"
        )
    for node, value in zip(calls, values, strict=True):
        if not isinstance(value, Tensor) or value.dim() < _ROWS or len(value) != len(example):
            found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise SpecError(
                f"after: {str(node.target)!r} gives {found} for {len(example)} samples; expected a "
                "tensor (N, …) of hidden units; name another submodule"
            )
    return outputs, values


def _some(taps: Sequence[Tap], units: int, seed: int) -> list[Tap]:
    """So many of the units, drawn from all of them together."""
    sizes = [tap.total for tap in taps]
    if not 1 <= units <= sum(sizes):
        raise SpecError(
            f"units: got {units}; expected 1 to {sum(sizes)}, the hidden units after "
            f"{listing([tap.node for tap in taps])}; widen the network or ask for fewer"
        )
    drawn = torch.randperm(sum(sizes), generator=torch.Generator().manual_seed(seed))[:units]
    chosen = torch.zeros(sum(sizes), dtype=torch.bool)
    chosen[drawn] = True
    return [
        replace(tap, units=own.nonzero().flatten())
        for tap, own in zip(taps, torch.split(chosen, sizes), strict=True)
    ]
