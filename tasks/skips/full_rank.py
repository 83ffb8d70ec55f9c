"""Parameters at which Ψ has rank N, as the proof of lemma 3.2 makes them, for dense networks.

Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749, appendix, proof of lemma 3.2. Shape legend: N =
samples, M = skip units, d = inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, fx, nn

from schemas.errors import SpecError, WorkError
from tasks.skips.activations import reason_against
from tasks.skips.features import OWN, Rank, features, rank
from tasks.skips.reach import needed_nodes
from tasks.skips.wrapper import SkipToOutput

_KINDS = (nn.Sigmoid, nn.Softplus)
_DIRECTIONS = 32
_MOST_STEEPNESS = 2.0**12
_ROWS = 2


@dataclass(frozen=True)
class FullRank:
    """Parameters at which Ψ has rank N.

    Attributes:
        parameters: all `network.` parameters by name, float64.
        steepness: α_j times the step from sample j to the next, and times β of a softplus; the same
            for all units.
        rank: of Ψ there.
    """

    parameters: Mapping[str, Tensor]
    steepness: float
    rank: Rank


@dataclass(frozen=True)
class _Layer:
    """A hidden layer: its linear part by name, its activation, and which units are skip units."""

    name: str
    linear: nn.Linear
    activation: nn.Module
    skips: tuple[int, ...]


def full_rank(
    model: SkipToOutput, inputs: Tensor, seed: int = 0, steepness: float = 8.0
) -> FullRank:
    """Parameters U at which Ψ (N, M) of the inputs (N, …) has rank N.

    Each layer has a carrier, a unit with one weight, to the carrier below: it is an increasing
    function of one projection of the samples, which takes N values f_1 > f_2 > … > f_N. N skip
    units have one weight as well, α_j, to the carrier below, and the bias β − α_j f_j. As α_j → ∞
    unit j tends to 0 at all samples after j, and Ψ to a triangle with σ(β) on its diagonal.

    All α_j (f_j − f_{j+1}) are one steepness, which is doubled until the rank is N. The paper keeps
    β; here it is half the steepness, so that a unit turns midway between two samples: with a fixed
    β softplus units at the samples before j outgrow σ(β), and the rank is lost to rounding.

    A carrier is no skip unit if the layer has another unit. Where a layer of sigmoids has none, a
    skip unit carries, and is one of the N only if there are too few others; the triangle then lacks
    a column, and the rank that is found is all that speaks for these parameters.

    Args:
        model: with a chain of linear layers with biases and activations, all sigmoid or softplus.
        inputs: samples, no two of them equal.
        seed: of the directions that are tried for the projection; the one with the widest least
            step is taken.
        steepness: the one that is tried first.

    Raises:
        SpecError: the network is none of these, has too few units with a path, or two samples are
            equal.
        WorkError: rounding lets no steepness reach the rank.
    """
    layers, rows = _chain(model, inputs.double())
    carriers = _carriers(layers)
    chosen = _chosen(layers, carriers, len(rows))
    projection = _projection(rows, seed)
    while steepness <= _MOST_STEEPNESS:
        made = _Made(model, layers, carriers, projection)
        made.carry(rows)
        made.place(chosen, steepness)
        found = rank(features(model, inputs, made.parameters))
        if found.rank == len(rows):
            return FullRank(made.parameters, steepness, found)
        steepness *= 2
    raise WorkError(
        f"full_rank: Ψ of {len(rows)} samples reaches no rank of {len(rows)} in float64 up to a "
        f"steepness of {_MOST_STEEPNESS:g}; take fewer samples, or ones that differ more"
    )


def _chain(model: SkipToOutput, inputs: Tensor) -> tuple[list[_Layer], Tensor]:
    """The hidden layers up to the last one with skip units, and the samples (N, d) they see."""
    end = next(node for node in model.network.graph.nodes if node.op == "output")
    tapped = cast("tuple[fx.Node, ...]", end.args[0])[1:]
    taps = dict(zip(tapped, model.taps, strict=True))
    layers: list[_Layer] = []
    before: fx.Node | None = None
    linear: tuple[str, nn.Linear] | None = None
    for node in needed_nodes(model.network.graph, list(taps)):
        name = str(node.target)
        part = model.network.get_submodule(name) if node.op == "call_module" else None
        follows = before is None or node.all_input_nodes == [before]
        if isinstance(part, nn.Flatten) and follows and not linear and not layers:
            inputs = part(inputs)
        elif isinstance(part, nn.Linear) and part.bias is not None and follows and not linear:
            linear = name, part
        elif isinstance(part, _KINDS) and follows and linear and reason_against(part) is None:
            skips = tuple(taps[node].units.tolist()) if node in taps else ()
            layers.append(_Layer(*linear, part, skips))
            linear = None
        elif node.op != "placeholder":
            raise _no_chain(repr(name))
        before = node
    if inputs.dim() != _ROWS or linear or len({type(layer.activation) for layer in layers}) != 1:
        raise _no_chain("the network")
    return layers, inputs


def _no_chain(what: str) -> SpecError:
    return SpecError(
        f"model: {what} does not fit a chain of linear layers with biases, each followed by a "
        "sigmoid or each by a softplus of threshold 40; draw parameters at random instead: almost "
        "all have the rank if any has"
    )


def _carriers(layers: Sequence[_Layer]) -> list[int]:
    """The carrier of each layer, up to the first layer that can have none."""
    found = []
    for layer in layers:
        others = set(range(layer.linear.out_features)) - set(layer.skips)
        if not others and isinstance(layer.activation, nn.Softplus):
            break
        found.append(min(others) if others else layer.skips[0])
    return found


def _chosen(
    layers: Sequence[_Layer], carriers: Sequence[int], wanted: int
) -> list[tuple[int, int]]:
    """N skip units that do not carry, as (layer, unit), or all of these if carriers are needed too.

    Raises:
        SpecError: there are not N skip units with a path from the first layer.
    """
    free: list[tuple[int, int]] = []
    reached = layers[: len(carriers) + 1]
    for top in range(len(reached)):
        # The highest layer in use needs no carrier.
        free = [
            (number, unit)
            for number, layer in enumerate(reached[: top + 1])
            for unit in layer.skips
            if number == top or unit != carriers[number]
        ]
        if len(free) >= wanted:
            return free[:wanted]
    found = sum(len(layer.skips) for layer in reached)
    if found < wanted:
        raise SpecError(
            f"model: {found} skip units have a path from the first layer as the lemma needs it; "
            f"expected {wanted}, one for each sample; ask for more of the lower layers' units"
        )
    return free


class _Made:
    """Parameters in the making: every unit of the layers in use is a constant until it is set."""

    def __init__(
        self,
        model: SkipToOutput,
        layers: Sequence[_Layer],
        carriers: Sequence[int],
        projection: Tensor,
    ) -> None:
        self.parameters = {
            name: value.detach().double().clone()
            for name, value in model.named_parameters()
            if name.startswith(OWN)
        }
        self._layers = layers
        self._carriers = carriers
        self._projection = projection
        self._levels: list[Tensor] = []
        for layer in layers:
            self._weight(layer).zero_()
            self._bias(layer).zero_()

    def _weight(self, layer: _Layer) -> Tensor:
        return self.parameters[f"{OWN}{layer.name}.weight"]

    def _bias(self, layer: _Layer) -> Tensor:
        return self.parameters[f"{OWN}{layer.name}.bias"]

    def carry(self, rows: Tensor) -> None:
        """Set the carriers; what they give for the samples (N, d) keeps the order of these."""
        values = rows @ self._projection
        for number, layer in enumerate(self._layers):
            self._levels.append(values)
            if number == len(self._carriers):
                break
            spread = float(values.max() - values.min()) or 1.0
            # Where an activation bends little, steps stay in proportion.
            factor = 1 / (spread * _sharpness(layer.activation))
            middle = float(values.max() + values.min()) / 2
            self._set(number, self._carriers[number], factor, -factor * middle)
            values = layer.activation(factor * (values - middle))

    def place(self, chosen: Sequence[tuple[int, int]], steepness: float) -> None:
        """Set the unit for each sample, from the highest value down."""
        for column, (number, unit) in enumerate(chosen):
            values = self._levels[number].sort(descending=True).values
            steps = -values.diff()
            own = float(steps[min(column, len(steps) - 1)]) if len(steps) else 1.0
            sharpness = _sharpness(self._layers[number].activation)
            factor = steepness / (own * sharpness)
            self._set(number, unit, factor, factor * (own / 2 - float(values[column])))

    def _set(self, number: int, unit: int, factor: float, bias: float) -> None:
        """Let a unit see only the projection, or the carrier below it."""
        layer = self._layers[number]
        if number == 0:
            self._weight(layer)[unit] = factor * self._projection
        else:
            self._weight(layer)[unit] = 0
            self._weight(layer)[unit, self._carriers[number - 1]] = factor
        self._bias(layer)[unit] = bias


def _sharpness(activation: nn.Module) -> float:
    """How many times faster than a plain one an activation turns."""
    return float(activation.beta) if isinstance(activation, nn.Softplus) else 1.0


def _projection(rows: Tensor, seed: int) -> Tensor:
    """The weights (d,) of a projection that takes the samples (N, d) to N values in [−1/2, 1/2]."""
    random = torch.Generator().manual_seed(seed)
    tried = torch.randn(_DIRECTIONS, rows.shape[1], generator=random, dtype=torch.float64)
    values = (rows @ tried.T).sort(dim=0).values
    spread = values[-1] - values[0]
    steps = values.diff(dim=0).amin(dim=0) / spread if len(rows) > 1 else torch.ones(_DIRECTIONS)
    best = int(steps.argmax())
    if not float(steps[best]) > 0:
        raise SpecError(
            f"inputs: two of the {len(rows)} samples are equal, and Ψ has equal rows for them; "
            "leave out one of them"
        )
    return tried[best] / spread[best] if len(rows) > 1 else tried[best]
