"""The scans of the study `symmetry` on Θ, where a student equals its teacher, as plain specs.

Şimşek et al. 2021, arXiv:2105.12221.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.symmetry.counts import subspaces_of_layers

_SERIAL = {"workers": 0, "dtype": "float64"}
NEAR = 5e-4
"""The least distance from a subspace that is looked at; the next one is twice that."""
_OUT = [0.0, NEAR, 2 * NEAR, 0.01, 0.1, 0.3]
_EXCESS, _NOISE = 0.1, 0.1
_STEPS = 20
"""Points on each straight segment of a path; its corners are points as well."""
_ZERO = 1e-14
"""Gradient norm of an end at zero loss; few descents come as near, most go on to the last one."""

SWAP, LINE, BARE, CYCLE = "swap", "swap-line", "swap-bare", "swap-cycle"
DEEP, DEEP_LINE = "swap-deep", "swap-deep-line"
EXCESS, NOISE = "subspaces-excess", "subspaces-noise"
ENDS, ENDS_WIDER, ENDS_TANH, ENDS_SIGMOID = "ends", "ends-wider", "ends-tanh", "ends-sigmoid"


@dataclass(frozen=True)
class Family:
    """A family of subspaces: of units in each hidden layer on so many of the teacher.

    Attributes:
        more: other parameters of the task.
    """

    name: str
    taught: tuple[int, ...]
    units: tuple[int, ...]
    activation: str = "asymmetric"
    more: tuple[tuple[str, Any], ...] = ()

    @property
    def words(self) -> str:
        """As a table says it."""
        return ", ".join(f"{r} in {m}" for r, m in zip(self.taught, self.units, strict=True))

    @property
    def subspaces(self) -> int:
        """How many of them there are."""
        return subspaces_of_layers(self.taught, self.units)


TWO = Family("subspaces-2-3", (2,), (3,))
DEEP_FAMILY = Family("subspaces-deep", (1, 2), (2, 3))
_FURTHER = (
    Family("subspaces-3-4", (3,), (4,), "tanh"),
    Family("subspaces-2-4", (2,), (4,), "sigmoid"),
    Family("subspaces-outputs", (2,), (4,), "exp", (("outputs", 2),)),
    Family("subspaces-deeper", (2, 2), (3, 3), "softplus", (("inputs", 3),)),
)


@dataclass(frozen=True)
class ManifoldSizes:
    """How much is looked at.

    Attributes:
        families: of subspaces.
        teachers: of each family, and of the descents.
        within: points along the way within a subspace.
        starts: of descents, for each teacher.
        ends: scans of these.
        paths: scans of paths.
        controls: scans of what is no zero-loss subspace.
    """

    families: tuple[Family, ...]
    teachers: int
    within: int
    starts: int
    ends: tuple[str, ...]
    paths: tuple[str, ...]
    controls: tuple[str, ...]


FULL = ManifoldSizes(
    families=(TWO, DEEP_FAMILY, *_FURTHER),
    teachers=4,
    within=9,
    starts=50,
    ends=(ENDS, ENDS_WIDER, ENDS_TANH, ENDS_SIGMOID),
    paths=(SWAP, CYCLE, DEEP, LINE, DEEP_LINE, BARE),
    controls=(EXCESS, NOISE),
)
QUICK = ManifoldSizes(
    families=(TWO,),
    teachers=2,
    within=3,
    starts=10,
    ends=(ENDS,),
    paths=(SWAP, DEEP, LINE),
    controls=(EXCESS,),
)


def manifold_scans(sizes: ManifoldSizes) -> dict[str, dict[str, Any]]:
    """Every scan by its name."""
    broken = {EXCESS: ("excess", _EXCESS), NOISE: ("noise", _NOISE)}
    found = {
        family.name: _subspaces(number, family, sizes)
        for number, family in enumerate(sizes.families)
    }
    for number, name in enumerate(sizes.controls):
        family = Family(name, (2,), (3,), more=(broken[name],))
        found[name] = _subspaces(100 + number, family, sizes)
    found |= {name: _ends(name, sizes) for name in sizes.ends}
    return found | {name: _path(name) for name in sizes.paths}


def _scan(parameters: dict[str, Any], **more: object) -> dict[str, Any]:
    return {
        "task": "symmetry-net",
        "parameters": parameters,
        "splits": ["train"],
        "compute": _SERIAL,
        **more,
    }


def _subspaces(number: int, family: Family, sizes: ManifoldSizes) -> dict[str, Any]:
    """All subspaces of a family, each along a way within it and one out of it."""
    last = family.subspaces - 1
    return _scan(
        {
            "data": "random",
            "section": "subspace",
            "teacher_units": list(family.taught),
            "units": list(family.units),
            "activation": family.activation,
            **dict(family.more),
        },
        axes={
            "subspace": {"start": 0, "stop": last, "num": last + 1},
            "within": {"start": -1, "stop": 1, "num": sizes.within},
            "out": {"values": _OUT},
        },
        replicates=sizes.teachers,
        seed=21050 + number,
    )


def _ends(name: str, sizes: ManifoldSizes) -> dict[str, Any]:
    """Where descents of a student with one spare unit end."""
    activation = {ENDS_TANH: "tanh", ENDS_SIGMOID: "sigmoid"}.get(name, "asymmetric")
    taught = 3 if name == ENDS_WIDER else 2
    return _scan(
        {
            "data": "random",
            "teacher_units": [taught],
            "units": [taught + 1],
            "activation": activation,
        },
        starts={"num": sizes.starts},
        descent={
            "method": "lm",
            "tolerance": _ZERO,
            "max_iterations": 100,
            "keep_parameters": True,
        },
        replicates=sizes.teachers,
        seed=12221 + (ENDS, ENDS_WIDER, ENDS_TANH, ENDS_SIGMOID).index(name),
    )


def _path(name: str) -> dict[str, Any]:
    """A path between a student that equals its teacher and the same one with units permuted."""
    deep = {
        "data": "random",
        "teacher_units": [2, 2],
        "units": [3, 3],
        "activation": "asymmetric",
    }
    of_name: dict[str, tuple[dict[str, Any], int]] = {
        SWAP: ({}, 7),
        CYCLE: ({"permutation": [[1, 2, 3, 0]]}, 21),
        LINE: ({"route": "line"}, 7),
        BARE: ({"route": "bare", "units": [4]}, 6),
        DEEP: (deep, 14),
        DEEP_LINE: ({**deep, "route": "line"}, 14),
    }
    parameters, segments = of_name[name]
    return _scan(
        {"section": "swap", **parameters},
        axes={"t": {"start": 0, "stop": 1, "num": _STEPS * segments + 1}},
        seed=21051,
    )


def of_kind(names: Sequence[str], *wanted: str) -> list[str]:
    """Those of the wanted scans that there are."""
    return [name for name in wanted if name in names]
