"""A local minimum, a lower point, and what is proved of them, however they were made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.piecewise.certificate import Proof
from tasks.piecewise.network import Layer


@dataclass(frozen=True)
class Case:
    """Points of a network as layers.

    Attributes:
        minimum: the local minimum.
        broken: the same but for what makes it one.
        lower: the lower point; None without one, because of `missing`.
        other: another local minimum, if one is known.
        probes: two directions of norm 1; none where all units are needed.
        family: F, A and B, of minima F + αA + B/α.
        unbroken: what is proved of the minimum; None where the inputs do not span all.
        proof: of the minimum or of the broken one, as asked for.
        missing: why there is no lower point.
        facts: plain values.
    """

    minimum: list[Layer]
    broken: list[Layer]
    lower: list[Layer] | None
    other: list[Layer] | None
    probes: Sequence[Sequence[Layer]]
    family: tuple[list[Layer], list[Layer], list[Layer]] | None
    unbroken: Proof | None
    proof: Proof | None
    missing: str
    facts: Mapping[str, Any]

    @property
    def radius(self) -> float:
        """The radius that is proved for the minimum, if it is bounded; else 1."""
        radius = None if self.unbroken is None else self.unbroken.radius
        return 1.0 if radius is None or math.isinf(radius) else radius
