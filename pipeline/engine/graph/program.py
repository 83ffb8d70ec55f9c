"""A traced objective, taken apart by what each part depends on.

    prefix       data only: evaluated once for a block of samples
    expanded     polynomial in α: coefficients once for a block, a combination of them at a point
    transforms   parameters only: once at a point
    body         the rest: for every point and every block

Shape legend: N = samples, P = points, z = axes that vary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from pipeline.engine.graph.polynomials import Polynomial, apply, degree, monomials
from pipeline.engine.graph.tracing import Argument, TracedRisk, arguments

# A tanh or an exponential costs about as much as this many multiplications and additions.
_ELEMENTWISE_COST = 8
_PRODUCTS = ("linear", "conv", "mm", "matmul", "addmm", "lstm", "gru", "scaled_dot")


_FREE = frozenset(
    {
        torch.ops.aten.view.default, torch.ops.aten.reshape.default,
        torch.ops.aten.flatten.using_ints, torch.ops.aten.permute.default,
        torch.ops.aten.transpose.int, torch.ops.aten.t.default, torch.ops.aten.select.int,
        torch.ops.aten.unsqueeze.default, torch.ops.aten.squeeze.dim,
        torch.ops.aten.unflatten.int, torch.ops.aten.slice.Tensor,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Traits:
    """What a node depends on: samples, moving parameters, and how (None: no polynomial)."""

    data: bool
    moving: bool
    degree: int | None


@dataclass(frozen=True)
class Program:
    """A traced objective in parts, for the axes that vary.

    Attributes:
        risk: the traced objective.
        directions: for each axis that varies, the names of the parameters that it moves.
        traits: what each node depends on.
        results: the losses, the outputs where they are wanted, and the pieces.
        frontier: expanded nodes whose values the body or the result needs.
        held: data-only nodes that it needs.
        transformed: parameter-only nodes that it needs.
        fixed: nodes that depend on neither and that it needs.
        body: the nodes to be evaluated at every point.
    """

    risk: TracedRisk
    directions: tuple[frozenset[str], ...]
    traits: Mapping[fx.Node, Traits]
    results: tuple[fx.Node, ...]
    frontier: tuple[fx.Node, ...]
    held: tuple[fx.Node, ...]
    transformed: tuple[fx.Node, ...]
    fixed: tuple[fx.Node, ...]
    body: tuple[fx.Node, ...]

    @property
    def z(self) -> int:
        """Axes that vary."""
        return len(self.directions)

    @property
    def is_polynomial(self) -> bool:
        """Whether the losses themselves are expanded."""
        return self.risk.losses in self.frontier

    def sorted_results(
        self, values: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor | None, Sequence[Tensor]]:
        """Values of `results`: the losses, the outputs or None, and the pieces."""
        losses, *rest = values
        pieces = rest[len(rest) - len(self.risk.pieces) :]
        return losses, rest[0] if len(rest) > len(pieces) else None, pieces

    @property
    def prefix_names(self) -> tuple[str, ...]:
        """Parameters on which the frontier and the held and fixed nodes stand."""
        needed = set(self._needed())
        return tuple(name for name, node in self.risk.parameters.items() if node in needed)

    @property
    def moving_names(self) -> tuple[str, ...]:
        """Parameters that `transform_module` takes, in its order."""
        taken = set(self._transform_nodes())
        return tuple(name for name, node in self.risk.parameters.items() if node in taken)

    def terms(self, node: fx.Node) -> int:
        """Monomials of an expanded node, at most."""
        return len(monomials(self.z, self.traits[node].degree or 0))

    def live_numbers(self) -> int:
        """Numbers of one point and sample that are held at the same time, at most."""
        inside = set(self.body) | set(self.frontier)
        last = {
            node: index for index, user in enumerate(self.body) for node in user.all_input_nodes
        }
        held = most = sum(_numel(node) for node in self.frontier)
        for index, node in enumerate(self.body):
            held += _numel(node)
            most = max(most, held)
            gone = [n for n in set(node.all_input_nodes) if n in inside and last[n] == index]
            held -= sum(_numel(n) for n in gone)
        return -(-most // self.risk.samples)

    def prepared_numbers(self) -> int:
        """Numbers that are prepared for one sample."""
        expanded = sum(self.terms(node) * _numel(node) for node in self.frontier)
        held = sum(_numel(node) for node in self.held)
        return -(-(expanded + held) // self.risk.samples)

    def cost(self) -> float:
        """Multiplications of one point for one sample, roughly."""
        expanded = sum(self.terms(n) * _numel(n) for n in self.frontier)
        return (expanded + sum(_cost(n) for n in self.body)) / self.risk.samples

    def setup_cost(self) -> float:
        """Multiplications of the coefficients of one sample, roughly."""
        total = 0.0
        for node in self._needed():
            trait = self.traits[node]
            if trait.data:
                factor = self.terms(node) if trait.moving else 1
                total += factor * _cost(node)
        return total / self.risk.samples

    def _needed(self) -> list[fx.Node]:
        """Nodes on which the frontier and the held values stand, in order."""
        wanted = set(self.frontier) | set(self.held) | set(self.fixed)
        for node in reversed(self.risk.module.graph.nodes):
            if node in wanted:
                wanted.update(node.all_input_nodes)
        return [node for node in self.risk.module.graph.nodes if node in wanted]

    def prepare(
        self,
        origin: Mapping[str, Tensor],
        directions: tuple[Mapping[str, Tensor], ...],
        inputs: Tensor,
        targets: Tensor,
    ) -> dict[fx.Node, Tensor | Polynomial]:
        """Values of `held` and `fixed`, and coefficients of `frontier`, for a block of samples."""
        env: dict[fx.Node, Any] = {self.risk.inputs: inputs, self.risk.targets: targets}
        names = {node: name for name, node in self.risk.parameters.items()}
        unit = torch.eye(self.z, dtype=torch.int64).tolist()
        for node in self._needed():
            if node in names:
                name = names[node]
                affine = Polynomial({(0,) * self.z: origin[name]})
                for axis, direction in enumerate(directions):
                    if name in direction:
                        affine[tuple(unit[axis])] = direction[name]
                env[node] = affine if self.traits[node].moving else origin[name]
            elif node.op == "get_attr":
                env[node] = getattr(self.risk.module, str(node.target))
            elif node.op != "placeholder":
                env[node] = self._value(node, env)
        return {node: env[node] for node in (*self.frontier, *self.held, *self.fixed)}

    def _value(self, node: fx.Node, env: Mapping[fx.Node, Any]) -> Argument:
        if self.traits[node].moving:
            return apply(node, env, self.z)
        args, kwargs = fx.map_arg((arguments(node), dict(node.kwargs)), lambda n: env[n])
        target: Any = node.target
        return target(*args, **kwargs)

    def module(
        self, inputs: Iterable[fx.Node], nodes: Iterable[fx.Node], results: Iterable[fx.Node]
    ) -> fx.GraphModule:
        """A module that evaluates nodes, in order, from inputs; gives a tuple of results."""
        graph = fx.Graph()
        copied: dict[fx.Node, fx.Node] = {}
        for node in inputs:
            copied[node] = graph.placeholder(node.name)
        for node in nodes:
            copied[node] = graph.node_copy(node, lambda n: copied[n])
        graph.output(tuple(copied[node] for node in results))
        return fx.GraphModule(self.risk.module, graph)

    def _transform_nodes(self) -> list[fx.Node]:
        graph = self.risk.module.graph
        wanted = set(self.transformed)
        for node in reversed(graph.nodes):
            if node in wanted:
                wanted.update(node.all_input_nodes)
        return [node for node in graph.nodes if node in wanted]

    def transform_module(self) -> fx.GraphModule:
        """The values of `transformed` from the parameters called `moving_names`, at one point."""
        nodes = self._transform_nodes()
        given = [node for node in nodes if node.op == "placeholder"]
        return self.module(given, [n for n in nodes if n.op != "placeholder"], self.transformed)


def make_program(
    risk: TracedRisk,
    directions: tuple[frozenset[str], ...],
    most_degree: int,
    with_outputs: bool,
) -> Program:
    """Take a traced objective apart; nothing of a degree above `most_degree` is expanded."""
    traits = _traits(risk, frozenset().union(*directions))
    outputs = (risk.outputs,) if with_outputs else ()
    results = (risk.losses, *outputs, *risk.pieces)

    def expanded(node: fx.Node) -> bool:
        trait = traits[node]
        known = trait.degree is not None and trait.degree <= most_degree
        return trait.data and trait.moving and known

    def in_body(node: fx.Node) -> bool:
        return traits[node].data and traits[node].moving and not expanded(node)

    inside: set[fx.Node] = set()
    needed = set(results)
    for node in reversed(risk.module.graph.nodes):
        if node in needed and in_body(node):
            inside.add(node)
            needed.update(node.all_input_nodes)
    body = tuple(node for node in traits if node in inside)
    needed -= inside
    fixed = tuple(n for n in traits if n in needed and not traits[n].data and not traits[n].moving)
    return Program(
        risk=risk,
        directions=directions,
        traits=traits,
        results=results,
        frontier=tuple(node for node in traits if node in needed and expanded(node)),
        held=tuple(n for n in traits if n in needed and traits[n].data and not traits[n].moving),
        transformed=tuple(
            n for n in traits if n in needed and traits[n].moving and not traits[n].data
        ),
        fixed=fixed,
        body=body,
    )


def _traits(risk: TracedRisk, moved: frozenset[str]) -> dict[fx.Node, Traits]:
    moving = {risk.parameters[name] for name in moved}
    data = {risk.inputs, risk.targets}
    traits: dict[fx.Node, Traits] = {}
    for node in risk.module.graph.nodes:
        if node.op == "output":
            continue
        if node.op in ("placeholder", "get_attr"):
            traits[node] = Traits(node in data, node in moving, 1 if node in moving else 0)
            continue
        inputs = [traits[n] for n in node.all_input_nodes]
        traits[node] = Traits(
            any(t.data for t in inputs),
            any(t.moving for t in inputs),
            degree(node, lambda a: traits[a].degree if isinstance(a, fx.Node) else 0),
        )
    return traits


def _numel(node: fx.Node) -> int:
    value = node.meta.get("val")
    return value.numel() if isinstance(value, Tensor) else 0


def _cost(node: fx.Node) -> float:
    size = _numel(node)
    name = str(node.target)
    if node.target in _FREE:
        return 0.0
    if any(product in name for product in _PRODUCTS) and len(arguments(node)) > 1:
        second = arguments(node)[1]
        if isinstance(second, fx.Node) and _numel(second):
            shape = second.meta["val"].shape
            rows = shape[-1] if "mm" in name or "matmul" in name else shape[0]
            contracted = _numel(second) // max(rows, 1)
            return size * float(contracted)
    return size * float(_ELEMENTWISE_COST)
