"""The tables of the study `piecewise-linear` about bad local minima."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.study import Cell, Column, Table
from tasks.facts import Trees, facts_of
from tasks.piecewise import minimum_measures as measures
from tasks.piecewise.minimum_claims import EXAMPLES, NETWORKS
from tasks.piecewise.minimum_scans import WIDTHS, Sizes, across

_UNITS: Mapping[str, str] = {
    "relu": "ReLU",
    "nearly-linear": "slopes 1 and 1.01",
    "leaky": "slopes 0.2 and 1",
    "slightly-leaky": "slopes 0.01 and 1",
    "hard-tanh": "hard-tanh",
    "abs": "|x|",
}


def words(network: str) -> str:
    """A network in words, such as `3, ReLU`."""
    for widths in WIDTHS:
        if network.startswith(f"{widths}-"):
            return f"{widths.replace('-', ', ')}: {_UNITS[network.removeprefix(f'{widths}-')]}"
    return {"xor-relu": "XOR, 3: ReLU", "xor-leaky": "XOR, 3: slopes 0.1 and 1"}[network]


def minimum_tables(size: Sizes) -> dict[str, Table]:
    """The networks with their minima, and the example of smooth units."""
    scans = dict(zip(size.networks, across(size.networks), strict=True))
    scans |= {name: name for name in size.tied}
    return {
        NETWORKS: Table(
            "Bad local minima",
            "Units of the hidden layers, and what they are. Of the first data set of each: the "
            "risk of the minimum, ℓ_0, that of the lower point, ℓ, and by what part it is lower; "
            "j_0, S, c and γ of the lower point; the radius within which nothing is lower than "
            "ℓ_0; the highest rise on the straight way. Last: for how many data sets all is "
            "proved, and of how many.",
            (
                Column("network"),
                Column("outputs"),
                Column("ℓ_0"),
                Column("ℓ"),
                Column("lower by", "%"),
                Column("j_0"),
                Column("S"),
                Column("c"),
                Column("γ"),
                Column("radius"),
                Column("rise", "%"),
                Column("proved"),
                Column("data sets"),
            ),
            lambda trees: [_network(trees, name, scan) for name, scan in scans.items()],
        ),
        EXAMPLES: Table(
            "The example of smooth units",
            "The weights v of its two units, and u of the outputs, at the minimum of risk 1/3; "
            "the radius within which nothing is lower, as proved; the risk at the other point.",
            (
                Column("activation"),
                Column("v_1"),
                Column("v_2"),
                Column("u_1"),
                Column("u_2", decimals=6),
                Column("risk", decimals=6),
                Column("radius"),
                Column("other risk"),
                Column("proved"),
            ),
            lambda trees: [_smooth(trees, name) for name in size.smooth],
        ),
    }


def _network(trees: Trees, name: str, scan: str) -> list[Cell]:
    every = facts_of(trees[scan])
    facts = every[0]
    split, (right, left) = facts["split"], facts["g"]
    risk = float(measures.risks_at(trees[scan], 1.0)[0])
    return [
        words(name),
        facts["outputs"],
        facts["fit_risk"],
        risk,
        100 * (1 - risk / facts["fit_risk"]),
        split["count"],
        split["sum"],
        None if split["fold"] else (right - left) / (right + left),
        split["gamma"],
        facts["proof"]["radius"],
        100 * float(measures.highest(trees[scan])[0]),
        sum(each["proof"]["proved"] for each in every),
        len(every),
    ]


def _smooth(trees: Trees, name: str) -> list[Cell]:
    tree = trees[f"{name}-across"]
    facts: Mapping[str, Any] = facts_of(tree)[0]
    proof = facts["proof"]
    return [
        name,
        *facts["inner"],
        *facts["outer"],
        float(measures.risks_at(tree, 0.0)[0]),
        proof["radius"],
        float(measures.risks_at(tree, 1.0)[0]),
        proof["proved"],
    ]
