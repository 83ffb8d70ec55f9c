"""Critical points of a wide network that copies of the units of a narrow one make.

Fukumizu & Amari 2000, "Local minima and plateaus in hierarchical structures of multilayer
perceptrons", Neural Networks 13; Şimşek et al. 2021, arXiv:2105.12221. Shape legend:
r = units of the narrow network, m = units of the wide one, d = inputs, c = outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from schemas.errors import SpecError
from tasks.landscape import Floats
from tasks.symmetry.network import Weights

_SAME = 1e-9
"""How far the shares of a group may be from a sum of 1."""


def assignments(narrow: int, wide: int) -> Iterator[tuple[int, ...]]:
    """Every way to make each of m units a copy of one of r, none of which is left out.

    There are G(r, m) = r! S(m, r) of them, in lexicographic order. Each is the affine subspace of
    dimension m − r of all the shares that its copies can have.

    Raises:
        SpecError: there are fewer units than those to be copied, or none of these.
    """
    if not 1 <= narrow <= wide:
        raise SpecError(
            f"units: got {wide} units to be copies of {narrow}; expected 1 or more to be copied, "
            "and no fewer copies; give a wider network"
        )
    return (each for each in product(range(narrow), repeat=wide) if len(set(each)) == narrow)


def shared_out(copied: Sequence[int], random: np.random.Generator) -> Floats:
    """Normal shares (m,) of either sign, moved so that they sum to 1 over the copies of a unit."""
    shares: Floats = random.standard_normal(len(copied))
    for unit in set(copied):
        group = np.array(copied) == unit
        shares[group] += (1 - shares[group].sum()) / group.sum()
    return shares


def embedded(narrow: Weights, copied: Sequence[int], shares: Floats) -> Weights:
    """Units that are copies of those given, and have these shares of their output weights.

    Unit j is a copy of `copied[j]`, with its incoming weights. Weights are (m, d) and (c, m) of
    narrow ones (r, d) and (c, r). Shares that sum to 1 over the copies of a unit leave the outputs
    as they are, and a critical point critical: of the loss at the wide network, the derivatives by
    what goes into and out of a copy are its share of those by its unit's weights, and the same.
    """
    hidden, output = narrow
    at = np.array(copied)
    return hidden[at], output[:, at] * shares


def add_up(copied: Sequence[int], shares: Floats) -> bool:
    """Whether the shares (m,) of the copies of each unit sum to 1."""
    totals = np.bincount(np.array(copied), weights=shares)
    return bool(np.allclose(totals, 1.0, rtol=0.0, atol=_SAME))
